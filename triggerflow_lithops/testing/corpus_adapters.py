"""
Orchestrators to be simulated that use the layers above ``FunctionExecutor``: standard futures,
pools and processes, and Lithops' own retries.
"""

import concurrent.futures
import importlib.util
from typing import Any, Callable

import lithops
from lithops.concurrent.futures import FunctionExecutor as Executor

from .. import now, sleep
from .corpus_functions import add3, draw, even_only, slow_or_failing, third_time_lucky


def standard_futures() -> Any:
    """The standard library's way to call and to wait."""
    with Executor() as executor:
        futures = [executor.submit(draw, step) for step in range(4)]
        seen = [future.result() for future in concurrent.futures.as_completed(futures)]
        failing = [executor.submit(even_only, 3), executor.submit(add3, 1)]
        done, _ = concurrent.futures.wait(failing, return_when=concurrent.futures.FIRST_EXCEPTION)
        more = list(executor.map(add3, range(len(done))))
    return len(set(seen)), failing[0] in done, more[0], str(failing[0].exception())


def standard_futures_in_time() -> Any:
    """Each of the standard library's waits, with a time that is enough and with one that may not be."""
    late = 0
    with Executor() as executor:
        quick = [executor.submit(add3, step) for step in range(3)]
        slow = [executor.submit(slow_or_failing, step) for step in (0, 2)]
        done, pending = concurrent.futures.wait([*quick, *slow], timeout=60)
        try:
            late += slow[0].result(timeout=20)
        except concurrent.futures.TimeoutError:
            late += 1
        try:
            seen = [future.result() for future in concurrent.futures.as_completed([*quick, *slow], timeout=30)]
        except concurrent.futures.TimeoutError:
            seen = [future.result() for future in concurrent.futures.as_completed([*quick, *slow], timeout=90_000)]
        return len(done) + len(pending), late < 2, sorted(seen), quick[0].result(timeout=1)


def standard_map_in_time() -> Any:
    """Its results have one time together, however many activations go through them."""
    executor, seen = Executor(), 0
    try:
        for _ in executor.map(slow_or_failing, [0, 2, 3], timeout=400):
            seen += now() > 0
    except concurrent.futures.TimeoutError:
        executor.submit(add3, seen).result()
    return executor.submit(add3, 1).result()


def looks_at_running() -> Any:
    """What one look saw, every replay sees."""
    executor, looks = Executor(), 0
    future = executor.submit(slow_or_failing, 0)
    while future.running():
        looks += 1
        sleep(100)
    return executor.submit(add3, looks).result() > 2, future.result(timeout=0)


def retrying_executor() -> Any:
    """What fails is called again by the orchestrator, with a new job each time."""
    fexec = lithops.RetryingFunctionExecutor(lithops.FunctionExecutor())
    futures = fexec.map(third_time_lucky, [0, 1, 2], retries=4)
    done, pending = fexec.wait(futures, throw_except=False)
    failing = fexec.map(even_only, [1], retries=1)
    fexec.wait(failing, throw_except=False)
    return len(done), len(pending), [future.result() for future in futures], failing[0].error


def pool() -> Any:
    """A pool's ways to call, and its result that is asked for last."""
    from lithops.multiprocessing import Pool

    with Pool(3) as pool:
        drawn = pool.apply_async(draw, (1,))
        mapped = pool.map(add3, range(5))
        again = list(pool.imap(add3, mapped))
        starred = pool.starmap_async(max, [(1, 2), (4, 3)])
        return mapped, again, starred.get(), pool.apply(add3, (1,)), drawn.get() == drawn.get()


def pool_calls_back() -> Any:
    """Who joins a pool finds that its callbacks have run, once each."""
    from lithops.multiprocessing import Pool

    told: list[Any] = []
    pool = Pool()
    pool.map_async(add3, range(4), callback=told.append)
    pool.apply_async(even_only, (3,), error_callback=lambda error: told.append(str(error)))
    pool.close()
    pool.join()
    return told


def pool_fails() -> Any:
    """A function that fails is an exception where its result is asked for."""
    from lithops.multiprocessing import Pool

    caught = []
    with Pool() as pool:
        later = pool.apply_async(even_only, (5,))
        for call in (lambda: pool.map(even_only, [0, 1, 2]), later.get):
            try:
                call()
            except ValueError as error:
                caught.append(str(error))
        return caught, pool.apply(add3, (len(caught),))


def pool_in_time() -> Any:
    """A result that is not there in time can be asked for again."""
    from lithops.multiprocessing import Pool, TimeoutError

    said = ''
    with Pool() as pool:
        result = pool.map_async(slow_or_failing, [0, 2])
        try:
            result.get(timeout=50)
        except TimeoutError as error:
            said = str(error)
        return 'exceeded' in said or not said, result.get(timeout=90_000)


def processes() -> Any:
    """Several at a time. They are called by their numbers, and one is joined before it has ended."""
    from lithops.multiprocessing import Process

    names = []
    for step in range(2):
        started = [Process(target=add3, args=(number,)) for number in range(2 + step)]
        for process in started:
            process.start()
        for process in started:
            process.join(timeout=2)
            process.join()
            names.append(process.name)
    failing = Process(target=even_only, args=(1,))
    failing.start()
    try:
        failing.join()
    except ValueError as error:
        return names, str(error)


ALL: tuple[Callable[[], Any], ...] = (
    standard_futures,
    standard_futures_in_time,
    standard_map_in_time,
    looks_at_running,
    retrying_executor,
)
if importlib.util.find_spec('redis'):
    # Without it, Lithops has no pools
    ALL = (*ALL, pool, pool_calls_back, pool_fails, pool_in_time, processes)
