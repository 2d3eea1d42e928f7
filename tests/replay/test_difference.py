"""The error of changed code says which argument differs, what it was and is, and what usually causes that."""

import collections
import dataclasses
import datetime
import enum
import os
import pathlib
import pickle
import platform
import tempfile
import uuid

import lithops
import numpy as np
import pytest

from triggerflow_lithops import ChangedCodeError, record
from triggerflow_lithops.orchestrator.mismatch import surroundings
from triggerflow_lithops.replay.difference import (
    ADDRESS,
    CLOCK,
    ORDER,
    RANDOM_ID,
    Surroundings,
    difference_in_words,
    difference_of,
    hint_of,
    in_words,
    steps_in_words,
)
from triggerflow_lithops.replay.fingerprint import Fingerprint
from triggerflow_lithops.replay.wording import MOST, described, described_both
from triggerflow_lithops.testing import simulate

NOW = 1_790_000_000.5
AROUND = Surroundings(NOW, {'4242': 'the id of a process', 'worker-7.example': 'the name of the host'}, ['/scratch/tmp'])


@dataclasses.dataclass
class Point:
    x: object
    y: object = 0


class Colour(enum.Enum):
    RED = 1


class Refuses:
    def __repr__(self):
        raise AssertionError('code of the user was run')

    __str__ = __format__ = __len__ = __iter__ = __eq__ = __hash__ = __getattribute__ = __repr__


class Words(str):
    def __repr__(self):
        raise AssertionError('code of the user was run')


def unnamed(value):
    return ''


def named(value):
    """A part of the name of a test. Values have random ids in them, or no text at all."""
    return type(value).__name__


def add(x, y=0):
    return 0


def gather(results):
    return len(results)


class Changing:
    """One value in the first activation, and another one in each later activation."""

    def __init__(self, first, later):
        self.values = [first, later]
        self.asked = 0
        CHANGING.append(self)

    def __reduce__(self):
        # Every activation has the same one
        return changing, (CHANGING.index(self),)

    def __call__(self):
        self.asked += 1
        return self.values[min(self.asked, 2) - 1]


def changing(number):
    return CHANGING[number]


CHANGING = []


def error_of(orchestrator):
    run = simulate(orchestrator)
    with pytest.raises(ChangedCodeError) as raised:
        run.result()
    return raised.value


def error_of_argument(first, later):
    """The error of a call that is given one value, and later another one."""
    value = Changing(first, later)

    def main():
        return lithops.FunctionExecutor().call_async(add, (1, value())).result()

    # What it has as fields does not travel with the outcome yet
    return str(error_of(main))


# Values in words


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        (None, 'None'),
        (True, 'True'),
        (-5, '-5'),
        (1.5, '1.5'),
        ('a"b', "'a\"b'"),
        ('\ud800', "'\\ud800'"),
        (b'a', "b'a'"),
        (10**5000, '<int of 16610 bits>'),
        ([1, 'a', (2,), {'b': [None]}], "[1, 'a', (2,), {'b': [None]}]"),
        ({'b', 'a', 'c'}, "{'a', 'b', 'c'}"),
        (set(), 'set()'),
        (frozenset([1]), 'frozenset({1})'),
        ((), '()'),
        ({}, '{}'),
        (collections.Counter('aa'), "Counter({'a': 2})"),
        (collections.deque([1, 2]), 'deque(1, 2)'),
        (range(3), 'range(0, 3, 1)'),
        (Point(1, 'a'), "Point(x=1, y='a')"),
        (Colour.RED, 'Colour.RED'),
        (datetime.datetime(2026, 1, 2, 3, 4, 5, 6), 'datetime(2026-01-02 03:04:05.000006)'),
        (datetime.date(2026, 1, 2), 'date(2026-01-02)'),
        (uuid.UUID(int=5), "UUID('00000000-0000-0000-0000-000000000005')"),
        (pathlib.PurePosixPath('/a:b'), "PurePosixPath('/a:b')"),
        (Words('abc'), "Words('abc')"),
        (len, '<builtins.len>'),
        (Point, f'<{__name__}.Point>'),
        (Refuses(), f'<{__name__}.Refuses>'),
        ([Refuses()], f'[<{__name__}.Refuses>]'),
        (np.float64(1.5), 'float64(1.5)'),
    ],
    ids=named,
)
def test_a_value_is_described_without_code_of_the_user(value, text):
    assert described(value, unnamed) == text


