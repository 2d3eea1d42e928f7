"""
The service's loop: accept, start, reap, and end when idle.

One thread, so that every fork is safe. A call runs in a process forked from this
one, which has Lithops imported already. At least once: what a service had begun that
was killed is run again. A process that was killed is reported as lost, and so is one
that outlives its time.

A *quiet* run, one that has not ended and of which nothing is here, has lost
something: it is swept. What waits for a run that has ended is dropped.

What goes wrong with one invocation concerns that one only: nothing in a file that was
accepted may end the loop.
"""

import contextlib
import errno
import fcntl
import functools
import json
import logging
import math
import os
import re
import select
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import IO, Callable

import psutil
from lithops.constants import LITHOPS_TEMP_DIR, USER_TEMP_DIR
from lithops.localhost.utils import copy_lithops_package
from lithops.localhost.v2.localhost import LITHOPS_LOCATION, RUNNER_FILE
from lithops.monitoring.backends.triggerflow.core.wording import beginning
from lithops.monitoring.backends.triggerflow.invocations import Invocation
from lithops.monitoring.backends.triggerflow.local_service import ACCEPTED, LocalService, make_bell
from lithops.monitoring.backends.triggerflow.private import append_file, keep_files_private, open_fifo, private_folder
from lithops.monitoring.backends.triggerflow.status import GRACE
from lithops.monitoring.backends.triggerflow.sweep import seems_over

from .idle_runs import IdleRuns, sweep_idle_run
from .interpreter import set_up, start_alone
from .leftovers import clean_folders, clean_scratch, forget_drivers_of_ended_runs, may_be_left_behind
from .metadata import is_written, write_runtime_metadata
from .queue import Queue, shortage_tolerated
from .run_chunk import ASK, OVER, report_chunk, run_chunk
from .turns import Chunk

logger = logging.getLogger(__name__)

#: Seconds between two looks at the queue, in case that a ring was lost
LOOK = 1.0
#: Seconds between two looks around: for processes that are overdue, for runs that are quiet, and for those that have ended
AROUND = 0.5
#: How many runs are looked at then. A look takes a twentieth of a millisecond
FEW = 100
#: Seconds between two tries to report that a process was lost: at first, and at the most
REPORT = (0.5, 60.0)
#: How often that is tried, before it is left to a sweep
MAX_REPORTS = 12
#: Seconds after which a service that does not answer its bell, and stands still, is killed; and one that is at work.
#: What it had begun goes on, or begins again
DEAF = (10.0, 60.0)
#: Name of the file that is locked while a service lives in a folder. Its process is written there
LOCK = 'lock'
#: Bytes of the log of processes, after which it starts anew
LOG_LIMIT = 8 * 1024 * 1024
#: Bytes that a bell holds. Once it was nearly full a ring may have been lost
BELL = 65536

_RUNG = re.compile(rf'[A-Za-z0-9._-]+{re.escape(ACCEPTED)}')


@dataclass
class Process:
    """A process that runs a chunk, or reports that it was lost; or that sweeps a run; or that clears away."""

    chunk: Chunk | None
    sweeps: str = ''
    started: float = field(default_factory=time.time)


