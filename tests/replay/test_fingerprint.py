"""Fingerprints: digests that are the same in every process, of any value, within a bounded time."""

import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import os
import pathlib
import pickle
import random
import re
import subprocess
import sys
import threading
import time
import types
import uuid
import zoneinfo

import numpy as np
import pandas as pd
import pytest

from triggerflow_lithops.replay.fingerprint import ROOM, Fingerprint, digest_of

#: Seconds that anything may take here. What is seen is a tenth of it
PATIENCE = 2.0


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


class Size(enum.IntEnum):
    RED = 1
    TWO = 2


class Access(enum.Flag):
    READ = 1
    WRITE = 2


@dataclasses.dataclass
class Point:
    x: object
    y: object = 0
    seen: float = dataclasses.field(default=0.0, compare=False)


@dataclasses.dataclass
class Place:
    x: object
    y: object = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    x: object
    y: object = 0


class Thing:
    def __init__(self, x=0):
        self.x = x

    def method(self):
        pass

    @classmethod
    def made(cls):
        pass


class Words(str):
    pass


class Numbers(list):
    def __iter__(self):
        raise RuntimeError('the user iterates')

    def __len__(self):
        raise RuntimeError('the user counts')

    __getitem__ = __contains__ = __reversed__ = __len__


class Table(dict):
    def items(self):
        raise RuntimeError('the user iterates')

    __iter__ = __len__ = __getitem__ = __reversed__ = keys = values = items


Pair = collections.namedtuple('Pair', 'x y')
Other = collections.namedtuple('Other', 'x y')


def function():
    pass


@functools.lru_cache
def cached():
    pass


@functools.lru_cache
def cached_too():
    pass


def took(function):
    began = time.process_time()
    function()
    return time.process_time() - began


