"""Deferred calls: those that are given what other calls return, and start when these have ended."""

from typing import Any, Callable, Iterable, Protocol, Sequence

from ..store import Facts, encode
from .action import Performer, start_deferred
from .documents import AttemptFact, DependentDocument, Job, JobFact
from .group_watch import Watching
from .inputs import Dependent, dependents_of
from .keys import Call, Group, attempt_key, event_key, group_of, outcome_key
from .trigger import Members


class Each(Protocol):
    """Calls a function with each of many items, in order or at the same time, and gives what it returned."""

    def __call__(self, function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
        """The results, in the order of the items."""


def one_by_one(function: Callable[[Any], Any], items: Sequence[Any]) -> Iterable[Any]:
    """One item after the other."""
    return [function(item) for item in items]


class Deferred(Watching):
    """
    :param facts: the bucket
    :param perform: starts calls
    """

    def __init__(self, facts: Facts, perform: Performer):
        super().__init__(facts)
        self.perform = perform

    def defer(
        self,
        session: str,
        position: int,
        job: JobFact,
        numbers: Iterable[int],
        now: float,
        again: bool = False,
        each: Each = one_by_one,
    ) -> bool:
        """
        Watches what deferred calls wait for, and starts those that need not wait.

        :param position: where their job was scheduled
        :param job: the fact that scheduled it
        :param now: seconds since the epoch
        :param again: whether whoever did this before may have died in between
        :param each: does something with each of many, at the same time where that is faster
        :return: whether the run goes on, as far as was looked
        """
        found = list(dependents_of(session, position, job, numbers))
        ready = {number for complete in each(self._watch_dependent, found) for number in complete}
        waiting = {number: inputs for dependent in found for number, inputs in dependent.of_call.items()}
        ended = self.ended(session, Members.of(call for inputs in waiting.values() for call in inputs))
        ready |= {number for number, inputs in waiting.items() if set(inputs) <= ended}
        return self.start(session, position, job, sorted(ready), now, again)

    def start(self, session: str, position: int, job: Job, numbers: list[int], now: float, again: bool = False) -> bool:
        """
        Starts deferred calls that wait for nothing any more, unless somebody did.

        :param again: whether whoever did may have died before they were invoked
        :return: whether the run goes on, as far as was looked
        """
        if not numbers:
            return True
        if self.facts.has(outcome_key(session)):
            return False
        calls = [Call(job['job'], number) for number in numbers]
        first: AttemptFact = {'attempt': 0, 'time': now, 'due': now, 'runtime_memory': job['runtime_memory']}
        due = [call.number for call in calls if self._is_ours(session, call, first, again)]
        if due:
            self.perform(start_deferred(session, position, job, due))
        return True

    def _start_dependent(self, session: str, key: str, call: Call, ended: set[Call], now: float, again: bool) -> None:
        """Starts what waits for ``call`` and for nothing else any more."""
        document = self.facts.read(key, DependentDocument)
        if document is None:
            return
        dependent, group = Dependent.from_document(session, document), group_of(call)
        ready = [number for number, inputs in dependent.of_call.items() if call in inputs and inputs.in_group(group) <= ended]
        if ready and dependent.group is None:
            ready = self._watch_dependent(dependent, since=group)
        self.start(session, dependent.position, dependent.job, ready, now, again)

    def _watch_dependent(self, dependent: Dependent, since: Group | None = None) -> list[int]:
        """Watches an incomplete group, until there is none. Which of its calls need not wait, as far as it had to look."""
        document = encode(dependent.document())

        def watch(group: Group) -> None:
            self.facts.write(dependent.key(group), document)

        if dependent.group is not None:
            watch(dependent.group)
            return []
        ((number, inputs),) = dependent.of_call.items()
        complete = self._watch_one_group(dependent.session, inputs, f'{dependent.position}/{number}', watch, since)
        return [number] if complete else []

    def _is_ours(self, session: str, call: Call, first: AttemptFact, again: bool) -> bool:
        ours, _ = self.facts.create(attempt_key(session, call, 0), first)
        return ours or (again and not self.facts.has(event_key(session, call)))
