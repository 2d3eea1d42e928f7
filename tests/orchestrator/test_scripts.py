"""Ordinary scripts, each in a process of its own, with their orchestrators on the local function service."""

import json
import os
import subprocess
import sys

import pytest
from travelling import write


def output_of(folder, files, *arguments, command=('script.py',), stdin=''):
    """What a program prints, as JSON, one value a line."""
    write(folder, {'script.py': files} if isinstance(files, str) else files)
    # Plain Lithops looks its interpreter up there
    env = {**os.environ, 'PATH': f'{os.path.dirname(sys.executable)}{os.pathsep}{os.environ["PATH"]}'}
    command = [sys.executable, *command, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=150, cwd=folder, env=env, input=stdin)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


EXECUTORS = """
import json, time
import lithops
from lithops.concurrent.futures import ThreadPoolExecutor
from lithops.multiprocessing import Pool
from lithops.retries import RetryingFunctionExecutor
from triggerflow_lithops import TriggerflowExecutor

fexec = lithops.FunctionExecutor(log_level='WARNING')
other = lithops.LocalhostExecutor(worker_processes=2)
retrying = RetryingFunctionExecutor(lithops.FunctionExecutor())
adapter = ThreadPoolExecutor()
pool = Pool()
storage = lithops.Storage()

def slowly(x):
    time.sleep(0.4)
    return x + 1

# What was called before the run stays behind
fexec.call_async(slowly, -1)

class Special(lithops.FunctionExecutor):
    def __init__(self, *args, factor, **kwargs):
        super().__init__(*args, **kwargs)
        self.factor = factor
    def times(self, x):
        return self.get_result(self.call_async(slowly, x * self.factor))

special = Special(factor=10)

class Held:
    def __init__(self):
        self.fexec = fexec

def of_the_module():
    assert fexec.futures == []
    fexec.map(slowly, [1, 2])
    first = fexec.get_result()
    second = other.get_result(other.call_async(slowly, 5))
    return first, second, other.config['localhost']['worker_processes'], fexec.executor_id[-2:]

held = Held()
def of_an_object():
    return held.fexec.get_result(held.fexec.map(slowly, [1])), held.fexec is fexec

def in_a_closure(inner):
    def orchestrator():
        return inner.call_async(slowly, 1).result(), inner is fexec
    return orchestrator

def by_default(given=fexec):
    return given.call_async(slowly, 2).result()

def as_argument(given, twice):
    return given.call_async(slowly, 3).result(), given is twice

def of_a_subclass():
    return special.times(2), type(special) is Special

def in_other_layers():
    return (adapter.submit(slowly, 1).result(), pool.map(slowly, [1, 2]),
            [f.response_future.result() for f in retrying.map(slowly, [7])])

def of_a_storage():
    storage.put_object(storage.bucket, 'test-scripts/x', b'x')
    return storage.get_object(storage.bucket, 'test-scripts/x').decode(), type(storage).__name__

if __name__ == '__main__':
    tf = TriggerflowExecutor(log_level=None)
    runs = [tf.run(main) for main in (of_the_module, of_an_object, in_a_closure(fexec), by_default)]
    runs += [tf.run(as_argument, (fexec, fexec)), tf.run(of_a_subclass), tf.run(in_other_layers), tf.run(of_a_storage)]
    for run in runs:
        print(json.dumps(run.result(timeout=120)))
    print(json.dumps([len(run.activations()) > 1 for run in runs]))
"""


def test_executors_that_are_there_already_are_made_again(tmp_path):
    *results, suspended = output_of(tmp_path, EXECUTORS)
    assert results == [
        [[2, 3], 6, 2, '-0'],
        [[2], True],
        [2, True],
        3,
        [4, True],
        [21, True],
        [2, [2, 3], [8]],
        ['x', 'Storage'],
    ]
    assert suspended == [True] * 7 + [False]


def test_an_executor_of_an_imported_module_is_made_by_its_import(tmp_path):
    files = {
        'script.py': """
import json, time
import lithops
import helpers
from helpers import fexec
from triggerflow_lithops import TriggerflowExecutor

own = lithops.FunctionExecutor()

def main():
    found = own.call_async(helpers.slowly, 1).result(), helpers.shout(2), fexec.call_async(helpers.slowly, 3).result()
    return found, fexec is helpers.fexec, sorted([own.executor_id[-2:], fexec.executor_id[-2:]])

if __name__ == '__main__':
    run = TriggerflowExecutor(log_level=None).run(main)
    print(json.dumps(run.result(timeout=120)))
    print(len(run.activations()))
""",
        'helpers.py': """
import time
import lithops
fexec = lithops.FunctionExecutor()
def slowly(x):
    time.sleep(0.4)
    return x + 1
def shout(x):
    return fexec.call_async(slowly, x).result()
""",
    }
    found, activations = output_of(tmp_path, files)
    assert found == [[2, 3, 4], True, ['-0', '-1']] and activations > 1


