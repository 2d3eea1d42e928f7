"""Functions: closures, decorators, caches, partials, dispatch, state of the module."""

import contextlib
import contextvars
import functools
import inspect
import operator
import time
import typing

import drive
import lithops
from together import together

calls_made = 0
language = contextvars.ContextVar('language', default='en')
Number = typing.TypeVar('Number', int, float)


def same(value):
    return value


@functools.lru_cache(maxsize=None)
def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def caches():
    before = fibonacci(30)
    hits = fibonacci.cache_info().currsize
    there = yield same, before
    return there, hits, fibonacci(30), fibonacci(35), fibonacci.cache_info().currsize


@functools.cache
def settings():
    return {'n': 5}


def a_cached_object_is_one_object():
    first = settings()
    n = yield same, first['n']
    return n, settings() is first


@functools.singledispatch
def shown(value):
    return f'some {type(value).__name__}'


@shown.register
def _(value: int):
    return f'number {value}'


@shown.register(list)
def _(value):
    return [shown(one) for one in value]


def single_dispatch():
    here = shown([1, 'a'])
    there = yield same, here
    return there, shown([3, 1.5]), shown.dispatch(bool).__name__


def power(base, exponent):
    return base**exponent


def partials():
    cube = functools.partial(power, exponent=3)
    there = yield cube, 2
    return there, cube(3), (yield functools.partial(cube, 4),), cube.keywords


def reductions():
    there = yield functools.reduce, operator.add, [[1], [2, 3]], []
    return there, functools.reduce(lambda a, b: a * b, there)


def attribute_getters():
    rows = [('b', 2), ('a', 1)]
    there = yield operator.itemgetter(0, 1), rows
    upper = yield operator.methodcaller('upper'), 'abc'
    return there, upper, sorted(rows, key=operator.itemgetter(1))


def adder(amount):
    def add(value):
        return value + amount

    return add


def closures():
    add = adder(10)
    there = yield add, 5
    return there, add(there), add.__closure__[0].cell_contents


def closures_that_count():
    count = 0

    def increment():
        nonlocal count
        count += 1
        return count

    increment()
    yield same, increment()
    return increment(), count


def lambdas():
    scale, shift = 3, 1
    there = yield (lambda x: x * scale + shift), 4
    table = {name: (lambda value, name=name: f'{name}{value}') for name in 'ab'}
    return there, table['b']((yield table['a'], 1))


def wrapped(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return ('wrapped', function(*args, **kwargs))

    return wrapper


def bare(function):
    def wrapper(*args):
        return ('bare', function(*args))

    return wrapper


def repeated(times):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(value):
            for _ in range(times):
                value = function(value)
            return value

        return wrapper

    return decorate


@wrapped
def tripled(x):
    """Three times as much."""
    return 3 * x


@bare
def halved(x):
    return x / 2


@repeated(times=3)
def doubled(x):
    return x * 2


def decorated_functions():
    there = yield tripled, 2
    half = yield halved, 8
    return there, half, doubled(1), tripled.__name__, tripled.__doc__, halved.__name__


def a_decorator_that_takes_arguments():
    return (yield doubled, 5), doubled.__wrapped__(5)


class timed(contextlib.ContextDecorator):
    def __enter__(self):
        self.began = time.perf_counter()

    def __exit__(self, *_):
        self.took = time.perf_counter() - self.began


@timed()
def slow():
    return 'slow'


def context_decorators():
    here = slow()
    return here, (yield slow,)


def globals_that_change():
    global calls_made
    calls_made += 1
    yield same, calls_made
    calls_made += 10
    return calls_made


def context_variables():
    token = language.set('de')
    yield same, language.get()
    found = language.get()
    language.reset(token)
    copied = contextvars.copy_context()
    copied.run(language.set, 'fr')
    return found, language.get(), copied[language]


def keywords_and_defaults(first=1, /, second=2, *rest, third, **others):
    return first, second, rest, third, others


def signatures():
    there = yield functools.partial(keywords_and_defaults, third=3, fourth=4), 1, 2, 5
    return there, str(inspect.signature(keywords_and_defaults))


def largest(values: typing.Sequence[Number], key: 'typing.Callable | None' = None) -> Number:
    return max(values, key=key)


def annotations():
    there = yield largest, [3, -5], abs
    return there, typing.get_type_hints(largest)['return'] is Number


def the_default_is_one_list(item, seen=[]):
    seen.append(item)
    return list(seen)


def defaults_that_change():
    the_default_is_one_list(1)
    yield same, 0
    return the_default_is_one_list(2)


def functions_with_attributes():
    doubled.calls = 5
    yield same, 0
    doubled.calls += 1
    return doubled.calls


def functions_in_tables():
    operations = {'add': operator.add, 'half': halved, 'len': len}
    total = yield operations['add'], 1, 2
    return total, (yield operations['half'], total), operations['len']('abc')


def sources():
    text = inspect.getsource(power)
    there = yield same, text.count('\n')
    return there, inspect.getsource(adder).splitlines()[0], inspect.getdoc(tripled)


def matched(value):
    match value:
        case {'kind': 'circle', 'r': r}:
            return f'circle of {r}'
        case [x, y, *_] if x == y:
            return f'a pair of {x}'
        case str() | bytes():
            return 'text'
        case _:
            return 'something else'


def patterns():
    there = yield matched, {'kind': 'circle', 'r': 2}
    return there, matched([1, 1]), matched('a'), matched(there and 5)


def walruses():
    total, limit = 0, 3
    while (number := (yield same, total + 1)) < limit:
        total = number
    return [half for value in (number, 7) if (half := value // 2) > 1], total


def comprehensions_that_name_functions():
    there = yield (lambda values: {power(value, 2): [power(v, 3) for v in values] for value in values}), [1, 2]
    return there, [adder(n)(n) for n in there]


HABITS = [
    caches,
    a_cached_object_is_one_object,
    single_dispatch,
    partials,
    reductions,
    attribute_getters,
    closures,
    closures_that_count,
    lambdas,
    decorated_functions,
    a_decorator_that_takes_arguments,
    context_decorators,
    globals_that_change,
    context_variables,
    signatures,
    annotations,
    defaults_that_change,
    functions_with_attributes,
    functions_in_tables,
    sources,
    patterns,
    walruses,
    comprehensions_that_name_functions,
]


def main():
    return together(lithops.FunctionExecutor(), HABITS)


if __name__ == '__main__':
    drive.drive(main)
