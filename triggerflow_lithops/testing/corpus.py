"""
Orchestrators to be simulated: ordinary Lithops scripts, one for each way to wait.

Whatever happens on the way, each has to come to the outcome that it has without
faults. What they note is forgotten before each run.
"""

import datetime
import random
import tempfile
import time
import uuid
from typing import Any, Callable

import lithops
from lithops.wait import ALWAYS, ANY_COMPLETED

from .. import Retry, now, record, sleep, uuid4
from ..orchestrator.hooks.patching import hooks
from ..replay.effects import Crashed
from ..replay.suspend import SKEW
from . import corpus_adapters, faults, firings, joins
from .corpus_functions import (
    NOTES,
    add3,
    count_lines,
    double,
    draw,
    even_only,
    large,
    slow_or_failing,
    soon_failing,
    third_time_lucky,
    too_slow,
    total,
)

#: How many calls an orchestrator of the corpus may have scheduled and not yet waited for
MOST_PENDING = 80


def sequence() -> int:
    """Each call depends on the one before."""
    fexec = lithops.FunctionExecutor()
    value = 0
    for _ in range(4):
        fexec.call_async(add3, value)
        value = fexec.get_result()
    return value


def fan_out() -> Any:
    """Two maps side by side; the second is awaited first."""
    fexec = lithops.FunctionExecutor()
    first, second = fexec.map(add3, list(range(12))), fexec.map(add3, [100, 200])
    return fexec.get_result(second), fexec.get_result(first)


def together() -> Any:
    """One wait for the calls of two executors."""
    one, other = lithops.FunctionExecutor(), lithops.FunctionExecutor()
    futures = [*one.map(add3, list(range(11))), other.call_async(add3, 50)]
    done, pending = lithops.wait(futures)
    return [future.result() for future in futures], len(done), len(pending)


def pairs() -> int:
    """Many waits, each for the calls of two jobs."""
    fexec, value = lithops.FunctionExecutor(), 0
    for step in range(7):
        value += sum(fexec.get_result([fexec.call_async(add3, step), fexec.call_async(add3, value)]))
    return value


def any_of() -> Any:
    """Results as they come, each of them once."""
    fexec = lithops.FunctionExecutor()
    pending, seen = list(fexec.map(draw, list(range(5)))), []
    while pending:
        done, pending = fexec.wait(pending, return_when=ANY_COMPLETED)
        seen += [future.result() for future in done]
    return len(seen), len(set(seen))


def share_of() -> Any:
    """A percentage is enough, and the rest is never waited for."""
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(add3, list(range(12)))
    done, _ = fexec.wait(futures, return_when=50)
    return len(done) >= 6, fexec.call_async(add3, 1).result()


def always() -> Any:
    """What was done at a glance stays what was done."""
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(draw, list(range(6)))
    done, pending = fexec.wait(futures, return_when=ALWAYS)
    followed = fexec.get_result(fexec.map(add3, list(range(len(done) + 1))))
    return len(done) + len(pending), followed[0], len(followed) == len(done) + 1


def decide() -> Any:
    """What is called depends on what came out, and on the clock."""
    fexec = lithops.FunctionExecutor()
    one, other = fexec.get_result(fexec.map(draw, [0, 1]))
    if one < other:
        fexec.get_result(fexec.map(add3, [1, 2, 3]))
        if int(now() * 1000) % 2:
            fexec.call_async(add3, 9).result()
    elif uuid4().int % 2:
        fexec.call_async(even_only, 2)
    return fexec.get_result(fexec.map(add3, [int(one < other), 1]))[1]


def gamble() -> Any:
    """Each round goes where a recorded step says, and the next activation has to go there, too."""
    fexec, rounds = lithops.FunctionExecutor(), 0
    for step in range(3):
        choice = record(draw, step)
        futures = fexec.map(add3, [int(choice * 1000), step]) if choice < 0.5 else [fexec.call_async(add3, choice)]
        rounds += all(future.result() >= 3 for future in futures)
    return rounds


