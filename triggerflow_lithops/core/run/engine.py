"""
The engine: publishes events, looks who watches, and performs what is due.

It keeps nothing in memory and holds no lock. Everything here may be done by
anyone, at any time, any number of times: an event is written before any trigger
is read, and a trigger is written before the events are looked at once more, so
one of the two always sees the other.
"""

from typing import Protocol

from ..condition import holds
from ..store import Facts, encode
from .action import Performer, start_activation, start_call, start_following
from .attempts import Execution, Failure, next_attempt
from .deferred import Deferred
from .documents import CallStatus, Death, JobFact, Ranges, TriggerDocument
from .ended import clear_if_purged
from .keys import (
    Call,
    Group,
    activation_prefix,
    attempt_key,
    claim_key,
    death_key,
    dependents,
    ended_calls,
    event_key,
    fact_key,
    failed_call,
    failure_key,
    failure_prefix,
    fired_key,
    group_of,
    group_prefix,
    outcome_key,
    trigger_key,
    watch_key,
    watchers,
)
from .loss import Gone, lose
from .trigger import Members, Trigger

#: Seconds after which a call that has ended looks whether its run was purged meanwhile. One that failed always looks:
#: without its run, a call finds no function
LONG = 5.0


class TriggerService(Protocol):
    """
    A service that knows triggers, too: told of events, it starts the next activation when enough have come.

    It may lose events, and count one twice. What it does is a hint; the events decide.
    """

    def watch(self, session: str, number: int, members: Ranges, count: int) -> bool:
        """
        Activation ``number + 1`` starts at the ``count``-th event of ``members`` that it is told from here on.

        :param members: calls, as in :class:`Members`
        :return: whether it will
        """

    def tell(self, session: str, job: str, number: int, failed: bool) -> bool:
        """
        That a call has ended.

        :return: whether it was taken
        """


