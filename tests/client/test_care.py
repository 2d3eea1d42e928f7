"""Who looks at a run that has not ended takes part in its care, however brief the look is."""

import contextlib
import os
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import psutil
import pytest
import whole
import yaml
from disk import below
from lithops.monitoring.backends.triggerflow.compute import InvocationNotAccepted

from triggerflow_lithops import Run, TriggerflowExecutor, sleep
from triggerflow_lithops.client import care
from triggerflow_lithops.client.care import MOST, SWEEP, YOUNG, Care
from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.run import keys
from triggerflow_lithops.core.store import Facts
from triggerflow_lithops.orchestrator import start_run

CONFIG = {'lithops': {'backend': 'localhost', 'storage': 'localhost'}, 'triggerflow': {'idle_seconds': 2}}


# When a share is due


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def carer(clock):
    return Care(clock)


class Sweep:
    """Counts, and may be held up."""

    def __init__(self, held=False):
        self.times, self.begun, self.goes_on = 0, threading.Event(), threading.Event()
        if not held:
            self.goes_on.set()

    def __call__(self):
        self.times += 1
        self.begun.set()
        assert self.goes_on.wait(30)


def test_looks_that_are_short_make_as_many_sweeps_as_one_that_is_long(carer, clock):
    sweep = Sweep()
    carer.began('run')
    for _ in range(100):
        clock.now += 0.2
        carer.take('run', sweep)
        carer.finish()
    assert sweep.times == 100 * 0.2 // SWEEP - 1 or sweep.times == 100 * 0.2 // SWEEP


def test_the_first_look_of_a_process_does_its_share_at_once(carer):
    sweep, first = Sweep(), Sweep()
    carer.take('run', sweep)
    carer.take('local', sweep, first)
    carer.finish()
    assert (sweep.times, first.times) == (1, 1)


def test_after_the_bell_comes_a_sweep(carer, clock):
    sweep, first = Sweep(), Sweep()
    for _ in range(3):
        carer.take('run', sweep, first)
        carer.finish()
        clock.now += SWEEP
    assert (sweep.times, first.times) == (2, 1)


@pytest.mark.parametrize(('age', 'times'), [(0.5, 0), (1.5, 1), (-7200.0, 1)])
def test_a_run_that_was_just_started_needs_none_whatever_a_clock_says_that_is_behind(carer, age, times):
    sweep = Sweep()
    carer.take('run', sweep, age=age)
    carer.finish()
    assert sweep.times == times


def test_a_sweep_that_is_under_way_is_not_begun_again_and_keeps_nobody_waiting(carer, clock):
    sweep = Sweep(held=True)
    for _ in range(3):
        carer.take('run', sweep)
        clock.now += SWEEP
    assert sweep.begun.wait(30) and sweep.times == 1
    sweep.goes_on.set()


def test_of_many_runs_a_few_are_swept_at_a_time_and_the_others_at_the_next_look(carer):
    sweep = Sweep(held=True)
    for number in range(3 * MOST):
        carer.take(f'run-{number}', sweep)
    sweep.goes_on.set()
    carer.finish()
    assert sweep.times == MOST
    carer.take(f'run-{3 * MOST - 1}', sweep)
    carer.finish()
    assert sweep.times == MOST + 1


def test_a_sweep_that_fails_is_told_and_the_next_one_comes_through(carer, clock, caplog):
    def failing():
        raise OSError('no route')

    sweep = Sweep()
    carer.take('run', failing)
    carer.finish()
    clock.now += SWEEP
    carer.take('run', sweep)
    carer.finish()
    assert 'A sweep failed: OSError: no route' in caplog.text and sweep.times == 1


@pytest.mark.parametrize('over', [lambda carer: carer.is_over('run'), lambda carer: carer.leave()], ids=['ended', 'interrupted'])
def test_a_process_does_not_stay_for_a_sweep_that_nobody_needs(carer, over):
    sweep = Sweep(held=True)
    carer.take('run', sweep)
    over(carer)
    carer.finish(patience=30)
    assert not sweep.goes_on.is_set()
    sweep.goes_on.set()


