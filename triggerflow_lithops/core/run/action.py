"""
Actions: what a fired trigger, a failed attempt or a sweep wants done. Documents;
the engine's caller performs them.
"""

from typing import Final, Protocol

from .documents import (
    Action,
    AttemptFact,
    Job,
    LaneRest,
    ReportLost,
    StartActivation,
    StartCall,
    StartDeferred,
    StartFollowing,
)
from .keys import Call

START_ACTIVATION: Final = 'START_ACTIVATION'
START_CALL: Final = 'START_CALL'
START_DEFERRED: Final = 'START_DEFERRED'
START_FOLLOWING: Final = 'START_FOLLOWING'
REPORT_LOST: Final = 'REPORT_LOST'


def start_activation(session: str, number: int, cause: str = 'its trigger fired', due: float = 0.0) -> StartActivation:
    """
    Activation ``number`` of a run starts, if nobody has claimed it.

    :param cause: why, for people to read
    :param due: seconds since the epoch before which it does not start
    """
    return {'name': START_ACTIVATION, 'session': session, 'number': number, 'cause': cause, 'due': due}


def start_call(session: str, call: Call, position: int, attempt: AttemptFact) -> StartCall:
    """
    A further attempt of a call starts, when it is due.

    :param position: where its job was scheduled
    :param attempt: the fact of this attempt
    """
    return {'name': START_CALL, 'session': session, 'call': [*call], 'position': position, 'attempt': attempt}


def start_deferred(session: str, position: int, job: Job, numbers: list[int]) -> StartDeferred:
    """
    Calls of a job start, for what they waited for has ended.

    :param position: where the job was scheduled
    :param job: what invoking them needs of the fact that scheduled it
    """
    return {'name': START_DEFERRED, 'session': session, 'position': position, 'job': job, 'numbers': numbers}


def start_following(session: str, position: int, following: LaneRest) -> StartFollowing:
    """
    The next chunk of a lane starts, for the one before it has ended.

    :param position: where the job was scheduled
    :param following: what is left of the lane
    """
    return {'name': START_FOLLOWING, 'session': session, 'position': position, 'following': following}


def report_lost(session: str, call: Call, position: int, attempt: int, reason: str) -> ReportLost:
    """An attempt of a call that nobody will report is reported, as lost."""
    return {
        'name': REPORT_LOST,
        'session': session,
        'call': [*call],
        'position': position,
        'attempt': attempt,
        'reason': reason,
    }


class Performer(Protocol):
    """Performs actions. At least once: an action that was started twice does no harm."""

    def __call__(self, action: Action) -> None:
        """:raises Exception: it could not be started; somebody may try again"""