KINDS = """
import asyncio, contextvars, functools, json, sys, time
import lithops
from triggerflow_lithops import InvalidRunError, TriggerflowExecutor

def slowly(x):
    time.sleep(0.4)
    return x + 1

async def coroutine(x=1):
    await asyncio.sleep(0)
    fexec = lithops.FunctionExecutor()
    both = await asyncio.gather(asyncio.sleep(0, 'a'), asyncio.sleep(0, 'b'))
    return [*both, fexec.call_async(slowly, x).result()]

class Callable:
    def __init__(self, x):
        self.x = x
    async def __call__(self):
        return await coroutine(self.x)
    def method(self, y):
        return [self.x, y]
    @classmethod
    def of_class(cls, y):
        return [cls.__name__, y]
    @staticmethod
    def static(y):
        return y

class Made:
    def __init__(self, x):
        self.x = x
    def __eq__(self, other):
        return type(other) is Made and other.x == self.x

def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)
    return wrapper

@decorated
def wrapped(args):
    return ['wrapped', args]

wrapped_coroutine = decorated(coroutine)

def generator():
    yield 1

async def asynchronous_generator():
    yield 1

class Generator:
    def __call__(self):
        yield 1
    def method(self):
        yield 1

if __name__ == '__main__':
    tf = TriggerflowExecutor(log_level=None)
    before = len(tf.list_runs())
    refused = 0
    of_objects = Generator(), Generator().method
    for kind in (generator, asynchronous_generator, functools.partial(generator), *of_objects, lambda: (yield)):
        try:
            tf.run(kind)
        except InvalidRunError as error:
            refused += 'generator function' in str(error) and 'Write' in str(error)
    assert len(tf.list_runs()) == before
    print(refused)
    runs = [
        tf.run(coroutine), tf.run(functools.partial(coroutine, 5)), tf.run(Callable(7)), tf.run(wrapped_coroutine, 3),
        tf.run(lambda: coroutine(9)), tf.run(Callable(1).method, 2), tf.run(Callable.of_class, 3), tf.run(Callable.static, 4),
        tf.run(wrapped), tf.run(wrapped, {'x': 1}), tf.run(sum, [1, 2]), tf.run(functools.partial(pow, exp=2), 3), tf.run(dict),
    ]
    for run in runs:
        print(json.dumps(run.result(timeout=120)))
    print(json.dumps(tf.run(Made, 5).result(timeout=60) == Made(5)))
"""


def test_any_callable_runs_or_is_refused(tmp_path):
    assert output_of(tmp_path, KINDS) == [
        6,
        *(['a', 'b', x + 1] for x in (1, 5, 7, 3, 9)),
        [1, 2],
        ['Callable', 3],
        4,
        ['wrapped', {}],
        ['wrapped', {'x': 1}],
        3,
        9,
        {},
        True,
    ]


ARGV = """
import argparse, json, sys
from triggerflow_lithops import TriggerflowExecutor
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--n', type=int)
    return parser.parse_args().n, sys.argv, parser.prog
if __name__ == '__main__':
    print(json.dumps([main(), TriggerflowExecutor(log_level=None).run(main).result(timeout=60)]))
"""


@pytest.mark.parametrize('command', [('script.py',), ('-c', ARGV), ('-m', 'script'), ('-m', 'pkg.prog'), ('-',)], ids=str)
def test_the_arguments_of_a_script_are_its_own(tmp_path, command):
    files = {'script.py': ARGV, 'pkg/__init__.py': '', 'pkg/prog.py': ARGV}
    [(plain, durable)] = output_of(tmp_path, files, '--n', '5', command=command, stdin=ARGV)
    assert plain[0] == 5 and durable == plain


def test_what_cannot_be_loaded_where_it_runs_ends_the_run_and_is_named(tmp_path):
    text = """
import json, os
from triggerflow_lithops import OutcomeError, TriggerflowExecutor
class Picky:
    def __setstate__(self, state):
        if os.getpid() != state['pid']:
            raise SystemExit('not here')
    def __init__(self):
        self.pid = os.getpid()
picky = Picky()
def main():
    return picky
try:
    TriggerflowExecutor(log_level=None).run(main).result(timeout=60)
except OutcomeError as error:
    print(json.dumps(str(error)))
"""
    [said] = output_of(tmp_path, text)
    assert said.startswith('The orchestrator cannot be loaded where it runs: SystemExit: not here')


