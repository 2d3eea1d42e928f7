"""
What tells that the code of an orchestrator has changed: a step as it was recorded, and as it is found.

A digest is the same in every process. It takes any value, raises nothing, runs no code of
the user, and takes a bounded time: of what is large, only a part counts.
"""

import hashlib
from dataclasses import dataclass
from typing import Any, Callable, Iterator

from .readers import content_of, name_of_type
from .tokens import packed, token

#: Elements that count of all values together …
ROOM = 2**17
#: … and at least of each call, where they are the values of many
ROOM_OF_A_CALL = 512
#: Containers inside each other that are written at once where they are small: of all values, and of an element
LEVELS = 5
LEVELS_OF_ELEMENTS = 3
#: Bytes written at once that take as much room as one element
BYTES = 64


@dataclass(frozen=True)
class Fingerprint:
    """
    What is compared between two activations at one position.

    :param kind: ``call_async``, ``map``, ``wait``, ``now``, ``record``, …
    :param function: qualified name of what is called; empty for a choice
    :param calls: number of calls that it is about
    :param digest: of the arguments
    """

    kind: str
    function: str = ''
    calls: int = 0
    digest: str = ''

    def __str__(self) -> str:
        if not self.function:
            return f'{self.kind}({self.calls} calls)' if self.calls else f'{self.kind}()'
        calls = f'{self.calls} call{"" if self.calls == 1 else "s"}'
        return f'{self.kind}({self.function}, {calls}, arguments {self.digest})'

    def document(self) -> list[Any]:
        """As it is stored."""
        return [self.kind, self.function, self.calls, self.digest]


def digest_of(values: Any, name_of: Callable[[Any], str] = lambda value: '', calls: int = 1) -> str:
    """
    Eight hexadecimal digits that differ when values differ.

    The order of a set does not count; every other container counts in its own order.
    An object that is not plain data counts by its type only.

    :param name_of: what is not plain counts by this, too. It must run no code of the user
    :param calls: of how many calls these are the values: something of each one counts
    """
    sink = hashlib.blake2b(digest_size=4)
    small = token(values, LEVELS)
    if small is None:
        _walk(sink, values, max(ROOM, ROOM_OF_A_CALL * calls), name_of)
    else:
        sink.update(small)
    return sink.hexdigest()


class _Frame:
    """A value that the walk is in, and what of it is still to come."""

    __slots__ = ('children', 'digests', 'left', 'room', 'share', 'sink', 'start', 'value')

    def __init__(self, value: Any, children: list[Any], start: int, room: int, sink: Any, ordered: bool):
        self.value = value
        self.children: Iterator[Any] = iter(children)
        self.left = len(children)
        self.start = start
        self.room = room
        self.sink = sink
        # Of each element alike, for which one comes first is up to the process
        self.share = None if ordered else max(0, room) // len(children)
        self.digests: list[Any] = []

    def next(self) -> tuple[Any, int, Any]:
        """The next child, how many elements of it count, and where it is written."""
        child = next(self.children)
        if self.share is not None:
            self.digests.append(hashlib.blake2b(digest_size=16))
            self.left -= 1
            return child, self.share, self.digests[-1]
        room = max(0, self.room) // self.left
        self.left -= 1
        return child, room, self.sink

    def close(self) -> int:
        """:return: how many elements counted, its own included"""
        if self.digests:
            self.sink.update(b''.join(sorted(digest.digest() for digest in self.digests)))
        return self.start - self.room


def _walk(sink: Any, value: Any, room: int, name_of: Callable[[Any], str]) -> None:
    """
    Writes a value, however deep it is.

    What it has room for is dealt out among its elements that have elements of their
    own; what one of them leaves, the next ones have.
    """
    stack: list[_Frame] = []
    # At which depth each value is that the walk is in
    inside: dict[int, int] = {}
    while True:
        children: list[Any] = []
        used = 0
        if id(value) in inside:
            sink.update(b'^%d;' % (len(stack) - inside[id(value)]))
        else:
            children, used, ordered = _write(sink, value, room, name_of)
        if children:
            inside[id(value)] = len(stack)
            stack.append(_Frame(value, children, room, room - used, sink, ordered))
        elif stack:
            stack[-1].room -= used
        while stack and not stack[-1].left:
            frame = stack.pop()
            del inside[id(frame.value)]
            used = frame.close()
            if stack:
                stack[-1].room -= used
        if not stack:
            return
        value, room, sink = stack[-1].next()


def _write(sink: Any, value: Any, room: int, name_of: Callable[[Any], str]) -> tuple[list[Any], int, bool]:
    """Writes a value but for those of its elements that have to be walked through, which it returns."""
    note, elements, ordered, cost = content_of(value, room, name_of)
    name = name_of_type(type(value))
    sink.update(b'<%d:%b%d:%b%d:' % (len(name), name, len(note), note, len(elements)))
    at_once = packed(elements, room - len(elements)) if ordered else None
    if at_once is not None:
        sink.update(at_once[0])
        return [], len(elements) + at_once[1], True
    children: list[Any] = []
    tokens: list[bytes] = []
    used, levels = len(elements) + cost, LEVELS_OF_ELEMENTS
    for element in elements:
        written = token(element, levels)
        if written is None:
            children.append(element)
            written = b'*'
        tokens.append(written)
        used += len(written) // BYTES
        if used > room and ordered:
            levels = 0
    sink.update(b''.join(tokens if ordered else sorted(tokens)))
    return children, used, ordered
