"""
A home and a temporary folder of a benchmark's own, and the end of what ran there.

Lithops leaves a cleaner running for some seconds, a service ends when it notices
that its folder is gone, and a driver that hung leaves its workers: all of them
are known by the temporary folder in their environment.
"""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time


@contextlib.contextmanager
def home_of_its_own():
    """Set before Lithops is imported, for that is when it fixes its folders."""
    # Or nothing would be cleared away when somebody else's patience ends
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = tempfile.mkdtemp(prefix='triggerflow-benchmark-')
    for name in ('HOME', 'TMPDIR'):
        os.makedirs(path := os.path.join(folder, name.lower()))
        os.environ[name] = path
    for name in ('LITHOPS_CONFIG', 'LITHOPS_CONFIG_FILE'):
        os.environ.pop(name, None)
    tempfile.tempdir = None
    try:
        yield folder
    finally:
        deadline = time.monotonic() + 60
        while os.path.exists(folder) and time.monotonic() < deadline:
            _end_processes(folder)
            # One that waited for the disk when it was killed may have written something meanwhile
            shutil.rmtree(folder, ignore_errors=True)


def settle(timeout=60.0):
    """
    Waits until the local function service has nothing left to do.

    :raises TimeoutError: it has, after ``timeout`` seconds
    """
    from lithops.monitoring.backends.triggerflow.local_service import LocalService

    from triggerflow_lithops.deployment.config import service_folder

    queue = LocalService(service_folder()).queue
    deadline = time.monotonic() + timeout
    while os.path.isdir(queue) and os.listdir(queue):
        if time.monotonic() > deadline:
            raise TimeoutError(f'The service still had work after {timeout} s: {os.listdir(queue)} in {queue}.')
        time.sleep(0.02)


def processes(folder):
    """Those whose temporary folder is in ``folder``, which is nobody else's; this one left out."""
    import psutil

    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            temporary = process.environ().get('TMPDIR', '')
            if process.pid != os.getpid() and temporary.startswith(folder + os.sep):
                found.append(process)
    return found


def _end_processes(folder):
    import psutil

    # Again and again, for one of them may have been starting another
    for _ in range(10):
        left = processes(folder)
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        if not left:
            return
        psutil.wait_procs(left, timeout=1)
