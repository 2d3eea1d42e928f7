"""
Objects that belong to a module: what a module has made at its top has to be that object where
the orchestrator runs, too, and not a copy of it. Such an object travels by its name.

What the script's own modules have made keeps the state that it has in this program: the module
is imported where the orchestrator runs, and the state is put into what the import has made.
"""

import contextvars
import os
import sys
import sysconfig
import types
from collections.abc import Iterator
from typing import Any, Callable

import cloudpickle.cloudpickle as cloudpickle
import lithops
from lithops.storage import InternalStorage, Storage

from .reducers import SHARED, Reduced, context_state, is_reduced_by_itself, set_variable

_MAINS = ('__main__', '__mp_main__')
_CONTAINERS = (dict, list, set)
#: Of all modules, whoever has made them
_ANYWHERE = (*SHARED, lithops.FunctionExecutor, InternalStorage, Storage)
_PLACES = tuple({os.path.join(sysconfig.get_paths()[name], '') for name in ('stdlib', 'platstdlib', 'purelib', 'platlib')})

Place = tuple[str, str]


class Homes:
    """Module and name of objects that are attributes of imported modules."""

    def __init__(self) -> None:
        self._indices: dict[str, dict[int, Place]] = {}
        self._contents: dict[int, Contents] = {}

    def reduced(self, obj: Any) -> tuple[Reduced, Place] | None:
        """
        What pickle makes of an object that a module has made at its top, and the place where it is; None for others.
        """
        kind = type(obj)
        if kind is Contents:
            return (getattr, _looked_up(obj.place), (type(obj.value)(obj.value),), None, None, set_contents), obj.place
        if isinstance(obj, _ANYWHERE):
            place = self._find(obj, '*', _modules, lambda value: isinstance(value, _ANYWHERE))
            return place and (_with_value(obj, place), place)
        top = kind.__module__.partition('.')[0]
        if top == 'builtins' or isinstance(obj, (type, types.FunctionType)):
            return None
        place = self._find(obj, 'own', _own_modules, _may_be_shared)
        if place is not None:
            if not _is_plain(kind):
                return None
            return (getattr, _looked_up(place), dict(vars(obj)), None, None, set_attributes), place
        if top in _MAINS:
            return None
        place = self._find(obj, top, lambda: _modules_of(top), _may_be_shared)
        return place and ((getattr, _looked_up(place)), place)

    def contents(self, value: Any) -> Any:
        """What travels of a variable: a dict, a list or a set that a module of the script's own has made goes by its name."""
        if type(value) not in _CONTAINERS:
            return value
        place = self._find(value, 'own', _own_modules, _may_be_shared)
        return value if place is None else self._contents.setdefault(id(value), Contents(value, place))

    def _find(
        self,
        obj: Any,
        index: str,
        modules: Callable[[], Iterator[types.ModuleType]],
        belongs: Callable[[Any], bool],
    ) -> Place | None:
        if index not in self._indices:
            found = self._indices[index] = {}
            for module in modules():
                for name, value in [*vars(module).items()]:
                    if belongs(value):
                        found.setdefault(id(value), (module.__name__, name))
        return self._indices[index].get(id(obj))


class Contents:
    """Stands for a dict, a list or a set of a module in what is pickled."""

    def __init__(self, value: Any, place: Place):
        self.value = value
        self.place = place


def set_contents(obj: Any, state: tuple[Any]) -> None:
    """Gives a container the contents that it had."""
    obj.clear()
    if isinstance(obj, list):
        obj.extend(state[0])
    else:
        obj.update(state[0])


def set_attributes(obj: Any, state: dict[str, Any]) -> None:
    """Gives an object the attributes that it had."""
    vars(obj).clear()
    vars(obj).update(state)


def _with_value(obj: Any, place: Place) -> Reduced:
    if isinstance(obj, contextvars.ContextVar):
        return getattr, _looked_up(place), context_state(obj), None, None, set_variable
    return getattr, _looked_up(place)


def _looked_up(place: Place) -> tuple[types.ModuleType, str]:
    module, name = place
    return sys.modules[module], name


def _may_be_shared(value: Any) -> bool:
    if type(value) in _CONTAINERS:
        return True
    return type(value).__module__ != 'builtins' and not isinstance(value, (type, types.FunctionType, types.ModuleType))


def _is_plain(kind: type) -> bool:
    """Whether an object is its attributes, and travels as pickle has it."""
    stateful = hasattr(kind, '__setstate__') or getattr(kind, '__getstate__', None) is not getattr(object, '__getstate__', None)
    slots = any(vars(base).get('__slots__') for base in kind.__mro__)
    return not (is_reduced_by_itself(kind) or stateful or slots) and getattr(kind, '__dictoffset__', 0) != 0


def _modules() -> Iterator[types.ModuleType]:
    for name, module in [*sys.modules.items()]:
        if not isinstance(module, types.ModuleType) or name in _MAINS or module.__name__ != name:
            continue
        if not cloudpickle._is_registered_pickle_by_value(module):
            yield module


def _own_modules() -> Iterator[types.ModuleType]:
    for module in _modules():
        path = getattr(module, '__file__', None)
        if not isinstance(path, str) or path.startswith(_PLACES) or 'site-packages' in path or 'dist-packages' in path:
            continue
        if module.__name__.partition('.')[0] not in ('lithops', 'triggerflow_lithops'):
            yield module


def _modules_of(top: str) -> Iterator[types.ModuleType]:
    return (module for module in _modules() if module.__name__.partition('.')[0] == top)