class Service:
    """
    :param folder: of the service. One service lives in a folder at a time
    :param lock: file that is locked while it lives
    """

    def __init__(self, folder: str, lock: IO[str]):
        self.endpoint = LocalService(folder)
        self._lock = lock
        self.scratch = os.path.join(folder, 'scratch')
        self._bell = -1
        self._queue = Queue(self.endpoint.queue)
        self._idle_runs = IdleRuns(os.path.join(folder, 'runs'))
        self._running: dict[int, Process] = {}
        self._starting = True
        self._idle_seconds = 30.0
        self._last_work = time.monotonic()
        # Names of files that may be new in the queue; None: it is to be looked through
        self._rung: list[str] | None = None
        self._looked = self._looked_around = -math.inf
        # Of runs at which nobody has looked around whether they have ended
        self._unlooked: list[Invocation] = []
        # When it was last asked whether a run has ended, by session
        self._asked: dict[str, float] = {}

    def run(self) -> None:
        """Serves until there is nothing to do for a while."""
        self._open_bell()
        self._answer(True)
        self._clear_away()
        wakeup, self._wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wakeup)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            while self._has_its_folder():
                self._accept()
                self._starting = False
                around = time.monotonic() - self._looked_around > AROUND
                if around:
                    self._looked_around = time.monotonic()
                    self._kill_overdue()
                    self._drop_ended()
                with shortage_tolerated('start a process'):
                    self._start()
                    if around:
                        self._sweep()
                if self._running or self._queue or self._idle_runs:
                    self._last_work = time.monotonic()
                elif time.monotonic() - self._last_work > self._idle_seconds and self._leave():
                    return
                ready, _, _ = select.select([self._bell, wakeup], [], [], self._queue.until_next_due(LOOK))
                if wakeup in ready:
                    os.read(wakeup, BELL)
                self._answer(self._bell in ready)
                self._reap()
        finally:
            if not self._has_its_folder():
                # And with it all that a process could report to
                for pid in self._running:
                    _kill_group(pid)

    def _clear_away(self) -> None:
        home = os.path.dirname(self.endpoint.folder)
        if not may_be_left_behind(home):
            return
        with shortage_tolerated('clear away what is left of runs'):
            self._running[self._fork_to(functools.partial(forget_drivers_of_ended_runs, home))] = Process(None)

    def _has_its_folder(self) -> bool:
        """Whether its folder was not removed, nor made anew for another service."""
        with contextlib.suppress(OSError):
            return os.path.samestat(os.fstat(self._lock.fileno()), os.stat(os.path.join(self.endpoint.folder, LOCK)))
        return False

    # The queue

    def _open_bell(self) -> None:
        folder, name = os.path.split(self.endpoint.bell)
        make_bell(self.endpoint.bell)
        # Also open for writing: without writers a FIFO is always ready to be read
        self._bell = open_fifo(folder, name, os.O_RDWR)

    def _answer(self, rung: bool) -> None:
        if not os.path.exists(self.endpoint.bell):
            # Somebody cleaned up: whoever rings would start a second service
            os.close(self._bell)
            self._open_bell()
        if rung:
            self._hear()
            with shortage_tolerated('answer the bell'):
                if not is_written(self.endpoint.folder):
                    write_runtime_metadata(self.endpoint.folder)
                self.endpoint.acknowledge()

    def _hear(self) -> None:
        """Which files are new. Whoever only rings, or is not heard in full, has all of the queue looked through."""
        said = b''
        with contextlib.suppress(BlockingIOError):
            said = os.read(self._bell, BELL)
        names = said.decode('ascii', 'replace').splitlines()
        if self._rung is None or len(said) > BELL // 2 or not all(map(_RUNG.fullmatch, names)):
            self._rung = None
        else:
            self._rung += names

    def _leave(self) -> bool:
        """Ends, unless somebody rings just now. The bell goes before the last look."""
        os.close(self._bell)
        if self._queue.new_files():
            self._open_bell()
            self._rung = None
            return False
        return True

    def _accept(self) -> None:
        if time.monotonic() - self._looked > LOOK:
            self._rung = None
        names, self._rung = self._rung, []
        if names is None:
            self._looked = time.monotonic()
        for invocation in self._queue.accept(self._starting, names):
            self._idle_runs.add(invocation)
            self._idle_seconds = invocation.idle_seconds

    def _drop_ended(self) -> None:
        self._unlooked = self._unlooked or self._queue.runs()
        for invocation in self._unlooked[:FEW]:
            if seems_over(invocation.config, invocation.run):
                self._drop(invocation.session)
        del self._unlooked[:FEW]
        self._asked = {session: asked for session, asked in self._asked.items() if session in self._queue.sessions}

    def _drop(self, session: str) -> None:
        dropped = self._queue.drop(session)
        if dropped:
            logger.info('Run %s has ended: what waits for it is dropped, %d invocations', session, dropped)

    # Processes

    def _start(self) -> None:
        self._queue.take_due()
        while self._queue.activations:
            chunk = self._queue.activations[0]
            self._begin(chunk)
            self._queue.activations.popleft()
        calls = sum(not process.chunk.is_activation for process in self._running.values() if process.chunk)
        while self._queue.calls and calls < self._queue.calls.first().of.invocation.slots:
            chunk = self._queue.calls.first()
            if seems_over(chunk.of.invocation.config, chunk.of.invocation.run):
                self._drop(chunk.session)
                continue
            calls += self._begin(chunk)
            self._queue.calls.take()

    def _begin(self, chunk: Chunk) -> bool:
        """
        Starts a process for a chunk. Whether there is one, or the chunk was given up.

        :raises OSError: that cannot be done now: it waits on
        """
        try:
            self._running[self._process_of(chunk)] = Process(chunk)
            return True
        except OSError:
            raise
        except Exception as error:
            self._give_up(chunk, error)
            return False

    def _process_of(self, chunk: Chunk) -> int:
        payload = chunk.of.invocation.chunk_payload(chunk.number, chunk.redelivered)
        if chunk.lost:
            return self._fork_to(functools.partial(report_chunk, payload, chunk.lost), chunk)
        asked = self._asked.get(chunk.session, -math.inf)
        if time.monotonic() - asked > ASK:
            self._asked[chunk.session] = time.monotonic()
        if chunk.is_fresh:
            return start_alone(chunk, self.endpoint.folder, self.scratch)
        return self._fork_to(functools.partial(run_chunk, payload, self.scratch, asked), chunk)

    def _give_up(self, chunk: Chunk, error: Exception) -> None:
        """What this service cannot do with a chunk, it cannot do later either. A process reports that, or a sweep finds out."""
        logger.error('%s of run %s is given up', chunk, chunk.session, exc_info=error)
        if chunk.lost:
            self._queue.finish(chunk)
            return
        chunk.lost = f'The local function service could not run it: {type(error).__name__}: {beginning(str(error))}'
        self._queue.add(chunk, time.time() + REPORT[0])

    def _fork_to(self, work: Callable[[], int], chunk: Chunk | None = None) -> int:
        """Does ``work``, of a chunk, in a process of its own, which exits with what that returns."""
        pid = os.fork()
        if pid:
            return pid
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.setpgid(0, 0)
            # Or this process would pass for the service when that one is gone
            os.close(self._bell)
            self._lock.close()
            os._exit(work())
        except BaseException:
            logger.exception('%s failed', f'{chunk} of run {chunk.session}' if chunk else 'A process of the service')
            os._exit(1)

    def _kill_overdue(self) -> None:
        """What should have been over long ago never will be."""
        for pid, process in self._running.items():
            chunk = process.chunk
            life = chunk.of.invocation.life(chunk.number) + GRACE if chunk else GRACE
            if time.time() - process.started > life:
                _kill_group(pid)

    def _reap(self) -> None:
        while self._running:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            process = self._running.pop(ended.si_pid, None)
            if process and process.chunk and (process.chunk.is_activation or ended.si_code != os.CLD_EXITED or ended.si_status):
                # A suspension leaves nothing behind; and what a call had started that was lost must not go on as if
                # it could report. Before its id is given up: it might be another group's a moment later
                _kill_group(ended.si_pid)
            _, status = os.waitpid(ended.si_pid, 0)
            if process:
                self._ended(ended.si_pid, process, os.waitstatus_to_exitcode(status))

    def _ended(self, pid: int, process: Process, code: int) -> None:
        if process.chunk is None:
            if process.sweeps:
                self._idle_runs.swept(process.sweeps, code)
            if code == OVER:
                self._drop(process.sweeps)
            return
        self._note(pid, process.chunk, process.started, code)
        shutil.rmtree(os.path.join(self.scratch, str(pid)), ignore_errors=True)
        if code == OVER:
            self._queue.finish(process.chunk)
            self._drop(process.chunk.session)
        elif code and process.chunk.reports < MAX_REPORTS:
            self._report(process.chunk, code)
        else:
            if code:
                logger.error('%s of run %s cannot be reported as lost: a sweep finds it', process.chunk, process.chunk.session)
            self._queue.finish(process.chunk)

    def _report(self, chunk: Chunk, code: int) -> None:
        """Nobody else will report ``chunk``: another process does."""
        wait = 0.0
        if chunk.lost:
            wait = min(REPORT[1], REPORT[0] * 2.0**chunk.reports)
            chunk.reports += 1
        else:
            chunk.lost = f'Its process was killed by {_signal_name(-code)}' if code < 0 else 'Its end could not be reported'
        chunk.redelivered = True
        said = 'could not be reported as lost, which is tried again' if chunk.reports else chunk.lost
        logger.warning('%s of run %s: %s', chunk, chunk.session, said)
        self._queue.add(chunk, time.time() + wait)

    def _sweep(self) -> None:
        swept = {process.sweeps for process in self._running.values() if process.chunk is None}
        for session in self._idle_runs.due(swept | self._queue.sessions.keys()):
            sweep = functools.partial(sweep_idle_run, **self._idle_runs.run_of(session))
            self._running[self._fork_to(sweep)] = Process(None, session)

    def _note(self, pid: int, chunk: Chunk, started: float, code: int) -> None:
        payload = chunk.of.invocation.chunk_payload(chunk.number, chunk.redelivered)
        line = {
            'pid': pid,
            'subject': payload['triggerflow']['subject'],
            'session': payload['triggerflow']['session'],
            'job': payload['job_key'],
            'calls': payload['call_ids'],
            'memory': payload.get('runtime_memory'),
            'started': started,
            'ended': time.time(),
            'code': code,
            # It ran nothing, but told that an earlier process was lost
            'reports': bool(chunk.lost),
        }
        with shortage_tolerated('note a process'), append_file(*os.path.split(processes_log(self.endpoint.folder))) as log:
            if log.tell() > LOG_LIMIT:
                log.truncate(0)
            log.write(json.dumps(line) + '\n')


