"""The core, broken on purpose: each of these has to be found by the simulator."""

from dataclasses import replace
from typing import Any

from ..core.memory_store import MemoryStore
from ..core.run import attempts, engine, keys, sweep
from ..core.run.attempts import Execution, Failure
from ..core.run.documents import TriggerDocument
from ..core.run.engine import Engine
from ..core.run.inputs import Dependent
from ..core.run.keys import Call
from ..core.run.sweep import Sweeper
from ..core.run.trigger import Trigger
from ..core.store import Facts, StoreUnavailable, encode
from ..native.events import CloudEvent
from ..native.firing import FiringContext
from ..orchestrator import activation
from ..orchestrator.context import Hooks
from ..replay.ledger import Ledger
from ..replay.lookout import Lookout
from ..replay.pending import PendingCalls
from ..replay.readings import Readings
from ..replay.replay import Replay
from ..replay.suspend import Suspension
from . import mutants_of_counts, mutants_of_wakeups  # noqa: F401  they register what they break
from .mutant import MUTANTS, mutant

__all__ = ['MUTANTS']

#: Orchestrators of calls that wait for others; of maps that are wider than a few lanes; of many waits
_CHAINED = ('chained', 'chained_to_failures', 'handed_over', 'map_reduces', 'map_reduces_objects')
_IN_LANES = ('chunked', 'fan_out', 'together')
#: … and those that read clock and chance
_READING = ('reads_the_clock', 'waits_by_the_clock')
_OFTEN_WAITING = ('failures_kept', 'gamble', 'lists_in_a_row')


@mutant(Engine, 'publish')
def trigger_read_before_event(
    original: Any, self: Engine, execution: Execution, status: bytes, *, failed: bool, now: float
) -> None:
    """Who watches is looked up before the event is written."""
    session, call = execution.session, execution.call
    listed = self.facts.list(keys.group_prefix(session, keys.group_of(call)))
    self.facts.write(keys.event_key(session, call), status)
    for number in keys.watchers(listed)[-1:]:
        ended = keys.ended_calls(call.job, listed) | {call}
        self._evaluate(session, number, call, ended)
    if failed:
        self._report_failure(session, call, execution.number, fired=False, again=False)


@mutant(Engine, 'watch')
def no_second_look(original: Any, self: Engine, trigger: Trigger) -> bool:
    """An activation that has written its trigger suspends at once."""
    original(self, trigger)
    return False


@mutant(MemoryStore, 'put_new')
def overwritten_fact(original: Any, self: MemoryStore, key: str, value: bytes) -> bool:
    """A fact that is there already is written over."""
    self.delete([key])
    original(self, key, value)
    return True


@mutant(Facts, 'create')
def exists_taken_as_lost(original: Any, self: Facts, key: str, document: Any) -> Any:
    """An answer "exists" is believed, though it may be of one's own first try."""
    if self.write(key, encode({**document, 'nonce': 'x'})):
        return True, document
    return False, self.read(key)


@mutant(Ledger, 'choose', 'always', 'decide', 'gamble', 'waits_in_time')
def choice_not_recorded(original: Any, self: Ledger, position: int, fingerprint: Any, choice: Any, *_: Any) -> Any:
    """What the orchestrator saw is kept in the history, and not written at its position."""
    fact = {'fingerprint': fingerprint.document(), 'choice': choice}
    self.history.add_fact(position, fact)
    return fact


@mutant(Ledger, '_read_before', *_READING)
def readings_not_in_facts(original: Any, self: Ledger) -> dict[str, Any]:
    """What was read of clock and chance is not written with the fact that follows upon it."""
    return {}


@mutant(Readings, 'keep', *_READING)
def readings_not_in_triggers(original: Any, self: Readings) -> None:
    """What was read of clock and chance before a wait is forgotten where it suspends."""


@mutant(Ledger, '_step_back', *_READING)
def loser_goes_on(original: Any, self: Ledger, other: int) -> None:
    """An activation that has read another time than the one that was first goes on all the same."""


@mutant(Suspension, 'suspend')
def number_reused(original: Any, self: Suspension, *args: Any) -> None:
    """An activation whose condition holds already goes on under the same number."""
    number = self._ledger.number
    original(self, *args)
    self._ledger.number = number


@mutant(Replay, '_finish_invoking')
def nothing_invoked_again(original: Any, self: Replay, fact: Any, invoke: Any) -> None:
    """What an activation that died did not come to invoke is left alone."""


@mutant(Replay, 'finish')
def outcome_of_the_last(original: Any, self: Replay, outcome: Any) -> bool:
    """The outcome is written by whoever comes last."""
    self.facts.store.delete([keys.outcome_key(self.session)])
    return bool(original(self, outcome))


