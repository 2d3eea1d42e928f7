"""The local function service: it keeps what it accepted, and goes away by itself."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import lithops
import pytest
from lithops.monitoring.backends.triggerflow.local_service import LocalService

from triggerflow_lithops import ConfigurationError, Retry, TriggerflowExecutor
from triggerflow_lithops.core.run.keys import outcome_key, trigger_key
from triggerflow_lithops.local_service import service
from triggerflow_lithops.local_service.service import processes_log


def add3(x):
    return x + 3


def after(seconds, value):
    time.sleep(seconds)
    return value


def begins_and_stays(marker):
    Path(marker).touch()
    time.sleep(300)


def waits(marker):
    return lithops.FunctionExecutor().call_async(begins_and_stays, marker).result()


def main():
    fexec = lithops.FunctionExecutor()
    value = fexec.get_result(fexec.call_async(after, (1, 0)))
    return fexec.get_result(fexec.call_async(after, (1, value + 3)))


# Looked up in the bucket: unlike ``run.status()`` and ``run.history()``, these take no part in the care for the run


def has_suspended(run):
    return run._facts.read(trigger_key(run.session, 0)) is not None


def has_ended(run):
    return run._facts.read(outcome_key(run.session)) is not None


def until(condition, seconds=90):
    """Waits until ``condition()`` is true, and gives what it was."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, 'it never came true'
        time.sleep(0.1)
    return found


def processes(text):
    """Ids of processes whose command line has ``text`` in it."""
    found = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            if text in path.read_bytes().decode().replace('\0', ' '):
                found.append(int(path.parent.name))
        except OSError:
            pass
    return found


@pytest.fixture
def apart(config):
    """An executor whose service is its own, for tests that kill it."""
    tf = TriggerflowExecutor(config={**config, 'triggerflow': {'idle_seconds': 1}}, log_level=None)
    tf.config['triggerflow']['service'] += '-apart'
    yield tf
    folder = tf.config['triggerflow']['service']
    until(lambda: not processes(f'{folder}'), 60)


def service_of(tf):
    """Its process, and no process that it forked."""
    found = processes(f'triggerflow_lithops.local_service {tf.config["triggerflow"]["service"]}')
    return [pid for pid in found if parent_of(pid) not in (None, *found)]


def kill(found):
    for pid in found:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGKILL)


def parent_of(pid):
    """None if the process has ended meanwhile."""
    try:
        return int(Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()[1])
    except OSError:
        return None


def test_no_process_is_left_after_its_idle_time(apart):
    apart.run(main).result(timeout=90)
    assert service_of(apart)
    until(lambda: not processes(apart.config['triggerflow']['service']))


def test_a_service_that_ended_starts_again_when_it_is_needed(apart):
    assert apart.run(main).result(timeout=90) == 3
    until(lambda: not processes(apart.config['triggerflow']['service']))
    assert apart.run(main).result(timeout=90) == 3


def test_a_bell_that_was_cleaned_away_comes_back_and_starts_no_second_service(apart):
    run = apart.run(main)
    until(lambda: any(event['type'].endswith('suspended') for event in run.history()))
    os.unlink(LocalService(apart.config['triggerflow']['service']).bell)
    assert run.result(timeout=90) == 3
    until(lambda: len(service_of(apart)) <= 1)


def test_a_service_that_cannot_note_what_it_does_goes_on(apart):
    folder = Path(apart.config['triggerflow']['service'])
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(processes_log(str(folder)))
    assert apart.run(main).result(timeout=90) == 3
    until(lambda: not processes(str(folder)))
    shutil.rmtree(folder)


def test_what_runs_ends_when_the_folder_of_its_service_is_gone(apart, tmp_path):
    folder = apart.config['triggerflow']['service']
    apart.run(waits, str(tmp_path / 'begun'))
    until((tmp_path / 'begun').exists)
    # The service, the handler of the call, and its process: nobody rings for another service
    until(lambda: len(processes(folder)) == 3)
    # At once: a service that notes something meanwhile would make it anew
    os.rename(folder, tmp_path / 'gone')
    until(lambda: not processes(folder))


def test_a_service_that_is_killed_goes_on_where_it_was(apart):
    run = apart.run(main)
    until(lambda: any('0-A000' in event['subject'].replace('/', '-') for event in run.history()))
    kill(service_of(apart))
    assert run.result(timeout=120) == 3


