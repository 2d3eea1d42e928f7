"""Values in a few words, for people to read. Pure, bounded, and without any code of the user."""

import decimal
import itertools
import uuid
from typing import Any, Callable

from .content import fields_of
from .introspection import CALLABLES, attribute, callable_name, is_a, is_one_of, mro_of, type_name
from .readers import base_of, content_of

#: Characters
MOST = 80
#: … of what a difference is looked for in
FAR = 2000
#: Characters before a difference
BEFORE = 20
#: Containers inside each other that are described
LEVELS = 5

NameOf = Callable[[Any], str]

_BRACKETS = {'list': '[]', 'tuple': '()', 'set': '{}', 'frozenset': '{}', 'dict': '{}'}


def described(value: Any, name_of: NameOf, most: int = MOST) -> str:
    """A value, shortened: plain data as Python writes it, and an object as ``<module.Class>``."""
    return _cut(_safe(value, name_of, most, LEVELS), most)


def described_both(recorded: Any, found: Any, name_of: NameOf) -> tuple[str, str]:
    """Two values that differ, shortened so that it shows where."""
    if type(recorded) is type(found) and is_one_of(type(found), (str, bytes)):
        start = max(0, _common(recorded, found) - BEFORE)
        if start > MOST // 2:
            texts = [described(value[start:], name_of, MOST - 1) for value in (recorded, found)]
            return f'…{texts[0]}', f'…{texts[1]}'
    first, second = (described(value, name_of, FAR) for value in (recorded, found))
    start = max(0, _common(first, second) - BEFORE)
    if start <= MOST // 2 or first == second:
        return _cut(first, MOST), _cut(second, MOST)
    return f'…{_cut(first[start:], MOST - 1)}', f'…{_cut(second[start:], MOST - 1)}'


def _common(first: Any, second: Any) -> int:
    """How many characters two texts have in common at their beginning."""
    pairs = itertools.islice(zip(first, second, strict=False), 2**22)
    return next((index for index, (one, other) in enumerate(pairs) if one != other), min(len(first), len(second)))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + '…'


def _safe(value: Any, name_of: NameOf, most: int, levels: int) -> str:
    try:
        return _words(value, name_of, most, levels)
    except Exception:
        return f'<{type_name(type(value))}>'


def _words(value: Any, name_of: NameOf, most: int, levels: int) -> str:
    kind, base = type(value), base_of(type(value))
    module, _, name = base.rpartition('.')
    if is_one_of(kind, (bool, float, complex, type(None))):
        return repr(value)
    if not base:
        return f'<{name_of(value) or type_name(kind)}>'
    if is_a(kind, type) or is_one_of(kind, CALLABLES):
        return f'<{callable_name(value)}>'
    if base == 'enum.Enum':
        return f'{_short_name(kind)}.{attribute(value, (), "_name_")}'
    plain = _PLAIN.get(base)
    if plain is not None:
        text = plain(value, most)
        return text if is_one_of(kind, (str, bytes, int)) else f'{_short_name(kind)}({text})'
    if levels == 0:
        return f'<{type_name(kind)}>'
    if base == 'dataclass':
        return f'{_short_name(kind)}({_joined(_named(fields_of(value), name_of, most, levels), most)})'
    elements = content_of(value, 2 * most, name_of).elements
    if module == 'builtins' and name in _BRACKETS:
        return _of_container(value, elements, name, name_of, most, levels)
    parts = (_safe(element, name_of, most, levels - 1) for element in elements)
    return f'{_short_name(kind)}({_joined(parts, most)})' if elements else f'<{type_name(kind)}>'


def _of_container(value: Any, elements: Any, name: str, name_of: NameOf, most: int, levels: int) -> str:
    kind = type(value)
    left, right = _BRACKETS[name][0], _BRACKETS[name][1]
    parts: Any = (_safe(element, name_of, most, levels - 1) for element in elements)
    if name == 'dict':
        parts = (f'{key}: {part}' for key, part in zip(parts, parts, strict=False))
    elif 'set' in name:
        length = (set if name == 'set' else frozenset).__len__(value)
        if not elements:
            return f'{_short_name(kind)}()' if not length else f'<{type_name(kind)} of {length} elements>'
        # All of them, for their own order means nothing
        parts = sorted(parts)
    text = f'{left}{_joined(parts, most)}{"," if name == "tuple" and len(elements) == 1 else ""}{right}'
    return text if is_one_of(kind, (list, tuple, set, dict)) else f'{_short_name(kind)}({text})'


def _named(fields: dict[str, Any], name_of: NameOf, most: int, levels: int) -> Any:
    return (f'{name}={_safe(field, name_of, most, levels - 1)}' for name, field in fields.items())


def _joined(parts: Any, most: int) -> str:
    taken: list[str] = []
    length = 0
    for part in parts:
        taken.append(part)
        length += len(part) + 2
        if length > most:
            break
    return ', '.join(taken)


def _short_name(kind: type) -> str:
    return type_name(kind).rpartition('.')[2]


def text_of_path(value: Any) -> str:
    """The text of a path; empty if it is of a class of the user."""
    return content_of(value, FAR, str).note.decode('utf-8', 'replace').partition(':')[2]


def _text(value: Any, most: int) -> str:
    return repr(str.__getitem__(value, slice(0, most + 1)))


def _int(value: Any, most: int) -> str:
    bits = int.bit_length(value)
    return int.__repr__(value) if bits < 1000 else f'<int of {bits} bits>'


def _datetime(*names: str) -> Callable[[Any, int], str]:
    def words(value: Any, most: int) -> str:
        bases = mro_of(type(value))
        found = {name: attribute(value, bases, name) for name in names}
        date = '{year:04}-{month:02}-{day:02}' if 'year' in names else ''
        time = '{hour:02}:{minute:02}:{second:02}.{microsecond:06}' if 'hour' in names else ''
        return ' '.join(filter(None, (date, time))).format(**found)

    return words


_DATE, _TIME = ('year', 'month', 'day'), ('hour', 'minute', 'second', 'microsecond')

#: Values without elements, by their base
_PLAIN: dict[str, Callable[[Any, int], str]] = {
    'builtins.str': _text,
    'builtins.bytes': lambda value, most: repr(bytes.__getitem__(value, slice(0, most))),
    'builtins.bytearray': lambda value, most: repr(bytes(bytearray.__getitem__(value, slice(0, most)))),
    'builtins.int': _int,
    'builtins.float': lambda value, most: float.__repr__(value),
    'builtins.complex': lambda value, most: complex.__repr__(value),
    'decimal.Decimal': lambda value, most: repr(decimal.Decimal.__str__(value)),
    'uuid.UUID': lambda value, most: repr(str(uuid.UUID(int=attribute(value, mro_of(uuid.UUID), 'int')))),
    'pathlib.PurePath': lambda value, most: repr(text_of_path(value)),
    'datetime.datetime': _datetime(*_DATE, *_TIME),
    'datetime.date': _datetime(*_DATE),
    'datetime.time': _datetime(*_TIME),
}