def test_a_description_is_short_whatever_the_value_is():
    loop = []
    loop.append(loop)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    values = ['a' * 10**6, list(range(10**5)), {'a' * 500: 'b' * 500}, loop, deep, [[[[[[[[1]]]]]]]]]
    values.append({number: [number] for number in range(1000)})
    for value in [*values, np.zeros(1000), object(), (x for x in []), set(range(1000)), [Point('a' * 500)] * 5]:
        assert 0 < len(described(value, unnamed)) <= MOST
        assert all(len(text) <= MOST for text in described_both(value, [value], unnamed))


def test_two_long_values_are_shown_where_they_differ():
    first, second = described_both('a' * 5000 + 'old' + 'b' * 99, 'a' * 5000 + 'new' + 'b' * 99, unnamed)
    assert 'aold' in first and 'anew' in second and first.startswith('…')
    first, second = described_both([*range(60), 'old'], [*range(60), 'new'], unnamed)
    assert "'old'" in first and "'new'" in second


# Where two values differ


@pytest.mark.parametrize(
    ('recorded', 'found', 'argument', 'values'),
    [
        (1, 2, 'x', ('1', '2')),
        ([1, 2], [1, 3], 'x[1]', ('2', '3')),
        ({'a': [{'b': (1, 2)}]}, {'a': [{'b': (1, 3)}]}, "x['a'][0]['b'][1]", ('2', '3')),
        (Point([1]), Point([2]), 'x.x[0]', ('1', '2')),
        ([1, 2], [1, 2, 3], 'x', ('[1, 2]', '[1, 2, 3]')),
        ({'a': 1}, {'b': 1}, 'x', ("{'a': 1}", "{'b': 1}")),
        ([1], (1,), 'x', ('[1]', '(1,)')),
        ([1], ['1'], 'x[0]', ('1', "'1'")),
    ],
)
def test_the_innermost_value_that_differs_is_named(recorded, found, argument, values):
    difference = difference_of('x', ' of call 3', recorded, found, unnamed, AROUND)
    assert difference.argument == f'argument {argument} of call 3'
    assert (difference.recorded_value, difference.found_value) == values


# What usually causes it


@pytest.mark.parametrize(
    ('recorded', 'found', 'hint'),
    [
        (NOW, NOW + 5, CLOCK),
        (int(NOW * 1000), int(NOW * 1000) + 70, CLOCK),
        (int(NOW * 10**9), int(NOW * 10**9) + 70, CLOCK),
        (datetime.datetime(2026, 1, 2), datetime.datetime(2026, 1, 3), CLOCK),
        (np.datetime64('2026-01-02'), np.datetime64('2026-01-03'), CLOCK),
        ('run of 2026-01-02T10:00:00', 'run of 2026-01-02T10:00:05', CLOCK),
        ('part-20260102_101500', 'part-20260102_101505', CLOCK),
        (f'part-{int(NOW)}', f'part-{int(NOW) + 5}', CLOCK),
        (uuid.uuid4(), uuid.uuid4(), RANDOM_ID),
        (str(uuid.uuid4()), str(uuid.uuid4()), RANDOM_ID),
        (f'out/{uuid.uuid4().hex}.csv', f'out/{uuid.uuid4().hex}.csv', RANDOM_ID),
        (['a', 'b', 'c'], ['c', 'a', 'b'], ORDER),
        (({'a': 1}, 2), (2, {'a': 1}), ORDER),
        ({'a': 1, 'b': 2}, {'b': 2, 'a': 1}, ORDER),
        ('<Thing object at 0x7f3a2c1d5e80>', '<Thing object at 0x7f3a2c1d5f10>', ADDRESS),
        (77, 4242, 'the id of a process'),
        ('77', '4242', 'the id of a process'),
        ('worker-3.example', 'worker-7.example', 'the name of the host'),
        ('/tmp/tmpabc/data', '/tmp/tmpdef/data', 'temporary'),
        (pathlib.PurePosixPath('/scratch/tmp/a'), pathlib.PurePosixPath('/scratch/tmp/b'), 'temporary'),
        (1, 2, ''),
        ('a', 'b', ''),
        (['a', 'b'], ['a', 'c'], ''),
        (1.5, NOW, ''),
        (10**5000, 10**5000 + 1, ''),
        (float('nan'), float('inf'), ''),
        (Refuses(), Words('a'), ''),
    ],
    ids=named,
)
def test_a_hint_says_what_usually_causes_a_difference(recorded, found, hint):
    told = hint_of(recorded, found, unnamed, AROUND)
    assert hint in told and bool(hint) == bool(told)


