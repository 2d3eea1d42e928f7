"""What cleaners do: ``lithops clean`` does no harm to a run, and a run that lost what it needs says so."""

import json
import os
import pickle
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import lithops
import pytest
import servers
import whole
import yaml
from click.testing import CliRunner
from lithops.constants import JOBS_PREFIX, LOGS_PREFIX, RUNTIMES_PREFIX, TEMP_PREFIX
from lithops.storage import InternalStorage, cloud_proxy
from lithops.storage import utils as storage_utils

from triggerflow_lithops import (
    END,
    CallAsync,
    CloudEvent,
    Failed,
    RunLost,
    RunNotFoundError,
    Succeeded,
    Triggerflow,
    TriggerflowExecutor,
)
from triggerflow_lithops.cli import main as cli
from triggerflow_lithops.client.polling import wait_for
from triggerflow_lithops.client.run import value_of
from triggerflow_lithops.core import condition
from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.run import keys
from triggerflow_lithops.core.run.engine import Engine
from triggerflow_lithops.core.run.keys import Call
from triggerflow_lithops.core.run.loss import Gone, end_if_lost, lose
from triggerflow_lithops.core.run.sweep import Limits, Sweeper
from triggerflow_lithops.core.run.trigger import Members, Trigger
from triggerflow_lithops.core.store import Facts, StoreUnavailable, encode
from triggerflow_lithops.orchestrator.activation import read_history
from triggerflow_lithops.replay.outputs import Output, Outputs
from triggerflow_lithops.testing.api import simulating
from triggerflow_lithops.testing.scheduler import EPOCH
from triggerflow_lithops.testing.simulation import Simulation

CLEAN = [sys.executable, '-c', 'from lithops.scripts.cli import lithops_cli; lithops_cli()', 'clean']
#: Files that Lithops' own local workers keep, beside the objects of a bucket on localhost
LOCAL_FILES = ('/execution.log', '/job_stats.txt')


def add3(x):
    return x + 3


def large(x):
    return bytes([x]) * 100_000


def total(results):
    return sum(map(len, results))


def until_there(path):
    until = time.monotonic() + 60
    while not os.path.exists(path):
        assert time.monotonic() < until, f'{path} never came'
        time.sleep(0.05)


def wait_for_file(began, go_on):
    """Says that it has begun, and ends when it is told to."""
    Path(began).touch()
    until_there(go_on)
    return 'went on'


def in_two_steps(args):
    """One call has ended, and another one goes on until there is a file."""
    fexec = lithops.FunctionExecutor()
    first = fexec.get_result(fexec.call_async(large, 7))
    return len(first), fexec.get_result(fexec.call_async(wait_for_file, (args['began'], args['go on'])))


@pytest.fixture
def files(tmp_path):
    return {name: str(tmp_path / name.replace(' ', '-')) for name in ('began', 'go on')}


# Where things lie


def test_nothing_of_ours_begins_with_a_prefix_that_lithops_cleans():
    for ours in keys.PREFIXES:
        assert not ours.startswith((JOBS_PREFIX, TEMP_PREFIX, LOGS_PREFIX, RUNTIMES_PREFIX))


def of_run(session, monitoring='triggerflow'):
    return json.dumps({'lithops': {'monitoring': monitoring}, 'triggerflow': {'run': {'session': session}}})


def keys_that_lithops_makes(executor_id):
    return [
        storage_utils.create_func_key(executor_id, 'hash'),
        storage_utils.create_data_key(executor_id, 'M000'),
        storage_utils.create_output_key(executor_id, 'M000', '00000'),
        storage_utils.create_status_key(executor_id, 'M000', '00000'),
        storage_utils.create_init_key(executor_id, 'M000', '00000', 'activation'),
    ]


@pytest.mark.parametrize('executor_id', ['r-1', 'r-1-0', 'r-1-0-M000-00003-0123456789ab-0'])
def test_lithops_makes_its_keys_of_a_run_below_ours(monkeypatch, executor_id):
    monkeypatch.setenv('LITHOPS_CONFIG', of_run('r-1'))
    made = keys_that_lithops_makes(executor_id)
    assert {key.split('/')[0] for key in made} == {keys.JOBS}
    monkeypatch.delenv('LITHOPS_CONFIG')
    assert [key.replace(JOBS_PREFIX, keys.JOBS, 1) for key in keys_that_lithops_makes(executor_id)] == made


