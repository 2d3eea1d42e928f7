"""Conditions as a user writes them. A function ``(context, event) -> bool`` is one, too."""

from typing import Any

from ..core import condition
from ..core.condition import Condition, InvalidConditionError
from ..core.limits import seconds

#: Any event fires
TRUE: Condition = condition.always()
#: Any one of several activation events fires: the same by the name that Triggerflow has for it
ANY: Condition = condition.always()


def JOIN(count: int) -> Condition:
    """
    ``count`` distinct events fire.

    :raises InvalidConditionError: not a whole number, or less than 1
    """
    return condition.join(count)


def THRESHOLD(count: int, of: int) -> Condition:
    """
    ``count`` of ``of`` events fire. If more are there when it is looked, it is not said which.

    :raises InvalidConditionError: it could never hold
    """
    return condition.threshold(count, of)


def TIMEOUT(seconds: float, before: Condition | None = None) -> Condition:
    """
    Fires ``seconds`` after the trigger was added, with the events that have come; or as soon as ``before`` holds.

    :param before: a condition that counts events
    :raises InvalidConditionError: not a number of seconds
    """
    return condition.or_after(seconds, None if before is None else condition.validated(before))


def document_of(given: Any) -> Condition:
    """
    The condition that was given, as it is stored.

    :raises InvalidConditionError: it is none
    """
    if callable(given):
        if given in (JOIN, THRESHOLD, TIMEOUT):
            raise InvalidConditionError(f'{given.__name__} needs its numbers; found {given.__name__} itself.')
        return condition.of_callable()
    found = condition.validated(given)
    if found == condition.of_callable():
        raise InvalidConditionError(f'A condition that is a function is that function; found {given!r}.')
    # As JSON can hold it
    return {**found, 'seconds': seconds(found['seconds'], 'A time-out')} if 'seconds' in found else found