def test_code_that_changes_on_the_disk_does_not_change_a_run(tmp_path):
    files = {
        'script.py': """
import json, time
from pathlib import Path
import lithops, helpers
from triggerflow_lithops import TriggerflowExecutor
def slowly(x):
    time.sleep(1)
    return x
def main():
    fexec = lithops.FunctionExecutor()
    return fexec.call_async(slowly, 1).result(), helpers.version()
if __name__ == '__main__':
    run = TriggerflowExecutor(log_level=None).run(main)
    Path('helpers.py').write_text('def version():\\n    return 2\\n')
    print(json.dumps(run.result(timeout=60)))
""",
        'helpers.py': 'def version():\n    return 1\n',
    }
    assert output_of(tmp_path, files) == [[1, 1]]


MAIN = """
import contextvars, dataclasses, enum, functools, json, multiprocessing, pickle, time
from concurrent.futures import ProcessPoolExecutor
import lithops
from triggerflow_lithops import TriggerflowExecutor

class Colour(enum.Enum):
    RED = 1
    def __init__(self, number):
        self.double = number * 2

@dataclasses.dataclass
class Point:
    x: int
    colour: Colour = Colour.RED

@functools.lru_cache
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)

@functools.singledispatch
def told(value):
    return 'anything'

@told.register
def _(value: int):
    return 'int'

level = contextvars.ContextVar('level', default=0)
level.set(5)
count = 0

def moved(point):
    time.sleep(0.3)
    return dataclasses.replace(point, x=point.x + 1)

def moved_to(point):
    return moved(point).x

def up():
    global count
    count += 1

def main():
    fexec = lithops.FunctionExecutor()
    first = Point(fexec.call_async(moved_to, Point(1)).result())
    up()
    with multiprocessing.Pool(2) as pool:
        points = pool.map(moved, [first, Point(5)])
    up()
    second = Point(fexec.call_async(moved_to, points[0]).result())
    with ProcessPoolExecutor(1) as processes:
        third = processes.submit(moved, second).result()
    return third, pickle.loads(pickle.dumps(third)) == third, points[1].colour.double, fib(30), told(1), level.get(), count

if __name__ == '__main__':
    run = TriggerflowExecutor(log_level=None).run(main)
    point, *others = run.result(timeout=120)
    assert type(point) is Point and point == Point(5) and point.colour is Colour.RED
    print(json.dumps([point.x, *others]))
    print(json.dumps(len(run.activations())))
"""


def test_the_script_is_main_with_its_caches_classes_and_processes(tmp_path):
    found, activations = output_of(tmp_path, MAIN)
    assert found == [5, True, 2, 832040, 'int', 5, 2] and activations > 1


RETURNED = """
import enum, json, subprocess, sys
import lithops
from triggerflow_lithops import TriggerflowExecutor, record

fexec = lithops.FunctionExecutor(log_level='WARNING')
count = 0

class Kind(enum.Enum):
    A = 1

class Counter:
    def __init__(self, kind=Kind.A):
        self.kind = kind
    def up(self):
        global count
        count += 1
        return count

class Caller:
    def call(self):
        return fexec

def make():
    return Counter()

def main():
    recorded = record(make)
    recorded.up()
    assert count == 1 and type(recorded) is Counter
    return recorded, Caller()

READER = """
READ_BY_ANOTHER = """
import sys
from triggerflow_lithops import TriggerflowExecutor
counter = TriggerflowExecutor(log_level=None).get_run(sys.argv[1]).result(timeout=60)
print(type(counter).__qualname__, counter.kind.name, counter.up())
"""


def test_a_class_of_the_script_that_was_returned_is_the_one_of_the_script(tmp_path):
    text = f"""{RETURNED}{READ_BY_ANOTHER!r}

def one():
    return Counter()

if __name__ == '__main__':
    up = Counter.up
    tf = TriggerflowExecutor(log_level=None)
    counter, caller = tf.run(main).result(timeout=60)
    same = [type(counter) is Counter, type(caller) is Caller, counter.kind is Kind.A, Counter.up is up]
    print(json.dumps([*same, caller.call() is fexec, counter.up(), count]))
    run = tf.run(one)
    assert type(run.result(timeout=60)) is Counter
    print(json.dumps(subprocess.run([sys.executable, '-c', READER, run.run_id], capture_output=True, text=True).stdout.split()))
"""
    here, elsewhere = output_of(tmp_path, text)
    assert here == [True, True, True, True, True, 1, 1]
    # Its variables are those of when it was started
    assert elsewhere == ['Counter', 'A', '2']
