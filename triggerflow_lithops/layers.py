"""
``lithops.concurrent.futures`` and ``lithops.multiprocessing`` inside an orchestrator.

Outside, threads watch the calls, complete the futures of the standard library and call
back. Here the orchestrator's own thread does, where it waits: each wait is a durable one.
"""

import concurrent.futures
import importlib
import logging
import sys
from concurrent.futures._base import DoneAndNotDoneFutures
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator

from lithops.concurrent import futures as adapter

from .errors import NotDurableError
from .job import is_pending

if TYPE_CHECKING:
    from .executor import Hooks

logger = logging.getLogger(__name__)

Future = adapter.Future
Executor = adapter.FunctionExecutor


def _wait(
    active: 'Hooks',
    original: Callable[..., Any],
    fs: Iterable[Any],
    timeout: float | None = None,
    return_when: str = concurrent.futures.ALL_COMPLETED,
) -> Any:
    fs = set(fs)
    if not _are_ours(fs):
        return original(fs, timeout, return_when)
    waiting = [future for future in _in_order(fs) if not _is_done(future)]
    enough = {
        concurrent.futures.ALL_COMPLETED: False,
        concurrent.futures.FIRST_COMPLETED: len(waiting) < len(fs),
        concurrent.futures.FIRST_EXCEPTION: any(_is_done(future) and future.exception() for future in fs),
    }
    if waiting and not enough[return_when]:
        needed = 1 if return_when == concurrent.futures.FIRST_COMPLETED else len(waiting)
        _settle(active, waiting, needed, return_when == concurrent.futures.FIRST_EXCEPTION, timeout)
    done = {future for future in fs if _is_done(future)}
    return DoneAndNotDoneFutures(done, fs - done)


def _as_completed(
    active: 'Hooks', original: Callable[..., Any], fs: Iterable[Any], timeout: float | None = None
) -> Iterator[Any]:
    fs = set(fs)
    if not _are_ours(fs):
        return original(fs, timeout)  # type: ignore[no-any-return]
    return _one_after_the_other(active, _in_order(fs), timeout)


def _one_after_the_other(active: 'Hooks', fs: list[Any], timeout: float | None) -> Iterator[Any]:
    deadline = None if timeout is None else active.now() + timeout
    while fs:
        if not any(map(_is_done, fs)):
            left = None if deadline is None else max(0.0, deadline - active.now())
            if not _settle(active, fs, 1, False, left):
                raise concurrent.futures.TimeoutError(f'{len(fs)} futures unfinished')
        done = [future for future in fs if _is_done(future)]
        fs = [future for future in fs if not _is_done(future)]
        yield from done


def _result(active: 'Hooks', original: Callable[..., Any], future: Any, timeout: float | None = None) -> Any:
    if not _is_done(future) and not _settle(active, [future], 1, False, timeout):
        raise concurrent.futures.TimeoutError
    return original(future, 0)


def _done(active: 'Hooks', original: Callable[..., Any], future: Any) -> bool:
    if not _is_done(future):
        _settle(active, [future], 0, False, None)
    return _is_done(future)


def _drain(active: 'Hooks', original: Callable[..., Any], executor: Any, pending: Iterable[Any]) -> None:
    waiting = [future for future in pending if not _is_done(future)]
    if waiting:
        _settle(active, waiting, len(waiting), False, None)
    executor._release()


def _do_nothing(active: 'Hooks', original: Callable[..., Any], executor: Any, *args: Any) -> None:
    """No thread watches, resolves or reaps: the orchestrator's own does, where it waits."""


def _settle(active: 'Hooks', fs: list[Any], needed: int, until_failure: bool, timeout: float | None) -> bool:
    """Waits for ``needed`` of the futures, and completes those whose calls have ended. Whether that was in time."""
    pending = [future.lithops_future for future in fs if is_pending(future.lithops_future)]
    in_time = active.settle(pending, max(0, needed - len(fs) + len(pending)), until_failure, timeout) if pending else True
    for future in fs:
        if not is_pending(future.lithops_future):
            future._adapter._resolve(future, future.lithops_future)
    return in_time


def _is_done(future: Any) -> bool:
    return concurrent.futures.Future.done(future)


