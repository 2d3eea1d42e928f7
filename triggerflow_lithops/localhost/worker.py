"""One invocation, in a process of its own: what a container is in the cloud."""

import contextlib
import logging
import os
import sys
import uuid
from typing import Any, Iterator

import lithops.worker.handler as handler
import lithops.worker.utils as worker_utils
from lithops.constants import LOGS_DIR
from lithops.monitoring.backends.triggerflow import driver, status
from lithops.monitoring.backends.triggerflow.invoke import ACTIVATION, run_of
from lithops.monitoring.backends.triggerflow.private import append_file, private_folder
from lithops.monitoring.backends.triggerflow.sweep import is_over

logger = logging.getLogger(__name__)


def run_chunk(payload: dict[str, Any], scratch: str) -> None:
    """
    Runs a Lithops payload by Lithops' own handler, in this process.

    Lithops' own files lie in a folder of this process, ``scratch/<pid>``, as they would
    in a container: two executions of one call share none, and none is in the bucket.
    All else is as the run's driver had it.

    :raises RuntimeError: its end could not be reported, so it has to be delivered again
    """
    field = payload['triggerflow']
    kept, why = _driver_of(payload)
    if kept is None and is_over(payload['config'], run_of(field)):
        # It was waiting when its run ended: what it would do changes nothing any more
        logger.info('Run %s has ended: %s %s is dropped', field['run_id'], payload['job_key'], ', '.join(payload['call_ids']))
        return
    folder = os.path.join(scratch, str(os.getpid()))
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
        handler.function_handler(payload)
    if status.unreported:
        raise RuntimeError(f"The end of {', '.join(status.unreported)} could not be reported")


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
    driver.set_environment(kept)
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
