"""How an orchestrator came to its end, and the outcome of its run that follows from it."""

import base64
import pickle
import traceback
from dataclasses import dataclass
from typing import Any

import cloudpickle

from . import values
from .errors import OutcomeError
from .replay import failure


@dataclass(frozen=True)
class Returned:
    """The orchestrator came to its end."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """The orchestrator raised."""

    error: BaseException


def completed(value: Any, now: float) -> dict[str, Any]:
    """The outcome of a run whose orchestrator returned ``value``."""
    try:
        pickled = values.dumps(value)
    except Exception as error:
        what = f'The orchestrator returned a {type(value).__name__}, which cannot be pickled: {error}'
        return failure(OutcomeError(what), now)
    return {'status': 'completed', 'value': base64.b64encode(pickled).decode(), 'time': now}


def raised(error: BaseException, now: float) -> dict[str, Any]:
    """The outcome of a run whose orchestrator raised ``error``."""
    outcome = {
        'status': 'failed',
        'error': [type(error).__name__, str(error)],
        'traceback': ''.join(traceback.format_exception(error)),
        'time': now,
    }
    try:
        # A traceback pickles because Lithops' handler has installed tblib
        pickled = cloudpickle.dumps((error, error.__traceback__))
        pickle.loads(pickled)
        outcome['exception'] = base64.b64encode(pickled).decode()
    except Exception:
        pass  # its text has to do
    return outcome