DIFFERENT = {
    'plain values and what looks like them': [
        None,
        True,
        False,
        0,
        1,
        1.0,
        1j,
        '1',
        b'1',
        'None',
        'True',
        [1],
        (1,),
        {1},
        frozenset([1]),
        {1: 1},
        [None],
        [[]],
        [],
        (),
        {},
        set(),
        frozenset(),
        '',
        b'',
        [[1]],
        [(1,)],
        bytearray(b'1'),
        Words('1'),
        Size.RED,
        Colour.RED,
        ...,
        NotImplemented,
        decimal.Decimal(1),
        fractions.Fraction(1),
        np.int64(1),
        np.float64(1),
        np.array(1),
        np.array([1]),
        range(1),
        slice(1),
        memoryview(b'1'),
        array.array('i', [1]),
        Numbers([1]),
        Table({1: 1}),
        Pair(1, 1),
        collections.deque([1]),
        Point(1),
        Place(1),
    ],
    'texts': ['ab', 'abc', 'b', 'ä', '\ud800', '\udfff', '\\ud800', 'a' * 5000, 'a' * 4999 + 'b', 'b' + 'a' * 4999, 'a' * 5001],
    'how texts are divided': [
        ['ab', 'c'],
        ['a', 'bc'],
        ['abc'],
        ['abc', ''],
        ['', 'abc'],
        ['a', 'b', 'c'],
        [['ab'], 'c'],
        [['ab', 'c']],
        ['as', 'b'],
        ['a', 'sb'],
        ['a1:s', 'b'],
        ['a', '1:sb'],
        ['as1:b'],
        ['a', None],
        ['an'],
    ],
    'how many texts are divided': [
        ['ab', 'c'] * 9,
        ['a', 'bc'] * 9,
        ['abc'] * 9,
        ['abc'] * 10,
        [['abc']] * 9,
        [('abc',)] * 9,
        [{'abc': 1}] * 9,
    ],
    'rows': [
        [(1, 2)] * 20,
        [(1,), (2,)] * 20,
        [(1, 2), ()] * 20,
        [[1, 2]] * 20,
        [{1: 2}] * 20,
        [1, 2] * 20,
        [1.0, 2.0] * 20,
        ['1', '2'] * 20,
        [1, '2'] * 20,
        [1, 2.0] * 20,
        [b'1', '2'] * 20,
        [True, 2] * 20,
        [None, 2] * 20,
        [(1, True)] * 20,
        [(1, 2.0)] * 20,
    ],
    'integers': [
        2**63 - 1,
        2**63,
        -(2**63),
        -(2**63) - 1,
        2**64,
        -1,
        255,
        256,
        10**10_000,
        10**10_000 + 1,
        -(10**10_000),
        7 * 10**9_999,
    ],
    'floats': [0.0, -0.0, float('nan'), float('inf'), float('-inf'), 5e-324, 0.1, 0.1 + 1e-16, 1e300],
    'complex numbers': [0j, -0j, complex('nan'), 1j, 1 + 1j],
    'bytes': [
        b'a',
        b'ab',
        bytearray(b'a'),
        memoryview(b'a'),
        memoryview(b'ab'),
        memoryview(b'abab')[::2],
        bytes(9000),
        bytes(9001),
    ],
    'arrays': [array.array('i', [1, 2]), array.array('i', [2, 1]), array.array('l', [1, 2]), array.array('d', [1, 2])],
    'ranges': [range(3), range(4), range(1, 3), range(0, 3, 2), range(10**9), range(10**30), [0, 1, 2]],
    'slices': [slice(1), slice(2), slice(0, 1), slice(0, 1, 1)],
    'orders': [[1, 2, 3], [3, 2, 1], (1, 2, 3), {1: 0, 2: 0}, {2: 0, 1: 0}],
    'enums': [*Colour, *Size, Access.READ, Access.READ | Access.WRITE, Colour, Size],
    'dataclasses': [
        Point(1),
        Point(2),
        Point(1, 1),
        Place(1),
        Slotted(1),
        Slotted(2),
        Slotted([1]),
        Point([1]),
        Point({1}),
        Point,
    ],
    'dates': [
        datetime.date(2026, 1, 2),
        datetime.datetime(2026, 1, 2),
        datetime.datetime(2026, 1, 2, fold=1),
        datetime.date(2026, 1, 3),
        datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc),
        datetime.datetime(2026, 1, 2, microsecond=1),
        datetime.time(1),
        datetime.datetime(2026, 1, 2, tzinfo=zoneinfo.ZoneInfo('UTC')),
        datetime.time(1, 2),
        datetime.timedelta(1),
        datetime.timedelta(0, 1),
        datetime.timezone(datetime.timedelta(hours=1)),
        datetime.timezone(datetime.timedelta(hours=2)),
        pd.Timestamp(2026, 1, 2),
    ],
    'numbers with decimals': [decimal.Decimal(text) for text in ('1', '1.0', '-1', 'NaN', 'sNaN', 'Infinity', '0', '-0', '1E+5')],
    'fractions': [fractions.Fraction(1, 2), fractions.Fraction(1, 3), fractions.Fraction(2, 3)],
    'ids': [uuid.UUID(int=1), uuid.UUID(int=2), str(uuid.UUID(int=1))],
    'paths': [pathlib.Path('/a'), pathlib.Path('/b'), pathlib.PurePosixPath('/a'), pathlib.PureWindowsPath('/a'), '/a'],
    'patterns': [re.compile('a'), re.compile('b'), re.compile('a', re.I), re.compile(b'a'), 'a'],
    'functions': [
        function,
        took,
        cached,
        cached_too,
        len,
        print,
        str.upper,
        str.lower,
        'a'.upper,
        [].append,
        [].pop,
        Thing,
        Point,
        int,
        str,
        Thing().method,
        Thing.made,
        functools.partial(function),
        functools.partial(took),
        functools.partial(took, 1),
        np.sin,
        np.cos,
        functools.partial(took, x=1),
        functools.partial(took, x=2),
        lambda: 0,
        os.path.join,
        object.__init__,
        dict.fromkeys,
    ],
    'modules': [os, sys, os.path, np],
    'containers of the library': [
        collections.deque([1, 2]),
        collections.deque([2, 1]),
        collections.OrderedDict(a=1),
        collections.Counter('a'),
        {'a': 1},
        collections.defaultdict(int, a=1),
        collections.ChainMap({'a': 1}),
        collections.ChainMap({}, {'a': 1}),
        collections.UserList([1]),
        collections.UserList([2]),
        collections.UserDict(a=1),
        collections.UserString('a'),
        types.MappingProxyType({'a': 1}),
        {'a': 1}.keys(),
        types.MappingProxyType({'a': 2}),
        {'b': 1}.keys(),
        {'a': 1}.values(),
        {'a': 1}.items(),
        Pair(1, 2),
        Other(1, 2),
        (1, 2),
        Pair(2, 1),
    ],
    'sets': [
        {1},
        {2},
        {1, 2},
        {'a'},
        {'a', 'b'},
        {(1,)},
        {(2,)},
        {frozenset([1])},
        {frozenset([2])},
        {(1, (2, (3, (4, 5))))},
        {1, 'a'},
    ],
    'arrays of numpy': [
        np.zeros(3),
        np.ones(3),
        np.zeros(4),
        np.zeros((3, 1)),
        np.zeros(3, int),
        np.array(['a', 'b']),
        np.array(['a', 'c']),
        np.array([b'a']),
        np.array([1, None]),
        np.array([2, None]),
        np.array([{1}, None]),
        np.array('2026', 'M8[D]'),
        np.array('2027', 'M8[D]'),
        np.array('2026', 'M8[s]'),
        np.array([(1, 2.0)], 'i4,f8'),
        np.array([(1, 3.0)], 'i4,f8'),
        np.zeros(3, np.longdouble),
        np.ones(3, np.longdouble),
        np.array(['a', 'b'], 'T'),
        np.array(['a', 'c'], 'T'),
        np.ma.array([1, 2]),
        np.ma.array([1, 2, 3]),
        np.broadcast_to(1, (10**9, 10**9)),
        np.broadcast_to(2, (10**9, 10**9)),
        np.arange(6)[::2],
        np.arange(6)[1::2],
    ],
    'scalars of numpy': [
        np.int32(1),
        np.int64(1),
        np.int64(2),
        np.float32(1),
        np.float64(1),
        np.bool_(True),
        np.str_('1'),
        np.bytes_(b'1'),
        np.complex128(1),
        np.datetime64('2026'),
        np.datetime64('2027'),
        np.datetime64(1, 'ns'),
        np.datetime64('NaT'),
        np.timedelta64(1, 's'),
        np.timedelta64(2, 's'),
        np.longdouble(1),
        np.longdouble(2),
        np.array([(1, 2)], 'i4,i4')[0],
        np.array([(1, 3)], 'i4,i4')[0],
        1,
        1.0,
        True,
    ],
    'types of objects': [
        Thing(),
        pd.DataFrame({'a': [1]}),
        pd.Series([1]),
        object(),
        iter([]),
        threading.Lock(),
        (x for x in ()),
    ],
}