def _are_ours(fs: Iterable[Any]) -> bool:
    """Whether these are futures of calls; those of threads are none of our business."""
    ours = {isinstance(future, Future) for future in fs}
    if len(ours) > 1:
        raise NotDurableError(
            'Futures of calls and of threads were waited for together. Inside an orchestrator, wait for those of calls first.'
        )
    return ours == {True}


def _in_order(fs: Iterable[Any]) -> list[Any]:
    """A set of futures in an order that is the same on every replay."""

    def place(future: Any) -> tuple[str, str, str]:
        call = future.lithops_future
        return call.executor_id, call.job_id[1:], call.call_id

    return sorted(fs, key=place)


# Pools: callbacks


def _create_result(
    active: 'Hooks',
    original: Callable[..., Any],
    result: Any,
    executor: Any,
    futures: Any,
    callback: Any,
    error_callback: Any,
    cancelled: Any = None,
) -> None:
    original(result, executor, futures, None, None, cancelled)
    result._callback, result._error_callback = callback, error_callback


def _track(active: 'Hooks', original: Callable[..., Any], pool: Any, result: Any) -> Any:
    if result._callback or result._error_callback:
        # The pool joins it as it does with a thread
        pool._handlers.append(SimpleNamespace(join=result.wait))
    return result


def _wait_for_result(active: 'Hooks', original: Callable[..., Any], result: Any, timeout: float | None = None) -> None:
    original(result, timeout)
    if (result._callback or result._error_callback) and result.ready() and not result._collected:
        result._collect()


def _collect(active: 'Hooks', original: Callable[..., Any], result: Any) -> None:
    original(result)
    called = result._callback if result._exception is None else result._error_callback
    result._callback = result._error_callback = None
    if called is not None and not result._cancelled.is_set():
        try:
            called(result._value if result._exception is None else result._exception)
        except Exception:
            logger.exception('Error in the callback of a pool result')


# Processes: names


def _create_process(active: 'Hooks', original: Callable[..., Any], process: Any, *args: Any, **kwargs: Any) -> None:
    # Their names are numbered, and handed to their calls: from 1 in every activation, whatever this process did before
    numbered = importlib.import_module('lithops.multiprocessing.process')
    outside, numbered._process_counter = numbered._process_counter, active.processes  # type: ignore[attr-defined]
    try:
        original(process, *args, **kwargs)
    finally:
        numbered._process_counter = outside  # type: ignore[attr-defined]


def _refuse_redis(active: 'Hooks', original: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    raise NotDurableError(
        'State in Redis (Queue, Lock, Value, Manager and the like of lithops.multiprocessing) is not durable inside an '
        'orchestrator: each of its activations would make it anew. Make it inside the calls, or hand values over as '
        'arguments and results.'
    )


#: As in ``seams``: whose, what, and what stands there inside an orchestrator
REPLACED: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (Future, 'result', _result),
    (Future, 'exception', _result),
    (Future, 'done', _done),
    (Executor, '_drain', _drain),
    (Executor, '_ensure_watcher', _do_nothing),
    (Executor, '_schedule', _do_nothing),
    (Executor, '_start_reaper', _do_nothing),
)


def of_pools(has_redis: bool) -> tuple[tuple[Any, str, Callable[..., Any]], ...]:
    """
    The same for ``lithops.multiprocessing``, which few use, and which takes a while to import.

    :param has_redis: whether state in Redis could be had. Without, Lithops refuses it
    """
    if has_redis:
        importlib.import_module('lithops.multiprocessing')
    if 'lithops.multiprocessing' not in sys.modules:
        return ()
    from lithops.multiprocessing import pool, process, util

    return (
        (pool.ApplyResult, '__init__', _create_result),
        (pool.ApplyResult, 'wait', _wait_for_result),
        (pool.ApplyResult, '_collect', _collect),
        (pool.Pool, '_track', _track),
        (process.CloudProcess, '__init__', _create_process),
        (util, 'get_redis_client', _refuse_redis),
    )


#: Functions that are imported by name: these objects themselves change
FUNCTIONS: tuple[tuple[Any, Callable[..., Any]], ...] = (
    (adapter.wait, _wait),
    (adapter.as_completed, _as_completed),
    (concurrent.futures.wait, _wait),
    (concurrent.futures.as_completed, _as_completed),
)
