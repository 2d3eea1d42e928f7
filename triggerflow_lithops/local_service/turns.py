"""
Whose call starts next: the runs take turns, one chunk of calls each.

So a run of one call is not behind all that another run has. What a call costs here does not depend on how many wait.
"""

from collections import deque
from dataclasses import dataclass

from lithops.monitoring.backends.triggerflow.invocations import Invocation


@dataclass
class Accepted:
    """One file of the queue, and how many of its chunks are not done."""

    path: str
    invocation: Invocation
    left: int

    @property
    def session(self) -> str:
        """Of the run that this belongs to."""
        return str(self.invocation.session)


@dataclass
class Chunk:
    """One invocation: a chunk of calls, or an activation."""

    of: Accepted
    number: int
    redelivered: bool = False
    is_timer: bool = False
    lost: str = ''
    reports: int = 0

    def __str__(self) -> str:
        return f'{self.of.path}, chunk {self.number}'

    @property
    def session(self) -> str:
        """Of the run that this belongs to."""
        return self.of.session

    @property
    def is_activation(self) -> bool:
        """Whether this runs an orchestrator. Such a one never waits for a slot."""
        return bool(self.of.invocation.is_activation)

    @property
    def is_fresh(self) -> bool:
        """Whether this runs in an interpreter that nothing has run in before."""
        return bool(self.of.invocation.is_fresh)


class Turns:
    """Chunks of calls that are due. To report that one was lost comes before all that waits."""

    def __init__(self) -> None:
        self._lost: deque[Chunk] = deque()
        # By session, in the order of their turns. None is empty
        self._waiting: dict[str, deque[Chunk]] = {}

    def __bool__(self) -> bool:
        return bool(self._lost or self._waiting)

    def add(self, chunk: Chunk) -> None:
        """It waits behind those of its run."""
        if chunk.lost:
            self._lost.append(chunk)
        else:
            self._waiting.setdefault(chunk.session, deque()).append(chunk)

    def first(self) -> Chunk:
        """The one that is to start next. It stays where it is."""
        return self._lost[0] if self._lost else next(iter(self._waiting.values()))[0]

    def take(self) -> Chunk:
        """Removes the one that starts next. The next turn is another run's."""
        if self._lost:
            return self._lost.popleft()
        session = next(iter(self._waiting))
        waiting = self._waiting.pop(session)
        chunk = waiting.popleft()
        if waiting:
            self._waiting[session] = waiting
        return chunk

    def drop(self, session: str) -> list[Chunk]:
        """Removes all of a run."""
        dropped = [*self._waiting.pop(session, ())]
        if any(chunk.session == session for chunk in self._lost):
            dropped += [chunk for chunk in self._lost if chunk.session == session]
            self._lost = deque(chunk for chunk in self._lost if chunk.session != session)
        return dropped
