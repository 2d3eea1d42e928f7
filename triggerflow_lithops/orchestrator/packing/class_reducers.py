"""How classes travel that cloudpickle does not take completely: enumerations, classes inside of classes, and names for types."""

import sys
import types
import typing
from typing import Any, Callable

import cloudpickle.cloudpickle as cloudpickle

from .reducers import Reduced, is_module_attribute

#: What an enumeration gives its members itself
_OF_MEMBERS = ('_value_', '_name_', '__objclass__', '_sort_order_')


def completed_class(kind: Any, found: Reduced) -> Reduced:
    """
    What cloudpickle makes of a class, and what it leaves out: the qualified name of one that is
    inside of another class, and its slots; of an enumeration the attributes of its members, and
    their other names.
    """
    if found[0] is cloudpickle._make_skeleton_class:
        found[1][3]['__qualname__'] = kind.__qualname__
        # A typing.NamedTuple makes its own
        if '__slots__' in vars(kind) and typing.NamedTuple not in vars(kind).get('__orig_bases__', ()):
            found[1][3]['__slots__'] = vars(kind)['__slots__']
        if not is_module_attribute(type(kind)):
            return make_class, *found[1:]
    if found[0] is not cloudpickle._make_skeleton_enum:
        return found
    make, given, state = found[:3]
    members, attributes = {}, {}
    for name, member in kind.__members__.items():
        members[name] = member.value
        attributes[member.name] = {name: value for name, value in vars(member).items() if name not in _OF_MEMBERS}
        state[0].pop(name, None)
    return make, (*given[:3], members, *given[4:]), (state, attributes), None, None, set_members


def make_class(metaclass: Any, name: str, bases: tuple[Any, ...], space: dict[str, Any], tracker: str | None, extra: Any) -> Any:
    """
    A class whose metaclass is of the script: what that does when a class is made it has done in the script.
    """
    maker = next(kind for kind in metaclass.__mro__ if is_module_attribute(kind))
    space, resolved = {sys.intern(name): value for name, value in space.items()}, types.resolve_bases(bases)
    if resolved is not bases:
        space['__orig_bases__'] = bases
    return cloudpickle._lookup_class_or_track(tracker, maker.__new__(metaclass, name, resolved, space))


def set_members(kind: Any, state: tuple[Any, dict[str, dict[str, Any]]]) -> None:
    """Gives an enumeration what is in its class, and its members their attributes."""
    cloudpickle._class_setstate(kind, state[0])
    for name, attributes in state[1].items():
        vars(kind.__members__[name]).update(attributes)


def _reduced_new_type(found: Any) -> Reduced | str:
    return found.__name__ if _is_importable(found) else (typing.NewType, (found.__name__, found.__supertype__), _named(found))


def _reduced_parameter(found: Any) -> Reduced | str:
    return found.__name__ if _is_importable(found) else (type(found), (found.__name__,))


def _reduced_alias(found: Any) -> Reduced | str:
    return found.__name__ if _is_importable(found) else (type(found), (found.__name__, found.__value__))


def _is_importable(found: Any) -> bool:
    module = sys.modules.get(found.__module__)
    return found.__module__ != '__main__' and getattr(module, found.__name__, None) is found


def _named(found: Any) -> dict[str, str]:
    return {'__module__': found.__module__, '__qualname__': found.__qualname__}


#: Names for types: pickle looks them up in their module
TYPING: dict[type, Callable[[Any], Any]] = {
    getattr(typing, name): reducer
    for name, reducer in {
        'NewType': _reduced_new_type,
        'ParamSpec': _reduced_parameter,
        'TypeVarTuple': _reduced_parameter,
        'TypeAliasType': _reduced_alias,
    }.items()
    if hasattr(typing, name)
}
