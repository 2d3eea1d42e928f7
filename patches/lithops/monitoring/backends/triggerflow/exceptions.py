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
Exceptions as they travel: pickled so that the same comes out where they are read.

Python's own way, and that of tblib, call an exception's class again with its ``args``, or make
one without calling it and give it its ``args`` and its ``__dict__``. Both lose what an exception
keeps elsewhere: in C (the code of a SystemExit) or in slots. Here an exception's own ``__reduce__``
is used if the same comes out; otherwise one is made without calling the class, and is given all
that the first one had. Every exception is read again before it is sent.
"""

import functools
import io
import pickle
import re
from types import TracebackType
from typing import Any, Dict, Tuple

import cloudpickle

from .error_text import described, kind_of, namespace_of, text_of
from .exception_parts import (
    NOTHING,
    PLAIN,
    Group,
    Reduced,
    attributes_of,
    by_itself,
    fields_of,
    frames_made,
    frames_of,
    is_error,
    is_group,
    linked,
    replaced,
    ways_of,
)

#: How far the causes and contexts of an exception are followed, and groups in groups
DEPTH = 32
#: Bytes that a pickled exception may have: it is stored within a document
LARGEST = 2**24

_ADDRESS = re.compile('0x[0-9a-fA-F]+')


class CannotTravel(Exception):
    """An exception that cannot be pickled, or that comes out as another one"""


class CannotBeRead(Exception):
    """Something pickled that raises when it is unpickled, or is not what it should be"""


def dumps(error: BaseException, by_value: bool = False, as_exc_info: bool = False, pickler: type = cloudpickle.Pickler) -> bytes:
    """
    Pickles an exception, with its traceback and all that it was caused by

    :param by_value: whether classes that cannot be imported travel along, too
    :param as_exc_info: pickle a tuple like that of ``sys.exc_info()``
    :param pickler: a class of picklers, derived from cloudpickle's, that pickles what is no exception by value
    :raises CannotTravel: the same would not come out, or it would be too large
    """
    journey = _Journey(_by_value(pickler) if by_value else _ByReference)
    try:
        journey.plan(error, 0)
        if journey.is_stand_in(error):
            raise CannotTravel(journey.reasons[id(error)])
        frames = BaseException.__traceback__.__get__(error)
        pickled = journey.dumps((type(error), error, frames) if as_exc_info else error)
        difference = _difference(error, load_error(pickled), with_text=False)
    except CannotTravel:
        raise
    except BaseException as problem:
        raise CannotTravel(described(problem)) from None
    if difference:
        raise CannotTravel(difference)
    return pickled


def is_text_in_lithops(error: BaseException) -> bool:
    """Whether Lithops sends the text of an exception only, for it cannot pickle it, or not unpickle it again"""
    file = io.BytesIO()
    try:
        _AsLithops(file, error).dump(error)
        pickle.loads(file.getvalue())
        return False
    except Exception:
        return True
    except BaseException:
        # That ends its worker
        return False


def loads(pickled: bytes) -> Any:
    """
    Unpickles what may do anything when it is unpickled

    :raises CannotBeRead: it raised, whatever that was
    """
    try:
        return pickle.loads(pickled)
    except BaseException as problem:
        raise CannotBeRead(described(problem)) from None


def load_error(pickled: bytes) -> BaseException:
    """
    Unpickles an exception, alone or as that of ``sys.exc_info()``

    :raises CannotBeRead: there is none in it
    """
    found = loads(pickled)
    error = found[1] if type(found) is tuple and len(found) == 3 else found
    if not is_error(error):
        raise CannotBeRead(f'it is a {kind_of(type(error))}')
    return error


class _Journey:
    """
    How each of some exceptions that hang together is pickled

    :ivar reasons: by id, of those that cannot be: stand-ins take their places
    """

    def __init__(self, pickler: Any):
        self._pickler = pickler
        # With the exceptions, so that no id is used twice
        self._planned: Dict[int, Tuple[BaseException, Reduced]] = {}
        self.reasons: Dict[int, str] = {}

    def is_stand_in(self, error: BaseException) -> bool:
        return id(error) in self.reasons

    def dumps(self, value: Any) -> bytes:
        file = io.BytesIO()
        self._pickler(file, self).dump(value)
        if file.tell() > LARGEST:
            raise CannotTravel(f'it has {file.tell()} bytes, and no more than {LARGEST} are stored')
        return file.getvalue()

    def plan(self, error: BaseException, depth: int) -> None:
        """Decides how an exception is pickled, and those that it leads to"""
        if id(error) in self._planned:
            return
        # What is found out next may lead back here
        self._planned[id(error)] = error, replaced(error)
        reduced = self._choose(error, depth)
        self._planned[id(error)] = error, linked(reduced, self._links_of(error, depth))

    def reduced(self, error: BaseException) -> Reduced:
        """What pickle makes of an exception"""
        # One in the arguments of another one, or in its attributes
        self.plan(error, DEPTH)
        return self._planned[id(error)][1]

    def _choose(self, error: BaseException, depth: int) -> Reduced:
        """The first way in which the same comes out; else one in which a class leaves something out; else a stand-in"""
        acceptable, problem = None, ''
        try:
            self._plan_members(error, depth)
            for way in ways_of(error):
                try:
                    reduced = way(error)
                    self._planned[id(error)] = error, reduced
                    found = loads(self.dumps(error))
                    problem = _difference(error, found)
                    if not problem:
                        return reduced
                    if way is by_itself and not _difference(error, found, with_fields=False):
                        acceptable = reduced
                except BaseException as raised:
                    problem = _reason(raised)
        except BaseException as raised:
            problem = _reason(raised)
        if acceptable is None:
            self.reasons[id(error)] = problem
            acceptable = replaced(error)
        return acceptable

    def _plan_members(self, error: BaseException, depth: int) -> None:
        if not is_group(error):
            return
        if depth > DEPTH:
            raise CannotTravel(f'it is a group within {DEPTH} others')
        for member in Group.exceptions.__get__(error):
            self.plan(member, depth + 1)

    def _links_of(self, error: BaseException, depth: int) -> Dict[str, Any]:
        links: Dict[str, Any] = {'__suppress_context__': BaseException.__suppress_context__.__get__(error)}
        frames = BaseException.__traceback__.__get__(error)
        if frames is not None:
            links['__traceback__'] = frames
        for name in ('__cause__', '__context__'):
            other = namespace_of(BaseException)[name].__get__(error)
            if other is None or depth >= DEPTH:
                continue
            self.plan(other, depth + 1)
            links[name] = other
        return links


class _AsLithops(pickle.Pickler):
    """Pickles an exception as Lithops' workers do, without those that it leads to"""

    def __init__(self, file: io.BytesIO, error: BaseException):
        super().__init__(file)
        self._error = error

    def reducer_override(self, value: Any) -> Any:
        if type(value) is TracebackType:
            return frames_made, ([],)
        return (Exception, ()) if is_error(value) and value is not self._error else NotImplemented


