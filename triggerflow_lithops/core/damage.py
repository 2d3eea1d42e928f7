"""
What is read may be damaged: cut, of another form, of another version. Nothing here touches a store.

:func:`decode` reads JSON of any origin, and raises nothing but :class:`Unfit`. What a document of a
kind has to look like says :mod:`.kinds`.
"""

import json
from typing import Any

from .errors import TriggerflowError
from .wording import OUTLINE, outline


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
        where = f' as {".".join(self.path)[:OUTLINE]!r}' if self.path else ''
        return Damaged(key, f'{self.found}{where}', self.expected, self.newer)


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
        why = 'nested too deeply' if isinstance(error, RecursionError) else outline(str(error)).strip('\'"')
        raise Unfit(f'{len(value)} bytes that are no JSON ({why})', 'a document') from None


def _refuse(constant: str) -> Any:
    raise ValueError(f'{constant} is no number')


_DECODER = json.JSONDecoder(parse_constant=_refuse)
