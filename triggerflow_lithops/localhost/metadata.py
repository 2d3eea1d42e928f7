"""What the service's interpreter has: the metadata of a Lithops runtime."""

import json
import os
import time
from typing import Any

from lithops.monitoring.backends.triggerflow.localhost import Door
from lithops.monitoring.backends.triggerflow.private import read_file, write_file
from lithops.worker.utils import get_runtime_metadata

#: Its name, in the folder of the service
FILE = 'runtime.json'
#: Seconds after which a service that has not answered is started again
RING = 5.0


def runtime_metadata(folder: str, timeout: float = 60.0) -> dict[str, Any]:
    """
    What the interpreter of the service has installed. Starts the service.

    :param timeout: seconds to wait for it
    :return: Lithops' metadata of a runtime: 'preinstalls', versions
    :raises TimeoutError: the service did not start
    """
    door = Door(folder)
    deadline, rung = time.monotonic() + timeout, 0.0
    while True:
        if time.monotonic() - rung > RING:
            # One that could not start (the disk was full) is started again
            door.ring()
            rung = time.monotonic()
        try:
            found: dict[str, Any] = json.loads(read_file(folder, FILE))
            return found
        except FileNotFoundError:
            if time.monotonic() > deadline:
                log = os.path.join(folder, 'service.log')
                raise TimeoutError(f'The local function service did not start in {timeout} s; {log} says why.') from None
            time.sleep(0.02)


def write_runtime_metadata(folder: str) -> None:
    """What this interpreter, the service's, has."""
    write_file(folder, FILE, json.dumps(get_runtime_metadata()))
