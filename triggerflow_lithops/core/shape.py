"""
Checks of what was read, and how they are put together. Pure; what does not fit raises :class:`~.damage.Unfit`.

A *check* is given a value. It costs well under a microsecond for each field, so that whatever is read
can be checked whenever it is read.
"""

import ast
import binascii
import re
from typing import Any, Callable, Mapping

from .damage import Unfit
from .wording import outline

Check = Callable[[Any], None]

#: Numbers of activations, positions, attempts: far more than there can be
MOST = 10**9
#: Seconds since the epoch that a calendar has: up to the end of the year 9999
LATEST = 253402300799.0
#: The largest number that is taken for one of seconds, or of bytes
LARGEST = 1e15

#: Characters of a text of bytes that are looked at one by one. A longer one is read by Python's own parser
LONG = 2**16
#: What ``str()`` makes of bytes. Whoever reads it has Python evaluate it, so it has to be that and nothing else
_BYTES = re.compile(
    r"""b'[ -&(-\[\]-~]*(?:\\(?:x[0-9a-f]{2}|[\\'nrt])[ -&(-\[\]-~]*)*'"""
    r'''|b"[ !#-\[\]-~]*(?:\\(?:x[0-9a-f]{2}|[\\nrt])[ !#-\[\]-~]*)*"'''
)
_BASE64 = re.compile(r'(?:[A-Za-z0-9+/]*={0,2},)*[A-Za-z0-9+/]*={0,2}')


def anything(value: Any) -> None:
    """Any JSON."""


def simple(expected: str, fits: Callable[[Any], bool]) -> Check:
    """
    A check that needs no more than a look at the value.

    :param expected: in words
    """

    def check(value: Any) -> None:
        if not fits(value):
            raise Unfit(outline(value), expected)

    return check


text = simple('a text', lambda value: type(value) is str)
flag = simple('true or false', lambda value: type(value) is bool)
#: An int, of a number of something that can be counted
count = simple(f'a whole number from 0 to {MOST}', lambda value: type(value) is int and 0 <= value <= MOST)
positive = simple(f'a whole number from 1 to {MOST}', lambda value: type(value) is int and 1 <= value <= MOST)
#: A number that can be reckoned with. NaN fits nothing
number = simple('a number', lambda value: type(value) in (int, float) and -LARGEST <= value <= LARGEST)
seconds = simple('a number of seconds', lambda value: type(value) in (int, float) and 0 <= value <= LARGEST)
moment = simple('seconds since 1970', lambda value: type(value) in (int, float) and 0 <= value <= LATEST)
#: JSON may hold 1e999, which is read as infinite
finite = simple('a finite number', lambda value: type(value) in (int, float) and -1.7e308 < value < 1.7e308)
mapping = simple('a document', lambda value: type(value) is dict)
sequence = simple('a list', lambda value: type(value) is list)
texts = simple('a list of texts', lambda value: type(value) is list and all(type(found) is str for found in value))


def pattern(expected: str, expression: str) -> Check:
    """A text all of which an expression matches."""
    matches = re.compile(expression).fullmatch
    return simple(expected, lambda value: type(value) is str and matches(value) is not None)


#: Of an object. It leads to nowhere outside of the bucket's folder
key = pattern('a key', r'(?!.*(?:^|/)\.\.?(?:/|$))[^/\x00-\x1f][^\x00-\x1f]{0,1023}')


def exactly(*values: Any) -> Check:
    """One of a few texts or numbers."""
    expected = ' or '.join(repr(value) for value in values)
    # 1, 1.0 and True are equal, and only one of them was written
    wanted = {(type(value), value) for value in values}
    return simple(expected, lambda value: type(value) in (str, int, bool) and (type(value), value) in wanted)


def between(first: float, last: float) -> Check:
    """A number from ``first`` to ``last``."""
    return simple(f'a number from {first} to {last}', lambda value: type(value) in (int, float) and first <= value <= last)


def optional(check: Check) -> Check:
    """Null, or what fits."""

    def check_unless_none(value: Any) -> None:
        if value is not None:
            check(value)

    return check_unless_none


def fields(needed: Mapping[str, Check], more: Mapping[str, Check] | None = None) -> Check:
    """
    A document with some fields. Those that nobody has asked for are none of our business.

    :param needed: what has to be there
    :param more: what may be there
    """
    wanted, known = tuple(needed.items()), tuple((more or {}).items())

    def check(value: Any) -> None:
        if type(value) is not dict:
            raise Unfit(outline(value), 'a document')
        for name, fits in wanted:
            try:
                found = value[name]
            except KeyError:
                raise Unfit('nothing', f'a field {name!r}').inside(name) from None
            try:
                fits(found)
            except Unfit as unfit:
                raise unfit.inside(name) from None
        for name, fits in known:
            if name in value:
                try:
                    fits(value[name])
                except Unfit as unfit:
                    raise unfit.inside(name) from None

    return check


def each(check: Check) -> Check:
    """A list of what fits."""

    def check_each(value: Any) -> None:
        sequence(value)
        for index, found in enumerate(value):
            try:
                check(found)
            except Unfit as unfit:
                raise unfit.inside(index) from None

    return check_each


def by(keys: Check, values: Check) -> Check:
    """A document in which names that fit have values that fit."""

    def check(value: Any) -> None:
        mapping(value)
        for name, found in value.items():
            try:
                keys(name)
                values(found)
            except Unfit as unfit:
                raise unfit.inside(name[:20]) from None

    return check


def row(*checks: Check) -> Check:
    """A list of as many values as there are checks, which fit in turn."""

    def check(value: Any) -> None:
        if type(value) is not list or len(value) != len(checks):
            raise Unfit(outline(value), f'a list of {len(checks)}')
        for index, (fits, found) in enumerate(zip(checks, value, strict=True)):
            try:
                fits(found)
            except Unfit as unfit:
                raise unfit.inside(index) from None

    return check


def both(*checks: Check) -> Check:
    """What fits all of these, which are asked in turn."""

    def check(value: Any) -> None:
        for fits in checks:
            fits(value)

    return check


def base64(value: Any) -> None:
    """Bytes as a text in base 64."""
    text(value)
    try:
        binascii.a2b_base64(value)
    except ValueError as error:
        raise Unfit(f'a text that is not ({error})', 'base 64') from None


def base64s(found: list[Any]) -> None:
    """Several of them, which may be many: together, unless there is something wrong."""
    if all(type(value) is str and not len(value) % 4 for value in found) and _BASE64.fullmatch(','.join(found)):
        return
    for index, value in enumerate(found):
        try:
            base64(value)
        except Unfit as unfit:
            raise unfit.inside(index) from None


def pairs(found: list[Any]) -> None:
    """Two numbers each of something that can be counted, of which there may be many."""
    for index, value in enumerate(found):
        if not (type(value) is list and len(value) == 2 and type(value[0]) is type(value[1]) is int and 0 <= value[0] <= LARGEST):
            raise Unfit(outline(value), 'two whole numbers').inside(index)


def literal_bytes(value: Any) -> None:
    """Bytes as Python writes them. Lithops reads them by ``eval``, so they are that and nothing else."""
    text(value)
    if value[:2] not in ("b'", 'b"'):
        raise Unfit(outline(value), 'bytes as Python writes them')
    if len(value) <= LONG:
        if not _BYTES.fullmatch(value):
            raise Unfit(outline(value), 'bytes as Python writes them')
        return
    try:
        fits = type(ast.literal_eval(value)) is bytes
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        fits = False
    if not fits:
        raise Unfit(outline(value), 'bytes as Python writes them')
