"""One local function service serves all runs of a user: none of them is harmed by another one, by its files, or by its end."""

import contextlib
import json
import logging
import os
import signal
import time
import uuid
from pathlib import Path

import lithops
import pytest
import servers
from damage import MONSTERS, make_huge
from disk import below
from lithops.constants import LITHOPS_TEMP_DIR
from lithops.monitoring.backends.triggerflow.driver import driver_of
from lithops.monitoring.backends.triggerflow.invocations import Invocation
from lithops.monitoring.backends.triggerflow.invoke import run_of
from lithops.monitoring.backends.triggerflow.local_service import LocalService
from lithops.monitoring.backends.triggerflow.sweep import seems_over

from triggerflow_lithops import Retry, TriggerflowExecutor, sleep
from triggerflow_lithops.local_service import service
from triggerflow_lithops.local_service.metadata import runtime_metadata
from triggerflow_lithops.local_service.run_chunk import ASK, Ending
from triggerflow_lithops.local_service.service import Service
from triggerflow_lithops.local_service.turns import Accepted, Chunk
from triggerflow_lithops.orchestrator.start_run import field_of


def until(condition, seconds=90):
    """Waits until ``condition()`` is true, and gives what it was."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, 'it never came true'
        time.sleep(0.05)
    return found


def add3(x):
    return x + 3


def main():
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.call_async(add3, 0))


def mark(folder, number, seconds):
    (Path(folder) / f'{number}').touch()
    time.sleep(seconds)
    return number


def mark_all(folder, calls, seconds, chunksize=1):
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.map(mark, [(folder, number, seconds) for number in range(calls)], chunksize=chunksize))


def mark_and_wait(folder, number):
    (Path(folder) / f'{number}').touch()
    while not (Path(folder) / 'go').exists():
        time.sleep(0.02)
    return bytes(100_000)


def wait_here_and_there(folder):
    """Two calls have begun, and so has what comes after them in the orchestrator."""
    fexec = lithops.FunctionExecutor()
    fexec.map(mark_and_wait, [(folder, number) for number in range(10)])
    return mark_and_wait(folder, 'orchestrator')


@pytest.fixture
def two(config):
    """An executor whose service is its own, and runs two calls at a time."""
    given = {**config, 'localhost': {'worker_processes': 2}, 'triggerflow': {'idle_seconds': 0.3}}
    tf = TriggerflowExecutor(config=given, log_level=None)
    tf.config['triggerflow']['service'] += '-two-at-a-time'
    yield tf
    end_service(tf)


def pid_of_service(tf):
    with contextlib.suppress(OSError, ValueError):
        return int(Path(tf.config['triggerflow']['service'], 'lock').read_text())
    return 0


def end_service(tf):
    """It would end by itself when it has found out, by sweeps, that all runs have ended."""
    endpoint = LocalService(tf.config['triggerflow']['service'])
    if endpoint.is_listening():
        os.kill(pid_of_service(tf), signal.SIGKILL)
        # The next test rings for another one
        until(lambda: not endpoint.is_listening())


def queued(tf):
    return [
        name for name in os.listdir(LocalService(tf.config['triggerflow']['service']).queue) if not name.endswith('.unreadable')
    ]


def log_of_service(tf):
    return Path(tf.config['triggerflow']['service'], 'service.log').read_text()


# Bad files


def test_a_service_whose_queue_is_full_of_what_is_no_invocation_serves(two):
    queue = Path(LocalService(two.config['triggerflow']['service']).queue)
    queue.mkdir(parents=True, mode=0o700)
    for number, monster in enumerate(MONSTERS.values()):
        (queue / f'0-{number}-r-1.json').write_bytes(monster)
    os.mkfifo(queue / '0-fifo-r-1.json')
    (queue / '0-folder-r-1.json').mkdir()
    make_huge(queue / '0-huge-r-1.json')
    (queue.parent / 'runtime.json').write_bytes(b'[' * 100_000)
    os.mkfifo(queue.parent / 'heard')
    (queue.parent / 'runs').mkdir(mode=0o700)
    (queue.parent / 'runs' / 'r-1').write_text('{"config": {}, "run": {}}')
    assert two.run(main).result(timeout=90) == 3
    until(lambda: not queued(two))
    assert len([path for path in queue.iterdir() if path.name.endswith('.json.unreadable')]) == len(MONSTERS) + 3
    assert log_of_service(two).count(' is no invocation: ') == len(MONSTERS) + 3


def test_metadata_that_is_damaged_while_the_service_runs_is_written_again(two):
    """By that service: a timer keeps it from ending, and so from starting again."""
    folder = two.config['triggerflow']['service']
    run = two.run(sleep, 3600)
    until(lambda: any(event['type'].endswith('suspended') for event in run.history()))
    pid = pid_of_service(two)
    Path(folder, 'runtime.json').write_text('{"preinstalls": 7}')
    assert runtime_metadata(folder, timeout=20)['python_version']
    assert pid_of_service(two) == pid
    run.cancel()


def test_what_fails_in_a_worker_for_its_document_is_named_and_others_go_on(two, tmp_path):
    """The service does not read what only a worker needs."""
    run = two.run(mark_all, (str(tmp_path), 1, 0))
    assert run.result(timeout=90) == [0]
    os.kill(pid_of_service(two), signal.SIGSTOP)
    broken = two.run(mark_all, (str(tmp_path), 1, 0))
    [path] = Path(LocalService(two.config['triggerflow']['service']).queue).glob(f'*-{broken.session}.json')
    document = json.loads(path.read_text())
    del document['payload']['func_key']
    path.write_text(json.dumps(document))
    os.kill(pid_of_service(two), signal.SIGCONT)
    assert two.run(main).result(timeout=90) == 3
    assert broken.result(timeout=90) == [0]
    assert f'{path}, chunk 0 of run {broken.session}: Its end could not be reported' in log_of_service(two)


def test_an_activation_whose_file_was_put_aside_is_found_by_a_sweep(two):
    assert two.run(main).result(timeout=90) == 3
    os.kill(pid_of_service(two), signal.SIGSTOP)
    run = two.run(main)
    [path] = Path(LocalService(two.config['triggerflow']['service']).queue).glob(f'*-{run.session}.json')
    path.write_text('{"version": 1}')
    os.kill(pid_of_service(two), signal.SIGCONT)
    assert run.result(timeout=90) == 3
    assert path.with_name(f'{path.name}.unreadable').exists()


def test_a_call_whose_file_was_put_aside_is_found_by_the_service(two, tmp_path):
    """It is lost, and runs again; nobody waits for the run."""
    run = two.run(mark_all, (str(tmp_path), 1, 1.5), retry=Retry(backoff=0.1))
    until(lambda: any(event['type'].endswith('suspended') for event in run.history()) and (tmp_path / '0').exists())
    [path] = Path(LocalService(two.config['triggerflow']['service']).queue).glob(f'*-{run.session}.json')
    document = json.loads(path.read_text())
    pids = [pid_of_service(two), *map(int, os.listdir(Path(two.config['triggerflow']['service'], 'scratch')))]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    path.write_text(json.dumps({**document, 'due': 'soon'}))
    LocalService(two.config['triggerflow']['service']).ensure_running()
    until(lambda: run.status() == 'completed')
    reasons = [event['data']['reason'] for event in run.history() if event['type'].endswith('attempt.failed')]
    assert len(reasons) == 1 and 'vanished' in reasons[0]


def test_a_call_that_is_killed_by_a_signal_without_a_name_ends_no_service(two):
    def killed(number):
        os.kill(os.getppid(), number)
        time.sleep(5)

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        try:
            return fexec.get_result(fexec.call_async(killed, 40))
        except RuntimeError as error:
            return str(error)

    assert 'was killed by signal 40' in two.run(orchestrator, retry=Retry(retries=0)).result(timeout=60)


class Unable(Service):
    """A service that starts no process, and fails unexpectedly at all of one run."""

    def _fork_to(self, work, chunk=None):
        if chunk.session == 'bad-1':
            raise KeyError('something')
        self.started = [*getattr(self, 'started', ()), chunk.session]
        return -len(self.started)


def test_what_the_service_cannot_do_with_one_invocation_concerns_that_one_only(tmp_path, two, caplog):
    def chunk_of(session):
        field = {'session': session, 'subject': 'call', 'run_id': session[:-2]}
        config = {'localhost': {'worker_processes': 9}, 'lithops': {'storage': 'ceph'}, 'triggerflow': {}}
        invocation = Invocation({'triggerflow': field, 'config': config}, [{}], 0.0)
        return Chunk(Accepted(str(tmp_path / f'{session}.json'), invocation, 1), 0)

    with open(tmp_path / 'lock', 'w') as lock:
        unable = Unable(str(tmp_path), lock)
        for session in ('bad-1', 'good-1'):
            unable._queue.sessions[session] += 1
            unable._queue.add(chunk_of(session))
        unable._start()
        assert unable.started == ['good-1'] and 'bad-1' in caplog.text
        # That it was lost cannot be told either: a sweep finds out
        until(lambda: unable._start() or not unable._queue.sessions['bad-1'])


@pytest.mark.parametrize('written', [b'\xff', b'9' * 1_000_000, b'', b'-1', b'0', b'1'])
def test_nobody_is_killed_for_what_stands_in_a_lock(written, tmp_path):
    (tmp_path / 'lock').write_bytes(written)
    with open(tmp_path / 'lock', 'a+') as lock:
        assert service._holder(lock) == 0
        lock.truncate(0)
        lock.write(f'{os.getpid()}')
        lock.flush()
        assert service._holder(lock) == os.getpid()


# Turns


def test_a_run_of_one_call_is_not_behind_another_runs_map(two, tmp_path):
    wide = two.run(mark_all, (str(tmp_path), 300, 0.05))
    until(lambda: len(os.listdir(tmp_path)) > 5)
    assert two.run(main).result(timeout=90) == 3
    assert len(os.listdir(tmp_path)) < 150 and wide.status() == 'running'
    wide.cancel()


# Runs that have ended


@pytest.mark.parametrize('chunksize, under_way', [(1, 2), (30, 2)], ids=['call by call', 'in chunks'])
def test_of_a_cancelled_map_only_the_calls_that_are_under_way_end(chunksize, under_way, two, tmp_path):
    run = two.run(mark_all, (str(tmp_path), 60, 0.2, chunksize))
    until(lambda: len(os.listdir(tmp_path)) > 2)
    run.cancel()
    begun = len(os.listdir(tmp_path))
    until(lambda: not queued(two))
    until(lambda: not LocalService(two.config['triggerflow']['service']).is_listening())
    assert len(os.listdir(tmp_path)) <= begun + under_way


def test_what_is_to_be_tried_again_later_is_dropped_with_its_run(two, tmp_path):
    def fail(folder):
        (Path(folder) / 'failed').touch()
        raise ValueError

    def orchestrator(folder):
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.call_async(fail, folder))

    run = two.run(orchestrator, str(tmp_path), retry=Retry(on=ValueError, retries=1, backoff=3600, max_backoff=3600))
    until(lambda: any(event['type'].endswith('attempt.failed') for event in run.history()) and len(queued(two)) == 1)
    run.cancel()
    until(lambda: not queued(two))
    until(lambda: not LocalService(two.config['triggerflow']['service']).is_listening())


def test_a_timer_is_dropped_with_its_run(two):
    run = two.run(sleep, 3600)
    until(lambda: any(event['type'].endswith('suspended') for event in run.history()) and len(queued(two)) == 1)
    run.cancel()
    until(lambda: not queued(two), 5)


def files_of(session):
    return [path for path in below(LITHOPS_TEMP_DIR) if session in str(path.relative_to(LITHOPS_TEMP_DIR))]


def test_nothing_of_a_purged_run_comes_back(two, tmp_path):
    """Two calls, and the orchestrator, are under way when it is purged, and end afterwards with something to be stored."""
    run = two.run(wait_here_and_there, str(tmp_path))
    until(lambda: len(os.listdir(tmp_path)) == 3)
    assert files_of(run.session)
    run.cancel()
    run.purge()
    (tmp_path / 'go').touch()
    until(lambda: not LocalService(two.config['triggerflow']['service']).is_listening())
    assert len(os.listdir(tmp_path)) == 4
    assert [path for path in files_of(run.session) if 'logs' not in path.parts] == []


def test_a_run_that_has_ended_is_known_by_two_looks_at_files(two):
    run = two.run(main)
    assert not seems_over(two.config, field_of(run.document))
    run.result(timeout=90)
    assert seems_over(two.config, field_of(run.document))
    run.purge()
    assert seems_over(two.config, field_of(run.document))


def test_a_bucket_that_cannot_be_asked_ends_no_call(two, caplog):
    run = two.run(sleep, 1)
    config = {**two.config, 'lithops': {**two.config['lithops'], 'storage': 'nowhere'}}
    with caplog.at_level(logging.WARNING):
        # A moment ago it was asked, and did not say so
        assert not Ending(config, run_of(field_of(run.document)), asked=time.monotonic()).is_here()
        assert 'nobody knows' not in caplog.text
        assert not Ending(config, run_of(field_of(run.document)), asked=time.monotonic() - ASK).is_here()
    assert 'nobody knows whether it has ended' in caplog.text
    run.result(timeout=90)
    # What was kept of its driver has gone with the outcome, so it is asked at once
    assert driver_of(two.config, run.session) is None
    Ending(config, run_of(field_of(run.document)), asked=time.monotonic()).is_here()
    assert caplog.text.count('nobody knows') == 2


def test_of_a_cancelled_map_in_an_object_store_only_the_calls_that_are_under_way_end(two, tmp_path, seaweedfs):
    keys = {'access_key_id': servers.ACCESS_KEY, 'secret_access_key': servers.SECRET_KEY}
    store = {'endpoint': seaweedfs, 'storage_bucket': f'bucket-{uuid.uuid4().hex[:8]}', **keys}
    given = {
        **{'lithops': {'backend': 'localhost', 'storage': 'minio'}, 'minio': store},
        **{'localhost': {'worker_processes': 2}, 'triggerflow': {'idle_seconds': 0.3}},
    }
    tf = TriggerflowExecutor(config=given, log_level=None)
    tf.config['triggerflow']['service'] = two.config['triggerflow']['service']
    run = tf.run(mark_all, (str(tmp_path), 60, 0.2))
    until(lambda: len(os.listdir(tmp_path)) > 2)
    run.cancel()
    begun = len(os.listdir(tmp_path))
    until(lambda: not queued(two))
    until(lambda: not LocalService(two.config['triggerflow']['service']).is_listening())
    assert len(os.listdir(tmp_path)) <= begun + 2


# The bell


def test_a_bell_says_which_file_is_new_and_is_not_believed_when_it_may_have_lost_some(tmp_path):
    with open(tmp_path / 'lock', 'w') as lock:
        heard, endpoint = Service(str(tmp_path), lock), LocalService(str(tmp_path))
        heard._open_bell()
        for said, new in [
            (['1-r-1.json', '2-r-1.json'], ['1-r-1.json', '2-r-1.json']),
            (['1-r-1.json', ''], None),
            (['../1.json'], None),
            (['x' * 200 + '.json'] * 1_000, None),
        ]:
            heard._rung = []
            assert all(endpoint.is_listening(name) for name in said)
            heard._hear()
            assert heard._rung == new
        os.close(heard._bell)
