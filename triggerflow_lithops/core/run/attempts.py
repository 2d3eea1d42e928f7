"""
Attempts: whether, when and with how much memory a call that failed runs again.

Pure. A *policy* is a document, ``Retry`` of the public surface in the form in which
it travels. Attempts are counted from 0; a further one is a fact, written before it
is invoked.
"""

import random
from dataclasses import dataclass
from typing import Callable

from .documents import AttemptFact, LaneRest, Policy
from .keys import Call

#: Lost calls are retried, calls that raised are not
DEFAULT: Policy = {
    'retries': 3,
    'on': [],
    'backoff': 1.0,
    'factor': 2.0,
    'max_backoff': 60.0,
    'jitter': 0.5,
    'memory_factor': 2.0,
}


@dataclass(frozen=True)
class Failure:
    """
    How an execution ended, if not with a value.

    :param reason: in one line
    :param kinds: names of the exception's classes, the most derived first, each
        with and without its module. Empty when nothing was raised
    :param lost: its process was killed, or vanished: nothing was raised by the call
    :param out_of_memory: more memory may help
    """

    reason: str
    kinds: tuple[str, ...] = ()
    lost: bool = False
    out_of_memory: bool = False


@dataclass(frozen=True)
class Execution:
    """
    One execution of one attempt of one call, as its worker knows it.

    :param position: where its job was scheduled
    :param number: of the activation that invoked it
    :param memory: MB that it was given, None where the backend has no such thing
    :param redelivered: whether the function service has delivered it before
    :param following: what of its lane follows upon it
    :param seconds: that it has taken
    """

    session: str
    call: Call
    position: int
    number: int
    attempt: int = 0
    policy: Policy | None = None
    memory: int | None = None
    redelivered: bool = False
    following: LaneRest | None = None
    seconds: float = 0.0


def delay(policy: Policy, attempt: int, draw: Callable[[], float] = random.random) -> float:
    """
    Seconds before attempt ``attempt`` (1 is the first retry) may start.

    Exponential, and up to the share ``jitter`` of it less: many that failed together
    do not come back together.

    :param draw: a random number from 0 to 1
    """
    longest = min(float(policy['max_backoff']), float(policy['backoff']) * float(policy['factor']) ** (attempt - 1))
    return longest * (1 - float(policy['jitter']) * draw())


def next_attempt(
    execution: Execution,
    failure: Failure,
    now: float,
    draw: Callable[[], float] = random.random,
) -> AttemptFact | None:
    """
    The attempt that follows upon one that failed, as a fact; None if it was the last.

    :param now: seconds since the epoch
    """
    policy = execution.policy or DEFAULT
    if execution.attempt >= policy['retries']:
        return None
    if not failure.lost and not set(policy['on']) & set(failure.kinds):
        return None
    memory = execution.memory
    if memory and failure.out_of_memory:
        memory = int(memory * policy['memory_factor'])
    number = execution.attempt + 1
    return {
        'attempt': number,
        'after': failure.reason,
        'time': now,
        'due': now + delay(policy, number, draw),
        'runtime_memory': memory,
    }
