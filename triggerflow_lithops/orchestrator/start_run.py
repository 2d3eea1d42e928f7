"""How a run is started: what it has of its driver is kept, its document is written, and activation 0 begins."""

import logging
import time
from typing import Any

from lithops.monitoring.backends.triggerflow.compute import InvocationNotAccepted, InvocationRejected, PayloadTooLarge
from lithops.monitoring.backends.triggerflow.driver import forget_driver, keep_driver
from lithops.monitoring.backends.triggerflow.invoke import fail_run, run_field, starter
from lithops.monitoring.backends.triggerflow.sweep import begin_sweeps
from lithops.monitoring.backends.triggerflow.wakeups import begin_wake_ups, end_wake_ups

from ..core.damage import Damaged
from ..core.outcome import cancelled_run
from ..core.run.action import start_activation
from ..core.run.documents import RunFields
from ..core.run.keys import outcome_key, run_key, session_of
from ..core.store import Facts, StoreUnavailable, encode
from ..errors import ConfigurationError

logger = logging.getLogger(__name__)


class DriverNotKept(StoreUnavailable):
    """What a run has of its driver cannot be written, so there is no such run."""


def session_of_run(document: dict[str, Any]) -> str:
    """The session of a run, by its document."""
    return session_of(document['run_id'], document['incarnation'])


def field_of(document: dict[str, Any]) -> RunFields:
    """What every payload of a run carries."""
    field: RunFields = run_field(document['run_id'], session_of_run(document), document['orchestrator'], document['retry'])
    return field


def create_run(config: dict[str, Any], facts: Facts, document: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """
    Writes that there is a run, unless one of its id is there.

    :param document: of the run
    :return: whether it was written here, and the document that is there
    :raises DriverNotKept: what the run has of this process cannot be kept; then there is no run
    :raises Damaged: the document of the run that is there cannot be read
    """
    # Before the document: who finds the run finds this, too, and begins it with nothing else
    try:
        keep_driver(config, field_of(document))
    except OSError as error:
        raise DriverNotKept(f'The run was not started, for what it has of its driver cannot be kept: {error}') from error
    try:
        ours, found = facts.create(run_key(document['run_id']), document)
    except Damaged:
        forget_driver(config, session_of_run(document))
        raise
    if not ours:
        forget_driver(config, session_of_run(document))
    return ours, found


def begin_run(config: dict[str, Any], facts: Facts, document: dict[str, Any]) -> bool:
    """
    Starts activation 0 of a run whose document was written here.

    :return: whether the function service has accepted it
    :raises ConfigurationError: the function service will never take it
    """
    field, session = field_of(document), session_of_run(document)
    try:
        # First, so that they find an activation 0 that never began
        begin_sweeps(config, field)
        begin_wake_ups(config, field)
        starter(config, field, facts)(start_activation(session, 0, 'the run was started'))
        logger.info('Run %s - started: %s', document['run_id'], document['orchestrator']['function'])
        return True
    except InvocationNotAccepted as error:
        # A sweep begins it
        logger.warning('Run %s - could not begin yet: %s', document['run_id'], error)
    except PayloadTooLarge as error:
        cancel_run(config, facts, document)
        raise ConfigurationError(str(error)) from error
    except InvocationRejected as error:
        fail_run(facts, field, error)
    return False


def cancel_run(config: dict[str, Any], facts: Facts, document: dict[str, Any]) -> None:
    """Ends a run as cancelled, unless it has ended."""
    session = session_of_run(document)
    facts.write(outcome_key(session), encode(cancelled_run(time.time())))
    end_wake_ups(config, field_of(document))
    forget_driver(config, session)
