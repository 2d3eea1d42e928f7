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
The parts of an exception, and how one is made again of them: what pickle takes from ``__reduce__``.
"""

import copyreg
import pickle
from types import BuiltinFunctionType, FunctionType, GetSetDescriptorType, MemberDescriptorType, SimpleNamespace, TracebackType
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

import tblib

from .error_text import described, kind_of, mro_of, namespace_of

#: Frames of a traceback at its beginning, and at its end. More of them are not sent
FRAMES = 64

#: Types whose values can be compared, and tell nothing but themselves
PLAIN = (str, int, float, complex, bool, bytes, type(None))

#: In BaseException itself, where they are set one by one
_APART = ('args', '__cause__', '__context__', '__suppress_context__', '__traceback__', '__dict__', '__weakref__')
#: With one of these a class says how it is pickled
_REDUCERS = ('__reduce__', '__reduce_ex__', '__getstate__', '__setstate__', '__getnewargs__', '__getnewargs_ex__')

try:
    Group: Any = BaseExceptionGroup
except NameError:
    # Before Python 3.11
    Group = None

#: What ``__reduce__`` returns. The last item of its state are the links: traceback, cause and context
Reduced = Tuple[Any, ...]


class NotReducible(Exception):
    """An exception whose own ``__reduce__`` returns what no exception is made of"""


def is_error(value: Any) -> bool:
    """Whether something is an exception, whatever it says that its class is"""
    return BaseException in mro_of(type(value))


def is_group(error: BaseException) -> bool:
    """Whether it is a group of exceptions"""
    return Group is not None and Group in mro_of(type(error))


# The ways to reduce one


def ways_of(error: BaseException) -> List[Callable[[BaseException], Reduced]]:
    """How it can be reduced, the best way first"""
    kind = type(error)
    defined = any(_is_written_in_python(found, name) for found in mro_of(kind) for name in _REDUCERS)
    return [by_itself, remade] if defined or _registered(kind) else [remade]


def _registered(kind: type) -> Any:
    """What somebody has registered with ``copyreg`` for this class, unless that is tblib"""
    reducer: Any = copyreg.dispatch_table.get(kind)
    return None if getattr(reducer, '__module__', None) == 'tblib.pickling_support' else reducer


def _is_written_in_python(kind: type, name: str) -> bool:
    return isinstance(namespace_of(kind).get(name), (FunctionType, classmethod, staticmethod, property))


def by_itself(error: BaseException) -> Reduced:
    """As its class says"""
    reducer = _registered(type(error))
    reduced = reducer(error) if reducer else error.__reduce_ex__(pickle.DEFAULT_PROTOCOL)
    create, arguments, state, items, pairs, set_state = (*reduced, *[None] * 4)[:6]
    if items is not None or pairs is not None:
        raise NotReducible('it is a list or a dict, too')
    notes = attributes_of(error).get('__notes__')
    return _called, (create, arguments), (state, set_state, notes, {}), None, None, _restored_by_itself


def _called(create: Callable[..., BaseException], arguments: Tuple[Any, ...]) -> BaseException:
    return create(*arguments)


def _restored_by_itself(error: BaseException, saved: Tuple[Any, ...]) -> None:
    state, set_state, notes, links = saved
    if set_state is not None:
        set_state(error, state)
    elif state is not None:
        error.__setstate__(state)  # type: ignore[attr-defined]
    if notes is not None:
        attributes_of(error)['__notes__'] = notes
    _link(error, links)


def remade(error: BaseException) -> Reduced:
    """One of its class is made without calling it, and given all that this one has"""
    made: Tuple[Any, ...] = (type(error),)
    if is_group(error):
        made = (type(error), Group.message.__get__(error), Group.exceptions.__get__(error))
    fields = [(kind_of(owner), name, value) for owner, name, value in fields_of(error)]
    return _bare, made, (BaseException.args.__get__(error), fields, attributes_of(error), {}), None, None, _restored


def replaced(error: BaseException) -> Reduced:
    """An exception that says what this one was"""
    return _bare, (Exception,), ((described(error),), [], {}, {}), None, None, _restored


def linked(reduced: Reduced, links: Dict[str, Any]) -> Reduced:
    """As it was reduced, but with these links"""
    return (*reduced[:2], (*reduced[2][:-1], links), *reduced[3:])


def _bare(kind: type, *arguments: Any) -> BaseException:
    """An exception whose class is not called"""
    base: Any = kind
    while not isinstance(namespace_of(base).get('__new__'), BuiltinFunctionType):
        base = type.__dict__['__base__'].__get__(base)
    return namespace_of(base)['__new__'](kind, *arguments)


def _restored(error: BaseException, state: Tuple[Any, ...]) -> None:
    args, fields, attributes, links = state
    BaseException.args.__set__(error, args)
    known = {(kind_of(owner), name): descriptor for owner, name, descriptor in _descriptors(type(error))}
    for owner, name, value in fields:
        descriptor = known.get((owner, name))
        # Some differ between None and nothing, and some cannot be set once they are there
        if descriptor is not None and _value(descriptor, error) is not value:
            try:
                descriptor.__set__(error, value)
            except Exception:
                pass  # whoever has sent it knows that the same comes out
    attributes_of(error).update(attributes)
    _link(error, links)


def _link(error: BaseException, links: Dict[str, Any]) -> None:
    # The last one, for setting a cause sets it, too
    for name in ('__traceback__', '__cause__', '__context__', '__suppress_context__'):
        if name in links:
            namespace_of(BaseException)[name].__set__(error, links[name])


# What an exception consists of


def attributes_of(error: BaseException) -> Dict[str, Any]:
    """Its ``__dict__`` itself"""
    return namespace_of(BaseException)['__dict__'].__get__(error)


def fields_of(error: BaseException) -> Iterator[Tuple[type, str, Any]]:
    """What it keeps in C and in slots: class, name and value"""
    for owner, name, descriptor in _descriptors(type(error)):
        value = _value(descriptor, error)
        if (owner, name) == (AttributeError, 'obj') and type(value) not in PLAIN:
            # It may be large, or hold a credential (an executor does): nobody has asked to store it
            continue
        if value is not NOTHING:
            yield owner, name, value


def _descriptors(kind: type) -> Iterator[Tuple[type, str, Any]]:
    for owner in mro_of(kind):
        # Those of a group are given to it when it is made
        if owner is not object and owner is not Group:
            for name, found in namespace_of(owner).items():
                if type(found) in (MemberDescriptorType, GetSetDescriptorType) and name not in _APART:
                    yield owner, name, found


#: Instead of the value of a slot that was never set
NOTHING = object()


def _value(descriptor: Any, error: BaseException) -> Any:
    try:
        return descriptor.__get__(error, type(error))
    except BaseException:
        return NOTHING


def frames_of(frames: Optional[TracebackType]) -> List[Tuple[str, str, int, str]]:
    """A traceback as plain data: where it stands, and in which function"""
    found = []
    while frames is not None:
        code, module = frames.tb_frame.f_code, frames.tb_frame.f_globals.get('__name__')
        found.append((code.co_filename, code.co_name, frames.tb_lineno, module if type(module) is str else ''))
        frames = frames.tb_next
    return found if len(found) <= 2 * FRAMES else found[:FRAMES] + found[-FRAMES:]


def frames_made(frames: List[Tuple[str, str, int, str]]) -> Optional[TracebackType]:
    """A traceback again"""
    made = None
    for filename, name, line, module in reversed(frames):
        code = SimpleNamespace(co_filename=filename, co_name=name)
        scope = {'__name__': module, '__file__': filename}
        frame = SimpleNamespace(f_locals={}, f_globals=scope, f_code=code, f_lineno=line)
        made = SimpleNamespace(tb_frame=frame, tb_lineno=line, tb_next=made)
    return tblib.Traceback(made).as_traceback() if made is not None else None
