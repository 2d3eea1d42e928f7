"""Exceptions that misbehave, and ordinary ones that are hard to send. By name: what raises one."""

import asyncio
import json
import os
import re
import sys
import threading

import lithops
import numpy as np


class SaysANumber(Exception):
    def __str__(self):
        return 42


class SaysNothing(Exception):
    def __str__(self):
        raise KeyboardInterrupt


class EndsWhenRead(Exception):
    """Python's own way to unpickle it ends the process that does it."""

    def __reduce__(self):
        return _exits, ()


def _exits():
    raise SystemExit(9)


class InSlots(Exception):
    __slots__ = ('left', 'right')

    def __init__(self, left, *, right):
        self.left = left
        self.right = right


class TakesTwo(Exception):
    def __init__(self, one, two):
        super().__init__(one)
        self.two = two


class HasItsOwnWay(Exception):
    def __init__(self, text, *, code):
        super().__init__(text)
        self.code = code

    def __reduce__(self):
        return _in_its_own_way, (self.args[0], self.code)


def _in_its_own_way(text, code):
    made_in_its_own_way.append(code)
    return HasItsOwnWay(text, code=code)


made_in_its_own_way = []


class LeavesOut(Exception):
    """Something of it cannot be pickled, and it says so."""

    def __init__(self, text):
        super().__init__(text)
        self.lock = threading.Lock()

    def __reduce__(self):
        return type(self), self.args


class Final(BaseException):
    """No Exception."""


class OfFile(OSError):
    def __init__(self, path):
        super().__init__(2, 'no such thing', path)
        self.path = path


class Asked(type):
    @property
    def __mro__(cls):
        raise SystemExit(8)

    def __repr__(cls):
        raise SystemExit(8)


class OddKind(Exception, metaclass=Asked):
    """Its class fails when it is asked."""


def deep():
    deep()


def chained():
    try:
        {}['key']
    except KeyError as error:
        raise ValueError('from a key') from error


def caused_by_a_lock():
    raise ValueError('caused oddly') from ValueError(threading.Lock())


def in_a_circle():
    one, two = ValueError('one'), ValueError('two')
    one.__cause__, two.__cause__ = two, one
    raise one


def noted():
    error = ValueError('noted')
    error.__notes__ = ['a note']
    raise error


def raises(error):
    raise error


def group():
    raise ExceptionGroup('outer', [ValueError(1), ExceptionGroup('inner', [SaysANumber('n'), KeyError('k')])])  # noqa: F821


#: The same comes out of each, with all that it has
SENT = {
    'bytes': lambda: b'\xff'.decode(),
    'text': lambda: '\ud800'.encode(),
    'translation': lambda: raises(UnicodeTranslateError('abc', 1, 2, 'no reason')),
    'syntax': lambda: compile('a b', 'config.py', 'exec'),
    'exit': lambda: raises(SystemExit(3)),
    'exit with a text': lambda: raises(SystemExit('a text')),
    'stop': lambda: raises(StopIteration(5)),
    'name': lambda: not_there,  # noqa: F821
    'attribute': lambda: None.not_there,
    'attribute of a module': lambda: json.not_there,
    'import': lambda: __import__('not_there.at_all'),
    'file': lambda: os.listdir('/not/there'),
    'two files': lambda: os.rename('/not/there', '/nor/there'),
    'blocking': lambda: raises(BlockingIOError(11, 'blocked', 5)),
    'file of its own': lambda: raises(OfFile('/not/there')),
    'json': lambda: json.loads('{'),
    'key': lambda: {}['not there'],
    'axis': lambda: np.zeros(2).sum(axis=5),
    'array': lambda: raises(AssertionError(np.array([1.0, np.nan]))),
    'not a number': lambda: raises(ValueError(float('nan'))),
    'object': lambda: raises(ValueError(object())),
    'surrogate': lambda: raises(ValueError('\ud800')),
    'cancelled': lambda: raises(asyncio.CancelledError('by hand')),
    'generator': lambda: raises(GeneratorExit()),
    'final': lambda: raises(Final('of its own')),
    'number': lambda: raises(SaysANumber('n')),
    'nothing': lambda: raises(SaysNothing('n')),
    'end when read': lambda: raises(EndsWhenRead('n')),
    'slots': lambda: raises(InSlots(1, right=[2])),
    'two': lambda: raises(TakesTwo(1, 2)),
    'own way': lambda: raises(HasItsOwnWay('own', code=7)),
    'class': lambda: raises(OddKind('odd')),
    'mark': lambda: raises(RuntimeError('HANDLER', 'of the user')),
    'mark of memory': lambda: raises(MemoryError('HANDLER', 'of the user')),
    'mark of time': lambda: raises(TimeoutError('HANDLER')),
    'recursion': deep,
    'chain': chained,
    'lock as cause': caused_by_a_lock,
    'circle': in_a_circle,
    'note': noted,
}

if sys.version_info >= (3, 11):
    SENT['group'] = group

#: These cannot be sent
NOT_SENT = {
    'lock': lambda: raises(ValueError(threading.Lock())),
    'long': lambda: raises(ValueError('x' * 20_000_000)),
}


def caught(fail):
    """The exception that ``fail`` raises."""
    try:
        fail()
    except BaseException as error:
        return error


def add3(x):
    return x + 3


def in_a_call(name, folder):
    """Fails, and notes that it has run."""
    with open(os.path.join(folder, name), 'a') as file:
        file.write('x')
    {**SENT, **NOT_SENT}[name]()


def seen(error):
    """What there is to see of an exception, in plain data."""
    try:
        text = str(error)
    except BaseException as problem:
        text = type(problem).__name__
    names = ('code', 'value', 'start', 'reason', 'lineno', 'msg', 'name', 'filename', 'filename2', 'errno', 'characters_written')
    of_users = ('axis', 'left', 'right', 'two', '__notes__')
    fields = {name: repr(getattr(error, name, None)) for name in (*names, *of_users)}
    args = re.sub('0x[0-9a-f]+', 'an address', repr(error.args))
    return [type(error).__name__, re.sub('0x[0-9a-f]+', 'an address', text), args, fields]


def looks(folder):
    """An orchestrator: what it catches of all of them, before and after it was suspended."""
    from triggerflow_lithops import record

    fexec = lithops.FunctionExecutor()
    futures = fexec.map(in_a_call, [(name, folder) for name in (*SENT, *NOT_SENT)])
    lithops.wait(futures, throw_except=False)
    first = record(lambda: [seen(caught(future.result)) for future in futures])
    fexec.call_async(add3, 1).result()
    return first, [seen(caught(future.result)) for future in futures]