def exceptions() -> Any:
    """Failures are caught, and the orchestrator goes on."""
    fexec, caught = lithops.FunctionExecutor(), []
    for items in ([1], [0, 1, 2]):
        try:
            fexec.get_result(fexec.map(even_only, items))
        except ValueError as error:
            caught.append(str(error))
    try:
        fexec.get_result(fexec.call_async(even_only, 5))
    except Exception as error:
        caught.append(type(error).__name__)
    return caught


def raises() -> Any:
    """A failure that nobody catches is the run's."""
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.map(even_only, [0, 2, 5]))


def fails_fast() -> Any:
    """The first failure ends the wait, not the slowest call."""
    fexec = lithops.FunctionExecutor()
    try:
        fexec.get_result(fexec.map(slow_or_failing, list(range(11))))
    except ValueError as error:
        return str(error)


def fails_soon() -> Any:
    """Waits that begin about when one of their calls fails, some steps after they were made. The others take long."""
    fexec, caught = lithops.FunctionExecutor(), []
    for steps in (1, 0, 2):
        futures = fexec.map(soon_failing, [0, 1, 2])
        for step in range(steps):
            fexec.call_async(add3, step).result()
        try:
            fexec.get_result(futures)
        except ValueError as error:
            caught.append(str(error))
    return caught


def loop() -> Any:
    """State that grows from round to round, and a step that is recorded."""
    fexec, total, drawn = lithops.FunctionExecutor(), 0, []
    for step in range(4):
        drawn.append(record(draw, step))
        futures = fexec.map(add3, list(range(step)))
        total += sum(fexec.get_result(futures)) if futures else 1
    return total, len(set(drawn))


def retried() -> Any:
    """What fails is tried again, and nothing else is."""
    fexec = lithops.FunctionExecutor()
    with Retry(retries=6, on=ConnectionError, backoff=1):
        futures = fexec.map(third_time_lucky, list(range(4)))
    try:
        fexec.get_result(fexec.map(even_only, [1]))
    except ValueError as error:
        return fexec.get_result(futures), str(error)


def times_out() -> Any:
    """A call that takes too long is an exception where it is waited for."""
    fexec = lithops.FunctionExecutor()
    try:
        fexec.call_async(too_slow, 1, timeout=100).result()
    except TimeoutError as error:
        return str(error)


def partitioned() -> Any:
    """Parts of a file, as many as the first activation found."""
    fexec = lithops.FunctionExecutor()
    counts = fexec.get_result(fexec.map(count_lines, [__file__], obj_chunk_number=3))
    return len(counts) > 1, fexec.call_async(add3, sum(counts)).result()


def waits_in_time() -> Any:
    """Whether it was in time stays what it was, and the orchestrator goes where that leads."""
    fexec, ways = lithops.FunctionExecutor(), []
    for step in range(2):
        futures = fexec.map(add3, [step, step])
        try:
            lithops.wait(futures, timeout=4)
            ways.append(fexec.call_async(add3, step).result())
        except TimeoutError:
            ways.append(fexec.map(add3, [step, 0, 1])[0].result())
        lithops.wait(futures)
    return ways


def waits_too_long() -> Any:
    """What is not in time is an exception where it is waited for, and may be waited for again."""
    fexec = lithops.FunctionExecutor()
    futures, said = fexec.map(slow_or_failing, [0, 2, 3]), ''
    try:
        lithops.wait(futures, timeout=50)
    except TimeoutError as error:
        said = str(error)
    return 'exceeded' in said or not said, [future.result() for future in futures]


def results_in_time() -> Any:
    """A result that is not there in time is an exception, and what was to follow upon it is another call."""
    fexec, said = lithops.FunctionExecutor(), []
    values = fexec.get_result(fexec.map(add3, [0, 1]), timeout=90_000)
    for timeout in (50, 3):
        try:
            fexec.get_result(fexec.map(slow_or_failing, [0, 2]), timeout=timeout)
        except TimeoutError as error:
            said.append(str(error))
    return values, all('exceeded' in error for error in said), fexec.get_result(fexec.call_async(add3, 4), timeout=90_000)


