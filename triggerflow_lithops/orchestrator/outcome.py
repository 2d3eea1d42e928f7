"""How an orchestrator came to its end, and the outcome of its run that follows from it."""

import base64
import os
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import lithops.worker
from lithops.monitoring.backends.triggerflow.error_text import described

from ..core.outcome import completed_run, failed_run, raised_run
from ..core.run.documents import Outcome
from ..deployment.installation import PACKAGE
from ..errors import OutcomeError
from ..replay.effects import Interrupted
from .packing import values
from .packing.exception_documents import document_of

#: Folders of what runs an orchestrator: this package, and Lithops' worker
_RUNNERS = tuple(os.path.join(folder, '') for folder in (PACKAGE, os.path.dirname(lithops.worker.__file__ or '')))


@dataclass(frozen=True)
class Returned:
    """The orchestrator came to its end."""

    value: Any


@dataclass(frozen=True)
class Raised:
    """The orchestrator raised."""

    error: BaseException


#: How the thread of an orchestrator came to its end in an activation
End = Interrupted | Returned | Raised


def completed(value: Any, now: float) -> Outcome:
    """The outcome of a run whose orchestrator returned ``value``."""
    try:
        pickled = values.dumps(value)
    except BaseException as error:
        what = f'The orchestrator returned a {type(value).__name__}, which cannot be pickled: {described(error)}'
        return failed_run(OutcomeError(what), now)
    return completed_run(base64.b64encode(pickled).decode(), now)


def raised(error: BaseException, now: float) -> Outcome:
    """The outcome of a run whose orchestrator raised ``error``."""
    BaseException.with_traceback(error, _within(vars(BaseException)['__traceback__'].__get__(error)))
    return raised_run(document_of(error), now)


def _within(traceback: TracebackType | None) -> TracebackType | None:
    """The part of a traceback that begins in the orchestrator's own code."""
    while traceback is not None and traceback.tb_next and traceback.tb_frame.f_code.co_filename.startswith(_RUNNERS):
        traceback = traceback.tb_next
    return traceback
