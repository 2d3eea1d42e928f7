"""``ResponseFuture`` inside an orchestrator."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Callable

from lithops.future import ResponseFuture
from lithops.monitoring.backends.triggerflow.future import TravellingFuture
from lithops.utils import FuturesList

from ..jobs import is_pending
from . import patching
from .patching import Replacement

if TYPE_CHECKING:
    from ..context import Hooks


def _status(
    active: 'Hooks',
    original: Callable[..., Any],
    future: Any,
    throw_except: bool = True,
    internal_storage: Any = None,
    check_only: bool = False,
    wait_dur_sec: float = 1,
) -> Any:
    if is_pending(future):
        active.await_calls([future], 0 if check_only else 1)
        if is_pending(future):
            return None
    with _readable(active, future):
        return original(future, throw_except, internal_storage)


def _result(
    active: 'Hooks',
    original: Callable[..., Any],
    future: Any,
    throw_except: bool = True,
    internal_storage: Any = None,
    retries: int = 10,
    wait_dur_sec: float = 1,
) -> Any:
    if is_pending(future):
        active.await_calls([future], 1)
    # Any object will do as the storage: the output is read by a hook, below
    with _readable(active, future):
        return original(future, throw_except, internal_storage or active, 1)


@contextlib.contextmanager
def _readable(active: 'Hooks', future: Any) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # Of the call, or of what there is of it
        active.require_readable(future)
        raise


def _query_call_output(active: 'Hooks', original: Callable[..., Any], future: Any, internal_storage: Any) -> bytes:
    future._output_query_count += 1
    return active.output(future)


def _resolve_new_futures(active: 'Hooks', original: Callable[..., Any], future: Any) -> None:
    original(future)
    active.adopt(future)


def _record_result_stats(active: 'Hooks', original: Callable[..., Any], future: Any, source: Any, query_count: int) -> None:
    if not active.is_replaying:
        original(future, source, query_count)
    future.stats['host_result_done_tstamp'] = future.stats['host_status_done_tstamp']
    future.stats['host_result_query_count'] = query_count


def _logs(future: Any) -> str | None:
    """A history carries no logs along: one is read when somebody wants it."""
    if patching.in_force is not None and future._call_status is not None and vars(future)['logs'] is None:
        _set_logs(future, patching.in_force.logs(future))
    return vars(future)['logs']  # type: ignore[no-any-return]


def _set_logs(future: Any, logs: str | None) -> None:
    vars(future)['logs'] = logs


def _reduce_future(active: 'Hooks', original: Callable[..., Any], future: Any, protocol: Any = None) -> Any:
    return active.carry(future)


def _reduce_list(active: 'Hooks', original: Callable[..., Any], futures: Any) -> Any:
    return list, (list(futures),)


REPLACED: tuple[Replacement, ...] = (
    (FuturesList, '__reduce__', _reduce_list),
    (ResponseFuture, '__reduce_ex__', _reduce_future),
    (ResponseFuture, '_query_call_output', _query_call_output),
    (ResponseFuture, '_resolve_new_futures', _resolve_new_futures),
    (ResponseFuture, '_record_result_stats', _record_result_stats),
    (ResponseFuture, 'result', _result),
    (ResponseFuture, 'status', _status),
    (TravellingFuture, '_query_call_output', _query_call_output),
)

#: A property in the place of an attribute of each future
LOGS = property(_logs, _set_logs)
