"""
``lithops.concurrent.futures`` and ``lithops.multiprocessing`` inside an orchestrator.

Outside, threads watch the calls, complete the futures of the standard library and call
back. Here the orchestrator's own thread does, where it waits: each wait is a durable one.
"""

import concurrent.futures
import importlib
import inspect
import logging
import sys
from concurrent.futures._base import DoneAndNotDoneFutures
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator

from lithops.concurrent import futures as adapter

from ...core import limits
from ...errors import NotDurableError
from ..jobs import is_pending

if TYPE_CHECKING:
    from ..context import Hooks

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
    timeout = limits.timeout_of_wait(timeout)
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
    return _one_after_the_other(active, _in_order(fs), limits.timeout_of_wait(timeout))


def _one_after_the_other(active: 'Hooks', fs: list[Any], timeout: float | None) -> Iterator[Any]:
    deadline = None if timeout is None else active.now() + timeout
    total = len(fs)
    while fs:
        if not any(map(_is_done, fs)) and not _settle(active, fs, 1, due=deadline):
            # In the words of the standard library
            raise concurrent.futures.TimeoutError(f'{len(fs)} (of {total}) futures unfinished')
        done = [future for future in fs if _is_done(future)]
        fs = [future for future in fs if not _is_done(future)]
        yield from done


def _result(active: 'Hooks', original: Callable[..., Any], future: Any, timeout: float | None = None) -> Any:
    timeout = limits.timeout_of_wait(timeout)
    due = active.results_due if timeout is None else None
    if not _is_done(future) and not _settle(active, [future], 1, False, timeout, due):
        raise concurrent.futures.TimeoutError
    return original(future, 0)


def _map(
    active: 'Hooks',
    original: Callable[..., Any],
    executor: Any,
    fn: Any,
    *iterables: Any,
    timeout: float | None = None,
    **options: Any,
) -> Iterator[Any]:
    timeout = limits.timeout_of_wait(timeout)
    # Lithops would count from this activation
    due = None if timeout is None else active.now() + timeout
    results: Iterator[Any] = original(executor, fn, *iterables, **options)
    return results if due is None else _until(active, results, due)


def _until(active: 'Hooks', results: Iterator[Any], due: float) -> Iterator[Any]:
    while True:
        active.results_due = due
        try:
            value = next(results)
        except StopIteration:
            return
        finally:
            active.results_due = None
        yield value


def _done(active: 'Hooks', original: Callable[..., Any], future: Any) -> bool:
    if not _is_done(future):
        _settle(active, [future], 0)
    return _is_done(future)


def _running(active: 'Hooks', original: Callable[..., Any], future: Any) -> bool:
    return not _done(active, original, future) and bool(original(future))


def _add_done_callback(active: 'Hooks', original: Callable[..., Any], future: Any, fn: Callable[[Any], Any]) -> None:
    if getattr(fn, '__module__', '') == 'asyncio.futures' and not _is_done(future):
        raise NotDurableError(
            'A future of a call was handed to asyncio, whose loop would wait for ever: inside an orchestrator no thread '
            'completes futures. Wait with future.result(), wait() or as_completed() of lithops.concurrent.futures.'
        )
    original(future, fn)


def _drain(active: 'Hooks', original: Callable[..., Any], executor: Any, pending: Iterable[Any]) -> None:
    waiting = [future for future in pending if not _is_done(future)]
    if waiting:
        _settle(active, waiting, len(waiting))
    executor._release()


def _do_nothing(active: 'Hooks', original: Callable[..., Any], executor: Any, *args: Any) -> None:
    """No thread watches, resolves or reaps: the orchestrator's own does, where it waits."""


def _settle(
    active: 'Hooks',
    fs: list[Any],
    needed: int,
    until_failure: bool = False,
    timeout: float | None = None,
    due: float | None = None,
) -> bool:
    """Waits for ``needed`` of the futures, and completes those whose calls have ended. Whether that was in time."""
    pending = [future.lithops_future for future in fs if is_pending(future.lithops_future)]
    in_time = True
    if pending:
        left = max(0, needed - len(fs) + len(pending))
        in_time = active.await_calls(pending, left, until_failure, timeout, due).in_time
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


# Pools: results, which others look at as they like, and callbacks


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
    if _calls_back(result):
        # The pool joins it as it does with a thread
        pool._handlers.append(SimpleNamespace(join=result.wait))
    return result


def _wait_for_result(active: 'Hooks', original: Callable[..., Any], result: Any, timeout: float | None = None) -> None:
    # Lithops takes any error for the end of a time
    limits.timeout_of_wait(timeout)
    original(result, timeout)
    _call_back(result)


def _get_result(active: 'Hooks', original: Callable[..., Any], result: Any, timeout: float | None = None) -> Any:
    from lithops.multiprocessing.errors import TimeoutError as ProcessTimeoutError

    try:
        return original(result, timeout)
    except ProcessTimeoutError:
        if result._collected or not _calls_back(result):
            raise
    # Where a thread calls back, Lithops says it otherwise
    raise ProcessTimeoutError(f'Timeout of {timeout} seconds exceeded waiting for the result')


def _is_ready(active: 'Hooks', original: Callable[..., Any], result: Any) -> bool:
    pending = [future for future in result._futures if is_pending(future)]
    if pending:
        active.await_calls(pending, 0)
    _call_back(result)
    return bool(original(result))


def _calls_back(result: Any) -> bool:
    return bool(result._callback or result._error_callback)


def _call_back(result: Any) -> None:
    if _calls_back(result) and not result._collected and not any(map(is_pending, result._futures)):
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


# Processes


def _create_process(active: 'Hooks', original: Callable[..., Any], process: Any, *args: Any, **kwargs: Any) -> None:
    given = inspect.signature(original).bind(process, *args, **kwargs)
    if active.processes is not None and not given.arguments.get('name'):
        # Its name is an argument of a call: numbered from 1, whatever there was here before
        active.processes += 1
        given.arguments['name'] = f'{type(process).__name__}-{active.processes}'
    original(*given.args, **given.kwargs)


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
    (Future, 'running', _running),
    (Future, 'add_done_callback', _add_done_callback),
    (Executor, 'map', _map),
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
        (pool.ApplyResult, 'get', _get_result),
        (pool.ApplyResult, 'ready', _is_ready),
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
