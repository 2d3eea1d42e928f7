"""Mutants of what is done again: by who comes second, who looks once more, and who comes after a death."""

from dataclasses import replace
from typing import Any

from ..core.run import engine, group_watch, keys
from ..core.run.engine import Engine
from ..core.run.group_watch import Watching
from ..core.run.keys import Call, Group
from ..core.run.lanes import Lanes, neighbours, start_of
from ..core.run.sweep import Sweeper
from ..core.run.trigger import Members, Trigger
from ..replay.replay import Replay
from .mutant import mutant

#: Orchestrators that wait for calls of which some fail early; for calls that wait for others; for more than one group
_FAILING = ('fails_fast', 'fails_soon')
_CHAINED = ('chained', 'chained_to_failures', 'handed_over', 'map_reduces')
_WIDE = ('fan_out', 'fails_fast', 'map_reduces', 'together')


@mutant(Engine, '_failed_before', *_FAILING)
def failure_of_the_first_not_reported(original: Any, self: Engine, session: str, call: Call) -> bool:
    """A second execution of a call does not report the failure that the first one had written."""
    return False


@mutant(Engine, '_failed_already', *_FAILING)
def earlier_failures_not_seen(original: Any, self: Engine, trigger: Trigger) -> bool:
    """A failure from before the watch was written does not end a wait that ends at failures."""
    return False


@mutant(Engine, '_is_ours', *_CHAINED)
def deferred_not_started_again(original: Any, self: Engine, session: str, call: Call, first: Any, again: bool) -> bool:
    """A deferred call whose starter died between writing and invoking is not invoked by who comes again."""
    return bool(original(self, session, call, first, False))


@mutant(Sweeper, 'handle_death')
def deaths_after_the_trigger_ignored(original: Any, self: Sweeper, number: int, reason: str, now: float) -> None:
    """The death of an activation that has written its trigger is not looked at."""
    if self._engine.trigger(self._session, number) is None:
        original(self, number, reason, now)


@mutant(Sweeper, 'handle_death', 'sleeps', 'waits_in_time', 'waits_too_long')
def timers_not_set_again(original: Any, self: Sweeper, number: int, reason: str, now: float) -> None:
    """After the death of an activation that had not set its timer nobody sets it."""
    found = self._engine.trigger

    def without_due(session: str, number: int) -> Trigger | None:
        trigger = found(session, number)
        return replace(trigger, due=None) if trigger else None

    self._engine.trigger = without_due  # type: ignore[method-assign]
    original(self, number, reason, now)


@mutant(Replay, '_finish_invoking')
def ended_calls_invoked_again(original: Any, self: Replay, *args: Any) -> None:
    """After a death in mid-invocation calls that have ended are invoked again."""
    ended, self.engine.ended = self.engine.ended, lambda *_: set()  # type: ignore[method-assign]
    try:
        original(self, *args)
    finally:
        self.engine.ended = ended  # type: ignore[method-assign]


@mutant(Engine, 'fire', 'pairs')
def mark_of_firing_decides(original: Any, self: Engine, trigger: Trigger) -> None:
    """Who finds the mark that somebody fires a trigger does not fire it."""
    self._fire_alone(trigger)


@mutant(Engine, '_fire_alone', *_FAILING, 'any_of', 'share_of')
def mark_of_firing_stops_reports(original: Any, self: Engine, trigger: Trigger, again: bool = False) -> None:
    """Who reports for a worker that was killed takes its mark for done."""
    original(self, trigger)


@mutant(Engine, '_fire_alone', 'any_of', 'share_of')
def everybody_fires(original: Any, self: Engine, trigger: Trigger, again: bool = False) -> None:
    """Each call that ends while an activation is starting starts it once more."""
    self.fire(trigger)