@pytest.mark.parametrize(
    'config',
    [None, '', 'lithops: {}', '[]', '{"lithops": {}}', of_run('r-12'), of_run('r-1'), of_run('r-1', 'storage')],
    ids=['none', 'empty', 'yaml', 'a list', 'no run', 'another run', 'an id that begins so', 'another monitoring'],
)
def test_a_call_of_no_run_has_its_keys_where_lithops_has_them(monkeypatch, config):
    """In the same process, which may have served a call of a run before."""
    monkeypatch.setenv('LITHOPS_CONFIG', of_run('r-1'))
    keys_that_lithops_makes('r-1-0')
    monkeypatch.delenv('LITHOPS_CONFIG')
    if config is not None:
        monkeypatch.setenv('LITHOPS_CONFIG', config)
    executor_id = 'r-12-0' if config == of_run('r-1') else 'r-1-0'
    assert {key.split('/')[0] for key in keys_that_lithops_makes(executor_id)} == {JOBS_PREFIX}


class Listed:
    """A storage that tells what it was asked for."""

    def __init__(self, **listed):
        self.listed = {prefix.replace('_', '.'): found for prefix, found in listed.items()}

    def list_keys(self, bucket, prefix):
        return self.listed.get(prefix.split('/')[0], [])


@pytest.mark.parametrize('monitoring, ended', [('triggerflow', '00001'), ('storage', '00002')])
def test_whoever_waits_inside_a_call_looks_where_its_calls_report(monkeypatch, monitoring, ended):
    monkeypatch.setenv('LITHOPS_CONFIG', of_run('r-1', monitoring))
    storage = InternalStorage.__new__(InternalStorage)
    storage.bucket = 'bucket'
    storage.storage = Listed(
        triggerflow_jobs=['triggerflow.jobs/r-1-0-M000/00001/status.json'],
        lithops_jobs=['lithops.jobs/r-1-0-M000/00002/status.json'],
    )
    assert storage.get_job_status('r-1-0', ['M000']) == (set(), {('r-1-0', 'M000', ended)})
    assert storage.get_job_status('r-1-0') == (set(), {('r-1-0', 'M000', ended)})


def test_an_executor_inside_a_call_may_have_another_monitoring_backend(run):
    """Its workers load nothing of ours, so they write where Lithops does, and it looks there."""

    def own(x):
        fexec = lithops.FunctionExecutor(monitoring='storage')
        return fexec.get_result(fexec.map(lambda y: y + 3, [x, x + 1], include_modules=None))

    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.call_async(own, 1))

    assert run(main, timeout=60) == [4, 5]


def test_nothing_of_a_run_lies_where_lithops_cleans_and_a_purge_leaves_nothing(executor):
    def nested(x):
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(lambda y: bytes([y]) * 100_000, [x, x + 1], include_modules=None))

    def main():
        fexec = lithops.FunctionExecutor()
        reduced = fexec.map_reduce(large, [1, 2, 3], total)
        chained = fexec.map(lambda given: len(given), fexec.map(large, [4]))
        return fexec.get_result(reduced), fexec.get_result(chained), len(fexec.get_result(fexec.call_async(nested, 5)))

    run = executor.run(main)
    reduced, chained, nested_results = run.result(timeout=90)
    assert reduced[-1] == 300_000 and chained[-1] == 100_000 and nested_results == 2
    named = [key for key in executor.store.list('') if run.run_id in key]
    for kind in ('/out/', 'aggdata.pickle', 'status.json', 'func.pickle', '.init', 'output.pickle', '/pack/'):
        assert any(kind in key for key in named), kind
    assert not [key for key in named if not key.startswith(keys.PREFIXES) and not key.endswith(LOCAL_FILES)]
    run.purge()
    assert not [key for key in executor.store.list('') if run.run_id in key]


