"""
Whom faults have hurt, and whether that is why a sweep found something to repair.

What should have happened to a call or an activation and did not is justified by a fault that hurt it, or one
of those who were to start it, and by no other fault.
"""

from typing import Any, Iterable, Iterator, cast

from ..core.run import keys
from ..core.run.documents import TriggerDocument
from ..core.run.inputs import Inputs
from ..core.run.keys import Call
from ..core.run.repair import Repair
from ..core.run.trigger import Trigger
from ..core.store import decode
from .store import Memory


class FaultAttribution:
    """
    :ivar subjects: those whose process, or invocation, a fault has hurt
    :ivar delayed: those of which an invocation did not come, or came late
    :ivar anyone: somebody was hurt who starts whatever there is: a sweep, or the service that triggers live in
    :ivar by_a_cleaner: something that the run needs was removed
    """

    def __init__(self, memory: Memory, session: str):
        self.subjects: set[Call | int] = set()
        self.delayed: set[Call | int] = set()
        self.anyone = False
        self.by_a_cleaner = False
        self._memory = memory
        self._session = session

    def explains(self, repair: Repair) -> bool:
        """Whether a fault is why this had to be repaired."""
        if repair.subject is None:
            return self.by_a_cleaner
        if self.anyone:
            return True
        if isinstance(repair.subject, Call):
            return not self.subjects.isdisjoint(self._starters_of_call(repair.subject))
        return not self.subjects.isdisjoint(self._starters_of_activation(repair.subject))

    def _starters_of_activation(self, number: int) -> Iterator[Call | int]:
        """It, the one before it, whoever lived that, and the calls that it waits for."""
        yield from self._lives(number)
        if number:
            yield from self._lives(number - 1)
            trigger = self._document(keys.trigger_key(self._session, number - 1))
            if trigger:
                yield from Trigger.from_document(self._session, cast(TriggerDocument, trigger)).members

    def _lives(self, number: int) -> Iterable[int]:
        claim = self._document(keys.claim_key(self._session, number)) or {}
        return {number, claim.get('lived_by', number)}

    def _starters_of_call(self, call: Call) -> Iterator[Call | int]:
        """It, who scheduled it, those before it in its lane, and the calls that it waits for; of these the same."""
        jobs = {fact['job']: fact for fact in self._facts() if 'job' in fact}
        inputs = {name: Inputs.from_document(fact['invocation']['inputs']).of_call for name, fact in jobs.items()}
        found, left = {call}, [call]
        while left:
            call = left.pop()
            yield call
            parts = call.job.split('-')
            job = jobs.get(call.job)
            if len(parts) > 2:
                # Made by a call
                needed = {Call('-'.join(parts[:2]), int(parts[2]))}
            elif job is None:
                needed = set()
            else:
                yield from self._lives(job['activation'])
                if job['lanes']:
                    yield from (Call(call.job, number) for number in range(call.number))
                needed = set(inputs[call.job].get(call.number, ()))
            left += needed - found
            found |= needed

    def _facts(self) -> Iterator[dict[str, Any]]:
        for key in self._memory.list(keys.facts_prefix(self._session)):
            fact = self._document(key)
            if fact:
                yield fact

    def _document(self, key: str) -> dict[str, Any] | None:
        found = self._memory.get(key)
        return None if found is None else decode(found)
