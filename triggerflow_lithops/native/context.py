"""What a callable of a trigger is given: its context, and what it may do with the workspace."""

from types import MappingProxyType
from typing import Any, Mapping

from ..core.event import encoded
from .events import CloudEvent, published, require_json
from .trigger_set import definition, require_trigger_id


class Context(dict[str, Any]):
    """
    The context of a trigger, a dict. What is changed in it stays, without lost updates, once the callable
    has returned; and then is done what it has asked for, in order. Nothing is if it raises.

    :ivar trigger_id: of its trigger
    :ivar workspace: the context of the workspace, which does not change
    :ivar events: those that made the trigger fire, CloudEvents documents
    """

    def __init__(self, values: dict[str, Any], trigger_id: str, workspace: dict[str, Any], events: list[dict[str, Any]]):
        super().__init__(values)
        self.trigger_id = trigger_id
        self.workspace: Mapping[str, Any] = MappingProxyType(workspace)
        self.events = events
        self._asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def publish(self, event: CloudEvent | dict[str, Any]) -> None:
        """Publishes an event. Its source and its id will be those of this firing."""
        document = published(event)
        # Now, as below
        encoded(document)
        self._asked.append(('publish', (document,), {}))

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
        """Adds a trigger, as ``Triggerflow.add_trigger`` does."""
        # Now, and not when the callable has returned: what it has changed would stay
        definition(trigger_id, event, condition, action, context=context, transient=transient)
        self._asked.append(('add', (trigger_id, event, condition, action), {'context': context, 'transient': transient}))

    def delete_trigger(self, trigger_id: str) -> None:
        """Deletes a trigger, for good."""
        require_trigger_id(trigger_id)
        self._asked.append(('delete', (trigger_id,), {}))

    def enable_trigger(self, trigger_id: str) -> None:
        """A trigger may fire again, and does at once if its condition holds."""
        require_trigger_id(trigger_id)
        self._asked.append(('enable', (trigger_id,), {}))

    def disable_trigger(self, trigger_id: str) -> None:
        """A trigger does not fire. Events go on to count."""
        require_trigger_id(trigger_id)
        self._asked.append(('disable', (trigger_id,), {}))

    def intercept_trigger(self, trigger_id: str, by: str) -> None:
        """Whenever ``trigger_id`` fires, the callable of trigger ``by`` is first."""
        require_trigger_id(trigger_id)
        require_trigger_id(by)
        self._asked.append(('intercept', (trigger_id, by), {}))

    def asked(self) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
        """What it was asked to do: the name of a method of ``TriggerSet``, and its arguments."""
        return self._asked

    def values_now(self) -> dict[str, Any]:
        """:raises InvalidEventError: JSON cannot hold it any more"""
        require_json(dict(self), f'The context of trigger {self.trigger_id!r}')
        return dict(self)
