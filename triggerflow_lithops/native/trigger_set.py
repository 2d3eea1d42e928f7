"""
The triggers of one workspace, from wherever they are reached: a client, or an activation.

A trigger that fires starts a *run*, of an id that follows from the firing: so that two who
start it start one run, and what was lost is found as in any run.
"""

import contextlib
import hashlib
import logging
import time
import uuid
from typing import Any, Callable

from lithops.monitoring.backends.triggerflow.error_text import name_of, text_of

from ..client.run import Run
from ..client.runs import find_run, how_ended
from ..core import condition as conditions
from ..core.condition import InvalidConditionError
from ..core.damage import Damaged
from ..core.event import FAILURE, MAX_BYTES, SUCCESS, InvalidEventError, new_event
from ..core.outcome import LOST
from ..core.run.documents import Outcome, Policy
from ..core.run.keys import ID, RUNS, is_run_id, run_key
from ..core.store import Facts, encode, new_nonce
from ..core.wording import shown
from ..core.workspace.keys import Document, WorkspaceKeys
from ..core.workspace.workspace import Firing, Workspace
from ..errors import RunLost, RunNotFoundError, TriggerflowError
from .actions import END, PASS, Action, require_action
from .conditions import TRUE, document_of
from .events import CloudEvent, checked_context, require_json

logger = logging.getLogger(__name__)

#: Characters of what an exception says that its event has
WORDS = 10_000
#: In place of the number of a firing: what waits until the time of a trigger is up
TIMER = 'timer'


#: Writes an orchestrator under a key, and says what a run of it has to know
StoreCode = Callable[[str, Callable[..., Any]], dict[str, Any]]

#: Makes the orchestrator of an action, given the user's condition if that is a function
Perform = Callable[[Action, 'Callable[..., Any] | None'], Callable[[], Any]]


