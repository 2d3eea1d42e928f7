"""
The order in which a run is told: a cause stands before what it caused, whatever the clocks say.

Each machine writes the time by its own clock, and two of them may differ by hours. What has to come
before what follows from the facts themselves: an activation starts before it schedules a job, the job is
scheduled before its calls end, and they end before the activation that they woke. What has nothing to do
with each other is in order of time. Pure.
"""

import heapq
from dataclasses import dataclass, field
from typing import Any, Hashable, Iterable, Iterator, cast

from ..core.run.documents import TriggerDocument
from ..core.run.inputs import Inputs
from ..core.run.keys import Call
from ..core.run.trigger import Members, Trigger

#: Something that happened: its kind, and what tells it from others of that kind
Node = tuple[Hashable, ...]
#: A cause, and what it caused
Pair = tuple[Node, Node]
Document = dict[str, Any]

#: How the cause of an activation reads that was started because a time was up
_BY_TIME = 'was up'


def started(number: int) -> Node:
    """Activation ``number`` started."""
    return 'started', number


def suspended(number: int) -> Node:
    """Activation ``number`` suspended."""
    return 'suspended', number


def died(number: int) -> Node:
    """Activation ``number`` died, or gave way."""
    return 'died', number


def written(position: int) -> Node:
    """The fact of a position was written: a job that was scheduled, or a choice."""
    return 'written', position


def failed(call: Call, attempt: int) -> Node:
    """An attempt of a call failed, and another one was to follow."""
    return 'failed', call, attempt


def ended(call: Call) -> Node:
    """A call ended."""
    return 'ended', call


@dataclass
class Found:
    """
    The facts of a run that say what caused what.

    :param activations: by number, the documents of each: 'claim', and 'trigger' and 'died' where there are
    :param steps: the facts, by position
    :param ends: Lithops' status of each call, also of those that calls have made
    :param attempts: how many attempts of a call have failed that another one followed
    :param jobs: of each call the job of the run that it belongs to, or that has made it
    """

    activations: dict[int, dict[str, Document]] = field(default_factory=dict)
    steps: dict[int, Document] = field(default_factory=dict)
    ends: dict[Call, Document] = field(default_factory=dict)
    attempts: dict[Call, int] = field(default_factory=dict)
    jobs: dict[Call, str] = field(default_factory=dict)

    def pairs(self) -> Iterator[Pair]:
        """All causes, each with what it caused."""
        yield from self._of_activations()
        yield from self._of_steps()
        yield from self._of_calls()
        yield from self._of_wakings()

    def _of_activations(self) -> Iterator[Pair]:
        numbers = sorted(self.activations)
        for number, following in zip(numbers, [*numbers[1:], None], strict=False):
            ends = [end(number) for end, kind in ((suspended, 'trigger'), (died, 'died')) if kind in self.activations[number]]
            for end in ends:
                yield started(number), end
            if following is not None:
                for node in ends or [started(number)]:
                    yield node, started(following)

    def _of_steps(self) -> Iterator[Pair]:
        positions = sorted(self.steps)
        newest, last_of = -1, {}
        for position, before in zip(positions, [None, *positions], strict=False):
            by = self.steps[position].get('activation', 0)
            newest = max(newest, by)
            last_of[newest] = position
            yield started(by), written(position)
            if before is not None:
                # Who writes a fact has read those before it
                yield written(before), written(position)
        for number, documents in self.activations.items():
            trigger = _trigger_of(documents)
            if trigger is not None:
                # All that it had come past, whoever had written it
                past = max((position for position in positions if position < trigger.position), default=None)
                if past is not None:
                    yield written(past), suspended(number)
            if number in last_of:
                yield written(last_of[number]), died(number)

    def _of_calls(self) -> Iterator[Pair]:
        position_of = {fact['job']: position for position, fact in self.steps.items() if 'job' in fact}
        for call, status in self.ends.items():
            scheduled = position_of.get(self.jobs.get(call, ''))
            if scheduled is not None:
                yield written(scheduled), ended(call)
            last = min(status.get('triggerflow_attempt', 0), self.attempts.get(call, 0))
            if last:
                yield failed(call, last - 1), ended(call)
        for call, attempts in self.attempts.items():
            scheduled = position_of.get(self.jobs.get(call, ''))
            if scheduled is not None:
                yield written(scheduled), failed(call, 0)
            for attempt in range(1, attempts):
                yield failed(call, attempt - 1), failed(call, attempt)
        for job, position in position_of.items():
            yield from self._of_inputs(job, self.steps[position])

    def _of_inputs(self, job: str, fact: Document) -> Iterator[Pair]:
        """A call that is given what others return starts when these have ended."""
        inputs = Inputs.from_document((fact.get('invocation') or {}).get('inputs'))
        told: set[int] = set()
        for number, members in inputs.of_call.items():
            # Many calls may wait for the same, and it is gone through once
            all_of_them: Node = ('inputs', job, id(members))
            if id(members) not in told:
                told.add(id(members))
                for call in members:
                    yield ended(call), all_of_them
            yield all_of_them, ended(Call(job, number))

    def _of_wakings(self) -> Iterator[Pair]:
        for position, fact in self.steps.items():
            choice = fact.get('choice')
            if isinstance(choice, dict) and isinstance(choice.get('ended'), dict) and fact['fingerprint'][0] == 'wait':
                # What a wait has seen
                for call in Members(choice['ended']):
                    yield ended(call), written(position)
        for number, documents in self.activations.items():
            trigger, following = _trigger_of(documents), self.activations.get(number + 1)
            if trigger is not None and following is not None and not str(following['claim'].get('cause')).endswith(_BY_TIME):
                for call in self._woken_by(trigger):
                    yield ended(call), started(number + 1)

    def _woken_by(self, trigger: Trigger) -> list[Call]:
        """The calls without whose ends a trigger would not have fired."""
        choice = self.steps.get(trigger.position, {}).get('choice')
        seen: Iterable[Call] = trigger.members
        if isinstance(choice, dict) and isinstance(choice.get('ended'), dict):
            if not choice.get('in_time', True):
                return []
            seen = Members(choice['ended'])
        there = sorted((call for call in seen if call in self.ends), key=self._end_of)
        needed = trigger.condition.get('count', 1)
        if not trigger.until_failure:
            return there[:needed]
        failures = [call for call in there if self.ends[call].get('exception')]
        if len(there) - len(failures) < needed:
            # One of these fired, or was among those that did
            return failures[:1] or there[:needed]
        first = there.index(failures[0]) + 1 if failures else needed
        return there[: min(first, needed)]

    def _end_of(self, call: Call) -> float:
        return float(self.ends[call].get('worker_end_tstamp', 0))


