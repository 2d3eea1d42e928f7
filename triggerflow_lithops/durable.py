"""The durable steps that a user calls by name inside an orchestrator."""

import uuid
from typing import Any, Callable, TypeVar

from .core import limits
from .orchestrator.hooks import patching

_T = TypeVar('_T')


def now() -> float:
    """
    The time, recorded: the same on every replay. For use inside an orchestrator.

    :return: seconds since the epoch
    :raises OutsideOrchestratorError: no orchestrator runs here
    """
    return patching.hooks('now()').now()


def sleep(seconds: float) -> None:
    """
    Waits inside an orchestrator, and nothing runs meanwhile: a durable ``time.sleep``.

    :param seconds: 0 or more
    :raises OutsideOrchestratorError: no orchestrator runs here
    :raises ValueError: negative, not a number, or more than a hundred years
    :raises TypeError: no number
    """
    slept = limits.seconds(seconds, 'What sleep() takes')
    patching.hooks('sleep()').sleep(slept)


def uuid4() -> uuid.UUID:
    """
    A random UUID, derived from run and position: the same on every replay.

    :raises OutsideOrchestratorError: no orchestrator runs here
    """
    found: uuid.UUID = patching.hooks('uuid4()').uuid4()
    return found


def record(fn: Callable[..., _T], *args: Any) -> _T:
    """
    Runs ``fn(*args)`` here, once, and records what it returned or raised; on replay,
    that. It may run again if the orchestrator dies in the midst of it.

    :raises OutsideOrchestratorError: no orchestrator runs here
    """
    found: _T = patching.hooks('record()').record(fn, args)
    return found
