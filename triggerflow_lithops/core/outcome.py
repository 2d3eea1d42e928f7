"""Outcomes: how a run ended. All of them are built here. Pure."""

import json
from typing import Any, Mapping, Sequence

from .run.documents import Death, Outcome

COMPLETED, FAILED, CANCELLED, LOST = 'completed', 'failed', 'cancelled', 'lost'


def completed_run(value: str, now: float) -> Outcome:
    """
    The outcome of a run whose orchestrator returned.

    :param value: that it returned: pickled, in base 64
    :param now: seconds since the epoch
    """
    return {'status': COMPLETED, 'value': value, 'time': now}


def raised_run(document: Mapping[str, Any], now: float) -> Outcome:
    """
    The outcome of a run whose orchestrator raised.

    :param document: of the exception, with 'error', 'kind', 'traceback', and 'exception' or 'problem'
    :param now: seconds since the epoch
    """
    return {'status': FAILED, **document, 'time': now}  # type: ignore[typeddict-item]


def failed_run(error: Exception, now: float) -> Outcome:
    """
    The outcome of a run that failed through no exception of its orchestrator.

    :param error: one of ours: its text is known, and its attributes are few and plain
    :param now: seconds since the epoch
    :return: its 'fields' are those attributes that JSON can hold
    """
    fields = {name: value for name, value in vars(error).items() if _is_json(value)}
    return {'status': FAILED, 'error': [type(error).__name__, str(error)], 'fields': fields, 'time': now}


def died_run(deaths: Sequence[tuple[int, Death]], now: float) -> Outcome:
    """
    The outcome of a run of which too many activations in a row have died.

    :param deaths: the number of each of them, and how it died
    :param now: seconds since the epoch
    """
    told = '; '.join(f'activation {dead} of: {found["reason"]}' for dead, found in deaths)
    return {'status': FAILED, 'error': ['RunDied', f'{len(deaths)} activations in a row died, {told}'], 'time': now}


def cancelled_run(now: float) -> Outcome:
    """The outcome of a run that was cancelled."""
    return {'status': CANCELLED, 'time': now}


def lost_run(reason: str, now: float) -> Outcome:
    """
    The outcome of a run that is lost.

    :param reason: what is gone, or damaged
    :param now: seconds since the epoch; 0 where nobody has written this, and nobody knows
    """
    return {'status': LOST, 'reason': reason, 'time': now}


def _is_json(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):
        return False
