"""Orchestrators that are run while everything around them is killed, and what each of them comes to."""

import os
import time

import lithops
from lithops.wait import ANY_COMPLETED


def add3(x):
    time.sleep(0.1)
    return x + 3


def even_only(x):
    time.sleep(0.05)
    if x % 2:
        raise ValueError(f'{x} is odd')
    return x


def large(x):
    return x, os.urandom(20_000)


def sequence():
    fexec, value = lithops.FunctionExecutor(), 0
    for _ in range(6):
        fexec.call_async(add3, value)
        value = fexec.get_result()
    return value


def fan_out():
    fexec = lithops.FunctionExecutor()
    first, second = fexec.map(add3, list(range(25))), fexec.map(add3, [100, 200], chunksize=2)
    return fexec.get_result(second), sum(fexec.get_result(first))


def first_of_many():
    fexec = lithops.FunctionExecutor()
    pending, seen = list(fexec.map(add3, list(range(8)))), []
    while pending:
        done, pending = fexec.wait(pending, return_when=ANY_COMPLETED)
        seen += [future.result() for future in done]
    return sorted(seen)


def caught():
    fexec, said = lithops.FunctionExecutor(), []
    for items in ([1], [0, 1, 2], [4, 6]):
        try:
            said.append(fexec.get_result(fexec.map(even_only, items)))
        except ValueError as error:
            said.append(str(error))
    return said


def by_reference():
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(large, list(range(4)))
    first = fexec.get_result(futures)
    fexec.call_async(add3, 1).result()
    return [x for x, _ in first], first == [future.result() for future in futures]


EXPECTED = {
    'sequence': (sequence, 18),
    'fan_out': (fan_out, ([103, 203], sum(range(3, 28)))),
    'first_of_many': (first_of_many, list(range(3, 11))),
    'caught': (caught, ['1 is odd', '1 is odd', [4, 6]]),
    'large': (by_reference, ([0, 1, 2, 3], True)),
}