@mutant(Lanes, 'open', 'chunked', 'fan_out', 'together')
def all_lanes_at_once(original: Any, self: Lanes, numbers: Any) -> Any:
    """Who invokes a job does not wait for lanes to become free."""
    chunks = neighbours(sorted(numbers), self._job['chunksize'], self._chunk_of)
    return iter([start_of(self._job, [chunk]) for chunk in chunks])


@mutant(Engine, '_waiting_for', *_FAILING)
def failure_told_to_who_scheduled(original: Any, self: Engine, session: str, call: Call, scheduled_by: int) -> Any:
    """A failure is told to the trigger of the activation that scheduled the call, not to the newest."""
    trigger = self.trigger(session, scheduled_by)
    return trigger if trigger and call in trigger.members else None


@mutant(Engine, 'newest_activation', *_FAILING)
def newest_is_the_next(original: Any, self: Engine, session: str, since: int | None = None) -> int:
    """The newest activation is looked for one further only."""
    if since is None:
        return int(original(self, session))
    return since + (self.facts.read(keys.claim_key(session, since + 1)) is not None)


@mutant(Sweeper, '_is_alive', 'pairs', 'sequence')
def running_taken_for_not_woken(original: Any, self: Sweeper, number: int) -> bool:
    """A sweep takes an activation that runs still for one that was not woken."""
    return False


@mutant(Engine, '_try_again')
def attempts_not_started_again(original: Any, self: Engine, execution: Any, *args: Any) -> bool:
    """A further attempt that was written by one that died is not started by who comes again."""
    return bool(original(self, replace(execution, redelivered=False), *args))


@mutant(Engine, 'publish')
def the_second_wakes_nobody(original: Any, self: Engine, execution: Any, *args: Any, **kwargs: Any) -> None:
    """Who finds that the event of its call is there leaves all else to who wrote it."""
    if self.facts.read(keys.event_key(execution.session, execution.call)) is None:
        original(self, execution, *args, **kwargs)


@mutant(engine, 'watchers', 'fan_out', 'gamble', 'failures_kept', 'together')
def the_first_watch_counts(original: Any, listed: Any) -> list[int]:
    """Of several activations that have watched a group the first one is looked at, which is over."""
    return list(original(listed)[:1])


@mutant(Watching, '_watch_one_group', 'pairs')
def no_second_look_after_a_hop(
    original: Any, self: Watching, session: str, members: Members, who: str, watch: Any, since: Group | None = None
) -> bool:
    """Who moves a watch on to another group does not look whether that is complete by now."""
    hopped: list[Group] = []

    def note(group: Group) -> None:
        watch(group)
        hopped.append(group)

    complete = bool(original(self, session, members, who, note, since))
    return complete and (since is None or not hopped)


@mutant(Watching, '_watch_one_group', *_WIDE)
def a_group_is_skipped(
    original: Any, self: Watching, session: str, members: Members, who: str, watch: Any, since: Group | None = None
) -> bool:
    """Who moves a watch on takes the group after the next one."""
    groups = group_watch._in_order(who, members.groups())
    after = groups[groups.index(since) + 1 :] if since else []
    return bool(original(self, session, members, who, watch, after[0] if after else since))


@mutant(Replay, '_begin', 'chained_late')
def deferred_of_the_dead_left_alone(
    original: Any, self: Replay, job: Any, indices: Any, invoke: Any, again: bool = False
) -> None:
    """Who succeeds an activation that died does not start again the deferred calls that it had written."""
    original(self, job, indices, invoke)


@mutant(Sweeper, 'sweep', 'sleeps')
def a_sweep_looks_once(original: Any, self: Sweeper, now: float, started: float, pause: Any) -> Any:
    """A sweep repairs what is overdue at its first look."""
    return original(self, now, started, lambda: None)


@mutant(Sweeper, '_due', 'fails_fast', 'nested_in_time', 'waits_too_long')
def deadlines_of_attempts_ignored(original: Any, self: Sweeper, call: Call, attempt: int) -> float:
    """The time of a further attempt counts from the beginning."""
    return 0.0
