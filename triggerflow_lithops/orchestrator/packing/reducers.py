"""
How objects travel that an ordinary script has and that cloudpickle does not take: caches,
functions with several implementations, context variables, locks, weak collections.

A lock travels as a new one, a cache as an empty one. What stands for something that exists
in this process only (a thread, an open file, a socket) is refused.
"""

import concurrent.futures
import contextvars
import functools
import io
import pickle
import random
import subprocess
import sys
import threading
import types
import weakref
from typing import Any, Callable

import cloudpickle.cloudpickle as cloudpickle

#: What pickle is given to make an object again
Reduced = tuple[Any, ...]

_Lock, _RLock = type(threading.Lock()), type(threading.RLock())
Cache = type(functools.cache(lambda: None))
_SINGLE_DISPATCH: types.CodeType = functools.singledispatch(lambda _: None).__code__  # type: ignore[attr-defined]

#: Exist in one process only. What they would be made of could be pickled, now that locks can
_OF_THIS_PROCESS = (
    threading.Thread,
    subprocess.Popen,
    concurrent.futures.Future,
    concurrent.futures.ProcessPoolExecutor,
)

_FILES = (io.TextIOWrapper, io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.FileIO)

#: An object of an installed package that holds one of these is refused, as pickle refuses it: it
#: was not made to travel, and may hold connections, or credentials
_GUARDS = (_Lock, _RLock, threading.Condition, threading.Semaphore, threading.local)

#: Of these an imported module and the orchestrator have to see one and the same object
SHARED = (*_GUARDS, Cache, contextvars.ContextVar, threading.Event, threading.Barrier, concurrent.futures.ThreadPoolExecutor)


class CannotTravel(pickle.PicklingError):
    """It cannot be pickled; the message says what to do."""


def reduced(obj: Any) -> Reduced | None:
    """
    What pickle makes of an object that cloudpickle does not take, or not rightly.

    :return: as ``__reduce__`` returns it; None for all other objects
    :raises pickle.PicklingError: it cannot travel
    """
    kind = type(obj)
    reducer = _BY_TYPE.get(kind)
    if reducer is not None:
        return reducer(obj)  # type: ignore[no-any-return]
    if kind is types.FunctionType:
        return _reduced_dispatch(obj) if obj.__code__ is _SINGLE_DISPATCH else None
    if isinstance(obj, _OF_THIS_PROCESS):
        raise pickle.PicklingError(f'cannot pickle {_article(kind)}, which exists in this process only')
    if isinstance(obj, _FILES):
        return _reduced_file(obj)
    if isinstance(obj, threading.local):
        return _new, (kind,), dict(vars(obj))
    return None


def require_no_guard(obj: Any) -> None:
    """
    Checks an object of an installed package.

    :raises pickle.PicklingError: it holds a lock, and was not made to travel
    """
    try:
        held = vars(obj)
    except TypeError:
        return
    for name, value in held.items():
        if isinstance(value, _GUARDS):
            raise pickle.PicklingError(f'cannot pickle {_article(type(obj))}: its {name} is {_article(type(value))}')


def is_module_attribute(obj: Any) -> bool:
    """Whether an object with a qualified name is found in a module under that name, and not in the script."""
    name, module = getattr(obj, '__qualname__', None), sys.modules.get(getattr(obj, '__module__', None) or '')
    if not name or module is None or module.__name__ == '__main__':
        return False
    if cloudpickle._is_registered_pickle_by_value(module):
        return False
    found: Any = module
    for part in name.split('.'):
        found = getattr(found, part, None)
    return found is obj


def _article(kind: type) -> str:
    name = f'{kind.__module__}.{kind.__qualname__}'.removeprefix('builtins.')
    return f'{"an" if name[0] in "aeiou" else "a"} {name!r} object'


def is_reduced_by_itself(kind: Any) -> bool:
    """Whether a class says itself what pickle makes of its objects."""
    return kind.__reduce_ex__ is not object.__reduce_ex__ or kind.__reduce__ is not object.__reduce__


# Caches, and functions with several implementations


def _reduced_cache(cache: Any) -> Reduced | str | None:
    if is_module_attribute(cache):
        return cache.__qualname__  # type: ignore[no-any-return]
    parameters = cache.cache_parameters() if hasattr(cache, 'cache_parameters') else {}
    state = {name: value for name, value in vars(cache).items() if name not in ('__wrapped__', 'cache_parameters')}
    return _cached, (cache.__wrapped__, parameters), state, None, None, _update


