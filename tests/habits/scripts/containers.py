"""Containers and iterators of the standard library, before and after a wait, as arguments and as results."""

import array
import bisect
import collections
import copy
import dataclasses
import functools
import heapq
import itertools
import operator
import struct
import types
import weakref

import drive
import lithops
from models import Color, Item, Key, Level, Point, Registry, Right, Stop
from together import together


def same(value):
    return value


def kind_of(value):
    return type(value).__name__, len(value)


def words_counted(text):
    return collections.Counter(text.split())


def counters():
    counts = collections.Counter(a=1)
    counts += yield words_counted, 'a b a'
    counts.update((yield words_counted, 'b c'))
    return counts.most_common(), counts.total() if hasattr(counts, 'total') else 6


def ordered_and_default_dictionaries():
    groups = collections.defaultdict(list)
    for number in range(6):
        groups[number % 2].append(number)
    back = yield same, groups
    back[7].append(1)
    ordered = yield same, collections.OrderedDict(b=1, a=2)
    ordered.move_to_end('b')
    return back, ordered, back is groups


def deques():
    last = collections.deque(maxlen=3)
    for letter in 'abcd':
        last.append(letter)
    last = yield same, last
    last.append('e')
    last.rotate(1)
    return last


def chain_maps():
    settings = collections.ChainMap({'color': 'red'}, {'color': 'blue', 'user': 'guest'})
    found = yield same, settings
    found = found.new_child({'user': 'root'})
    return dict(sorted(found.items()))


def moved(point, by):
    return point._replace(x=point.x + by)


def named_tuples():
    point = yield moved, Point(1), 5
    return point, point._asdict(), isinstance(point, Point)


def typed_named_tuples():
    stop = yield same, Stop('harbour')
    return stop, stop.line, type(stop) is Stop


def reduced(item):
    return dataclasses.replace(item, price=item.price / 2, tags=[*item.tags, 'reduced'])


def data_classes():
    items = [Item(8.0, 'book'), Item(30.0, 'lamp', ['new'])]
    lamp = yield reduced, items[1]
    items.append(lamp)
    return sorted(items), dataclasses.asdict(lamp), lamp.dear, isinstance(lamp, Item)


def frozen_data_classes_as_keys():
    sizes = {Key('b', 'x'): 1}
    back = yield same, sizes
    try:
        next(iter(back)).name = 'y'
    except dataclasses.FrozenInstanceError as error:
        return back == sizes, back[Key('b', 'x')], str(error)


def opposite(color, *others):
    return Color.BLUE if color is Color.RED else Color.RED, *others


def enumerations():
    color, level, rights = yield opposite, Color.RED, Level.LOW, Right.READ | Right.WRITE
    return color is Color.BLUE, level is Level.LOW, level == 'low', Right.WRITE in rights, [one.name for one in Color]


def enumerations_as_keys_of_arguments():
    prices = {Color.RED: 1, Color.BLUE: 2}
    back = yield same, prices
    return back[Color.BLUE], list(back) == list(Color)


def iterators_that_go_on():
    numbers = itertools.count(10, 5)
    first = next(numbers)
    letters, others = itertools.tee('abc')
    next(letters)
    total = yield sum, [first, next(numbers)]
    return total, next(numbers), list(letters), list(others)


def itertools_in_chains():
    words = ['apple', 'bee', 'ant', 'bear', 'cat']
    groups = {letter: list(found) for letter, found in itertools.groupby(sorted(words), key=operator.itemgetter(0))}
    back = yield same, groups
    pairs = list(itertools.combinations(back, 2))
    sums = list(itertools.accumulate([1, 2, 3], operator.mul, initial=1))
    flat = list(itertools.chain.from_iterable(back.values()))
    return pairs, sums, flat, list(itertools.zip_longest('ab', 'c')), list(itertools.islice(itertools.cycle('xy'), 3))


def squares():
    number = 0
    while True:
        received = yield number * number
        number = number + 1 if received is None else received


def generators_kept_across_a_wait():
    source = squares()
    first = [next(source), next(source)]
    answer = yield max, [*first, 3]
    return first, source.send(answer), next(source)