def failures_kept() -> Any:
    """Failures that are not raised are seen at the futures, and some results are there all the same."""
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(even_only, list(range(4)))
    done, _ = lithops.wait(futures, throw_except=False)
    values = fexec.get_result(fexec.map(even_only, [2, 3]), throw_except=False)
    quickly, _ = fexec.wait(fexec.map(even_only, [1, 3, 5]), return_when=ANY_COMPLETED, throw_except=False)
    failed = [future.error for future in futures], all(future.error for future in quickly)
    return len(done), values, failed, fexec.call_async(add3, len(done)).result()


def sleeps() -> Any:
    """No less than clocks may differ, whatever dies meanwhile."""
    fexec = lithops.FunctionExecutor()
    began, values = now(), []
    for step in range(3):
        future = fexec.call_async(add3, step)
        sleep(60)
        values.append(future.result())
    return now() - began >= 180 - 2 * SKEW, values


def by_reference() -> Any:
    """Large results lie beside their events. Read twice, they are the same."""
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(large, list(range(4)))
    first, again = fexec.get_result(futures), []
    for step in range(3):
        fexec.call_async(add3, step).result()
        again.append([future.result() for future in futures])
    return [x for x, _ in first], all(results == first for results in again)


def chunked() -> Any:
    """Several calls in one process."""
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.map(add3, list(range(11)), chunksize=4))


def chained() -> Any:
    """Calls that are given what others returned start when that is there."""
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(add3, fexec.map(add3, list(range(8, 12))))
    last = fexec.call_async(add3, fexec.call_async(add3, futures[2]))
    return last.result(), fexec.get_result(futures)


def chained_late() -> Any:
    """Inputs that have ended when they are handed over, and are not known to have."""
    fexec = lithops.FunctionExecutor()
    futures, late = fexec.map(add3, list(range(4))), []
    for step in range(4):
        fexec.call_async(add3, step).result()
        late.append(fexec.call_async(double, futures[step]))
    return fexec.get_result(late)


def chained_to_the_known() -> Any:
    """Inputs of which some have ended, and are known to have, when they are handed over."""
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(draw, list(range(4)))
    done, pending = fexec.wait(futures, return_when=50)
    doubled = fexec.get_result(fexec.map(double, [*pending, *done]))
    return [2 * future.result() for future in [*pending, *done]] == doubled


def lists_in_a_row() -> Any:
    """Lists of futures that are mapped, and reduced, in turn."""
    fexec = lithops.FunctionExecutor()
    mapped = fexec.map(add3, list(range(4))).map(add3).get_result()
    reduced = fexec.map(add3, [1, 2]).map_reduce(double, total)
    return mapped, reduced.get_result(), fexec.map(double, [4]).map(add3, sync=True).get_result()


def share_of_the_chained() -> Any:
    """A percentage of calls that wait for others, and then the rest of them."""
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(double, fexec.map(draw, list(range(6))))
    done, pending = fexec.wait(futures, return_when=50)
    more = fexec.get_result(fexec.map(double, done))
    rest = [future.result() for future in pending]
    return len(done) >= 3, [2 * future.result() for future in done] == more, len({*rest, *more}) == 6


def chained_to_failures() -> Any:
    """What waits for a call that failed fails as that one did, and does not run."""
    fexec, caught = lithops.FunctionExecutor(), []
    futures = fexec.map(add3, fexec.map(even_only, [0, 1, 2]))
    for future in futures:
        try:
            caught.append(future.result())
        except ValueError as error:
            caught.append(str(error))
    return caught


