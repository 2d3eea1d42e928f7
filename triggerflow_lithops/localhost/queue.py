"""
What was accepted and is not done.

An invocation is a file in the queue's folder, renamed into place by whoever invokes;
it is removed when all of its chunks are done, so a service that was killed goes on
where it was.
"""

import contextlib
import heapq
import json
import logging
import os
import time
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any, Iterator

from lithops.monitoring.backends.triggerflow.localhost import chunks_done
from lithops.monitoring.backends.triggerflow.private import NotPrivate, append_file, read_file
from lithops.monitoring.backends.triggerflow.status import GRACE

from ..config import FRESH

logger = logging.getLogger(__name__)


@dataclass
class Accepted:
    """One file of the queue: a payload, and the chunks of it that are not done."""

    path: str
    payload: dict[str, Any]
    chunks: list[dict[str, Any]]
    left: int

    @property
    def session(self) -> str:
        """Of the run that this belongs to."""
        return str(self.payload['triggerflow']['session'])


@dataclass
class Chunk:
    """One invocation: a chunk of calls, or an activation."""

    of: Accepted
    number: int
    redelivered: bool = False
    is_timer: bool = False
    lost: str = ''
    reports: int = 0

    @property
    def is_activation(self) -> bool:
        """Whether this runs an orchestrator. Such a one never waits for a slot."""
        return bool(self.of.payload['triggerflow']['subject'] == 'activation')

    @property
    def slots(self) -> int:
        """How many calls may be under way when this one has started."""
        return int(self.of.payload['config']['localhost']['worker_processes'])

    @property
    def is_fresh(self) -> bool:
        """Whether this runs in an interpreter that nothing has run in before."""
        return bool(self.of.payload['config']['triggerflow'].get(FRESH))

    @property
    def life(self) -> float:
        """Seconds that its process can take at the most."""
        calls = len(self.of.chunks[self.number]['call_ids'])
        return float(calls * self.of.payload['execution_timeout'] + GRACE)

    def payload(self) -> dict[str, Any]:
        """The whole Lithops payload of this invocation."""
        return payload_of(self.of.payload, self.of.chunks[self.number], self.redelivered)


def payload_of(payload: dict[str, Any], chunk: dict[str, Any], redelivered: bool) -> dict[str, Any]:
    """The whole Lithops payload of one chunk."""
    return {**payload, **chunk, 'triggerflow': {**payload['triggerflow'], 'redelivered': redelivered}}


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
        self.activations: deque[Chunk] = deque()
        self.calls: deque[Chunk] = deque()
        self.sessions: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self.sessions or self._delayed)

    def new_files(self) -> list[str]:
        """Names of those that were not accepted yet."""
        try:
            names = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        return sorted(name for name in names if name.endswith('.json') and name not in self._known)

    def accept(self, redelivered: bool) -> Iterator[dict[str, Any]]:
        """
        Takes what is new.

        :param redelivered: whether a service that was killed may have begun with it
        :return: the payload of each new file
        """
        for name in self.new_files():
            self._known.add(name)
            path = os.path.join(self._folder, name)
            try:
                document = json.loads(read_file(self._folder, name))
            except (OSError, ValueError) as error:
                logger.warning('Could not accept %s: %s', path, error)
                self._refuse(path, error)
                continue
            payload, chunks = document['payload'], document['chunks']
            done = chunks_done(path)
            of = Accepted(path, payload, chunks, len(chunks) - len(done))
            for number in range(len(chunks)):
                if number not in done:
                    self._accept_chunk(Chunk(of, number, redelivered), document['due'])
            if not of.left:
                self._forget(of)
            yield payload

    def _refuse(self, path: str, error: Exception) -> None:
        """What cannot be read now may be at the next look. What is no invocation is put aside: nobody takes it for held."""
        self._known.discard(os.path.basename(path))
        if isinstance(error, (ValueError, NotPrivate)):
            with shortage_tolerated('put aside what cannot be read'):
                os.rename(path, f'{path}.unreadable')

    def _accept_chunk(self, chunk: Chunk, due: float) -> None:
        chunk.is_timer = chunk.is_activation and due > time.time()
        if not chunk.is_timer:
            self.sessions[chunk.of.session] += 1
        self.add(chunk, due)

    def add(self, chunk: Chunk, due: float = 0.0) -> None:
        """A chunk starts, or starts again, when it is due. To report that one was lost comes before all that waits."""
        if due > time.time():
            heapq.heappush(self._delayed, (due, id(chunk), chunk))
            return
        waiting = self.activations if chunk.is_activation else self.calls
        if chunk.lost:
            waiting.appendleft(chunk)
        else:
            waiting.append(chunk)

    def take_due(self) -> None:
        """What was delayed until now is delayed no more."""
        while self._delayed and self._delayed[0][0] <= time.time():
            chunk = heapq.heappop(self._delayed)[2]
            if chunk.is_timer:
                self.sessions[chunk.of.session] += 1
                chunk.is_timer = False
            self.add(chunk)

    def drop_timers(self, session: str) -> None:
        """A run is over: what was to start later does not."""
        for entry in [entry for entry in self._delayed if entry[2].is_timer and entry[2].of.session == session]:
            self._delayed.remove(entry)
            self._forget(entry[2].of)
        heapq.heapify(self._delayed)

    def until_next_due(self, longest: float) -> float:
        """Seconds until something that is delayed is due, ``longest`` at the most."""
        return longest if not self._delayed else min(longest, max(0.0, self._delayed[0][0] - time.time()))

    def finish(self, chunk: Chunk) -> None:
        """A chunk is done, and noted as such, so that it is not run again after a restart."""
        chunk.of.left -= 1
        self.sessions[chunk.of.session] -= 1
        if not self.sessions[chunk.of.session]:
            del self.sessions[chunk.of.session]
        if not chunk.of.left:
            self._forget(chunk.of)
            return
        noted = f'{os.path.basename(chunk.of.path)}.done'
        with shortage_tolerated('note what is done'), append_file(self._folder, noted) as done:
            done.write(f'\n{chunk.number};\n')

    def _forget(self, of: Accepted) -> None:
        with shortage_tolerated('forget what is done'):
            for path in (of.path, f'{of.path}.done'):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(path)
            self._known.discard(os.path.basename(of.path))


@contextlib.contextmanager
def shortage_tolerated(what: str) -> Iterator[None]:
    """Of disk, memory or processes. The service goes on without, and tries again where it has to."""
    try:
        yield
    except OSError as error:
        logger.warning('Could not %s: %s', what, error)
