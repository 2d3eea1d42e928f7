"""
What is read may be damaged: cut, of another form, of another version. Nothing here touches a store.

:func:`decode` reads JSON of any origin, and raises nothing but :class:`Unfit`. What a document of a
kind has to look like says :mod:`.documents`.
"""

import json
from typing import Any

from .errors import TriggerflowError

#: Characters of what was found that an error shows
SHOWN = 60


class Gone(TriggerflowError):
    """An object of a run cannot be used, and the run cannot go on without it. The message says which one, and why."""


class Damaged(Gone):
    """
    An object is there, and is not what was written.

    :param key: of the object
    :param found: in words
    :param expected: in words
    :param newer: whether a newer version of this plugin has written it
    """

    def __init__(self, key: str, found: str, expected: str, newer: bool = False):
        super().__init__(key, found, expected, newer)
        self.key = key
        self.found = found
        self.expected = expected
        self.newer = newer

    def __str__(self) -> str:
        if self.newer:
            return f'{self.key} was written by a newer version of this plugin: found {self.found}, expected {self.expected}'
        return f'{self.key} is damaged: found {self.found}, expected {self.expected}'


class Unfit(Exception):
    """
    Something that was read is not what it should be.

    :ivar found: in words
    :ivar expected: in words
    """

    def __init__(self, found: str, expected: str, newer: bool = False):
        super().__init__(found, expected)
        self.found = found
        self.expected = expected
        self.newer = newer
        self.path: list[str] = []

    def inside(self, name: object) -> 'Unfit':
        """The same, found inside of a field, or at an index."""
        self.path.insert(0, str(name))
        return self

    def of(self, key: str) -> Damaged:
        """What is wrong with the object at ``key``."""
        where = f' as {".".join(self.path)[:SHOWN]!r}' if self.path else ''
        return Damaged(key, f'{self.found}{where}', self.expected, self.newer)


def shown(value: Any) -> str:
    """What was found, in a few characters, however large or deep it is."""
    if type(value) in (list, dict, tuple):
        return f'a {type(value).__name__} of {len(value)}' if value else repr(value)
    if type(value) is str and len(value) > SHOWN:
        return f'{value[: SHOWN - 20]!r}… of {len(value)} characters'
    if type(value) is int and abs(value) >= 10**SHOWN:
        return 'a number of very many digits'
    return repr(value)


def encode(document: Any) -> bytes:
    """A document as it is stored: ASCII JSON."""
    return json.dumps(document, separators=(',', ':')).encode('ascii')


def decode(value: bytes) -> Any:
    """
    The inverse of :func:`encode`.

    :raises Unfit: it is no JSON, has a number that is none, or is nested too deeply for Python's reader
    """
    try:
        return _DECODER.decode(value.decode('utf-8'))
    except (ValueError, RecursionError) as error:
        # A RecursionError is of hardly any use, and shows what it is itself
        why = 'nested too deeply' if isinstance(error, RecursionError) else shown(str(error)).strip('\'"')
        raise Unfit(f'{len(value)} bytes that are no JSON ({why})', 'a document') from None


def _refuse(constant: str) -> Any:
    raise ValueError(f'{constant} is no number')


_DECODER = json.JSONDecoder(parse_constant=_refuse)
