"""What Lithops' handler and job runner do with a call, without a process: the function runs, a status comes out."""

import json
import os
import pickle
from types import SimpleNamespace
from typing import Any

import greenlet
from lithops.config import extract_storage_config
from lithops.monitoring.backends.triggerflow.failure import HANDLER, lost, stats_of
from lithops.monitoring.backends.triggerflow.future import without_credentials
from lithops.storage.utils import create_status_key
from lithops.worker.jobrunner import _MAX_INLINE_RESULT_SIZE, JobRunner, _prepare_args, _returns_futures

from ..core.store import Facts
from ..orchestrator.hooks.install import use
from .nested import NestedHooks
from .scheduler import Process, Scheduler


class Worker:
    """
    The process that runs one call.

    :param facts: the bucket, as it reaches it
    :param timeout: seconds that the function may take
    :param reduces: whether it is a reducer
    """

    def __init__(self, scheduler: Scheduler, process: Process, facts: Facts, timeout: float, reduces: bool):
        self._scheduler = scheduler
        self._facts = facts
        self._reduces = reduces
        self._process = process
        self._timeout = timeout
        self.output: bytes | None = None

    def run(self, function: bytes, data: bytes, call_id: str, killed: bool, hooks: NestedHooks) -> dict[str, Any]:
        """
        Runs the function.

        :param function: pickled, as Lithops uploads it
        :param data: its arguments, pickled as Lithops does
        :param killed: whether the kernel kills its process, for want of memory
        :param hooks: for executors that it makes
        :return: what of Lithops' status tells how it ended. A result too large for
            it is in ``output``
        """
        began = self._scheduler.now
        self._scheduler.sleep(self._scheduler.random.uniform(0.1, 5))
        if killed:
            ended = _ended_by_handler(MemoryError(HANDLER, 'The function process was killed'))
            return {**_times(began, self._scheduler.now), **ended}
        here = greenlet.getcurrent()

        def act() -> dict[str, Any]:
            try:
                return self._call(function, data, call_id, hooks)
            except greenlet.GreenletExit:
                # The simulator ends this process
                raise
            except BaseException as error:
                noted: dict[str, Any] = stats_of(error)
                return noted

        turn = greenlet.greenlet(act, here)
        self._process.deadline = began + self._timeout, here
        ended = turn.switch()
        self._process.deadline = None
        self._enter(None)
        if ended is None:
            self._scheduler.leave_behind(turn)
            reason = f'Function exceeded maximum time of {self._timeout} seconds and was killed'
            ended = _ended_by_handler(TimeoutError(HANDLER, reason))
        return {**_times(began, self._scheduler.now), **ended}

    def _call(self, function: bytes, data: bytes, call_id: str, hooks: NestedHooks) -> dict[str, Any]:
        called, given = pickle.loads(function), pickle.loads(data)
        runner = JobRunner.__new__(JobRunner)
        runner.internal_storage, runner.job = InputStorage(self._facts), SimpleNamespace(call_id=call_id)
        if self._reduces:
            # Lithops waits for what is there already: it needs a thread for that
            key, futures = next(iter(given.items()))
            given[key] = [future.result(internal_storage=runner.internal_storage) for future in futures]
        elif 'obj' in given:
            # Of files and URLs: there is no bucket but the simulated one
            runner._load_object(given)
        runner._fill_optional_args(called, given)
        args, kwargs = _prepare_args(called, given)
        self._enter(hooks)
        result = called(*args, **kwargs)
        if result is None:
            return {'exception': False, 'func_result_size': 0}
        if _returns_futures(result):
            returned = without_credentials(pickle.dumps(result))
            return {'exception': False, 'func_result_size': 0, 'new_futures': str(returned)}
        pickled = pickle.dumps(result)
        if len(pickled) >= _MAX_INLINE_RESULT_SIZE:
            self.output = pickled
            return {'exception': False, 'func_result_size': len(pickled)}
        return {'exception': False, 'func_result_size': len(pickled), 'result': str(pickled)}

    def _enter(self, hooks: NestedHooks | None) -> None:
        self._process.hooks = hooks
        use(hooks)


class InputStorage:
    """What Lithops reads the inputs of a call from."""

    storage = None

    def __init__(self, facts: Facts):
        self._facts = facts

    def get_storage_config(self) -> dict[str, Any]:
        """Of the run."""
        found: dict[str, Any] = extract_storage_config(json.loads(os.environ['LITHOPS_CONFIG']))
        return found

    def get_call_status(self, executor_id: str, job_id: str, call_id: str) -> Any:
        """Lithops' status document of a call; None if it has not ended."""
        return self._facts.read(create_status_key(executor_id, job_id, call_id))

    def get_data(self, key: str) -> bytes | None:
        """An output."""
        return self._facts.read_bytes(key)


def lost_status(now: float, reason: str) -> dict[str, Any]:
    """The status of a call that nobody else will report."""
    return {**_times(now, now), 'exception': True, 'exc_info': str(pickle.dumps(lost(reason)))}


def _ended_by_handler(error: Exception) -> dict[str, Any]:
    return {'exception': True, 'exc_info': str(pickle.dumps((type(error), error, None)))}


def _times(began: float, ended: float) -> dict[str, Any]:
    return {
        'worker_start_tstamp': began,
        'worker_end_tstamp': ended,
        'worker_func_start_tstamp': began,
        'worker_func_end_tstamp': ended,
        'worker_func_exec_time': ended - began,
    }