@pytest.mark.parametrize('kind', DIFFERENT)
def test_what_differs_has_another_digest(kind):
    values = DIFFERENT[kind]
    digests = [digest_of(value) for value in values]
    assert all(re.fullmatch('[0-9a-f]{8}', digest) for digest in digests)
    alike = [(first, second) for n, first in enumerate(values) for m, second in enumerate(values[:n]) if digests[n] == digests[m]]
    assert not alike


@pytest.mark.parametrize('kind', DIFFERENT)
@pytest.mark.parametrize(
    'within',
    [
        lambda value: [value],
        lambda value: (value, 1),
        lambda value: {'a': value},
        lambda value: [[[[[[value]]]]]],
        lambda value: [0] * 50 + [value],
        lambda value: Point(value),
        lambda value: functools.partial(function, value),
        lambda value: collections.deque([value]),
    ],
)
def test_what_differs_inside_a_container_has_another_digest(kind, within):
    digests = [digest_of(within(value)) for value in DIFFERENT[kind]]
    assert len(set(digests)) == len(digests)


@pytest.mark.parametrize('kind', DIFFERENT)
def test_a_copy_that_pickle_makes_has_the_same_digest(kind):
    cannot = (types.FunctionType, types.ModuleType, types.GeneratorType, types.MappingProxyType, memoryview, type({}.keys()))
    cannot += (Numbers, Table, type({}.values()), type({}.items()), type(threading.Lock()))
    for value in DIFFERENT[kind]:
        if not isinstance(value, cannot) and getattr(value, 'size', 0) != 10**18:
            assert digest_of(pickle.loads(pickle.dumps(value))) == digest_of(value), value


