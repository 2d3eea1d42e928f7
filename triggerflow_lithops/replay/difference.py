"""
What differs between a step as it was recorded and as it is found, and what usually causes that. Pure.

The environment of the process comes in as :class:`Surroundings`.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Callable, Mapping, Sequence

from .content import fields_of
from .fingerprint import ROOM, Fingerprint, digest_of
from .readers import base_of, content_of
from .wording import MOST, described, described_both, text_of_path

#: Arguments of a recorded function that are kept in words
MOST_ARGUMENTS = 16
#: Containers inside each other in which a difference is looked for
DEPTH = 16
#: Seconds from the time of a step, within which a number may be a reading of the clock
DAY = 86_400

ORDER = (
    'These are the same elements in another order. The order of a set differs from process to process: '
    'sort what comes from one, as in sorted(my_set).'
)
CLOCK = (
    'This looks like a reading of the clock that was not recorded (of another thread, or of a module that was imported before): '
    'take the time from now(), or read the clock in record().'
)
RANDOM_ID = 'This looks like a random id that was not recorded: take it from uuid4(), or make it in record().'
ADDRESS = 'This text has the address of an object in it, as repr() writes it: write the object in words of your own.'
ENVIRONMENT = 'This looks like {}, which may differ from process to process: read it in record().'

NameOf = Callable[[Any], str]


@dataclass(frozen=True)
class Surroundings:
    """
    What a process has of its own.

    :param time: seconds since the epoch at which the step was recorded
    :param texts: such as its id, and in words what each is
    :param folders: for temporary files
    """

    time: float = 0.0
    texts: Mapping[str, str] = field(default_factory=dict)
    folders: Sequence[str] = ()


@dataclass(frozen=True)
class Difference:
    """
    The first argument that differs.

    :param argument: in words
    :param recorded_value: shortened
    :param found_value: shortened
    :param hint: what to do; empty if nothing is known
    """

    argument: str
    recorded_value: str
    found_value: str
    hint: str


def steps_in_words(recorded: list[Any], found: list[Any]) -> tuple[str, str]:
    """
    Two steps that differ.

    :param recorded: document of a fingerprint
    """
    first, second = Fingerprint(*recorded), Fingerprint(*found)
    if not first.kind == second.kind == 'wait':
        return str(first), str(second)
    calls = [f'{step.calls} call{"" if step.calls == 1 else "s"}' for step in (first, second)]
    if first.calls != second.calls:
        return f'a wait for {calls[0]}', f'a wait for {calls[1]}'
    return f'a wait for {calls[0]}', 'a wait for other calls, or one with another return_when or timeout'


def difference_of(argument: str, where: str, recorded: Any, found: Any, name_of: NameOf, around: Surroundings) -> Difference:
    """
    What differs between two values of an argument.

    :param argument: its name
    :param where: follows upon the name, such as ' of call 3'
    """
    path = ''
    for _ in range(DEPTH):
        inside = _first_inside(recorded, found, name_of)
        if inside is None:
            break
        step, recorded, found = inside
        path += step
    hint = hint_of(recorded, found, name_of, around)
    return Difference(f'argument {argument}{path}{where}', *described_both(recorded, found, name_of), hint)


def in_words(args: Sequence[Any]) -> list[list[str]]:
    """Digest and shortened text of each of the first arguments of a function, as they are kept for a comparison."""
    return [[digest_of(arg), described(arg, _unnamed)] for arg in args[:MOST_ARGUMENTS]]


def difference_in_words(recorded: list[list[str]], args: Sequence[Any], around: Surroundings) -> Difference | None:
    """
    What differs between the arguments of a recorded function.

    :param recorded: by :func:`in_words`
    """
    for number, ((before, text), (now, found)) in enumerate(zip(recorded, in_words(args), strict=False)):
        if before != now:
            # Of what it was, only the text is left
            return Difference(f'argument {number}', text, found, hint_of(args[number], args[number], _unnamed, around))
    return None


def _unnamed(value: Any) -> str:
    return ''


# Where two values differ


def _first_inside(recorded: Any, found: Any, name_of: NameOf) -> tuple[str, Any, Any] | None:
    """The first element that differs, and where it is; None if the values are to be shown as they are."""
    if type(recorded) is not type(found):
        return None
    base = base_of(type(found))
    if base == 'dataclass':
        fields, others = fields_of(found), fields_of(recorded)
        return _first_of([f'.{name}' for name in fields], list(others.values()), list(fields.values()), name_of)
    before, now = _elements(recorded), _elements(found)
    if base in ('builtins.list', 'builtins.tuple'):
        return _first_of([f'[{number}]' for number in range(len(now))], before, now, name_of)
    if base == 'builtins.dict' and digest_of(before[::2], name_of) == digest_of(now[::2], name_of):
        return _first_of([f'[{described(key, name_of, MOST // 2)}]' for key in now[::2]], before[1::2], now[1::2], name_of)
    return None


def _first_of(names: list[str], before: Sequence[Any], now: Sequence[Any], name_of: NameOf) -> tuple[str, Any, Any] | None:
    if not len(before) == len(now) == len(names) or _is_another_order(before, now, name_of):
        return None
    for name, one, other in zip(names, before, now, strict=True):
        if digest_of(one, name_of) != digest_of(other, name_of):
            return name, one, other
    return None


def _elements(value: Any) -> Sequence[Any]:
    """Those of a container, keys and values of a dict in turn; none if they are too many."""
    found = content_of(value, ROOM, _unnamed)
    return found.elements if found.note in (b'%d' % len(found.elements), b'%d' % (len(found.elements) // 2)) else ()


def _is_another_order(before: Sequence[Any], now: Sequence[Any], name_of: NameOf) -> bool:
    digests = [[digest_of(value, name_of) for value in values] for values in (before, now)]
    return digests[0] != digests[1] and sorted(digests[0]) == sorted(digests[1])


# What usually causes it

_UUID = re.compile(r'(?i)(?<![0-9a-f])[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}(?![0-9a-f])')
_DATE = re.compile(r'(?<!\d)(19|20)\d\d([-/._]?)[01]\d\2[0-3]\d(?!\d)|(?<!\d)[0-2]\d:[0-5]\d:[0-5]\d(?!\d)')
_NUMBER = re.compile(r'(?<!\d)\d{10}(?:\d{3}|\d{6}|\d{9})?(?!\d)')
_ADDRESS = re.compile(r'(?i)\b0x[0-9a-f]{6,16}\b')
_TEMPORARY = re.compile(r'^(/private)?(/var)?/tmp/|^/var/folders/|(?i:\\temp\\)')


def hint_of(recorded: Any, found: Any, name_of: NameOf, around: Surroundings) -> str:
    """What usually makes such values differ, and what to do; empty if nothing is known."""
    bases = {base_of(type(value)) for value in (recorded, found)}
    if len(bases) == 1 and bases <= {'builtins.list', 'builtins.tuple', 'builtins.dict'}:
        before, now = _elements(recorded), _elements(found)
        if bases == {'builtins.dict'}:
            before, now = list(zip(before[::2], before[1::2], strict=True)), list(zip(now[::2], now[1::2], strict=True))
        return ORDER if _is_another_order(before, now, name_of) else ''
    hints = [_hint_of_one(value, around) for value in (recorded, found)]
    # What another process had of its own cannot be known here
    return hints[1] if hints[0] == hints[1] or hints[1].endswith(ENVIRONMENT[-20:]) else ''


def _hint_of_one(value: Any, around: Surroundings) -> str:
    base = base_of(type(value))
    if base == 'uuid.UUID':
        return RANDOM_ID
    if base in ('datetime.datetime', 'datetime.date', 'datetime.time', 'datetime.timedelta'):
        return CLOCK
    if base == 'numpy.generic':
        (value,) = content_of(value, 1, _unnamed).elements or (None,)
        return _hint_of_one(value, around) if base_of(type(value)) != base else ''
    if base in ('builtins.int', 'builtins.float'):
        number = int.__int__(value) if base == 'builtins.int' else float.__float__(value)
        if _is_now(number, around.time):
            return CLOCK
        known = around.texts.get(described(value, _unnamed), '')
        return ENVIRONMENT.format(known) if 'process' in known else ''
    if base in ('builtins.str', 'pathlib.PurePath'):
        return _hint_of_text(_text_of(value, base), around)
    return ''


def _text_of(value: Any, base: str) -> str:
    return str.__getitem__(value, slice(0, 4096)) if base == 'builtins.str' else text_of_path(value)


def _hint_of_text(text: str, around: Surroundings) -> str:
    if text in around.texts:
        return ENVIRONMENT.format(around.texts[text])
    if _TEMPORARY.search(text) or any(text.startswith(folder) for folder in around.folders):
        return ENVIRONMENT.format('the name of a temporary file or folder')
    if _UUID.search(text):
        return RANDOM_ID
    if _ADDRESS.search(text):
        return ADDRESS
    if _DATE.search(text) or any(_is_now(int(found), around.time) for found in _NUMBER.findall(text)):
        return CLOCK
    known = next((what for known, what in around.texts.items() if 'host' in what and known in text), '')
    return ENVIRONMENT.format(known) if known else ''


def _is_now(number: float, time: float) -> bool:
    """Whether a number is near a time: in seconds, or their thousandth, millionth or billionth parts."""
    # Nothing else is exact where a number is too large for a float
    return bool(time) and any(abs(number - int(time) * unit) < DAY * unit for unit in (1, 10**3, 10**6, 10**9))
