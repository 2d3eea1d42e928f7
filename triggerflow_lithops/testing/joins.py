"""
Wide joins to be simulated: triggers of a user's that count more than a thousand events, the last of which several
publishers bring at the same time.

Most events have come when a run begins: what others had written then is put into the bucket in one go. Publishers
are calls, so they are killed, delivered twice, and run again; nobody sweeps the workspace before the count is told.
"""

import functools
from typing import Any, Callable

import lithops

from .. import record
from ..core import condition as conditions
from ..core.event import encoded
from ..core.run.attempts import DEFAULT
from ..core.store import Facts, encode
from ..core.workspace.keys import DIGITS, Document, WorkspaceKeys, channel_of, digest_of
from ..core.workspace.workspace import Firing, Workspace
from ..native.events import CloudEvent
from ..orchestrator.hooks import patching

HOME = 'triggerflow.events/joins@0'
SHARD = CloudEvent('shard.done', 'today')
TRIGGER = 'joined'
#: Events that have come before, and all that a trigger waits for
THERE, IN_ALL = 1000, 1008
#: Events that each of several publishers brings, of a trigger that looks at more than one cell
BROUGHT = (9, 9, 9, 9)
#: Of a trigger that fires again and again: events for each firing, how many it has had, and how many are missing
EACH, BEFORE, MISSING = 510, 1, 5
#: What the action of the trigger would need to run
ORCHESTRATOR: Document = {
    **{'code_key': 'code', 'execution_timeout': 600, 'runtime_name': 'python', 'runtime_memory': None},
    **{'max_deaths': 3, 'sweep_seconds': None, 'lanes': 0, 'max_pending_calls': 1000},
}


def added_to_the_last() -> Any:
    """A trigger is added while its last events come, of which none is in a cell that has gained enough."""
    late = _in_sparse_cells(IN_ALL - THERE)
    record(_load, THERE, False)
    fexec = lithops.FunctionExecutor()
    fexec.get_result([fexec.call_async(add, IN_ALL), *fexec.map(publish, [([name],) for name in late])])
    return record(told, True)


def joined_by_many() -> Any:
    """A trigger waits, and each of a few publishers brings some of the events that are missing."""
    there = IN_ALL - sum(BROUGHT)
    record(_load, there, True)
    fexec, names = lithops.FunctionExecutor(), [f'late {number}' for number in range(sum(BROUGHT))]
    parts = [names[sum(BROUGHT[:part]) : sum(BROUGHT[: part + 1])] for part in range(len(BROUGHT))]
    fexec.get_result(fexec.map(publish, [(part,) for part in parts]))
    return record(told)


def joined_again() -> Any:
    """A trigger that stays has fired before, and the events that it fired with count no more."""
    record(_load, EACH * (BEFORE + 1) - MISSING, True, False, EACH, BEFORE)
    fexec = lithops.FunctionExecutor()
    fexec.get_result(fexec.map(publish, [([f'late {number}'],) for number in range(MISSING)]))
    return record(told)


ALL: tuple[Callable[[], Any], ...] = (added_to_the_last, joined_by_many, joined_again)


def add(count: int) -> None:
    """What a client does that adds the trigger, after one that had died when it had marked what was there."""
    _workspace().add(_trigger(count))


def publish(names: list[str]) -> None:
    """What a publisher does."""
    workspace = _workspace()
    for name in names:
        workspace.publish(_event(name))


def told(swept: bool = False) -> Any:
    """
    How often it has fired, with how many events, and whether each firing has started something.

    :param swept: whether it may take a sweep to start it. A client that adds a trigger does not come again
    """
    workspace = _workspace()
    firings = workspace.firings(TRIGGER)
    used = [key for firing in firings for key in firing.events]
    if swept:
        workspace.sweep(lambda trigger_id, numbers: [number for number in numbers if not _is_started(number)])
    return len(firings), len(used), len(set(used)), [_is_started(number) for number in workspace.numbers(TRIGGER)]


def _workspace() -> Workspace:
    facts = _facts()

    def start(firing: Firing) -> None:
        facts.write(f'{HOME}/started/{firing.number}', b'{}')

    return Workspace(facts, HOME, start)


def _is_started(number: str) -> bool:
    return _facts().read(f'{HOME}/started/{number}') is not None


def _facts() -> Facts:
    """The bucket, as the orchestrator reaches it, or a call."""
    hooks: Any = patching.hooks('A simulated publisher')
    facts: Facts = hooks.facts if hasattr(hooks, 'facts') else hooks.replay.facts
    return facts


def _load(*there: Any) -> None:
    store: Any = _facts().store
    store.load(_written(*there))


@functools.cache
def _written(events: int, watched: bool, transient: bool = True, each: int = IN_ALL, fired: int = 0) -> dict[str, bytes]:
    """
    What a workspace holds in which so many events have come, and are marked.

    :param watched: whether the trigger watches already
    :param each: events that each firing takes
    :param fired: how often it has fired
    """
    home, trigger = WorkspaceKeys(HOME), _trigger(each, transient)
    channel = channel_of(SHARD.type, SHARD.subject)
    documents = {digest_of(event): event for event in map(_event, map(str, range(events)))}
    objects = {home.event(channel, digest): encoded(event) for digest, event in documents.items()}
    come = sorted(objects)
    objects.update((home.mark(TRIGGER, channel, digest), b'{}') for digest in documents)
    for number in range(fired):
        objects[home.firing(TRIGGER, f'{number:06d}')] = encode({'events': come[each * number : each * (number + 1)]})
        objects[f'{HOME}/started/{number:06d}'] = b'{}'
    objects[home.trigger(TRIGGER)] = encode(trigger)
    if watched:
        objects[home.watch(channel, TRIGGER)] = b'{}'
    return objects


@functools.cache
def _in_sparse_cells(events: int) -> list[str]:
    """Names of events that are in cells in which there are hardly any others."""
    there = [digest_of(_event(str(number)))[:DIGITS] for number in range(THERE)]
    names = (f'late {number}' for number in range(10_000))
    sparse = (name for name in names if there.count(digest_of(_event(name))[:DIGITS]) == 0)
    return [name for name, _ in zip(sparse, range(events), strict=False)]


def _event(name: str) -> Document:
    return {**SHARD.document(), 'id': name, 'time': '2026-11-24T00:00:00Z'}


def _trigger(count: int, transient: bool = True) -> Document:
    return {
        'id': TRIGGER,
        'activation_events': [SHARD.pattern()],
        'condition': conditions.join(count),
        'action': {'name': 'CallAsync'},
        'context': {},
        'transient': transient,
        'retry': DEFAULT,
        'time': 0.0,
        'orchestrator': ORCHESTRATOR,
    }