class TriggerSet:
    """
    :param config: Lithops' configuration, as whoever uses this was given it
    :param home: prefix of the workspace's keys
    :param begin_run: starts a run, unless one of its id is there; given its document
    :param store_code: see there
    :param perform: makes the orchestrator of an action
    :param policy_of: when callables, and calls, run again that failed; given what an action says of it
    """

    def __init__(
        self,
        config: dict[str, Any],
        facts: Facts,
        home: str,
        begin_run: Callable[[Document], Any],
        store_code: StoreCode,
        perform: Perform,
        policy_of: Callable[[Any], Policy],
    ):
        self._config = config
        self._facts = facts
        self.home = home
        self._keys = WorkspaceKeys(home)
        self._begin_run = begin_run
        self._store_code = store_code
        self._perform = perform
        self._policy_of = policy_of
        self.workspace = Workspace(facts, home, self._start)

    # What callables may ask for, too: the names of Context

    def add(
        self,
        trigger_id: str,
        event: Any = None,
        condition: Any = None,
        action: Any = None,
        *,
        context: dict[str, Any] | None = None,
        transient: bool = True,
    ) -> None:
        """As ``Triggerflow.add_trigger``."""
        trigger = definition(trigger_id, event, condition, action, context=context, transient=transient)
        trigger['retry'] = self._policy_of(getattr(action, 'retry', None))
        trigger['time'] = time.time()
        asked = condition if trigger['condition'] == conditions.of_callable() else None
        # Of this try's own: another one of the same id may say something else, and be the one that counts
        code_key = self._keys.code(trigger_id, new_nonce())
        trigger['orchestrator'] = self._store_code(code_key, self._perform(action, asked))
        self.workspace.add(trigger)
        self._start_timer(trigger)
        if 'seconds' in trigger['condition'] and self.workspace.numbers(trigger_id):
            # There was no timer yet when it fired
            self._end_timer(trigger_id)

    def publish(self, document: Document, unwatched: Callable[[], object] = lambda: None) -> bool:
        """Whether the event is new."""
        return self.workspace.publish(document, unwatched)

    def delete(self, trigger_id: str) -> bool:
        """Whether there was such a trigger."""
        require_trigger_id(trigger_id)
        there = self.workspace.delete(trigger_id)
        if there:
            self._end_timer(trigger_id)
        return there

    def enable(self, trigger_id: str) -> None:
        """A trigger may fire again."""
        require_trigger_id(trigger_id)
        self.workspace.switch(trigger_id, True)

    def disable(self, trigger_id: str) -> None:
        """A trigger does not fire."""
        require_trigger_id(trigger_id)
        self.workspace.switch(trigger_id, False)

    def intercept(self, trigger_id: str, by: str) -> None:
        """``by`` is first."""
        require_trigger_id(trigger_id)
        require_trigger_id(by)
        self.workspace.intercept(trigger_id, by)

    def flush(self) -> None:
        """Deletes all triggers."""
        for trigger_id in self.workspace.triggers():
            self.delete(trigger_id)

    # What has fired

    def end(self, events: list[Document]) -> None:
        """The workspace has come to its end."""
        self.flush()
        self._facts.create(self._keys.end(), {'data': [found.get('data') for found in events], 'time': time.time()})

    def has_ended(self, trigger: Document, number: str, value: Any, error: BaseException | None) -> None:
        """Publishes that an action has ended."""
        run_id = run_id_of(self.home, trigger['id'], number)
        data = value if error is None else {'error': [name_of(type(error)), text_of(error)[:WORDS]]}
        document = self._end_of(trigger['id'], run_id, SUCCESS if error is None else FAILURE)
        try:
            require_json(data, 'What it returned')
        except InvalidEventError:
            # It is in the outcome of the run
            self.publish(document)
        else:
            self.publish_with(document, data)

    def _end_of(self, trigger_id: str, run_id: str, kind: str) -> Document:
        source = f'triggerflow-lithops/{self.home}'
        return {**new_event(kind, trigger_id, source, time=time.time(), event_id=run_id), 'runid': run_id}

    def publish_with(self, document: Document, data: Any) -> None:
        """Publishes an event with data; where that is large, with the key of it, as CloudEvents' ``dataref`` has it."""
        whole = {**document, 'data': data}
        if len(encode(whole)) > MAX_BYTES:
            key = self._keys.data(document['id'])
            self._facts.write(key, encode(data))
            whole = {**document, 'dataref': key}
        self.publish(whole)

    def event(self, key: str) -> Document | None:
        """The event that lies at a key, with its data."""
        document = self._facts.read(key)
        # One from outside may name anything, and what it names is its own affair
        if document and is_run_id(document['id']) and document.get('dataref') == self._keys.data(document['id']):
            document['data'] = self._facts.read(document['dataref'])
        return document

    def runs(self, trigger_id: str) -> list[Run[Any]]:
        """The runs that a trigger has started, its timer's included."""
        numbers = [TIMER, *self.workspace.numbers(trigger_id)]
        return [run for number in numbers if (run := self._run(trigger_id, number))]

    def sweep(self) -> list[str]:
        """Repairs what nobody reported, here and in the runs. In words."""
        repaired = [f'trigger {found} was evaluated again' for found in self.workspace.sweep(self.not_started)]
        # What a trigger that was deleted has started goes on, its own end of all triggers included
        for trigger_id in self.workspace.triggers(deleted_too=True):
            try:
                self._start_timer(self.workspace.trigger(trigger_id) or {'condition': {}})
            except Damaged as damage:
                logger.warning('Trigger %s does not fire: %s', trigger_id, damage)
            for run in self.runs(trigger_id):
                outcome = how_ended(self._facts, run)
                if outcome is None:
                    repaired += [f'{run.run_id}: {said}' for said in run.sweep()]
                elif outcome['status'] in ('failed', LOST) and self._has_died(trigger_id, run, outcome):
                    repaired.append(f'{run.run_id}: that it failed was published')
        return repaired

    def _has_died(self, trigger_id: str, run: Run[Any], outcome: Outcome) -> bool:
        """Whether an action has failed in a way in which nobody was left to publish that. It is published here."""
        success, failure = (self._end_of(trigger_id, run.run_id, kind) for kind in (SUCCESS, FAILURE))
        is_timer = run.run_id == run_id_of(self.home, trigger_id, TIMER)
        if is_timer or any(self.workspace.has(document) for document in (success, failure)):
            return False
        name, words = outcome.get('error') or [RunLost.__name__, outcome['reason']]
        self.publish_with(failure, {'error': [name, words[:WORDS]]})
        return True

    def _run(self, trigger_id: str, number: str) -> Run[Any] | None:
        return find_run(self._config, self._facts, run_id_of(self.home, trigger_id, number))

    def not_started(self, trigger_id: str, numbers: list[str]) -> list[str]:
        """Those of a trigger's firings, by their numbers, of which there is no run and should be."""
        trigger = self.workspace.trigger(trigger_id)
        if not numbers or trigger is None or _needs_nothing(trigger):
            return []
        # Those of one trigger have names that begin alike
        started = set(self._facts.list(f'{RUNS}/{_begin_of(trigger_id)}'))
        return [number for number in numbers if run_key(run_id_of(self.home, trigger_id, number)) not in started]

    def _start(self, firing: Firing) -> None:
        if time.time() < firing.trigger['time'] + firing.trigger['condition'].get('seconds', 0.0):
            self._end_timer(firing.trigger['id'])
        if not _needs_nothing(firing.trigger):
            self._start_run(firing.trigger, firing.number)

    def _start_timer(self, trigger: Document) -> None:
        if 'seconds' in trigger['condition']:
            self._start_run(trigger, TIMER)

    def _end_timer(self, trigger_id: str) -> None:
        timer = self._run(trigger_id, TIMER)
        if timer:
            # It is gone if its workspace is being deleted
            with contextlib.suppress(RunNotFoundError):
                timer.cancel()

    def _start_run(self, trigger: Document, number: str) -> None:
        described = trigger['action']
        document = {
            'version': 1,
            'run_id': run_id_of(self.home, trigger['id'], number),
            'incarnation': uuid.uuid4().hex[:8],
            'name': trigger['id'],
            'orchestrator': {
                **trigger['orchestrator'],
                'function': described.get('function', described['name']),
                'function_name': described['name'],
                'firing': {'home': self.home, 'trigger': trigger['id'], 'number': number},
            },
            'retry': trigger['retry'],
            'time': time.time(),
        }
        self._begin_run(document)


