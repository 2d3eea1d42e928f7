#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
#
"""
Reading JSON documents from the folders of the local function service.

A file there may be damaged, be of another version, or be no file at all. Reading one ends soon, needs a bounded
amount of memory, and gives a document whose fields can be checked one by one, or raises :class:`DamagedFile`.
"""

import errno
import json
import os
from typing import Any, Dict, List

from .core.wording import beginning
from .private import LARGEST, NotPrivate, read_file

#: Seconds, and seconds since the epoch: a hundred years are some three thousand million
FOREVER = 1e12
#: What the operating system says of a path that is no readable file of ours, and will not be one later
_NEVER = (errno.EACCES, errno.EPERM, errno.EISDIR, errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.EFBIG)


class DamagedFile(ValueError):
    """What a file has in it is not what it should be: what was found, and what was expected"""


def read_text(path: str, limit: int = LARGEST) -> str:
    """
    What a file of a private folder has in it

    :raises DamagedFile: it is no file that can be read, or it is too large
    :raises FileNotFoundError: it is missing
    :raises OSError: it cannot be read now, and may be later
    """
    try:
        return read_file(os.path.dirname(path), os.path.basename(path), limit)
    except FileNotFoundError:
        raise
    except UnicodeDecodeError as error:
        raise DamagedFile(f'it is no text in UTF-8: {error.reason} at byte {error.start}') from None
    except OSError as error:
        if isinstance(error, NotPrivate) or error.errno in _NEVER:
            raise DamagedFile(f'it is no file that can be read: {str(error.strerror or error).rstrip(".")}') from None
        raise


def parse(text: str) -> Any:
    """
    A value out of JSON

    :raises DamagedFile: it is no JSON, or nobody would write it
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise DamagedFile('it is nested too deeply') from None
    except ValueError as error:
        raise DamagedFile(f'it is no JSON: {beginning(str(error))}') from None


def read_document(path: str, limit: int = LARGEST) -> Dict[str, Any]:
    """
    A document out of a file of a private folder. Its fields are to be checked

    :raises DamagedFile: it is none
    :raises FileNotFoundError: it is missing
    :raises OSError: it cannot be read now, and may be later
    """
    return document(parse(read_text(path, limit)), 'the whole of it')


# Fields: each of these gives the value back, or says what was found and what was expected


def document(value: Any, name: str) -> Dict[str, Any]:
    """A JSON object"""
    if not isinstance(value, dict):
        raise unexpected(name, value, 'a document')
    return value


def texts(value: Any, name: str) -> List[str]:
    """A list of texts"""
    if not isinstance(value, list) or not all(isinstance(found, str) for found in value):
        raise unexpected(name, value, 'a list of texts')
    return value


def text(value: Any, name: str) -> str:
    """A text that is not empty"""
    if not isinstance(value, str) or not value:
        raise unexpected(name, value, 'a text')
    return value


def number(value: Any, name: str, most: float = FOREVER) -> float:
    """A number from 0 on"""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        raise unexpected(name, value, f'a number from 0 to {most:g}')
    return value


def count(value: Any, name: str, least: int = 0) -> int:
    """A whole number"""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 10**9:
        raise unexpected(name, value, f'a whole number from {least} on')
    return value


def unexpected(name: str, value: Any, expected: str) -> DamagedFile:
    """The error of a field that is something else"""
    found = f'a {type(value).__name__}' if isinstance(value, (dict, list)) else beginning(repr(value))
    return DamagedFile(f'{name} is {found}, and {expected} was expected')