def _signal_name(number: int) -> str:
    with contextlib.suppress(ValueError):
        return signal.Signals(number).name
    return f'signal {number}'


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def processes_log(folder: str) -> str:
    """Path of the service's log: a line of JSON for each process that ended."""
    return os.path.join(folder, 'processes.jsonl')


def serve(folder: str) -> None:
    """Runs the service of ``folder``, unless another process does."""
    set_up(folder)
    keep_files_private()
    if not os.path.abspath(folder).startswith(os.path.join(LITHOPS_TEMP_DIR, '')):
        _start_again_at_home(folder)
        return
    ours = (os.path.dirname(folder), folder, os.path.join(folder, 'queue'), os.path.join(folder, 'scratch'))
    for private in (LITHOPS_TEMP_DIR, *ours):
        private_folder(private)
    with append_file(folder, LOCK, 'a+') as lock:
        if not _locked(lock, folder):
            return
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        clean_scratch(os.path.join(folder, 'scratch'))
        clean_folders(folder)
        write_runtime_metadata(folder)
        _prepare_nested_executors()
        logger.info('The local function service starts: pid %d', os.getpid())
        Service(folder, lock).run()
        logger.info('The local function service ends: idle')


def _start_again_at_home(folder: str) -> None:
    """While a disk is full Python takes another temporary folder, and Lithops' buckets lie in the one that it took."""
    home, found, _ = os.path.abspath(folder).partition(os.path.join(os.sep, USER_TEMP_DIR, ''))
    while found and os.path.isdir(folder):
        with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=home) as file:
            file.write(bytes(4096))
            file.flush()
            command = [sys.executable, '-m', 'triggerflow_lithops.local_service', folder]
            os.execve(sys.executable, command, {**os.environ, 'TMPDIR': home})
        time.sleep(LOOK)
    logger.error('The local function service of %s would look for buckets in %s: it ends', folder, LITHOPS_TEMP_DIR)


