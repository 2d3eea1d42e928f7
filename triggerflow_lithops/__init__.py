"""
Lithops scripts as durable orchestrators: suspended where they wait, replayed from
a bucket, with nothing running meanwhile.
"""

from .deployment import installation as _installation

# Before anything is imported that would be missing
_installation.require_version(_installation.VERSION)
_installation.require_patch()
with _installation.imports_of_lithops():
    from .client.executor import TriggerflowExecutor
    from .durable import now, record, sleep, uuid4

from .client.run import Run
from .core.condition import InvalidConditionError
from .core.damage import Damaged
from .core.event import InvalidEventError
from .core.store import StoreUnavailable
from .core.workspace.workspace import TriggerExistsError, TriggerNotFoundError
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
from .native.trigger_set import InvalidTriggerError
from .retry import Retry

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
    'StoreUnavailable',
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
