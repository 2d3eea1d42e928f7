"""One invocation, in a process of its own: what a container is in the cloud."""

import os
import sys
import uuid
from typing import Any

import lithops.worker.handler as handler
import lithops.worker.utils as worker_utils
from lithops.constants import LOGS_DIR
from lithops.monitoring.backends.triggerflow import status


def run_chunk(payload: dict[str, Any], scratch: str) -> None:
    """
    Runs a Lithops payload by Lithops' own handler, in this process.

    Its files lie in a folder of its own, ``scratch/<pid>``, as they would in a
    container: two executions of one call share none, and none is in the bucket.

    :raises RuntimeError: its end could not be reported, so it has to be delivered again
    """
    folder = os.path.join(scratch, str(os.getpid()))
    os.makedirs(folder)
    os.chdir(folder)
    handler.LITHOPS_TEMP_DIR = folder
    handler.MODULES_DIR = worker_utils.MODULES_DIR = os.path.join(folder, 'modules')
    os.environ['__LITHOPS_ACTIVATION_ID'] = uuid.uuid4().hex[:12]
    os.environ['__LITHOPS_BACKEND'] = 'Localhost'
    os.makedirs(LOGS_DIR, exist_ok=True)
    with open(os.path.join(LOGS_DIR, f"{payload['job_key']}.log"), 'a', buffering=1) as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        sys.stdout = sys.stderr = log
        handler.function_handler(payload)
        log.flush()
    if status.unreported:
        raise RuntimeError(f"The end of {', '.join(status.unreported)} could not be reported")
