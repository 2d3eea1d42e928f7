"""
The Triggerflow service of the simulated world, with the faults that the real one has: an event that comes twice counts
twice, one that no trigger waits for is dropped, and a trigger is read when an event comes that none has waited for.
"""

from functools import partial
from typing import Callable, Protocol

from ..core.run.keys import Call
from ..core.run.trigger import Members
from .scheduler import Process, Scheduler

#: Seconds that a request to it takes at the most, and how often it takes more than a bucket's
LONGEST, OFTEN = 3.0, 0.3
#: It is refused so much more often than a request to the bucket
TRIES = 5


class World(Protocol):
    """What it needs of the simulated world."""

    scheduler: Scheduler

    def happens(self, fault: str) -> bool:
        """Whether this fault is injected now."""


class SimulatedTriggerService:
    """
    :param start: starts an activation, given who does and its number
    """

    def __init__(self, world: World, start: Callable[[Process, int], None]):
        self._world = world
        self._scheduler = world.scheduler
        self._start = start
        self._added: dict[int, tuple[Members, int]] = {}
        self._read: set[int] = set()
        self._mapped: dict[Call, list[int]] = {}
        self._counted: dict[int, int] = {}
        self._last = 0.0

    def watch(self, session: str, number: int, members: dict[str, list[list[int]]], count: int) -> bool:
        """Whether it was taken. A trigger that is there stays as it is."""
        if self._is_refused():
            return False
        self._added.setdefault(number, (Members(members), count))
        # An event that no trigger waits for
        return self._stream(None)

    def tell(self, session: str, job: str, number: int, failed: bool) -> bool:
        """Whether it was taken."""
        return self._stream(Call(job, number))

    def _is_refused(self) -> bool:
        random = self._scheduler.random
        self._scheduler.sleep(random.uniform(0.0, LONGEST if random.random() < OFTEN else 0.05))
        return any(self._world.happens('refused') for _ in range(TRIES))

    def _stream(self, event: Call | None) -> bool:
        if self._is_refused():
            return False
        for _ in range(2 if self._world.happens('twice') else 1):
            # In order: it is a stream
            self._last = max(self._last + 1e-3, self._scheduler.now + self._scheduler.random.uniform(0.0, 1.0))
            process = Process('trigger service', event, 0.0)
            self._scheduler.spawn(process, partial(self._take, process, event), self._last - self._scheduler.now)
        return not self._world.happens('lied')

    def _take(self, process: Process, event: Call | None) -> None:
        if event is None or event not in self._mapped:
            for number in self._added.keys() - self._read:
                self._read.add(number)
                for call in self._added[number][0]:
                    self._mapped.setdefault(call, []).append(number)
        for number in self._mapped.get(event, ()) if event else ():
            self._counted[number] = self._counted.get(number, 0) + 1
            if self._counted[number] == self._added[number][1]:
                self._start(process, number + 1)
