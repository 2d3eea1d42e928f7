"""What a sweep has seen of one job, before it judges any of its calls."""

from dataclasses import dataclass

from .documents import JobFact
from .keys import Call
from .trigger import Members


@dataclass(frozen=True)
class JobSnapshot:
    """
    One job, of which calls are waited for.

    :param scheduled: the fact of its position. A job that a call made has no fact of its own
    :param invoked: when all of its calls were invoked at the latest
    :param attempts: the latest attempt of each call that was tried again
    :param refused: calls that the function service had no room for
    :param deferred: the inputs of each call that is waited for and that has no attempt yet
    :param missing: those inputs that have not ended
    :param inputs: the positions of the jobs that those belong to
    """

    position: int
    job: str
    scheduled: JobFact
    invoked: float
    attempts: dict[Call, int]
    refused: set[Call]
    deferred: dict[Call, Members]
    missing: set[Call]
    inputs: dict[str, int]

    @property
    def is_its_own(self) -> bool:
        """Whether the fact is that of this job."""
        return bool(self.scheduled['job'] == self.job)
