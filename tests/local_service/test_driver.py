"""What a run on localhost has of its driver: environment, working folder, arguments, imports, temporary files."""

import base64
import contextlib
import json
import multiprocessing
import os
import signal
import stat
import subprocess
import sys
import tempfile
import textwrap
import time
import uuid
from pathlib import Path

import lithops
import pytest
from disk import below
from lithops.constants import LITHOPS_TEMP_DIR, LOGS_DIR
from lithops.monitoring.backends.triggerflow import driver, private
from lithops.monitoring.backends.triggerflow.local_service import LocalService, environment

from triggerflow_lithops import CloudEvent, ConfigurationError, PythonCallable, Retry, Triggerflow, TriggerflowExecutor
from triggerflow_lithops.client.runs import begin_run
from triggerflow_lithops.core.run.keys import JOBS, outcome_key
from triggerflow_lithops.core.store import encode
from triggerflow_lithops.local_service import leftovers
from triggerflow_lithops.orchestrator.start_run import field_of

#: Variables that Lithops' handler sets where a function runs
OF_LITHOPS = (*driver.PRIVATE, 'LITHOPS_', 'PYTHONUNBUFFERED')
HOME = Path(LITHOPS_TEMP_DIR, 'triggerflow')


def until(condition, seconds=60):
    """Waits until ``condition()`` is true, and gives what it was."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, 'it never came true'
        time.sleep(0.05)
    return found


def seen(_=None):
    return {name: value for name, value in os.environ.items() if not name.startswith(OF_LITHOPS)}


def identity(x):
    return x


def here_and_in_a_call(function):
    """An orchestrator: what ``function`` gives in it after a wait, and in a call."""

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        in_call = fexec.get_result(fexec.call_async(lambda _: function(), 0))
        return function(), in_call

    return orchestrator


def driver_file(run):
    return HOME / 'drivers' / f'{run.session}.json'


def temporary_folders():
    return set(HOME.glob('t/*'))


def log_of(run):
    return Path(LOGS_DIR, f'{run.session}-O000.log').read_text()


def is_suspended(run):
    return any(event['type'].endswith('suspended') for event in run.history())


class Gate:
    """A call waits behind it, in a process of its own, until the test opens it."""

    def __init__(self, folder):
        self.folder = Path(folder)

    def pass_through(self, x=None):
        (self.folder / f'begun-{x}').touch()
        until((self.folder / 'open').exists)
        return x

    def open(self):
        (self.folder / 'open').touch()

    def begun(self):
        return sorted(path.name for path in self.folder.glob('begun-*'))


@pytest.fixture
def gate(tmp_path):
    made = Gate(tmp_path)
    yield made
    made.open()


def behind(gate):
    """An orchestrator that suspends, and goes on when the gate is open."""

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.call_async(gate.pass_through, 1))

    return orchestrator


@pytest.fixture(scope='module')
def world(tmp_path_factory):
    """Runs a script as a program of its own, in a world that programs of these tests share: ``world(script, *arguments)``."""
    folder = tmp_path_factory.mktemp('world')
    for name in ('home', 'tmp', 'work'):
        (folder / name).mkdir()
    config = {'lithops': {'backend': 'localhost', 'storage': 'localhost'}, 'triggerflow': {'idle_seconds': 20}}
    (folder / 'config.yaml').write_text(json.dumps(config))
    ours = {'HOME': str(folder / 'home'), 'TMPDIR': str(folder / 'tmp'), 'LITHOPS_CONFIG_FILE': str(folder / 'config.yaml')}

    def run(script, *arguments, **variables):
        path = folder / 'work' / f'{uuid.uuid4().hex[:8]}.py'
        path.write_text(textwrap.dedent(script))
        command = [sys.executable, str(path), *arguments]
        done = subprocess.run(
            command, cwd=folder / 'work', env={**os.environ, **ours, **variables}, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    run.folder = folder
    return run


@pytest.fixture
def served(run):
    """The service is there already, of a program that had something else."""
    run(lambda: None)


# The environment


def test_orchestrator_and_calls_have_exactly_the_environment_of_the_driver(run, served, monkeypatch):
    monkeypatch.setenv('OF_THIS_DRIVER', uuid.uuid4().hex)
    monkeypatch.delenv('PYTHONFAULTHANDLER')
    expected = seen()
    assert run(here_and_in_a_call(seen)) == (expected, expected)


def test_each_of_two_programs_has_its_own_token_with_one_service(world):
    script = """
        import os, lithops
        from triggerflow_lithops import TriggerflowExecutor

        def main():
            fexec = lithops.FunctionExecutor()
            return os.environ.get('TOKEN'), fexec.get_result(fexec.call_async(lambda x: os.environ.get('TOKEN'), 1)), os.getppid()

        print(*TriggerflowExecutor(log_level='WARNING').run(main).result(60))
    """
    told = [world(script, TOKEN=token).split() for token in ('of-A', 'of-B')]
    assert [line[:2] for line in told] == [['of-A', 'of-A'], ['of-B', 'of-B']]
    services = list((world.folder / 'tmp').glob('lithops-*/triggerflow/service-*'))
    assert len(services) == 1
    assert services[0].joinpath('service.log').read_text().count('service starts') == 1


def test_no_variable_of_a_program_reaches_the_service_that_it_starts(executor, run, monkeypatch):
    monkeypatch.setenv('SOME_TOKEN', 'of-the-starter')
    monkeypatch.setenv('SOME_NUM_THREADS', '3')
    monkeypatch.setenv('PYTHONHASHSEED', '5')
    passed_on = environment()
    assert 'SOME_TOKEN' not in passed_on and 'PYTHONHASHSEED' not in passed_on
    assert passed_on['PATH'] == os.environ['PATH'] and passed_on['SOME_NUM_THREADS'] == '3'

    lock = Path(executor.config['triggerflow']['service'], 'lock')

    def environment_of_service():
        pid = int(lock.read_text())
        return Path(f'/proc/{pid}/environ').read_bytes()

    assert b'TOKEN' not in run(environment_of_service)


def test_values_that_are_no_text_survive(run, monkeypatch):
    monkeypatch.setitem(os.environb, b'NO_TEXT', b'caf\xe9 \xff')
    assert run(here_and_in_a_call(lambda: os.environb[b'NO_TEXT'])) == (b'caf\xe9 \xff',) * 2


def test_the_time_zone_is_the_drivers(run, served, monkeypatch):
    monkeypatch.setenv('TZ', 'XYZ-5')
    assert run(here_and_in_a_call(lambda: time.localtime(0).tm_hour)) == (5, 5)


def test_files_are_made_with_the_umask_of_the_driver(executor, served, tmp_path):
    def made():
        path = tmp_path / uuid.uuid4().hex
        path.touch()
        return stat.S_IMODE(path.stat().st_mode)

    before = os.umask(0o007)
    try:
        run = executor.run(here_and_in_a_call(made))
    finally:
        os.umask(before)
    assert run.result(timeout=60) == (0o660, 0o660)


def test_nothing_of_the_environment_is_in_the_bucket(executor, monkeypatch):
    secret = uuid.uuid4().hex
    monkeypatch.setenv('SECRET_OF_THE_DRIVER', secret)
    forms = [secret.encode(), *(base64.b64encode(b'\0' * pad + secret.encode())[4:-8] for pad in range(3))]
    run = executor.run(here_and_in_a_call(lambda: len(os.environ['SECRET_OF_THE_DRIVER'])))
    assert run.result(timeout=60) == (32, 32)
    stored = [path.read_bytes() for path in below(f'{LITHOPS_TEMP_DIR}/storage') if path.is_file()]
    assert len(stored) > 5
    assert not any(form in data for form in forms for data in stored)


def test_a_run_that_a_worker_begins_has_the_environment_of_that_worker_and_nothing_private(executor, monkeypatch, tmp_path):
    monkeypatch.setenv('TOKEN', 'of-the-driver')
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / 'kept.json'

    def first(context, event):
        context.publish(CloudEvent('second', 'x'))

    def second(context, event):
        (found,) = (path for path in HOME.glob('drivers/second-*') if path.name.endswith('.json'))
        kept.write_text(json.dumps({'file': json.loads(found.read_text()), 'token': os.environ['TOKEN'], 'folder': os.getcwd()}))

    tf = Triggerflow(f'w-{uuid.uuid4().hex[:8]}', executor=executor)
    tf.add_trigger('first', CloudEvent('first', 'x'), action=PythonCallable(first))
    tf.add_trigger('second', CloudEvent('second', 'x'), action=PythonCallable(second))
    tf.publish(CloudEvent('first', 'x'))
    until(lambda: kept.exists() and kept.read_text())
    found = json.loads(kept.read_text())
    assert (found['token'], found['folder']) == ('of-the-driver', str(tmp_path))
    assert not [name for name, _ in found['file']['environment'] if name.startswith(driver.PRIVATE)]
    assert not [entry for entry in found['file']['path'] if entry.startswith(str(HOME))]
    tf.delete_workspace()


# Folder, arguments, input, imports


def test_relative_files_are_those_of_the_working_folder_of_the_driver(run, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path('greeting.txt').write_text('hello')

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        greeting = fexec.get_result(fexec.call_async(lambda path: Path(path).read_text(), 'greeting.txt'))
        Path('results.csv').write_text(greeting)
        return os.getcwd()

    assert run(orchestrator) == str(tmp_path)
    assert Path('results.csv').read_text() == 'hello'


def test_a_working_folder_that_is_gone_is_told_and_another_one_is_used(executor, monkeypatch, tmp_path):
    folder = tmp_path / 'gone'
    folder.mkdir()
    monkeypatch.chdir(folder)
    gate = Gate(tmp_path)

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        fexec.get_result(fexec.call_async(gate.pass_through, 1))
        return os.getcwd()

    run = executor.run(orchestrator)
    until(gate.begun)
    folder.rmdir()
    gate.open()
    assert run.result(timeout=60).startswith(f'{executor.config["triggerflow"]["service"]}/scratch/')
    assert f'the working folder of its driver cannot be used: [Errno 2] No such file or directory: {str(folder)!r}' in log_of(
        run
    ).replace("b'", "'")


def test_an_orchestrator_has_the_arguments_of_the_script(world):
    script = """
        import argparse, lithops
        from triggerflow_lithops import TriggerflowExecutor

        def main():
            fexec = lithops.FunctionExecutor()
            fexec.get_result(fexec.call_async(lambda x: x, 1))
            parser = argparse.ArgumentParser()
            parser.add_argument('--n', type=int, default=1)
            return parser.parse_args().n

        print(TriggerflowExecutor(log_level='WARNING').run(main).result(60))
    """
    assert world(script, '--n', '5') == '5'


def test_standard_input_is_empty(run):
    def read():
        return sys.stdin.read(), subprocess.run(['cat'], capture_output=True, text=True, timeout=10).stdout

    assert run(here_and_in_a_call(read)) == (('', ''), ('', ''))


def test_an_orchestrator_imports_what_lies_beside_the_script(world):
    package = world.folder / 'work' / 'spaced'
    package.mkdir()
    (package / 'inner.py').write_text('def f():\n    return "of a package without a file __init__"\n')
    script = """
        import lithops, spaced.inner
        from triggerflow_lithops import TriggerflowExecutor

        def main():
            fexec = lithops.FunctionExecutor()
            fexec.get_result(fexec.call_async(lambda x: x, 1))
            return spaced.inner.f()

        print(TriggerflowExecutor(log_level='WARNING').run(main).result(60))
    """
    assert world(script) == 'of a package without a file __init__'


def test_modules_that_were_stored_with_the_run_win_over_the_disk(executor, gate, monkeypatch, tmp_path):
    name = f'of_the_driver_{uuid.uuid4().hex[:8]}'
    code = """
        VERSION = 1
        def orchestrator(gate):
            import lithops
            fexec = lithops.FunctionExecutor()
            fexec.get_result(fexec.call_async(gate.pass_through, 1))
            return VERSION
    """
    path = tmp_path / f'{name}.py'
    path.write_text(textwrap.dedent(code))
    monkeypatch.syspath_prepend(tmp_path)
    run = executor.run(__import__(name).orchestrator, gate)
    until(gate.begun)
    path.write_text(textwrap.dedent(code).replace('VERSION = 1', 'VERSION = 2'))
    gate.open()
    assert run.result(timeout=60) == 1


def test_calls_import_and_are_started_as_in_lithops(run, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['of-the-driver'])
    monkeypatch.syspath_prepend('/of/the/driver')
    (arguments, path), of_call = run(here_and_in_a_call(lambda: (sys.argv, sys.path)))
    assert arguments == ['of-the-driver'] and '/of/the/driver' in path
    assert of_call[0] != ['of-the-driver'] and '/of/the/driver' not in of_call[1]


# Temporary files, and processes


def test_all_activations_have_one_temporary_folder_which_goes_with_the_outcome(run):
    def folder():
        return tempfile.gettempdir(), stat.S_IMODE(os.stat(tempfile.gettempdir()).st_mode), os.environ['TMPDIR']

    def orchestrator():
        fexec, found = lithops.FunctionExecutor(), []
        for step in range(2):
            Path(tempfile.gettempdir(), str(step)).touch()
            fexec.get_result(fexec.call_async(identity, step))
            found.append(folder())
        return found, sorted(os.listdir(tempfile.gettempdir()))

    before = os.umask(0)
    try:
        (first, second), names = run(orchestrator)
    finally:
        os.umask(before)
    assert first == second and names == ['0', '1']
    path, mode, variable = first
    assert Path(path).parent == HOME / 't' and mode == 0o700
    # By that, nested executors find their bucket
    assert variable == os.environ['TMPDIR']
    until(lambda: not os.path.exists(path))


def test_temporary_files_of_a_call_lie_where_those_of_the_driver_do(run):
    def orchestrator():
        return lithops.FunctionExecutor().call_async(lambda _: tempfile.gettempdir(), 0).result()

    assert run(orchestrator) == tempfile.gettempdir()


def marked(mark):
    """Ids of processes that have a variable in their environment."""
    found = []
    for path in Path('/proc').glob('[0-9]*/environ'):
        with contextlib.suppress(OSError):
            if mark.encode() in path.read_bytes() and 'State:\tZ' not in (path.parent / 'status').read_text():
                found.append(int(path.parent.name))
    return found


def starts_a_program(mark):
    return subprocess.Popen(['sleep', '600'], env={**os.environ, 'MARK': mark})


def starts_a_program_in_the_background(mark):
    """Nobody is its parent any more."""
    subprocess.run(['sh', '-c', 'sleep 600 &'], env={**os.environ, 'MARK': mark})


@pytest.mark.parametrize('start', [starts_a_program, starts_a_program_in_the_background])
def test_helper_processes_go_with_their_activation(executor, gate, start):
    mark = uuid.uuid4().hex

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        start(mark)
        fexec.get_result(fexec.call_async(gate.pass_through, 1))

    run = executor.run(orchestrator)
    until(gate.begun)
    until(lambda: is_suspended(run) and not marked(mark))
    gate.open()
    run.result(timeout=60)
    until(lambda: not marked(mark))


def test_a_process_that_an_orchestrator_has_forked_does_not_hold_up_its_suspension(executor, gate, tmp_path):
    """It has what the handler waits for: without more ado, an activation lasts until it ends."""

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        forked = multiprocessing.get_context('fork').Process(target=time.sleep, args=(600,))
        forked.start()
        (tmp_path / f'forked-{forked.pid}').touch()
        fexec.get_result(fexec.call_async(gate.pass_through, 1))

    run = executor.run(orchestrator)
    until(lambda: is_suspended(run))
    processes = Path(executor.config['triggerflow']['service'], 'processes.jsonl')
    until(lambda: any(run.session in line and '"activation"' in line for line in processes.read_text().splitlines()))
    (forked,) = (int(path.name.partition('-')[2]) for path in tmp_path.glob('forked-*'))
    until(lambda: not os.path.exists(f'/proc/{forked}'))


def test_what_a_call_has_started_goes_on(run):
    mark = uuid.uuid4().hex

    def call(mark):
        starts_a_program(mark)

    run(lambda: lithops.FunctionExecutor().call_async(call, mark).result())
    found = marked(mark)
    assert found
    for pid in found:
        os.kill(pid, signal.SIGKILL)


# The file


def test_what_is_kept_of_a_driver_is_for_its_user_alone_whatever_the_umask(executor, gate):
    before = os.umask(0)
    try:
        run = executor.run(behind(gate))
    finally:
        os.umask(before)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (driver_file(run), driver_file(run).parent, HOME)}
    assert modes == {driver_file(run): 0o600, driver_file(run).parent: 0o700, HOME: 0o700}
    (queued,) = Path(executor.config['triggerflow']['service'], 'queue').glob(f'*-{run.session}.json')
    assert stat.S_IMODE(queued.stat().st_mode) == 0o600
    gate.open()
    run.result(timeout=60)


@pytest.fixture
def pause_service(executor, served):
    """A function that stops the service, so that it sweeps nothing. Goes on after the test."""
    pid = int(Path(executor.config['triggerflow']['service'], 'lock').read_text())
    yield lambda: os.kill(pid, signal.SIGSTOP)
    os.kill(pid, signal.SIGCONT)


@pytest.mark.parametrize(('divisor', 'status'), [(1, 'completed'), (0, 'failed')])
def test_nothing_is_kept_of_a_run_that_has_an_outcome(executor, pause_service, divisor, status):
    def orchestrator():
        pause_service()
        return 1 / divisor

    run = executor.run(orchestrator)
    until(lambda: run.status() == status)
    until(lambda: not driver_file(run).exists(), seconds=10)


def test_nothing_is_kept_of_a_run_that_was_cancelled(executor, gate):
    before = temporary_folders()
    run = executor.run(behind(gate))
    until(lambda: is_suspended(run))
    assert driver_file(run).exists()
    (folder,) = temporary_folders() - before
    run.cancel()
    assert not driver_file(run).exists() and not folder.exists()


def test_nothing_is_kept_of_a_run_that_was_purged(executor, gate):
    run = executor.run(behind(gate))
    until(gate.begun)
    executor.facts.write(outcome_key(run.session), encode({'status': 'cancelled', 'time': time.time()}))
    driver.keep_driver(executor.config, field_of(run.document))
    run.purge()
    assert not driver_file(run).exists()


def test_nothing_is_kept_of_a_run_that_the_service_finds_over(executor, gate):
    run = executor.run(behind(gate))
    until(lambda: is_suspended(run))
    # By somebody who has not cleared away: a worker that found that an activation will never be taken
    executor.facts.write(outcome_key(run.session), encode({'status': 'cancelled', 'time': time.time()}))
    assert driver_file(run).exists()
    gate.open()
    until(lambda: not driver_file(run).exists())


def test_who_comes_second_with_a_run_keeps_nothing(executor, gate):
    run = executor.run(behind(gate), run_id=f'twice-{uuid.uuid4().hex[:8]}')
    found, ours = begin_run(executor.config, executor.facts, {**run.document, 'incarnation': 'another'})
    assert (found.session, ours) == (run.session, False)
    assert [path.name for path in HOME.glob(f'drivers/{run.run_id}*')] == [driver_file(run).name]


def test_queued_calls_of_a_cancelled_run_do_not_start(config, gate):
    tf = TriggerflowExecutor(config={**config, 'localhost': {'worker_processes': 1}}, log_level=None)
    tf.config['triggerflow']['service'] += '-one'

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        fexec.get_result(fexec.map(gate.pass_through, [0, 1, 2]))

    run = tf.run(orchestrator)
    until(lambda: gate.begun() and is_suspended(run))
    run.cancel()
    gate.open()
    until(lambda: not os.listdir(LocalService(tf.config['triggerflow']['service']).queue))
    assert gate.begun() == ['begun-0']
    # Quietly: nobody was told that they were lost
    assert not [event for event in run.history() if event['type'].endswith('attempt.failed')]


@pytest.mark.parametrize('damage', [None, '{"environment', '{"environment": {}}'], ids=['gone', 'torn', 'no driver'])
def test_a_run_of_whose_driver_nothing_is_known_goes_on_and_says_so(executor, gate, monkeypatch, damage):
    monkeypatch.setenv('TOKEN', 'of-the-driver')

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        fexec.get_result(fexec.call_async(gate.pass_through, 1))
        return os.environ.get('TOKEN'), os.getcwd()

    run = executor.run(orchestrator)
    until(lambda: is_suspended(run) and gate.begun())
    if damage is None:
        driver_file(run).unlink()
    else:
        driver_file(run).write_text(damage)
    gate.open()
    token, folder = run.result(timeout=60)
    assert token is None and folder.startswith(f'{executor.config["triggerflow"]["service"]}/scratch/')
    assert f'Run {run.run_id} - nothing is known of its driver' in log_of(run)


def test_a_folder_that_somebody_else_has_put_there_is_refused_and_there_is_no_run(executor, monkeypatch, tmp_path):
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'services').mkdir()
    (tmp_path / 'services' / 'drivers').symlink_to(tmp_path / 'elsewhere')
    monkeypatch.setitem(executor.config['triggerflow'], 'service', str(tmp_path / 'services' / 'service-x'))
    run_id = f'refused-{uuid.uuid4().hex[:8]}'
    with pytest.raises(ConfigurationError, match='is a symbolic link'):
        executor.run(lambda: 1, run_id=run_id)
    assert not os.listdir(tmp_path / 'elsewhere')
    assert run_id not in [run.run_id for run in executor.list_runs()]


def test_a_file_that_somebody_else_has_put_there_is_not_read(tmp_path):
    (tmp_path / 'theirs').write_text('x')
    (tmp_path / 'link').symlink_to(tmp_path / 'theirs')
    with pytest.raises(private.NotPrivate, match='is a symbolic link'):
        private.read_file(str(tmp_path), 'link')


def test_what_belongs_to_another_user_is_refused(tmp_path, monkeypatch):
    private.write_file(str(tmp_path / 'folder'), 'file', 'x')
    assert private.read_file(str(tmp_path / 'folder'), 'file') == 'x'
    user = os.geteuid()
    monkeypatch.setattr(os, 'geteuid', lambda: user + 1)
    with pytest.raises(private.NotPrivate, match='belongs to user'):
        private.read_file(str(tmp_path / 'folder'), 'file')


def kept_by_hand(executor, run_id, age):
    """As of a run whose client was killed some time ago."""
    field = {'run_id': run_id, 'session': f'{run_id}-{uuid.uuid4().hex[:8]}', 'retry': {}, 'version': 1, 'orchestrator': {}}
    driver.keep_driver(executor.config, field)
    path = HOME / 'drivers' / f'{field["session"]}.json'
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_what_processes_that_were_killed_have_left_is_removed_when_a_service_starts(executor, gate, monkeypatch):
    monkeypatch.setattr(os, 'environ', os.environ.copy())
    going_on = executor.run(behind(gate))
    os.utime(driver_file(going_on), (1, 1))
    old, young = (kept_by_hand(executor, f'left-{uuid.uuid4().hex[:8]}', age) for age in (leftovers.OLD + 60, 60))
    unfinished = HOME / 'drivers' / 'unfinished.json.0123.new'
    unfinished.write_text(driver_file(going_on).read_text())
    os.utime(unfinished, (1, 1))
    pid = os.fork()
    if not pid:
        os._exit(leftovers.forget_drivers_of_ended_runs(str(HOME)))
    os.waitpid(pid, 0)
    assert [path.exists() for path in (driver_file(going_on), old, young, unfinished)] == [True, False, True, False]
    young.unlink()


def test_a_temporary_folder_of_no_run_is_removed_when_a_service_starts(tmp_path):
    for name, age in (('old', 7200), ('young', 60)):
        private.private_folder(str(tmp_path / 't' / name))
        os.utime(tmp_path / 't' / name, (time.time() - age,) * 2)
    assert not list(driver.left_behind(str(tmp_path), 3600.0))
    assert os.listdir(tmp_path / 't') == ['young']


# Fresh interpreters


@pytest.fixture(scope='module')
def fresh(config):
    section = {**config['triggerflow'], 'fresh_interpreters': True}
    return TriggerflowExecutor(config={**config, 'triggerflow': section}, log_level=None)


def test_each_invocation_in_a_fresh_interpreter_has_a_hash_seed_of_its_own(fresh, run):
    def orchestrator():
        fexec = lithops.FunctionExecutor()
        in_calls = fexec.get_result(fexec.map(lambda x: hash(f'of this {x}'), [1, 1]))
        return [*in_calls, hash('of this 1')]

    assert len(set(fresh.run(orchestrator).result(timeout=90))) == 3
    assert len(set(run(orchestrator))) == 1


def test_a_fresh_interpreter_has_what_the_driver_had(fresh, monkeypatch, tmp_path):
    monkeypatch.setenv('TOKEN', 'of-the-driver')
    monkeypatch.setattr(sys, 'argv', ['script.py', '--n', '5'])
    monkeypatch.chdir(tmp_path)

    def found():
        return os.environ['TOKEN'], os.getcwd(), sys.stdin.read(), os.environ.get('PYTHONHASHSEED'), '' in sys.path

    expected = ('of-the-driver', str(tmp_path), '', None, False)
    assert fresh.run(here_and_in_a_call(found)).result(timeout=90) == (expected, expected)
    assert fresh.run(lambda: sys.argv).result(timeout=90) == ['script.py', '--n', '5']


def test_a_fresh_interpreter_that_is_killed_is_reported_and_runs_again(fresh, tmp_path):
    def killed_once(x):
        with contextlib.suppress(FileExistsError):
            (tmp_path / 'killed').mkdir()
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        return x

    run = fresh.run(lambda: lithops.FunctionExecutor().call_async(killed_once, 5).result(), retry=Retry(backoff=0.1))
    assert run.result(timeout=90) == 5
    (failed,) = (event for event in run.history() if event['type'].endswith('attempt.failed'))
    assert 'was killed by SIGKILL' in failed['data']['reason']


def test_a_call_in_a_fresh_interpreter_ends_when_its_time_is_up(fresh):
    def nap(_):
        time.sleep(600)

    def orchestrator():
        try:
            return lithops.FunctionExecutor().call_async(nap, 0, timeout=1).result()
        except TimeoutError as error:
            return str(error)

    assert 'exceeded maximum time of 1 seconds' in fresh.run(orchestrator).result(timeout=90)


def test_an_end_that_a_fresh_interpreter_cannot_report_is_delivered_again(fresh, tmp_path):
    def spoil_the_bucket_once(session):
        folder = Path(LITHOPS_TEMP_DIR, 'storage', JOBS, f'{session}-0-A000', '00000')
        if (tmp_path / 'spoiled').exists():
            folder.unlink()
        else:
            (tmp_path / 'spoiled').touch()
            # A file where the event's folder has to be: no write succeeds
            folder.touch()
        return 'reported'

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.call_async(spoil_the_bucket_once, fexec.executor_id[:-2]))

    assert fresh.run(orchestrator, retry=Retry(backoff=0.1)).result(timeout=90) == 'reported'


def test_helper_processes_go_with_a_fresh_interpreter(fresh, gate):
    mark = uuid.uuid4().hex

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        starts_a_program_in_the_background(mark)
        return fexec.get_result(fexec.call_async(gate.pass_through, 1))

    run = fresh.run(orchestrator)
    until(gate.begun)
    until(lambda: is_suspended(run) and not marked(mark))


@pytest.mark.parametrize('value', ['yes', 1, None])
def test_whether_interpreters_are_fresh_is_true_or_false(config, value):
    with pytest.raises(ConfigurationError, match="'triggerflow: fresh_interpreters' is true or false"):
        TriggerflowExecutor(config={**config, 'triggerflow': {'fresh_interpreters': value}}, log_level=None)
