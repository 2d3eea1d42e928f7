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
Texts of exceptions: what is printed, logged and stored of them. Nothing here raises,
whatever the exception does when it is asked.
"""

import traceback
from types import TracebackType
from typing import Any, Dict, Optional, Tuple

#: Characters that a text may have. Of a longer one its beginning and its end are kept
LONGEST = 10_000

# An exception's class may have a metaclass of the user's: it is asked past it
_dict_of = type.__dict__['__dict__'].__get__
_mro_of = type.__dict__['__mro__'].__get__


def mro_of(kind: type) -> Tuple[type, ...]:
    """The classes of an exception, the most derived first"""
    return _mro_of(kind)


def namespace_of(kind: type) -> Dict[str, Any]:
    """What a class itself defines"""
    return _dict_of(kind)


def kind_of(kind: type) -> str:
    """The name of an exception's class, with its module unless Python itself brings it"""
    module = module_of(kind)
    return name_of(kind) if module == 'builtins' else f'{module}.{name_of(kind)}'


def module_of(kind: type) -> str:
    """The module of a class"""
    try:
        found = type.__dict__['__module__'].__get__(kind)
    except BaseException:
        found = None
    return shortened(found, 1000) if isinstance(found, str) else '(unknown module)'


def name_of(kind: type) -> str:
    """The name of a class, with those of the functions and classes that it is defined in"""
    return shortened(type.__dict__['__qualname__'].__get__(kind), 1000)


def names_of(kind: type) -> Tuple[str, ...]:
    """The names of all classes of an exception, each with and without its module"""
    classes = [found for found in mro_of(kind) if BaseException in mro_of(found)]
    return tuple(name for found in classes for name in (f'{module_of(found)}.{name_of(found)}', name_of(found)))


def text_of(error: BaseException) -> str:
    """What ``str()`` says of an exception, shortened, in characters that can be printed and encoded"""
    try:
        return shortened(str(error))
    except BaseException as problem:
        return f'(its text is not known: str() of it raises {name_of(type(problem))})'


def described(error: BaseException) -> str:
    """The class of an exception, and its text"""
    text = text_of(error)
    return f'{kind_of(type(error))}: {text}' if text else kind_of(type(error))


def traceback_text(error: BaseException) -> str:
    """What Python prints of an exception that nobody catches, shortened"""
    try:
        # Its class is given and not asked for: an exception may lie about it
        lines = traceback.format_exception(type(error), error, BaseException.__traceback__.__get__(error))
        return shortened(''.join(lines))
    except BaseException:
        return shortened(f'{frames_text(error)}{described(error)}\n')


def frames_text(error: BaseException) -> str:
    """Where an exception was raised, line by line, shortened"""
    try:
        frames: Optional[TracebackType] = BaseException.__traceback__.__get__(error)
        return shortened(''.join(traceback.format_tb(frames)))
    except BaseException:
        return ''


def first_line(error: BaseException) -> str:
    """The class of an exception, and the first line of its text"""
    lines = text_of(error).strip().splitlines()
    return f'{name_of(type(error))}: {shortened(lines[0], 1000)}' if lines else name_of(type(error))


def shortened(text: str, longest: int = LONGEST) -> str:
    """A text of no more than about ``longest`` characters, all of which can be encoded"""
    # A class derived from str may do anything: from here on it is a plain one
    text = str.__str__(text)
    if len(text) > longest:
        half = longest // 2
        text = f'{text[:half]} … ({len(text) - 2 * half} characters are left out) … {text[-half:]}'
    return text.encode('utf-8', 'backslashreplace').decode('utf-8')