def in_order(events: dict[Node, Document], pairs: Iterable[Pair]) -> list[Document]:
    """
    Events, each after what caused it, and else in order of time.

    :param events: CloudEvents documents, by what they tell of
    :param pairs: causes, each with what it caused. What is no event, such as all inputs of a call
        together, may stand between two that are
    """
    follows: dict[Node, list[Node]] = {}
    missing: dict[Node, int] = dict.fromkeys(events, 0)
    between: set[Node] = set()
    for cause, caused in pairs:
        for node in (cause, caused):
            if node not in events:
                if node[0] != 'inputs':
                    break
                between.add(node)
                missing.setdefault(node, 0)
        else:
            follows.setdefault(cause, []).append(caused)
            missing[caused] += 1
    place = {node: number for number, node in enumerate(missing)}

    def entry(node: Node) -> tuple[str, int, Node]:
        return ('' if node in between else events[node]['time']), place[node], node

    ready = [entry(node) for node, count in missing.items() if not count]
    heapq.heapify(ready)
    told: dict[Node, None] = {}
    while len(told) < len(missing):
        # Facts that contradict each other are told all the same, by their time
        _, _, node = heapq.heappop(ready) if ready else min(entry(node) for node in missing if node not in told)
        if node in told:
            continue
        told[node] = None
        for caused in follows.get(node, ()):
            missing[caused] -= 1
            if not missing[caused]:
                heapq.heappush(ready, entry(caused))
    return [events[node] for node in told if node in events]


def _trigger_of(documents: dict[str, Document]) -> Trigger | None:
    return Trigger.from_document('', cast(TriggerDocument, documents['trigger'])) if 'trigger' in documents else None
