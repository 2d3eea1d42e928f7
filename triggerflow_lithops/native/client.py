"""``Triggerflow``: where a user adds triggers, and publishes events."""

import contextlib
import functools
import time
from typing import Any

from .. import errors
from ..client.care import care
from ..client.executor import TriggerflowExecutor
from ..client.polling import interruptible, wait_for
from ..client.run import Run
from ..client.runs import begin_run
from ..core import limits
from ..core.damage import Damaged
from ..core.run.documents import Policy
from ..core.run.keys import ID, is_run_id
from ..core.wording import shown
from ..core.workspace.keys import WorkspaceKeys
from ..core.workspace.workspace import TriggerNotFoundError
from ..orchestrator.hooks import patching
from ..retry import policy_of
from . import registry
from .events import CloudEvent, checked_context, published
from .firing import FiringOrchestrator
from .trigger_set import InvalidTriggerError, TriggerSet, require_trigger_id


class WorkspaceNotFoundError(errors.TriggerflowError, LookupError):
    """There is no workspace of this name."""

    def __init__(self, name: str, bucket: str):
        self.name = name
        self.bucket = bucket
        super().__init__(
            f'No workspace {name!r} in {bucket}. Triggerflow({name!r}) makes one; it may have been deleted, or made with '
            "another configuration; 'triggerflow-lithops workspaces' lists those that are there."
        )