def definition(
    trigger_id: str, event: Any, condition: Any, action: Any, *, context: dict[str, Any] | None, transient: bool
) -> Document:
    """
    What a user says of a trigger, as it is stored.

    :raises InvalidTriggerError: not an id, not an event
    :raises InvalidConditionError: not a condition, or one that could never hold
    :raises InvalidActionError: not an action
    :raises InvalidEventError: a context that JSON cannot hold
    """
    require_trigger_id(trigger_id)
    require_action(action)
    events, found = _patterns(event), document_of(TRUE if condition is None else condition)
    _check_together(found, events, transient, action)
    return {
        'id': trigger_id,
        'activation_events': events,
        'condition': found,
        'action': action.document(),
        'context': checked_context(context, f'The context of trigger {trigger_id!r}'),
        'transient': transient,
    }


def run_id_of(home: str, trigger_id: str, number: str) -> str:
    """The run of a firing: its trigger's id, to be read, and what tells it from any other."""
    digest = hashlib.blake2b(f'{home}/{trigger_id}/{number}'.encode(), digest_size=8).hexdigest()
    return f'{_begin_of(trigger_id)}{digest}'


def _begin_of(trigger_id: str) -> str:
    return f'{trigger_id[:40]}-'


def require_trigger_id(trigger_id: Any) -> None:
    """:raises InvalidTriggerError: it is no id"""
    if not is_run_id(trigger_id):
        raise InvalidTriggerError(f'Found trigger id {shown(trigger_id)}; one is {ID}.')


class InvalidTriggerError(TriggerflowError, ValueError):
    """Something else than a trigger."""


def _patterns(given: Any) -> list[dict[str, str]]:
    events = given if isinstance(given, (list, tuple)) else [] if given is None else [given]
    for found in events:
        if not isinstance(found, CloudEvent):
            raise InvalidTriggerError(f'A trigger is activated by a CloudEvent, or a list of them; found {shown(found)}.')
    return [dict(pair) for pair in dict.fromkeys(tuple(found.pattern().items()) for found in events)]


def _check_together(condition: conditions.Condition, events: list[dict[str, str]], transient: bool, action: Action) -> None:
    if not events and 'seconds' not in condition:
        raise InvalidTriggerError('A trigger needs an event that activates it, unless its condition is a TIMEOUT.')
    if condition['name'] == 'NEVER' and 'seconds' not in condition:
        raise InvalidConditionError(f'Found condition {condition!r}, which would never hold.')
    if 'seconds' in condition and not transient:
        raise InvalidConditionError('A TIMEOUT is once: its trigger has to be transient. Add the next one in a PythonCallable.')
    if action is END and not transient:
        raise InvalidTriggerError('A workspace ends once: a trigger that ends it has to be transient.')


def _needs_nothing(trigger: Document) -> bool:
    """Whether there is nothing to start when it fires."""
    name = trigger['action']['name']
    return bool(name == PASS.document()['name'] and trigger['condition']['name'] != 'CALLABLE')
