"""
Runs that are lost: something is gone, or damaged, that they cannot go on without.

The activation, the worker or the sweep that finds this writes it as the outcome, so nothing
of the run starts again. To look costs requests, so it is done only where something is wrong
already. A store that does not answer says nothing about what it holds: that is raised as
:class:`StoreUnavailable`.
"""

from ..damage import Damaged, Gone
from ..outcome import LOST, lost_run
from ..store import Facts, encode, new_nonce
from .documents import Outcome, RunDocument
from .keys import outcome_key, run_key, run_of_session
from .repair import RUN_LOST, Repair

__all__ = ['LOST', 'Damaged', 'Gone', 'document_of', 'end', 'end_if_lost', 'lose', 'lost_for', 'outcome_of']


def document_of(facts: Facts, session: str) -> RunDocument | None:
    """
    The document of a run. None if it was purged, or is of another incarnation.

    :raises Damaged: it cannot be read
    """
    run_id, incarnation = run_of_session(session)
    document = facts.read(run_key(run_id), RunDocument)
    return document if document and document['incarnation'] == incarnation else None


def outcome_of(facts: Facts, session: str) -> Outcome | None:
    """How a run ended; None while it has not. One that cannot be read says that the run is lost: nothing is written over it."""
    try:
        return facts.read(outcome_key(session), Outcome)
    except Damaged as damage:
        return lost_run(str(damage), 0.0)


def end(facts: Facts, session: str, outcome: Outcome) -> bool:
    """
    Writes how a run ended, unless it has ended.

    :return: whether it has ended so
    """
    # As bytes: one that is there already holds, whatever it says
    value = encode({**outcome, 'nonce': new_nonce()})
    return facts.write(outcome_key(session), value) or facts.read_bytes(outcome_key(session)) == value


def lose(facts: Facts, session: str, reason: str, now: float) -> bool:
    """
    Ends a run as lost, unless it has ended already, or was purged.

    :param reason: what is gone, or damaged
    :param now: seconds since the epoch
    :return: whether the run has ended as lost here
    """
    try:
        if document_of(facts, session) is None:
            return False
    except Damaged as damage:
        if damage.newer:
            # A plugin of that version sees to it
            return False
    return end(facts, session, lost_run(reason, now))


def end_if_lost(facts: Facts, session: str, now: float) -> list[Repair] | None:
    """
    Looks whether anything of a run may start again, and ends it as lost if its code is gone.

    Three requests, whatever the size of the code.

    :param now: seconds since the epoch
    :return: None if the run can go on; else what was done about it: nothing if
        it has ended, or was purged
    :raises Damaged: its document cannot be read
    """
    document = document_of(facts, session)
    if document is None or facts.has(outcome_key(session)):
        return []
    code: str = document['orchestrator']['code_key']
    if code in facts.list(code):
        return None
    return lost_for(facts, session, f'{code}, which holds its orchestrator, is gone', now)


def lost_for(facts: Facts, session: str, reason: object, now: float) -> list[Repair]:
    """
    As :func:`lose`.

    :return: what was done; nothing if the run has ended, or was purged
    """
    return [Repair(RUN_LOST, why=str(reason))] if lose(facts, session, str(reason), now) else []
