"""The outcome of a run that failed through no exception of its orchestrator."""

import json
from typing import Any


def failed_run(error: Exception, now: float) -> dict[str, Any]:
    """
    The outcome of such a run.

    :param error: one of ours: its text is known, and its attributes are few and plain
    :param now: seconds since the epoch
    :return: its 'fields' are those attributes that JSON can hold
    """
    fields = {name: value for name, value in vars(error).items() if _is_json(value)}
    return {'status': 'failed', 'error': [type(error).__name__, str(error)], 'fields': fields, 'time': now}


def _is_json(value: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(value)) == value)
    except (TypeError, ValueError):
        return False
