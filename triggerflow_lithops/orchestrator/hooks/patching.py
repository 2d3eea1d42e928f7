"""
How Lithops is patched inside an activation, and how all of that is undone.

A patched method or function behaves as Lithops made it as long as no hooks are in force.
"""

import functools
import inspect
from collections.abc import Iterable
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Callable

from ...errors import OutsideOrchestratorError

if TYPE_CHECKING:
    from ..context import Hooks

#: Whose attribute is replaced, its name, and what takes its place. That gets the hooks in force, what Lithops made, and the
#: arguments of the call
Replacement = tuple[Any, str, Callable[..., Any]]

#: The hooks in force; None where no orchestrator runs
in_force: 'Hooks | None' = None


def hooks(name: str) -> 'Hooks':
    """
    Those of this activation.

    :raises OutsideOrchestratorError: no orchestrator runs in this process
    """
    if in_force is None:
        raise OutsideOrchestratorError(
            f'{name} was called where no orchestrator runs. It is for a function that was given to TriggerflowExecutor.run().'
        )
    return in_force


def put_in_force(active: 'Hooks | None') -> None:
    """These hooks are in force from now on, in this process. ``None``: no orchestrator runs any more."""
    global in_force
    in_force = active


#: What undoes all that was hooked, the latest one last
_undo: list[Callable[[], None]] = []
#: What was hooked: whose attribute, and its name. Looked at whenever hooks come into force
_hooked: set[tuple[int, str]] = set()


def replace(replaced: Iterable[Replacement]) -> None:
    """Replaces what is not replaced yet."""
    for owner, name, durable in replaced:
        if not is_hooked(owner, name):
            note(owner, name)
            setattr(owner, name, in_orchestrators(getattr(owner, name), durable))


def is_hooked(owner: Any, name: str) -> bool:
    """Whether an attribute is replaced already: a process may run several activations."""
    return (id(owner), name) in _hooked


def note(owner: Any, name: str, undo: Callable[[], None] | None = None) -> None:
    """
    Notes that something is hooked, and how that is undone.

    :param undo: if it is not an attribute, which gets back what it is now
    """
    own = vars(owner).get(name)

    def restore() -> None:
        delattr(owner, name) if own is None else setattr(owner, name, own)

    _undo.append(undo or restore)
    _hooked.add((id(owner), name))


def unhook() -> None:
    """Undoes all replacements."""
    _hooked.clear()
    while _undo:
        _undo.pop()()


def take_over(function: Any, durable: Callable[..., Any]) -> CodeType:
    """
    Changes what a function does, and not only what its name means: who has imported it
    by name has it already.

    :return: its own code
    """
    original = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__)
    original.__kwdefaults__ = function.__kwdefaults__
    function.__globals__[f'_triggerflow_{function.__name__}'] = in_orchestrators(original, durable)
    own: CodeType = function.__code__
    function.__code__ = _trampoline(function)
    return own


def _trampoline(function: Any) -> CodeType:
    """Code with the parameters of ``function`` that hands them on to what has taken over."""
    names = [*inspect.signature(function).parameters]
    handed_on = ', '.join(f'{name}={name}' for name in names)
    scope: dict[str, Any] = {}
    exec(f'def {function.__name__}({", ".join(names)}): return _triggerflow_{function.__name__}({handed_on})', scope)
    code: CodeType = scope[function.__name__].__code__
    return code


def in_orchestrators(original: Callable[..., Any], durable: Callable[..., Any]) -> Callable[..., Any]:
    """Calls ``durable`` where an orchestrator runs, and ``original`` elsewhere."""

    @functools.wraps(original)
    def hooked(*args: Any, **kwargs: Any) -> Any:
        if in_force is None:
            return original(*args, **kwargs)
        return durable(in_force, original, *args, **kwargs)

    return hooked