@pytest.mark.parametrize(
    'one, other',
    [
        (Thing(1), Thing(2)),
        (Point(1, seen=1.0), Point(1, seen=2.0)),
        ({1, 2, 3}, {3, 2, 1}),
        ({'a', ('b', frozenset('xyz'))}, {('b', frozenset('zyx')), 'a'}),
        (float('nan'), -float('nan')),
        ([float('nan')] * 20, [-float('nan')] * 20),
        (iter([1]), iter([2])),
        ((x for x in [1]), (x for x in [2])),
        (map(len, []), map(len, [1])),
        (pd.DataFrame({'a': [1]}), pd.DataFrame({'a': [2]})),
        (np.ma.array([1, 2], mask=[0, 1]), np.ma.array([1, 3], mask=[0, 1])),
        (np.zeros(3, '<f8'), np.zeros(3, '>f8')),
        (np.zeros((40, 30)), np.asfortranarray(np.zeros((40, 30)))),
        (np.arange(12).reshape(3, 4).T, np.arange(12).reshape(3, 4).T.copy()),
        (functools.partial(Thing(1).method), functools.partial(Thing(2).method)),
        (threading.Lock(), threading.Lock()),
        (object(), object()),
    ],
)
def test_what_does_not_count_leaves_the_digest(one, other):
    assert digest_of(one) == digest_of(other)
    assert digest_of([one, 1]) == digest_of([other, 1])


def test_bytes_between_the_fields_of_a_record_do_not_count():
    kind = np.dtype([('a', 'i1'), ('b', 'f8')], align=True)
    one, other = (np.frombuffer(filling * 32, kind).copy() for filling in (b'\0', b'\1'))
    other['a'] = other['b'] = 0
    assert one.tobytes() != other.tobytes() and digest_of(one) == digest_of(other)
    assert digest_of(one[0]) == digest_of(other[0])


def test_a_change_of_the_context_of_decimals_changes_no_digest():
    number = decimal.Decimal('1E+5')
    before = digest_of(number)
    with decimal.localcontext() as context:
        context.capitals = 0
        assert digest_of(number) == before


RICH = """
import collections, dataclasses, datetime, decimal, enum, functools, pathlib, re, sys, threading, uuid
import numpy as np
from triggerflow_lithops.replay.fingerprint import digest_of

class Colour(enum.Enum):
    RED = 'red'
    BLUE = 'blue'

@dataclasses.dataclass(frozen=True)
class Point:
    x: object
    y: object = None

class Plain:
    pass

words = 'alpha beta gamma delta epsilon zeta eta theta iota kappa'.split()
values = [
    set(words), frozenset(words), {Colour.RED, Colour.BLUE}, {(word, frozenset(words)) for word in words},
    {'a': set(words), 'b': [frozenset(words), {Point(word, frozenset(words[:3])) for word in words}]},
    {frozenset({frozenset(words), frozenset(words[:5]), 'x' * 3000, 10**100, 1.5, None, b'x'}), *words},
    [{word, number} for number, word in enumerate(words)], Point(frozenset(words), Colour.RED), collections.Counter(words),
    {Plain: 1}, {len, print, Plain, Plain.__init__, functools.partial}, Plain(), object(), threading.Lock(), lambda: 0,
    re.compile('a'),
    datetime.datetime(2026, 1, 2),
    {datetime.date(2026, 1, 2), decimal.Decimal('1.5'), uuid.UUID(int=5), pathlib.PurePosixPath('/a')},
    functools.partial(print, set(words)), np.array([set(words), None]), {np.float64(1.5), np.str_('a')},
    collections.deque([set(words)]),
    types_of if (types_of := {str, int, Plain, Colour}) else None, collections.ChainMap({'a': set(words)}),
    (set(words) for _ in ()),
]
print(*[digest_of(value) for value in values], digest_of(values))
"""


def test_digests_are_the_same_in_every_process():
    def printed(seed):
        environment = {**os.environ, 'PYTHONHASHSEED': seed}
        return subprocess.run([sys.executable, '-c', RICH], env=environment, capture_output=True, text=True, check=True).stdout

    first, *others = [printed(seed) for seed in ('0', '1', '4711')]
    assert len(set(first.split())) > 25 and others == [first, first]


def test_a_list_in_the_order_of_a_set_differs_from_one_in_another_order():
    assert digest_of(['a', 'b']) != digest_of(['b', 'a']) and digest_of({'a', 'b'}) == digest_of({'b', 'a'})


# No code of the user


class Refuses(type):
    def refuse(cls, *args, **kwargs):
        raise AssertionError('code of the user was run')

    __eq__ = __hash__ = __getattribute__ = __instancecheck__ = __subclasscheck__ = __repr__ = __len__ = __iter__ = refuse


