"""
The seams into Lithops, on the orchestrator's side: all of them, and only here.

Inside an activation, and in no other process, ``FunctionExecutor``,
``ResponseFuture`` and ``lithops.wait`` are given the behaviour of a replay. They
keep Lithops' signatures, values, exceptions and order; what they do for us goes
through :class:`~.executor.Hooks`.
"""

import contextlib
import functools
import inspect
import random
from collections.abc import Iterable, Iterator
from types import CodeType, FunctionType, SimpleNamespace
from typing import TYPE_CHECKING, Any, Callable

import lithops
import lithops.executors
import lithops.utils
from lithops.constants import LOCALHOST
from lithops.future import ResponseFuture
from lithops.monitoring.backends.triggerflow import placement, runner_hooks
from lithops.monitoring.backends.triggerflow.future import TravellingFuture
from lithops.storage import cloud_proxy
from lithops.utils import BackendType, FuturesList

from ...deployment.config import SECTION
from ...errors import InstallationError, OutsideOrchestratorError
from ..jobs import is_pending
from ..lithops_modules import job_module, wait_module
from . import clocks, layers

if TYPE_CHECKING:
    from ..context import Hooks

Executor = lithops.FunctionExecutor

#: Everything of Lithops that is replaced inside an activation, or relied upon
SEAMS: tuple[tuple[Any, str], ...] = (
    (Executor, '__init__'),
    (Executor, '__exit__'),
    (Executor, '_create_compute_handler'),
    (Executor, '_create_job_id'),
    (Executor, '_disable_iterdata_output'),
    (Executor, '_run_reduce_job'),
    (Executor, '_submit_map'),
    (Executor, 'clean'),
    (Executor, 'get_result'),
    (Executor, 'map_reduce'),
    (FuturesList, '__reduce__'),
    (ResponseFuture, '_query_call_output'),
    (ResponseFuture, '_raise_call_exception'),
    (ResponseFuture, '_record_result_stats'),
    (ResponseFuture, '_resolve_new_futures'),
    (ResponseFuture, '_set_ready'),
    (ResponseFuture, '_set_state'),
    (ResponseFuture, 'result'),
    (ResponseFuture, 'status'),
    (lithops.utils, '_EXECUTOR_COUNT'),
    (lithops.utils, '_SESSION_ID'),
    (lithops.utils, '_as_future_list'),
    (lithops.utils, '_as_iterdata_list'),
    (lithops.utils, '_chained_futures'),
    (lithops.utils, 'is_object_processing_function'),
    (job_module, 'FUNCTION_CACHE'),
    (wait_module, '_check_done'),
    (wait_module, '_log_wait_start'),
    (wait_module, '_partition_futures'),
    (wait_module, '_ready_futures'),
    (wait_module, 'wait'),
    (cloud_proxy, 'is_lithops_worker'),
    *placement.HOOKED,
)


def require_seams() -> None:
    """
    Checks that this Lithops has what is hooked.

    :raises InstallationError: it has not
    """
    missing = [f'{getattr(owner, "__name__", owner)}.{name}' for owner, name in SEAMS if not hasattr(owner, name)]
    if missing:
        raise InstallationError(
            f'This Lithops ({lithops.__version__}) has no {", ".join(missing)}, which orchestrators rely on. '
            "Install a release that this plugin was made for: pip install 'lithops>=3.8,<4'."
        )


#: The hooks in force; None where no orchestrator runs
in_force: 'Hooks | None' = None


def hooks(name: str) -> 'Hooks':
    """
    Those of this activation.

    :raises OutsideOrchestratorError: no orchestrator runs in this process
    """
    if in_force is None:
        raise OutsideOrchestratorError(
            f'{name} was called where no orchestrator runs. It is for a function that was given to TriggerflowExecutor.run().'
        )
    return in_force


def use(active: 'Hooks | None') -> None:
    """These hooks are in force from now on, in this process."""
    global in_force
    in_force = active
    if active is not None:
        _replace(layers.of_pools(active.has_redis))