@mutant(Hooks, 'run_step')
def faults_shown_to_the_orchestrator(original: Any, self: Hooks, function: Any, name: str) -> Any:
    """A storage that fails is an exception inside the orchestrator."""
    faults: list[Exception] = []

    def carried() -> Any:
        try:
            return function()
        except StoreUnavailable as error:
            faults.append(error)

    result = original(self, carried, name)
    if faults:
        raise faults[0]
    return result


@mutant(Engine, '_evaluate')
def hop_fires_early(original: Any, self: Engine, session: str, number: int, call: Call, ended: set[Call], *again: bool) -> bool:
    """Whoever completes a watched group fires, though other groups are not complete."""
    group = keys.group_of(call)
    document = self.facts.read(keys.watch_key(session, group, number), TriggerDocument)
    trigger = document and Trigger.from_document(session, document)
    if trigger and trigger.needs_all and trigger.members.in_group(group) <= ended:
        self.fire(trigger)
        return True
    return bool(original(self, session, number, call, ended, *again))


@mutant(Engine, '_evaluate')
def watch_does_not_hop(
    original: Any, self: Engine, session: str, number: int, call: Call, ended: set[Call], *again: bool
) -> bool:
    """Whoever completes a watched group does not move the watch on."""
    group = keys.group_of(call)
    document = self.facts.read(keys.watch_key(session, group, number), TriggerDocument)
    trigger = document and Trigger.from_document(session, document)
    if trigger and trigger.needs_all and trigger.members.groups() != [group]:
        return False
    return bool(original(self, session, number, call, ended, *again))


@mutant(Engine, '_start_dependent')
def dependents_not_started(original: Any, self: Engine, *args: Any, **kwargs: Any) -> None:
    """Whoever completes what other calls wait for does not start them."""


@mutant(Engine, 'defer')
def no_second_look_for_inputs(original: Any, self: Engine, *args: Any, **kwargs: Any) -> Any:
    """Who defers calls does not look whether what they wait for has ended meanwhile."""
    ended, self.ended = self.ended, lambda *_: set()  # type: ignore[method-assign]
    try:
        return original(self, *args, **kwargs)
    finally:
        self.ended = ended  # type: ignore[method-assign]


@mutant(Engine, '_watch_dependent', 'map_reduces', 'map_reduce_fails', 'map_reduces_objects')
def reducer_does_not_wait(original: Any, self: Engine, dependent: Dependent, *args: Any, **kwargs: Any) -> list[int]:
    """A call that waits for more than one group starts as soon as one of them is complete."""
    found = original(self, dependent, *args, **kwargs)
    return found or ([] if dependent.group else [*dependent.of_call])


@mutant(Engine, '_is_ours', *_CHAINED)
def deferred_started_by_all(original: Any, self: Engine, session: str, call: Call, first: Any, again: bool) -> bool:
    """Whoever sees that a deferred call need not wait starts it."""
    original(self, session, call, first, again)
    return True


@mutant(Sweeper, '_not_started', *_CHAINED)
def deferred_not_swept(original: Any, self: Sweeper, *args: Any) -> Any:
    """A sweep sees that a deferred call should have started, and does nothing."""
    return replace(original(self, *args), do=lambda: None)


@mutant(engine, 'holds')
def duplicates_counted(original: Any, condition: Any, distinct: int) -> bool:
    """A condition counts an event twice."""
    return bool(original(condition, distinct + 1))


@mutant(Engine, '_report_failure', 'exceptions', 'fails_fast')
def failure_not_reported(original: Any, self: Engine, *args: Any, **kwargs: Any) -> None:
    """A call that failed wakes nobody before the others have ended."""


@mutant(keys, 'output_key', 'by_reference', 'handed_over')
def late_attempt_overwrites(original: Any, job_key: str, call_id: str, nonce: str) -> str:
    """Two executions of one call write their outputs to one key."""
    return str(original(job_key, call_id, 'output'))


@mutant(Engine, '_try_again')
def attempt_not_started(original: Any, self: Engine, execution: Execution, failure: Failure, now: float) -> bool:
    """Another attempt is written, and never invoked."""
    perform, self.perform = self.perform, lambda action: None
    try:
        return bool(original(self, execution, failure, now))
    finally:
        self.perform = perform


@mutant(Engine, '_try_again')
def failed_attempt_ends_the_call(original: Any, self: Engine, execution: Execution, failure: Failure, now: float) -> bool:
    """Another attempt starts, and the failure of this one is the call's event all the same."""
    original(self, execution, failure, now)
    return False


@mutant(engine, 'next_attempt')
def retries_without_end(original: Any, execution: Execution, failure: Failure, now: float) -> Any:
    """Whatever failed is tried again, however often it was."""
    return original(execution, failure, now) or attempts.next_attempt(
        execution.__class__(**{**vars(execution), 'attempt': 0}), Failure(failure.reason, lost=True), now
    )


@mutant(Sweeper, '_deaths_before')
def deaths_not_counted(original: Any, self: Sweeper, number: int) -> Any:
    """An activation that dies again and again is succeeded again and again."""
    return []


