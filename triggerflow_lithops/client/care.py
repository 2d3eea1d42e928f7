"""
The care for what has not ended: every look at it does a share, however brief the look is.

A sweep looks twice, with a pause in between, and nobody who asks for a status waits for that: it is made
in a thread beside. When each run was cared for last is known to the process, and not to one call: a loop
of waits that are shorter than the pause between two sweeps makes as many sweeps as one long wait does.

A process may look once and end, as a command does. On localhost it rings the bell of the local service at
its first look, which costs no request; the service then sweeps by itself. Elsewhere its first look begins a
sweep, and when the process ends it waits until the sweep is over. That takes the pause of a sweep only where
something is overdue. (To write down what seemed overdue, for the next process to compare, would cost each
look a request more, and help nobody who looks once.)
"""

import atexit
import logging
import threading
import time
from typing import Any, Callable

logger = logging.getLogger(__name__)

#: Seconds between two sweeps
SWEEP = 5.0
#: Seconds for which a run that was just started, by another process perhaps, needs no care: its service may be starting
YOUNG = 1.0
#: How many sweeps may be under way in this process. Who finds no place tries again at its next look
MOST = 8
#: Seconds for which a process that ends waits for the sweeps that it has begun. One pauses for ten at the most
PATIENCE = 30.0
#: So many runs are remembered. Of one that was forgotten the next look is a first one
MEMORY = 10_000


class Care:
    """What one process does for all that it has looked at and that has not ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        # When each was cared for last, the one that was seen least lately first
        self._last: dict[str, float] = {}
        self._sweeps: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def began(self, what: str) -> None:
        """It was started, or swept, by this process just now."""
        with self._lock:
            self._note(what)

    def is_due(self, what: str) -> bool:
        """Whether this process has not done something for a while. It does it now."""
        with self._lock:
            last = self._last.get(what)
            if last is not None and self._clock() - last < SWEEP:
                return False
            self._note(what)
            return True

    def is_over(self, what: str) -> None:
        """It has ended: there is nothing more to do, and nobody waits for its sweep."""
        with self._lock:
            self._last.pop(what, None)
            self._sweeps.pop(what, None)

    def leave(self) -> None:
        """The user has interrupted a wait: the process does not stay for sweeps."""
        with self._lock:
            self._sweeps.clear()

    def take(self, what: str, sweep: Callable[[], Any], first: Callable[[], Any] | None = None, age: float | None = None) -> None:
        """
        Does what is due for something that has not ended. Returns at once.

        :param what: names it, and nothing else
        :param sweep: repairs what was lost of it
        :param first: is done at the first look of this process, instead of a sweep; it returns at once
        :param age: seconds since it was started, by a clock that may be wrong
        """
        with self._lock:
            last = self._last.get(what)
            if last is not None and self._clock() - last < SWEEP:
                return
            if last is None and age is not None and 0 <= age < YOUNG:
                return
            if last is not None or first is None:
                self._begin(what, sweep)
                return
            self._note(what)
        _attempt(first)

    def _begin(self, what: str, sweep: Callable[[], Any]) -> None:
        self._sweeps = {of: thread for of, thread in self._sweeps.items() if thread.is_alive()}
        if what in self._sweeps or len(self._sweeps) >= MOST:
            return
        self._note(what)
        thread = threading.Thread(target=_attempt, args=(sweep,), name='sweep', daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            logger.warning('A sweep could not begin, for this process can start no thread: %s', error)
        else:
            self._sweeps[what] = thread

    def _note(self, what: str) -> None:
        self._last.pop(what, None)
        self._last[what] = self._clock()
        if len(self._last) > MEMORY:
            del self._last[next(iter(self._last))]

    def finish(self, patience: float = PATIENCE) -> None:
        """Waits for the sweeps that are under way, of what has not ended."""
        deadline = time.monotonic() + patience
        for thread in [*self._sweeps.values()]:
            thread.join(max(0.0, deadline - time.monotonic()))


def _attempt(work: Callable[[], Any]) -> None:
    try:
        work()
    except Exception as error:
        # The next one may come through
        logger.warning('A sweep failed: %s: %s', type(error).__name__, error)


#: That of this process
care = Care()
atexit.register(care.finish)
