"""What the service's interpreter has: the metadata of a Lithops runtime."""

import json
import os
import time
from typing import Any

from lithops.monitoring.backends.triggerflow.documents import DamagedFile, read_document, text, unexpected
from lithops.monitoring.backends.triggerflow.local_service import LocalService
from lithops.monitoring.backends.triggerflow.private import write_file
from lithops.worker.utils import get_runtime_metadata

from .queue import put_aside

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
    endpoint = LocalService(folder)
    deadline, rung = time.monotonic() + timeout, 0.0
    while True:
        if time.monotonic() - rung > RING:
            # One that could not start (the disk was full) is started again
            endpoint.notify()
            rung = time.monotonic()
        try:
            return read_metadata(_file(folder))
        except FileNotFoundError:
            if time.monotonic() > deadline:
                log = os.path.join(folder, 'service.log')
                raise TimeoutError(f'The local function service did not start in {timeout} s; {log} says why.') from None
            time.sleep(0.02)
        except DamagedFile as damaged:
            # A service that is asked, and has it no more, writes it again
            put_aside(_file(folder), f'is not what a service has written: {damaged}')
            endpoint.notify()
            time.sleep(0.02)


def read_metadata(path: str) -> dict[str, Any]:
    """
    What :func:`write_runtime_metadata` has written.

    :raises DamagedFile: it is something else
    :raises FileNotFoundError: it is missing
    """
    found: dict[str, Any] = read_document(path)
    modules = found.get('preinstalls')
    if not isinstance(modules, list) or not all(_is_module(module) for module in modules):
        raise unexpected("'preinstalls'", modules, 'a list of modules')
    for name in ('python_version', 'lithops_version'):
        text(found.get(name), f"'{name}'")
    return found


def _is_module(found: Any) -> bool:
    return isinstance(found, list) and len(found) == 2 and isinstance(found[0], str) and isinstance(found[1], bool)


def write_runtime_metadata(folder: str) -> None:
    """What this interpreter, the service's, has."""
    path = _file(folder)
    try:
        read_metadata(path)
    except FileNotFoundError:
        pass
    except DamagedFile as damaged:
        put_aside(path, f'is not what a service has written: {damaged}')
    write_file(folder, FILE, json.dumps(get_runtime_metadata()))


def is_written(folder: str) -> bool:
    """Whether anything is there, as far as one look shows."""
    return os.path.lexists(_file(folder))


def _file(folder: str) -> str:
    return os.path.join(folder, FILE)
