"""The client's side: starting runs, following them, and what is refused."""

import socket
import subprocess
import sys
import textwrap
import threading
import time

import lithops
import pytest

from triggerflow_lithops import (
    ConfigurationError,
    InstallationError,
    InvalidRunError,
    NotDurableError,
    OutcomeError,
    OutsideOrchestratorError,
    RunCancelled,
    RunExistsError,
    RunNotFoundError,
    TriggerflowExecutor,
    now,
)
from triggerflow_lithops.core import event
from triggerflow_lithops.core.run.keys import is_key_of, outcome_key, run_key
from triggerflow_lithops.core.store import Facts, StoreUnavailable
from triggerflow_lithops.deployment import installation


def add3(x):
    return x + 3


def main(args):
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.call_async(add3, args.get('x', 0)))


def sleeper():
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.call_async(_sleep, 30))


def _sleep(seconds):
    time.sleep(seconds)


def until_there(condition):
    until = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < until, 'it never came true'
        time.sleep(0.05)


def objects_of(run):
    return run._facts.list(f'triggerflow.jobs/{run.session}') + run._facts.list(f'triggerflow.runs/{run.run_id}/')


# Arguments


def test_an_orchestrator_of_one_argument_gets_an_empty_dict(run):
    assert run(lambda args: args) == {}


def test_an_orchestrator_of_no_argument_gets_none(run):
    assert run(lambda: 'called') == 'called'


def test_arguments_are_given_exactly(run):
    assert run(lambda args: args, None) is None
    assert run(lambda args: args, {'x': [1]}) == {'x': [1]}


def test_a_callable_object_may_be_an_orchestrator(run):
    class Orchestrator:
        def __call__(self, args):
            return args

    assert run(Orchestrator(), 5) == 5


# Following


def test_a_run_is_followed_by_its_id_from_another_process(executor, tmp_path):
    run = executor.run(main, {'x': 4})
    code = f"""
        from triggerflow_lithops import TriggerflowExecutor
        config = {{'lithops': {{'backend': 'localhost', 'storage': 'localhost'}}}}
        print(TriggerflowExecutor(config=config, log_level=None).get_run({run.run_id!r}).result(timeout=90))
    """
    found = subprocess.run([sys.executable, '-c', textwrap.dedent(code)], capture_output=True, text=True, cwd=tmp_path)
    assert found.stdout.strip() == '7', found.stderr


def test_code_that_is_deployed_meanwhile_does_not_touch_a_run_in_flight(executor, tmp_path):
    module = tmp_path / 'deployed.py'
    code = """
        import time
        import lithops

        def version(seconds):
            time.sleep(seconds)
            return {number}

        def main():
            fexec = lithops.FunctionExecutor()
            values = [fexec.call_async(version, {number}).result(), {number}]
            return [*values, fexec.call_async(version, 0).result()]
    """
    module.write_text(textwrap.dedent(code.format(number=2)))
    client = """
        from deployed import main
        from triggerflow_lithops import TriggerflowExecutor
        config = {'lithops': {'backend': 'localhost', 'storage': 'localhost'}}
        TriggerflowExecutor(config=config, log_level=None).run(main, run_id='in-flight')
    """
    subprocess.run([sys.executable, '-c', textwrap.dedent(client)], cwd=tmp_path, check=True, timeout=60)
    module.write_text(textwrap.dedent(code.format(number=1)))
    assert executor.get_run('in-flight').result(timeout=60) == [2, 2, 2]


def test_a_client_that_is_killed_right_after_run_changes_nothing(executor, tmp_path):
    code = """
        import os, time, lithops
        from triggerflow_lithops import TriggerflowExecutor

        def slow(x):
            time.sleep(1)
            return x + 3

        def main():
            fexec = lithops.FunctionExecutor()
            value = fexec.get_result(fexec.call_async(slow, 0))
            return fexec.get_result(fexec.call_async(slow, value))

        config = {'lithops': {'backend': 'localhost', 'storage': 'localhost'}}
        TriggerflowExecutor(config=config, log_level=None).run(main, run_id='orphan')
        os.kill(os.getpid(), 9)
    """
    (tmp_path / 'client.py').write_text(textwrap.dedent(code))
    client = subprocess.run([sys.executable, str(tmp_path / 'client.py')])
    assert client.returncode == -9
    run = executor.get_run('orphan')
    assert run.result(timeout=90) == 6 and len(run.activations()) >= 3


def test_the_same_id_twice_is_one_run(executor):
    one, other = executor.run(main, run_id='twice'), executor.run(main, run_id='twice')
    assert one.session == other.session and one.result(timeout=90) == other.result(timeout=30) == 3
    assert len([event for event in one.history() if event['type'].endswith('job.scheduled')]) == 1


def test_an_id_that_another_orchestrator_has_is_refused(executor):
    executor.run(main, run_id='taken')
    with pytest.raises(RunExistsError, match='purge that run'):
        executor.run(sleeper, run_id='taken')


