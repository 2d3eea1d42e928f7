"""What Lithops' handler and job runner do with a call, without a process: the function runs, a status comes out."""

import inspect
import pickle
import traceback
from typing import Any

import greenlet
from lithops.monitoring.backends.triggerflow.failure import HANDLER, lost
from lithops.worker.jobrunner import _MAX_INLINE_RESULT_SIZE, JobRunner, _prepare_args, _returns_futures

from .scheduler import Process, Scheduler


class Worker:
    """
    The process that runs one call.

    :param timeout: seconds that the function may take
    """

    def __init__(self, scheduler: Scheduler, process: Process, timeout: float):
        self._scheduler = scheduler
        self._process = process
        self._timeout = timeout
        self.output: bytes | None = None

    def run(self, function: bytes, data: bytes, call_id: str, killed: bool) -> dict[str, Any]:
        """
        Runs the function.

        :param function: pickled, as Lithops uploads it
        :param data: its arguments, pickled as Lithops does
        :param killed: whether the kernel kills its process, for want of memory
        :return: what of Lithops' status tells how it ended. A result too large for
            it is in ``output``
        """
        began = self._scheduler.now
        self._scheduler.sleep(self._scheduler.random.uniform(0.1, 5))
        if killed:
            return {**_times(began, self._scheduler.now), **_raised(MemoryError(HANDLER, 'The function process was killed'))}
        here = greenlet.getcurrent()

        def act() -> dict[str, Any]:
            try:
                return self._call(function, data, call_id)
            except (Exception, SystemExit, KeyboardInterrupt) as error:
                return _raised(error)

        turn = greenlet.greenlet(act, here)
        self._process.deadline = began + self._timeout, here
        ended = turn.switch()
        self._process.deadline = None
        if ended is None:
            self._scheduler.leave_behind(turn)
            ended = _raised(TimeoutError(HANDLER, f'Function exceeded maximum time of {self._timeout} seconds and was killed'))
        return {**_times(began, self._scheduler.now), **ended}

    def _call(self, function: bytes, data: bytes, call_id: str) -> dict[str, Any]:
        called, given = pickle.loads(function), pickle.loads(data)
        if 'obj' in given:
            # Of files and URLs: there is no bucket but the simulated one
            JobRunner._load_object(JobRunner.__new__(JobRunner), given)
        if 'id' in inspect.signature(called).parameters:
            given['id'] = int(call_id)
        args, kwargs = _prepare_args(called, given)
        result = called(*args, **kwargs)
        if result is None:
            return {'exception': False, 'func_result_size': 0}
        if _returns_futures(result):
            raise NotImplementedError('A simulated call returns no futures.')
        pickled = pickle.dumps(result)
        if len(pickled) >= _MAX_INLINE_RESULT_SIZE:
            self.output = pickled
            return {'exception': False, 'func_result_size': len(pickled)}
        return {'exception': False, 'func_result_size': len(pickled), 'result': str(pickled)}


def lost_status(now: float, reason: str) -> dict[str, Any]:
    """The status of a call that nobody else will report."""
    return {**_times(now, now), 'exception': True, 'exc_info': str(pickle.dumps(lost(reason)))}


def _raised(error: BaseException) -> dict[str, Any]:
    try:
        pickled = pickle.dumps((type(error), error, None))
        pickle.loads(pickled)
        return {'exception': True, 'exc_info': str(pickled)}
    except Exception as failure:
        message = f"{error}\n{''.join(traceback.format_tb(error.__traceback__))}"
        document = {'exc_type': str(type(error)), 'exc_value': message, 'exc_traceback': None, 'pickle_exception': str(failure)}
        return {'exception': True, 'exc_pickle_fail': True, 'exc_info': str(pickle.dumps(document))}


def _times(began: float, ended: float) -> dict[str, Any]:
    return {
        'worker_start_tstamp': began,
        'worker_end_tstamp': ended,
        'worker_func_start_tstamp': began,
        'worker_func_end_tstamp': ended,
        'worker_func_exec_time': ended - began,
    }