def test_what_a_process_has_of_its_own_is_known(monkeypatch):
    monkeypatch.setenv('MY_SETTING', 'some-value')
    around = surroundings(NOW)
    assert around.texts['some-value'] == 'the environment variable MY_SETTING'
    assert around.texts[str(os.getpid())] == 'the id of a process'
    assert around.texts[platform.node()] == 'the name of the host'
    assert 'temporary' in hint_of('a', f'{tempfile.gettempdir()}/abc', unnamed, around)


def test_arguments_that_were_kept_in_words_are_compared():
    kept = in_words([1, 'a' * 1000, [Refuses()]])
    assert [len(text) <= MOST for _, text in kept] == [True] * 3
    assert difference_in_words(kept, [1, 'a' * 1000, [Refuses()]], AROUND) is None
    difference = difference_in_words(kept, [1, 'a' * 999, []], AROUND)
    assert difference.argument == 'argument 1' and len(in_words(range(100))) == 16


def test_two_waits_that_differ_are_told_in_words():
    def wait(calls, digest):
        return Fingerprint('wait', '', calls, digest).document()

    assert steps_in_words(wait(3, 'a'), wait(4, 'b')) == ('a wait for 3 calls', 'a wait for 4 calls')
    assert steps_in_words(wait(1, 'a'), wait(1, 'b'))[1].startswith('a wait for other calls')
    assert steps_in_words(wait(1, 'a'), Fingerprint('now').document()) == ('wait(1 calls)', 'now()')


# The error


def test_the_error_has_what_differs_as_fields_that_survive_pickling():
    error = ChangedCodeError('run-7', 3, 'map(f, 2 calls)', 'map(f, 2 calls)', 'argument x of call 1', '17', '18', CLOCK)
    restored = pickle.loads(pickle.dumps(error))
    assert vars(restored) == vars(error) and str(restored) == str(error)
    assert (restored.argument, restored.recorded_value, restored.found_value, restored.hint) == (
        'argument x of call 1',
        '17',
        '18',
        CLOCK,
    )
    assert 'run-7, step 3,' in str(error) and 'argument x of call 1 was 17, and is 18 now' in str(error)
    assert CLOCK in str(error) and 'sorted' not in str(error)


def test_without_a_known_argument_the_error_has_the_general_hint():
    error = ChangedCodeError('run-7', 3, 'map(f, 2 calls)', 'map(g, 2 calls)')
    assert error.argument == '' and 'sorted' in error.hint and error.hint in str(error)


def test_an_argument_of_a_call_that_differs_is_shown():
    assert 'argument y was 17, and is 18 now' in error_of_argument(17, 18)


def test_an_argument_that_looks_like_the_clock_is_said_to_be():
    assert CLOCK in error_of_argument(datetime.datetime(2026, 1, 2), datetime.datetime(2026, 1, 2, 1))


def test_an_argument_that_looks_like_a_random_id_is_said_to_be():
    assert RANDOM_ID in error_of_argument(str(uuid.uuid4()), str(uuid.uuid4()))


def test_an_argument_in_another_order_is_said_to_be():
    text = error_of_argument(['a', 'b', 'c'], ['b', 'c', 'a'])
    assert ORDER in text and "argument y was ['a', 'b', 'c'], and is ['b', 'c', 'a'] now" in text


def test_a_set_in_another_order_is_no_difference():
    value = Changing({'a', 'b'}, {'b', 'a'})

    def main():
        return lithops.FunctionExecutor().call_async(add, (1, value())).result()

    assert simulate(main).result() == 0 and value.asked > 1


