"""
What was accepted and is not done.

An invocation is a file in the queue's folder, renamed into place by the process that
invokes; it is removed when all of its chunks are done, so a service that was killed goes
on where it was. What is no invocation is put aside, and said in the log.
"""

import contextlib
import heapq
import logging
import os
import time
from collections import Counter, deque
from typing import Iterable, Iterator

from lithops.monitoring.backends.triggerflow.documents import DamagedFile
from lithops.monitoring.backends.triggerflow.invocations import Invocation, chunks_done, read_invocation
from lithops.monitoring.backends.triggerflow.local_service import ACCEPTED
from lithops.monitoring.backends.triggerflow.private import append_file
from lithops.monitoring.backends.triggerflow.unfinished import unfinished_name

from .turns import Accepted, Chunk, Turns

logger = logging.getLogger(__name__)

#: The end of the name of what is no invocation, and is kept for people to look at
UNREADABLE = '.unreadable'
#: The end of the name of the notes of what is done of a file
DONE = '.done'


class Queue:
    """
    :param folder: of its files
    :ivar activations: those that are due. They never wait for a slot
    :ivar calls: chunks of calls that are due
    :ivar sessions: how much of each run is here, running or not, but for *timers*:
        activations that are to start later, unless something else starts them before
    """

    def __init__(self, folder: str):
        self._folder = folder
        self._known: set[str] = set()
        self._delayed: list[tuple[float, int, Chunk]] = []
        # By session and path: what is not done
        self._files: dict[str, dict[str, Accepted]] = {}
        self.activations: deque[Chunk] = deque()
        self.calls = Turns()
        self.sessions: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self.sessions or self._delayed)

    def new_files(self) -> list[str]:
        """Names of those that were not accepted yet."""
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        whole = (name for name in names if name.endswith(ACCEPTED) and not name.startswith(unfinished_name('')))
        return sorted(name for name in whole if name not in self._known)

    def accept(self, redelivered: bool, names: Iterable[str] | None = None) -> Iterator[Invocation]:
        """
        Takes what is new.

        :param redelivered: whether a service that was killed may have begun with it
        :param names: of files that may be new; None for all that there are
        :return: what each new file has in it
        """
        for name in self.new_files() if names is None else names:
            if name in self._known:
                continue
            self._known.add(name)
            path = os.path.join(self._folder, name)
            try:
                invocation = read_invocation(path)
                done = self._done(path)
            except FileNotFoundError:
                self._known.discard(name)
                continue
            except DamagedFile as damaged:
                put_aside(path, f'is no invocation: {damaged}')
                # Unless that could not be done. It is read once only
                if not os.path.lexists(path):
                    self._known.discard(name)
                continue
            except (OSError, MemoryError) as error:
                logger.warning('Could not accept %s, and try again: %s', path, error)
                self._known.discard(name)
                continue
            chunks = [number for number in range(len(invocation.chunks)) if number not in done]
            of = Accepted(path, invocation, len(chunks))
            self._files.setdefault(of.session, {})[path] = of
            for number in chunks:
                self._accept_chunk(Chunk(of, number, redelivered), invocation.due)
            if not of.left:
                self._forget(of)
            yield invocation

    def _done(self, path: str) -> set[int]:
        try:
            done: set[int] = chunks_done(path)
            return done
        except DamagedFile as damaged:
            put_aside(f'{path}{DONE}', f'has no notes of what is done, so that all of it runs again: {damaged}')
            return set()

    def _accept_chunk(self, chunk: Chunk, due: float) -> None:
        chunk.is_timer = chunk.is_activation and due > time.time()
        if not chunk.is_timer:
            self.sessions[chunk.session] += 1
        self.add(chunk, due)

    def add(self, chunk: Chunk, due: float = 0.0) -> None:
        """A chunk starts, or starts again, when it is due. To report that one was lost comes before all that waits."""
        if due > time.time():
            heapq.heappush(self._delayed, (due, id(chunk), chunk))
        elif not chunk.is_activation:
            self.calls.add(chunk)
        elif chunk.lost:
            self.activations.appendleft(chunk)
        else:
            self.activations.append(chunk)

    def take_due(self) -> None:
        """What was delayed until now is delayed no more."""
        while self._delayed and self._delayed[0][0] <= time.time():
            chunk = heapq.heappop(self._delayed)[2]
            if chunk.is_timer:
                self.sessions[chunk.session] += 1
                chunk.is_timer = False
            self.add(chunk)

    def until_next_due(self, longest: float) -> float:
        """Seconds until something that is delayed is due, ``longest`` at the most."""
        return longest if not self._delayed else min(longest, max(0.0, self._delayed[0][0] - time.time()))

    def runs(self) -> list[Invocation]:
        """One invocation of each run of which something is here, timers as well."""
        return [next(iter(files.values())).invocation for files in self._files.values()]

    def drop(self, session: str) -> int:
        """
        A run is over: what waits for it does not start any more. What runs goes on.

        :return: how many chunks that were
        """
        dropped = self.calls.drop(session)
        dropped += [chunk for chunk in self.activations if chunk.session == session]
        self.activations = deque(chunk for chunk in self.activations if chunk.session != session)
        delayed = [entry for entry in self._delayed if entry[2].session == session]
        if delayed:
            self._delayed = [entry for entry in self._delayed if entry[2].session != session]
            heapq.heapify(self._delayed)
        dropped += [chunk for _, _, chunk in delayed]
        for chunk in dropped:
            if not chunk.is_timer:
                self._leave(chunk)
        for of in list(self._files.get(session, {}).values()):
            self._forget(of)
        return len(dropped)

    def finish(self, chunk: Chunk) -> None:
        """A chunk is done, and noted as such, so that it is not run again after a restart."""
        chunk.of.left -= 1
        self._leave(chunk)
        if not chunk.of.left:
            self._forget(chunk.of)
        elif chunk.of.path in self._files.get(chunk.session, {}):
            noted = os.path.split(f'{chunk.of.path}{DONE}')
            with shortage_tolerated('note what is done'), append_file(*noted) as done:
                done.write(f'\n{chunk.number};\n')

    def _leave(self, chunk: Chunk) -> None:
        self.sessions[chunk.session] -= 1
        if not self.sessions[chunk.session]:
            del self.sessions[chunk.session]

    def _forget(self, of: Accepted) -> None:
        files = self._files.get(of.session, {})
        files.pop(of.path, None)
        if not files:
            self._files.pop(of.session, None)
        with shortage_tolerated('forget what is done'):
            for path in (of.path, f'{of.path}{DONE}'):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            self._known.discard(os.path.basename(of.path))


def put_aside(path: str, why: str) -> None:
    """What cannot be read is kept for people to look at, under a name that nobody reads."""
    logger.error('%s %s. It is put aside as %s', path, why, f'{os.path.basename(path)}{UNREADABLE}')
    with shortage_tolerated('put aside what cannot be read'):
        os.rename(path, f'{path}{UNREADABLE}')


@contextlib.contextmanager
def shortage_tolerated(what: str) -> Iterator[None]:
    """Of disk, memory or processes. The service goes on without, and tries again where it has to."""
    try:
        yield
    except OSError as error:
        logger.warning('Could not %s: %s', what, error)
