"""How arguments are handed over to an orchestrator, and which do not fit."""

import functools

import pytest

from triggerflow_lithops import InvalidRunError
from triggerflow_lithops.client.executor import _new_run_id, _readable
from triggerflow_lithops.orchestrator.user_code import NO_ARGUMENTS, call, handed_over, require_fitting


def one(args):
    return args


def optional(args=None):
    return args


def two(x, y=1):
    return x, y


def nothing():
    return 'called'


def keywords(**options):
    return options


def with_storage(x, storage=None, id=None):
    return x, storage, id


def through(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def injecting(function):
    @functools.wraps(function)
    def wrapper():
        return function('injected')

    return wrapper


class Holder:
    def method(self, x):
        return x


@pytest.mark.parametrize(
    ('function', 'args', 'returned'),
    [
        (one, NO_ARGUMENTS, {}),
        (optional, NO_ARGUMENTS, None),
        (nothing, NO_ARGUMENTS, 'called'),
        (one, None, None),
        (one, {'folder': 'in/'}, {'folder': 'in/'}),
        (one, {'args': 5}, 5),
        (one, {}, {}),
        (one, {1: 2}, {1: 2}),
        (one, (1, 2), (1, 2)),
        (one, (1,), 1),
        (one, [1, 2], [1, 2]),
        (optional, (), None),
        (optional, {}, {}),
        (two, (1, 2), (1, 2)),
        (two, {'x': 1}, (1, 1)),
        (two, {'x': 1, 'y': 5}, (1, 5)),
        (two, {'z': 1}, ({'z': 1}, 1)),
        (two, 7, (7, 1)),
        (nothing, (), 'called'),
        (nothing, {}, 'called'),
        (keywords, {'a': 1}, {'a': 1}),
        (with_storage, 5, (5, None, None)),
        (Holder().method, 5, 5),
        (Holder().method, {'x': 5}, 5),
        (functools.partial(two, y=9), 1, (1, 9)),
        (through(one), NO_ARGUMENTS, {}),
        (through(one), {'folder': 'in/'}, {'folder': 'in/'}),
        (through(two), {'x': 1}, (1, 1)),
        (through(two), (3, 4), (3, 4)),
        (injecting(one), NO_ARGUMENTS, 'injected'),
        (max, [1, 3], 3),
        (dict, NO_ARGUMENTS, {}),
    ],
)
def test_arguments_are_handed_over_by_the_rules_of_call_async(function, args, returned):
    require_fitting(function, args)
    assert call(function, args) == returned


@pytest.mark.parametrize(
    ('function', 'args', 'said'),
    [
        (two, NO_ARGUMENTS, None),
        (lambda x, y: None, NO_ARGUMENTS, r'\(x, y\) cannot be called with what run\(\) was given: no arguments'),
        (lambda x, y: None, 5, r'\(x, y\) cannot be called with what run\(\) was given: 5 \(of type int\)'),
        (lambda x, y: None, (1, 2, 3), r'given: \(1, 2, 3\) \(of type tuple\)'),
        (lambda x, y: None, {'z': 1}, r"given: \{'z': 1\} \(of type dict\)"),
        (nothing, 5, r'nothing\(\) cannot be called'),
        (nothing, None, 'of type NoneType'),
        (lambda x, storage: None, 5, r'\(x, storage\)'),
        (lambda *, key: None, 5, r'\(\*, key\)'),
        (injecting(one), 5, r'one\(\) cannot be called'),
    ],
)
def test_arguments_that_do_not_fit_are_refused_with_the_signature(function, args, said):
    if said is None:
        # Of one argument that is required and another one that is not
        assert handed_over(function, args) == (({},), {})
        return
    with pytest.raises(InvalidRunError, match=said):
        require_fitting(function, args)


def test_arguments_that_do_not_fit_are_refused_before_anything_is_written(executor):
    with pytest.raises(InvalidRunError, match='cannot be called'):
        executor.run(nothing, 5, run_id='does-not-fit')
    assert not executor.facts.list('triggerflow.runs/does-not-fit')


@pytest.mark.parametrize(
    ('name', 'start'),
    [
        *(('m.main', 'main-'), ('m._main', 'main-'), ('m.--x', 'x-')),
        *(('m.è', 'run-'), ('m.<lambda>', 'lambda-'), ('m.__', 'run-')),
    ],
)
def test_a_run_id_begins_with_a_letter_or_a_digit(name, start):
    assert _new_run_id(name).startswith(start)


def test_a_name_begins_with_a_letter_or_a_digit():
    assert [_readable(name) for name in ('main', '_main', '<lambda>', 'è_x', '__')] == ['main', 'main', 'lambda', 'è_x', 'run']
