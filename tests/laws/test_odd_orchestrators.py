"""Orchestrators of users that are odd, and valid: no law of the simulator may call them breakers."""

import random
import time

import lithops
import pytest
from lithops.wait import ALWAYS, ANY_COMPLETED

from triggerflow_lithops import Retry, now, record, sleep, uuid4
from triggerflow_lithops.testing import NONE, LawBroken, simulate, survive


class Unequal:
    """An object that says in words where in memory it is, and equals nothing."""

    def __init__(self, value):
        self.value = value

    __eq__ = None


def add(x, y=1):
    return x + y


def slow(x):
    time.sleep(x)
    return x


def odd_fails(x):
    if x % 2:
        raise ValueError(f'{x} is odd')
    return x


def fails_twice(x):
    if random.SystemRandom().random() < 0.3:
        raise ConnectionError('try again')
    return x


def calls_others(x):
    return sum(lithops.FunctionExecutor().map(add, list(range(x))).get_result())


def returns_futures(x):
    return lithops.FunctionExecutor().map(add, list(range(x)))


def many_jobs_in_one_wait():
    fexec = lithops.FunctionExecutor()
    futures = [fexec.call_async(add, number) for number in range(12)]
    done, pending = fexec.wait(futures, return_when=40)
    return len(done) >= 5, len(done) + len(pending), fexec.get_result(futures)


def polls():
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(slow, [1, 30])
    while fexec.wait(futures, return_when=ALWAYS)[1]:
        sleep(5)
    return [future.result() for future in futures]


def polls_without_sleeping():
    fexec = lithops.FunctionExecutor()
    future = fexec.call_async(add, 1)
    for _ in range(40):
        fexec.wait(future, return_when=ALWAYS)
    return future.result()


def any_of_many():
    fexec, seen = lithops.FunctionExecutor(), []
    pending = [fexec.call_async(add, number) for number in range(15)]
    while pending:
        done, pending = fexec.wait(pending, return_when=ANY_COMPLETED)
        seen += [future.result() for future in done]
    return sorted(seen)


def all_percentages():
    fexec, counts = lithops.FunctionExecutor(), []
    futures = fexec.map(add, list(range(7)))
    for share in (0, 1, 33, 50.5, 99, 100):
        counts.append(len(fexec.wait(futures, return_when=share)[0]) >= 7 * share // 100)
    return counts, fexec.get_result(futures)


def waits_within_calls():
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.map(calls_others, [1, 2, 3]))


def futures_come_back():
    fexec = lithops.FunctionExecutor()
    fexec.map(returns_futures, [2, 3])
    return fexec.get_result()


def retries_much():
    fexec = lithops.FunctionExecutor()
    with Retry(retries=60, on=ConnectionError, backoff=0.1, max_backoff=1):
        return fexec.get_result(fexec.map(fails_twice, list(range(9))))


def never_retries():
    fexec = lithops.FunctionExecutor()
    with Retry(retries=0):
        futures = fexec.map(odd_fails, list(range(5)))
    fexec.wait(futures, throw_except=False)
    return [future.error for future in futures]


def sleeps_long():
    began = now()
    sleep(3 * 86_400)
    sleep(0)
    sleep(40 * 86_400)
    return now() - began > 42 * 86_400


def waits_for_days():
    fexec = lithops.FunctionExecutor()
    return fexec.call_async(slow, 2 * 86_400, timeout=300_000).result()


def thinks():
    """It computes between its steps, for as long as an activation may take."""
    fexec, values = lithops.FunctionExecutor(), []
    for step in range(3):
        time.sleep(300)
        values.append(fexec.call_async(add, step).result())
    return values


def calls_nothing():
    return 5


def forgets_its_calls():
    lithops.FunctionExecutor().map(slow, [100, 200])
    return 'gone'


def raises():
    lithops.FunctionExecutor().call_async(add, 1).result()
    raise LookupError('by itself')


def exits():
    lithops.FunctionExecutor().call_async(add, 1).result()
    raise SystemExit(3)


def passes_failures_on():
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.map(odd_fails, [0, 2, 4, 5]))


def wide():
    fexec = lithops.FunctionExecutor()
    return sum(fexec.get_result(fexec.map(add, list(range(300)))))


def deep():
    fexec = lithops.FunctionExecutor()
    future = fexec.call_async(add, 0)
    for _ in range(40):
        future = fexec.call_async(add, future)
    return future.result()


def crossed():
    """Each call is given what all calls before it return: as many ways from one to another as there are."""
    fexec = lithops.FunctionExecutor()
    futures = [fexec.call_async(add, 1)]
    for _ in range(6):
        futures = [fexec.call_async(lambda *given: sum(future.result() for future in given[0]), ([*futures],)) for _ in range(4)]
    return fexec.get_result(futures)


def loops():
    fexec, value = lithops.FunctionExecutor(), 0
    for step in range(12):
        value = fexec.call_async(add, value).result()
        if step % 5 == 0:
            fexec.map(add, [value] * (step % 3))
    return value


def one_executor_for_each_call():
    return [lithops.FunctionExecutor().call_async(add, number).result() for number in range(6)]


def records_only():
    return [record(add, number) for number in range(30)], isinstance(uuid4().hex, str)


def empty_maps():
    fexec = lithops.FunctionExecutor()
    return fexec.map(add, []), fexec.wait([]), fexec.call_async(add, 1).result()


def gives_back_an_object():
    return Unequal(lithops.FunctionExecutor().call_async(add, 1).result())


def waits_again_and_again():
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(add, [1, 2, 3])
    return [len(fexec.wait(futures)[0]) for _ in range(5)], [future.result() for future in futures for _ in range(3)]


def times_out():
    fexec = lithops.FunctionExecutor()
    future = fexec.call_async(slow, 400)
    while not future.done:
        try:
            lithops.wait(future, timeout=20)
        except TimeoutError:
            fexec.call_async(add, 1)
    return future.result()


ODD = (
    many_jobs_in_one_wait, polls, polls_without_sleeping, any_of_many, all_percentages, waits_within_calls, futures_come_back,
    retries_much, never_retries, sleeps_long, waits_for_days, thinks, calls_nothing, forgets_its_calls, raises, exits,
    passes_failures_on, wide, deep, crossed, loops, one_executor_for_each_call, records_only, empty_maps,
    gives_back_an_object, waits_again_and_again, times_out,
)  # fmt: skip


@pytest.mark.parametrize('orchestrator', ODD, ids=lambda found: found.__name__)
def test_an_odd_orchestrator_breaks_no_law(orchestrator):
    first = random.SystemRandom().randrange(10**9)
    few = 4 if orchestrator is wide else 20
    for seed in range(first, first + few):
        simulate(orchestrator, seed=seed, faults=NONE, sweeps=bool(seed % 2), reports_in_flight=bool(seed % 4 < 2))
    assert survive(orchestrator, seeds=few, first_seed=first).status in ('completed', 'failed')


@pytest.mark.parametrize(('orchestrator', 'seed'), [(deep, 827333426), (crossed, 274376055)], ids=['deep', 'crossed'])
def test_sweeps_that_look_at_much_come_to_their_end(orchestrator, seed):
    """Each of their requests may be the last one: of many calls, no sweep would ever have looked at all."""
    assert survive(orchestrator, seeds=1, first_seed=seed).status == 'completed'


def test_an_outcome_that_differs_is_told_though_it_is_an_object():
    def main():
        return Unequal(random.SystemRandom().random())

    with pytest.raises(LawBroken, match='it came to'):
        survive(main, seeds=4)
