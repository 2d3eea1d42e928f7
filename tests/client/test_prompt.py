"""What a user sees who sits before it: at a prompt, in a notebook, in an editor, and when something is not installed."""

import fcntl
import io
import logging
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import lithops
import pytest
import whole
import yaml

from triggerflow_lithops import ConfigurationError, Run, RunNotFoundError, Triggerflow, TriggerflowExecutor
from triggerflow_lithops.client.polling import interruptible, wait_for
from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.run.keys import outcome_key, run_key
from triggerflow_lithops.core.store import Facts, StoreUnavailable, encode
from triggerflow_lithops.deployment import installation
from triggerflow_lithops.deployment.lithops_config import load_given

COMMAND = Path(sys.executable).parent / 'triggerflow-lithops'

CONFIG = "CONFIG = {'lithops': {'backend': 'localhost', 'storage': 'localhost'}, 'triggerflow': {'idle_seconds': 2}}\n"

INTERRUPTED = f"""{CONFIG}
import os, sys, time
from pathlib import Path
import lithops
from triggerflow_lithops import TriggerflowExecutor

GATE = Path('gate').absolute()

def held(x):
    while not GATE.exists():
        time.sleep(0.05)
    return x + 3

def main():
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.call_async(held, 3))

run = TriggerflowExecutor(config=CONFIG, log_level=None).run(main, run_id='held-1')
try:
    run.result()
except KeyboardInterrupt:
    GATE.touch()
    print(run.result(timeout=90))
"""

FAILED_BEFORE = f"""{CONFIG}
from triggerflow_lithops import TriggerflowExecutor

def main():
    raise ValueError('on purpose')

tf = TriggerflowExecutor(config=CONFIG, log_level=None)
tf.run(main, run_id='again').wait(timeout=90)
tf.run(main, run_id='again')
"""

TYPES = """
from typing import Any
from typing_extensions import assert_type
from triggerflow_lithops import Run, TriggerflowExecutor, record

def main(args: dict[str, Any]) -> int:
    return 6

async def later() -> str:
    return 'six'

def untyped(args):
    return 6

tf = TriggerflowExecutor()
assert_type(tf.run(main), Run[int])
assert_type(tf.run(main, {'x': 1}, run_id='x', name='y', retry=3).result(timeout=1), int)
assert_type(tf.run(later).result(), str)
assert_type(tf.run(untyped), Run[Any])
assert_type(tf.get_run('x'), Run[Any])
assert_type(tf.list_runs(), list[Run[Any]])
assert_type(record(main, {}), int)
wider: Run[object] = tf.run(main)
wrong: str = tf.run(main).result()  # type: ignore[assignment]
"""


def add3(x):
    return x + 3


def main():
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.call_async(add3, 3))


def failing():
    raise ValueError('on purpose')


def sleeping():
    from triggerflow_lithops import sleep

    sleep(600)


@pytest.fixture
def environment(tmp_path):
    """A home and a temporary folder of a program's own, and so a local service of its own."""
    for name in ('home', 'tmp'):
        (tmp_path / name).mkdir()
    return {**os.environ, 'HOME': str(tmp_path / 'home'), 'TMPDIR': str(tmp_path / 'tmp')}


class Bucket(MemoryStore):
    """Counts requests, and can be out of reach."""

    def __init__(self):
        super().__init__()
        self.requests, self.reachable = 0, True

    def get(self, key):
        self.requests += 1
        if not self.reachable:
            raise StoreUnavailable('<no route>')
        return super().get(key)


@pytest.fixture
def shown():
    """A run in a bucket of its own: ``run, bucket``."""
    bucket = Bucket()
    document = whole.run('run-7', '0a0a0a0a', 'code', name='<b>daily</b>')
    bucket.put_new(run_key('run-7'), encode(document))
    config = {'lithops': {'storage': 'minio'}, 'minio': {'storage_bucket': 'mine'}}
    return Run(config, Facts(bucket), document), bucket


# Ctrl-C


