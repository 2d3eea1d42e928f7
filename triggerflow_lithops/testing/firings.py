"""
Firings to be simulated: what runs when a trigger of a user's has fired, as one more run.

The world has one run: those that a firing starts are facts, and no more. What is told at the end
is what there is in the workspace, so that nothing may be there twice, and nothing be missing.
"""

from typing import Any, Callable

from ..core import condition as conditions
from ..core.event import FAILURE, SUCCESS
from ..core.run.keys import RUNS, WORKSPACES, run_ids
from ..core.store import Facts
from ..core.workspace.keys import Document, WorkspaceKeys, channel_of
from ..core.workspace.workspace import Workspace
from ..native.actions import CallAsync, Map, Publish, PythonCallable
from ..native.context import Context
from ..native.events import CloudEvent, Succeeded
from ..native.firing import FiringContext, FiringOrchestrator
from ..native.registry import context_of
from ..native.trigger_set import TIMER, TriggerSet
from ..orchestrator.hooks import patching
from ..retry import policy_of

HOME = 'triggerflow.events/simulated@0'
SHARD = CloudEvent('shard.done', 'today')


def add(context: Document, events: list[Document]) -> int:
    return int(sum(event['data'] for event in events) + context['n'])


def triple(x: int) -> int:
    return 3 * x


def fails(context: Document, events: list[Document]) -> None:
    raise ValueError('no good')


def bump(context: Context, event: Document) -> int:
    context['n'] += event['data']
    context.publish(CloudEvent('bumped', 'twice'))
    context.publish(CloudEvent('bumped', 'twice'))
    context.add_trigger('more', Succeeded('fired'), action=CallAsync(add), context={'n': 0})
    context.disable_trigger('other')
    return int(context['n'])


def is_large(context: Context, event: Document) -> bool:
    context['n'] += 1
    return bool(event['data'] > 1)


def fails_always(context: Context, event: Document) -> None:
    context['n'] += 1
    raise KeyError('never')


def callable_acts() -> Any:
    return _fired(PythonCallable(bump))


def callable_fails() -> Any:
    return _fired(PythonCallable(fails_always))


def condition_lets_pass() -> Any:
    return _fired(CallAsync(add), is_large)


def call_acts() -> Any:
    return _fired(CallAsync(add))


def call_fails() -> Any:
    return _fired(CallAsync(fails))


def map_acts() -> Any:
    return _fired(Map(triple))


def publishes() -> Any:
    return _fired(Publish(CloudEvent('told', 'all')))


def waits_for_its_time() -> Any:
    """What the timer of a trigger does: it fires with the one event that has come."""
    return _fired(CallAsync(add), of={**conditions.join(5), 'seconds': 60.0}, number=TIMER)


ALL: tuple[Callable[[], Any], ...] = (
    callable_acts,
    callable_fails,
    condition_lets_pass,
    call_acts,
    call_fails,
    map_acts,
    publishes,
    waits_for_its_time,
)


def _fired(action: Any, asked: Any = None, of: conditions.Condition | None = None, number: str = '000000') -> Any:
    """Two events have made a trigger fire, and another one waits for its end; this is the run of that firing."""
    hooks: Any = patching.hooks('A simulated firing')
    facts: Facts = hooks.replay.facts
    condition = of or (conditions.of_callable() if asked else conditions.join(2))
    events = [{**SHARD.document(), 'id': str(data), 'data': data, 'time': '2026-11-24T00:00:00Z'} for data in (1, 2)]

    def prepare() -> str:
        document = {'version': 1, 'name': 'simulated', 'incarnation': '0', 'context': {}, 'time': 0.0}
        facts.create(f'{WORKSPACES}/simulated.json', document)
        home = Workspace(facts, HOME, lambda firing: None)
        home.add(_trigger('other', Succeeded('fired'), conditions.always()))
        home.add(_trigger('fired', SHARD, condition))
        for event in events:
            home.publish(event)
        return max(home.firings('fired'), key=lambda firing: firing.number).number if number != TIMER else TIMER

    fired = hooks.record(prepare, ())
    hooks.run['orchestrator']['firing'] = {'home': HOME, 'trigger': 'fired', 'number': fired}
    try:
        value = FiringOrchestrator(action, asked)()
    except (KeyError, ValueError) as error:
        value = repr(error)
    return value, hooks.record(lambda: _there(facts, FiringContext(hooks).triggers), ())


def _trigger(trigger_id: str, event: CloudEvent, condition: conditions.Condition) -> Document:
    return {
        'id': trigger_id,
        'activation_events': [event.pattern()],
        'condition': condition,
        'action': {'name': 'CallAsync'},
        'context': {'n': 10},
        'transient': True,
        'retry': policy_of({'retries': 1}),
        'time': 0.0,
        'orchestrator': patching.hooks('A simulated trigger').run['orchestrator'],
    }


def _there(facts: Facts, triggers: TriggerSet) -> Any:
    """
    How many events, triggers, versions of contexts and runs there are, and what the context is, once
    what a publisher that died has left is found.
    """
    triggers.workspace.sweep(triggers.not_started)
    kinds = [(SUCCESS, 'fired'), (FAILURE, 'fired'), ('bumped', 'twice'), ('told', 'all')]
    events = [len(facts.list(WorkspaceKeys(HOME).events(channel_of(*kind)))) for kind in kinds]
    home = Workspace(facts, HOME, lambda firing: None)
    version, context = context_of(facts, HOME, {'id': 'fired', 'context': {'n': 10}})
    firings = {name: len(home.firings(name)) for name in home.triggers()}
    return events, version, context, firings, len(run_ids(facts.list(f'{RUNS}/'))), home.is_enabled('other')
