#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
#
"""
How a client or a worker reaches the local function service, and hands it an invocation.

The whole invocation is on disk before submitting it returns, so it is kept if either side is
killed. A FIFO is the bell of the service: if nobody listens at it, there is no service, and
the process that rings it starts one. No port is needed.
"""

import contextlib
import errno
import fnmatch
import glob
import logging
import os
import shutil
import stat
import subprocess
import sys
import time
import uuid
from typing import Any, Callable, Dict, Iterator, List, Set, Tuple

from .core.run.keys import Call
from .documents import DamagedFile, read_text
from .driver import PRIVATE
from .invocations import Invocation, chunks_done, documents_of, read_invocation
from .private import WrongKind, append_file, create_file, make_fifo, open_fifo, open_file, open_folder, private_folder
from .unfinished import own, unfinished_name

logger = logging.getLogger(__name__)

#: Patterns of the variables that the service itself has of the environment of the program that happens to
#: start it: what an interpreter, and the libraries in it, read when they start. No other variable reaches
#: it, so that no secret of one program reaches another one; each run has those of its own driver
ENVIRONMENT = (
    # Who runs it, and where programs, files and texts are
    *('PATH', 'HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'LANGUAGE', 'LC_*', 'TZ', 'TZDIR', 'TMPDIR', 'TEMP', 'TMP'),
    # Python, and environments of it
    *('PYTHON*', 'VIRTUAL_ENV', 'CONDA_PREFIX', 'COVERAGE*', 'COV_*'),
    # How libraries are found, and how memory is given out
    *('LD_LIBRARY_PATH', 'LD_PRELOAD', 'DYLD_*', 'MALLOC_*', 'OBJC_DISABLE_INITIALIZE_FORK_SAFETY'),
    # Whom connections trust
    *('SSL_CERT_FILE', 'SSL_CERT_DIR', 'REQUESTS_CA_BUNDLE', 'CURL_CA_BUNDLE', 'AWS_CA_BUNDLE'),
    # How many threads a library of numbers starts
    *('*_NUM_THREADS', 'OMP_*', 'OPENBLAS_*', 'MKL_*', 'BLIS_*', 'NUMEXPR_*'),
    # What counts requests in the benchmarks
    'TRIGGERFLOW_COUNT',
)
#: Name of the file of the service's answer to the bell
_HEARD = 'heard'

#: The end of the name of an invocation in the queue
ACCEPTED = '.json'
#: Bytes of the service's answer to the bell
_ANSWER = 64


class LocalService:
    """
    :param folder: of the service, which the configuration of a run names
    """

    def __init__(self, folder: str):
        self.folder = folder

    def __repr__(self) -> str:
        return f'LocalService({self.folder})'

    @property
    def queue(self) -> str:
        """Folder of what was accepted and is not done"""
        return os.path.join(self.folder, 'queue')

    @property
    def bell(self) -> str:
        """Path of the FIFO"""
        return os.path.join(self.folder, 'bell')

    @property
    def _answer(self) -> str:
        return os.path.join(self.folder, _HEARD)

    def submit(self, payload: Dict[str, Any], chunks: List[Dict[str, Any]], due: float = 0.0) -> None:
        """
        Accepts one invocation for each chunk, and returns at once.

        :param payload: a Lithops payload, but for what differs between chunks
        :param chunks: what differs: 'call_ids', and their data
        :param due: seconds since the epoch before which none of them starts
        """
        for document in documents_of(payload, chunks, due):
            name = f'{time.time_ns():020d}-{uuid.uuid4().hex[:8]}-{payload["triggerflow"]["session"]}'
            self._put(f'{name}{ACCEPTED}', document)
            self.notify(f'{name}{ACCEPTED}')

    def _put(self, name: str, document: str) -> None:
        queue, unfinished = self._open_queue(), unfinished_name(name)
        try:
            with open(create_file(queue, unfinished), 'w', encoding='utf-8') as accepted:
                try:
                    own(accepted)
                    accepted.write(document)
                    accepted.flush()
                    os.rename(unfinished, name, src_dir_fd=queue, dst_dir_fd=queue)
                except BaseException:
                    with contextlib.suppress(OSError):
                        os.unlink(unfinished, dir_fd=queue)
                    raise
        finally:
            os.close(queue)

    def _open_queue(self) -> int:
        try:
            return open_folder(self.queue)
        except FileNotFoundError:
            self._make_folders()
            return open_folder(self.queue)

    def _make_folders(self) -> None:
        for folder in (os.path.dirname(self.folder), self.folder, self.queue):
            private_folder(folder)

    def in_flight(self, session: str) -> Set[Call | int]:
        """
        The calls of a run, and the numbers of its activations, that are accepted and not
        done; without activations that are to start later
        """
        found: Set[Call | int] = set()
        for invocation, done in self._accepted(session):
            if invocation.session != session:
                continue  # one that ends like this one
            if invocation.is_activation:
                found |= {invocation.run['number']} if not done and invocation.due <= time.time() else set()
                continue
            for number in range(len(invocation.chunks)):
                found |= set() if number in done else invocation.calls(number)
        return found

    def _accepted(self, session: str) -> Iterator[Tuple[Invocation, Set[int]]]:
        """What lies in the queue for a run, and which chunks of it are done. Nobody holds what cannot be read"""
        for path in glob.glob(os.path.join(glob.escape(self.queue), f'*-{glob.escape(session)}{ACCEPTED}')):
            try:
                invocation = read_invocation(path)
            except FileNotFoundError:
                continue  # it is done by now
            except DamagedFile as damaged:
                logger.warning(f'{path} is no invocation that the local function service can run: {damaged}')
                continue
            try:
                yield invocation, chunks_done(path)
            except DamagedFile:
                # All of it runs again
                yield invocation, set()

    def notify(self, name: str = '') -> None:
        """
        Wakes the service, or starts it

        :param name: of a file that is new in the queue
        """
        if not self.is_listening(name):
            self._start_service()

    def ensure_running(self, timeout: float = 2.0) -> None:
        """
        Wakes the service, or starts it, and makes sure: one that is just being killed
        has its bell for a moment still, and does not hear it

        :param timeout: seconds to wait for its answer before another one is started
        """
        before = self._last_heard()
        self.notify()
        if not self._answers(before, timeout):
            # It ends at once if there is one after all
            self._start_service()

    def is_responsive(self, timeout: float) -> bool:
        """
        Wakes the service. Whether there is one that answers

        :param timeout: seconds to wait for its answer
        """
        before = self._last_heard()
        return self.is_listening() and self._answers(before, timeout)

    def _answers(self, before: str, timeout: float) -> bool:
        deadline = time.monotonic() + timeout
        while self._last_heard() == before:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def acknowledge(self) -> None:
        """The service's answer to the bell"""
        # Written over: a file that is emptied first is flushed by ext4, and the service would wait for a busy disk
        _require_kind(self._answer, stat.S_ISREG)
        folder = open_folder(self.folder)
        try:
            answer = open_file(folder, _HEARD, self._answer, os.O_WRONLY | os.O_CREAT)
        finally:
            os.close(folder)
        try:
            os.write(answer, uuid.uuid4().hex.encode())
        finally:
            os.close(answer)

    def _last_heard(self) -> str:
        try:
            return read_text(self._answer, _ANSWER)
        except (DamagedFile, FileNotFoundError):
            return ''

    def is_listening(self, name: str = '') -> bool:
        """
        Wakes the service if there is one. Whether there is

        :param name: of a file that is new in the queue
        """
        try:
            bell = open_fifo(self.folder, os.path.basename(self.bell), os.O_WRONLY)
        except (FileNotFoundError, IsADirectoryError, WrongKind):
            # The service that is started makes one
            return False
        except OSError as error:
            if error.errno == errno.ENXIO:
                return False
            raise
        try:
            os.write(bell, f'{name}\n'.encode())
        except BlockingIOError:
            pass  # it has been rung often enough
        except BrokenPipeError:
            return False  # it has just left
        finally:
            os.close(bell)
        return True

    def _start_service(self) -> None:
        self._make_folders()
        with append_file(self.folder, 'service.log') as log:
            process = subprocess.Popen(
                [sys.executable, '-m', 'triggerflow_lithops.local_service', self.folder],
                cwd=self.folder,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        # It outlives us, and nobody here will ever wait for it
        process.returncode = 0


def environment() -> Dict[str, str]:
    """Of this process, what the service may have"""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(PRIVATE) and any(fnmatch.fnmatchcase(name, pattern) for pattern in ENVIRONMENT)
    }


def make_bell(path: str) -> None:
    """Makes the FIFO of a service, unless it is there"""
    _require_kind(path, stat.S_ISFIFO)
    make_fifo(*os.path.split(path))


def _require_kind(path: str, is_right: Callable[[int], bool]) -> None:
    """Removes what is in the place of something else: to open a FIFO, for instance, may take for ever"""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if is_right(mode):
        return
    logger.warning(f'{path} is something else than was expected, and is removed')
    if stat.S_ISDIR(mode):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def in_flight_at_any_service(folder: str, session: str) -> Set[Call | int]:
    """
    What the local function services of this machine have of a run. Another
    interpreter has a service of its own, beside this one

    :param folder: of a service
    """
    siblings = glob.glob(os.path.join(glob.escape(os.path.dirname(folder)), 'service-*'))
    return set().union(*(LocalService(sibling).in_flight(session) for sibling in siblings))
