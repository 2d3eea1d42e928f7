"""
One invocation in an interpreter of its own: what a cold start is in the cloud.

Nothing that ran before can be seen there, no module that was loaded, and the order of a set is
another one. The service starts it where ``fresh_interpreters`` is set, and knows it by its process only.
"""

import logging
import os
import signal
import sys
from typing import NoReturn

from lithops.monitoring.backends.triggerflow.invocations import read_invocation
from lithops.monitoring.backends.triggerflow.private import keep_files_private, umask_of_before

from .turns import Chunk

#: Signals that the service ignores, and a program that it starts would ignore, too
_DEFAULT = (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ)
_REDELIVERED = 'redelivered'


def set_up(folder: str) -> None:
    """What each interpreter of a service begins with. The folder that it stands in is no part of it."""
    sys.path[:] = [entry for entry in sys.path if entry not in ('', folder)]
    logging.basicConfig(level=logging.INFO, format='%(asctime)s [%(levelname)s] %(message)s')


def start_alone(chunk: Chunk, folder: str, scratch: str) -> int:
    """
    Starts an interpreter that runs a chunk.

    :param folder: of the service
    :param scratch: folder in which each process has one
    :return: the id of its process, which leads a group of its own
    """
    asked = chunk.of.path, str(chunk.number), _REDELIVERED if chunk.redelivered else 'delivered', scratch
    command = [sys.executable, '-m', 'triggerflow_lithops.local_service', folder, *asked]
    with umask_of_before():
        # Of the service's own environment: in that lies the bucket. The driver's is set there
        return os.posix_spawn(sys.executable, command, os.environ, setpgroup=0, setsigdef=_DEFAULT)


def run_alone(folder: str, path: str, number: str, delivered: str, scratch: str) -> NoReturn:
    """Runs one chunk of a file of the queue, and ends this process as one does that the service has forked."""
    code = 1
    try:
        set_up(folder)
        keep_files_private()
        # What it loads takes half a second, and may not be there
        from .run_chunk import run_chunk

        code = run_chunk(read_invocation(path).chunk_payload(int(number), delivered == _REDELIVERED), scratch)
    except BaseException:
        logging.getLogger(__name__).exception('An invocation failed')
    finally:
        os._exit(code)
