"""
The seams into Lithops, on the orchestrator's side: all of them, and only here.

Inside an activation, and in no other process, ``FunctionExecutor``,
``ResponseFuture`` and ``lithops.wait`` are given the behaviour of a replay. They
keep Lithops' signatures, values, exceptions and order; what they do for us goes
through :class:`~triggerflow_lithops.orchestrator.context.Hooks`.
"""

import functools
from typing import TYPE_CHECKING, Any, Callable

import lithops
import lithops.executors
import lithops.utils
from lithops.future import ResponseFuture
from lithops.monitoring.backends.triggerflow import placement, runner_hooks
from lithops.storage import cloud_proxy
from lithops.utils import FuturesList

from ...errors import InstallationError
from ..lithops_modules import job_module, wait_module
from . import clocks, executors, futures, layers, patching
from .patching import is_hooked, note, replace, take_over, unhook

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


def use(active: 'Hooks | None') -> None:
    """These hooks are in force from now on, in this process."""
    patching.put_in_force(active)
    if active is not None:
        replace(layers.of_pools(active.has_redis))


def hook() -> Callable[[], None]:
    """
    Hooks Lithops, in this process. A hooked method behaves as Lithops made it as long
    as no hooks are in force.

    :return: what undoes it
    """
    runner_hooks.hook()
    replace((*executors.REPLACED, *futures.REPLACED, *layers.REPLACED))
    if not is_hooked(clocks, 'clocks'):
        note(clocks, 'clocks', clocks.replace_clocks(lambda: patching.in_force))
    for function, durable in (*executors.FUNCTIONS, *layers.FUNCTIONS, *clocks.made_by_name()):
        if not is_hooked(function, '__code__'):
            note(function, '__code__', functools.partial(setattr, function, '__code__', take_over(function, durable)))
    if not is_hooked(ResponseFuture, 'logs'):
        note(ResponseFuture, 'logs')
        ResponseFuture.logs = futures.LOGS
    return unhook
