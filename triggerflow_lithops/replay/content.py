"""
What counts of a value in a digest: a note, and elements that are values themselves. Pure.

No code of the user runs here. What a class overrides is passed by: the methods of the
built-in type below it are called instead.
"""

import array
import collections
import dataclasses
import decimal
import fractions
import functools
import gc
import itertools
import pathlib
import re
import types
import uuid
from typing import Any, Callable, NamedTuple, Sequence

from .introspection import CALLABLES, attribute, callable_name, dict_of, is_one_of, mro_of, namespace_of
from .tokens import SHORT

#: Characters or bytes of a long value that count, at each of its ends
END = 2**20


class Content(NamedTuple):
    """
    What counts of a value, besides its type.

    :param note: what is not an element: a length, a name, the ends of a text
    :param elements: values of their own; few or none where there is no room for all
    :param ordered: False if their order means nothing
    :param cost: how many elements the note stands for
    """

    note: bytes
    elements: Sequence[Any] = ()
    ordered: bool = True
    cost: int = 0


#: Reads a value, of which so many elements have room
Reader = Callable[[Any, int], Content]


def encoded(text: Any) -> bytes:
    """A text as bytes, whatever is in it."""
    return str.encode(text, 'utf-8', 'surrogatepass')


def ends(take: Callable[[int, int], bytes], length: int, room: int, head: str = '') -> Content:
    """
    Of something long, its length and its ends.

    :param take: what it has between two indices
    :param room: one element is worth ``SHORT`` bytes
    """
    end = min(END, room * SHORT // 2)
    taken = take(0, length) if length <= 2 * end else take(0, end) + take(length - end, length)
    return Content(b'%b%d:%b' % (encoded(head), length, taken), cost=len(taken) // SHORT)


def fields(kind: type, *names: str) -> Reader:
    """Reads some fields of an object. Only what ``kind`` itself has of descriptors is used."""
    bases = mro_of(kind)

    def read(value: Any, room: int) -> Content:
        return Content(b'', [attribute(value, bases, name) for name in names]) if len(names) <= room else Content(b'')

    return read


# Texts and numbers


def text(value: Any, room: int) -> Content:
    """Reads a string."""
    return ends(lambda first, last: encoded(str.__getitem__(value, slice(first, last))), str.__len__(value), room)


def _bytes(value: Any, room: int) -> Content:
    return ends(lambda first, last: bytes.__getitem__(value, slice(first, last)), bytes.__len__(value), room)


def _bytearray(value: Any, room: int) -> Content:
    def take(first: int, last: int) -> bytes:
        return bytes(bytearray.__getitem__(value, slice(first, last)))

    return ends(take, bytearray.__len__(value), room)


def _memoryview(value: memoryview, room: int) -> Content:
    head = f'{value.format} {value.shape} '
    if value.nbytes <= min(2 * END, room * SHORT):
        return Content(encoded(head) + value.tobytes(), cost=value.nbytes // SHORT)
    if not value.c_contiguous:
        return Content(encoded(head))
    flat = value.cast('B')
    return ends(lambda first, last: bytes(flat[first:last]), value.nbytes, room, head)


def _array(value: Any, room: int) -> Content:
    size, typecode = attribute(value, [array.array], 'itemsize'), attribute(value, [array.array], 'typecode')

    def take(first: int, last: int) -> bytes:
        return array.array.tobytes(array.array.__getitem__(value, slice(first // size, -(-last // size))))

    return ends(take, array.array.__len__(value) * size, room, typecode)


def _int(value: Any, room: int) -> Content:
    # Python refuses to write a long one with decimal digits
    written = int.to_bytes(value, int.bit_length(value) // 8 + 1, 'little', signed=True)
    return ends(lambda first, last: written[first:last], len(written), room)


def _float(value: Any, room: int) -> Content:
    return Content(float.__repr__(value).encode())


def _complex(value: Any, room: int) -> Content:
    return Content(complex.__repr__(value).encode())


def _decimal(value: Any, room: int) -> Content:
    # Its text depends on the context of the thread: 'E' or 'e'
    sign, digits, exponent = decimal.Decimal.as_tuple(value)
    written = bytes(digits)
    return ends(lambda first, last: written[first:last], len(written), room, f'{sign} {exponent} ')


# Containers


def _sequence(kind: Any) -> Reader:
    def read(value: Any, room: int) -> Content:
        length, end = kind.__len__(value), room // 2
        if length <= room:
            # A copy of a list, for another thread may change it
            elements = kind.__getitem__(value, slice(None))
        else:
            elements = kind.__getitem__(value, slice(0, end)) + kind.__getitem__(value, slice(length - end, length))
        return Content(b'%d' % length, elements)

    return read


def _iterable(length_of: Callable[[Any], int], iterate: Callable[[Any], Any], backwards: Callable[[Any], Any]) -> Reader:
    def read(value: Any, room: int) -> Content:
        length = length_of(value)
        if length <= room:
            return Content(b'%d' % length, list(iterate(value)))
        last = list(itertools.islice(backwards(value), room // 2))
        return Content(b'%d' % length, [*itertools.islice(iterate(value), room // 2), *reversed(last)])

    return read


def _set(kind: Any) -> Reader:
    def read(value: Any, room: int) -> Content:
        length = kind.__len__(value)
        # All or none: some of them would be other ones in another process
        return Content(b'%d' % length, list(kind.__iter__(value)) if length <= room else [], ordered=False)

    return read


_items = _iterable(dict.__len__, dict.items, lambda value: reversed(dict.items(value)))


def _dict(value: Any, room: int) -> Content:
    note, items, *_ = _items(value, room // 2)
    return Content(note, list(itertools.chain.from_iterable(items)))


def _mappingproxy(value: Any, room: int) -> Content:
    # The only way to the mapping behind it that runs none of its methods
    return Content(b'', gc.get_referents(value)[:room])


# Objects

FIELDS = '__dataclass_fields__'


def read_dataclass(value: Any, room: int) -> Content:
    """Reads a dataclass: names and values of its fields."""
    found = fields_of(value)
    return Content(b'', [part for field in found.items() for part in field]) if 2 * len(found) <= room else Content(b'')


def fields_of(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that count where two of them are compared."""
    bases = mro_of(type(value))
    found = next(names for base in bases if type(names := namespace_of(base).get(FIELDS)) is dict)
    compared = [name for name, field in found.items() if type(field) is not dataclasses.Field or field.compare]
    return {name: attribute(value, bases, name) for name in compared}


def read_enum(value: Any, room: int) -> Content:
    """Reads a member of an enum: its name, or its value where it has no name, as a combination of flags may."""
    name = attribute(value, (), '_name_')
    return Content(encoded(name)) if type(name) is str else Content(b'', [attribute(value, (), '_value_')][:room])


def _path(value: Any, room: int) -> Content:
    # A class of the user may override what its text is made of
    return text(str(value), room) if is_one_of(type(value), _PATHS) else Content(b'')


def _callable(value: Any, room: int) -> Content:
    return Content(encoded(callable_name(value)))


def _module(value: Any, room: int) -> Content:
    name = dict.get(dict_of(value), '__name__')
    return Content(encoded(name) if type(name) is str else b'')


_PATHS = (pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath)
_DEQUE = collections.deque
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))

#: By type, which may be a base of the value's own
READERS: dict[Any, Reader] = {
    str: text,
    bytes: _bytes,
    bytearray: _bytearray,
    memoryview: _memoryview,
    array.array: _array,
    int: _int,
    float: _float,
    complex: _complex,
    decimal.Decimal: _decimal,
    list: _sequence(list),
    tuple: _sequence(tuple),
    set: _set(set),
    frozenset: _set(frozenset),
    dict: _dict,
    _DEQUE: _iterable(_DEQUE.__len__, _DEQUE.__iter__, _DEQUE.__reversed__),
    **dict.fromkeys(_VIEWS, _iterable(len, iter, reversed)),
    types.MappingProxyType: _mappingproxy,
    pathlib.PurePath: _path,
    types.ModuleType: _module,
    **dict.fromkeys((type, *CALLABLES, type(functools.lru_cache(len))), _callable),
    **{
        kind: fields(kind, *names)
        for kind, names in {
            range: ('start', 'stop', 'step'),
            slice: ('start', 'stop', 'step'),
            functools.partial: ('func', 'args', 'keywords'),
            fractions.Fraction: ('_numerator', '_denominator'),
            uuid.UUID: ('int',),
            re.Pattern: ('pattern', 'flags'),
            collections.ChainMap: ('maps',),
            collections.UserDict: ('data',),
            collections.UserList: ('data',),
            collections.UserString: ('data',),
        }.items()
    },
}