def handed_over() -> Any:
    """Futures among the arguments of a call, and held by its function."""
    fexec = lithops.FunctionExecutor()
    numbers, output = fexec.map(add3, list(range(3))), fexec.call_async(large, 7)
    last = numbers[2]
    futures = fexec.map(lambda one, other: one.result() + last.result() + other, [(numbers[0], 10), (numbers[1], 20)])
    return fexec.get_result(futures), fexec.call_async(lambda given: len(given['of'].result()[1]), ({'of': output},)).result()


def map_reduces() -> Any:
    """A reducer starts when all that it reduces is there; so does what is given its result."""
    fexec = lithops.FunctionExecutor()
    reduced = fexec.map_reduce(add3, list(range(12)), total)
    return fexec.call_async(add3, reduced[-1]).result(), fexec.get_result()


def map_reduces_objects() -> Any:
    """One reducer for each object."""
    fexec = lithops.FunctionExecutor()
    fexec.map_reduce(count_lines, [__file__, faults.__file__], total, obj_chunk_number=2, obj_reduce_by_key=True)
    return fexec.get_result()


def map_reduce_fails() -> Any:
    """A map that fails is seen where its reducer is waited for."""
    fexec = lithops.FunctionExecutor()
    reduced = fexec.map_reduce(even_only, [0, 2, 3], total)[-1]
    try:
        reduced.result()
    except ValueError as error:
        return str(error)


def calls_within(x: int) -> Any:
    return lithops.FunctionExecutor().map(add3, list(range(x)))


def nested() -> Any:
    """Calls that return futures of calls of their own, which are waited for in turn."""
    fexec = lithops.FunctionExecutor()
    fexec.call_async(calls_within, 3)
    first = fexec.get_result()
    done, _ = fexec.wait(fexec.map(calls_within, [1, 2]))
    return first, sorted(future.result() for future in done if not future.futures), fexec.call_async(add3, len(done)).result()


def calls_late_within(x: int) -> Any:
    time.sleep(30)
    return lithops.FunctionExecutor().map(slow_or_failing, [x])


def nested_in_time() -> Any:
    """One time for calls and for what they return; whether it was enough stays what it was."""
    fexec, ways = lithops.FunctionExecutor(), []
    # More than either of them takes, and less than both: but for what faults add
    for timeout in (310, 3000):
        future = fexec.call_async(calls_late_within, 2)
        try:
            lithops.wait(future, timeout=timeout)
            ways.append(fexec.call_async(add3, timeout).result())
        except TimeoutError:
            ways.append(fexec.map(add3, [timeout, 0, 1])[0].result())
        ways += lithops.get_result(future)
    return ways


def measures() -> Any:
    """Stats are the same on every replay: what is called with them would differ."""
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(large, [1, 2]) + fexec.map(add3, [3])
    lithops.get_result(futures)
    for name in ('host_result_done_tstamp', 'worker_exec_time'):
        fexec.call_async(total, ([future.stats[name] for future in futures],)).result()
    return len(futures)


def reads_the_clock() -> Any:
    """The time that is passed to a call, and decides what is called, is the same in each activation."""
    fexec, stamps = lithops.FunctionExecutor(), []
    for step in range(3):
        stamp = time.time()
        stamps.append(stamp)
        if int(stamp * 1000) % 2:
            fexec.call_async(total, ([stamp, datetime.datetime.now().timestamp()],)).result()
        futures = fexec.map(double, [stamp, step])
        late = time.time_ns()
        if late % 3:
            futures[0].result()
        fexec.get_result(futures)
        fexec.call_async(double, late)
    return stamps == sorted(stamps), len(fexec.get_result()) > 0