@pytest.mark.parametrize('size', [10, 9000], ids=['in the payload', 'in the bucket'])
def test_the_call_of_a_map_that_differs_is_named(size):
    later = [{'x': number, 'y': 'a' * size} for number in range(300)]
    later[250] = {'x': -1, 'y': 'a' * size}
    items = Changing([{'x': number, 'y': 'a' * size} for number in range(300)], later)

    def main():
        fexec = lithops.FunctionExecutor()
        return len(fexec.get_result(fexec.map(add, items())))

    assert 'argument x of call 250 was 250, and is -1 now' in str(error_of(main))


def test_arguments_of_other_names_are_shown_as_they_are():
    items = Changing([{'x': 1}, {'x': 2}], [{'x': 1}, {'y': 2}])

    def any_names(**given):
        return 0

    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(any_names, items()))

    assert "what call 1 is given was {'x': 2}, and is {'y': 2} now" in str(error_of(main))


def test_an_extra_argument_that_differs_is_named():
    extra = Changing({'y': 1}, {'y': 2})

    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(add, [{'x': 1}, {'x': 2}], extra_args=extra()))

    assert 'argument y of call 0 was 1, and is 2 now' in str(error_of(main))


def test_a_map_over_what_comes_in_another_order_is_said_to_be():
    items = Changing(['a', 'b', 'c'], ['b', 'c', 'a'])

    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(add, items()))

    text = str(error_of(main))
    assert ORDER in text and "{'x': 'a'}, and is {'x': 'b'} now" in text


def test_futures_are_compared_by_their_names():
    value = Changing(1, 2)

    def main():
        fexec = lithops.FunctionExecutor()
        first = fexec.call_async(add, 1)
        return fexec.call_async(add, {'x': [first], 'y': value()}).result()

    assert 'argument y was 1, and is 2 now' in str(error_of(main))


def test_another_future_is_named():
    number = Changing(0, 1)

    def main():
        fexec = lithops.FunctionExecutor()
        futures = [fexec.call_async(add, 1), fexec.call_async(add, 1)]
        return fexec.call_async(add, {'x': [futures[number()]], 'y': 0}).result()

    text = str(error_of(main))
    assert 'argument x[0] was <' in text and 'A000/00000' in text and 'A001/00000' in text


def test_an_extra_argument_of_a_reducer_is_named():
    extra = Changing({'more': 1}, {'more': 2})

    def reduce(results, more):
        return more

    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map_reduce(add, [1, 2], reduce, extra_args_reduce=(extra()['more'],)))

    assert 'argument more was 1, and is 2 now' in str(error_of(main))


def test_an_argument_of_what_is_recorded_is_shown():
    value = Changing('old', 'new')

    def main():
        record(add, 1, value())
        return lithops.FunctionExecutor().call_async(add, 1).result()

    assert "argument 1 was 'old', and is 'new' now" in str(error_of(main))


def test_the_words_of_an_argument_are_taken_before_the_function_changes_it():
    value = Changing([1], [2])

    def main():
        record(list.clear, value())
        return lithops.FunctionExecutor().call_async(add, 1).result()

    assert 'argument 0 was [1], and is [2] now' in str(error_of(main))


def test_more_calls_are_told_without_a_look_at_arguments():
    calls = Changing(2, 3)

    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(add, list(range(calls()))))

    text = str(error_of(main))
    assert '2 calls' in text and '3 calls' in text and 'argument' not in text.replace('arguments', '')


class Unreadable:
    """Whoever unpickles it is sent away."""

    def __reduce__(self):
        return leave, ()


def leave():
    if LEAVING:
        raise SystemExit(3)
    return Words('it was read')


def from_now_on():
    # A global of an orchestrator is a copy
    LEAVING.append(True)


LEAVING = []


def test_data_that_cannot_be_read_hides_no_mismatch():
    value = Changing(1, 2)

    def main():
        if value.asked:
            from_now_on()
        return lithops.FunctionExecutor().call_async(add, {'x': Unreadable(), 'y': value()}).result()

    try:
        text = str(error_of(main))
        assert LEAVING
    finally:
        LEAVING.clear()
    assert 'arguments' in text and 'argument y' not in text


def test_a_wait_for_more_calls_is_told_in_words():
    calls = Changing(2, 3)

    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map(add, [1, 2, 3])
        return lithops.wait(futures[: calls()])

    text = str(error_of(main))
    assert 'was a wait for 2 calls in an earlier activation and is a wait for 3 calls now' in text
