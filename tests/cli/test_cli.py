"""The command line, over real runs."""

import json

import click
import lithops
import pytest
import yaml
from click.testing import CliRunner

from triggerflow_lithops import Run, Triggerflow
from triggerflow_lithops.cli import main as cli
from triggerflow_lithops.cli.command import configured
from triggerflow_lithops.cli.runs import _with_status
from triggerflow_lithops.client import doctor
from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.store import StoreUnavailable


def add3(x):
    return x + 3


def main():
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.map(add3, [1, 2]))


def failing():
    raise ValueError('on purpose')


@pytest.fixture
def invoke(config, tmp_path):
    """What a command answers: ``invoke('status', 'run-7')``."""
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.dump(config))

    def invoke_with_config(command, *arguments):
        return CliRunner().invoke(cli.main, [command, *arguments, '--config', str(path)])

    return invoke_with_config


@pytest.fixture
def ended(executor):
    run = executor.run(main)
    run.result(timeout=90)
    return run


def test_runs_lists_a_run_with_its_status(invoke, ended):
    line = next(line for line in invoke('runs').output.splitlines() if ended.run_id in line)
    assert 'completed' in line


def test_status_counts_the_calls_of_a_run(invoke, ended):
    assert '2 of 2' in invoke('status', ended.run_id).output


def test_status_says_in_one_line_why_a_run_failed(invoke, executor):
    run = executor.run(failing)
    run.wait(timeout=90)
    assert 'ValueError: on purpose' in invoke('status', run.run_id).output


def test_history_is_a_line_per_event(invoke, ended):
    lines = invoke('history', ended.run_id).output.splitlines()
    assert len(lines) == len(ended.history()) and 'run.started' in lines[0] and 'run.completed' in lines[-1]


def test_history_as_json_is_what_the_run_tells(invoke, ended):
    assert json.loads(invoke('history', ended.run_id, '--json').output) == ended.history()


def test_sweep_has_nothing_to_repair_in_a_run_that_has_ended(invoke, ended):
    assert invoke('sweep', ended.run_id).output == f'{ended.run_id}: nothing to repair\n'


def test_a_sweep_of_everything_is_of_runs_that_go_on_and_of_workspaces(invoke, ended, config):
    tf = Triggerflow('swept', config=config, log_level=None)
    told = invoke('sweep').output.splitlines()
    assert 'workspace swept: nothing to repair' in told and not [line for line in told if line.startswith(ended.run_id)]
    assert invoke('delete', 'swept').output == 'swept: deleted\n' and 'swept' not in tf.list_workspaces()


def test_cancel_keeps_an_outcome_that_is_there(invoke, ended):
    assert invoke('cancel', ended.run_id).output == f'{ended.run_id}: completed\n'


def test_purge_removes_a_run(invoke, ended):
    invoke('purge', ended.run_id)
    assert ended.run_id not in invoke('runs').output


@pytest.mark.parametrize('command', ['status', 'history', 'sweep', 'cancel', 'purge'])
def test_a_run_that_is_not_there_is_a_sentence_and_an_exit_status_of_its_own(invoke, command):
    answer = invoke(command, 'nobody')
    assert answer.exit_code == 5 and answer.output.startswith("Error: No run 'nobody' in localhost://")
    assert len(answer.output.splitlines()) == 1


def test_what_is_no_run_id_is_an_error_without_a_traceback(invoke):
    answer = invoke('status', 'a/b')
    assert answer.exit_code == 1 and answer.output.startswith('Error: ') and 'a run id is 1 to 64' in answer.output


def test_a_command_that_is_used_wrongly_says_so_with_another_exit_status(invoke):
    assert invoke('status').exit_code == 2


def _raising(error):
    """A command during which something happens."""

    @click.command()
    @configured
    def command(create):
        raise error

    return command


def test_what_nobody_expected_is_a_sentence_too():
    answer = CliRunner().invoke(_raising(KeyError('calls')), [])
    assert answer.exit_code == 1 and answer.stderr == (
        "Error: KeyError: 'calls'. This was not expected: --debug shows where it comes from.\n"
    )


def test_in_debug_mode_an_error_is_shown_with_where_it_comes_from():
    answer = CliRunner().invoke(_raising(KeyError('calls')), ['--debug'])
    assert isinstance(answer.exception, KeyError)


def test_a_run_that_is_purged_while_runs_are_listed_is_left_out(ended):
    document = {**ended.document, 'run_id': 'gone', 'incarnation': '0a0a0a0a'}
    gone = Run(ended._config, ended._facts, document)
    assert list(_with_status([gone, ended])) == [(ended, 'completed')]


def test_doctor_finds_everything_in_order(invoke):
    answer = invoke('doctor')
    assert answer.exit_code == 0 and 'FAILED' not in answer.output and answer.output.count('ok') >= 8


def test_doctor_says_what_to_do_when_the_patch_is_missing(tmp_path):
    with pytest.raises(Exception, match='pip install'):
        doctor.patch(tmp_path)


def test_doctor_finds_out_a_store_that_overwrites():
    class Overwriting(MemoryStore):
        def put_new(self, key, value):
            self.delete([key])
            return super().put_new(key, value)

    with pytest.raises(RuntimeError, match='use another one'):
        doctor.create_only(Overwriting())


def test_doctor_goes_on_after_a_check_that_failed():
    def create():
        raise StoreUnavailable('no bucket')

    findings = list(doctor.examine(create))
    assert [finding.ok for finding in findings] == [True, True, True, False] and findings[-1].said == 'no bucket'


@pytest.mark.parametrize('data', ['{bad', '@nowhere', '[' * 100_000], ids=['half', 'no file', 'nested'])
def test_data_that_is_not_json_is_told_in_a_line(invoke, data):
    said = invoke('publish', 'etl', '--type', 'shard.done', '--subject', 'today', '--data', data)
    assert said.exit_code == 2 and 'is not JSON' in said.output and len(said.output) < 500