def test_everything_killed_at_once_goes_on_after_one_sweep(apart):
    run = apart.run(main)
    until(lambda: has_suspended(run))
    kill(processes(apart.config['triggerflow']['service']))
    run.sweep()
    until(lambda: has_ended(run))
    assert run.result() == 3


def test_a_call_whose_handler_is_killed_is_run_again(apart, tmp_path):
    seen = str(tmp_path / 'seen')

    def kill_handler_once(x):
        with open(seen, 'a') as file:
            file.write('x')
        if os.path.getsize(seen) == 1:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(3)
        return x

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.call_async(kill_handler_once, 5))

    assert apart.run(orchestrator).result(timeout=90) == 5


def test_a_call_whose_handler_is_killed_at_every_attempt_is_an_exception(apart):
    def kill_handler(x):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(1)

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        try:
            futures = fexec.map(kill_handler, [5, 6])
            # Both of them, to their last attempt
            fexec.wait(futures, throw_except=False)
            return fexec.get_result(futures)
        except RuntimeError as error:
            return str(error)

    run = apart.run(orchestrator, retry=Retry(retries=2, backoff=0.1))
    assert 'was killed by SIGKILL' in run.result(timeout=90)
    failed = [event for event in run.history() if event['type'].endswith('attempt.failed')]
    assert sorted(event['data']['attempt'] for event in failed) == [0, 0, 1, 1]


def test_a_call_whose_end_cannot_be_reported_is_delivered_again(apart, tmp_path):
    seen = str(tmp_path / 'seen')

    def spoil_the_bucket_once(x):
        from lithops.constants import LITHOPS_TEMP_DIR

        with open(seen, 'a') as file:
            file.write('x')
        folder = os.path.join(LITHOPS_TEMP_DIR, 'storage', 'triggerflow.jobs', f'{x}-0-A000', '00000')
        if os.path.getsize(seen) == 1:
            # A file where the event's folder has to be: no write succeeds
            open(folder, 'w').close()
        else:
            os.unlink(folder)
        return 'reported'

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.call_async(spoil_the_bucket_once, fexec.executor_id[:-2]))

    assert apart.run(orchestrator).result(timeout=60) == 'reported'


def test_an_orchestrator_whose_handler_is_killed_is_succeeded(apart, tmp_path):
    seen = str(tmp_path / 'seen')

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        value = fexec.get_result(fexec.call_async(add3, 0))
        with open(seen, 'a') as file:
            file.write('x')
        if os.path.getsize(seen) == 1:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(3)
        return fexec.get_result(fexec.call_async(add3, value))

    assert apart.run(orchestrator).result(timeout=90) == 6


def test_what_is_done_is_not_on_disk_any_more(apart):
    apart.run(main).result(timeout=90)
    until(lambda: not os.listdir(LocalService(apart.config['triggerflow']['service']).queue))


def test_a_service_that_stands_still_is_replaced(apart):
    """It has its bell, and answers nobody: a process that was stopped, or that waits for a lock."""
    assert apart.run(main).result(timeout=90) == 3
    # For a moment there may be one more, which ends as soon as it sees that there is one
    [pid] = until(lambda: len(found := service_of(apart)) == 1 and found)
    os.kill(pid, signal.SIGSTOP)
    assert apart.run(main).result(timeout=120) == 3
    assert service_of(apart) != [pid]
    assert f'pid {pid}, has not answered' in Path(apart.config['triggerflow']['service'], 'service.log').read_text()


#: Holds the lock of a service, has no bell, and is at work for some time
BUSY = """
import fcntl, os, sys, time
with open(sys.argv[1], 'a+') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    lock.write(str(os.getpid()))
    lock.flush()
    print('locked', flush=True)
    until = time.monotonic() + 3
    while time.monotonic() < until:
        pass
"""


def test_a_service_that_is_slow_and_at_work_is_not_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(service, 'DEAF', (0.2, 60.0))
    command = [sys.executable, '-c', BUSY, str(tmp_path / 'lock')]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as busy, open(tmp_path / 'lock', 'a+') as lock:
        assert busy.stdout.readline() == 'locked\n'
        assert service._locked(lock, str(tmp_path))
    assert busy.returncode == 0


#: A service on a machine that has no room for a process, three times
NO_ROOM = """
import errno, os, sys
from triggerflow_lithops.local_service import service
fork, tries = os.fork, []

def fails_three_times():
    tries.append(None)
    if len(tries) <= 3:
        raise OSError(errno.EAGAIN, 'Resource temporarily unavailable')
    return fork()

os.fork = fails_three_times
service.serve(sys.argv[1])
"""