def hook() -> Callable[[], None]:
    """
    Hooks Lithops, in this process. A hooked method behaves as Lithops made it as long
    as no hooks are in force.

    :return: what undoes it
    """
    runner_hooks.hook()
    _replace((*_REPLACED, *layers.REPLACED))
    if not _is_hooked(clocks, 'clocks'):
        _hooked.add((id(clocks), 'clocks'))
        _undo_clocks.append(clocks.replace_clocks(lambda: in_force))
    for function, durable in (*_FUNCTIONS, *layers.FUNCTIONS, *clocks.made_by_name()):
        if not _is_hooked(function, '__code__'):
            _note(function, '__code__', _take_over(function, durable))
    if not _is_hooked(ResponseFuture, 'logs'):
        _note(ResponseFuture, 'logs', None)
        ResponseFuture.logs = property(_logs, _set_logs)
    return _unhook


#: What undoes all that was hooked: whose attribute, and what it was; None where it had none of its own
_undo: list[tuple[Any, str, Any]] = []
#: … and what undoes what has no attribute
_undo_clocks: list[Callable[[], None]] = []
#: Those attributes. Looked at whenever hooks come into force
_hooked: set[tuple[int, str]] = set()


def _replace(replaced: Iterable[tuple[Any, str, Callable[..., Any]]]) -> None:
    for owner, name, durable in replaced:
        if not _is_hooked(owner, name):
            _note(owner, name, vars(owner).get(name))
            setattr(owner, name, _in_orchestrators(getattr(owner, name), durable))


def _is_hooked(owner: Any, name: str) -> bool:
    """A process may live several activations."""
    return (id(owner), name) in _hooked


def _note(owner: Any, name: str, own: Any) -> None:
    _undo.append((owner, name, own))
    _hooked.add((id(owner), name))


def _unhook() -> None:
    _hooked.clear()
    while _undo_clocks:
        _undo_clocks.pop()()
    while _undo:
        owner, name, own = _undo.pop()
        if own is None:
            delattr(owner, name)
        else:
            setattr(owner, name, own)


def _take_over(function: Any, durable: Callable[..., Any]) -> CodeType:
    """
    Changes what a function does, and not only what its name means: who has imported it
    by name has it already.

    :return: its own code
    """
    original = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    original.__kwdefaults__ = function.__kwdefaults__
    function.__globals__[f'_triggerflow_{function.__name__}'] = _in_orchestrators(original, durable)
    own: CodeType = function.__code__
    function.__code__ = _trampoline(function)
    return own


def _trampoline(function: Any) -> CodeType:
    """Code with the parameters of ``function`` that hands them on to what has taken over."""
    names = [*inspect.signature(function).parameters]
    handed_on = ', '.join(f'{name}={name}' for name in names)
    scope: dict[str, Any] = {}
    exec(f'def {function.__name__}({", ".join(names)}): return _triggerflow_{function.__name__}({handed_on})', scope)
    code: CodeType = scope[function.__name__].__code__
    return code


