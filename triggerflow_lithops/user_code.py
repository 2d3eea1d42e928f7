"""The user's function: how an orchestrator is called."""

import inspect
from typing import Any, Callable

#: What ``run()`` was given as arguments when it was given none
NO_ARGUMENTS = object


def call(function: Callable[..., Any], args: Any) -> Any:
    """
    Calls an orchestrator with ``args`` exactly as given. When none were given, one
    that requires exactly one argument gets ``{}``, and any other nothing.
    """
    if args is not NO_ARGUMENTS:
        return function(args)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return function()
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [parameter for parameter in parameters if parameter.default is parameter.empty and parameter.kind in positional]
    return function({}) if len(required) == 1 else function()
