"""What a cleaner does in the simulated world: an object that the run needs is gone, at some moment."""

from random import Random

from ..core.run import keys
from .store import Memory

#: Seconds after the start of a run between which something is removed
WHEN = (1.0, 120.0)


def remove_one(memory: Memory, session: str, random: Random) -> str:
    """
    Removes the code of a run, one of its latest triggers, or its latest pack.

    A trigger that was removed may be written again, with another value, where two processes
    live its activation.

    :return: the key of it
    """
    triggers = [key for key in memory.list(keys.activation_prefix(session)) if key.endswith('/trigger.json')]
    packs = memory.list(keys.pack_key(session, ''))
    kinds = [[keys.code_key(session)], triggers[-2:], packs[-1:]]
    removed = random.choice(random.choice([found for found in kinds if found]))
    memory.forget(removed)
    return removed