class Triggerflow:
    """
    Custom triggers, and the functions that they start: an event-condition-action service in which nothing runs while it waits.

    :param workspace: 1 to 64 of ``A-Z a-z 0-9 . _ -``, the first a letter or a digit. It is made if it is not there
    :param context: that all callables of the workspace may read, JSON. Only of a workspace that is made here
    :param create: whether a workspace that is not there is made
    :param executor: whose configuration is used
    :param options: without one, as for :class:`~triggerflow_lithops.TriggerflowExecutor`: ``config=``, ``retry=``, …
    :raises WorkspaceNotFoundError: it is not there, and is not to be made
    :raises Damaged: its document cannot be read: ``Triggerflow().delete_workspace(name)`` removes it all
    :raises InvalidTriggerError: it is no name
    :raises ConfigurationError: the configuration cannot be used
    :raises NotDurableError: an orchestrator runs here
    """

    def __init__(
        self,
        workspace: str | None = None,
        *,
        context: dict[str, Any] | None = None,
        create: bool = True,
        executor: TriggerflowExecutor | None = None,
        **options: Any,
    ):
        if patching.in_force is not None:
            raise errors.NotDurableError(
                'Triggerflow inside an orchestrator, or a callable of a trigger: a second activation would do all of it again. '
                'A PythonCallable has context.publish and context.add_trigger; what ends publishes its end; a call may publish.'
            )
        if not isinstance(executor, (TriggerflowExecutor, type(None))):
            raise errors.ConfigurationTypeError(
                f"'executor' is a TriggerflowExecutor; found {shown(executor)}, a {type(executor).__name__}."
            )
        self.executor = executor or TriggerflowExecutor(**options)
        self._facts = self.executor.facts
        self._name = workspace
        self._triggers: TriggerSet | None = None
        # When it was made, in seconds since the epoch
        self._since = 0.0
        if workspace is not None:
            self._open(workspace, context, create)

    def __repr__(self) -> str:
        return f'Triggerflow({self._name!r})'

    # Workspaces

    def create_workspace(self, name: str, context: dict[str, Any] | None = None) -> None:
        """
        Makes a workspace, and uses it from here on. One that is there is used as it is.

        :param context: that all callables of the workspace may read, JSON
        """
        self._open(name, context, create=True)

    def delete_workspace(self, name: str | None = None) -> None:
        """
        Deletes a workspace, its triggers, its events and its runs, those of triggers that were deleted included. What
        they call goes on, and changes nothing.

        :param name: this one unless given
        :raises WorkspaceNotFoundError: it is not there
        """
        name = self._named if name is None else name
        try:
            document = self._find(name)
        except Damaged as damage:
            if damage.newer:
                raise
            for home in registry.homes(self._facts, name):
                self._empty(home)
            registry.delete_damaged(self._facts, name)
        else:
            self._empty(registry.home_of(document))
            registry.delete(self._facts, document)
        if name == self._name:
            self._triggers = None

    def _empty(self, home: str) -> None:
        """Deletes the triggers of a workspace, and their runs."""
        triggers = self._triggers_of(home)
        # So that nothing fires any more
        triggers.flush()
        for run in [run for found in triggers.workspace.triggers(deleted_too=True) for run in triggers.runs(found)]:
            # Another client may be about to delete it, too
            with contextlib.suppress(errors.RunNotFoundError, errors.InvalidRunError):
                run.cancel()
                run.purge()

    def list_workspaces(self) -> list[str]:
        """The names of all workspaces in the bucket."""
        return registry.names(self._facts)

    # Triggers

    def add_trigger(
        self,
        trigger_id: str,
        event: CloudEvent | list[CloudEvent] | None = None,
        condition: Any = None,
        action: Any = None,
        *,
        context: dict[str, Any] | None = None,
        transient: bool = True,
    ) -> None:
        """
        Adds a trigger. Events that are there already count.

        :param trigger_id: 1 to 64 of ``A-Z a-z 0-9 . _ -``, the first a letter or a digit. The same trigger may be added twice
        :param event: of which type and subject an event activates it; one, or several
        :param condition: ``TRUE`` unless given, ``ANY``, ``JOIN``, ``THRESHOLD``, ``TIMEOUT``, or a function
            ``(context, event) -> bool`` that is asked at each event
        :param action: ``CallAsync``, ``Map``, ``Orchestrate``, ``PythonCallable``, ``Publish``, ``PASS`` or ``END``
        :param context: what its functions are given, JSON
        :param transient: whether it fires once only
        :raises InvalidTriggerError: not an id, not an event
        :raises InvalidConditionError: not a condition, or one that could never hold
        :raises InvalidActionError: not an action
        :raises TriggerExistsError: another one has this id, or had it
        :raises WorkspaceNotFoundError: the workspace was deleted
        """
        self._require().add(trigger_id, event, condition, action, context=context, transient=transient)

    def get_trigger(self, trigger_id: str) -> dict[str, Any]:
        """
        A trigger: 'id', 'activation_events', 'condition', 'action', 'transient', its 'context' as it is now, whether
        it is 'enabled', and how often it has 'fired'. Where the condition is a function, how often that was asked.

        :raises TriggerNotFoundError: there is none
        :raises Damaged: it is there, and cannot be read: delete it
        """
        require_trigger_id(trigger_id)
        own = self._require()
        found = own.workspace.trigger(trigger_id)
        if found is None:
            raise TriggerNotFoundError(f'No trigger {trigger_id!r} is there: it was never added, or it was deleted.')
        names = ('id', 'activation_events', 'condition', 'action', 'transient')
        return {
            **{name: found[name] for name in names},
            'context': registry.context_of(self._facts, own.home, found)[1],
            'enabled': own.workspace.is_enabled(trigger_id),
            'fired': len(own.workspace.numbers(trigger_id)),
        }

    def list_triggers(self) -> list[str]:
        """The ids of all triggers."""
        return self._require().workspace.triggers()

    def delete_trigger(self, trigger_id: str) -> None:
        """
        Deletes a trigger, for good. What it has started goes on.

        :raises TriggerNotFoundError: there is none
        """
        if not self._require().delete(trigger_id):
            raise TriggerNotFoundError(f'No trigger {trigger_id!r} is there: it was never added, or it was deleted.')

    def flush_triggers(self) -> None:
        """Deletes all triggers."""
        self._require().flush()

    def enable_trigger(self, trigger_id: str) -> None:
        """
        A trigger may fire again, and does at once if its condition holds.

        :raises TriggerNotFoundError: there is none
        """
        self._require().enable(trigger_id)

    def disable_trigger(self, trigger_id: str) -> None:
        """
        A trigger does not fire. Events that come go on to count.

        :raises TriggerNotFoundError: there is none
        """
        self._require().disable(trigger_id)

    def intercept_trigger(self, trigger_id: str, by: str) -> None:
        """
        Whenever ``trigger_id`` fires, the action of trigger ``by`` is performed first; if that gives ``False``, its own is not.

        :raises TriggerNotFoundError: one of them is not there
        """
        self._require().intercept(trigger_id, by)

    # Events

    def publish(self, event: CloudEvent | dict[str, Any]) -> bool:
        """
        Publishes an event, and fires what it makes fire.

        :param event: or a CloudEvents 1.0 document, with a subject
        :return: whether it is new: an event with an id that was seen counts once
        :raises InvalidEventError: it is none
        :raises WorkspaceNotFoundError: the workspace was deleted
        """
        # What nobody waits for may be for a workspace that is gone
        return self._own().publish(published(event), unwatched=self._require)

    def runs(self, trigger_id: str) -> list[Run[Any]]:
        """The runs of a trigger's actions: each may be followed, and has a result."""
        require_trigger_id(trigger_id)
        return self._require().runs(trigger_id)

    def wait(self, timeout: float | None = None) -> list[Any]:
        """
        Waits until an ``END`` was reached, and sweeps meanwhile.

        :param timeout: seconds, from 0, to look once, to a hundred years
        :return: the data of the events that it was reached by
        :raises TimeoutError: it was not reached by then
        :raises ValueError: the timeout is no number of seconds
        :raises WorkspaceNotFoundError: the workspace was deleted
        """
        limits.timeout(timeout)
        what, again = f'Workspace {self._name}', f'Triggerflow({self._name!r}).wait() waits for its end'
        with interruptible(f'{what} goes on. {again}; delete_workspace() ends it.'):
            own = self._require()

            def tend() -> None:
                care.take(own.home, self.sweep, age=time.time() - self._since)

            ended: dict[str, Any] = wait_for(
                what, lambda: self._facts.read(WorkspaceKeys(own.home).end()), self._require, tend, timeout, again
            )
            care.is_over(own.home)
        return list(ended['data'])

    def sweep(self) -> list[str]:
        """
        Repairs what nobody reported: an event whose publisher died, an action that was not started, a run.

        :return: what it repaired, in words
        :raises WorkspaceNotFoundError: the workspace was deleted
        """
        return self._require().sweep()

    # Inside

    @property
    def _named(self) -> str:
        if self._name is None:
            raise InvalidTriggerError('Which workspace? Triggerflow(workspace=…) or create_workspace(…) says so.')
        return self._name

    def _own(self) -> TriggerSet:
        if self._triggers is None:
            self._triggers = self._triggers_of(registry.home_of(self._find(self._named)))
        return self._triggers

    def _require(self) -> TriggerSet:
        """:raises WorkspaceNotFoundError: it was deleted; another one may have its name"""
        own = self._own()
        if registry.home_of(self._find(self._named)) != own.home:
            raise WorkspaceNotFoundError(self._named, self.executor.bucket)
        return own

    def _open(self, name: str, context: dict[str, Any] | None, create: bool) -> None:
        _require_name(name)
        context = checked_context(context, 'The context of a workspace')
        new, document = registry.create(self._facts, name, context) if create else (False, self._find(name))
        self._name, self._since = name, document['time']
        self._triggers = self._triggers_of(registry.home_of(document))
        if new:
            care.began(self._triggers.home)

    def _find(self, name: str) -> dict[str, Any]:
        _require_name(name)
        document = registry.find(self._facts, name)
        if document is None:
            raise WorkspaceNotFoundError(name, self.executor.bucket)
        return document

    def _triggers_of(self, home: str) -> TriggerSet:
        executor = self.executor
        begin = functools.partial(begin_run, executor.config, self._facts)
        return TriggerSet(executor.config, self._facts, home, begin, executor.store_code, FiringOrchestrator, self._policy_of)

    def _policy_of(self, retry: Any) -> Policy:
        return self.executor.retry if retry is None else policy_of(retry)


def _require_name(name: object) -> None:
    """:raises InvalidTriggerError: it is no name of a workspace"""
    if not is_run_id(name):
        raise InvalidTriggerError(f'Found workspace {shown(name)}; a name is {ID}.')


def publish(workspace: str, event: CloudEvent | dict[str, Any], **options: Any) -> bool:
    """
    Publishes an event to a workspace, from anywhere that can write to its bucket.

    :param options: as for :class:`~triggerflow_lithops.TriggerflowExecutor`
    :return: whether it is new
    :raises WorkspaceNotFoundError: there is no such workspace
    :raises InvalidEventError: it is no event
    """
    return Triggerflow(workspace, create=False, **options).publish(event)
