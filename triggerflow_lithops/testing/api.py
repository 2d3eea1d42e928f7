"""What tests call: one simulated run, or many of them that have to agree."""

import random
from typing import Any, Callable

from lithops.monitoring.backends.triggerflow.failure import failure_of
from lithops.monitoring.backends.triggerflow.status import ATTEMPT_FIELD

from ..errors import RunDied
from ..triggers.keys import session_of
from ..triggers.loss import LOST
from ..user_code import NO_ARGUMENTS
from .faults import HARD, NONE, SOFT, Faults
from .service import LIMITS
from .simulation import INCARNATION, MOST_PENDING, RUN_ID, Simulated, Simulation, simulating

#: A run with faults makes not so many times the requests of one without, if it ever ends
MORE = 20
#: How many chunks of a job may be under way at one time: any number, or a few
LANES = (0, 0, 1, 3)
#: Share of the runs whose triggers live in a service of their own
ELSEWHERE = 0.2


class LawBroken(AssertionError):
    """A simulated run broke a law, or came to another outcome than without faults."""


def simulate(
    orchestrator: Callable[..., Any],
    args: Any = NO_ARGUMENTS,
    *,
    seed: int = 0,
    faults: Faults = NONE,
    sweeps: bool = True,
    asked: bool = True,
    retry: Any = None,
) -> Simulated:
    """
    Runs an orchestrator in a simulated world: time that passes in ``time.sleep`` is
    skipped, and calls run in this process, as functions.

    :param args: what the orchestrator is called with, as in ``TriggerflowExecutor.run``
    :param seed: decides all that could come out otherwise; the same one, the same run
    :param faults: which are injected, and how often
    :param sweeps: whether somebody sweeps the run now and then, as ``run.result()`` does
    :param asked: whether the function service tells what it has, as the local one does;
        else only deadlines tell what was lost
    :param retry: as in ``TriggerflowExecutor.run``
    :raises LawBroken: something happened that must not, whatever the faults
    """
    with simulating():
        run = Simulation(orchestrator, args, seed, faults, sweeps, asked, retry).run()
    if run.broken:
        raise LawBroken(f'Seed {seed}: {"; ".join(run.broken)}')
    return run


def survive(
    orchestrator: Callable[..., Any],
    args: Any = NO_ARGUMENTS,
    *,
    seeds: int = 100,
    first_seed: int | None = None,
    retry: Any = None,
) -> Simulated:
    """
    Runs an orchestrator once without faults, and then once for each seed with faults.
    It has to come to the same outcome each time.

    :param seeds: how many
    :param first_seed: a random one unless given, so that each time others are tried;
        to repeat a failure, the one that it named
    :return: the run without faults
    :raises LawBroken: a law was broken, or an outcome was another one; it names the seed
    """
    expected = simulate(orchestrator, args, retry=retry)
    first = random.SystemRandom().randrange(10**9) if first_seed is None else first_seed
    with simulating():
        for seed in range(first, first + seeds):
            wrong = try_seed(orchestrator, args, seed, expected, retry)[1]
            if wrong:
                raise LawBroken(f'Seed {seed}: {"; ".join(wrong)}. To repeat it: first_seed={seed}, seeds=1')
    return expected


def try_seed(
    orchestrator: Callable[..., Any],
    args: Any,
    seed: int,
    expected: Simulated,
    retry: Any = None,
    cleaned: float = 0.0,
    cancelled: float = 0.0,
    most_pending: int = MOST_PENDING,
) -> tuple[Simulated, list[str]]:
    """
    One run with the faults that belong to ``seed``: in a quarter of the seeds none,
    in a quarter those that need no sweep, and none is made; in the others all kinds.

    :param cleaned: share of the runs from which something is removed, of those that are swept. They may end as lost
    :param cancelled: share of the runs that are cancelled. Some of these are purged, too
    :param most_pending: how many calls it may have scheduled and not yet waited for
    :return: the run, and what was wrong with it, in words
    """
    chosen = random.Random(seed)
    kind = seed % 4
    faults = NONE if kind == 0 else SOFT.some(chosen) if kind == 1 else HARD.some(chosen)
    most_requests = MORE * (expected.requests.total() + 1000)
    asked = chosen.random() < 0.5
    lanes = chosen.choice(LANES)
    elsewhere = chosen.random() < ELSEWHERE
    removes = chosen.random() < cleaned and kind > 1
    cancels = chosen.random() < cancelled
    run = Simulation(
        *(orchestrator, args, seed, faults, kind > 1, asked, retry, most_requests, lanes, elsewhere),
        cleaned=removes,
        cancelled=cancels,
        most_pending=most_pending,
    ).run()
    wrong = list(run.broken)
    if kind == 0 and not lanes and run.seconds > 2 * expected.seconds + 60:
        wrong.append(f'it took {run.seconds:.0f} s without faults, and before {expected.seconds:.0f} s')
    if run.outcome and not run.seen['purged'] and _words(run) != _words(expected) and not _is_justified(run):
        wrong.append(f'it came to {_words(run)} and not to {_words(expected)}')
    return run, wrong


def _words(run: Simulated) -> str:
    """How a run ended, but for what differs from run to run."""
    try:
        return repr(run.result())
    except RunDied as died:
        return type(died).__name__
    except Exception as error:
        return f'{type(error).__name__}: {error}'


def _is_justified(run: Simulated) -> bool:
    """
    Whether the faults were more than a run can survive: something was removed, activations died in a row, or
    a call was lost at every attempt.
    """
    assert run.outcome
    if run.status in (LOST, 'cancelled'):
        return run.seen['removed' if run.status == LOST else 'cancelled'] > 0
    if run.outcome['status'] == 'failed' and run.outcome['error'][0] == RunDied.__name__:
        # Who stands still for longer than it may live has vanished, too
        return sum(run.faults[fault] for fault in ('killed', 'vanished', 'outage', 'paused')) >= LIMITS.max_deaths
    session = session_of(RUN_ID, INCARNATION)
    retries = {job['job']: job['retry']['retries'] for job in run.jobs()}
    for status in run.events():
        failure = failure_of(status)
        job = f"{status['executor_id'].removeprefix(f'{session}-')}-{status['job_id']}"
        # What a call has made has no second attempt
        if failure and failure.lost and status.get(ATTEMPT_FIELD, 0) >= retries.get(job, 0):
            return True
    return False