def _read_until(terminal, text, seconds=90):
    """What a program writes to a terminal, up to ``text``."""
    said, deadline = '', time.monotonic() + seconds
    while text not in said:
        ready, _, _ = select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f'{text!r} was not written within {seconds} s, only {said!r}'
        try:
            said += os.read(terminal, 4096).decode()
        except OSError:
            # Nobody writes to it any more
            raise AssertionError(f'{text!r} was not written, only {said!r}') from None
    return said


@pytest.fixture
def interrupted(tmp_path, environment):
    """A program at a terminal, interrupted as Ctrl-C does it: what it printed, and what stood on the terminal."""
    (tmp_path / 'script.py').write_text(INTERRUPTED)
    ours, theirs = pty.openpty()
    # 24 lines of 120 columns: on a terminal without a width nothing is drawn
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 120, 0, 0))
    program = subprocess.Popen(
        [sys.executable, 'script.py'],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
        # As at a terminal. What a shell starts in the background ignores it, and hands that on
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    os.close(theirs)
    # The job was scheduled and counted, so the program waits for it
    before = _read_until(ours, '0/1')
    # A terminal sends it to all processes of the program
    os.killpg(program.pid, signal.SIGINT)
    after = _read_until(ours, 'cancel held-1)')
    printed = program.communicate(timeout=120)[0].decode()
    os.close(ours)
    return printed, before, after


def test_ctrl_c_ends_the_wait_and_says_how_to_find_the_run_which_goes_on(interrupted):
    printed, before, after = interrupted
    # The bar is shown with the run's id, and is gone before the line is written
    assert '\r  held-1: starting' in before and '0/0' not in before
    told = after[: after.index('cancel held-1)') + len('cancel held-1)')]
    *_, cleared, line = told.split('\r')
    assert cleared.strip() == '' and line == (
        "Run held-1 goes on. Find it with TriggerflowExecutor().get_run('held-1'), "
        'or: triggerflow-lithops status held-1 (end it: triggerflow-lithops cancel held-1)'
    )
    # The exception came through, and the run ended as if nothing had been
    assert printed == '6\n'


def test_a_wait_that_is_interrupted_where_nothing_can_be_printed_is_interrupted_all_the_same(monkeypatch):
    stream = io.StringIO()
    stream.close()
    monkeypatch.setattr(sys, 'stderr', stream)
    with pytest.raises(KeyboardInterrupt), interruptible('Run run-7 goes on.'):
        raise KeyboardInterrupt


def test_only_an_interruption_is_told(capsys):
    with pytest.raises(TimeoutError), interruptible('Run run-7 goes on.'):
        raise TimeoutError
    assert capsys.readouterr().err == ''


def test_ctrl_c_in_a_wait_for_a_workspace_says_how_to_find_it(config, capsys, monkeypatch):
    tf = Triggerflow('interrupted', config=config, log_level=None)
    monkeypatch.setattr(tf, '_facts', Facts(Interrupting()))
    with pytest.raises(KeyboardInterrupt):
        tf.wait()
    assert "Workspace interrupted goes on. Triggerflow('interrupted').wait()" in capsys.readouterr().err
    monkeypatch.undo()
    tf.delete_workspace()


class Interrupting(MemoryStore):
    """The user types Ctrl-C while it is read."""

    def get(self, key):
        raise KeyboardInterrupt


def test_a_run_that_is_not_waited_for_long_enough_says_where_it_is(executor):
    run = executor.run(sleeping)
    with pytest.raises(TimeoutError) as raised:
        run.result(timeout=0)
    run.cancel()
    assert str(raised.value) == (
        f'Run {run.run_id} has not ended within 0 s. '
        f'It goes on: ask again, here or with TriggerflowExecutor().get_run({run.run_id!r}).'
    )


def test_something_else_that_is_not_waited_for_long_enough_can_be_asked_for_again():
    with pytest.raises(TimeoutError, match=r'^It has not ended within 0 s\. It goes on: ask again\.$'):
        wait_for('It', lambda: None, lambda: None, lambda: None, 0)


# A run shows itself


def test_a_notebook_shows_a_run_as_a_table_and_escapes_what_is_in_it(shown):
    run, _ = shown
    assert run._repr_html_() == (
        '<table><tr><th>Run</th><td>run-7</td></tr><tr><th>Name</th><td>&lt;b&gt;daily&lt;/b&gt;</td></tr>'
        '<tr><th>Status</th><td>running</td></tr><tr><th>Started (UTC)</th><td>1970-01-01 00:00:00</td></tr></table>'
    )


def test_a_run_that_goes_on_is_shown_with_the_calls_that_a_wait_has_counted(shown):
    run, _ = shown
    run._counted = (4, 3)
    assert '<th>Calls ended</th><td>3 of 4, when last counted</td>' in run._repr_html_()


def test_showing_a_run_costs_two_requests_at_the_most(shown):
    run, bucket = shown
    run._repr_html_()
    assert bucket.requests == 2


def test_a_run_that_has_ended_is_shown_with_its_status(shown):
    run, bucket = shown
    bucket.put_new(outcome_key(run.session), encode({'status': 'failed', 'error': ['ValueError', 'no'], 'time': 1.0}))
    run._counted = (4, 3)
    assert '<td>failed</td>' in run._repr_html_() and 'Calls' not in run._repr_html_()


def test_a_run_whose_bucket_is_out_of_reach_says_so_at_once_and_escaped(shown):
    run, bucket = shown
    bucket.reachable = False
    assert 'the bucket cannot be reached (StoreUnavailable: &lt;no route&gt;)' in run._repr_html_() and bucket.requests == 1


def test_a_run_that_was_purged_is_shown_as_such(shown):
    run, bucket = shown
    bucket.delete([run_key('run-7')])
    assert 'not there any more: it was purged' in run._repr_html_()


def test_a_run_is_shown_at_a_prompt_without_a_request(shown):
    run, bucket = shown
    assert repr(run) == "Run('run-7')" and not bucket.requests


def test_a_run_that_is_gone_names_the_bucket_in_which_it_is_not(shown):
    run, bucket = shown
    bucket.delete([run_key('run-7')])
    with pytest.raises(RunNotFoundError, match=r"No run 'run-7' in minio://mine\. It may have been purged"):
        run.status()


# The same run id again


def _told(caplog, run):
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    return [line for line in lines if run.run_id in line]


@pytest.mark.parametrize('orchestrator, ended', [(main, 'completed'), (failing, 'failed')], ids=['completed', 'failed'])
def test_the_id_of_a_run_that_has_ended_is_told_to_be_an_old_outcome(executor, caplog, orchestrator, ended):
    run = executor.run(orchestrator, run_id=f'old-{ended}')
    run.wait(timeout=90)
    assert not _told(caplog, run)
    executor.run(orchestrator, run_id=run.run_id)
    (line,) = _told(caplog, run)
    assert f'it is there, and {ended} on 20' in line and 'UTC. This is its old outcome.' in line
    assert f"get_run('{run.run_id}').purge()), or choose another run id" in line and '\n' not in line


def test_the_id_of_a_run_that_was_cancelled_is_told_likewise(executor, caplog):
    run = executor.run(sleeping, run_id='old-cancelled')
    run.cancel()
    executor.run(sleeping, run_id=run.run_id)
    assert 'it is there, and was cancelled on 20' in _told(caplog, run)[0]


def test_the_id_of_a_run_that_goes_on_is_found_without_a_word(executor, caplog):
    run = executor.run(sleeping, run_id='going-on')
    assert executor.run(sleeping, run_id=run.run_id).session == run.session and not _told(caplog, run)
    run.cancel()


def test_an_old_outcome_is_told_where_no_log_was_set_up(tmp_path, environment):
    (tmp_path / 'script.py').write_text(FAILED_BEFORE)
    found = subprocess.run(
        [sys.executable, 'script.py'], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    (line,) = found.stderr.splitlines()
    assert found.returncode == 0 and line.startswith('Run again is not started again: it is there, and failed on ')


# What is not there


def _config_file(tmp_path, text):
    path = tmp_path / 'config'
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


@pytest.mark.parametrize(
    'text, said',
    [
        ('lithops: {backend: localhost\n  password: [', r'is not YAML: line 2, column 11: expected'),
        ('- a', 'is a mapping of sections; found a list'),
        ('lithops: 5', "has a section 'lithops', which is a mapping; found a int"),
        ('aws_s3: text', "has a section 'aws_s3', which is a mapping; found a str"),
        (b'\xff\xfe\x00', 'is not text in UTF-8'),
        ('lithops: {storage: aws_3}', "Found storage 'aws_3', which Lithops does not have. Is 'aws_s3' meant?"),
        ('lithops: {storage: elsewhere}', r"Found storage 'elsewhere', which Lithops does not have. It has .*localhost"),
        ('lithops: {backend: lambda}', "Found compute backend 'lambda', which Lithops does not have. .*'aws_lambda'"),
        ('lithops: {log_level: LOUD}', 'does not take the settings of its log: .*LOUD'),
        ('lithops: {storage: minio}', 'Lithops does not take this configuration'),
    ],
    ids=['no yaml', 'list', 'section', 'storage section', 'bytes', 'misspelt', 'storage', 'compute', 'log level', 'no section'],
)
def test_a_configuration_that_cannot_be_used_is_a_sentence(tmp_path, text, said):
    lithops_logger = logging.getLogger('lithops')
    lithops_logger.setLevel(logging.WARNING)
    with pytest.raises(ConfigurationError, match=said) as raised:
        TriggerflowExecutor(config_file=_config_file(tmp_path, text))
    assert '\n' not in str(raised.value)


def test_a_configuration_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=f'The configuration file {tmp_path}/none is not there'):
        load_given(None, f'{tmp_path}/none')


def test_a_configuration_of_the_environment_that_is_no_json_is_named(monkeypatch):
    monkeypatch.setenv('LITHOPS_CONFIG', '{"secret')
    with pytest.raises(ConfigurationError, match='The environment variable LITHOPS_CONFIG is not JSON') as raised:
        load_given(None, None)
    assert 'secret' not in str(raised.value)


S3 = {'region': 'us-east-1', 'storage_bucket': 'mine', 'access_key_id': 'a', 'secret_access_key': 'b'}


def test_the_client_of_a_storage_that_is_not_installed_is_named_with_the_command_that_installs_it(monkeypatch):
    for name in [name for name in sys.modules if name.startswith('lithops.storage.backends.aws_s3')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'boto3', None)
    said = r"storage 'aws_s3' needs the Python module 'boto3', .*pip install \"lithops\[aws\]\""
    with pytest.raises(ConfigurationError, match=said):
        TriggerflowExecutor(config={'lithops': {'backend': 'localhost', 'storage': 'aws_s3'}, 'aws_s3': S3}, log_level=None)


def test_the_client_of_a_compute_backend_that_is_not_installed_is_named_likewise(monkeypatch, config):
    for name in [name for name in sys.modules if name.startswith('lithops.serverless.backends.aws_lambda')]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'boto3', None)
    wanted = {'lithops': {'backend': 'aws_lambda', 'storage': 'aws_s3'}, 'aws': {'region': 'us-east-1'}, 'aws_lambda': {}}
    with pytest.raises(ConfigurationError, match=r"compute backend 'aws_lambda' needs the Python module 'boto3'"):
        TriggerflowExecutor(config=wanted, log_level=None)


