"""
What nobody reports: found from facts alone, and repaired. By anyone, at any time.

A *sweep* looks for what should have gone on and did not: an activation that never
began, that died, or that was not woken; a call that has vanished. It is a backstop:
in a run without faults it never has anything to do.
"""

import functools
from dataclasses import dataclass
from typing import Callable, Iterator

from ..outcome import died_run
from .action import report_lost, start_activation
from .documents import AttemptFact, CallStatus, Claim, Death, JobFact, TriggerDocument
from .engine import Engine
from .inputs import Inputs
from .job_snapshot import JobSnapshot
from .keys import (
    Call,
    attempt_key,
    attempts_prefix,
    claim_key,
    death_key,
    event_key,
    fact_key,
    latest_attempts,
    outcome_key,
    refused_calls,
    trigger_key,
)
from .lanes import Lanes
from .loss import Gone, end, end_if_lost, lose, lost_for
from .repair import INPUTS_ENDED, LANE_STOPPED, LOST, NOT_BEGUN, RUN_LOST, SERVICE_FULL, VANISHED, Overdue, Repair
from .trigger import Members, Trigger

#: Seconds until an activation starts that follows upon one that died: at first, and
#: at the most. Each further death in a row doubles them
BACKOFF = (0.5, 60.0)

#: What a function service has: calls, and activations by their numbers, but for those
#: that are to start later. None when it cannot be asked, and only time will tell
InFlight = Callable[[], 'set[Call | int] | None']


def unknown() -> 'set[Call | int] | None':
    """What is held by a function service that cannot be asked."""
    return None


@dataclass(frozen=True)
class Limits:
    """
    :param life: seconds that an activation can live
    :param start: seconds that may pass between an invocation and its beginning
    :param max_deaths: how many activations in a row may die before their run fails
    """

    life: float
    start: float
    max_deaths: int


