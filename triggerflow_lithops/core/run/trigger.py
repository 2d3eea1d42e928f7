"""
Triggers: which events wake whom, and when. Documents with Triggerflow's fields.

The trigger of an activation waits for calls. Ten thousand of them are written as
ranges, so that the document stays small: ``{'0-M000': [[0, 10000]]}``.
"""

from dataclasses import dataclass, field
from typing import Iterable, Iterator

from .. import condition as conditions
from ..condition import Condition
from ..event import FAILURE, SUCCESS
from .action import start_activation
from .documents import Ranges, StartActivation, TriggerDocument
from .keys import GROUP, Call, Group, group_of


@dataclass(frozen=True)
class Members:
    """A set of calls, as ranges ``[first, stop)`` of each job."""

    ranges: Ranges

    @classmethod
    def of(cls, calls: Iterable[Call]) -> 'Members':
        """The set of ``calls``, in any order."""
        ranges: Ranges = {}
        for call in sorted(set(calls)):
            of_job = ranges.setdefault(call.job, [])
            if of_job and of_job[-1][1] == call.number:
                of_job[-1][1] += 1
            else:
                of_job.append([call.number, call.number + 1])
        return cls(ranges)

    def __iter__(self) -> Iterator[Call]:
        for job, of_job in self.ranges.items():
            for first, stop in of_job:
                for index in range(first, stop):
                    yield Call(job, index)

    def __len__(self) -> int:
        return sum(stop - first for of_job in self.ranges.values() for first, stop in of_job)

    def __contains__(self, call: Call) -> bool:
        return any(first <= call.number < stop for first, stop in self.ranges.get(call.job, ()))

    def groups(self) -> list[Group]:
        """The groups that these calls are listed in, in order."""
        return list(dict.fromkeys(map(group_of, self)))

    def in_group(self, group: Group) -> set[Call]:
        """The calls of this set that are listed with ``group``."""
        calls = (Call(group.job, index) for index in range(group.number * GROUP, (group.number + 1) * GROUP))
        return {call for call in calls if call in self}


@dataclass(frozen=True)
class Trigger:
    """
    What activation ``number`` of a run waits for.

    :param position: where in the orchestrator it waits
    :param until_failure: whether the first failed member makes it fire, too
    :param jobs: at which position each job of its members, and of those looked at, was scheduled
    :param due: seconds since the epoch at which it fires whatever has ended; None for never
    :param looked_at: calls that the orchestrator has asked for in vain, and may ask for again:
        they are not waited for, and must end all the same
    """

    session: str
    number: int
    position: int
    condition: Condition
    members: Members
    until_failure: bool
    jobs: dict[str, int]
    due: float | None = None
    looked_at: Members = field(default_factory=lambda: Members({}))

    @property
    def needs_all(self) -> bool:
        """Whether every member has to end."""
        return bool(self.condition['name'] == 'JOIN')

    @property
    def action(self) -> StartActivation:
        """The next activation starts."""
        return start_activation(self.session, self.number + 1)

    @property
    def timer(self) -> StartActivation | None:
        """The next activation starts when the time is up, whatever has ended by then."""
        return None if self.due is None else start_activation(self.session, self.number + 1, 'its time was up', self.due)

    def document(self) -> TriggerDocument:
        """This trigger as it is stored."""
        return {
            'id': f'{self.session}/{self.number}',
            'activation_events': [
                {'type': kind, 'subject': f'{self.session}/{job}'} for job in self.members.ranges for kind in (SUCCESS, FAILURE)
            ],
            'condition': self.condition,
            'action': self.action,
            'context': {
                'position': self.position,
                'members': self.members.ranges,
                'until_failure': self.until_failure,
                'jobs': self.jobs,
                'due': self.due,
                'looked_at': self.looked_at.ranges,
            },
            'transient': True,
        }

    @classmethod
    def from_document(cls, session: str, document: TriggerDocument) -> 'Trigger':
        """The inverse of :meth:`document`."""
        context = document['context']
        return cls(
            session=session,
            number=document['action']['number'] - 1,
            position=context['position'],
            condition=conditions.validated(document['condition']),
            members=Members(context['members']),
            until_failure=context['until_failure'],
            jobs=context['jobs'],
            due=context['due'],
            looked_at=Members(context['looked_at']),
        )