def test_a_process_that_looks_once_stays_until_its_sweep_is_over():
    code = """
        import threading
        from triggerflow_lithops.client.care import care
        on = threading.Event()
        threading.Timer(0.3, on.set).start()
        care.take('run', lambda: on.wait(30) and print('swept', flush=True))
        print('looked', flush=True)
    """
    said = subprocess.run([sys.executable, '-c', textwrap.dedent(code)], capture_output=True, text=True, timeout=60)
    assert said.stdout.split() == ['looked', 'swept'], said.stderr


# Who looks


class Swept(Run):
    """A run of which sweeps are counted."""

    def sweep(self):
        self.document['sweeps'].append(threading.current_thread().name)
        return []


def in_vain(wait, *args, **named):
    with pytest.raises(TimeoutError):
        wait(*args, **named)


LOOKS = {
    'status': lambda run: run.status(),
    'wait': lambda run: in_vain(run.wait, 0),
    'result': lambda run: in_vain(run.result, timeout=0),
    'history': lambda run: run.history(),
    'activations': lambda run: run.activations(),
}


def stored(facts, run_id, kind=Run, backend='localhost', service=''):
    """A run that was started long ago and has not ended, in a bucket."""
    document = whole.run(run_id, os.urandom(4).hex(), 'code')
    facts.create(keys.run_key(run_id), document)
    config = {'lithops': {'backend': backend, 'storage': 'localhost'}, 'triggerflow': {'service': service}, 'localhost': {}}
    return kind({**config, 'localhost': {'storage_bucket': 'mine'}}, facts, {**document, 'sweeps': []})


@pytest.fixture
def bell(tmp_path):
    """The service's bell, with somebody who listens: gives whether it was rung."""
    os.mkfifo(tmp_path / 'bell')
    listening = os.open(tmp_path / 'bell', os.O_RDWR | os.O_NONBLOCK)

    def was_rung():
        try:
            return len(os.read(listening, 100))
        except BlockingIOError:
            return 0

    yield was_rung
    os.close(listening)


@pytest.mark.parametrize('look', LOOKS)
def test_any_look_of_a_new_process_rings_the_bell_of_the_local_service(look, bell, tmp_path):
    run = stored(Facts(MemoryStore()), 'run-7', service=str(tmp_path))
    LOOKS[look](run)
    assert bell() == 1
    LOOKS[look](run)
    assert bell() == 0


@pytest.mark.parametrize('look', LOOKS)
def test_any_look_of_a_new_process_begins_a_sweep_in_a_cloud_beside_itself(look):
    run = stored(Facts(MemoryStore()), 'run-7', Swept, backend='openwhisk')
    LOOKS[look](run)
    LOOKS[look](run)
    care.care.finish()
    assert run.document['sweeps'] == ['sweep']


def test_a_list_of_runs_rings_once_for_all_that_have_not_ended(bell, tmp_path):
    tf = TriggerflowExecutor(config=CONFIG, log_level=None)
    tf.facts = Facts(MemoryStore())
    tf.config['triggerflow']['service'] = str(tmp_path)
    runs = [stored(tf.facts, f'run-{number}') for number in range(5)]
    assert len(tf.list_runs()) == 5 and bell() == 1
    for run in runs:
        tf.facts.create(keys.outcome_key(run.session), {'status': 'cancelled', 'time': 0.0})
    care.care.is_over(str(tmp_path))
    assert len(tf.list_runs()) == 5 and bell() == 0


def test_a_look_at_a_run_that_has_ended_rings_nobody(bell, tmp_path):
    run = stored(Facts(MemoryStore()), 'run-7', service=str(tmp_path))
    run._facts.create(keys.outcome_key(run.session), {'status': 'cancelled', 'time': 0.0})
    assert run.status() == run.wait(0) == 'cancelled' and run.history() and not run.activations() and not bell()