def _cached(function: Callable[..., Any], parameters: dict[str, Any]) -> Any:
    return functools.lru_cache(**parameters)(function)


def _reduced_dispatch(function: Any) -> Reduced | None:
    if is_module_attribute(function):
        return None
    registry = dict(function.registry)
    base = registry.pop(object)
    own = ('register', 'dispatch', 'registry', '_clear_cache', '__wrapped__')
    state = {name: value for name, value in vars(function).items() if name not in own}
    return _dispatching, (base,), (state, list(registry.items())), None, None, _register


def _dispatching(base: Callable[..., Any]) -> Any:
    return functools.singledispatch(base)


def _register(function: Any, state: tuple[dict[str, Any], list[tuple[type, Callable[..., Any]]]]) -> None:
    attributes, implementations = state
    for kind, implementation in implementations:
        function.register(kind, implementation)
    _update(function, attributes)


def _update(obj: Any, attributes: dict[str, Any]) -> None:
    vars(obj).update(attributes)


# Context variables: the value that one has now is its value where the orchestrator begins


def context_state(variable: 'contextvars.ContextVar[Any]') -> tuple[Any, ...]:
    """The value that a variable has in this context, in a tuple; an empty one if it was not set."""
    missing = object()
    value = contextvars.copy_context().get(variable, missing)
    return () if value is missing else (value,)


def _reduced_variable(variable: 'contextvars.ContextVar[Any]') -> Reduced:
    default = contextvars.Context().run(_default_of, variable)
    return _variable, (variable.name, *default), context_state(variable), None, None, set_variable


def _default_of(variable: 'contextvars.ContextVar[Any]') -> tuple[Any, ...]:
    try:
        return (variable.get(),)
    except LookupError:
        return ()


def _variable(name: str, *default: Any) -> 'contextvars.ContextVar[Any]':
    return contextvars.ContextVar(name, default=default[0]) if default else contextvars.ContextVar(name)


def set_variable(variable: 'contextvars.ContextVar[Any]', state: tuple[Any, ...]) -> None:
    """Gives it the value that it had."""
    if state:
        variable.set(state[0])


# What guards, and what refers weakly


def _new(kind: type, *arguments: Any) -> Any:
    return kind(*arguments)


def _reduced_condition(condition: threading.Condition) -> Reduced:
    return threading.Condition, (condition._lock,)  # type: ignore[attr-defined]


def _reduced_barrier(barrier: threading.Barrier) -> Reduced:
    return threading.Barrier, (barrier.parties, barrier._action, barrier._timeout)  # type: ignore[attr-defined]


def _reduced_reference(reference: 'weakref.ref[Any]') -> Reduced:
    referent = reference()
    return (_dead_reference, ()) if referent is None else (weakref.ref, (referent,))


def _dead_reference() -> 'weakref.ref[Any]':
    return weakref.ref(set())


def _reduced_pool(pool: Any) -> Reduced:
    return _thread_pool, (pool._max_workers, pool._thread_name_prefix, pool._initializer, pool._initargs)


def _thread_pool(*arguments: Any) -> concurrent.futures.ThreadPoolExecutor:
    return concurrent.futures.ThreadPoolExecutor(*arguments)


def _reduced_file(file: Any) -> Reduced:
    for name in ('stdout', 'stderr', 'stdin'):
        if file in (getattr(sys, name), getattr(sys, f'__{name}__')):
            return getattr, (sys, name)
    raise CannotTravel(f'the open file {getattr(file, "name", "")!r} cannot be pickled. Open it inside of the orchestrator')


_BY_TYPE: dict[type, Callable[[Any], Any]] = {
    _Lock: lambda lock: (threading.Lock, ()),
    _RLock: lambda lock: (threading.RLock, ()),
    threading.Condition: _reduced_condition,
    threading.Barrier: _reduced_barrier,
    Cache: _reduced_cache,
    contextvars.ContextVar: _reduced_variable,
    weakref.ReferenceType: _reduced_reference,
    weakref.WeakKeyDictionary: lambda found: (weakref.WeakKeyDictionary, (), None, None, iter(list(found.items()))),
    weakref.WeakValueDictionary: lambda found: (weakref.WeakValueDictionary, (), None, None, iter(list(found.items()))),
    random.SystemRandom: lambda found: (random.SystemRandom, ()),
    concurrent.futures.ThreadPoolExecutor: _reduced_pool,
}
