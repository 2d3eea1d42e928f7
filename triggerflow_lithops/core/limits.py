"""
What a time in seconds and a text may be, wherever a user gives one.

Lives on the lowest floor, for what is stored is validated here, too. A value is refused where it is
given, with what was found, so that nothing of it fails later, in another process.
"""

import math
import re
from typing import Any

from .wording import shown

#: Seconds of a hundred years: the longest time that anything takes
LONGEST = 100 * 365.25 * 86_400
#: Characters of a name for people to read
NAME = 128
#: Characters of an attribute of an event
ATTRIBUTE = 2048

#: What the String of CloudEvents 1.0 does not allow (section 3.1): control characters, and what is no character
_NO_CHARACTER = re.compile('[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]')
#: Types that turn into a float and are no number of seconds. The two of numpy by name: it may not be there
_NO_SECONDS = ('bool', 'bool_', 'timedelta64', 'datetime64')


class WrongTypeError(TypeError, ValueError):
    """
    A value of a type that means nothing here. It is a ``ValueError``, too, as all that is out of
    bounds here is one, so that a program has to catch one kind only.
    """


def seconds(value: Any, name: str, at_most: float = LONGEST) -> float:
    """
    A time in seconds, as it was given.

    :param value: an int, a float, or anything else that converts by ``__float__``, such as a ``Fraction``
        or a number of numpy
    :param name: says what it is for, such as ``'timeout'``
    :param at_most: seconds; a hundred years unless given
    :return: an int or a float, which JSON can hold
    :raises WrongTypeError: no number, a ``TypeError``
    :raises ValueError: not a number, negative, or longer than ``at_most``
    """
    expected = f'{name} is a number of seconds, 0 or more and {_in_words(at_most)} at the most'
    found = _number(value, expected)
    if not 0 <= found <= at_most:
        raise ValueError(f'{expected}; found {shown(value)}.')
    return found


def timeout(value: Any, name: str = 'timeout') -> float | None:
    """As :func:`seconds`; None where there is none, which means to wait for ever."""
    return None if value is None else seconds(value, name)


def timeout_of_wait(value: Any) -> float | None:
    """
    As :func:`timeout`, for a wait of Lithops or of the standard library: less than 0 means there
    that the time has passed already.
    """
    expected = f'timeout is a number of seconds, {_in_words(LONGEST)} at the most'
    found = None if value is None else _number(value, expected)
    if found is not None and not -LONGEST <= found <= LONGEST:
        raise ValueError(f'{expected}; found {shown(value)}.')
    return found


def _number(value: Any, expected: str) -> float:
    kind = type(value)
    if kind.__name__ in _NO_SECONDS or not hasattr(kind, '__float__'):
        hint = ' Write value.total_seconds().' if hasattr(kind, 'total_seconds') else ''
        raise WrongTypeError(f'{expected}; found {shown(value)}, a {kind.__name__}.{hint}')
    try:
        found = float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    except (TypeError, ValueError) as error:
        raise WrongTypeError(f'{expected}; found {shown(value)}, a {kind.__name__}.') from error
    return value if kind is int else found


def name(value: Any, what: str) -> str:
    """
    A name for people to read: 1 to 128 printable characters.

    :param what: it names, such as ``'The name of a run'``
    :raises WrongTypeError: no string, a ``TypeError``
    :raises ValueError: empty, too long, or with characters that are not printable
    """
    expected = f'{what} has 1 to {NAME} printable characters'
    if not isinstance(value, str):
        raise WrongTypeError(f'{expected}; found {shown(value)}, a {type(value).__name__}.')
    if not 1 <= len(value) <= NAME:
        raise ValueError(f'{expected}; found {len(value)}: {shown(value)}.')
    if not value.isprintable():
        raise ValueError(f'{expected}; found {shown(value)}. Leave out line ends, tabs and other control characters.')
    return value


def is_attribute(value: object) -> bool:
    """Whether ``value`` is a text that an event may carry as an attribute, empty or not."""
    return isinstance(value, str) and len(value) <= ATTRIBUTE and not _NO_CHARACTER.search(value)


def _in_words(at_most: float) -> str:
    return 'a hundred years' if at_most == LONGEST else f'{at_most:g}'
