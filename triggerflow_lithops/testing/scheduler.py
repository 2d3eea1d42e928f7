"""
Virtual time, and processes that take turns in it: one at a time, in one thread.

A process is a greenlet; it goes on until it sleeps. A seed decides which of two that
are due at one time goes first, so a seed is a reproduction.
"""

import heapq
from random import Random
from typing import Any, Callable, NoReturn

import greenlet

from ..orchestrator.context import Hooks
from ..orchestrator.hooks.install import use

#: Where virtual time begins, in seconds since the epoch
EPOCH = 1_800_000_000.0


class Process:
    """
    One process of the simulated world.

    :ivar kind: ``activation``, ``call``, ``report`` or ``sweep``
    :ivar subject: what it runs
    :ivar skew: seconds by which its clock is off
    :ivar hooks: those in force in it
    :ivar saw_outcome: whether it has read that the run has ended
    :ivar facts_too_late: how many it has written since the run has ended
    :ivar was_hurt: whether a fault has hurt it
    :ivar deadline: when its function is killed, and the greenlet that waits for it
    """

    def __init__(self, kind: str, subject: Any, skew: float):
        self.kind = kind
        self.subject = subject
        self.skew = skew
        self.hooks: Hooks | None = None
        self.saw_outcome = False
        self.facts_too_late = 0
        self.was_hurt = False
        self.deadline: tuple[float, Any] | None = None

    def __repr__(self) -> str:
        return f'{self.kind} {self.subject}'


class Scheduler:
    """
    :param random: decides what is not decided
    """

    def __init__(self, random: Random):
        self.random = random
        self.now = EPOCH
        self.current: Process | None = None
        self._due: list[tuple[float, float, int, Any, Process]] = []
        self._turns = 0
        self._hub = greenlet.getcurrent()
        self._left: list[Any] = []
        self._over = False

    def spawn(self, process: Process, work: Callable[[], None], delay: float = 0.0) -> None:
        """Starts a process, after ``delay`` seconds."""
        self._push(delay, greenlet.greenlet(work, self._hub), process)

    def sleep(self, seconds: float) -> None:
        """The current process stands still. Others go on."""
        process = self.current
        if process is None or self._over:
            raise greenlet.GreenletExit
        self._push(seconds, greenlet.getcurrent(), process)
        self._hub.switch()

    def sleep_in_a_call(self, seconds: float) -> None:
        """As ``time.sleep`` in the user's function: it ends with the call's time-out at the latest."""
        process = self.current
        if process is None or process.deadline is None or self.now + seconds <= process.deadline[0]:
            self.sleep(seconds)
            return
        due, waiting = process.deadline
        self.sleep(due - self.now)
        waiting.switch(None)

    def die(self) -> NoReturn:
        """The current process is gone: nothing of it runs any more, not even ``finally``."""
        if not self._over:
            turn = greenlet.getcurrent()
            while turn is not self._hub:
                # Who waits for it stands still, too
                self._left.append(turn)
                turn = turn.parent
            self._hub.switch()
        raise greenlet.GreenletExit

    def leave_behind(self, parked: Any) -> None:
        """A greenlet that was left standing for good."""
        self._left.append(parked)

    def step(self) -> bool:
        """The next process takes its turn. False when there is none."""
        if not self._due:
            return False
        due, _, _, turn, process = heapq.heappop(self._due)
        self.now = max(self.now, due)
        self.current = process
        use(process.hooks)
        try:
            turn.switch()
        finally:
            self.current = None
            use(None)
        return True

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way but the current process."""
        return not self._due

    def close(self) -> None:
        """Unwinds whatever stands somewhere."""
        self._over = True
        # What is left standing inside a "with" comes to its end, and may not wait there
        use(_Over())  # type: ignore[arg-type]
        for turn in [*(entry[3] for entry in self._due), *self._left]:
            while not turn.dead:
                turn.parent = self._hub
                turn.throw()
        use(None)
        self._due.clear()
        self._left.clear()

    def _push(self, delay: float, turn: Any, process: Process) -> None:
        self._turns += 1
        heapq.heappush(self._due, (self.now + delay, self.random.random(), self._turns, turn, process))


class _Over:
    """Hooks of a world that is over: whoever uses them ends."""

    has_redis = False

    def __getattr__(self, name: str) -> NoReturn:
        raise greenlet.GreenletExit
