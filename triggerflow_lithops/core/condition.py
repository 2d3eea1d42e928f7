"""
Conditions: whether what has happened makes a trigger fire. Pure functions.

A condition is a document, ``{'name': 'JOIN', 'count': 3}``. It is given how many
distinct events ``(source, id)`` there are, never how many deliveries.
"""

from typing import Any, Callable

from . import limits
from .errors import TriggerflowError

Condition = dict[str, Any]


class InvalidConditionError(TriggerflowError, ValueError):
    """A document that is not a condition, or one that could never hold."""


def always() -> Condition:
    """``TRUE``: any event fires."""
    return {'name': 'TRUE'}


def join(count: int) -> Condition:
    """``JOIN``: all ``count`` events fire."""
    return validated({'name': 'JOIN', 'count': count})


def threshold(count: int, of: int) -> Condition:
    """``THRESHOLD``: ``count`` of the ``of`` events fire."""
    return validated({'name': 'THRESHOLD', 'count': count, 'of': of})


def of_callable() -> Condition:
    """``CALLABLE``: a function of the user's is asked at each event."""
    return {'name': 'CALLABLE'}


def or_after(seconds: float, condition: Condition | None = None) -> Condition:
    """``condition``, or when so much time has passed. Time alone without one."""
    return validated({**(condition or never()), 'seconds': _checked(seconds)})


def never() -> Condition:
    """``NEVER``: no event fires, only time."""
    return {'name': 'NEVER'}


def _never(condition: Condition, distinct: int) -> bool:
    return False


def _true(condition: Condition, distinct: int) -> bool:
    return distinct >= 1


def _count_reached(condition: Condition, distinct: int) -> bool:
    return bool(distinct >= condition['count'])


_CONDITIONS: dict[str, Callable[[Condition, int], bool]] = {
    'CALLABLE': _true,
    'JOIN': _count_reached,
    'NEVER': _never,
    'THRESHOLD': _count_reached,
    'TRUE': _true,
}


def holds(condition: Condition, distinct: int) -> bool:
    """
    Whether ``condition`` holds.

    :param distinct: number of distinct events seen, from 0
    """
    return _CONDITIONS[condition['name']](condition, distinct)


def validated(condition: Any) -> Condition:
    """
    The condition itself, if it is one.

    :raises InvalidConditionError: unknown, or it could never hold
    """
    name = condition.get('name') if isinstance(condition, dict) else None
    if not isinstance(name, str) or name not in _CONDITIONS:
        known = ', '.join(sorted(_CONDITIONS))
        raise InvalidConditionError(f"A condition is a document with a 'name' of {known}; found {condition!r}.")
    if 'seconds' in condition:
        _check_seconds(condition)
    if name in ('TRUE', 'NEVER', 'CALLABLE'):
        return condition  # type: ignore[no-any-return]
    count = condition.get('count')
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InvalidConditionError(f'{name} needs a whole number of events, at least 1; found {count!r}.')
    if name == 'THRESHOLD' and not (isinstance(condition.get('of'), int) and count <= condition['of']):
        raise InvalidConditionError(f'{name} of {count} events out of {condition.get("of")!r} could never hold.')
    return condition  # type: ignore[no-any-return]


def _checked(seconds: Any) -> float:
    try:
        return limits.seconds(seconds, 'A time-out')
    except ValueError as error:
        raise InvalidConditionError(str(error)) from error


def _check_seconds(condition: Condition) -> None:
    _checked(condition['seconds'])
    if condition['name'] == 'CALLABLE':
        raise InvalidConditionError('A callable is asked at each event, and a TIMEOUT is for a count: use JOIN or THRESHOLD.')
