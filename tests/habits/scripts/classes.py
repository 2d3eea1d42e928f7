"""Classes of every make: their instances as arguments, as results, and across a wait."""

import abc
import contextlib
import copyreg
import functools
import pickle
import typing

import drive
import lithops
from together import together


def same(value):
    return value


def fields(instance, *more):
    """What a call saw of an object: what it returned itself could not be of a type of ``__main__``, in Lithops."""
    return type(instance).__name__, dict(vars(instance)), [getattr(instance, name) for name in more]


def measured(shape):
    return type(shape).__name__, shape.area()


class Shape(abc.ABC):
    kinds: typing.ClassVar[dict] = {}

    def __init_subclass__(cls, *, sides=0, **kwargs):
        super().__init_subclass__(**kwargs)
        cls.kinds[cls.__name__] = sides

    @abc.abstractmethod
    def area(self): ...


class Square(Shape, sides=4):
    def __init__(self, side):
        self.side = side

    def area(self):
        return self.side**2


class Circle(Shape):
    def __init__(self, radius):
        self.radius = radius

    def area(self):
        return 3 * self.radius**2


def abstract_classes_that_register():
    found = yield measured, Square(3)
    other = yield measured, Circle(1)
    try:
        Shape()
    except TypeError as error:
        refused = type(error).__name__
    return found, other, refused, Shape.kinds, issubclass(Square, Shape)


class Account:
    opened = 0

    def __init__(self, owner, balance=0):
        type(self).opened += 1
        self.owner, self._balance = owner, balance

    @property
    def balance(self):
        return self._balance

    @balance.setter
    def balance(self, value):
        if value < 0:
            raise ValueError('overdrawn')
        self._balance = value

    @classmethod
    def of_text(cls, text):
        return cls(*text.split(':'))

    @staticmethod
    def fee(amount):
        return amount // 10

    def paid_in(self, amount):
        self.balance += amount
        return self.balance

    def __repr__(self):
        return f'Account({self.owner}, {self.balance})'


def properties_and_methods():
    account = Account('ann', 10)
    later = yield account.paid_in, 5
    fee = yield Account.fee, 100
    found = yield fields, Account.of_text('bob:7'), 'balance'
    account.paid_in(1)
    try:
        account.balance = -1
    except ValueError as error:
        return account, later, fee, found, str(error)


def state_of_a_class():
    before = Account.opened
    Account('cid')
    yield same, 1
    Account('dan')
    return Account.opened - before


def read(instance, *names):
    return [getattr(instance, name, None) for name in names]


class Slotted:
    __slots__ = ('__weakref__', 'x', 'y')

    def __init__(self, x):
        self.x = x


def slots():
    here = Slotted(4)
    there = yield read, here, 'x', 'y'
    here.y = there
    return there, here.y, hasattr(here, '__dict__')


class Plugins(type):
    known: typing.ClassVar[list] = []

    def __new__(mcs, name, bases, namespace, **kwargs):
        cls = super().__new__(mcs, name, bases, {**namespace, 'tag': name.lower()})
        mcs.known.append(name)
        return cls

    def __call__(cls, *args):
        made = super().__call__(*args)
        made.by = 'metaclass'
        return made


class Reader(metaclass=Plugins):
    pass


class Csv(Reader):
    pass


def metaclasses():
    there = yield fields, Csv(), 'by', 'tag'
    return there, Csv().by, Csv.tag, Plugins.known, type(Csv) is Plugins


class Positive:
    def __set_name__(self, owner, name):
        self.name = f'_{name}'

    def __get__(self, instance, owner):
        return self if instance is None else getattr(instance, self.name)

    def __set__(self, instance, value):
        if value <= 0:
            raise ValueError(f'{self.name} must be positive')
        setattr(instance, self.name, value)


class Order:
    quantity = Positive()

    def __init__(self, quantity):
        self.quantity = quantity


def descriptors():
    order = Order(3)
    there = yield fields, order, 'quantity'
    order.quantity += 1
    with contextlib.suppress(ValueError):
        order.quantity = 0
    return there, order.quantity, vars(order)


@functools.total_ordering
class Version:
    def __init__(self, text):
        self.parts = tuple(map(int, text.split('.')))

    def __eq__(self, other):
        return self.parts == other.parts

    def __lt__(self, other):
        return self.parts < other.parts

    def __hash__(self):
        return hash(self.parts)

    def __add__(self, number):
        return Version('.'.join(map(str, (*self.parts[:-1], self.parts[-1] + number))))

    def __repr__(self):
        return f"v{'.'.join(map(str, self.parts))}"


