"""
How an error says what was found: in a few characters, whatever it is. Pure.

Three kinds of things are found. A user gave a value, and wants to see it as it was given (:func:`shown`). A document
has a value, which may be large or deep, and was written by a program (:func:`outline`). Another program has said
something, in a text that may be long and have lines (:func:`beginning`).
"""

from typing import Any

#: Characters of a value that a user gave, and of a text
SHOWN = 80
#: Characters of a value in a document
OUTLINE = 60


def shown(value: object) -> str:
    """A value in an error: its repr, shortened and printable, whatever it is."""
    if isinstance(value, (str, bytes, list, tuple)) and len(value) > SHOWN:
        # A long one is not written out to be cut off
        return f'{printable(repr(value[:SHOWN]))[:SHOWN]}… ({len(value)} long)'
    try:
        text = repr(value)
    except Exception:
        # Of a number of more than some thousand digits, too, there is none
        return f'a {type(value).__name__} that cannot be shown'
    return printable(text if len(text) <= SHOWN else f'{text[:SHOWN]}…')


def printable(text: str) -> str:
    """A text without control characters: each that is not printable is written as an escape, such as ``\\x1b``."""
    return ''.join(c if c.isprintable() else c.encode('unicode_escape').decode('ascii') for c in text)


def outline(value: Any) -> str:
    """A value in a document: its size if it is a list or a document, else its repr, shortened."""
    if type(value) in (list, dict, tuple):
        return f'a {type(value).__name__} of {len(value)}' if value else repr(value)
    if type(value) is str and len(value) > OUTLINE:
        return f'{value[: OUTLINE - 20]!r}… of {len(value)} characters'
    if type(value) is int and abs(value) >= 10**OUTLINE:
        return 'a number of very many digits'
    return repr(value)


def beginning(text: str) -> str:
    """The beginning of a text, in one line."""
    line = ' '.join(text.split())
    return line if len(line) <= SHOWN else f'{line[:SHOWN]}…'