def _locked(lock: IO[str], folder: str) -> bool:
    """Waits for a service that is just ending. One that answers the bell is alive; one that has it and does not is killed."""
    began = time.monotonic()
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
        if LocalService(folder).is_responsive(timeout=0.5):
            return False
        time.sleep(0.02)
        holder, deaf = _holder(lock), time.monotonic() - began
        if deaf > DEAF[_is_at_work(holder)]:
            logger.error('The local function service, pid %d, has not answered for %.0f s: it is killed', holder, deaf)
            if holder:
                _kill(holder)
            began = time.monotonic()


def _holder(lock: IO[str]) -> int:
    """The process that has locked a file and has written its id there. 0 if that is damaged, or is another process by now."""
    os.lseek(lock.fileno(), 0, os.SEEK_SET)
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        pid = int(os.read(lock.fileno(), 20))
        if any(os.path.samefile(file.path, lock.name) for file in psutil.Process(pid).open_files()):
            return pid
    return 0


def _is_at_work(pid: int) -> bool:
    """Whether a process waits for a processor or a disk only: on a machine that is busy, it may for long."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).status() in (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)
    return False


def _prepare_nested_executors() -> None:
    """
    A plain executor inside a call copies Lithops to the temporary folder, unless a
    copy is there. Several at once take it away from under each other.
    """
    if not os.path.isfile(RUNNER_FILE):
        copy_lithops_package(LITHOPS_LOCATION, os.path.join(LITHOPS_LOCATION, 'localhost', 'v2', 'runner.py'), RUNNER_FILE)