@mutant(sweep, 'end_if_lost')
def lost_run_started_again(original: Any, *args: Any) -> None:
    """Nobody asks whether the code of a run is there: one activation is started after the other, and dies."""


@mutant(activation, 'lose')
def loss_not_written(original: Any, *args: Any) -> None:
    """An activation that cannot read the history ends, and does not write that the run is lost."""


@mutant(Sweeper, 'sweep')
def no_sweep(original: Any, self: Sweeper, *args: Any, **kwargs: Any) -> list[Any]:
    """What nobody reports is never found."""
    return []


@mutant(Lookout, 'how_over', 'calls_without_waiting', 'works_between_calls')
def end_not_looked_for(original: Any, self: Lookout, calls: int) -> str | None:
    """An activation does not look whether its run has ended meanwhile."""
    return None


@mutant(PendingCalls, 'with_more', 'calls_too_much')
def pending_calls_not_bounded(original: Any, self: PendingCalls, calls: int) -> int | None:
    """An orchestrator may call without end."""
    return None


@mutant(PendingCalls, 'ended', 'calls_too_much')
def pending_calls_not_settled(original: Any, self: PendingCalls, calls: Any) -> None:
    """Calls that were waited for count as pending, too."""


@mutant(Sweeper, '_lost')
def lost_calls_not_swept(original: Any, self: Sweeper, *args: Any) -> Any:
    """A sweep looks for activations only."""
    return iter(())


@mutant(Sweeper, '_is_gone')
def sweeper_without_patience(original: Any, self: Sweeper, subject: Any, too_late: bool) -> bool:
    """A sweep takes for lost whatever has not ended."""
    return True


@mutant(Sweeper, '_orphaned')
def orphans_not_swept(original: Any, self: Sweeper, *args: Any) -> Any:
    """An activation that vanished is never succeeded."""
    return iter(())


@mutant(Engine, '_go_on')
def lanes_stand_still(original: Any, self: Engine, execution: Execution, status: bytes, first: bool) -> None:
    """Nobody invokes the next chunk of a lane."""


@mutant(Engine, '_go_on', 'fan_out', 'retried')
def lanes_end_at_a_second_attempt(original: Any, self: Engine, execution: Execution, status: bytes, first: bool) -> None:
    """Nobody looks up what follows upon a call that had to be tried again."""
    if execution.following and 'chunks' in execution.following:
        original(self, execution, status, first)


@mutant(Sweeper, '_in_lanes')
def a_lane_is_taken_for_running(original: Any, self: Sweeper, calls: Any, scheduled: Any) -> Any:
    """A call that waits for its turn is taken for one that runs."""
    return calls, {}


@mutant(Engine, '_go_on', *_IN_LANES)
def lanes_go_on_twice(original: Any, self: Engine, execution: Execution, status: bytes, first: bool) -> None:
    """Every execution of a call lets its lane go on, not only the one whose event it is."""
    original(self, execution, status, True)


@mutant(Sweeper, '_not_followed', *_IN_LANES)
def lanes_not_swept(original: Any, self: Sweeper, *args: Any) -> Any:
    """A sweep sees that a lane should have gone on, and does not hand it on."""
    return iter(())


@mutant(Suspension, 'is_up', 'sleeps')
def timers_not_waited_for(original: Any, self: Suspension, due: float) -> bool:
    """Whoever looks takes the time of a wait for up."""
    return True


@mutant(Sweeper, '_unbegun', 'sleeps', 'waits_too_long', 'results_in_time')
def timers_not_swept(original: Any, self: Sweeper, number: int, waited: float, why: str) -> Any:
    """A sweep does not look whether the time of an activation is up."""
    return iter(()) if why.startswith('the time') else original(self, number, waited, why)


@mutant(Engine, '_look_again', *_OFTEN_WAITING)
def service_not_looked_after(original: Any, self: Engine, *args: Any) -> bool:
    """An activation whose trigger is in a service suspends at once: what ended before it was there has not been told."""
    return False


@mutant(Engine, '_watch_instead', *_OFTEN_WAITING)
def service_not_stood_in_for(original: Any, self: Engine, *args: Any) -> bool:
    """Of what a service could not be told, nobody takes care."""
    return False


@mutant(FiringContext, '_change', 'callable_acts', 'condition_lets_pass')
def callable_changes_again(original: Any, self: FiringContext, since: int, *args: Any) -> Any:
    """A callable that runs again changes what it has changed already."""
    return original(self, self._version(), *args)


@mutant(FiringContext, 'publish', 'publishes')
def action_publishes_again(original: Any, self: FiringContext, pattern: dict[str, str], data: Any) -> None:
    """The event of an action is another one whenever it is performed."""
    self.triggers.publish(CloudEvent(**pattern, data=data).document())