NEVER = {
    name: Refuses.refuse
    for name in (  # noqa: SIM905
        '__getattribute__ __getattr__ __eq__ __ne__ __hash__ __repr__ __str__ __len__ __iter__ __getitem__ __contains__ __bool__ '
        '__int__ __index__ __float__ __complex__ __bytes__ __format__ __reduce__ __reduce_ex__ __getstate__ __reversed__ '
        '__next__ '
        '__call__ __sizeof__ __dir__ __array__ __array_finalize__ __array_interface__ __fspath__ __lt__ __gt__ __buffer__ '
        '__copy__ '
        'keys values items get tolist tobytes isoformat utcoffset to_bytes bit_length encode as_tuple copy'
    ).split()
}


def refusing(name, bases=(), metaclass=Refuses, **more):
    return metaclass(name, bases, {**NEVER, '__class__': property(Refuses.refuse), '__dict__': property(Refuses.refuse), **more})


def instance(base, *args):
    """An instance of a subclass of ``base`` all of whose methods raise."""
    kind = refusing('Refusing', (base,))
    return base.__new__(kind, *args)


def filled(base, fill, *args):
    made = instance(base)
    fill(made, *args)
    return made


UNFRIENDLY = {
    'object': lambda: object.__new__(refusing('Refusing')),
    'class': lambda: refusing('Refusing'),
    'str': lambda: instance(str, 'abc'),
    'long str': lambda: instance(str, 'abc' * 10_000),
    'int': lambda: instance(int, 5),
    'float': lambda: instance(float, 5.0),
    'complex': lambda: instance(complex, 5.0),
    'bytes': lambda: instance(bytes, b'abc'),
    'bytearray': lambda: filled(bytearray, bytearray.__init__, b'abc'),
    'list': lambda: filled(list, list.__init__, [1, 2]),
    'tuple': lambda: instance(tuple, [1, 2]),
    'dict': lambda: filled(dict, dict.update, {1: 2}),
    'set': lambda: filled(set, set.update, {1}),
    'frozenset': lambda: instance(frozenset, [1]),
    'deque': lambda: filled(collections.deque, collections.deque.extend, [1]),
    'datetime': lambda: instance(datetime.datetime, 2026, 1, 2),
    'timedelta': lambda: instance(datetime.timedelta, 1),
    'tzinfo': lambda: datetime.datetime(2026, 1, 2, tzinfo=instance(datetime.tzinfo)),
    'decimal': lambda: instance(decimal.Decimal, '1.5'),
    'numpy scalar': lambda: instance(np.float64, 1.5),
    'partial': lambda: functools.partial(object.__new__(refusing('Refusing'))),
    'proxy': lambda: types.MappingProxyType(filled(dict, dict.update, {1: 2})),
    'keys': lambda: dict.keys(filled(dict, dict.update, {1: 2})),
}


@pytest.mark.parametrize('kind', UNFRIENDLY)
def test_no_code_of_the_user_runs(kind):
    value = UNFRIENDLY[kind]()
    alone = digest_of(value)
    assert alone == digest_of(UNFRIENDLY[kind]())
    assert digest_of([value]) == digest_of([UNFRIENDLY[kind]()]) != alone
    assert digest_of({'a': (value, [value])}) and digest_of([value] * 50)


def test_what_a_subclass_overrides_does_not_hide_what_is_in_it():
    assert digest_of(Numbers([1, 2])) != digest_of(Numbers([1, 3]))
    assert digest_of(Table({1: 2})) != digest_of(Table({1: 3}))
    assert digest_of(instance(str, 'a')) != digest_of(instance(str, 'b'))


def test_an_array_of_a_class_of_the_user_is_read_without_it():
    class Mine(np.ndarray):
        def __array_finalize__(self, other):
            if armed:
                raise AssertionError('code of the user was run')

        __getitem__ = tolist = tobytes = reshape = lambda self, *args: 1 / 0

    armed = []
    one, other = (np.array(numbers).view(Mine) for numbers in ([1, 2], [1, 3]))
    armed.append(True)
    assert digest_of(one) != digest_of(other)


def test_a_generator_is_not_consumed_and_a_lazy_sequence_not_read():
    class Lazy(collections.abc.Sequence):
        def __len__(self):
            raise AssertionError('it was counted')

        def __getitem__(self, index):
            raise AssertionError('it was read')

    generator = (x for x in 'abc')
    digest_of([generator, Lazy(), map(len, generator)])
    assert list(generator) == ['a', 'b', 'c']


