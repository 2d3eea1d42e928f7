"""Calls that an orchestrator has scheduled and not yet waited for: how many there may be. Pure."""

from collections import Counter
from typing import Iterable

from ..core.run.keys import Call


class PendingCalls:
    """
    Counts them as an activation goes through its steps, so each activation comes to the same number at the same step.

    :param most: how many there may be
    """

    def __init__(self, most: int):
        self.most = most
        self._of_job: Counter[str] = Counter()

    def scheduled(self, job: str, calls: int) -> None:
        """A job of so many calls was scheduled."""
        self._of_job[job] += calls

    def ended(self, calls: Iterable[Call]) -> None:
        """Calls were waited for, and have ended. Those that other calls have made were never counted."""
        for job, count in Counter(call.job for call in calls).items():
            if job in self._of_job:
                self._of_job[job] -= count

    def with_more(self, calls: int) -> int | None:
        """How many there would be with so many more; None if there may be."""
        pending = self._of_job.total() + calls
        return pending if pending > self.most else None
