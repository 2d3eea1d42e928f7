"""
Plain values as bytes. Pure.

A *token* says itself where it ends, so that no two values are written alike: 1, True, 1.0
and '1' differ, and so do ['ab', 'c'] and ['a', 'bc'].
"""

import math
import struct
from itertools import chain
from typing import Any, Iterable, Sequence

#: Characters or bytes of a value that is written as a token, whole
SHORT = 1024
#: Elements of a container that is written as a token
FEW = 8

_INT, _FLOAT = struct.Struct('<cq').pack, struct.Struct('<cd').pack
_OPEN: dict[Any, bytes] = {dict: b'{%d:', list: b'[%d:', tuple: b'(%d:'}


def token(value: Any, levels: int = 1) -> bytes | None:
    """
    The token of a short value of a plain type, or of a container of a few of them.

    :param levels: so many containers may be inside each other
    :return: None for any other value
    """
    kind = type(value)
    if kind is not list and kind is not tuple and kind is not dict:
        return _leaf(value, kind)
    if not levels or len(value) > FEW:
        return None
    tokens = []
    for part in value if kind is not dict else chain.from_iterable(list(value.items())):
        written = token(part, levels - 1)
        if written is None:
            return None
        tokens.append(written)
    return _OPEN[kind] % len(tokens) + b''.join(tokens)


def _leaf(value: Any, kind: type) -> bytes | None:
    if kind is str:
        if len(value) > SHORT:
            return None
        try:
            text = value.encode()
        except UnicodeEncodeError:
            text = value.encode('utf-8', 'surrogatepass')
        return b's%d:%b' % (len(text), text)
    if kind is int:
        return _INT(b'i', value) if -(2**63) <= value < 2**63 else None
    if value is None:
        return b'n'
    if kind is bool:
        return b't' if value else b'f'
    if kind is float:
        # What is not a number may have any bits
        return _FLOAT(b'd', value) if value == value else b'a'
    if kind is bytes and len(value) <= SHORT:
        return b'b%d:%b' % (len(value), value)
    return None


# Many values of one kind are written at once, several times faster than one by one

# By id: to look up a class itself runs what its metaclass has as __hash__
_INTS, _FLOATS, _TEXTS = ({id(kind)} for kind in (int, float, str))
_PLAIN = set(map(id, (int, float, str, bytes, bool, type(None))))
_LISTS, _TUPLES, _DICTS = ({id(kind)} for kind in (list, tuple, dict))


def packed(values: Sequence[Any], room: int) -> tuple[bytes, int] | None:
    """
    The token of many plain values, or of many lists, tuples or dicts that have nothing else in them.

    :param room: values of the latter, at the most
    :return: and how many those are; None for anything else
    """
    if len(values) <= FEW:
        return None
    kinds = _kinds_of(values)
    if kinds <= _PLAIN:
        written = _plain(kinds, values)
        return None if written is None else (written, 0)
    if kinds not in (_LISTS, _TUPLES, _DICTS):
        return None
    lengths = list(map(len, values))
    parts = (1 + (kinds == _DICTS)) * sum(lengths)
    if parts > room:
        return None
    try:
        rows = chain.from_iterable(map(dict.items, values)) if kinds == _DICTS else values
        inside = list(chain.from_iterable(rows))
    except RuntimeError:
        # Another thread changes a dict
        return None
    written = _plain(_kinds_of(inside), inside)
    if written is None or len(inside) != parts:
        return None
    head = b'D' if kinds == _DICTS else b'L' if kinds == _LISTS else b'T'
    return b'%b%d:' % (head, len(lengths)) + struct.pack(f'<{len(lengths)}Q', *lengths) + written, parts


def _kinds_of(values: Iterable[Any]) -> set[int]:
    return set(map(id, map(type, values)))


def _plain(kinds: set[int], values: Sequence[Any]) -> bytes | None:
    if kinds == _INTS and min(values) >= -(2**63) and max(values) < 2**63:
        return b'I%d:' % len(values) + struct.pack(f'<{len(values)}q', *values)
    if kinds == _FLOATS and not any(map(math.isnan, values)):
        return b'F%d:' % len(values) + struct.pack(f'<{len(values)}d', *values)
    if kinds == _TEXTS and max(map(len, values)) <= SHORT:
        text = ''.join(values).encode('utf-8', 'surrogatepass')
        lengths = struct.pack(f'<{len(values)}H', *map(len, values))
        return b'S%d:%b%d:%b' % (len(values), lengths, len(text), text)
    if kinds <= _PLAIN and _are_short(values):
        # Each of these has one text, which is unlike that of any other
        written = ascii(values).encode()
        return b'R%d:%b' % (len(written), written)
    return None


def _are_short(values: Sequence[Any]) -> bool:
    texts = [value for value in values if type(value) is str or type(value) is bytes]
    numbers = [value for value in values if type(value) is int]
    return max(map(len, texts), default=0) <= SHORT and (not numbers or (min(numbers) >= -(2**63) and max(numbers) < 2**63))