def test_what_has_a_name_counts_by_it():
    def name_of(value):
        return value.x if type(value) is Thing else ''

    assert digest_of([Thing('a')], name_of) == digest_of([Thing('a')], name_of) != digest_of([Thing('b')], name_of)
    assert digest_of({'a': Point(Thing('a'))}, name_of) != digest_of({'a': Point(Thing('b'))}, name_of)


def test_a_value_that_cannot_be_read_counts_by_its_type():
    released = memoryview(b'abc')
    released.release()
    assert digest_of(released) and digest_of([released]) != digest_of([memoryview(b'abc')])
    assert digest_of([Thing()], lambda value: 1 / 0) != digest_of([Point(1)], lambda value: 1 / 0)


# Structures


def test_a_structure_may_contain_itself():
    def tree(name):
        root = {'name': 'root', 'children': []}
        root['children'] += [{'name': name, 'parent': root}, {'name': 'b', 'parent': root, 'list': root['children']}]
        return root

    loop, longer = [1], [1, [1]]
    loop.append(loop)
    longer[1].append(longer)
    assert digest_of(tree('a')) == digest_of(tree('a')) != digest_of(tree('c'))
    assert len({digest_of(value) for value in (loop, longer, [1, [1]], [loop], [1, [1, [1]]])}) == 5
    point = Point(1)
    point.y = [point]
    assert digest_of(point) == digest_of(pickle.loads(pickle.dumps(point)))


def test_every_node_of_a_graph_may_know_every_other():
    nodes = [{'name': number} for number in range(100)]
    for node in nodes:
        node['neighbours'] = [other for other in nodes if other is not node]
    assert took(lambda: digest_of(nodes)) < PATIENCE


def test_a_structure_may_be_deep():
    def nested(inner, wrap, depth=100_000):
        for _ in range(depth):
            inner = wrap(inner)
        return inner

    for wrap in (lambda value: [value], lambda value: (value, 1), lambda value: {'a': value}, lambda value: Point(value)):
        assert digest_of(nested(1, wrap, 20_000))
        assert digest_of(nested(1, wrap, 1000)) != digest_of(nested(2, wrap, 1000))
        assert digest_of(nested(1, wrap, 1000)) != digest_of(nested(1, wrap, 1001))
    deep = nested(1, lambda value: [value])
    assert took(lambda: digest_of(deep)) < PATIENCE
    assert digest_of(nested(1, lambda value: frozenset([value]))) != digest_of(nested(1, lambda value: frozenset([value]), 5))


def test_one_list_may_be_in_many_places():
    value = [1]
    for _ in range(200):
        value = [value] * 3
    assert took(lambda: digest_of(value)) < PATIENCE


def test_what_is_shared_counts_like_a_copy():
    shared = [1, [2, [3, [4, [5, [6]]]]]]
    assert digest_of([shared, shared]) == digest_of([shared, pickle.loads(pickle.dumps(shared))])


def plain(random, depth):
    kinds = [
        lambda: random.choice([None, True, False, -1, 0, 2**70, 1.5, 'a', 'b' * random.randrange(2000), b'c', -0.0, Colour.RED]),
        lambda: [plain(random, depth - 1) for _ in range(random.randrange(12))],
        lambda: tuple(plain(random, depth - 1) for _ in range(random.randrange(12))),
        lambda: {random.randrange(50): plain(random, depth - 1) for _ in range(random.randrange(12))},
        lambda: {random.choice([random.randrange(9), 'a' * random.randrange(9), (random.random(), 'x')]) for _ in range(5)},
        lambda: Point(plain(random, depth - 1), plain(random, depth - 1)),
        lambda: [random.randrange(100) for _ in range(random.randrange(30))],
        lambda: collections.deque([plain(random, depth - 1)]),
    ]
    return random.choice(kinds if depth else kinds[:1])()


def test_structures_made_at_random_have_one_digest_each():
    seed = random.SystemRandom().randrange(10**9)
    chosen = random.Random(seed)
    written = {}
    for _ in range(800):
        value = plain(chosen, 4)
        digest = digest_of(value)
        assert digest == digest_of(pickle.loads(pickle.dumps(value))), seed
        written.setdefault(digest, []).append(value)
    for values in written.values():
        for value in values[1:]:
            # Python's own comparison takes 1 and True, 0.0 and -0.0, for the same
            assert value == values[0], seed


def places_of(value):
    """Where a structure of lists, tuples and dicts has something that can be changed, as a function that changes it."""
    for key in range(len(value)) if isinstance(value, list) else list(value):
        if isinstance(value[key], (list, dict)):
            yield from places_of(value[key])
        else:
            yield value, key


