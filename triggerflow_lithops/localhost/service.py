"""
The service's loop: accept, start, reap, and end when idle.

One thread, so that every fork is safe. A call runs in a process forked from this
one, which has Lithops imported already. What is accepted is a file in the queue;
it is removed when all of its chunks are done, so a service that was killed goes on
where it was. At least once: a chunk whose process was killed is run again.
"""

import contextlib
import errno
import fcntl
import json
import logging
import os
import select
import shutil
import signal
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import IO, Any, Iterator

from lithops.localhost.utils import copy_lithops_package
from lithops.localhost.v2.localhost import LITHOPS_LOCATION, RUNNER_FILE
from lithops.monitoring.backends.triggerflow.localhost import Door
from lithops.monitoring.backends.triggerflow.status import report_lost
from lithops.worker.utils import get_runtime_metadata

from .worker import run_chunk

logger = logging.getLogger(__name__)

#: Seconds between two looks at the queue, in case that a ring was lost
LOOK = 1.0
#: How often one chunk is run whose process was killed, before it is reported as failed
MAX_TRIES = 3
#: Bytes of the log of processes, after which it starts anew
LOG_LIMIT = 8 * 1024 * 1024


@dataclass
class Accepted:
    """One file of the queue: a payload, and the chunks of it that are not done."""

    path: str
    payload: dict[str, Any]
    chunks: list[dict[str, Any]]
    left: int


@dataclass
class Chunk:
    """One invocation: a chunk of calls, or an activation."""

    of: Accepted
    number: int
    tries: int = 0
    redelivered: bool = False
    given_up: bool = False

    @property
    def is_activation(self) -> bool:
        """Whether this runs an orchestrator. Such a one never waits for a slot."""
        return bool(self.of.payload['triggerflow']['subject'] == 'activation')

    @property
    def slots(self) -> int:
        """How many calls may be under way when this one has started."""
        return int(self.of.payload['config']['localhost']['worker_processes'])

    def payload(self) -> dict[str, Any]:
        """The whole Lithops payload of this invocation."""
        field = {**self.of.payload['triggerflow'], 'redelivered': self.redelivered}
        return {**self.of.payload, **self.of.chunks[self.number], 'triggerflow': field}


@dataclass
class Process:
    """A process that runs a chunk."""

    chunk: Chunk
    started: float = field(default_factory=time.time)


class Service:
    """
    :param folder: of the service. One service lives in a folder at a time
    :param lock: file that is locked while it lives
    """

    def __init__(self, folder: str, lock: IO[str]):
        self.door = Door(folder)
        self._lock = lock
        self.scratch = os.path.join(folder, 'scratch')
        self._bell = -1
        self._known: set[str] = set()
        self._activations: deque[Chunk] = deque()
        self._calls: deque[Chunk] = deque()
        self._running: dict[int, Process] = {}
        self._starting = True
        self._idle_seconds = 30.0
        self._last_work = time.monotonic()

    def run(self) -> None:
        """Serves until there is nothing to do for a while."""
        self._open_bell()
        self._answer(True)
        wakeup, self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wakeup)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while os.path.isdir(self.door.folder):
            self._accept()
            self._starting = False
            self._start()
            if self._running:
                self._last_work = time.monotonic()
            elif time.monotonic() - self._last_work > self._idle_seconds and self._leave():
                return
            ready, _, _ = select.select([self._bell, wakeup], [], [], LOOK)
            for descriptor in ready:
                os.read(descriptor, 4096)
            self._answer(self._bell in ready)
            self._reap()
        # The folder is gone, and with it all that a process could report to
        for pid in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    # The queue

    def _open_bell(self) -> None:
        if not os.path.exists(self.door.bell):
            os.mkfifo(self.door.bell, 0o600)
        # Also open for writing: without writers a FIFO is always ready to be read
        self._bell = os.open(self.door.bell, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)

    def _answer(self, rung: bool) -> None:
        if not os.path.exists(self.door.bell):
            # Somebody cleaned up: whoever rings would start a second service
            os.close(self._bell)
            self._open_bell()
        if rung:
            with _full_disk_tolerated('answer the bell'):
                self.door.heard()

    def _leave(self) -> bool:
        """Ends, unless somebody rings just now. The bell goes before the last look."""
        os.close(self._bell)
        if self._new_files():
            self._open_bell()
            return False
        return True

    def _new_files(self) -> list[str]:
        try:
            names = os.listdir(self.door.queue)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name.endswith('.json') and name not in self._known)

    def _accept(self) -> None:
        for name in self._new_files():
            self._known.add(name)
            path = os.path.join(self.door.queue, name)
            with open(path) as accepted:
                document = json.load(accepted)
            payload, chunks = document['payload'], document['chunks']
            done = _done_already(path)
            of = Accepted(path, payload, chunks, len(chunks) - len(done))
            self._idle_seconds = payload['config']['triggerflow']['idle_seconds']
            for number in range(len(chunks)):
                if number not in done:
                    # A service that was killed may have begun with it already
                    self._enqueue(Chunk(of, number, redelivered=self._starting))
            if not of.left:
                self._forget(of)

    def _enqueue(self, chunk: Chunk) -> None:
        (self._activations if chunk.is_activation else self._calls).append(chunk)

    def _finish(self, chunk: Chunk) -> None:
        """Notes that a chunk is done, so that it is not run again after a restart."""
        chunk.of.left -= 1
        if not chunk.of.left:
            self._forget(chunk.of)
            return
        with _full_disk_tolerated('note what is done'), open(f'{chunk.of.path}.done', 'a') as done:
            done.write(f'{chunk.number}\n')

    def _forget(self, of: Accepted) -> None:
        with _full_disk_tolerated('forget what is done'):
            for path in (of.path, f'{of.path}.done'):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            self._known.discard(os.path.basename(of.path))

    # Processes

    def _start(self) -> None:
        while self._activations:
            self._fork(self._activations.popleft())
        calls = sum(not process.chunk.is_activation for process in self._running.values())
        while self._calls and calls < self._calls[0].slots:
            self._fork(self._calls.popleft())
            calls += 1

    def _fork(self, chunk: Chunk) -> None:
        chunk.tries += 1
        pid = os.fork()
        if pid:
            self._running[pid] = Process(chunk)
            return
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.setpgid(0, 0)
            # Or this process would pass for the service when that one is gone
            os.close(self._bell)
            self._lock.close()
            if chunk.given_up:
                report_lost(chunk.payload(), f'Its process was killed, or could not report, {MAX_TRIES} times')
            else:
                run_chunk(chunk.payload(), self.scratch)
        except BaseException:
            logger.exception('An invocation failed')
            os._exit(1)
        os._exit(0)

    def _reap(self) -> None:
        while self._running:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            process = self._running.pop(pid, None)
            if process is None:
                continue
            code = os.waitstatus_to_exitcode(status)
            self._note(pid, process, code)
            shutil.rmtree(os.path.join(self.scratch, str(pid)), ignore_errors=True)
            if code and not process.chunk.given_up:
                process.chunk.redelivered = True
                process.chunk.given_up = process.chunk.tries >= MAX_TRIES
                self._enqueue(process.chunk)
            else:
                self._finish(process.chunk)

    def _note(self, pid: int, process: Process, code: int) -> None:
        payload = process.chunk.payload()
        line = {
            'pid': pid,
            'subject': payload['triggerflow']['subject'],
            'session': payload['triggerflow']['session'],
            'job': payload['job_key'],
            'calls': payload['call_ids'],
            'started': process.started,
            'ended': time.time(),
            'code': code,
        }
        with _full_disk_tolerated('note a process'), open(processes_log(self.door.folder), 'a') as log:
            if log.tell() > LOG_LIMIT:
                log.truncate(0)
            log.write(json.dumps(line) + '\n')


