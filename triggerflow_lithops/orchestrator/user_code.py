"""
The user's function: what may be an orchestrator, which arguments fit it, and how it is called.

``run()`` asks here before anything is written; an activation calls by the same rules.
"""

import asyncio
import functools
import inspect
from typing import Any, Callable

from ..core.wording import shown
from ..errors import InvalidRunError, InvalidRunTypeError

#: What ``run()`` was given as arguments when it was given none
NO_ARGUMENTS = object

#: Positional arguments and keyword arguments of one call
Handed = tuple[tuple[Any, ...], dict[str, Any]]


def call(function: Callable[..., Any], args: Any) -> Any:
    """
    Calls an orchestrator with ``args``, as :func:`handed_over` says. A coroutine that comes
    back is run to its end in this thread, as ``asyncio.run`` does.
    """
    positional, keywords = handed_over(function, args)
    returned = function(*positional, **keywords)
    return asyncio.run(returned) if inspect.iscoroutine(returned) else returned


def require_fitting(function: Callable[..., Any], args: Any) -> None:
    """
    Checks that a callable can be an orchestrator, and takes these arguments.

    :raises InvalidRunError: it cannot, or it does not
    """
    if not callable(function):
        raise InvalidRunTypeError(f'run() takes a function to run as an orchestrator; found {shown(function)}.')
    called = _what_is_called(function)
    if inspect.isgeneratorfunction(called) or inspect.isasyncgenfunction(called):
        raise InvalidRunError(
            f'{_name(function)} is a generator function: calling it runs nothing of it. Write an orchestrator that returns '
            f'its result instead of yielding it, or run a function that goes through it: lambda: list({_name(function)}()).'
        )
    handed_over(function, args)


def handed_over(function: Callable[..., Any], args: Any) -> Handed:
    """
    The arguments that a call of ``function`` gets, by the rules of ``call_async``: a tuple is
    unpacked into positional arguments and a dict into keyword arguments where they fit; any
    other value is the one argument. A tuple or a dict that does not fit is the one argument,
    too. When no arguments were given, a function that requires exactly one gets ``{}``.

    :raises InvalidRunError: none of this fits the signature
    """
    ways = _ways(args)
    accepts = _signature(function, follow_wrapped=False)
    if accepts is None:
        # A builtin that does not say what it takes
        return ways[-1] if args is not NO_ARGUMENTS else ways[0]
    fitting = [way for way in ways if _binds(accepts, way)]
    if not fitting:
        found = 'no arguments' if args is NO_ARGUMENTS else f'{_shortened(args)} (of type {type(args).__name__})'
        raise InvalidRunError(
            f'{_name(function)}{accepts} cannot be called with what run() was given: {found}. Give a tuple of its positional '
            'arguments, a dict of its keyword arguments, or its one argument: run(function, args).'
        )
    wrapped = _signature(function, follow_wrapped=True)
    # A wrapper of (*args, **kwargs) accepts anything. What it wraps says which way is meant
    return next((way for way in fitting if wrapped is None or _binds(wrapped, way)), fitting[0])


def _ways(args: Any) -> list[Handed]:
    """How these arguments may be handed over, the preferred way first."""
    whole: Handed = ((args,), {})
    if args is NO_ARGUMENTS:
        return [((), {}), (({},), {})]
    if isinstance(args, tuple):
        return [(tuple(args), {}), whole]
    if isinstance(args, dict) and all(isinstance(key, str) for key in args):
        unpacked: Handed = ((), dict(args))
        # An empty dict names nothing that could be told from the value {}
        return [unpacked, whole] if args else [whole, unpacked]
    return [whole]


def _signature(function: Callable[..., Any], follow_wrapped: bool) -> inspect.Signature | None:
    try:
        return inspect.signature(function, follow_wrapped=follow_wrapped)
    except (TypeError, ValueError):
        return None


def _binds(signature: inspect.Signature, way: Handed) -> bool:
    positional, keywords = way
    try:
        signature.bind(*positional, **keywords)
    except TypeError:
        return False
    return True


def _what_is_called(function: Any) -> Any:
    """The function at the bottom of partials, methods and callable objects."""
    while isinstance(function, functools.partial) or inspect.ismethod(function):
        function = function.func if isinstance(function, functools.partial) else function.__func__
    if inspect.isroutine(function) or inspect.isclass(function):
        return function
    return type(function).__call__


def _name(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, '__qualname__', type(function).__qualname__))


def _shortened(value: Any) -> str:
    try:
        text = repr(value)
    except Exception:
        return ''
    return text if len(text) <= 100 else f'{text[:100]}…'
