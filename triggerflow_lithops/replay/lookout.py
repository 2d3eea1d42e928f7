"""
Whether the run of an activation is over meanwhile: cancelled, or purged.

An orchestrator that calls and never waits would go on for as long as its function may run.
So its activation looks now and then, before a step that is new. It costs two requests, so an
activation that takes a few steps, as most do, never looks.
"""

from typing import Callable

from ..core.run.ended import how_over
from ..core.store import Facts

#: An activation looks before its next new step when it has taken so many new ones since it last
#: looked, or has scheduled so many calls, or has run for so many seconds
STEPS, CALLS, SECONDS = 10, 100, 5.0


class Lookout:
    """
    :param time: seconds since the epoch
    """

    def __init__(self, facts: Facts, session: str, time: Callable[[], float]):
        self._facts = facts
        self._session = session
        self._time = time
        self._steps = self._calls = 0
        # Its beginning has looked
        self._looked = time()

    @property
    def is_due(self) -> bool:
        """Whether it is time to look."""
        return self._steps >= STEPS or self._calls >= CALLS or self._time() - self._looked >= SECONDS

    def how_over(self, calls: int) -> str | None:
        """
        Called before each new step. How the run is over, where it is time to look, and it is over.

        :param calls: that this step is to schedule
        """
        if self.is_due:
            found = how_over(self._facts, self._session)
            if found is not None:
                return found
            self._steps, self._calls, self._looked = 0, 0, self._time()
        self._steps += 1
        self._calls += calls
        return None
