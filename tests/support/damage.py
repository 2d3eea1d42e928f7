"""
Damage to documents: what a disk that was full, another version of this plugin, or somebody's editor leaves behind.

``damaged()`` makes one damaged document out of a real one, always the same one for the same seed. ``MONSTERS`` are whole
files that no reader may stand still on. A reader either takes what it is given for valid, or refuses it with its own error.
"""

import json
import random

#: Values of all kinds, and some that Python's own reader of JSON takes although they are none
_VALUES = (
    *('null', 'true', 'false', '0', '-1', '1.5', '1e400', 'NaN', '-Infinity', '9' * 30, '9' * 5_000),
    *('""', '"x"', '"00001"', r'"\u0000"', r'"\ud800"', '"../../x"', '"' + 'x' * 10_000 + '"'),
    *('[]', '{}', '[[]]', '[null]', '{"x": null}', '[' * 5_000 + ']' * 5_000),
)
_MARK = 'here-is-another-value'

#: Whole files, by what they are
MONSTERS = {
    **{f'the value {value[:12]}': value.encode() for value in _VALUES},
    'nothing': b'',
    'blanks': b' ' * 100_000,
    'zeros': bytes(100_000),
    'lists nested 100,000 deep': b'[' * 100_000 + b']' * 100_000,
    'lists nested 100,000 deep and cut': b'[' * 100_000,
    'documents nested 100,000 deep': b'{"x":' * 100_000 + b'1' + b'}' * 100_000,
    'a number of 1,000,000 digits': b'9' * 1_000_000,
    'no UTF-8': b'{"version": "\xff\xfe"}',
    'UTF-16': '{"version": 1}'.encode('utf-16'),
    'a mark of byte order': b'\xef\xbb\xbf{"version": 1}',
    'two documents': b'{"version": 1}{"version": 1}',
    'one name 100,000 times': b'{' + b','.join([b'"version": 1'] * 100_000) + b'}',
    'a pickle': b'\x80\x04N.',
}


def damaged(document: bytes, seed: int) -> bytes:
    """
    A document with damage: cut, swapped, with other bytes or values, without a field, of another version, deep, or large.

    :param document: a real one. Values are exchanged only where it is JSON
    :param seed: the same one makes the same damage
    """
    chance = random.Random(seed)
    kinds = [*_OF_BYTES, *(_OF_VALUES if _is_json(document) else ())]
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        kind = chance.choice(kinds)
        if kind in _OF_BYTES or _is_json(document):
            document = kind(document, chance)
    return document


def make_huge(path, size=300 * 1024 * 1024):
    """A file that is larger than anybody may read, and takes no room on the disk."""
    with open(path, 'wb') as file:
        file.write(b'{"version": 1, "x": "')
        file.truncate(size)


def _is_json(document):
    try:
        json.loads(document)
    except (ValueError, RecursionError):
        return False
    return True


# Damage to bytes


def _cut(document, chance):
    return document[: chance.randrange(len(document) + 1)]


def _behead(document, chance):
    return document[chance.randrange(len(document) + 1) :]


def _swap(document, chance):
    first, second, third = sorted(chance.randrange(len(document) + 1) for _ in range(3))
    return document[:first] + document[second:third] + document[first:second] + document[third:]


def _flip(document, chance):
    found = bytearray(document)
    for _ in range(chance.choice((1, 1, 10)) if found else 0):
        found[chance.randrange(len(found))] ^= 1 << chance.randrange(8)
    return bytes(found)


def _insert(document, chance):
    at = chance.randrange(len(document) + 1)
    inserted = bytes(4096), b'\xff', b'\n', b'9' * 5_000, b'[' * 100_000, chance.randbytes(8)
    return document[:at] + chance.choice(inserted) + document[at:]


def _repeat(document, chance):
    at = chance.randrange(len(document) + 1)
    return document[:at] + document


def _zeros(document, chance):
    """A block that never reached the disk."""
    at = chance.randrange(len(document) + 1)
    return document[:at] + bytes(len(document) - at)


def _replace(document, chance):
    return chance.choice(list(MONSTERS.values()))


_OF_BYTES = (_cut, _behead, _swap, _flip, _insert, _repeat, _zeros, _replace)


# Damage to values


def _places(value, found):
    """Each container of a document, and each key in it."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        found.append((value, key))
        if isinstance(value[key], (dict, list)):
            _places(value[key], found)
    return found


def _change(document, chance, change):
    value = json.loads(document)
    places = _places(value, []) if isinstance(value, (dict, list)) else []
    if places:
        # What lies near the top is read by the most readers
        change(*chance.choice(places[:12] if chance.random() < 0.3 else places))
    return json.dumps(value).encode()


def _other_value(document, chance):
    def change(container, key):
        container[key] = _MARK

    return _change(document, chance, change).replace(f'"{_MARK}"'.encode(), chance.choice(_VALUES).encode())


def _no_value(document, chance):
    def change(container, key):
        del container[key]

    return _change(document, chance, change)


def _other_name(document, chance):
    def change(container, key):
        if isinstance(container, dict):
            container[f'{key}2'] = container.pop(key)

    return _change(document, chance, change)


def _other_number(document, chance):
    """Of a version, too."""
    value = json.loads(document)
    places = _places(value, []) if isinstance(value, (dict, list)) else []
    numbers = [(container, key) for container, key in places if type(container[key]) in (int, float)]
    if numbers:
        container, key = chance.choice(numbers)
        container[key] = chance.choice((container[key] + 1, -container[key], 0, 2**63, 0.5, str(container[key])))
    return json.dumps(value).encode()


def _wrapped(document, chance):
    return chance.choice((b'[%s]', b'{"x": %s}', b'"%s"')) % document


def _larger(document, chance):
    def change(container, key):
        container[key] = [container[key]] * chance.choice((2, 1_000))

    return _change(document, chance, change)


_OF_VALUES = (_other_value, _other_value, _no_value, _other_name, _other_number, _wrapped, _larger)