def test_a_status_costs_two_requests_however_long_nobody_has_swept():
    class Counting(MemoryStore):
        requests = 0

        def get(self, key):
            self.requests += 1
            return super().get(key)

    store = Counting()
    run = stored(Facts(store), 'run-7', Swept, backend='openwhisk')
    assert run.status() == 'running' and store.requests == 2


# A service that was killed


def kill_service(folder):
    """Kills the service of a folder, and what may be about to follow it, once nothing of activation 0 is left."""
    log = Path(folder) / 'processes.jsonl'
    until(lambda: log.exists() and '"activation"' in log.read_text())
    while found := [process for process in psutil.process_iter(['cmdline']) if str(folder) in (process.info['cmdline'] or ())]:
        for process in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=30)


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'it never came true'
        time.sleep(0.02)


@pytest.mark.parametrize('accepted', [True, False])
def test_only_a_run_that_was_accepted_counts_as_begun(executor, monkeypatch, accepted):
    """A run that the function service had no room for is begun by the first look at it, which must not be put off."""

    def refuse(action):
        raise InvocationNotAccepted('there is no room')

    if not accepted:
        monkeypatch.setattr(start_run, 'starter', lambda *_: refuse)
    run = executor.run(sleep, 60)
    assert care.care.is_due(run.session) is not accepted
    run.cancel()


def asleep():
    sleep(2)
    return 'awake'


def test_a_loop_of_short_waits_ends_though_the_service_was_killed():
    tf = TriggerflowExecutor(config=CONFIG, log_level=None)
    tf.config['triggerflow']['service'] += '-short'
    run = tf.run(asleep)
    kill_service(tf.config['triggerflow']['service'])
    looked, deadline = 0, time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            assert run.result(timeout=0.2) == 'awake'
            break
        except TimeoutError:
            looked += 1
    assert looked > 1 and run.status() == 'completed'


START = """
    from triggerflow_lithops import TriggerflowExecutor, sleep

    def main():
        sleep(4)
        return 'awake'

    TriggerflowExecutor(config_file='config.yaml', log_level=None).run(main, run_id='asleep')
"""
LOOP = """
    import time
    from triggerflow_lithops import TriggerflowExecutor
    deadline = time.monotonic() + 60
    while (found := TriggerflowExecutor(config_file='config.yaml', log_level=None).get_run('asleep').status()) == 'running':
        assert time.monotonic() < deadline
        time.sleep(0.05)
    print(found)
"""


@pytest.fixture
def left_alone(tmp_path):
    """A run that sleeps, in a temporary folder of its own, whose service was killed: gives what runs programs there."""
    environment = {**os.environ, 'TMPDIR': str(tmp_path / 't'), 'HOME': str(tmp_path)}
    (tmp_path / 't').mkdir()
    (tmp_path / 'config.yaml').write_text(yaml.dump(CONFIG))

    def run(*command):
        said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90)
        assert not said.returncode, said.stderr
        return said.stdout

    run.is_there = lambda name: any(path.match(name) for path in below(tmp_path / 't'))
    run(sys.executable, '-c', textwrap.dedent(START))
    (lock,) = (tmp_path / 't').rglob('service-*/lock')
    kill_service(lock.parent)
    (document,) = (tmp_path / 't').rglob('run.json')
    until(lambda: time.time() - document.stat().st_mtime > YOUNG)
    return run


def test_a_loop_of_status_of_a_new_process_comes_to_the_end_though_the_service_was_killed(left_alone):
    assert left_alone(sys.executable, '-c', textwrap.dedent(LOOP)) == 'completed\n'


def test_a_command_that_looks_is_enough_for_the_run_to_go_on_though_the_service_was_killed(left_alone):
    command = (str(Path(sys.executable).with_name('triggerflow-lithops')), 'status', 'asleep', '-c', 'config.yaml')
    assert 'running' in left_alone(*command)
    until(lambda: left_alone.is_there('*.outcome.json'))
    assert 'completed' in left_alone(*command)