def reads_chance() -> Any:
    """So is a random id, a name of a file, and the time before the first step and between two waits."""
    began, fexec = datetime.date.today().isoformat(), lithops.FunctionExecutor()
    names = [uuid.uuid4().hex, began, tempfile.mktemp()]
    pending, seen = list(fexec.map(double, names)), []
    while pending:
        done, pending = fexec.wait(pending, return_when=ANY_COMPLETED)
        seen += [(future.result(), uuid.uuid4().hex) for future in done]
        if int(seen[-1][1], 16) % 2:
            fexec.call_async(double, time.ctime()).result()
    again = fexec.get_result(fexec.map(double, [uuid.uuid1().hex, *(name for _, name in seen)]))
    return sorted(value for value, _ in seen) == sorted(2 * name for name in names), len(again), random.random()


def waits_by_the_clock() -> Any:
    """What is waited for depends on the clock, and so does what is called then."""
    fexec, values = lithops.FunctionExecutor(), []
    for step in range(5):
        futures = fexec.map(double, [step, 10, 20])
        lithops.wait(futures[: 1 + time.time_ns() % 3])
        follows = fexec.call_async(double, time.time())
        values += [future.result() for future in futures]
    return values, follows.result() > 0


def polls_the_clock() -> Any:
    """A loop that looks at the clock until some time has passed ends in each activation."""
    fexec, due, looks = lithops.FunctionExecutor(), time.time() + 30, 0
    while time.time() < due:
        time.sleep(4)
        looks += 1
    fexec.call_async(add3, looks).result()
    return fexec.call_async(add3, int(time.time() > due)).result()


def cleans_up() -> Any:
    """``finally``, ``with`` and ``except`` around a wait run once."""
    fexec = lithops.FunctionExecutor()
    try:
        fexec.call_async(add3, 1).result()
        fexec.call_async(add3, 2).result()
    except BaseException:
        NOTES['interrupted'] += 1
        raise
    finally:
        left = record(_count, 'left')
    return left, NOTES['interrupted']


def calls_without_waiting() -> Any:
    """Many steps, and calls among them, before the first wait."""
    fexec = lithops.FunctionExecutor()
    for number in range(8):
        record(abs, number)
        fexec.call_async(add3, number)
        record(abs, -number)
    return fexec.get_result()


def works_between_calls() -> Any:
    """As before, and it takes its time."""
    fexec = lithops.FunctionExecutor()
    for number in range(15):
        fexec.call_async(add3, number)
        time.sleep(2)
    return fexec.get_result()


def calls_too_much() -> Any:
    """A loop that calls and never waits. Its run fails, wherever that would be caught."""
    fexec = lithops.FunctionExecutor()
    try:
        for _ in range(20):
            fexec.map(add3, range(10))
            fexec.get_result(fexec.call_async(add3, 1))
    except BaseException:
        pass
    return 'caught'


def _count(what: str) -> int:
    NOTES[what] += 1
    return 1


def poisoned() -> Any:
    """It dies whenever it comes to its second step."""
    fexec = lithops.FunctionExecutor()
    fexec.call_async(add3, 1).result()
    hooks('poisoned')._effects.stop(Crashed(MemoryError('poison')))


CORPUS: dict[str, Callable[[], Any]] = {
    orchestrator.__name__: orchestrator
    for orchestrator in (
        sequence,
        fan_out,
        together,
        any_of,
        share_of,
        always,
        decide,
        gamble,
        exceptions,
        raises,
        fails_fast,
        loop,
        retried,
        times_out,
        partitioned,
        waits_in_time,
        waits_too_long,
        results_in_time,
        failures_kept,
        sleeps,
        by_reference,
        chunked,
        chained,
        lists_in_a_row,
        share_of_the_chained,
        chained_to_the_known,
        chained_to_failures,
        handed_over,
        map_reduces,
        map_reduces_objects,
        map_reduce_fails,
        nested,
        nested_in_time,
        measures,
        reads_the_clock,
        reads_chance,
        waits_by_the_clock,
        polls_the_clock,
        cleans_up,
        calls_without_waiting,
        works_between_calls,
        calls_too_much,
        poisoned,
        *corpus_adapters.ALL,
        *firings.ALL,
        *joins.ALL,
        fails_soon,
        pairs,
        chained_late,
    )
}
