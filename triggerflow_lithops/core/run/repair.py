"""What a sweep has repaired, as data. The sentence is made of it."""

from dataclasses import dataclass
from typing import Callable

from .keys import Call

#: An activation should have begun, and had not; or it had begun, and had neither suspended nor ended
NOT_BEGUN, VANISHED = 'activation not begun', 'activation vanished'
#: An attempt of a call was invoked, and nobody runs it any more
LOST = 'call lost'
#: A call should have been started: its inputs have ended; or the function service was full; or the call before it
#: in its lane has ended
INPUTS_ENDED, SERVICE_FULL, LANE_STOPPED = 'inputs ended', 'service full', 'lane stopped'
#: Something that the run needs is gone
RUN_LOST = 'run lost'


@dataclass(frozen=True)
class Repair:
    """
    One thing that had to be repaired. Two looks of a sweep found the same one if these are equal.

    :param kind: one of the constants of this module
    :param subject: the call, or the number of the activation; None for the run
    :param attempt: of the call
    :param why: what should have started it, or what is gone, in words
    """

    kind: str
    subject: Call | int | None = None
    attempt: int = 0
    why: str = ''

    def __str__(self) -> str:
        subject = self.subject
        name = f'call {subject.job}/{subject.call_id}' if isinstance(subject, Call) else f'activation {subject}'
        return {
            NOT_BEGUN: f'{self.why}, and {name} had not begun',
            VANISHED: f'{name} had vanished',
            LOST: f'{name} was lost (attempt {self.attempt})',
            INPUTS_ENDED: f'what {name} waits for has ended, and it was not started',
            SERVICE_FULL: f'{name} should have been started, and the function service was full',
            LANE_STOPPED: f'{name} should have followed upon {self.why}, and did not end',
            RUN_LOST: f'the run is lost: {self.why}',
        }[self.kind]


@dataclass(frozen=True)
class Overdue:
    """What is to be repaired, and how."""

    repair: Repair
    do: Callable[[], object]