def test_a_service_that_cannot_start_a_process_tries_again(apart, tmp_path):
    folder = apart.config['triggerflow']['service']
    until(lambda: not processes(folder))
    command = [sys.executable, '-c', NO_ROOM, folder]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as served:
        until(lambda: LocalService(folder).is_listening())
        assert apart.run(main).result(timeout=90) == 3
        assert served.stderr.read().count('Could not start a process') == 3
    assert served.returncode == 0


def test_every_process_is_noted_with_its_life(apart):
    run = apart.run(main)
    run.result(timeout=90)
    log = Path(processes_log(apart.config['triggerflow']['service']))

    def lines():
        return [line for line in map(json.loads, log.read_text().splitlines()) if line['session'] == run.session]

    ours = until(lambda: len(lines()) == 5 and lines())
    assert sorted(line['subject'] for line in ours) == ['activation'] * 3 + ['call'] * 2
    assert all(line['started'] < line['ended'] and line['code'] == 0 for line in ours)


def test_no_more_calls_than_processes_run_at_once(config):
    def orchestrator():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(after, [(0.3, x) for x in range(6)]))

    config = {**config, 'localhost': {'worker_processes': 2}}
    tf = TriggerflowExecutor(config=config, log_level=None)
    tf.config['triggerflow']['service'] += '-two'
    run = tf.run(orchestrator)
    run.result(timeout=60)
    spans = [event['data'] for event in run.history() if '.termination.' in event['type']]
    begun = [sum(o['worker_start_tstamp'] <= s['worker_start_tstamp'] < o['worker_end_tstamp'] for o in spans) for s in spans]
    assert max(begun) == 2


def test_nothing_of_the_clients_environment_reaches_a_run(apart, monkeypatch):
    monkeypatch.setenv('__LITHOPS_SESSION_ID', 'of-the-client')
    monkeypatch.setenv('__LITHOPS_TOTAL_EXECUTORS', '7')
    monkeypatch.setenv('PYTHONHASHSEED', '5')

    def orchestrator():
        return lithops.FunctionExecutor().executor_id, os.environ.get('PYTHONHASHSEED')

    run = apart.run(orchestrator)
    assert run.result(timeout=90) == (f'{run.session}-0', None)


def long_at_first(marker, value):
    if not os.path.exists(marker):
        Path(marker).touch()
        time.sleep(60)
    return value


def test_what_vanished_is_found_by_the_service_and_runs_again(apart, tmp_path):
    """Nobody waits, and nobody sweeps but the service itself."""

    def orchestrator():
        return lithops.FunctionExecutor().call_async(long_at_first, (str(tmp_path / 'begun'), 3)).result()

    run = apart.run(orchestrator, retry=Retry(backoff=0.1))
    folder = apart.config['triggerflow']['service']
    until(lambda: has_suspended(run) and os.listdir(tmp_path))
    # Both the call and all that is known of it: as if its machine had gone up in smoke
    for name in os.listdir(LocalService(folder).queue):
        os.unlink(os.path.join(LocalService(folder).queue, name))
    kill(processes(folder))
    LocalService(folder).ensure_running()
    until(lambda: has_ended(run))
    assert run.result() == 3
    reasons = [event['data']['reason'] for event in run.history() if event['type'].endswith('attempt.failed')]
    assert len(reasons) == 1 and 'vanished' in reasons[0]


def test_a_service_whose_temporary_folder_python_did_not_take_finds_the_bucket_all_the_same(apart, tmp_path):
    folder = apart.config['triggerflow']['service']
    command = [sys.executable, '-m', 'triggerflow_lithops.local_service', folder]
    os.makedirs(folder, exist_ok=True)
    served = subprocess.Popen(command, env={**os.environ, 'TMPDIR': str(tmp_path)})
    run = apart.run(main)
    assert run.result(timeout=60) == 3
    assert served.wait(timeout=60) == 0


def test_a_service_of_another_user_ends(tmp_path):
    command = [sys.executable, '-m', 'triggerflow_lithops.local_service', str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert 'would look for buckets in' in ended.stderr and not os.listdir(tmp_path)


def test_a_client_whose_temporary_folder_python_did_not_take_is_told_so(monkeypatch, tmp_path, config):
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    with pytest.raises(ConfigurationError, match='make room, or set another TMPDIR'):
        TriggerflowExecutor(config=config, log_level=None)
