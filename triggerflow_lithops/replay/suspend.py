"""
Where a wait suspends.

What has ended is looked at. If that is not enough, a trigger is written, and the activation stops.
"""

from typing import Any, Sequence

from ..core import condition as conditions
from ..core.run.keys import Call, claim_key, event_key, pack_key, trigger_key
from ..core.run.trigger import Members, Trigger
from ..core.store import encode, new_nonce
from .effects import Superseded, Suspended
from .fingerprint import Fingerprint
from .ledger import Ledger
from .outputs import Outputs

#: Up to so many events are read without a listing that says which are there
FEW = 10
#: Seconds by which the clocks of two machines may differ
SKEW = 10.0


class Suspension:
    """
    The waits of one activation.

    :ivar jobs: the position of each job of which calls may be waited for
    :ivar looked_at: calls that the orchestrator has found not to have ended
    """

    def __init__(self, ledger: Ledger, outputs: Outputs):
        self._ledger = ledger
        self._outputs = outputs
        self.jobs: dict[str, int] = {}
        self.looked_at: set[Call] = set()

    def look(self, position: int, calls: Sequence[Call], needed: int) -> list[Call]:
        """Those of ``calls`` whose events are there, as far as it pays to ask."""
        unknown = [call for call in calls if call not in self._ledger.history.events]
        just_looking = needed == 0
        if unknown and (just_looking or position == self._ledger.history.position or self._ledger.history.has_gaps):
            if len(unknown) > FEW or needed < len(calls):
                there = self._ledger.engine.ended(self._ledger.session, Members.of(unknown))
                unknown = [call for call in unknown if call in there]
            self._read_events(unknown)
        return [call for call in calls if call in self._ledger.history.events]

    def _read_events(self, calls: Sequence[Call]) -> None:
        keys = [event_key(self._ledger.session, call) for call in calls]
        for call, status in zip(calls, self._ledger.effects.each(self._ledger.facts.read, keys), strict=True):
            if status is not None:
                self._ledger.history.add_event(call, status)

    def take(self, calls: Sequence[Call], fact: dict[str, Any]) -> list[Call]:
        """Those of ``calls`` that have ended by the fact of a wait. Their events are in the history then."""
        ended = list(calls)
        if 'choice' in fact:
            chosen = Members(fact['choice']['ended'])
            ended = [call for call in calls if call in chosen]
        self._read_events([call for call in ended if call not in self._ledger.history.events])
        return ended

    def due(self, position: int, timeout: float | None, due: float | None = None) -> float | None:
        """When a wait is over at the latest. An earlier wait, or activation, may have said so already."""
        if due is not None or timeout is None:
            return due
        if position == self._ledger.history.position and self._ledger.history.due is not None:
            return self._ledger.history.due
        return self._ledger.effects.time() + timeout

    def is_up(self, due: float) -> bool:
        """Whether the time of a wait is up."""
        left = due - self._ledger.effects.time()
        if 0 < left <= SKEW and self._ledger.history.due is not None and self._ledger.position == self._ledger.history.position:
            # Woken for its time is up, by another clock that is ahead of this one
            self._ledger.effects.sleep(left)
            return True
        return left <= 0

    def suspend(
        self,
        position: int,
        fingerprint: Fingerprint,
        calls: Sequence[Call],
        needed: int,
        until_failure: bool,
        due: float | None,
    ) -> None:
        """Writes the trigger, and returns only if it holds already: as the next number."""
        members, looked_at = Members.of(calls), Members.of(self.looked_at.difference(calls))
        trigger = Trigger(
            session=self._ledger.session,
            number=self._ledger.number,
            position=position,
            condition=_condition(needed, len(calls)),
            members=members,
            until_failure=until_failure,
            jobs={job: self.jobs[job] for job in sorted({*members.ranges, *looked_at.ranges})},
            due=due,
            looked_at=looked_at,
        )
        self._ledger.readings.keep()
        self._write_trigger(trigger, fingerprint)
        if not self._ledger.engine.watch(trigger):
            if trigger.timer is not None:
                self._ledger.engine.perform(trigger.timer)
            jobs = len(members.ranges)
            waits = f'waits for {jobs} job{"" if jobs == 1 else "s"}' if jobs else 'sleeps'
            self._ledger.effects.stop(Suspended(self._ledger.number, waits))
        # The function service knows this process by the number that it was started as
        claim = {'cause': 'its condition held already', 'time': self._ledger.effects.time(), 'lived_by': min(self._ledger.lives)}
        ours, _ = self._ledger.facts.create(claim_key(self._ledger.session, self._ledger.number + 1), claim)
        if not ours:
            self._ledger.effects.stop(Superseded(self._ledger.number, f'activation {self._ledger.number + 1} goes on'))
        self._ledger.number += 1
        self._ledger.lives.add(self._ledger.number)
        self._ledger.history.position = position
        self._ledger.history.waiting = fingerprint.document()
        self._ledger.history.due = due

    def _write_trigger(self, trigger: Trigger, fingerprint: Fingerprint) -> None:
        if self._ledger.history.needs_packing():
            key = pack_key(self._ledger.session, new_nonce())
            self._ledger.facts.write(key, self._ledger.history.packed(key))
        document = {
            **trigger.document(),
            'time': self._ledger.effects.time(),
            'history': {
                **self._ledger.history.carried(),
                'outputs': self._outputs.carried(),
                'waiting': fingerprint.document(),
            },
        }
        if not self._ledger.facts.write(trigger_key(self._ledger.session, self._ledger.number), encode(document)):
            there = self._ledger.facts.read(trigger_key(self._ledger.session, self._ledger.number)) or {}
            if there.get('context') != document['context']:
                self._ledger.effects.stop(Superseded(self._ledger.number, f'activation {self._ledger.number} is lived twice'))


def _condition(needed: int, of: int) -> conditions.Condition:
    if not of:
        return conditions.never()
    return conditions.join(needed) if needed == of else conditions.threshold(needed, of)
