"""Finds what it is of an orchestrator that cannot travel, and says which names lead to it."""

import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import Any

import cloudpickle.cloudpickle as cloudpickle

from .remade import WHOLE

#: Objects that are tried at the most, and names that are followed
TRIES, DEPTH = 2_000, 30


def path_to_culprit(value: Any, attempt: Callable[[Any], object]) -> tuple[list[str], BaseException | None]:
    """
    The way from a value that cannot travel to the innermost part of it that cannot.

    :param attempt: tries to pack and load an object, and raises what that raises
    :return: the steps of the way, in words; and what the innermost part raised, if any part did
    """
    steps: list[str] = []
    seen = {id(value)}
    reason: BaseException | None = None
    tries = 0
    while len(steps) < DEPTH:
        for step, part in _parts(value):
            tries += 1
            if tries > TRIES:
                return steps, reason
            if id(part) in seen or isinstance(part, (str, bytes, int, float, types.ModuleType, type(None))):
                continue
            seen.add(id(part))
            failure = _failure(part, attempt)
            if failure is not None:
                steps.append(step)
                value, reason = part, failure
                break
        else:
            break
    return steps, reason


def _failure(part: Any, attempt: Callable[[Any], object]) -> BaseException | None:
    try:
        attempt(part)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return error
    return None


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """What a value refers to, and in words how."""
    if isinstance(value, WHOLE):
        return
    if isinstance(value, types.FunctionType):
        yield from _parts_of_function(value)
    elif isinstance(value, types.MethodType):
        yield 'its object', value.__self__
        yield 'its function', value.__func__
    elif isinstance(value, functools.partial):
        yield 'the function of the partial', value.func
        yield from ((f'argument {index} of the partial', part) for index, part in enumerate(value.args))
        yield from ((f'argument {name!r} of the partial', part) for name, part in value.keywords.items())
    elif isinstance(value, dict):
        yield from ((f'key {key!r}', part) for key, part in list(value.items()))
        yield from ((f'key {key!r}', key) for key in list(value))
    elif isinstance(value, (list, tuple, set, frozenset)):
        yield from ((f'item {index}', part) for index, part in enumerate(list(value)))
    elif isinstance(value, type):
        yield from ((f'attribute {name!r} of the class', part) for name, part in list(vars(value).items()))
    elif isinstance(value, (staticmethod, classmethod)):
        yield 'its function', value.__func__
    elif isinstance(value, property):
        yield from (('its function', part) for part in (value.fget, value.fset, value.fdel))
    else:
        yield from _parts_of_object(value)


def _parts_of_function(function: types.FunctionType) -> Iterator[tuple[str, Any]]:
    space = function.__globals__
    for name in cloudpickle._extract_code_globals(function.__code__):
        if name in space:
            yield f'global {name!r}', space[name]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=False):
        try:
            yield f'variable {name!r} of the function around it', cell.cell_contents
        except ValueError:
            continue
    yield from (('a default argument', part) for part in function.__defaults__ or ())
    yield from ((f'the default of {name!r}', part) for name, part in (function.__kwdefaults__ or {}).items())
    yield from ((f'attribute {name!r}', part) for name, part in vars(function).items())


def _parts_of_object(value: Any) -> Iterator[tuple[str, Any]]:
    wrapped = inspect.getattr_static(value, '__wrapped__', None)
    if wrapped is not None:
        yield 'what it wraps', wrapped
    attributes = getattr(value, '__dict__', None)
    if isinstance(attributes, dict):
        yield from ((f'attribute {name!r}', part) for name, part in list(attributes.items()))
    for kind in type(value).__mro__:
        slots = vars(kind).get('__slots__', ())
        for name in (slots,) if isinstance(slots, str) else tuple(slots):
            if hasattr(value, name):
                yield f'attribute {name!r}', getattr(value, name)
    yield 'its class', type(value)
