"""What tests call: one simulated run, or many of them that have to agree."""

import pickle
import random
from dataclasses import replace
from typing import Any, Callable

from lithops.monitoring.backends.triggerflow.failure import failure_of
from lithops.monitoring.backends.triggerflow.status import ATTEMPT_FIELD

from ..core.limits import WrongTypeError
from ..core.outcome import LOST
from ..core.run.keys import JOBS, attempts_prefix, session_of
from ..core.store import decode
from ..core.wording import shown
from ..errors import RunDied, TriggerflowError
from ..orchestrator.user_code import NO_ARGUMENTS
from .faults import HARD, NONE, SOFT, Faults
from .function_service import LIMITS
from .simulation import INCARNATION, MOST_PENDING, MOST_REQUESTS, RUN_ID, Simulated, Simulation, simulating

#: A run with faults makes not so many times the requests of one without, if it ever ends
MORE = 20
#: How many chunks of a job may be under way at one time: any number, or a few
LANES = (0, 0, 1, 3)
#: Share of the runs whose triggers live in a service of their own
ELSEWHERE = 0.2
#: Share of the runs without faults that are swept all the same: a sweep has nothing to do there
SWEPT = 0.3
#: Share of the runs without a sweep in which processes are killed, and the function service reports it
REPORTED = 0.5


class LawBroken(TriggerflowError, AssertionError):
    """A simulated run broke a law, or came to another outcome than without faults."""


def simulate(
    orchestrator: Callable[..., Any],
    args: Any = NO_ARGUMENTS,
    *,
    seed: int = 0,
    faults: Faults = NONE,
    sweeps: bool = True,
    reports_in_flight: bool = True,
    retry: Any = None,
) -> Simulated:
    """
    Runs an orchestrator in a simulated world: time that passes in ``time.sleep`` is
    skipped, and calls run in this process, as functions.

    :param args: what the orchestrator is called with, as in ``TriggerflowExecutor.run``
    :param seed: decides all that could come out otherwise; the same one, the same run
    :param faults: which are injected, and how often
    :param sweeps: whether somebody sweeps the run now and then, as ``run.result()`` does
    :param reports_in_flight: whether the function service tells what it has, as the local one does;
        else only deadlines tell what was lost
    :param retry: as in ``TriggerflowExecutor.run``
    :raises LawBroken: something happened that must not, whatever the faults
    """
    _require_whole('seed', seed)
    if not isinstance(faults, Faults):
        raise WrongTypeError(f"'faults' is a Faults, such as Faults(killed=0.01); found {shown(faults)}.")
    with simulating():
        run = Simulation(orchestrator, args, seed, faults, sweeps, reports_in_flight, retry).run()
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
    _require_whole('seeds', seeds, least=1)
    if first_seed is not None:
        _require_whole('first_seed', first_seed)
    expected = simulate(orchestrator, args, retry=retry)
    first = random.SystemRandom().randrange(10**9) if first_seed is None else first_seed
    with simulating():
        for seed in range(first, first + seeds):
            wrong = try_seed(orchestrator, args, seed, expected, retry)[1]
            if wrong:
                raise LawBroken(f'Seed {seed}: {"; ".join(wrong)}. To repeat it: first_seed={seed}, seeds=1')
    return expected


def _require_whole(name: str, value: object, least: int | None = None) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongTypeError(f"'{name}' is a whole number; found {shown(value)}, a {type(value).__name__}.")
    if least is not None and value < least:
        raise ValueError(f"'{name}' is a whole number, {least} or more; found {shown(value)}.")