# One fails when the bucket is looked for, the other one when its client is made
@pytest.mark.parametrize('endpoint', ['http://127.0.0.1:1', 'http://no host'])
def test_a_bucket_that_cannot_be_reached_is_one_sentence_and_no_traceback_in_the_log(tmp_path, environment, endpoint):
    wanted = {'lithops': {'backend': 'localhost', 'storage': 'minio'}, 'minio': {**S3, 'endpoint': endpoint}}
    found = subprocess.run(
        [COMMAND, 'runs', '--config', _config_file(tmp_path, yaml.dump(wanted))],
        env=environment,
        capture_output=True,
        text=True,
    )
    (line,) = found.stderr.splitlines()
    assert found.returncode == 1 and line.startswith("Error: Bucket 'mine' of storage 'minio' cannot be reached: ")


# An unsuitable Lithops


@pytest.fixture
def import_with(tmp_path, environment):
    """What is said where there is another Lithops, which has these files: ``import_with({'version.py': …})``."""

    def found(files, command):
        for name, text in files.items():
            path = tmp_path / 'lithops' / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return subprocess.run(
            command, env={**environment, 'PYTHONPATH': str(tmp_path)}, cwd=tmp_path, capture_output=True, text=True
        )

    return found


IMPORT = [sys.executable, '-c', 'import triggerflow_lithops']


