"""Looks for secrets in what was stored, however it was encoded there."""

import ast
import base64
import binascii
import gzip
import json
import pickletools
import re
import zlib

#: What may be base64, in a text
_CODED = re.compile(rb'[A-Za-z0-9+/_-]{12,}={0,2}')


def found_in(value, secrets):
    """Which of the ``secrets`` can be read in an object."""
    return {secret for text in readings(value) for secret in secrets if secret.encode() in text}


def readings(value):
    """All that can be read in an object: as it is, and decoded in every way, again and again."""
    seen, left = set(), [value]
    while left:
        for text in _texts(left.pop()):
            if text not in seen:
                seen.add(text)
                yield text
                left.extend(_opened(text))


def _texts(value):
    if isinstance(value, dict):
        value = [*value.keys(), *value.values()]
    if isinstance(value, (list, tuple, set, frozenset)):
        for part in value:
            yield from _texts(part)
    else:
        yield bytes(value) if isinstance(value, (bytes, bytearray)) else str(value).encode()


def _opened(text):
    for decode in (zlib.decompress, gzip.decompress, json.loads, _evaluated, _pickled):
        try:
            yield decode(text)
        except Exception:
            continue
    for coded in _CODED.findall(text):
        try:
            yield base64.b64decode(coded.translate(bytes.maketrans(b'-_', b'+/')), validate=True)
        except binascii.Error:
            continue


def _evaluated(text):
    return ast.literal_eval(text.decode())


def _pickled(text):
    # Names, values and attributes of all objects, whether or not their classes can be imported here
    return [found for _, found, _ in pickletools.genops(text) if isinstance(found, (str, bytes, bytearray))]