def test_a_result_that_is_late_is_a_time_out_and_the_run_goes_on(executor):
    run = executor.run(sleeper)
    with pytest.raises(TimeoutError, match='It goes on'):
        run.result(timeout=0.5)
    assert run.status() == 'running'
    run.cancel()


def test_runs_are_listed(executor):
    run = executor.run(main, name='to be listed')
    assert ('to be listed', run.run_id) in [(found.name, found.run_id) for found in executor.list_runs()]


def test_a_history_is_made_of_cloudevents_from_start_to_outcome(executor):
    run = executor.run(main)
    run.result(timeout=90)
    history = run.history()
    types = [event.validated(found)['type'] for found in history]
    assert types[0] == event.RUN_STARTED and types[-1] == event.RUN_ENDED['completed']
    assert {event.JOB_SCHEDULED, event.SUCCESS, event.ACTIVATION_SUSPENDED} < set(types)
    assert f'{run.run_id}/0/A000/00000' in [found['subject'] for found in history]


def test_activations_tell_when_they_lived_and_why(executor):
    run = executor.run(main)
    run.result(timeout=90)
    first, last = run.activations()
    assert (first['number'], first['result'], last['number'], last['result']) == (0, 'suspended', 1, 'completed')
    assert first['started'] < first['ended'] < last['started'] < last['ended']


def test_no_activation_is_alive_while_calls_sleep(executor):
    def orchestrator():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(_sleep, [12, 12]))

    run = executor.run(orchestrator)
    run.result(timeout=90)
    first, second = run.activations()
    spans = [found['data'] for found in run.history() if found['type'] == event.SUCCESS]
    assert first['ended'] < min(span['worker_end_tstamp'] for span in spans)
    assert max(span['worker_end_tstamp'] for span in spans) <= second['started']


def test_a_run_that_is_cancelled_says_so(executor):
    run = executor.run(sleeper)
    run.cancel()
    assert run.wait(timeout=60) == 'cancelled'
    with pytest.raises(RunCancelled):
        run.result()


def test_an_outcome_is_not_cancelled_any_more(executor):
    run = executor.run(main)
    run.result(timeout=90)
    run.cancel()
    assert run.status() == 'completed'


def test_a_cancelled_run_starts_no_further_call(executor, tmp_path):
    begun, started, cancelled = tmp_path / 'begun', tmp_path / 'started', tmp_path / 'cancelled'

    def first(x):
        begun.touch()
        until_there(cancelled.exists)

    def second(x):
        started.touch()

    def orchestrator():
        fexec = lithops.FunctionExecutor()
        fexec.get_result(fexec.call_async(first, 0))
        fexec.get_result(fexec.call_async(second, 0))

    run = executor.run(orchestrator)
    until_there(lambda: begun.exists() and any(found['type'] == event.ACTIVATION_SUSPENDED for found in run.history()))
    run.cancel()
    cancelled.touch()
    until_there(lambda: any(found['type'] == event.SUCCESS for found in run.history()))
    executor.run(main).result(timeout=90)
    assert not started.exists()


def test_a_purged_run_leaves_nothing_and_its_id_may_be_used_again(executor):
    run = executor.run(main, run_id='again')
    run.result(timeout=90)
    run.purge()
    assert objects_of(run) == []
    with pytest.raises(RunNotFoundError):
        run.status()
    again = executor.run(main, {'x': 10}, run_id='again')
    assert again.session != run.session and again.result(timeout=90) == 13


def test_a_running_run_is_not_purged(executor):
    run = executor.run(sleeper)
    with pytest.raises(InvalidRunError, match='Cancel it first'):
        run.purge()
    run.cancel()


def test_a_run_leaves_nothing_but_its_own_objects_in_the_bucket(executor):
    before = set(executor.store.list(''))
    run = executor.run(main)
    run.result(timeout=90)
    # Runs of other tests may still be at it
    others = [other.session for other in executor.list_runs() if other.run_id != run.run_id]
    new = [key for key in executor.store.list('') if key not in before and not any(other in key for other in others)]
    beside = {run_key(run.run_id), outcome_key(run.session)}
    assert new and all(is_key_of(run.session, key) or key in beside for key in new)


# What is refused


def test_an_orchestrator_that_is_not_callable_is_refused(executor):
    with pytest.raises(InvalidRunError, match='found 5'):
        executor.run(5)


def test_arguments_that_cannot_be_pickled_are_refused(executor):
    with socket.socket() as connection, pytest.raises(InvalidRunError, match="The arguments → key 'x' cannot travel"):
        executor.run(main, {'x': connection})


@pytest.mark.parametrize('run_id', ['', 'a/b', '../x', 'x' * 65, 'with space'])
def test_what_is_no_run_id_is_refused(executor, run_id):
    with pytest.raises(InvalidRunError, match='a run id is 1 to 64'):
        executor.run(main, run_id=run_id)
    with pytest.raises(InvalidRunError, match='a run id is 1 to 64'):
        executor.get_run(run_id)


