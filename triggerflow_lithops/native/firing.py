"""What runs when a trigger has fired: an orchestrator, and so it survives whatever happens."""

import base64
import copy
import functools
import itertools
import os
import pickle
import time
from typing import Any, Callable

import cloudpickle
import lithops
import lithops.worker.utils as worker_utils
from lithops.job.serialize import write_module_data
from lithops.monitoring.backends.triggerflow.driver import add_stored_modules
from lithops.monitoring.backends.triggerflow.error_text import names_of

from ..core.event import seconds_of
from ..core.run.attempts import delay
from ..core.run.documents import Policy
from ..core.store import Facts, StoreUnavailable
from ..core.workspace.keys import Document, WorkspaceKeys
from ..core.workspace.workspace import Firing
from ..orchestrator.hooks import patching
from ..orchestrator.packing.program import packed
from ..orchestrator.user_code import NO_ARGUMENTS
from ..retry import policy_of
from . import registry
from .actions import END, PASS, Action, CallAsync, Map, Orchestrate, Publish, PythonCallable
from .context import Context
from .events import CloudEvent
from .trigger_set import TIMER, TriggerSet, run_id_of


class FiringOrchestrator:
    """
    The orchestrator of a firing: asks the condition if that is a function of the user's, performs the action,
    and publishes that it has ended.

    :param condition: the user's, if it is a function
    """

    def __init__(self, action: Action, condition: Callable[..., Any] | None):
        self._action = action
        self._condition = condition

    def __call__(self) -> Any:
        here = FiringContext(patching.hooks('A trigger'))
        if here.number == TIMER:
            here.wait_for_its_time()
            return None
        events: list[Document] = here.record(here.events)
        try:
            if not self._lets_pass(here, events):
                return None
            value = self.perform(here, events)
        except BaseException as error:
            here.record(here.report, None, error)
            raise
        if self._action not in (END, PASS):
            here.record(here.report, value, None)
        return value

    def _lets_pass(self, here: 'FiringContext', events: list[Document]) -> bool:
        if self._condition and not (here.ask(self._condition, events) and here.record(here.may_act)):
            return False
        for trigger_id in here.record(here.interceptors):
            other, performance = here.of_another(trigger_id)
            if performance.perform(other, events) is False:
                return False
        return True

    def perform(self, here: 'FiringContext', events: list[Document]) -> Any:
        """
        Does what the action says.

        :return: what its function returned
        """
        action = self._action
        if isinstance(action, PythonCallable):
            return here.ask(action.function, events)
        if isinstance(action, Orchestrate):
            return action.function(here.record(here.context), events)
        if isinstance(action, CallAsync):
            return lithops.FunctionExecutor().call_async(action.function, (here.record(here.context), events)).result()
        if isinstance(action, Map):
            fexec = lithops.FunctionExecutor()
            return fexec.get_result(fexec.map(action.function, [found.get('data') for found in events]))
        if isinstance(action, Publish):
            data = action.event.data if action.event.data is not None else [found.get('data') for found in events]
            here.record(here.publish, action.event.pattern(), data)
        elif action is END or action == END:
            here.record(here.triggers.end, events)
        return None