@pytest.mark.parametrize(
    'files, said',
    [
        ({'__init__.py': '', 'version.py': '__version__ = "3.6.4"'}, 'Found Lithops 3.6.4 in'),
        ({'__init__.py': '', 'version.py': '__version__ = "4.0.0"'}, 'Found Lithops 4.0.0 in'),
        ({'__init__.py': 'import no_such_package'}, "cannot be imported: ModuleNotFoundError: No module named 'no_such_package'"),
    ],
    ids=['old', 'new', 'broken'],
)
def test_a_lithops_that_does_not_suit_is_a_sentence_when_the_package_is_imported(import_with, files, said):
    last = import_with(files, IMPORT).stderr.strip().splitlines()[-1]
    assert 'InstallationError' in last and said in last and 'pip install "lithops>=3.8,<4"' in last


def test_on_the_command_line_it_is_the_sentence_alone(import_with):
    found = import_with({'__init__.py': '', 'version.py': '__version__ = "3.6.4"'}, [COMMAND, 'runs'])
    (line,) = found.stderr.splitlines()
    assert found.returncode == 1 and line.startswith('Error: Found Lithops 3.6.4 in')


def test_where_there_is_no_lithops_but_what_this_plugin_put_there_it_is_not_installed(monkeypatch, tmp_path):
    (tmp_path / 'lithops' / 'monitoring').mkdir(parents=True)
    monkeypatch.setattr(sys, 'path', [str(tmp_path)])
    for name in [name for name in sys.modules if name.split('.')[0] == 'lithops']:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(installation.InstallationError, match='Lithops is not installed for'):
        installation._found()


