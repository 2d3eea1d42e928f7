"""Kills for real: what dies on the way costs time, and never a result."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import lithops
import pytest
from lithops.monitoring.backends.triggerflow.local_service import LocalService
from soak import VICTIMS

from triggerflow_lithops import TriggerflowExecutor
from triggerflow_lithops.local_service.service import processes_log

HERE = Path(__file__).parent
CALLS = 1000


def processes_of(run, folder):
    """What the service noted of each process of a run that has ended. The last ones it notes after that."""
    until(lambda: not os.listdir(LocalService(folder).queue))
    lines = Path(processes_log(folder)).read_text().splitlines()
    return [line for line in map(json.loads, lines) if line['session'] == run.session]


def events_of(run, kind):
    return [event for event in run.history() if event['type'].endswith(kind)]


def marked(folder, name):
    """Whether this is the first time that ``name`` asks."""
    try:
        os.close(os.open(f'{folder}/{name}', os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return True
    return False


def kill_first_time(folder, name, pid):
    if not marked(folder, name):
        os.kill(pid, signal.SIGKILL)
        time.sleep(30)


def every_tenth_dies_once(x, folder):
    if x % 10 == 0:
        # Its handler; the function's own process is killed with it
        kill_first_time(folder, f'call-{x}', os.getppid())
    return x


def dies_twice_for_memory(x, folder):
    if x == 123:
        for attempt in range(2):
            if not marked(folder, f'memory-{attempt}'):
                os.kill(os.getpid(), signal.SIGKILL)
    return x


def three_naps(folder):
    fexec, total = lithops.FunctionExecutor(), 0
    for step in range(3):
        total += sum(fexec.get_result(fexec.map(nap, [step, 1])))
    return total


def nap(x):
    time.sleep(3)
    return x


@pytest.fixture
def apart(config):
    """An executor whose service is its own, and whose processes are killed."""
    tf = TriggerflowExecutor(config=config, log_level=None)
    tf.config['triggerflow']['service'] += f'-faults-{random.randrange(10**6)}'
    return tf


def test_runs_end_right_while_200_processes_are_killed_and_the_disk_is_full_now_and_then(tmp_path, record_property):
    seed = random.SystemRandom().randrange(10**9)
    command = [sys.executable, str(HERE / 'soak.py'), '--kills', '220', '--seed', str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, env={**os.environ, 'TMPDIR': str(tmp_path)})
    assert done.returncode == 0, (seed, done.stdout, done.stderr)
    told = json.loads(done.stdout)
    record_property('soak', told)
    processes = told['all_kills'] - told['kills'].get('full disk', 0) - told['kills'].get('read-only bucket', 0)
    assert processes >= 200 and told['processes_left'] == 0
    assert set(told['kills']) >= set(VICTIMS) - {'full disk', 'read-only bucket'}


@pytest.mark.parametrize('fault', ['full disk', 'read-only bucket'])
def test_runs_end_right_though_nothing_can_be_written_for_a_second(tmp_path, fault):
    command = [sys.executable, str(HERE / 'soak.py'), '--kills', '4', '--only', fault]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ, 'TMPDIR': str(tmp_path)})
    assert done.returncode == 0, (done.stdout, done.stderr)
    assert json.loads(done.stdout)['kills'] == {fault: 4}


def test_a_thousand_calls_end_right_with_a_tenth_of_their_workers_and_their_orchestrator_killed(apart, tmp_path, record_property):
    folder = str(tmp_path)

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map(every_tenth_dies_once, [(x, folder) for x in range(CALLS)])
        kill_first_time(folder, 'orchestrator-0', os.getppid())
        values = fexec.get_result(futures)
        for step in range(1, 5):
            kill_first_time(folder, f'orchestrator-{step}', os.getppid())
            values.append(fexec.call_async(abs_of, step).result())
        return values

    run = apart.run(orchestrator)
    assert run.result(timeout=1200) == [*range(CALLS), 1, 2, 3, 4]
    ended = {event['subject'].split('/', 1)[1]: event['data']['attempt'] for event in events_of(run, 'termination.success')}
    # The one result of each call is that of its only attempt, or of the one after that which was killed
    assert ended == {
        **{f'0/M000/{x:05d}': int(x % 10 == 0) for x in range(CALLS)},
        **{f'0/A{step:03d}/00000': 0 for step in range(1, 5)},
    }
    processes = processes_of(run, apart.config['triggerflow']['service'])
    killed = Counter(process['subject'] for process in processes if process['code'] == -signal.SIGKILL)
    calls = sum(process['subject'] == 'call' for process in processes)
    reports = sum(process['reports'] for process in processes if process['subject'] == 'call')
    extra = calls - reports - (CALLS + 4)
    record_property('killed', dict(killed))
    record_property('invocations beyond one for each call', extra)
    record_property('reports of calls that were killed', reports)
    assert killed == {'call': CALLS // 10, 'activation': 5}
    assert extra == reports == CALLS // 10
    assert len(events_of(run, 'attempt.failed')) == CALLS // 10 and len(events_of(run, 'activation.died')) == 5


def abs_of(x):
    return abs(x)


def test_of_a_thousand_calls_the_one_that_is_killed_for_memory_runs_again_with_more_of_it(apart, tmp_path):
    folder = str(tmp_path)

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        items = [(x, folder) for x in range(CALLS)]
        return fexec.get_result(fexec.map(dies_twice_for_memory, items, runtime_memory=128))

    run = apart.run(orchestrator)
    assert run.result(timeout=1200) == [*range(CALLS)]
    failed = events_of(run, 'attempt.failed')
    assert {event['subject'].rpartition('/')[2] for event in failed} == {'00123'}
    assert [event['data']['next']['runtime_memory'] for event in failed] == [256, 512]
    processes = processes_of(run, apart.config['triggerflow']['service'])
    invoked = Counter((process['calls'][0], process['memory']) for process in processes if process['subject'] == 'call')
    assert len(invoked) == CALLS + 2 and set(invoked.values()) == {1}
    assert {memory for call_id, memory in invoked if call_id == '00123'} == {128, 256, 512}
    assert {memory for call_id, memory in invoked if call_id != '00123'} == {128}


def test_everything_killed_at_once_goes_on_after_one_sweep_from_the_command_line(config, tmp_path):
    """In a world of its own: another temporary folder has another bucket and another service."""
    environment = {**os.environ, 'HOME': str(tmp_path), 'TMPDIR': str(tmp_path)}
    configured = tmp_path / 'config.yaml'
    configured.write_text(json.dumps(config))
    command = [str(Path(sys.executable).parent / 'triggerflow-lithops')]

    def told(*arguments):
        asked = [*command, arguments[0], '--config', str(configured), *arguments[1:]]
        return subprocess.run(asked, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout

    script = tmp_path / 'start.py'
    script.write_text(
        f'import json, sys; sys.path.insert(0, {str(HERE)!r})\n'
        'from triggerflow_lithops import TriggerflowExecutor\n'
        'import test_faults\n'
        f'TriggerflowExecutor(config_file={str(configured)!r}).run(test_faults.three_naps, "x", run_id="killed")\n'
    )
    subprocess.run([sys.executable, str(script)], env=environment, check=True, timeout=60)
    until(lambda: 'suspended' in told('history', 'killed'))
    assert kill_all(str(tmp_path)) >= 1
    time.sleep(0.5)
    assert not kill_all(str(tmp_path)), 'it has started again by itself'
    told('sweep', 'killed')
    until(lambda: 'completed' in told('status', 'killed'))
    script.write_text(
        'from triggerflow_lithops import TriggerflowExecutor\n'
        f'print(TriggerflowExecutor(config_file={str(configured)!r}, log_level=None).get_run("killed").result())\n'
    )
    result = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=60)
    assert result.stdout == '6\n', result.stderr
    until(lambda: not kill_all(str(tmp_path), signal.SIGCONT))


def kill_all(text, number=signal.SIGKILL):
    """Sends a signal to all processes of the service that lives under ``text``, and tells how many they were."""
    found = 0
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            if f'triggerflow_lithops.local_service\0{text}'.encode() in path.read_bytes():
                os.kill(int(path.parent.name), number)
                found += 1
        except (OSError, ValueError):
            pass
    return found


def until(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'it never came true'
        time.sleep(0.2)
