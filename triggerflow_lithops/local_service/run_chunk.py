"""One invocation, in a process of its own: what a container is in the cloud."""

import contextlib
import logging
import math
import os
import shutil
import sys
import time
import uuid
from typing import Any, Iterator

import lithops.worker.handler as handler
import lithops.worker.utils as worker_utils
from lithops.constants import LOCALHOST, LOGS_DIR
from lithops.monitoring.backends.triggerflow import driver, status
from lithops.monitoring.backends.triggerflow.invoke import ACTIVATION, run_of
from lithops.monitoring.backends.triggerflow.private import append_file, private_folder
from lithops.monitoring.backends.triggerflow.sweep import is_over

logger = logging.getLogger(__name__)


#: The exit code of a process that found that its run had ended
OVER = 3
#: Seconds between two questions whether a run has ended, where its bucket is not on a disk of this machine
ASK = 10.0


class Ending:
    """
    Whether a run has ended, or was purged: looked at before each call.

    Where the bucket lies on a disk of this machine that is a matter of two small files. Elsewhere the bucket is asked at
    most once in ``ASK`` seconds, and when nothing is kept of the run's driver any more, which goes with the outcome.

    :param asked: when the bucket was asked last; ``time.monotonic()``
    """

    def __init__(self, config: dict[str, Any], run: dict[str, Any], asked: float):
        self._config = config
        self._run = run
        self._asked = asked

    def is_here(self) -> bool:
        """Whether it has come. A bucket that does not answer says no."""
        now = time.monotonic()
        if self._config['lithops']['storage'] != LOCALHOST:
            if now - self._asked < ASK and driver.is_kept(self._config, self._run['session']):
                return False
            self._asked = now
        try:
            return bool(is_over(self._config, self._run))
        except Exception as error:
            logger.warning('Run %s - nobody knows whether it has ended: %s', self._run['run_id'], error)
            return False


def run_chunk(payload: dict[str, Any], scratch: str, asked: float = -math.inf) -> int:
    """
    Runs a Lithops payload by Lithops' own handler, in this process.

    Lithops' own files lie in a folder of this process, ``scratch/<pid>``, as they would
    in a container: two executions of one call share none, and none is in the bucket.
    All else is as the run's driver had it. Calls of a run that has ended do not begin.

    :param asked: when another process of the service asked last whether the run has ended; ``time.monotonic()``
    :return: ``OVER`` if the run has ended, else 0
    :raises RuntimeError: its end could not be reported, so it has to be delivered again
    """
    field = payload['triggerflow']
    kept, why = _driver_of(payload)
    if kept is not None:
        # The credentials of a storage may be there
        driver.set_environment(kept)
    ending = Ending(payload['config'], run_of(field), asked)
    if ending.is_here():
        return OVER
    folder = os.path.join(scratch, str(os.getpid()))
    # Of a process of a service that was killed, whose id this one has now
    shutil.rmtree(folder, ignore_errors=True)
    private_folder(folder)
    handler.LITHOPS_TEMP_DIR = folder
    handler.MODULES_DIR = worker_utils.MODULES_DIR = os.path.join(folder, 'modules')
    with _log_of(payload['job_key']):
        # What cannot be had of the driver's is looked for here
        os.chdir(folder)
        if kept is None:
            logger.warning(
                'Run %s - nothing is known of its driver (%s): the environment is that of the local function service, '
                'and the working folder is %s',
                *(field['run_id'], why, folder),
            )
        else:
            _be_as_the_driver(payload, kept, folder)
        os.environ['__LITHOPS_ACTIVATION_ID'] = uuid.uuid4().hex[:12]
        os.environ['__LITHOPS_BACKEND'] = 'Localhost'
        stopped = _stop_between_calls(ending)
        handler.function_handler(payload)
    if stopped or (status.unreported and ending.is_here()):
        return OVER
    if status.unreported:
        raise RuntimeError(f'The end of {", ".join(status.unreported)} could not be reported')
    return 0


def report_chunk(payload: dict[str, Any], reason: str) -> int:
    """
    Reports the calls of a chunk, or an activation, as lost, unless its run has ended.

    :return: ``OVER`` if the run has ended, else 0
    """
    with_environment_of_driver(payload['config'], payload['triggerflow']['session'])
    if Ending(payload['config'], run_of(payload['triggerflow']), -math.inf).is_here():
        return OVER
    status.report_lost(payload, reason)
    return 0


def _stop_between_calls(ending: Ending) -> list[str]:
    """
    From here on the calls of a chunk do not begin when their run has ended.

    :return: the ids of those that did not begin
    """
    run_call = handler.prepare_and_run_task
    begun: list[str] = []
    stopped: list[str] = []

    def run_call_unless_over(task: Any) -> None:
        # Before the first one it was looked at a moment ago
        if stopped or (begun and ending.is_here()):
            stopped.append(task.call_id)
            return
        begun.append(task.call_id)
        run_call(task)

    handler.prepare_and_run_task = run_call_unless_over
    return stopped


def with_environment_of_driver(config: dict[str, Any], session: str) -> None:
    """What is done for a run, and not by it, may need its environment: the credentials of a storage may be there."""
    with contextlib.suppress(ValueError, OSError):
        kept = driver.driver_of(config, session)
        if kept:
            driver.set_environment(kept)


def _driver_of(payload: dict[str, Any]) -> tuple[dict[str, Any] | None, str]:
    """What there is of the run's driver; or else why there is nothing."""
    try:
        return driver.driver_of(payload['config'], payload['triggerflow']['session']), 'what was kept of it is gone'
    except ValueError as error:
        return None, str(error)


def _be_as_the_driver(payload: dict[str, Any], kept: dict[str, Any], folder: str) -> None:
    field = payload['triggerflow']
    try:
        driver.set_working_folder(kept)
    except OSError as error:
        logger.warning('Run %s - the working folder of its driver cannot be used: %s. It is %s', field['run_id'], error, folder)
    # Calls have what Lithops' own workers have
    if field['subject'] == ACTIVATION:
        driver.set_arguments(kept)
        driver.set_temporary_folder(payload['config'], field['session'])


@contextlib.contextmanager
def _log_of(job_key: str) -> Iterator[None]:
    """What is written meanwhile goes to the log of a job; there is nothing to be read."""
    private_folder(LOGS_DIR)
    with append_file(LOGS_DIR, f'{job_key}.log') as log, open(os.devnull) as nothing:
        log.reconfigure(line_buffering=True)
        os.dup2(nothing.fileno(), 0)
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        sys.stdin, sys.stdout, sys.stderr = nothing, log, log
        yield
        log.flush()
