"""
Events: CloudEvents 1.0 documents, as plain dicts.

What is stored for a call is Lithops' own status object; the event is a view of
it, made here. Times are RFC 3339 UTC.
"""

import re
import uuid
from datetime import datetime, timezone
from typing import Any

from . import limits
from .damage import encode
from .errors import TriggerflowError
from .wording import shown

PREFIX = 'event.triggerflow'
SUCCESS = f'{PREFIX}.termination.success'
FAILURE = f'{PREFIX}.termination.failure'
TIMEOUT = f'{PREFIX}.timeout'
RUN_STARTED = f'{PREFIX}.run.started'
RUN_ENDED = {status: f'{PREFIX}.run.{status}' for status in ('completed', 'failed', 'cancelled', 'lost')}
JOB_SCHEDULED = f'{PREFIX}.job.scheduled'
ATTEMPT_FAILED = f'{PREFIX}.attempt.failed'
CHOICE_RECORDED = f'{PREFIX}.choice.recorded'
ACTIVATION_STARTED = f'{PREFIX}.activation.started'
ACTIVATION_SUSPENDED = f'{PREFIX}.activation.suspended'
ACTIVATION_DIED = f'{PREFIX}.activation.died'

#: What a CloudEvents 1.0 document must have, and may not leave empty (section 3.1)
REQUIRED = ('id', 'source', 'specversion', 'type')
#: What is a string, too, where it has it (sections 3.2 and 4; null is the same as nothing)
OPTIONAL = ('datacontenttype', 'dataref', 'dataschema', 'subject', 'time')

#: Bytes that an event may have, as a JSON document
MAX_BYTES = 262_144
#: Of a second, to the microsecond
_FRACTION = re.compile(r'\.(\d{1,6})\d*')


class InvalidEventError(TriggerflowError, ValueError):
    """A document that is not a CloudEvents 1.0 event, or a large one."""


def rfc3339(seconds: float) -> str:
    """Seconds since the epoch as ``2026-11-23T09:21:00.123456Z``."""
    when = datetime.fromtimestamp(seconds, timezone.utc)
    return when.isoformat(timespec='microseconds').replace('+00:00', 'Z')


def seconds_of(event: dict[str, Any]) -> float:
    """The inverse of :func:`rfc3339`: when an event says that it happened. 0 where it does not, or not in RFC 3339."""
    said = _FRACTION.sub(lambda found: f'.{found[1]:0<6}', (event.get('time') or '').upper().replace('Z', '+00:00'))
    try:
        return datetime.fromisoformat(said).timestamp()
    except (ValueError, OverflowError):
        return 0.0


def new_event(
    kind: str,
    subject: str,
    source: str,
    *,
    time: float,
    data: Any = None,
    event_id: str | None = None,
) -> dict[str, Any]:
    """
    A CloudEvents 1.0 document.

    :param time: seconds since the epoch
    :param event_id: unique within ``source``; a random one unless given
    """
    event: dict[str, Any] = {
        'specversion': '1.0',
        'id': event_id or uuid.uuid4().hex,
        'source': source,
        'type': kind,
        'subject': subject,
        'time': rfc3339(time),
    }
    if data is not None:
        event['datacontenttype'] = 'application/json'
        event['data'] = data
    return event


def validated(event: Any) -> dict[str, Any]:
    """
    The event itself, if it is one.

    :raises InvalidEventError: it is no CloudEvents 1.0 document
    """
    if not isinstance(event, dict):
        raise InvalidEventError(f'An event is a dict of CloudEvents 1.0 attributes; found {type(event).__name__}.')
    for name in REQUIRED:
        if not isinstance(event.get(name), str) or not event[name]:
            raise InvalidEventError(
                f'An event needs a non-empty string as {name!r} (CloudEvents 1.0, section 3.1); found {shown(event.get(name))}.'
            )
    for name in OPTIONAL:
        if not isinstance(event.get(name), (str, type(None))):
            raise InvalidEventError(f'An event has a string as {name!r}, if any; found {shown(event[name])}.')
    for name in (*REQUIRED, *OPTIONAL):
        require_attribute(name, event.get(name) or '')
    if event['specversion'] != '1.0':
        raise InvalidEventError(f"Found specversion {shown(event['specversion'])}; this understands '1.0'.")
    return event


def require_attribute(name: str, value: str) -> None:
    """:raises InvalidEventError: it is too long, or has characters that CloudEvents does not allow"""
    if not limits.is_attribute(value):
        raise InvalidEventError(
            f'The {name!r} of an event has {limits.ATTRIBUTE} characters at the most, and no control characters (CloudEvents '
            f'1.0, section 3.1); found {shown(value)}.'
        )


def encoded(event: dict[str, Any]) -> bytes:
    """
    An event as it is stored.

    :raises InvalidEventError: it is too large
    """
    value = encode(event)
    if len(value) > MAX_BYTES:
        raise InvalidEventError(
            f'Event {shown(event["type"])} has {len(value)} bytes; {MAX_BYTES} are the most. Put what makes it large into the '
            'bucket, and its key into the event.'
        )
    return value


def identity(event: dict[str, Any]) -> tuple[str, str]:
    """What makes two deliveries one event: ``(source, id)`` (section 3.1.1)."""
    return event['source'], event['id']


def termination_event(subject: str, status: dict[str, Any]) -> dict[str, Any]:
    """
    The event that Lithops' status of a call is.

    :param subject: ``<run_id>/<executor number>/<job_id>/<call_id>``
    :param status: Lithops' status document
    """
    names = ('activation_id', 'worker_start_tstamp', 'worker_end_tstamp', 'func_result_size')
    return new_event(
        FAILURE if status.get('exception') else SUCCESS,
        subject,
        source=f'lithops/{status["executor_id"]}/{status["job_id"]}',
        time=float(status['worker_end_tstamp']),
        data={'attempt': status.get('triggerflow_attempt', 0), **{name: status[name] for name in names if name in status}},
        event_id=f'{status["call_id"]}',
    )