def operators():
    newest = max(Version('1.9'), Version('1.10'))
    there = yield repr, newest + 2
    return there, newest, newest + 1, newest >= Version('1.2'), {newest: 1}[Version('1.10')]


class Lazy:
    made = 0

    @functools.cached_property
    def table(self):
        Lazy.made += 1
        return list(range(3))


def cached_properties():
    lazy = Lazy()
    first = lazy.table
    yield same, first
    return lazy.table is first, Lazy.made


class Loud:
    def greet(self):
        return super().greet().upper() + '!'


class Polite:
    def greet(self):
        return 'hello'


class Both(Loud, Polite):
    pass


def mixins():
    there = yield Both().greet,
    return there, [cls.__name__ for cls in Both.__mro__]


class Scale:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, value):
        return self.factor * value


def objects_that_are_called():
    scale = Scale(3)
    return (yield scale, 2), scale(5)


class Connection:
    """Holds what cannot be pickled, and opens it again."""

    def __init__(self, address):
        self.address = address
        self.open()

    def open(self):
        self.handle = (line for line in [self.address])

    def __getstate__(self):
        return {'address': self.address}

    def __setstate__(self, state):
        self.address = state['address']
        self.open()


class Money:
    def __init__(self, amount, currency):
        self.amount, self.currency = amount, currency

    def __reduce__(self):
        return Money, (self.amount, self.currency)


class Fixed:
    def __init__(self, value):
        self.value = value


def first_line(connection, money, fixed):
    return next(connection.handle), money.amount, money.currency, fixed.value


copyreg.pickle(Fixed, lambda fixed: (Fixed, (fixed.value,)))


def pickles_of_ones_own():
    there = yield first_line, Connection('a:1'), Money(5, 'EUR'), Fixed(3)
    connection, money, fixed = pickle.loads(pickle.dumps((Connection('b:2'), Money(1, 'CHF'), Fixed(4))))
    return there, next(connection.handle), money.amount, money.currency, fixed.value


def instances_pickled_by_the_script():
    data = pickle.dumps([Account('eve', 3), Square(2), Version('2.0')])
    yield len, data
    account, square, version = pickle.loads(data)
    return account, square.area(), version, type(square) is Square


class Everything:
    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return f'<{name}>'

    def __getitem__(self, key):
        return key * 2

    def __len__(self):
        return 3

    def __contains__(self, value):
        return value == 3

    def __iter__(self):
        yield from 'abc'


def attributes_made_when_asked_for():
    here = Everything()
    there = yield list, here
    return there, here.anything, here[4], len(here), 3 in here


Value = typing.TypeVar('Value')


class Stack(typing.Generic[Value]):
    def __init__(self) -> None:
        self.items: list[Value] = []

    def push(self, item: Value) -> 'list[Value]':
        self.items.append(item)
        return self.items


class Sized(typing.Protocol):
    def area(self) -> float: ...


def generics_and_protocols():
    stack = Stack[int]()
    there = yield stack.push, 5
    shape: Sized = Square(2)
    return there, stack.push(6), shape.area()


class Only:
    instance = None

    def __new__(cls):
        if cls.instance is None:
            cls.instance = super().__new__(cls)
            cls.instance.count = 0
        return cls.instance


def singletons():
    Only().count += 1
    yield same, 1
    Only().count += 1
    return Only().count, Only() is Only()


class Outer:
    class Inner:
        value = 7

    @classmethod
    def make(cls):
        return cls.Inner()


def nested_classes():
    inner = Outer.make()
    there = yield fields, inner, 'value'
    return there, inner.value, pickle.loads(pickle.dumps(inner)).value, type(inner).__qualname__


def classes_made_inside_of_functions():
    class Local:
        def __init__(self, x):
            self.x = x

        def twice(self):
            return Local(2 * self.x).x

    there = yield Local(4).twice,
    return there, type('Made', (Local,), {'y': 1})(5).x


def results_of_a_type_of_the_script():
    # Lithops' handler refuses them: a worker has another __main__
    try:
        yield Account, 'fay'
    except pickle.PicklingError as error:
        return str(error)


HABITS = [
    results_of_a_type_of_the_script,
    abstract_classes_that_register,
    properties_and_methods,
    state_of_a_class,
    slots,
    metaclasses,
    descriptors,
    operators,
    cached_properties,
    mixins,
    objects_that_are_called,
    pickles_of_ones_own,
    instances_pickled_by_the_script,
    attributes_made_when_asked_for,
    generics_and_protocols,
    singletons,
    nested_classes,
    classes_made_inside_of_functions,
]


def main():
    return together(lithops.FunctionExecutor(), HABITS)


if __name__ == '__main__':
    drive.drive(main)