class Sweeper:
    """
    :param engine: over the bucket of the run
    :param in_flight: what the function service still has
    """

    def __init__(self, engine: Engine, session: str, limits: Limits, in_flight: InFlight = unknown):
        self._engine = engine
        self._facts = engine.facts
        self._session = session
        self._limits = limits
        self._in_flight = in_flight
        self._holdings: set[Call | int] | None = None

    def sweep(self, now: float, started: float, pause: Callable[[], None]) -> list[Repair]:
        """
        Looks twice, and repairs what is overdue both times.

        :param now: seconds since the epoch, read before this is called: a sweeper that
            was paused must not judge by a later clock
        :param started: when the run was started
        :param pause: gives what is just under way the time to arrive
        :return: what was repaired
        """
        try:
            return self._sweep(now, started, pause)
        except Gone as gone:
            return lost_for(self._facts, self._session, gone, now)

    def _sweep(self, now: float, started: float, pause: Callable[[], None]) -> list[Repair]:
        first = {overdue.repair for overdue in self._overdue(now, started)}
        if not first:
            return []
        pause()
        second = [overdue for overdue in self._overdue(now, started) if overdue.repair in first]
        over = end_if_lost(self._facts, self._session, now) if second else []
        if over is not None:
            return over
        repaired = []
        for overdue in second:
            if self._facts.has(outcome_key(self._session)):
                break
            overdue.do()
            repaired.append(overdue.repair)
        return repaired

    def handle_death(self, number: int, reason: str, now: float) -> None:
        """
        Activation ``number`` died: its successor starts after a while, until it has
        been enough; then the run has failed, with all that is known. If its code is
        gone, that is what it died of, and the run is lost.

        :param reason: what it died of
        """
        try:
            self._start_successor(number, reason, now)
        except Gone as gone:
            lose(self._facts, self._session, str(gone), now)

    def _start_successor(self, number: int, reason: str, now: float) -> None:
        lived_by = number
        while (trigger := self._engine.trigger(self._session, number)) is not None:
            following = self._facts.read(claim_key(self._session, number + 1), Claim)
            if following is None:
                # It had suspended, and may have died before its second look, or before it set its timer
                if self._engine.watch(trigger):
                    self._engine.fire(trigger)
                elif trigger.timer is not None:
                    self._engine.perform(trigger.timer)
                return
            if following.get('lived_by') != lived_by:
                return
            # Its condition had held already, and it went on as the next one
            number += 1
        if end_if_lost(self._facts, self._session, now) is not None:
            return
        earlier = self._deaths_before(number)
        wait = min(BACKOFF[1], BACKOFF[0] * 2.0 ** len(earlier))
        # It may have died before it claimed its number, and claims have no gaps
        claim: Claim = {'cause': 'died before it began', 'time': now}
        self._facts.create(claim_key(self._session, number), claim)
        died: Death = {'reason': reason, 'time': now, 'due': now + wait}
        _, death = self._facts.create(death_key(self._session, number), died)
        deaths = [*earlier, (number, death)]
        if len(deaths) < self._limits.max_deaths:
            self._engine.perform(start_activation(self._session, number + 1, f'activation {number} died', death['due']))
            return
        end(self._facts, self._session, died_run(deaths, now))

    def _deaths_before(self, number: int) -> list[tuple[int, Death]]:
        deaths: list[tuple[int, Death]] = []
        while number > 0 and len(deaths) < self._limits.max_deaths:
            number -= 1
            death = self._facts.read(death_key(self._session, number), Death)
            # One that gave way was in good health
            if death is None or death.get('gave_way') or self._facts.has(trigger_key(self._session, number)):
                break
            deaths.insert(0, (number, death))
        return deaths

    def _overdue(self, now: float, started: float) -> Iterator[Overdue]:
        # Before anything is listed: what ends meanwhile is listed then
        self._holdings = self._in_flight()
        if self._facts.has(outcome_key(self._session)):
            return
        number = self._engine.newest_activation(self._session)
        if number < 0:
            yield from self._unbegun(0, now - started, 'the run was started')
            return
        trigger = self._engine.trigger(self._session, number)
        if trigger is None:
            yield from self._orphaned(number, now)
        elif self._engine.watch(trigger):
            # Since when it holds is not written anywhere; the pause between two looks has to do
            if not self._is_alive(number):
                yield from self._unbegun(number + 1, self._limits.start, f'activation {number} was not woken')
        else:
            if trigger.due is not None and now >= trigger.due:
                yield from self._unbegun(number + 1, now - trigger.due, f'the time of activation {number} was up')
            yield from self._lost(trigger, now)

    def _unbegun(self, number: int, waited: float, why: str) -> Iterator[Overdue]:
        """Activation ``number``, which should have begun."""
        if self._is_gone(number, waited >= self._limits.start):
            action = start_activation(self._session, number, f'a sweep: {why}')
            yield Overdue(Repair(NOT_BEGUN, number, why=why), lambda: self._engine.perform(action))

    def _orphaned(self, number: int, now: float) -> Iterator[Overdue]:
        """Activation ``number``, which is claimed and has not suspended."""
        death = self._facts.read(death_key(self._session, number), Death)
        if death is not None and now < death['due']:
            return
        if death is not None:
            yield from self._unbegun(number + 1, now - death['due'], f'activation {number} had died')
            return
        claim = self._facts.read(claim_key(self._session, number), Claim)
        if claim is not None and self._is_gone(claim.get('lived_by', number), now - claim['time'] >= self._limits.life):
            yield Overdue(Repair(VANISHED, number), lambda: self.handle_death(number, 'it vanished', now))

    def _is_alive(self, number: int) -> bool:
        """Whether activation ``number`` is known to run still: it is about to see by itself that it need not wait."""
        claim = self._facts.read(claim_key(self._session, number), Claim) if self._holdings else None
        return claim is not None and claim.get('lived_by', number) in (self._holdings or ())

    def _lost(self, trigger: Trigger, now: float) -> Iterator[Overdue]:
        """Calls that are waited for, or looked at, by the run or by other calls, and that nobody runs any more."""
        asked = Members.of([*trigger.members, *trigger.looked_at])
        waiting = set(asked) - self._engine.ended(self._session, asked)
        jobs = {(trigger.jobs[call.job], call.job) for call in waiting}
        while jobs:
            # Inputs were scheduled before what waits for them
            position, job = max(jobs)
            jobs.remove((position, job))
            scheduled = self._facts.read(fact_key(self._session, position), JobFact)
            if scheduled is None:
                yield self._lost_run(f'{fact_key(self._session, position)}, which had scheduled {job}, is gone', now)
                return
            seen = self._snapshot(position, job, scheduled, waiting, trigger.number)
            if seen is None:
                continue
            jobs |= {(seen.inputs[call.job], call.job) for call in seen.missing}
            waiting |= seen.missing
            here = {call for call in waiting if call.job == job}
            yield from self._ready(seen, here, now)
            yield from self._under_way(seen, here - set(seen.deferred), now)

    def _snapshot(
        self, position: int, job: str, scheduled: JobFact, waiting: set[Call], waiting_activation: int
    ) -> JobSnapshot | None:
        """What there is of a job of which calls are waited for; None if it may still be being invoked."""
        # A job that a call made has no fact: it was there when it was first waited for
        by = scheduled['activation'] if scheduled['job'] == job else waiting_activation
        invoked = self._invoked(by, waiting_activation)
        if invoked is None:
            return None
        listed = self._facts.list(attempts_prefix(self._session, job))
        attempts, refused = latest_attempts(job, listed), refused_calls(job, listed)
        inputs = Inputs.from_document(scheduled['invocation']['inputs'] if scheduled['job'] == job else None)
        deferred = {
            call: inputs.of_call[call.number]
            for call in waiting
            if call.job == job and call.number in inputs.of_call and call not in attempts
        }
        wanted = Members.of(found for members in deferred.values() for found in members)
        missing = set(wanted) - self._engine.ended(self._session, wanted)
        return JobSnapshot(position, job, scheduled, invoked, attempts, refused, deferred, missing, inputs.jobs)

    def _ready(self, seen: JobSnapshot, here: set[Call], now: float) -> Iterator[Overdue]:
        """Calls whose inputs have all ended, and that were not started."""
        for call in sorted(here & set(seen.deferred)):
            if not seen.missing & set(seen.deferred[call]):
                yield self._not_started(call, seen, now)

    def _under_way(self, seen: JobSnapshot, calls: set[Call], now: float) -> Iterator[Overdue]:
        """Calls that should be under way, by themselves or as the next ones of their lanes."""
        before: dict[Call, Call] = {}
        if seen.scheduled['lanes'] and seen.is_its_own:
            calls, before = self._in_lanes(calls, seen.scheduled)
        for call in sorted(calls):
            attempt = seen.attempts.get(call)
            if attempt is None and call in before and call in seen.refused:
                yield self._to_start(SERVICE_FULL, call, seen, now)
            elif attempt is None and call in before:
                yield from self._not_followed(call, before[call], seen, now)
            else:
                began = seen.invoked if attempt is None else self._due(call, attempt)
                yield from self._vanished(call, attempt, seen, began, now)

    def _in_lanes(self, calls: set[Call], scheduled: JobFact) -> tuple[set[Call], dict[Call, Call]]:
        """
        What of a job has to run now so that ``calls`` come to run, and of each that follows
        upon another the one before it, which has ended.

        :param scheduled: the fact that scheduled it
        """
        job, lanes = scheduled['job'], Lanes(scheduled)
        ended = self._engine.ended(self._session, Members({job: [[0, scheduled['calls']]]}))
        running, before = set(), {}
        for call in calls:
            while (number := lanes.before(call.number)) is not None and Call(job, number) not in ended:
                call = Call(job, number)
            running.add(call)
            if number is not None:
                before[call] = Call(job, number)
        return running, before

    def _not_followed(self, call: Call, before: Call, seen: JobSnapshot, now: float) -> Iterator[Overdue]:
        """A call whose lane should have gone on. Whether it was ever started is not written anywhere."""
        lifetime = seen.scheduled['lifetime']
        if self._holdings is None:
            if now - seen.invoked < lifetime:
                return
            status = self._facts.read(event_key(self._session, before), CallStatus)
            if now - (float(status['worker_end_tstamp']) if status else now) < lifetime:
                return
        elif {call, before} & self._holdings:
            # The worker that ended the one before it may be about to start it
            return
        yield self._to_start(LANE_STOPPED, call, seen, now, before.call_id)

    def _vanished(self, call: Call, attempt: int | None, seen: JobSnapshot, began: float, now: float) -> Iterator[Overdue]:
        """A call that was invoked, and that nobody runs any more."""
        lifetime = seen.scheduled['lifetime']
        if self._is_gone(call, now - began >= lifetime):
            reason = f'It vanished: its end was not reported within {lifetime:.0f} s'
            if self._holdings is not None:
                reason = 'It vanished: the function service has it no more, and its end was not reported'
            action = report_lost(self._session, call, seen.position, attempt or 0, reason)
            yield Overdue(Repair(LOST, call, attempt or 0), lambda: self._engine.perform(action))

    def _not_started(self, call: Call, seen: JobSnapshot, now: float) -> Overdue:
        """A call whose inputs have all ended."""
        return self._to_start(INPUTS_ENDED, call, seen, now)

    def _to_start(self, kind: str, call: Call, seen: JobSnapshot, now: float, why: str = '') -> Overdue:
        """A call that was never started, or of which nobody knows."""
        start = functools.partial(self._engine.start, self._session, seen.position, seen.scheduled, [call.number], now)
        return Overdue(Repair(kind, call, why=why), start)

    def _lost_run(self, reason: str, now: float) -> Overdue:
        return Overdue(Repair(RUN_LOST, why=reason), lambda: lose(self._facts, self._session, reason, now))

    def _invoked(self, scheduled_by: int, waiting: int) -> float | None:
        """When all calls of a job were invoked at the latest: before the first trigger written since."""
        for number in range(scheduled_by, waiting + 1):
            trigger = self._facts.read(trigger_key(self._session, number), TriggerDocument)
            if trigger is not None:
                return float(trigger['time'])
        return None

    def _due(self, call: Call, attempt: int) -> float:
        found = self._facts.read(attempt_key(self._session, call, attempt), AttemptFact)
        return float(found['due']) if found else 0.0

    def _is_gone(self, subject: 'Call | int', too_late: bool) -> bool:
        return too_late if self._holdings is None else subject not in self._holdings