@contextlib.contextmanager
def _full_disk_tolerated(what: str) -> Iterator[None]:
    """What the service notes for itself saves work. It goes on without."""
    try:
        yield
    except OSError as error:
        logger.warning('Could not %s: %s', what, error)


def processes_log(folder: str) -> str:
    """Path of the service's log: a line of JSON for each process that ended."""
    return os.path.join(folder, 'processes.jsonl')


def metadata_file(folder: str) -> str:
    """Path of what the service's interpreter has: a Lithops runtime's metadata."""
    return os.path.join(folder, 'runtime.json')


def runtime_metadata(folder: str, timeout: float = 60.0) -> dict[str, Any]:
    """
    What the interpreter of the service has installed. Starts the service.

    :param timeout: seconds to wait for it
    :return: Lithops' metadata of a runtime: 'preinstalls', versions
    :raises TimeoutError: the service did not start
    """
    path = metadata_file(folder)
    door = Door(folder)
    deadline = time.monotonic() + timeout
    door.ring()
    while True:
        try:
            with open(path) as metadata:
                found: dict[str, Any] = json.load(metadata)
                return found
        except FileNotFoundError:
            if time.monotonic() > deadline:
                log = os.path.join(folder, 'service.log')
                raise TimeoutError(f'The local function service did not start in {timeout} s; {log} says why.') from None
            time.sleep(0.02)


def serve(folder: str) -> None:
    """Runs the service of ``folder``, unless another process does."""
    logging.basicConfig(level=logging.INFO, format='%(asctime)s [%(levelname)s] %(message)s')
    os.makedirs(os.path.join(folder, 'queue'), mode=0o700, exist_ok=True)
    with open(os.path.join(folder, 'lock'), 'w') as lock:
        if not _locked(lock, folder):
            return
        shutil.rmtree(os.path.join(folder, 'scratch'), ignore_errors=True)
        _write_metadata(folder)
        _prepare_nested_executors()
        logger.info('The local function service starts: pid %d', os.getpid())
        Service(folder, lock).run()
        logger.info('The local function service ends: idle')


def _locked(lock: IO[str], folder: str) -> bool:
    """Waits for a service that is just ending. One that answers the bell is alive."""
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if Door(folder).knock():
            return False
        time.sleep(0.02)


def _write_metadata(folder: str) -> None:
    path = metadata_file(folder)
    # The folder that the service stands in is no part of its interpreter
    sys.path[:] = [entry for entry in sys.path if entry not in ('', folder)]
    with open(f'{path}.new', 'w') as metadata:
        json.dump(get_runtime_metadata(), metadata)
    os.rename(f'{path}.new', path)


def _prepare_nested_executors() -> None:
    """
    A plain executor inside a call copies Lithops to the temporary folder, unless a
    copy is there. Several at once take it away from under each other.
    """
    if not os.path.isfile(RUNNER_FILE):
        copy_lithops_package(LITHOPS_LOCATION, os.path.join(LITHOPS_LOCATION, 'localhost', 'v2', 'runner.py'), RUNNER_FILE)


def _done_already(path: str) -> set[int]:
    try:
        with open(f'{path}.done') as done:
            return {int(line) for line in done if line.strip()}
    except FileNotFoundError:
        return set()