class _ByReference(pickle.Pickler):
    """Pickles no class that cannot be imported"""

    def __init__(self, file: io.BytesIO, journey: _Journey):
        super().__init__(file)
        self._journey = journey

    def reducer_override(self, value: Any) -> Any:
        return _override(self._journey, value)


@functools.cache
def _by_value(base: Any) -> type:
    """Pickles classes that cannot be imported, too, and all that is no exception as ``base`` does"""

    class ByValue(base):
        def __init__(self, file: io.BytesIO, journey: _Journey):
            super().__init__(file)
            self._journey = journey

        def reducer_override(self, value: Any) -> Any:
            found = _override(self._journey, value)
            return super().reducer_override(value) if found is NotImplemented else found

    return ByValue


def _override(journey: _Journey, value: Any) -> Any:
    if is_error(value):
        return journey.reduced(value)
    if type(value) is TracebackType:
        return frames_made, (frames_of(value),)
    return NotImplemented


def _reason(problem: BaseException) -> str:
    return text_of(problem) if isinstance(problem, (CannotTravel, CannotBeRead)) else described(problem)


# Whether the same came out. No method of the user's but __str__ is called


def _difference(error: BaseException, found: Any, with_fields: bool = True, with_text: bool = True) -> str:
    """What is not the same in an exception that was read again, in words; nothing if all is"""
    if type(found) is not type(error):
        return f'it comes out as a {kind_of(type(found))}'
    if with_text and not _same_text(error, found):
        return f'its text comes out as {text_of(found)[:1000]!r}'
    if _differ(BaseException.args.__get__(error), BaseException.args.__get__(found)):
        return 'its arguments come out differently'
    if not with_fields:
        return ''
    there = {(owner, name): value for owner, name, value in fields_of(found)}
    for owner, name, value in fields_of(error):
        if (owner, name) != (AttributeError, 'obj') and _differ(value, there.get((owner, name), NOTHING)):
            return f'its {name} comes out differently'
    return 'its attributes come out differently' if _differ(attributes_of(error), attributes_of(found)) else ''


def _same_text(error: BaseException, found: BaseException) -> bool:
    first, second = text_of(error), text_of(found)
    # An address is another one, and a set may be in another order
    return first == second or sorted(_ADDRESS.sub('', first)) == sorted(_ADDRESS.sub('', second)) or first != text_of(error)


def _differ(one: Any, other: Any, depth: int = 0) -> bool:
    """Whether two values are known to differ. Of what is not plain only the class is compared"""
    if one is other or depth > DEPTH:
        return False
    if is_error(one) and is_error(other):
        # A stand-in, perhaps
        return False
    kind = type(one)
    if kind is not type(other):
        return True
    if kind in PLAIN:
        return bool(one != other) and not (one != one and other != other)
    if kind in (list, tuple):
        return len(one) != len(other) or any(_differ(a, b, depth + 1) for a, b in zip(one, other, strict=True))
    if kind is dict:
        pairs = zip(one.items(), other.items(), strict=False)
        return len(one) != len(other) or any(_differ(a, b, depth + 1) for a, b in pairs)
    return False