def heaps_and_sorted_lists():
    heap = [5, 1, 4]
    heapq.heapify(heap)
    smallest = yield same, heapq.heappop(heap)
    heapq.heappush(heap, 0)
    names = ['a', 'c']
    bisect.insort(names, 'b')
    return smallest, heapq.nsmallest(2, heap), names, bisect.bisect(names, 'b')


def arrays_and_bytes():
    numbers = array.array('i', [1, 2, 3])
    packed = struct.pack('>hI', 7, 9)
    back, view = yield same, (numbers, bytearray(packed))
    view[0] = 1
    return back, struct.unpack('>hI', view), bytes(memoryview(back)[1:2]), int.from_bytes(packed, 'big')


def sets_as_arguments():
    words = {'alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta'}
    found = yield kind_of, words
    back = yield same, words | {'iota'}
    return found, sorted(back - words), words < back


def sets_inside_of_other_containers():
    friends = {'ann': {'bob', 'cid', 'dan'}, 'bob': frozenset({'ann', 'eve', 'cid'})}
    back = yield same, [friends, (frozenset({frozenset('xyz'), frozenset('ab')}), 1)]
    unions = sorted(functools.reduce(operator.or_, back[0].values()))
    return back[0] == friends, unions, len(back[1][0])


def first_of(numbers):
    return numbers[0], len(numbers)


def huge_ranges():
    first = yield first_of, range(10**9, 3 * 10**9)
    return first, (yield first_of, range(5, 0, -2))


def structures_that_contain_themselves():
    root = {'name': 'root', 'children': []}
    root['children'].append({'name': 'leaf', 'parent': root})
    loop = [1]
    loop.append(loop)
    back, ring = yield same, (root, loop)
    return back['children'][0]['parent'] is back, ring[1] is ring, ring


def copies():
    shared = [1, 2]
    original = {'a': shared, 'b': shared, 'when': None}
    deep, flat = copy.deepcopy(original), copy.copy(original)
    shared.append((yield sum, shared))
    return deep, flat, deep['a'] is deep['b']


class Node:
    def __init__(self, name):
        self.name = name


def weak_references():
    node = Node('n')
    reference, names = weakref.ref(node), weakref.WeakValueDictionary(n=node)
    yield same, 1
    alive = reference() is node, names['n'].name
    del node
    return alive, reference(), list(names)


def numbers_of_any_size():
    huge = 7**5000
    back = yield same, (huge, 1e308, -0.0, 2 + 3j, True, None)
    return back[0] == huge, back[1:], huge.bit_length()


def large_values():
    text, data = 'x' * 300_000, bytes(range(256)) * 4000
    back = yield kind_of, text
    other = yield same, data
    return back, other == data


def namespaces():
    settings = types.SimpleNamespace(rate=0.5, layers=[1, 2])
    back = yield same, settings
    back.rate *= 2
    return back, back == settings


def dictionaries_of_ones_own():
    registry = Registry(ONE=1)
    back = yield same, registry
    back['TWO'] = 2
    return back, isinstance(back, Registry)


def dictionaries_in_their_own_order():
    ages = {'zoe': 1, 'adam': 2}
    ages['mia'] = yield same, 3
    first, *rest = ages
    return first, rest, dict(sorted(ages.items(), key=operator.itemgetter(1), reverse=True))


def slices_and_stars():
    window = slice(1, None, 2)
    back = yield same, [*range(6)]
    head, *middle, last = back
    return back[window], head, middle, last


HABITS = [
    counters,
    ordered_and_default_dictionaries,
    deques,
    chain_maps,
    named_tuples,
    typed_named_tuples,
    data_classes,
    frozen_data_classes_as_keys,
    enumerations,
    enumerations_as_keys_of_arguments,
    iterators_that_go_on,
    itertools_in_chains,
    generators_kept_across_a_wait,
    heaps_and_sorted_lists,
    arrays_and_bytes,
    sets_as_arguments,
    sets_inside_of_other_containers,
    huge_ranges,
    structures_that_contain_themselves,
    copies,
    weak_references,
    numbers_of_any_size,
    large_values,
    namespaces,
    dictionaries_of_ones_own,
    dictionaries_in_their_own_order,
    slices_and_stars,
]


def main():
    return together(lithops.FunctionExecutor(), HABITS)


if __name__ == '__main__':
    drive.drive(main)
