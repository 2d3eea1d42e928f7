"""A run that has ended soon does nothing more, and one that runs away is bounded."""

import os
import time

import lithops
import pytest
import whole

from triggerflow_lithops import TooManyPendingCalls, TriggerflowExecutor
from triggerflow_lithops.core.run import keys
from triggerflow_lithops.core.run.attempts import Execution, Failure
from triggerflow_lithops.core.run.ended import ENDED, PURGED, how_over
from triggerflow_lithops.core.run.engine import LONG, Engine
from triggerflow_lithops.core.run.keys import Call
from triggerflow_lithops.core.store import encode
from triggerflow_lithops.replay.lookout import CALLS, SECONDS, STEPS, Lookout


def identity(x):
    return x


def calls_for_ever(folder):
    """Calls, and never waits."""
    fexec = lithops.FunctionExecutor()
    number = 0
    while True:
        open(os.path.join(folder, str(number)), 'w').close()
        fexec.map(identity, range(3))
        number += 1


def until(holds, timeout=60):
    deadline = time.monotonic() + timeout
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def steps_of(folder):
    return len(os.listdir(folder))


def facts_of(run):
    return len(run._facts.list(keys.facts_prefix(run.session)))


@pytest.fixture
def running(executor, tmp_path):
    """A run that calls for ever, and the folder in which it notes its steps."""
    run = executor.run(calls_for_ever, str(tmp_path))
    until(lambda: steps_of(tmp_path) > 2 * STEPS)
    yield run, tmp_path
    if run._facts.read(keys.run_key(run.run_id)):
        run.cancel()
        run.purge()


def test_an_orchestrator_that_calls_for_ever_ends_within_a_few_steps_of_its_cancellation(running):
    run, folder = running
    run.cancel()
    steps = steps_of(folder)
    until(lambda: not _held(run))
    assert steps_of(folder) <= steps + STEPS + 1


def test_one_that_is_purged_while_it_calls_leaves_nothing(running):
    run, _ = running
    run.cancel()
    run.purge()
    until(lambda: not _held(run))
    # What was written before anybody could know is removed when nothing of the run is under way any more
    until(lambda: not [key for prefix in (keys.JOBS, keys.RUNS) for key in run._facts.list(f'{prefix}/{run.run_id}')])


def _held(run):
    from lithops.monitoring.backends.triggerflow.local_service import in_flight_at_any_service

    return in_flight_at_any_service(run._config['triggerflow']['service'], run.session)


def bounded(config, calls):
    return TriggerflowExecutor(config={**config, 'triggerflow': {'idle_seconds': 2, 'max_pending_calls': calls}}, log_level=None)


def test_a_run_that_calls_and_never_waits_fails_and_its_code_cannot_catch_that(config, tmp_path):
    few = bounded(config, 10)

    def main():
        fexec = lithops.FunctionExecutor()
        try:
            while True:
                fexec.map(identity, range(3))
        except BaseException:
            return 'caught'

    run = few.run(main)
    with pytest.raises(TooManyPendingCalls, match=r'12 calls .* not yet waited for; 10 is the most') as found:
        run.result(timeout=60)
    assert (found.value.pending, found.value.most, found.value.run_id) == (12, 10, run.run_id)
    assert facts_of(run) == 3


def test_calls_that_were_waited_for_are_not_pending(config):
    few = bounded(config, 4)

    def main():
        fexec = lithops.FunctionExecutor()
        return [sum(fexec.get_result(fexec.map(identity, range(4)))) for _ in range(3)]

    assert few.run(main).result(timeout=60) == [6, 6, 6]


@pytest.mark.parametrize('found', [0, -1, 1.5, True, 'many', float('nan')])
def test_a_bound_that_is_no_number_of_calls_is_refused(config, found):
    with pytest.raises(ValueError, match='max_pending_calls'):
        TriggerflowExecutor(config={**config, 'triggerflow': {'max_pending_calls': found}}, log_level=None)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Counted:
    """Counts what is read of a bucket."""

    def __init__(self, facts):
        self._facts, self.reads = facts, 0

    def read(self, key, *kind):
        self.reads += 1
        return self._facts.read(key, *kind)

    def has(self, key):
        self.reads += 1
        return self._facts.has(key)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lookout(bucket, clock):
    found = Lookout(Counted(bucket), 's', clock)
    found.bucket = bucket
    return found


def cancel(bucket):
    bucket.create(keys.outcome_key('s'), {'status': 'cancelled', 'time': 0.0})


def test_an_activation_of_few_steps_never_looks_whether_its_run_has_ended(lookout):
    cancel(lookout.bucket)
    assert [lookout.how_over(1) for _ in range(STEPS)] == [None] * STEPS and not lookout._facts.reads


def test_after_some_steps_it_looks_once_and_not_again_for_some(lookout):
    for _ in range(2 * STEPS):
        assert lookout.how_over(0) is None
    assert lookout._facts.reads == 2


@pytest.mark.parametrize('before', ['steps', 'calls', 'seconds'])
def test_it_looks_after_some_steps_or_calls_or_seconds(lookout, clock, before):
    cancel(lookout.bucket)
    if before == 'steps':
        assert not any(lookout.how_over(0) for _ in range(STEPS))
    elif before == 'calls':
        assert lookout.how_over(CALLS) is None
    else:
        clock.now += SECONDS
    assert lookout.how_over(1) == ENDED


def test_a_run_that_was_purged_and_started_anew_is_over_for_what_is_left_of_it(bucket):
    assert how_over(bucket, 's') is None
    bucket.store.delete([keys.run_key('')])
    bucket.create(keys.run_key(''), whole.run('', 'another', 'code'))
    assert how_over(bucket, 's') == PURGED


CALL = Call('0-A000', 0)


def report(bucket, failure, seconds):
    engine = Engine(bucket, lambda action: None)
    engine.report(Execution('s', CALL, 0, 0, policy={'retries': 0}, seconds=seconds), encode({}), failure, 0.0)
    return bucket.list('triggerflow')


@pytest.mark.parametrize(('failure', 'seconds'), [(Failure('no function'), 0.1), (None, LONG)])
def test_a_call_that_failed_or_took_long_leaves_nothing_in_a_run_that_was_purged_meanwhile(bucket, failure, seconds):
    bucket.store.delete(bucket.list('triggerflow'))
    assert report(bucket, failure, seconds) == []


def test_it_leaves_its_event_in_a_run_that_goes_on(bucket):
    assert keys.event_key('s', CALL) in report(bucket, Failure('no function'), LONG)