class FiringContext:
    """
    One firing, from inside of its run.

    :param trigger_id: of the trigger whose context is meant, unless it is the one that has fired
    """

    def __init__(self, hooks: Any, trigger_id: str | None = None):
        self._hooks = hooks
        self.run = hooks.run
        firing = self.run['orchestrator']['firing']
        self.trigger_id = trigger_id or firing['trigger']
        self.number = firing['number']
        self._fired = firing['trigger']
        self._home = firing['home']
        self._facts: Facts = hooks.replay.facts
        begin = functools.partial(hooks.replay.effects.begin_run, hooks.config, self._facts)
        self.triggers = TriggerSet(
            hooks.config, self._facts, self._home, begin, self._store_code, FiringOrchestrator, self._policy_of
        )

    def record(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs it here once; on replay, what it returned then."""
        return self._hooks.record(function, args)

    def _store_code(self, key: str, orchestrator: Callable[..., Any]) -> dict[str, Any]:
        meta = self._hooks.runtime_meta
        self._facts.write(key, packed(self._hooks.config, orchestrator, NO_ARGUMENTS, meta))
        names = ('firing', 'function', 'function_name')
        return {**{name: value for name, value in self.run['orchestrator'].items() if name not in names}, 'code_key': key}

    def _policy_of(self, retry: Any) -> Policy:
        return policy_of(retry) if retry is not None else self.run['retry']

    def wait_for_its_time(self) -> None:
        """Nothing runs until the trigger's time is up; then it fires, if it has not."""
        trigger = self.record(self._trigger)
        self._hooks.sleep(max(0.0, trigger['time'] + trigger['condition']['seconds'] - self.record(time.time)))
        self.record(self.triggers.workspace.time_is_up, self.trigger_id)

    # What is recorded

    def _firing(self) -> Firing:
        firing = self.triggers.workspace.firing(self._fired, self.number)
        if firing is None:
            raise StoreUnavailable(f'Firing {self.number} of trigger {self._fired} is gone: was its workspace deleted meanwhile?')
        return firing

    def events(self) -> list[Document]:
        """Those that made the trigger fire, the oldest first."""
        keys = self._firing().events
        found = [document for document in self._hooks.replay.effects.each(self.triggers.event, keys) if document]
        return sorted(found, key=lambda document: (seconds_of(document), document['id']))

    def may_act(self) -> bool:
        """Whether this is the one firing of its trigger that acts, where there may be only one."""
        return self.triggers.workspace.may_act(self._firing())

    def interceptors(self) -> list[str]:
        """Ids of the triggers that come first."""
        return [trigger['id'] for trigger in self.triggers.workspace.interceptors(self._fired)]

    def context(self) -> Document:
        """Of the trigger, as it is now."""
        return registry.context_of(self._facts, self._home, self._trigger())[1]

    def publish(self, pattern: dict[str, str], data: Any) -> None:
        """Publishes the event of an action, the same one however often it is performed; that of an interceptor is another."""
        event_id = run_id_of(self._home, self.trigger_id, self.run['run_id'])
        self.triggers.publish_with(CloudEvent(**pattern, id=event_id).document(), data)

    def report(self, value: Any, error: BaseException | None) -> None:
        """Publishes that the action has ended."""
        self.triggers.has_ended(self._firing().trigger, self.number, value, error)

    def _trigger(self) -> Document:
        trigger = self._facts.read(WorkspaceKeys(self._home).trigger(self.trigger_id))
        if trigger is None:
            raise StoreUnavailable(f'Trigger {self.trigger_id} is gone: was its workspace deleted meanwhile?')
        return trigger

    # Callables

    def ask(self, function: Callable[..., Any], events: list[Document]) -> Any:
        """Runs a callable, again if it raises, and then does what it asked for."""
        policy = self.run['retry']
        since = self.record(self._version)
        for attempt in itertools.count(1):
            try:
                value, asked = self.record(self._change, since, function, events)
                break
            except Exception as error:
                if attempt > policy['retries'] or not _is_retried(policy, error):
                    raise
                wait = self.record(delay, policy, attempt)
            self._hooks.sleep(wait)
        step = self._hooks.replay.position
        for number, (name, args, more) in enumerate(asked):
            if name == 'publish':
                # The same event, however often this is done
                ours = {'source': f'triggerflow-lithops/{self._home}', 'id': f'{self.run["run_id"]}/{step}.{number}'}
                args = ({**args[0], **ours},)
            self.record(self._do, name, args, more)
        return value

    def _do(self, name: str, args: tuple[Any, ...], more: dict[str, Any]) -> None:
        # In a workspace that was deleted meanwhile, triggers that add one another would go on for ever
        if registry.at(self._facts, self._home):
            getattr(self.triggers, name)(*args, **more)

    def _version(self) -> int:
        return registry.context_of(self._facts, self._home, self._trigger())[0]

    def _change(self, since: int, function: Callable[..., Any], events: list[Document]) -> tuple[Any, Any]:
        trigger = self._trigger()
        of_workspace = registry.global_context(self._facts, self._home)

        def make(values: Document) -> Document:
            # What it does to them is nobody else's: on a replay it is not run
            given = copy.deepcopy(events)
            context = Context(values, self.trigger_id, of_workspace, given)
            value = function(context, given[-1] if given else None)
            said = base64.b64encode(cloudpickle.dumps((value, context.asked()))).decode()
            return {'context': context.values_now(), 'said': said, 'asks': bool(context.asked())}

        changed = registry.change_context(self._facts, self._home, trigger, since, self.run['run_id'], make)
        value, asked = pickle.loads(base64.b64decode(changed['said']))
        return value, asked

    # Interceptors

    def of_another(self, trigger_id: str) -> 'tuple[FiringContext, FiringOrchestrator]':
        """What is performed first when another trigger intercepts this one."""
        other = FiringContext(self._hooks, trigger_id)

        def read() -> bytes | None:
            return self._facts.read_bytes(other._trigger()['orchestrator']['code_key'])

        stored = pickle.loads(self._hooks.run_step(read, 'An interceptor') or b'')
        folder = os.path.join(worker_utils.MODULES_DIR, self.run['run_id'], trigger_id)
        os.makedirs(folder, exist_ok=True)
        write_module_data(folder, stored['module_data'])
        add_stored_modules(folder)
        performance, _ = pickle.loads(pickle.loads(stored['func']).code)
        return other, performance


def _is_retried(policy: Document, error: Exception) -> bool:
    """Whether a callable that raised runs again: after any exception, unless the policy names some."""
    return not policy['on'] or bool(set(names_of(type(error))) & set(policy['on']))
