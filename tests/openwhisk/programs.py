"""What runs in the tests' actions. It travels as this module, so it imports what a runtime has."""

import os
import signal
import time

import lithops
from lithops.wait import ANY_COMPLETED


def add3(x):
    return x + 3


def nap(seconds, value):
    time.sleep(seconds)
    return value


def twice():
    fexec = lithops.FunctionExecutor()
    fexec.call_async(add3, 0)
    return fexec.call_async(add3, fexec.get_result()).result()


def wide(calls):
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.map(add3, list(range(calls))))


def slow_and_wide(calls):
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.map(nap, [(6, x) for x in range(calls)]))


def nap_then_add():
    fexec = lithops.FunctionExecutor()
    return fexec.call_async(add3, fexec.call_async(nap, (3, 3)).result()).result()


def naps(calls):
    fexec = lithops.FunctionExecutor()
    value = 0
    for _ in range(calls):
        value = fexec.call_async(nap, (6, value + 1)).result()
    return value


def nap_within_30_seconds():
    return lithops.FunctionExecutor().call_async(nap, (4, 5), timeout=30).result()


def fail_once(marker):
    if not os.path.exists(marker):
        with open(marker, 'w'):
            raise ValueError('the first time')
    return time.time()


def tries_again(marker):
    return lithops.FunctionExecutor().call_async(fail_once, marker).result()


def killed_once(marker):
    if not os.path.exists(marker):
        open(marker, 'w').close()
        os.kill(os.getpid(), signal.SIGKILL)
    return 'alive'


def wants_more_memory(marker):
    fexec = lithops.FunctionExecutor()
    larger = fexec.map(add3, [1, 2], runtime_memory=384)
    return fexec.call_async(killed_once, marker).result(), fexec.get_result(larger)


def catches_everything(memory):
    fexec = lithops.FunctionExecutor()
    try:
        return fexec.get_result(fexec.map(add3, [1, 2], runtime_memory=memory))
    except Exception as error:
        return f'caught {error!r}'


def waits_too_long():
    fexec = lithops.FunctionExecutor()
    future = fexec.call_async(nap, (50, 1))
    try:
        fexec.wait(future, timeout=2)
    except TimeoutError:
        return 'too long'


def returns_futures(x):
    return lithops.FunctionExecutor().call_async(add3, x)


def futures_everywhere():
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(add3, fexec.map(add3, [1, 2]))
    nested = fexec.call_async(returns_futures, 3)
    return fexec.get_result(futures), fexec.get_result(nested)


def added(given):
    return sum(future.result() for future in given['futures'])


def futures_as_data():
    fexec = lithops.FunctionExecutor()
    return fexec.call_async(added, {'given': {'futures': fexec.map(add3, [1, 2])}}).result()


def first_of_many():
    fexec = lithops.FunctionExecutor()
    pending, seen = list(fexec.map(add3, [1, 2, 3])), []
    while pending:
        done, pending = fexec.wait(pending, return_when=ANY_COMPLETED)
        seen += [future.result() for future in done]
    return sorted(seen) == [4, 5, 6]


def no_good(x):
    if x == 1:
        raise ValueError('no good')
    return nap(5, x)


def fails():
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.map(no_good, [1, 1]))


def raises_one():
    fexec = lithops.FunctionExecutor()
    try:
        fexec.get_result(fexec.map(no_good, [0, 1]))
    except ValueError as error:
        return str(error)


def chained():
    fexec = lithops.FunctionExecutor()
    return fexec.call_async(add3, fexec.call_async(add3, fexec.call_async(add3, 2))).result()


def in_time():
    future = lithops.FunctionExecutor().call_async(nap, (14, 5))
    try:
        lithops.wait(future, timeout=1)
    except TimeoutError:
        return f'it took too long, and then {future.result()}'


def large_environment():
    return lithops.FunctionExecutor().call_async(add3, 1, extra_env={'LARGE': 'x' * 2_000_000}).result()
