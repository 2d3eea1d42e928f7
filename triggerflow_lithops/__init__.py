"""
Lithops scripts as durable orchestrators: suspended where they wait, replayed from
a bucket, with nothing running meanwhile.
"""

import uuid as _uuid
from typing import Any, Callable
from typing import TypeVar as _TypeVar

from . import installation as _installation

# Before anything is imported that would be missing
_installation.require_version(_installation.VERSION)
_installation.require_patch()
with _installation.imports_of_lithops():
    from . import seams as _seams
    from .client import TriggerflowExecutor

from .errors import (
    ChangedCodeError,
    ConfigurationError,
    ConfigurationTypeError,
    InstallationError,
    InvalidRunError,
    InvalidRunTypeError,
    NotDurableError,
    OutcomeError,
    OutsideOrchestratorError,
    PayloadTooLarge,
    RunCancelled,
    RunDied,
    RunExistsError,
    RunLost,
    RunNotFoundError,
    RuntimeGone,
    TooManyPendingCalls,
    TriggerflowError,
)
from .native.actions import END, PASS, CallAsync, InvalidActionError, Map, Orchestrate, Publish, PythonCallable
from .native.client import Triggerflow, WorkspaceNotFoundError, publish
from .native.conditions import ANY, JOIN, THRESHOLD, TIMEOUT, TRUE
from .native.context import Context
from .native.events import CloudEvent, Failed, Succeeded
from .native.triggers import InvalidTriggerError
from .retry import Retry
from .run import Run
from .triggers import limits as _limits
from .triggers.condition import InvalidConditionError
from .triggers.damage import Damaged
from .triggers.event import InvalidEventError
from .triggers.workspace import TriggerExistsError, TriggerNotFoundError

__version__ = '0.1.0'

__all__ = [
    'ANY',
    'END',
    'JOIN',
    'PASS',
    'THRESHOLD',
    'TIMEOUT',
    'TRUE',
    'CallAsync',
    'ChangedCodeError',
    'CloudEvent',
    'ConfigurationError',
    'ConfigurationTypeError',
    'Context',
    'Damaged',
    'Failed',
    'InstallationError',
    'InvalidActionError',
    'InvalidConditionError',
    'InvalidEventError',
    'InvalidRunError',
    'InvalidRunTypeError',
    'InvalidTriggerError',
    'Map',
    'NotDurableError',
    'Orchestrate',
    'OutcomeError',
    'OutsideOrchestratorError',
    'PayloadTooLarge',
    'Publish',
    'PythonCallable',
    'Retry',
    'Run',
    'RunCancelled',
    'RunDied',
    'RunExistsError',
    'RunLost',
    'RunNotFoundError',
    'RuntimeGone',
    'Succeeded',
    'TooManyPendingCalls',
    'TriggerExistsError',
    'TriggerNotFoundError',
    'Triggerflow',
    'TriggerflowError',
    'TriggerflowExecutor',
    'WorkspaceNotFoundError',
    'now',
    'publish',
    'record',
    'sleep',
    'uuid4',
]

_T = _TypeVar('_T')


def now() -> float:
    """
    The time, recorded: the same on every replay. For use inside an orchestrator.

    :return: seconds since the epoch
    :raises OutsideOrchestratorError: no orchestrator runs here
    """
    return _seams.hooks('now()').now()


def sleep(seconds: float) -> None:
    """
    Waits inside an orchestrator, and nothing runs meanwhile: a durable ``time.sleep``.

    :param seconds: 0 or more
    :raises OutsideOrchestratorError: no orchestrator runs here
    :raises ValueError: negative, not a number, or more than a hundred years
    :raises TypeError: no number
    """
    slept = _limits.seconds(seconds, 'What sleep() takes')
    _seams.hooks('sleep()').sleep(slept)


def uuid4() -> _uuid.UUID:
    """
    A random UUID, derived from run and position: the same on every replay.

    :raises OutsideOrchestratorError: no orchestrator runs here
    """
    found: _uuid.UUID = _seams.hooks('uuid4()').uuid4()
    return found


def record(fn: Callable[..., _T], *args: Any) -> _T:
    """
    Runs ``fn(*args)`` here, once, and records what it returned or raised; on replay,
    that. It may run again if the orchestrator dies in the midst of it.

    :raises OutsideOrchestratorError: no orchestrator runs here
    """
    found: _T = _seams.hooks('record()').record(fn, args)
    return found