def test_an_unknown_run_says_how_to_list_those_that_are_there(executor):
    with pytest.raises(RunNotFoundError, match='triggerflow-lithops runs'):
        executor.get_run('nobody')


def test_an_unknown_key_is_refused_with_the_nearest_one(config):
    with pytest.raises(ConfigurationError, match="nearest one is 'idle_seconds'"):
        TriggerflowExecutor(config={**config, 'triggerflow': {'idle_second': 5}}, log_level=None)


@pytest.mark.parametrize('section', [{'idle_seconds': -1}, {'max_deaths': 'three'}, ['max_deaths']])
def test_a_value_that_means_nothing_is_refused(config, section):
    with pytest.raises(ConfigurationError):
        TriggerflowExecutor(config={**config, 'triggerflow': section}, log_level=None)


@pytest.mark.parametrize(
    ('named', 'told'),
    [
        ({'backend': 'openwhisk'}, 'Localhost storage backend cannot be used with openwhisk'),
        ({'backend': 'vm', 'storage': 'redis'}, "backend 'vm', which has virtual machines"),
        ({'storage': 'ceph'}, 'does not take this configuration: ceph section is mandatory'),
    ],
)
def test_what_cannot_run_is_refused_by_name(config, named, told):
    sections = {
        'openwhisk': {'endpoint': 'https://127.0.0.1:1', 'namespace': 'tests', 'api_key': 'a:b'},
        'redis': {'host': '127.0.0.1'},
        'vm': {'ip_address': '127.0.0.1', 'ssh_username': 'somebody'},
        'standalone': {'soft_dismantle_timeout': 60},
    }
    with pytest.raises(ConfigurationError, match=told):
        TriggerflowExecutor(config={**config, **sections}, log_level=None, **named)


def test_a_storage_that_cannot_be_reached_is_told_so(config):
    section = {'redis': {'host': '127.0.0.1', 'port': 1}}
    executor = TriggerflowExecutor(config={**config, **section}, log_level=None, storage='redis')
    with pytest.raises(ConfigurationError, match='so the run was not started'):
        executor.run(lambda: 1)


def test_a_container_as_runtime_is_refused(config):
    with pytest.raises(ConfigurationError, match='container image'):
        TriggerflowExecutor(config=config, log_level=None, runtime='some/image:1')


def test_a_lithops_without_the_patch_is_refused(tmp_path):
    with pytest.raises(InstallationError, match=r'is missing.*pip install'):
        installation.require_patch(tmp_path)


def test_a_patch_of_another_version_is_refused(tmp_path):
    patch = tmp_path / installation.BACKEND
    (patch / 'core').mkdir(parents=True)
    (patch / 'status.py').write_text('')
    (patch / 'core' / 'engine.py').write_text('old')
    with pytest.raises(InstallationError, match='of another version'):
        installation.require_patch(tmp_path)


def test_a_bucket_that_cannot_be_written_is_refused(config):
    executor = TriggerflowExecutor(config=config, log_level=None)

    class ReadOnly:
        def get(self, key):
            return None

        def put_new(self, key, value):
            from triggerflow_lithops.core.store import StoreUnavailable

            raise StoreUnavailable('read-only')

    executor.facts.store = ReadOnly()
    executor.facts._pauses = ()
    with pytest.raises(ConfigurationError, match='cannot be used, so the run was not started: read-only'):
        executor.run(main)


def test_durable_functions_are_refused_where_no_orchestrator_runs():
    with pytest.raises(OutsideOrchestratorError):
        now()


def test_an_outcome_that_cannot_be_pickled_fails_the_run(run):
    with pytest.raises(OutcomeError, match='cannot be pickled'):
        run(lambda: threading.Lock())


def test_a_future_does_not_leave_its_orchestrator(run):
    def orchestrator():
        return lithops.FunctionExecutor().call_async(add3, 1)

    with pytest.raises(OutcomeError, match=r'hand over future.result\(\)'):
        run(orchestrator)


def test_an_executor_inside_an_orchestrator_is_refused(run):
    with pytest.raises(NotDurableError, match='runs of runs'):
        run(lambda: TriggerflowExecutor())


def test_the_system_exit_of_an_orchestrator_fails_its_run(executor):
    run = executor.run(lambda: sys.exit(4))
    with pytest.raises(SystemExit):
        run.result(timeout=90)
    assert run.status() == 'failed'


def test_who_waits_for_a_run_goes_on_when_the_bucket_is_out_of_reach_for_a_while(executor):
    run = executor.run(main)
    reachable, refused = run._facts.store, []

    class Flaky:
        def __getattr__(self, name):
            if len(refused) < 30:
                refused.append(name)
                raise StoreUnavailable('out of reach')
            return getattr(reachable, name)

    run._facts = Facts(Flaky(), pauses=())
    assert run.result(timeout=60) == 3 and len(refused) == 30
