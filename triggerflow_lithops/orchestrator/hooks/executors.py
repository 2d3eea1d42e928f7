"""``FunctionExecutor``, ``lithops.wait`` and the cloud proxy inside an orchestrator."""

import contextlib
import inspect
import random
from collections.abc import Iterator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Callable

import lithops
from lithops.constants import LOCALHOST
from lithops.storage import cloud_proxy
from lithops.utils import BackendType

from ...deployment.config import SECTION
from ..lithops_modules import wait_module
from . import layers
from .patching import Replacement, replace

if TYPE_CHECKING:
    from ..context import Hooks

Executor = lithops.FunctionExecutor


def _init(active: 'Hooks', original: Callable[..., Any], executor: Any, *args: Any, **kwargs: Any) -> None:
    # Whatever pools there are have been imported by now
    replace(layers.of_pools(active.has_redis))
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


def _submit_map(active: 'Hooks', original: Callable[..., Any], executor: Any, *args: Any, **kwargs: Any) -> Any:
    return active.submit_map(executor, *args, **kwargs)


def _get_result(active: 'Hooks', original: Callable[..., Any], executor: Any, fs: Any = None, *args: Any, **kwargs: Any) -> Any:
    if fs:
        return original(executor, fs, *args, **kwargs)
    with _unread_only(executor):
        return original(executor, fs, *args, **kwargs)


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


def _map_reduce(active: 'Hooks', original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    # A reducer starts when there is all that it needs. Nobody waits before it is spawned
    given = inspect.signature(original).bind(*args, **kwargs)
    given.arguments['spawn_reducer'] = wait_module.ALWAYS
    return original(*given.args, **given.kwargs)


def _run_reduce_job(active: 'Hooks', original: Callable[..., Any], executor: Any, *args: Any, **kwargs: Any) -> Any:
    return active.run_reduce_job(executor, *args, **kwargs)


def _wait(active: 'Hooks', original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return active.wait(*args, **kwargs)


def _is_not_a_worker(active: 'Hooks', original: Callable[..., Any]) -> bool:
    """``lithops.storage.cloud_proxy`` gives ``open`` and ``os`` to a program, and not to a call of one."""
    return False


def _do_nothing(active: 'Hooks', original: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Nothing of a run is killed, or cleaned away, because an executor goes away."""


REPLACED: tuple[Replacement, ...] = (
    (Executor, '__init__', _init),
    (Executor, '__exit__', _do_nothing),
    (Executor, '_create_compute_handler', _create_compute_handler),
    (Executor, '_submit_map', _submit_map),
    (Executor, 'get_result', _get_result),
    (Executor, 'clean', _do_nothing),
    (Executor, 'map_reduce', _map_reduce),
    (Executor, '_run_reduce_job', _run_reduce_job),
    (cloud_proxy, 'is_lithops_worker', _is_not_a_worker),
)

#: Functions that are imported by name: these objects themselves change
FUNCTIONS: tuple[tuple[Any, Callable[..., Any]], ...] = ((wait_module.wait, _wait),)
