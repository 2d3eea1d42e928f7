"""
Where a wait suspends.

What has ended is looked at. If that is not enough, a trigger is written, and the activation stops.
"""

from dataclasses import dataclass
from typing import Any, Sequence

from ..core import condition as conditions
from ..core.run.documents import Claim
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


@dataclass(frozen=True)
class Wait:
    """
    One wait, as the code of the orchestrator asks for it.

    :param calls: those that it waits for; none if it sleeps
    :param needed: how many of them are enough
    :param until_failure: whether the first failure is enough, too
    :param due: when it is over, whatever has ended; None if it has no time-out
    """

    position: int
    fingerprint: Fingerprint
    calls: Sequence[Call] = ()
    needed: int = 0
    until_failure: bool = False
    due: float | None = None


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

    def look(self, wait: Wait) -> list[Call]:
        """Those calls of a wait whose events are there, as far as it pays to ask."""
        history = self._ledger.history
        unknown = [call for call in wait.calls if call not in history.events]
        just_looking = wait.needed == 0
        if unknown and (just_looking or wait.position == history.position or history.has_gaps):
            if len(unknown) > FEW or wait.needed < len(wait.calls):
                there = self._ledger.engine.ended(self._ledger.session, Members.of(unknown))
                unknown = [call for call in unknown if call in there]
            self._read_events(unknown)
        return [call for call in wait.calls if call in history.events]

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

    def suspend(self, wait: Wait) -> None:
        """Writes the trigger, and returns only if it holds already: as the next number."""
        ledger, members = self._ledger, Members.of(wait.calls)
        looked_at = Members.of(self.looked_at.difference(wait.calls))
        trigger = Trigger(
            session=ledger.session,
            number=ledger.number,
            position=wait.position,
            condition=_condition(wait.needed, len(wait.calls)),
            members=members,
            until_failure=wait.until_failure,
            jobs={job: self.jobs[job] for job in sorted({*members.ranges, *looked_at.ranges})},
            due=wait.due,
            looked_at=looked_at,
        )
        ledger.readings.keep()
        self._write_trigger(trigger, wait.fingerprint)
        if not ledger.engine.watch(trigger):
            if trigger.timer is not None:
                ledger.engine.perform(trigger.timer)
            jobs = len(members.ranges)
            waits = f'waits for {jobs} job{"" if jobs == 1 else "s"}' if jobs else 'sleeps'
            ledger.effects.stop(Suspended(ledger.number, waits))
        self._go_on_as_next(wait)

    def _go_on_as_next(self, wait: Wait) -> None:
        """This process lives the next number, too, unless another one has begun it."""
        ledger = self._ledger
        # The function service knows this process by the number that it was started as
        claim: Claim = {'cause': 'its condition held already', 'time': ledger.effects.time(), 'lived_by': min(ledger.lives)}
        ours, _ = ledger.facts.create(claim_key(ledger.session, ledger.number + 1), claim)
        if not ours:
            ledger.effects.stop(Superseded(ledger.number, f'activation {ledger.number + 1} goes on'))
        ledger.number += 1
        ledger.lives.add(ledger.number)
        ledger.history.position = wait.position
        ledger.history.waiting = wait.fingerprint.document()
        ledger.history.due = wait.due

    def _write_trigger(self, trigger: Trigger, fingerprint: Fingerprint) -> None:
        ledger, history = self._ledger, self._ledger.history
        if history.needs_packing():
            key = pack_key(ledger.session, new_nonce())
            ledger.facts.write(key, history.packed(key))
        document = {
            **trigger.document(),
            'time': ledger.effects.time(),
            'history': {
                **history.carried(),
                'outputs': self._outputs.carried(),
                'waiting': fingerprint.document(),
            },
        }
        key = trigger_key(ledger.session, ledger.number)
        if not ledger.facts.write(key, encode(document)):
            there = ledger.facts.read(key) or {}
            if there.get('context') != document['context']:
                ledger.effects.stop(Superseded(ledger.number, f'activation {ledger.number} is lived twice'))


def _condition(needed: int, of: int) -> conditions.Condition:
    if not of:
        return conditions.never()
    return conditions.join(needed) if needed == of else conditions.threshold(needed, of)