def _in_orchestrators(original: Callable[..., Any], durable: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def hooked(*args: Any, **kwargs: Any) -> Any:
        if in_force is None:
            return original(*args, **kwargs)
        return durable(in_force, original, *args, **kwargs)

    return hooked


# Each gets the hooks in force, what Lithops made, and the arguments of the call


def _init(active: 'Hooks', original: Callable[..., Any], executor: Any, *args: Any, **kwargs: Any) -> None:
    # Whatever pools there are have been imported by now
    _replace(layers.of_pools(active.has_redis))
    given = inspect.signature(original).bind(executor, *args, **kwargs)
    given.arguments['monitoring'] = SECTION
    active.check_named(given.arguments)
    active.pin_session()
    # What the layers below draw is none of the user's random numbers
    drawn = random.getstate()
    original(*given.args, **given.kwargs)
    random.setstate(drawn)
    active.check_executor(executor)


def _create_compute_handler(active: 'Hooks', original: Callable[..., Any], executor: Any) -> Any:
    if executor.mode == LOCALHOST:
        return _ServiceHandler(executor.config[LOCALHOST])
    return original(executor)


def _submit_map(active: 'Hooks', original: Callable[..., Any], executor: Any, *args: Any, **kwargs: Any) -> Any:
    return active.submit_map(executor, *args, **kwargs)


def _get_result(active: 'Hooks', original: Callable[..., Any], executor: Any, fs: Any = None, *args: Any, **kwargs: Any) -> Any:
    if fs:
        return original(executor, fs, *args, **kwargs)
    with _unread_only(executor):
        return original(executor, fs, *args, **kwargs)


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
    if in_force is not None and future._call_status is not None and vars(future)['logs'] is None:
        _set_logs(future, in_force.logs(future))
    return vars(future)['logs']  # type: ignore[no-any-return]


def _set_logs(future: Any, logs: str | None) -> None:
    vars(future)['logs'] = logs


def _wait(active: 'Hooks', original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return active.wait(*args, **kwargs)


def _is_not_a_worker(active: 'Hooks', original: Callable[..., Any]) -> bool:
    """``lithops.storage.cloud_proxy`` gives ``open`` and ``os`` to a program, and not to a call of one."""
    return False


def _do_nothing(active: 'Hooks', original: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Nothing of a run is killed, or cleaned away, because an executor goes away."""


def _map_reduce(active: 'Hooks', original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    # A reducer starts when there is all that it needs. Nobody waits before it is spawned
    given = inspect.signature(original).bind(*args, **kwargs)
    given.arguments['spawn_reducer'] = wait_module.ALWAYS
    return original(*given.args, **given.kwargs)


def _run_reduce_job(active: 'Hooks', original: Callable[..., Any], executor: Any, *args: Any, **kwargs: Any) -> Any:
    return active.run_reduce_job(executor, *args, **kwargs)


def _reduce_future(active: 'Hooks', original: Callable[..., Any], future: Any, protocol: Any = None) -> Any:
    return active.carry(future)


def _reduce_list(active: 'Hooks', original: Callable[..., Any], futures: Any) -> Any:
    return list, (list(futures),)


_REPLACED: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (Executor, '__init__', _init),
    (Executor, '__exit__', _do_nothing),
    (Executor, '_create_compute_handler', _create_compute_handler),
    (Executor, '_submit_map', _submit_map),
    (Executor, 'get_result', _get_result),
    (Executor, 'clean', _do_nothing),
    (Executor, 'map_reduce', _map_reduce),
    (Executor, '_run_reduce_job', _run_reduce_job),
    (FuturesList, '__reduce__', _reduce_list),
    (ResponseFuture, '__reduce_ex__', _reduce_future),
    (ResponseFuture, '_query_call_output', _query_call_output),
    (ResponseFuture, '_resolve_new_futures', _resolve_new_futures),
    (ResponseFuture, '_record_result_stats', _record_result_stats),
    (ResponseFuture, 'result', _result),
    (ResponseFuture, 'status', _status),
    (TravellingFuture, '_query_call_output', _query_call_output),
    (cloud_proxy, 'is_lithops_worker', _is_not_a_worker),
)


#: Functions that are imported by name: these objects themselves change
_FUNCTIONS: tuple[tuple[Any, Callable[..., Any]], ...] = ((wait_module.wait, _wait),)


class _ServiceHandler:
    """
    Stands for Lithops' localhost compute handler inside an orchestrator: what that
    one starts dies with the process that started it.
    """

    def __init__(self, config: dict[str, Any]):
        # What a payload carries needs no upload: so it is with functions as a service
        config.setdefault('invoke_pool_threads', 1)
        self._config = config

    @property
    def backend(self) -> Any:
        """Of which Lithops says that it knows no costs."""
        return SimpleNamespace(name=LOCALHOST)

    def get_backend_type(self) -> str:
        return str(BackendType.FAAS.value)

    def get_runtime_info(self) -> dict[str, Any]:
        return {
            'runtime_name': self._config['runtime'],
            'runtime_memory': None,
            'runtime_timeout': None,
            'max_workers': self._config['max_workers'],
        }

    def clear(self, job_keys: Any = None, exception: Any = None) -> None:
        """Nothing of a run is killed because an executor goes away."""


@contextlib.contextmanager
def _unread_only(executor: Any) -> Iterator[None]:
    """
    Lets ``get_result()`` of all futures see those only that it has to look at. It
    goes through them several times, each time from the first: a loop of 10,000 calls
    would spend minutes of every replay on results that it has read.
    """
    futures, read = executor.futures, getattr(executor, 'triggerflow_read', 0)
    while read < len(futures) and futures[read]._read and futures[read].done:
        read += 1
    executor.triggerflow_read = read
    executor.futures = unread = futures[read:]
    left = len(unread)
    try:
        yield
    finally:
        # Calls may have returned futures, which were added
        futures.extend(unread[left:])
        executor.futures = futures