@pytest.mark.parametrize('version', ['3.8.0', '3.8.1.dev0', '3.9rc1', '3.10.0', 'unknown'])
def test_releases_that_suit(version):
    installation.require_version(version)


def test_a_name_that_lithops_does_not_have_any_more_is_a_sentence():
    said = r"lacks something that triggerflow-lithops uses: .*'no_such_name'"
    with pytest.raises(installation.InstallationError, match=said), installation.imports_of_lithops():
        from lithops.wait import no_such_name  # noqa: F401
    with pytest.raises(installation.InstallationError, match='no_such_name'), installation.imports_of_lithops():
        _ = lithops.FunctionExecutor.no_such_name


def test_a_name_that_something_else_lacks_is_what_it_was():
    with pytest.raises(ImportError, match='no_such_name'), installation.imports_of_lithops():
        from json import no_such_name  # noqa: F401


# In an editor


def test_a_type_checker_knows_what_a_run_returns(tmp_path):
    (tmp_path / 'snippet.py').write_text(TYPES)
    # An error that is not there where one is expected is an error, too
    options = ['--warn-unused-ignores', '--cache-dir', str(tmp_path / 'cache')]
    found = subprocess.run([sys.executable, '-m', 'mypy', *options, 'snippet.py'], cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_a_run_is_generic_at_run_time_too():
    assert Run[int].__origin__ is Run