def try_seed(
    orchestrator: Callable[..., Any],
    args: Any,
    seed: int,
    expected: Simulated,
    retry: Any = None,
    cleaned: float = 0.0,
    cancelled: float = 0.0,
    most_pending: int = MOST_PENDING,
    ours: bool = False,
) -> tuple[Simulated, list[str]]:
    """
    One run with the faults that belong to ``seed``: in a quarter of the seeds none,
    in a quarter those that need no sweep, and none is made; in the others all kinds.

    :param cleaned: share of the runs from which something is removed, of those that are swept. They may end as lost
    :param cancelled: share of the runs that are cancelled. Some of these are purged, too
    :param most_pending: how many calls it may have scheduled and not yet waited for
    :param ours: whether it is one of the corpus, of which it is known what it may cost, and how long it may take
    :return: the run, and what was wrong with it, in words
    """
    chosen = random.Random(seed)
    kind = seed % 4
    faults = NONE if kind == 0 else SOFT.some(chosen) if kind == 1 else HARD.some(chosen)
    most_requests = MORE * (expected.requests.total() + 1000) if ours else MOST_REQUESTS
    reports_in_flight = chosen.random() < 0.5
    lanes = chosen.choice(LANES)
    elsewhere = chosen.random() < ELSEWHERE
    removes = chosen.random() < cleaned and kind > 1
    if kind == 1 and not elsewhere and chosen.random() < REPORTED:
        # What the function service reports goes on without a sweep, but for lanes
        faults, reports_in_flight, lanes = replace(faults, killed=HARD.killed, out_of_memory=HARD.out_of_memory), True, 0
    sweeps = kind > 1 or (kind == 0 and chosen.random() < SWEPT)
    cancels = chosen.random() < cancelled
    run = Simulation(
        *(orchestrator, args, seed, faults, sweeps, reports_in_flight, retry, most_requests, lanes, elsewhere),
        cleaned=removes,
        cancelled=cancels,
        most_pending=most_pending,
        costs=ours,
    ).run()
    wrong = list(run.broken)
    if ours and kind == 0 and not lanes and run.seconds > 2 * expected.seconds + 60:
        wrong.append(f'it took {run.seconds:.0f} s without faults, and before {expected.seconds:.0f} s')
    if run.outcome and not run.seen['purged'] and not _agree(run, expected) and not _is_justified(run):
        wrong.append(f'it came to {_words(run)} and not to {_words(expected)}')
    return run, wrong


def _agree(run: Simulated, expected: Simulated) -> bool:
    """Whether two runs ended in the same way."""
    if _words(run) == _words(expected):
        return True
    # Objects that say where in memory they are differ in words only
    return run.status == expected.status == 'completed' and _pickled(run) == _pickled(expected)


def _pickled(run: Simulated) -> bytes:
    # Twice: what parts of a value shared where it was made is shared in each of them then
    return pickle.dumps(pickle.loads(pickle.dumps(run.result())))


def _has_called(run: Simulated, job: str, call_id: str) -> bool:
    """Whether a call has called others."""
    return bool(run.memory.list(f'{JOBS}/{session_of(RUN_ID, INCARNATION)}-{job}-{call_id}-'))


def _words(run: Simulated) -> str:
    """How a run ended, but for what differs from run to run."""
    try:
        return repr(run.result())
    except RunDied as died:
        return type(died).__name__
    except BaseException as error:
        # An orchestrator may end with SystemExit
        return f'{type(error).__name__}: {error}'


def _is_justified(run: Simulated) -> bool:
    """
    Whether the faults were more than a run can survive: something was removed, activations died in a row, or
    a call had no attempt left, and one of them was lost.
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
        job = f'{status["executor_id"].removeprefix(f"{session}-")}-{status["job_id"]}'
        timed_out = failure and run.faults.total() and 'builtins.TimeoutError' in failure.kinds
        if timed_out and _has_called(run, job, status['call_id']):
            # It waited for what it had called
            return True
        # What a call has made has no second attempt
        is_last = status.get(ATTEMPT_FIELD, 0) >= retries.get(job, 0)
        if failure and is_last and (failure.lost or _was_lost(run, job, status['call_id'])):
            return True
    return False


def _was_lost(run: Simulated, job: str, call_id: str) -> bool:
    """Whether an attempt of a call was lost, so that it had fewer of them to raise in."""
    prefix = f'{attempts_prefix(session_of(RUN_ID, INCARNATION), job)}{call_id}.'
    found = (decode(run.memory.get(key) or b'{}') for key in run.memory.list(prefix))
    return any(' was killed' in attempt.get('after', '') or 'It vanished' in attempt.get('after', '') for attempt in found)