def test_a_change_at_any_place_changes_the_digest():
    chosen = random.Random(11)

    def made(depth):
        if not depth:
            return chosen.choice([1, 'a', None, 2.5, 'x' * 2000])
        if chosen.random() < 0.5:
            return [made(depth - 1) for _ in range(chosen.randrange(1, 14))]
        return {str(number): made(depth - 1) for number in range(chosen.randrange(1, 12))}

    for _ in range(4):
        value = [made(3), made(2)]
        before = digest_of(value)
        for place, key in places_of(value):
            kept, place[key] = place[key], 'changed'
            assert digest_of(value) != before
            place[key] = kept
        assert digest_of(value) == before


# Bounds


@pytest.mark.parametrize(
    'value',
    [
        lambda: range(10**9),
        lambda: [range(10**9)] * 1000,
        lambda: bytes(2 * 10**7),
        lambda: bytearray(2 * 10**7),
        lambda: 'ä' * 10**7,
        lambda: memoryview(bytes(2 * 10**7)),
        lambda: np.zeros(2 * 10**7, 'u1'),
        lambda: np.zeros((4000, 4000), 'u1').T,
        lambda: 10**100_000,
        lambda: list(range(3 * 10**6)),
        lambda: [str(number) for number in range(300_000)],
        lambda: [[number] for number in range(300_000)],
        lambda: dict.fromkeys(range(300_000)),
        lambda: set(range(300_000)),
        lambda: collections.deque(range(300_000)),
        lambda: [bytes(4 * 10**6)] * 50,
        lambda: np.array([None] * 300_000),
        lambda: [{'a': list(range(1000))} for _ in range(1000)],
        lambda: (1, 'a') * 10**6,
        lambda: np.array([1, 2])[None, :].repeat(300_000, 0),
        lambda: [{number: 'x'} for number in range(10**5)],
    ],
)
def test_what_is_large_takes_a_bounded_time(value):
    made = value()
    assert took(lambda: digest_of(made)) < PATIENCE


def test_the_length_and_both_ends_of_what_is_large_count():
    kinds = (bytes, bytearray, lambda length: 'a' * length, lambda length: np.zeros(length, 'u1'), lambda length: [0] * length)
    for one in kinds:
        length = 10**7
        values = [one(length), one(length - 1)]
        for change in (0, length - 1):
            changed = bytearray(one(length)) if isinstance(one(1), bytes) else one(length)
            if isinstance(changed, str):
                changed = 'b' + changed[1:] if change == 0 else changed[:-1] + 'b'
            else:
                changed[change] = 7
            values.append(bytes(changed) if isinstance(one(1), bytes) else changed)
        assert len({digest_of(value) for value in values}) == 4


@pytest.mark.parametrize(
    'item',
    [lambda x: x, lambda x: (x, 'a'), lambda x: {'x': x, 'y': [1, 2]}, lambda x: Point(x), lambda x: 'x' * 2000 + str(x)],
)
@pytest.mark.parametrize('changed', [0, 20_000, 39_999])
def test_every_call_of_a_wide_map_counts(item, changed):
    items = [item(number) for number in range(40_000)]
    before = digest_of([items, None], calls=len(items))
    items[changed] = item(-1)
    assert digest_of([items, None], calls=len(items)) != before


def test_each_element_of_a_long_list_counts_that_has_room():
    numbers = list(range(100_000))
    before = digest_of([numbers])
    assert ROOM > 100_000
    for place in (0, 50_000, 99_999):
        numbers[place] = -1
        assert digest_of([numbers]) != before
        numbers[place] = place


def test_another_thread_may_change_what_is_read():
    changing, ended = {number: number for number in range(5000)}, threading.Event()

    def change():
        while not ended.is_set():
            for number in range(5000, 5100):
                changing[number] = number
            for number in range(5000, 5100):
                del changing[number]

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(30):
            digest_of([changing, [changing] * 20])
    finally:
        ended.set()
        thread.join()


def test_a_fingerprint_reads_as_what_was_called():
    assert str(Fingerprint('map', 'main.work', 3, '1a2b3c4d')) == 'map(main.work, 3 calls, arguments 1a2b3c4d)'
    assert str(Fingerprint('wait', '', 3, '1a2b3c4d')) == 'wait(3 calls)' and str(Fingerprint('now')) == 'now()'
