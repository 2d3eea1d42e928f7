"""Waits in the midst of everything: recursion, loops, blocks, generators, objects, and what holds for a whole process."""

import contextlib
import decimal
import functools
import os
import sys
import threading
import unittest.mock
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import drive
import lithops
from together import one_by_one

#: As in most scripts: one executor, made at the top
top = lithops.FunctionExecutor()
total = 0


def same(value):
    return value


def add(left, right):
    return left + right


def fail(text):
    raise ValueError(text)


def split(numbers):
    middle = len(numbers) // 2
    return numbers[:middle], numbers[middle:]


def recursion(fexec):
    def depth(numbers):
        if len(numbers) == 1:
            return 0
        left, _ = fexec.call_async(split, (numbers,)).result()
        return 1 + depth(left)

    return depth(list(range(4)))


def an_executor_of_the_module(_):
    top.map(same, [1, 2])
    return top.get_result(), top is not None


def an_executor_in_a_closure(_):
    def runner():
        inner = lithops.FunctionExecutor()
        return lambda value: inner.call_async(same, value).result()

    run = runner()
    return run('a')


def an_executor_as_a_default(_, fexec=top):
    return fexec.call_async(same, 'default').result()


class Pipeline:
    def __init__(self):
        self.fexec = lithops.FunctionExecutor()
        self.results = []

    def step(self, value):
        self.results.append(self.fexec.call_async(same, value).result())
        return self

    @property
    def last(self):
        return self.results[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.results.append('closed')


def an_object_with_an_executor(_):
    with Pipeline() as pipeline:
        last = pipeline.step(1).step([2]).last
    return pipeline.results, last


def executors_in_a_with_statement(_):
    with lithops.FunctionExecutor() as fexec:
        fexec.map(same, [3, 4])
        found = fexec.get_result()
    return found, len(fexec.futures)


def finally_around_a_wait(fexec):
    steps = []
    try:
        steps.append('try')
        try:
            fexec.call_async(fail, 'wrong').result()
        finally:
            steps.append('finally')
    except ValueError as error:
        steps.append(str(error))
    return steps


@contextlib.contextmanager
def section(fexec, steps, name):
    steps.append(fexec.call_async(same, f'begin {name}').result())
    try:
        yield
    finally:
        steps.append(f'end {name}')


def a_manager_that_waits(fexec):
    steps = []
    with section(fexec, steps, 'a'):
        steps.append('inside')
    return steps


def generated(fexec, numbers):
    for future in fexec.map(same, numbers):
        yield future.result()


def a_generator_that_waits(fexec):
    results = generated(fexec, [1, 2, 3])
    return next(results), sum(results)


def results_in_a_comprehension(fexec):
    futures = {name: fexec.call_async(same, name) for name in 'ab'}
    return {name: future.result().upper() for name, future in futures.items()}


def a_sum_until_it_is_enough(fexec):
    sums = 0
    while (sums := fexec.call_async(add, (sums, 5)).result()) < 9:
        pass
    match sums:
        case 10:
            return 'ten'


def globals_around_a_wait(fexec):
    global total
    total += 1
    total += fexec.call_async(same, total).result()
    return total


def retried(times):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args):
            for attempt in range(times):
                try:
                    return attempt, function(*args)
                except ValueError as error:
                    last = error
            return 'gave up', str(last)

        return wrapper

    return decorate


def a_decorator_around_waits(fexec):
    @retried(2)
    def call(function, value):
        return fexec.call_async(function, value).result()

    return call(fail, 'again'), call(same, 1)


def warnings_that_are_caught(fexec):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        warnings.warn('before', UserWarning, stacklevel=1)
        fexec.call_async(same, 1).result()
        warnings.warn('after', DeprecationWarning, stacklevel=1)
    # Of ours, and not what a library said meanwhile
    return [str(one.message) for one in caught if one.filename == __file__]


def a_context_of_decimals(fexec):
    with decimal.localcontext() as context:
        context.prec = 4
        before = decimal.Decimal(1) / 3
        fexec.call_async(same, before).result()
        return before, decimal.Decimal(2) / 3


def another_working_folder(fexec):
    here = Path.cwd()
    Path('elsewhere').mkdir(exist_ok=True)
    os.chdir('elsewhere')
    try:
        Path('x.txt').write_text(fexec.call_async(same, 'text').result())
    finally:
        os.chdir(here)
    return Path('elsewhere/x.txt').read_text(), Path.cwd() == here


def patched(fexec):
    with unittest.mock.patch.dict(os.environ, {'HABIT_OF_A_PATCH': '1'}), unittest.mock.patch('sys.platform', 'patched'):
        fexec.call_async(same, 1).result()
        found = os.environ['HABIT_OF_A_PATCH'], sys.platform
    return found, 'HABIT_OF_A_PATCH' in os.environ, sys.platform == 'patched'


def a_pool_of_threads_around_a_wait(fexec):
    with ThreadPoolExecutor(2) as pool:
        before = pool.submit(pow, 2, 5)
        there = fexec.call_async(same, before.result()).result()
        return there, pool.submit(pow, 2, 6).result(), threading.current_thread() is not None


def limits_of_recursion(fexec):
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + 500)
    try:
        fexec.call_async(same, 1).result()
        return sys.getrecursionlimit() - before
    finally:
        sys.setrecursionlimit(before)


def futures_in_many_ways(fexec):
    first, second = fexec.map(same, ['x', 'y'])
    done, pending = fexec.wait([first, second])
    return first.done, len(done), len(pending), fexec.get_result([second, first]), first.success


HABITS = [
    recursion,
    an_executor_of_the_module,
    an_executor_in_a_closure,
    an_executor_as_a_default,
    an_object_with_an_executor,
    executors_in_a_with_statement,
    finally_around_a_wait,
    a_manager_that_waits,
    a_generator_that_waits,
    results_in_a_comprehension,
    a_sum_until_it_is_enough,
    globals_around_a_wait,
    a_decorator_around_waits,
    warnings_that_are_caught,
    a_context_of_decimals,
    another_working_folder,
    patched,
    a_pool_of_threads_around_a_wait,
    limits_of_recursion,
    futures_in_many_ways,
]


def main():
    return one_by_one(lithops.FunctionExecutor(), HABITS)


if __name__ == '__main__':
    drive.drive(main)
