"""
Inputs: calls whose results other calls are given. Pure.

A call with inputs is *deferred*: it starts when the last one of them has ended,
failed or not. Who sees that is told by a *dependent*, a document that lies where the
events of the inputs are listed.
"""

from dataclasses import dataclass
from typing import Any, Iterable, Iterator, TypeVar, cast

from .documents import DependentDocument, InputRange, InputsDocument, Job, JobFact
from .keys import Call, Group, dependent_key
from .trigger import Members

#: What belongs to one call
_Data = TypeVar('_Data')


class Inputs:
    """
    What the deferred calls of one job wait for.

    :param of_call: by number of the call; one that is not there waits for nothing
    :param jobs: at which position each job among the inputs was scheduled
    """

    def __init__(self, of_call: dict[int, Members], jobs: dict[str, int]):
        self.of_call = {number: members for number, members in of_call.items() if len(members)}
        self.jobs = jobs

    def __bool__(self) -> bool:
        return bool(self.of_call)

    def all(self) -> Members:
        """The inputs of all calls together."""
        return Members.of(call for members in self.of_call.values() for call in members)

    def document(self) -> InputsDocument | None:
        """
        As it is stored: ranges of calls that wait for the same, or each for the next one;
        None when no call waits for anything.
        """
        if not self:
            return None
        ranges: list[InputRange] = []
        for number, members in sorted(self.of_call.items()):
            inputs = list(members) if len(members) == 1 else []
            last = ranges[-1] if ranges and ranges[-1]['stop'] == number else None
            if (last and 'all' in last and last['all'] == members.ranges) or (last and inputs and _next_of(last) == inputs[0]):
                last['stop'] += 1
            elif inputs and not _repeats(members, self.of_call.get(number + 1)):
                ranges.append({'first': number, 'stop': number + 1, 'each': [*inputs[0]]})
            else:
                ranges.append({'first': number, 'stop': number + 1, 'all': members.ranges})
        return {'ranges': ranges, 'jobs': self.jobs}

    @classmethod
    def from_document(cls, document: InputsDocument | None) -> 'Inputs':
        """The inverse of :meth:`document`."""
        of_call: dict[int, Members] = {}
        for found in document['ranges'] if document else ():
            same = Members(found['all']) if 'all' in found else None
            for number in range(found['first'], found['stop']):
                of_call[number] = same or Members.of([_shifted(found['each'], number - found['first'])])
        return cls(of_call, document['jobs'] if document else {})


def _shifted(each: list[Any], by: int) -> Call:
    job, number = each
    return Call(job, number + by)


def _next_of(found: InputRange) -> Call | None:
    return _shifted(found['each'], found['stop'] - found['first']) if 'each' in found else None


def _repeats(members: Members, following: Members | None) -> bool:
    return following is not None and following.ranges == members.ranges


@dataclass(frozen=True)
class Dependent:
    """
    Calls of one job that are started by whoever completes what they wait for.

    Those that wait for one group only share a dependent there. One that waits for
    more has its own, which moves from group to group.

    :param position: where their job was scheduled
    :param job: what starting them needs of the fact of their job
    """

    session: str
    position: int
    job: Job
    of_call: dict[int, Members]

    @property
    def group(self) -> Group | None:
        """The one group that all of its calls wait for; None if it is a call that waits for more."""
        first, *more = {group for members in self.of_call.values() for group in members.groups()}
        return None if more else first

    def key(self, group: Group) -> str:
        """Where it lies while it waits for ``group``."""
        return dependent_key(self.session, group, self.position, min(self.of_call))

    def document(self) -> DependentDocument:
        """This dependent as it is stored."""
        inputs = {str(number): members.ranges for number, members in self.of_call.items()}
        return {'position': self.position, 'job': self.job, 'inputs': inputs}

    @classmethod
    def from_document(cls, session: str, document: DependentDocument) -> 'Dependent':
        """The inverse of :meth:`document`."""
        of_call = {int(number): Members(ranges) for number, ranges in document['inputs'].items()}
        return cls(session, document['position'], document['job'], of_call)


def dependents_of(session: str, position: int, job: JobFact, numbers: Iterable[int]) -> Iterator[Dependent]:
    """
    The dependents of a scheduled job.

    :param job: the fact that scheduled it
    :param numbers: of the deferred calls that are meant
    """
    of_call = Inputs.from_document(job['invocation']['inputs']).of_call
    together: dict[Group, list[int]] = {}
    for number in numbers:
        groups = of_call[number].groups()
        if len(groups) == 1:
            together.setdefault(groups[0], []).append(number)
        else:
            yield Dependent(session, position, _without_lanes(job, [number]), {number: of_call[number]})
    for sharing in together.values():
        yield Dependent(session, position, _without_lanes(job, sharing), {number: of_call[number] for number in sharing})


def _without_lanes(job: Job, numbers: list[int]) -> Job:
    # Nothing follows upon a call that is deferred
    return {**brief_of(job, numbers), 'lanes': 0}


def brief_of(job: Job, numbers: Iterable[int]) -> Job:
    """
    What invoking some calls of a job needs of the fact that scheduled it, or of such an excerpt.

    :return: a fact in which the data of these calls are found by their numbers as text
    """
    invocation, wanted = job['invocation'].copy(), list(numbers)
    invocation.pop('inputs', None)
    if invocation['data'] is not None:
        invocation['data'] = _by_number(invocation['data'], wanted)
    if invocation['data_byte_ranges'] is not None:
        invocation['data_byte_ranges'] = _by_number(invocation['data_byte_ranges'], wanted)
    return cast(Job, {**{name: value for name, value in job.items() if name not in _OF_FUTURES}, 'invocation': invocation})


def _by_number(found: list[_Data] | dict[str, _Data], numbers: list[int]) -> dict[str, _Data]:
    return {str(number): data_of(found, number) for number in numbers}


def data_of(found: list[_Data] | dict[str, _Data], number: int) -> _Data:
    """What belongs to one call, in the fact of its job or in what is needed of that."""
    return found[number] if isinstance(found, list) else found[str(number)]


_OF_FUTURES = ('fingerprint', 'metadata', 'nonce', 'time')
