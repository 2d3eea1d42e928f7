"""
Which reader reads a value. Pure, and not a clock: readers of types of modules that are
not imported here (datetime, numpy) are made when the first value of such a type comes.
"""

import enum
import sys
import types
from typing import Any, Callable

from .content import FIELDS, READERS, Content, Reader, encoded, ends, fields, read_dataclass, read_enum
from .introspection import attribute, is_a, mro_of, namespace_of, type_name

#: Classes whose readers are kept; a program makes new ones without end
MOST_CLASSES = 4096

# By their ids: to look a class up in a dict would run what its metaclass has as __hash__
_READERS = {id(kind): reader for kind, reader in READERS.items()}
#: Kept, so that nothing else ever has one of these ids
_KNOWN: list[type] = list(READERS)
#: With the class itself, likewise
_FOUND: dict[int, tuple[type, bytes, Reader | None]] = {}


def content_of(value: Any, room: int, name_of: Callable[[Any], str]) -> Content:
    """
    What counts of a value. It raises nothing.

    :param room: how many elements may be read of it
    :param name_of: what a value counts by, besides its type, that nothing here reads
    """
    try:
        reader = _found(type(value))[2]
        return reader(value, room) if reader else Content(encoded(name_of(value)))
    except Exception:
        # Such as a dict that another thread changes meanwhile: its type has to do
        return Content(b'unreadable')


def name_of_type(kind: type) -> bytes:
    """What a type counts by."""
    return _found(kind)[1]


def _found(kind: type) -> tuple[type, bytes, Reader | None]:
    found = _FOUND.get(id(kind))
    if found is None:
        found = kind, encoded(type_name(kind)), _reader_of(kind)
        if len(_FOUND) < MOST_CLASSES:
            _FOUND[id(kind)] = found
    return found


def _reader_of(kind: type) -> Reader | None:
    known = _READERS.get(id(kind))
    if known is not None:
        return known
    # An IntEnum is an int, too, and a dataclass may be a dict
    if is_a(kind, enum.Enum):
        return read_enum
    bases = mro_of(kind)
    if any(type(namespace_of(base).get(FIELDS)) is dict for base in bases):
        return read_dataclass
    return next(filter(None, map(_reader_of_base, bases)), None)


def base_of(kind: type) -> str:
    """Qualified name of the class as whose instances values of a type are read; empty where none is known."""
    if is_a(kind, enum.Enum):
        return 'enum.Enum'
    bases = mro_of(kind)
    if any(type(namespace_of(base).get(FIELDS)) is dict for base in bases):
        return 'dataclass'
    return next((type_name(base) for base in bases if _reader_of_base(base)), '')


def _reader_of_base(base: type) -> Reader | None:
    known = _READERS.get(id(base))
    if known is not None:
        return known
    name = type_name(base)
    for module in _MODULES.get(name, ()):
        found = sys.modules.get(module)
        # Any class may call itself so
        if type(found) is types.ModuleType and vars(found).get(name.rpartition('.')[2]) is base:
            _KNOWN.append(base)
            return _READERS.setdefault(id(base), _LATE[name](base))
    return None


def _of(*names: str) -> Callable[[type], Reader]:
    return lambda kind: fields(kind, *names)


def _timezone(kind: Any) -> Reader:
    return lambda value, room: Content(b'', kind.__getinitargs__(value)[:room])


# numpy


def _ndarray(kind: Any) -> Reader:
    def read(value: Any, room: int) -> Content:
        # As an array of the class itself: a subclass has a say in all that is made of its own
        plain = kind.view(value, kind)
        dtype, size = plain.dtype, plain.size
        flat = plain.reshape(-1) if plain.flags.c_contiguous else plain.flat
        head = f'{dtype.str[1:]} {dtype.names} {plain.shape} '
        if dtype.kind in 'biufcmMSU' or (dtype.kind == 'V' and dtype.names is None and not dtype.hasobject):
            width, exact = max(1, dtype.itemsize), _exact(dtype)

            def take(first: int, last: int) -> bytes:
                part = flat[first // width : -(-last // width)]
                return part.astype(exact, copy=False).tobytes()  # type: ignore[no-any-return]

            return ends(take, size * dtype.itemsize, room, head)
        # Objects, and records, which may have anything between their fields
        end = size if size <= room else room // 2
        return Content(encoded(head), flat[:end].tolist() + flat[max(end, size - end) :].tolist())

    return read


def _exact(dtype: Any) -> Any:
    """
    A type in the byte order of this machine, as an array has it that was pickled. A float of
    80 bits comes without its padding, which may be anything.
    """
    if dtype.char in 'gG':
        return {'g': 'f8', 'G': 'c16'}[dtype.char]
    return dtype if dtype.kind == 'V' else dtype.newbyteorder('=')


def _masked(kind: Any) -> Reader:
    # Below its mask an element may be anything
    bases = mro_of(kind)
    return lambda value, room: Content(encoded(f'{attribute(value, bases, "shape")}'))


def _generic(kind: Any) -> Reader:
    def read(value: Any, room: int) -> Content:
        dtype = attribute(value, [kind], 'dtype')
        if dtype.char in 'gG':
            value = kind.astype(value, _exact(dtype))
        return Content(encoded(dtype.str), [kind.item(value)][:room])

    return read


def _ufunc(kind: Any) -> Reader:
    return lambda value, room: Content(encoded(attribute(value, [kind], '__name__')))


_DATE = ('year', 'month', 'day')
_TIME = ('hour', 'minute', 'second', 'microsecond', 'fold', 'tzinfo')

_LATE: dict[str, Callable[[type], Reader]] = {
    'datetime.datetime': _of(*_DATE, *_TIME),
    'datetime.date': _of(*_DATE),
    'datetime.time': _of(*_TIME),
    'datetime.timedelta': _of('days', 'seconds', 'microseconds'),
    'datetime.timezone': _timezone,
    'zoneinfo.ZoneInfo': _of('key'),
    'numpy.ndarray': _ndarray,
    'numpy.ma.MaskedArray': _masked,
    'numpy.ma.core.MaskedArray': _masked,
    'numpy.generic': _generic,
    'numpy.ufunc': _ufunc,
}

#: Where each of them is looked for. What datetime has may have been replaced, by a test that stops the clock
_MODULES = {name: ('_datetime', 'datetime') if 'datetime.' in name else (name.rpartition('.')[0],) for name in _LATE}
