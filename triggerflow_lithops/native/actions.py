"""Actions as a user writes them: what a trigger does when it fires."""

from dataclasses import dataclass
from typing import Any, Callable

from ..errors import TriggerflowError
from ..orchestrator.jobs import qualified_name
from ..retry import policy_of
from .events import CloudEvent


class InvalidActionError(TriggerflowError, ValueError):
    """Something else than an action."""


@dataclass(frozen=True)
class Action:
    """What a trigger does. Use one of its kinds."""

    def document(self) -> dict[str, Any]:
        """What of it people, and other triggers, may know."""
        return {'name': type(self).__name__}


@dataclass(frozen=True)
class _OfAFunction(Action):
    function: Callable[..., Any]
    #: When it runs again if it failed, as in ``TriggerflowExecutor(retry=…)``
    retry: Any = None

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InvalidActionError(f'{type(self).__name__} takes a function; found {self.function!r}.')
        if self.retry is not None:
            policy_of(self.retry)

    def document(self) -> dict[str, Any]:
        return {**super().document(), 'function': qualified_name(self.function)}


@dataclass(frozen=True)
class CallAsync(_OfAFunction):
    """
    Calls ``function(context, events)`` as a Lithops function.

    ``context`` is a copy of the trigger's, a dict; ``events`` are those that made it fire, CloudEvents
    documents (dicts). What it returns is the data of the event that it has ended.
    """


@dataclass(frozen=True)
class Map(_OfAFunction):
    """
    Maps ``function`` over the data of the events that made the trigger fire, as ``FunctionExecutor.map`` does.

    Data that is a dict becomes keyword arguments, as in Lithops. The list of all that was returned is the
    data of the event that it has ended.
    """


@dataclass(frozen=True)
class Orchestrate(_OfAFunction):
    """Runs ``function(context, events)`` as an orchestrator: an ordinary Lithops script."""


@dataclass(frozen=True)
class PythonCallable(_OfAFunction):
    """
    Runs ``function(context, event)`` where the trigger fires: for short things.

    ``context`` is a :class:`~.context.Context`: what is changed in it stays, once the function has returned;
    its methods publish events, and add, enable, disable or intercept triggers. ``event`` is the
    last of those that made the trigger fire, a CloudEvents document (a dict); ``None`` if time did.
    """


@dataclass(frozen=True)
class Publish(Action):
    """Publishes an event, with the data of those that made the trigger fire if it has none."""

    event: CloudEvent

    def __post_init__(self) -> None:
        if not isinstance(self.event, CloudEvent):
            raise InvalidActionError(f'Publish takes a CloudEvent; found {self.event!r}.')

    def document(self) -> dict[str, Any]:
        return {**super().document(), 'event': {**self.event.pattern(), 'data': self.event.data}}


@dataclass(frozen=True)
class _Pass(Action):
    def document(self) -> dict[str, Any]:
        return {'name': 'PASS'}


@dataclass(frozen=True)
class _End(Action):
    def document(self) -> dict[str, Any]:
        return {'name': 'END'}


#: Nothing: the trigger has fired, and that is all
PASS = _Pass()
#: The workspace has come to its end: ``Triggerflow.wait`` returns the data of the events, and all triggers are deleted
END = _End()


def require_action(given: Any) -> Action:
    """:raises InvalidActionError: it is none"""
    if not isinstance(given, Action):
        hint = f' Did you mean CallAsync({qualified_name(given)})?' if callable(given) and not isinstance(given, type) else ''
        raise InvalidActionError(
            f'An action is a CallAsync, Map, Orchestrate, PythonCallable or Publish, or PASS, or END; found {given!r}.{hint}'
        )
    return given
