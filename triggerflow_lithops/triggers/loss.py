"""
Runs that are lost: something is gone that they cannot go on without.

The activation, the worker or the sweep that finds this writes it as the outcome, so nothing
of the run starts again. To look costs requests, so it is done only where something is wrong
already. A store that does not answer says nothing about what it holds: that is raised as
:class:`StoreUnavailable`.
"""

from typing import Any

from .keys import outcome_key, run_key, run_of_session
from .store import Facts

LOST = 'lost'


class Gone(Exception):
    """An object of a run is not there, and the run cannot go on without it. The message says which one."""


def document_of(facts: Facts, session: str) -> dict[str, Any] | None:
    """The document of a run. None if it was purged, or is of another incarnation."""
    run_id, incarnation = run_of_session(session)
    document = facts.read(run_key(run_id))
    return document if document and document['incarnation'] == incarnation else None


def lose(facts: Facts, session: str, reason: str, now: float) -> bool:
    """
    Ends a run as lost, unless it has ended already, or was purged.

    :param reason: what is gone
    :param now: seconds since the epoch
    :return: whether the run has ended as lost here
    """
    if document_of(facts, session) is None:
        return False
    ours, _ = facts.create(outcome_key(session), {'status': LOST, 'reason': reason, 'time': now})
    return ours


def end_if_lost(facts: Facts, session: str, now: float) -> list[str] | None:
    """
    Looks whether anything of a run may start again, and ends it as lost if its code is gone.

    Three requests, whatever the size of the code.

    :param now: seconds since the epoch
    :return: None if the run can go on; else what was done about it, in words: nothing if
        it has ended, or was purged
    """
    document = document_of(facts, session)
    if document is None or facts.read(outcome_key(session)) is not None:
        return []
    code: str = document['orchestrator']['code_key']
    if code in facts.list(code):
        return None
    reason = f'{code}, which holds its orchestrator, is gone'
    lose(facts, session, reason, now)
    return [f'the run is lost: {reason}']
