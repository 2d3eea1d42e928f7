"""
Looks at values and classes without running any code of the user. Pure.

``isinstance`` and the attributes of a value, or of its class, may run a property or a
metaclass. The descriptors of the built-in types do not, so these are called instead.
"""

import types
from typing import Any, Iterable

mro_of = type.__dict__['__mro__'].__get__
namespace_of = type.__dict__['__dict__'].__get__
_qualname_of = type.__dict__['__qualname__'].__get__

_DESCRIPTORS = (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType)
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
#: Types of what is known by its qualified name
CALLABLES = (types.FunctionType, types.MethodType, types.BuiltinFunctionType, *_DESCRIPTORS)


class Missing:
    """Stands for a field that an object does not have."""


def is_one_of(kind: type, kinds: Iterable[type]) -> bool:
    """Whether a class is one of some others. ``in`` would ask its metaclass whether it equals them."""
    return any(kind is one for one in kinds)


def is_a(kind: type, base: type) -> bool:
    """Whether a class is a subclass of another one, whatever their metaclasses say."""
    return is_one_of(base, mro_of(kind))


def type_name(kind: type) -> str:
    """Module and qualified name of a class."""
    try:
        return _dotted(type.__dict__['__module__'].__get__(kind), _qualname_of(kind))
    except AttributeError:
        # Somebody has deleted it
        return _dotted(None, _qualname_of(kind))


def callable_name(value: Any) -> str:
    """Module and qualified name of a class, a function or a method; of anything else, those of its class."""
    kind = type(value)
    if kind is types.FunctionType:
        return _dotted(value.__module__, value.__qualname__)
    if kind is types.MethodType:
        return callable_name(value.__func__)
    if kind is types.BuiltinFunctionType:
        owner = value.__self__
        if owner is None or type(owner) is types.ModuleType:
            return _dotted(value.__module__, value.__name__)
        return f'{type_name(owner if is_a(type(owner), type) else type(owner))}.{value.__name__}'
    if is_one_of(kind, _DESCRIPTORS):
        return f'{type_name(value.__objclass__)}.{value.__name__}'
    if is_a(kind, type):
        return type_name(value)
    # What functools.update_wrapper() has made look like a function, such as one that is cached
    named = dict_of(value)
    name = dict.get(named, '__qualname__')
    return _dotted(dict.get(named, '__module__'), name) if type(name) is str else type_name(kind)


def attribute(value: Any, bases: Iterable[type], name: str) -> Any:
    """
    A field of an object: a slot of one of the classes, or an entry of the object's own dict.

    :return: :class:`Missing` if it has none
    """
    for base in bases:
        found = namespace_of(base).get(name)
        if is_one_of(type(found), _SLOTS):
            try:
                return found.__get__(value)
            except AttributeError:
                return Missing
    return dict.get(dict_of(value), name, Missing)


def dict_of(value: Any) -> dict[str, Any]:
    """The dict of an object's own attributes; an empty one if it has none."""
    for base in mro_of(type(value)):
        found = namespace_of(base).get('__dict__')
        if is_one_of(type(found), _SLOTS):
            return found.__get__(value)  # type: ignore[no-any-return]
    return {}


def _dotted(module: Any, name: str) -> str:
    return f'{module}.{name}' if type(module) is str else name