def test_who_lists_the_bucket_as_a_folder_does_not_see_what_is_ours(run):
    def listed(_=None):
        return cloud_proxy.CloudFileProxy().listdir('')

    def main():
        cloud_proxy.CloudStorage().put_data('mine.txt', b'')
        fexec = lithops.FunctionExecutor()
        return listed(), fexec.get_result(fexec.call_async(listed, None))

    for names in run(main):
        assert 'mine.txt' in names and not [name for name in names if name.startswith(('triggerflow', 'lithops'))]


def test_a_session_is_taken_apart_again():
    assert keys.run_of_session(keys.session_of('a-b.c-1', '0f')) == ('a-b.c-1', '0f')


def test_outcomes_lie_beside_the_documents_of_runs_which_alone_are_listed_as_runs(executor):
    run = executor.run(lambda: 'done', run_id='beside-it')
    assert run.result(timeout=60) == 'done'
    beside = executor.store.list('triggerflow.runs/beside-it/')
    assert beside == sorted([keys.outcome_key(run.session), keys.run_key('beside-it')])
    assert [found.run_id for found in executor.list_runs()].count('beside-it') == 1
    run.purge()
    assert executor.store.list('triggerflow.runs/beside-it/') == []


# What ``lithops clean`` does


def clean(config, path, **environment):
    path.write_text(yaml.dump(config))
    done = subprocess.run([*CLEAN, '--config', str(path)], capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, done.stderr


def test_a_run_goes_on_when_its_object_store_is_cleaned(seaweedfs, config, tmp_path, files):
    """From another machine, which has temporary files of its own."""
    access = {'access_key_id': servers.ACCESS_KEY, 'secret_access_key': servers.SECRET_KEY}
    bucket = f'bucket-{uuid.uuid4().hex[:8]}'
    minio = {'endpoint': seaweedfs, 'storage_bucket': bucket, **access}
    s3 = {**config, 'lithops': {'backend': 'localhost', 'storage': 'minio'}, 'minio': minio}
    tf = TriggerflowExecutor(config=s3, log_level=None)
    tf.store.put_new(f'{JOBS_PREFIX}/of-a-plain-executor/hash.func.pickle', b'')
    run = tf.run(in_two_steps, files)
    until_there(files['began'])
    before = [key for key in tf.store.list('') if run.run_id in key]
    clean(s3, tmp_path / 'config.yaml', TMPDIR=str(tmp_path), HOME=str(tmp_path))
    assert tf.store.list('lithops.') == [] and [key for key in tf.store.list('') if run.run_id in key] == before
    Path(files['go on']).touch()
    assert run.result(timeout=90) == (100_000, 'went on')


#: A program with a home, a bucket and a local function service of its own
PROGRAM = textwrap.dedent(
    """
    import json, subprocess, sys, time
    from pathlib import Path

    import test_cleaning as here
    from triggerflow_lithops import RunNotFoundError, TriggerflowExecutor

    given = json.loads(sys.argv[1])
    tf = TriggerflowExecutor(config=given['config'], log_level=None)
    run = tf.run(here.in_two_steps, given['files'])
    here.until_there(given['files']['began'])
    here.clean(given['config'], Path(given['path']))

    def told(ask):
        try:
            return ask()
        except RunNotFoundError as error:
            return str(error)

    if given['completes']:
        Path(given['files']['go on']).touch()
        print(json.dumps(run.result(timeout=90)))
    else:
        asked = [run.status, lambda: run.result(timeout=0.1), run.wait, lambda: tf.get_run(run.run_id), run.purge]
        print(json.dumps([told(ask) for ask in asked]))
    """
)


def program(tmp_path, config, files, completes):
    given = {'config': config, 'files': files, 'path': str(tmp_path / 'config.yaml'), 'completes': completes}
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent / 'support'), os.environ.get('PYTHONPATH', '')])
    environment = {**os.environ, 'TMPDIR': str(tmp_path), 'HOME': str(tmp_path), 'PYTHONPATH': paths}
    done = subprocess.run(
        [sys.executable, '-c', PROGRAM, json.dumps(given)], capture_output=True, text=True, env=environment, timeout=180
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_on_localhost_a_run_that_was_cleaned_away_is_not_there_and_that_is_said_at_once(tmp_path, config, files):
    for said in program(tmp_path, config, files, completes=False):
        assert 'No run' in said and "'lithops clean'" in said


def test_a_run_on_an_object_store_survives_that_its_local_function_service_is_cleaned_away(seaweedfs, tmp_path, config, files):
    access = {'access_key_id': servers.ACCESS_KEY, 'secret_access_key': servers.SECRET_KEY}
    minio = {'endpoint': seaweedfs, 'storage_bucket': f'bucket-{uuid.uuid4().hex[:8]}', **access}
    s3 = {**config, 'lithops': {'backend': 'localhost', 'storage': 'minio'}, 'minio': minio}
    assert program(tmp_path, s3, files, completes=True) == [100_000, 'went on']


def never_there():
    raise RunNotFoundError('run-7', 'the bucket')


def out_of_reach():
    raise StoreUnavailable('nobody is there')


def test_whoever_waits_for_a_run_that_is_not_there_is_told_so_when_the_time_is_up():
    with pytest.raises(RunNotFoundError):
        wait_for('Run run-7', lambda: None, never_there, lambda: None, timeout=0)


def test_whoever_cannot_ask_whether_a_run_is_there_is_told_that_the_time_is_up():
    with pytest.raises(TimeoutError):
        wait_for('Run run-7', lambda: None, out_of_reach, lambda: None, timeout=0)


# Runs that are lost: who finds out, and what is written


LIMITS = Limits(life=100, start=10, max_deaths=3)


@pytest.fixture
def actions():
    return []


@pytest.fixture
def sweeper(bucket, actions):
    return Sweeper(Engine(bucket, actions.append), 's', LIMITS)


def outcome(facts):
    return facts.read(keys.outcome_key('s'))


def suspend(facts, number=0):
    """Activation ``number`` waits for three calls, which nobody has reported for long."""
    facts.create(keys.claim_key('s', number), {'cause': '', 'time': 0.0})
    facts.write(keys.fact_key('s', 0), encode(whole.job(activation=number)))
    calls = Members.of(Call('0-M000', index) for index in range(3))
    trigger = Trigger('s', number, 1, condition.join(3), calls, False, {'0-M000': 0}, None)
    facts.write(keys.trigger_key('s', number), encode(whole.trigger(trigger)))


def sweep(sweeper, now=1000.0):
    return sweeper.sweep(now, 0.0, lambda: None)


def test_a_sweep_that_finds_the_code_gone_ends_the_run_as_lost_and_starts_nothing(bucket, sweeper, actions):
    suspend(bucket)
    bucket.store.delete([keys.code_key('s')])
    assert sweep(sweeper) == [f'the run is lost: {keys.code_key("s")}, which holds its orchestrator, is gone']
    assert outcome(bucket)['status'] == 'lost' and not actions
    assert sweep(sweeper, 5000.0) == [] and not actions


def test_a_sweep_that_finds_nothing_overdue_does_not_look_for_the_code(bucket, sweeper):
    suspend(bucket)
    bucket.store.delete([keys.code_key('s')])
    assert sweep(sweeper, now=10.0) == [] and outcome(bucket) is None


def test_a_sweep_that_finds_a_scheduled_job_gone_ends_the_run_as_lost(bucket, sweeper, actions):
    suspend(bucket)
    bucket.store.delete([keys.fact_key('s', 0)])
    assert sweep(sweeper) == [f'the run is lost: {keys.fact_key("s", 0)}, which had scheduled 0-M000, is gone']
    assert outcome(bucket)['status'] == 'lost' and not actions


def test_an_activation_that_died_since_the_code_is_gone_is_not_succeeded(bucket, sweeper, actions):
    bucket.store.delete([keys.code_key('s')])
    sweeper.handle_death(0, 'it could not be loaded', now=1.0)
    assert outcome(bucket)['status'] == 'lost' and not actions


@pytest.mark.parametrize('ended', [True, False], ids=['ended', 'purged'])
def test_an_activation_that_died_is_not_succeeded_in_a_run_that_is_over(bucket, sweeper, actions, ended):
    if ended:
        bucket.create(keys.outcome_key('s'), {'status': 'lost', 'reason': 'the first one', 'time': 0.0})
    else:
        bucket.store.delete([keys.run_key('')])
    sweeper.handle_death(0, 'its process was killed', now=1.0)
    assert not actions and (outcome(bucket) or {}).get('reason') == ('the first one' if ended else None)


def test_nothing_is_repaired_or_written_in_a_run_that_was_purged(bucket, sweeper, actions):
    suspend(bucket)
    bucket.store.delete([keys.run_key(''), keys.code_key('s')])
    assert sweep(sweeper) == [] and outcome(bucket) is None and not actions


def test_a_store_that_does_not_answer_is_no_loss(bucket):
    class Silent(MemoryStore):
        def list(self, prefix):
            raise StoreUnavailable('nobody is there')

    store = Silent()
    for key in bucket.store.list(''):
        store.put_new(key, bucket.store.get(key))
    facts = Facts(store, pauses=())
    with pytest.raises(StoreUnavailable):
        end_if_lost(facts, 's', 1.0)
    assert outcome(facts) is None


def test_a_loss_is_written_once_and_never_over_another_outcome(bucket):
    assert lose(bucket, 's', 'the first one', 1.0) and not lose(bucket, 's', 'the second one', 2.0)
    assert outcome(bucket)['reason'] == 'the first one'


def test_a_loss_is_not_written_for_a_run_that_was_purged_or_is_of_another_incarnation(bucket):
    assert not lose(bucket, '-another', 'gone', 1.0)
    bucket.store.delete([keys.run_key('')])
    assert not lose(bucket, 's', 'gone', 1.0) and outcome(bucket) is None


def test_a_trigger_that_was_removed_is_not_passed_over(bucket):
    suspend(bucket)
    bucket.create(keys.claim_key('s', 1), {})
    with pytest.raises(Gone, match=r'a/000001/trigger.json, which activation 1 had written, is gone'):
        read_history(bucket, 's', 2)


def test_an_activation_that_died_has_left_no_trigger_and_that_is_no_loss(bucket):
    suspend(bucket)
    bucket.create(keys.death_key('s', 1), {'reason': 'killed', 'time': 0, 'due': 0})
    history = read_history(bucket, 's', 2)
    assert history.has_gaps and history.position == 1


def test_a_pack_that_was_removed_is_a_loss(bucket):
    suspend(bucket)
    trigger = bucket.read(keys.trigger_key('s', 0))
    bucket.store.delete([keys.trigger_key('s', 0)])
    pack = keys.pack_key('s', 'abc')
    bucket.create(keys.trigger_key('s', 0), {**trigger, 'history': {**trigger['history'], 'packs': [pack]}})
    with pytest.raises(Gone, match='pack/abc, which holds the history'):
        read_history(bucket, 's', 1)


def test_an_output_that_was_removed_is_a_loss_and_so_is_a_pack_of_them(bucket):
    call = Call('0-A000', 0)
    outputs = Outputs(bucket, 's', lambda function, items: [function(item) for item in items])
    with pytest.raises(Gone, match='which a call returned, is gone'):
        outputs.get(Output(call, 'out/1', 10))
    outputs.load([[keys.pack_key('s', 'abc'), {'0-A000': [[0, 1]]}, 10]])
    with pytest.raises(Gone, match='pack/abc, which holds what calls returned, is gone'):
        outputs.get(Output(call, 'out/1', 10))


def test_a_lost_run_raises_an_error_that_says_what_is_gone_and_survives_pickling():
    with pytest.raises(RunLost, match=r'run-7 is lost: its code is gone.*Purge it, and start a new one') as raised:
        value_of('run-7', {'status': 'lost', 'reason': 'its code is gone', 'time': 1.0})
    again = pickle.loads(pickle.dumps(raised.value))
    assert (again.run_id, again.reason, str(again)) == ('run-7', 'its code is gone', str(raised.value))


# Runs that are lost: how they look


def remove_code(run):
    return [keys.code_key(run.session)]


def remove_trigger(run):
    return run._facts.list(keys.activation_prefix(run.session))[-1:]


def remove_outputs(run):
    found = run._facts.list(f'{keys.JOBS}/{run.session}')
    return [key for key in found if '/out/' in key or '/pack/' in key]


def suspended_twice(run):
    return keys.trigger_key(run.session, 1) in run._facts.list(keys.activation_prefix(run.session))


@pytest.mark.parametrize(
    'find, gone', [(remove_code, 'orchestrator'), (remove_trigger, 'a/000001/trigger.json'), (remove_outputs, 'pack/')]
)
def test_a_run_that_cannot_go_on_is_lost_and_nothing_of_it_starts_again(executor, config, tmp_path, files, find, gone):
    run = executor.run(in_two_steps, files)
    until_there(files['began'])
    until = time.monotonic() + 30
    while not suspended_twice(run):
        assert time.monotonic() < until
        time.sleep(0.02)
    removed = find(run)
    assert removed and any(gone in key for key in removed)
    executor.store.delete(removed)
    Path(files['go on']).touch()
    assert run.wait(timeout=60) == 'lost' == run.status()
    with pytest.raises(RunLost, match=gone) as raised:
        run.result(timeout=60)
    assert raised.value.run_id == run.run_id
    end = run.history()[-1]
    assert end['type'] == 'event.triggerflow.run.lost' and end['data'] == {'reason': raised.value.reason}
    lived = [activation['number'] for activation in run.activations()]
    assert run.sweep() == [] and len(lived) <= 3 and run.status() == 'lost'
    path = tmp_path / 'config.yaml'
    path.write_text(yaml.dump(config))
    listed, told = (
        CliRunner().invoke(cli.main, [*command, '--config', str(path)]).output for command in (['runs'], ['status', run.run_id])
    )
    assert 'lost' in next(line for line in listed.splitlines() if run.run_id in line).split()
    assert ['Status', 'lost'] in [line.split() for line in told.splitlines()] and gone in told
    run.purge()
    assert not [key for key in executor.store.list('') if run.run_id in key]


def holds_on(context, events):
    wait_for_file(*events[0]['data'])


def test_a_trigger_whose_action_is_lost_has_failed(config, files):
    tf = Triggerflow(f'w-{uuid.uuid4().hex[:8]}', config=config, log_level=None)
    event = CloudEvent('go', 'now', data=[files['began'], files['go on']])
    tf.add_trigger('held', event, action=CallAsync(holds_on))
    tf.add_trigger('end', [Succeeded('held'), Failed('held')], action=END)
    tf.publish(event)
    until_there(files['began'])
    (run,) = tf.runs('held')
    assert lose(run._facts, run.session, 'its code is gone', time.time())
    assert f'{run.run_id}: that it failed was published' in tf.sweep()
    assert tf.wait(timeout=60) == [{'error': ['RunLost', 'its code is gone']}]
    Path(files['go on']).touch()
    tf.delete_workspace()


def steps(args):
    fexec = lithops.FunctionExecutor()
    for step in range(6):
        args.append(time.time())
        fexec.get_result(fexec.map(slowly, [step, step]))
    return 'done'


def slowly(x):
    time.sleep(20)
    return x


class Started(list):
    """When the orchestrator stood at one of its steps. Every simulated activation has the same one."""

    def __reduce__(self):
        return _started, ()


STARTED = Started()


def _started():
    return STARTED


@pytest.mark.parametrize('asked', [True, False])
def test_no_user_code_of_a_lost_run_runs_again_whatever_was_removed_and_when(asked):
    statuses = set()
    with simulating():
        for seed in range(30):
            STARTED.clear()
            run = Simulation(steps, STARTED, seed, asked=asked, cleaned=True).run()
            assert not run.broken, seed
            statuses.add(run.status)
            assert run.status == 'lost' or run.result() == 'done'
            assert max(STARTED, default=0) <= EPOCH + run.seconds, seed
            if run.status == 'lost':
                with pytest.raises(RunLost):
                    run.result()
                assert run.history()[-1]['type'].endswith('run.lost')
                assert len(run.activations()) < 7
    assert statuses == {'lost', 'completed'}
