"""Events as a user writes them."""

import json
import time as clock
import uuid
from dataclasses import dataclass, field
from typing import Any

from ..core import event
from ..core.event import InvalidEventError
from ..core.wording import shown
from ..core.workspace.workspace import require_subject

#: Source of an event that names none
SOURCE = 'urn:triggerflow-lithops'


@dataclass(frozen=True)
class CloudEvent:
    """
    A CloudEvents 1.0 event; where a trigger is added, any event of this type and subject.

    :param type: such as ``'shard.done'``
    :param subject: what it is about
    :param data: anything that JSON can hold
    :param source: who publishes it. Two events of one source and id are one event
    :param id: a random one unless given
    :raises InvalidEventError: no type, no subject, or data that is not JSON
    """

    type: str
    subject: str
    data: Any = None
    source: str = SOURCE
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        for name in ('type', 'subject', 'source', 'id'):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise InvalidEventError(f'A CloudEvent has a non-empty string as {name!r}; found {shown(value)}.')
            event.require_attribute(name, value)
        require_json(self.data, f'The data of event {self.type!r}')

    def document(self) -> dict[str, Any]:
        """As it is published: a CloudEvents 1.0 document of now."""
        return event.new_event(self.type, self.subject, self.source, time=clock.time(), data=self.data, event_id=self.id)

    def pattern(self) -> dict[str, str]:
        """As a trigger waits for it."""
        return {'type': self.type, 'subject': self.subject}


def Succeeded(trigger_id: str) -> CloudEvent:
    """That the action of a trigger has ended well. Its data is what the function returned, if that is JSON."""
    return CloudEvent(event.SUCCESS, trigger_id)


def Failed(trigger_id: str) -> CloudEvent:
    """That the action of a trigger has failed. Its data has the ``error``: the exception's name, and its words."""
    return CloudEvent(event.FAILURE, trigger_id)


def published(given: CloudEvent | dict[str, Any]) -> dict[str, Any]:
    """
    The document of an event.

    :param given: or the document itself
    :raises InvalidEventError: it is none, or no trigger could wait for it
    """
    if isinstance(given, CloudEvent):
        return given.document()
    document = require_subject(event.validated(given))
    require_json(document, 'The event')
    return document


def require_json(value: Any, what: str) -> None:
    """:raises InvalidEventError: JSON cannot hold it"""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidEventError(
            f'{what} is not JSON ({error}). Put large or binary data into the bucket, and its key into the event.'
        ) from error


def checked_context(given: Any, what: str) -> dict[str, Any]:
    """
    A context as it was given, or an empty one.

    :raises InvalidEventError: it is no dict, or JSON cannot hold it
    """
    if not isinstance(given, (dict, type(None))):
        raise InvalidEventError(f'{what} is a dict; found {shown(given)}.')
    require_json(given, what)
    return given or {}