class Engine(Deferred):
    """
    :param facts: the bucket
    :param perform: starts what a fired trigger's action says
    :param service: where triggers live, if not in the bucket
    """

    def __init__(self, facts: Facts, perform: Performer, service: TriggerService | None = None):
        super().__init__(facts, perform)
        self._service = service

    def report(self, execution: Execution, status: bytes, failure: Failure | None, now: float) -> None:
        """
        What a worker does when a call has ended: another attempt starts, or the event
        that ends the call is published. A run of which something cannot be read is lost.

        :param status: Lithops' status object, as it will be read
        :param failure: how it failed, if it did
        :param now: seconds since the epoch
        """
        try:
            if failure is None or not self._try_again(execution, failure, now):
                self.publish(execution, status, failed=failure is not None, now=now)
            if failure is not None or execution.seconds >= LONG:
                clear_if_purged(self.facts, execution.session)
        except Gone as gone:
            # How this call ended is known all the same
            self.facts.write(event_key(execution.session, execution.call), status)
            lose(self.facts, execution.session, str(gone), now)

    def _try_again(self, execution: Execution, failure: Failure, now: float) -> bool:
        """Starts another attempt, if there is to be one. Whether there is, or nobody waits for it any more."""
        planned = next_attempt(execution, failure, now)
        session, call = execution.session, execution.call
        if planned is None or self.facts.has(event_key(session, call)):
            return False
        scheduled = self.facts.read(fact_key(session, execution.position), JobFact)
        if scheduled is None or self.facts.has(outcome_key(session)):
            # The run was purged meanwhile, or it has ended
            return True
        ours, attempt = self.facts.create(attempt_key(session, call, planned['attempt']), planned)
        # Whoever was there first invokes it; but if this was delivered again, that one may have died before it did
        if ours or execution.redelivered:
            self.perform(start_call(session, call, execution.position, attempt))
        return True

    def publish(self, execution: Execution, status: bytes, *, failed: bool, now: float) -> None:
        """
        Writes the event that ends a call, and wakes whom it wakes.

        :param status: Lithops' status object, as it will be read
        :param now: seconds since the epoch
        """
        session, call = execution.session, execution.call
        # The answer is not asked: an "exists" stops nobody, for the one who was
        # there first may have died before it looked
        first = self.facts.write(event_key(session, call), status)
        listed = self.facts.list(group_prefix(session, group_of(call)))
        ended, watching, fired = ended_calls(call.job, listed), watchers(listed), False
        if watching:
            # An activation watches only when all before it are succeeded: the last one counts
            fired = self._evaluate(session, watching[-1], call, ended, execution.redelivered)
        if not first:
            failed = self._failed_before(session, call)
        if self._service and not self._service.tell(session, *call, failed):
            # Also if one has fired that watches in the bucket: another one may wait by now
            fired = self._watch_instead(session, call, execution.number, execution.redelivered) or fired
        if failed:
            self._report_failure(session, call, execution.number, fired, execution.redelivered)
        for key in dependents(listed):
            self._start_dependent(session, key, call, ended, now, again=execution.redelivered)
        if execution.following and execution.following['call'] == call.number:
            self._go_on(execution, status, first)

    def give_way(self, session: str, number: int, cause: str, now: float) -> None:
        """
        Activation ``number`` stops, and the next one begins anew.

        :param cause: why, for people to read
        """
        # It has no trigger, and a number is never lived twice: this is how it ended
        death: Death = {'reason': cause, 'time': now, 'due': now, 'gave_way': True}
        self.facts.create(death_key(session, number), death)
        self.perform(start_activation(session, number + 1, cause))

    def watch(self, trigger: Trigger) -> bool:
        """
        Watches what ``trigger`` waits for, then looks once more.

        The trigger itself has to be written already.

        :return: whether the trigger holds by now
        """
        if self._service and len(trigger.members):
            known = self.ended(trigger.session, trigger.members)
            missing, count = Members.of(set(trigger.members) - known), trigger.condition['count'] - len(known)
            if count <= 0:
                return True
            if self._service.watch(trigger.session, trigger.number, missing.ranges, count):
                return self._look_again(self._service, trigger, known)
        return self._watch_in_bucket(trigger)

    def _watch_in_bucket(self, trigger: Trigger) -> bool:
        """As :meth:`watch`, in the bucket."""
        if trigger.needs_all:
            return self._watch_trigger_on_one_group(trigger) or self._failed_already(trigger)
        document = encode(trigger.document())
        for group in trigger.members.groups():
            self.facts.write(watch_key(trigger.session, group, trigger.number), document)
        return self._holds(trigger) or self._failed_already(trigger)

    def fire(self, trigger: Trigger) -> None:
        """Performs the action of ``trigger``, unless that was done already."""
        if not self.facts.has(claim_key(trigger.session, trigger.number + 1)):
            self.perform(trigger.action)

    def trigger(self, session: str, number: int) -> Trigger | None:
        """What activation ``number`` waits for; None while it does not."""
        document = self.facts.read(trigger_key(session, number), TriggerDocument)
        return None if document is None else Trigger.from_document(session, document)

    def newest_activation(self, session: str, since: int | None = None) -> int:
        """
        The highest number claimed, -1 when none is. Claims have no gaps.

        :param since: a number that is known to be claimed, where one is
        """
        if since is None:
            listed = self.facts.list(activation_prefix(session))
            return max((int(key.split('/')[-2]) for key in listed if key.endswith('/claim.json')), default=-1)

        def is_claimed(number: int) -> bool:
            return self.facts.has(claim_key(session, number))

        step = 1
        while is_claimed(since + step):
            since, step = since + step, 2 * step
        while step > 1:
            step //= 2
            if is_claimed(since + step):
                since += step
        return since

    def _go_on(self, execution: Execution, status: bytes, first: bool) -> None:
        """The lane of a call that has ended goes on: by whoever ended it, unless the run has ended."""
        session = execution.session
        ours = first or self.facts.read_bytes(event_key(session, execution.call)) == status
        if ours and execution.following and not self.facts.has(outcome_key(session)):
            self.perform(start_following(session, execution.position, execution.following))

    # How a trigger is evaluated

    def _evaluate(self, session: str, number: int, call: Call, ended: set[Call], again: bool = False) -> bool:
        """
        Fires the trigger that watches the group of ``call``, if it holds.

        :param again: whether a worker that did this before may have died in between
        :return: whether it holds
        """
        group = group_of(call)
        document = self.facts.read(watch_key(session, group, number), TriggerDocument)
        trigger = document and Trigger.from_document(session, document)
        if not trigger or call not in trigger.members:
            # Those who are waited for see to it
            return False
        if not trigger.needs_all:
            # Those of this group may be enough
            here = len(trigger.members.in_group(group) & ended)
            if not holds(trigger.condition, here) and not self._holds(trigger):
                return False
            self._fire_alone(trigger, again)
        elif not trigger.members.in_group(group) <= ended:
            return False
        elif trigger.members.groups() == [group]:
            # Nothing else to wait for: the claim stops whoever starts it twice
            self.perform(trigger.action)
        elif self._watch_trigger_on_one_group(trigger, since=group):
            self.fire(trigger)
        else:
            return False
        return True

    def _fire_alone(self, trigger: Trigger, again: bool = False) -> None:
        """
        As :meth:`fire`, where each call that ends while the activation is starting sees
        that its trigger holds. What the first one writes keeps the others from starting
        it, too. It decides nothing: if that one dies before it acts, its report does, or a sweep.

        :param again: whether this worker was started in place of one that may have died in between
        """
        if not self.facts.has(claim_key(trigger.session, trigger.number + 1)):
            ours, _ = self.facts.create(fired_key(trigger.session, trigger.number), {})
            if ours or again:
                self.perform(trigger.action)

    # Where a service counts

    def _look_again(self, service: TriggerService, trigger: Trigger, known: set[Call]) -> bool:
        """Whether a trigger holds that a service knows by now."""
        ended = self.ended(trigger.session, trigger.members)
        if holds(trigger.condition, len(ended)) or self._failed_already(trigger):
            return True
        # They were told before they were watched, maybe. If not, the activation starts early, and waits once more
        told = [service.tell(trigger.session, *call, failed=False) for call in sorted(ended - known)]
        return not all(told) and self._watch_in_bucket(trigger)

    def _watch_instead(self, session: str, call: Call, scheduled_by: int, again: bool) -> bool:
        """
        The service does not know of ``call``, so it will never have counted enough: what waits
        for it is watched in the bucket. Whether it holds, and fires.
        """
        trigger = self._waiting_for(session, call, scheduled_by)
        if trigger is None or not self._watch_in_bucket(trigger):
            return False
        self._fire_alone(trigger, again)
        return True

    def _waiting_for(self, session: str, call: Call, scheduled_by: int) -> Trigger | None:
        """The trigger of the newest activation, if ``call`` is among its members."""
        trigger = self.trigger(session, self.newest_activation(session, since=scheduled_by))
        return trigger if trigger and call in trigger.members else None

    def _holds(self, trigger: Trigger) -> bool:
        return holds(trigger.condition, len(self.ended(trigger.session, trigger.members)))

    def _watch_trigger_on_one_group(self, trigger: Trigger, since: Group | None = None) -> bool:
        document = encode(trigger.document())

        def watch(group: Group) -> None:
            self.facts.write(watch_key(trigger.session, group, trigger.number), document)

        return self._watch_one_group(trigger.session, trigger.members, str(trigger.number), watch, since)

    # Failures, for waits that end at the first one

    def _failed_before(self, session: str, call: Call) -> bool:
        status = self.facts.read(event_key(session, call), CallStatus)
        return bool(status and status.get('exception'))

    def _failed_already(self, trigger: Trigger) -> bool:
        # The only member's end is what the trigger waits for, failed or not
        if not trigger.until_failure or len(trigger.members) == 1:
            return False
        listed = self.facts.list(failure_prefix(trigger.session))
        return any(failed_call(key) in trigger.members for key in listed)

    def _report_failure(self, session: str, call: Call, scheduled_by: int, fired: bool, again: bool) -> None:
        self.facts.write(failure_key(session, call), encode({}))
        if fired:
            return
        trigger = self._waiting_for(session, call, scheduled_by)
        if trigger and trigger.until_failure and len(trigger.members) > 1:
            self._fire_alone(trigger, again)
