"""
Runs that have ended, or were purged. To look for that costs requests and decides nothing: it keeps
an activation, a worker or a sweep from doing what nobody waits for any more.
"""

from typing import Iterable

from .keys import JOBS, is_key_of, outcome_key
from .loss import document_of
from .store import Facts

#: How a run is over
ENDED, PURGED = 'the run has ended', 'the run was purged'


def how_over(facts: Facts, session: str) -> str | None:
    """``ENDED`` or ``PURGED``; None while the run goes on. Two requests."""
    if document_of(facts, session) is None:
        return PURGED
    return None if facts.read(outcome_key(session)) is None else ENDED


def clear_away(facts: Facts, session: str, prefixes: Iterable[str] = (JOBS,)) -> list[str]:
    """
    Removes what there is of a run, but for its document and its outcome.

    :param prefixes: below which it lies
    :return: the keys of that
    """
    keys = [
        key for prefix in prefixes for key in facts.list(f'{prefix}/{session}') if is_key_of(session, key, prefix)
    ]
    if keys:
        facts.store.delete(keys)
    return keys


def clear_if_purged(facts: Facts, session: str, prefixes: Iterable[str] = (JOBS,)) -> list[str]:
    """
    An activation or a call that has ended may have written something of a run that was purged meanwhile. It is
    removed. One request, where the run is there.

    :return: the keys of that
    """
    if document_of(facts, session) is not None:
        return []
    facts.store.delete([outcome_key(session)])
    return clear_away(facts, session, prefixes)
