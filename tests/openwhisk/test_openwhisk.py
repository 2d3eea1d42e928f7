"""Orchestrators as actions: Lithops' own clients, its real handler zip, a loopback OpenWhisk, a real S3 server."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import servers
from helpers import children, has_ended, renewing, settled, take_plugin_out, until, until_calls_began
from lithops.monitoring.backends.triggerflow import compute, status, sweep
from lithops.monitoring.backends.triggerflow.invoke import performer
from programs import (
    nap_then_add,
    nap_within_30_seconds,
    naps,
    tries_again,
    twice,
    waits_too_long,
    wants_more_memory,
    wide,
)

from triggerflow_lithops import ConfigurationError, InstallationError, Retry, RuntimeGone, TriggerflowExecutor
from triggerflow_lithops.core.run.action import start_activation
from triggerflow_lithops.deployment.store_border import create_store
from triggerflow_lithops.orchestrator import start_run

BOTH = pytest.mark.parametrize('backend', ['openwhisk', 'ibm_cf'], indirect=True)
EXAMPLES = Path(__file__).parent.parent.parent / 'examples'


def as_script(name, environment, *arguments):
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    return done.stdout


def first_and_last(openwhisk):
    """Activations of a run; one that comes twice is the one that came first."""
    by_number = {}
    for found in settled(openwhisk).of_run('activation'):
        by_number.setdefault(found.subject[1], found)
    return by_number[0], by_number[max(by_number)]


def hold_calls(openwhisk):
    """Calls get their processes only when no orchestrator is alive. One that stays alive has 20 seconds."""

    def cold(found):
        until_gone = time.monotonic() + 20
        while found.subject and found.subject[0] == 'call' and time.monotonic() < until_gone and alive(openwhisk):
            time.sleep(0.01)

    openwhisk.cold = cold


def alive(openwhisk):
    return [found for found in [*openwhisk.running.values()] if found.subject and found.subject[0] == 'activation']


def assert_each_orchestrator_was_gone(openwhisk):
    """When a call began the activation that had made it was over: it was not the one to wait."""
    activations = {found.subject[1]: found for found in settled(openwhisk).of_run('activation')}
    calls = openwhisk.of_run('call')
    assert all(activations[call.value['triggerflow']['number']].ended <= call.began for call in calls)
    assert len({found.id for found in [*activations.values(), *calls]}) == len(activations) + len(calls)
    return len(activations), len(calls)


# The examples


@BOTH
def test_hello_unchanged(openwhisk, config_file):
    hold_calls(openwhisk)
    assert as_script('hello.py', config_file).split() == ['6']
    # An activation hands over to a call, and is woken by it
    assert assert_each_orchestrator_was_gone(openwhisk) == (3, 2)


@BOTH
def test_word_count_unchanged(openwhisk, config_file, tmp_path):
    (tmp_path / 'words').mkdir()
    for number in range(3):
        (tmp_path / 'words' / f'{number}.txt').write_text('one two two\n' * (number + 1) + '0' * 4_000_000)
    hold_calls(openwhisk)
    told = as_script('word_count.py', config_file, str(tmp_path / 'words'))
    assert told.split()[:4] == ['12', 'two', '6', 'one'] or told.split()[:4] == ['two', '12', 'one', '6']
    # A call that lists the files, one for each, and one for their sum
    assert assert_each_orchestrator_was_gone(openwhisk) == (4, 5)


@BOTH
def test_search_unchanged(openwhisk, config_file):
    hold_calls(openwhisk)
    told = as_script('search.py', config_file)
    assert 'triggerflow' in told
    activations, calls = assert_each_orchestrator_was_gone(openwhisk)
    assert activations >= 2 and calls >= 4


# What goes wrong


def test_an_activation_that_was_dropped_is_started_by_a_sweep(openwhisk, executor, monkeypatch):
    monkeypatch.setattr(status, 'START', 1.0)
    dropped = []

    def fate(found):
        if found.subject == ('activation', 1) and not dropped:
            dropped.append(found)
            return 'drop'

    openwhisk.fate = fate
    assert executor.run(twice).result(timeout=90) == 6 and dropped


def test_activations_and_calls_that_come_twice_are_recorded_once(openwhisk, executor):
    openwhisk.fate = lambda found: 'twice' if found.subject else None
    run = executor.run(twice)
    assert run.result(timeout=90) == 6
    settled(openwhisk)
    events = [event for event in run.history() if '.termination.' in event['type']]
    assert len(events) == 2 and run.result() == 6


def test_a_killed_container_of_a_call_is_tried_again(openwhisk, executor, monkeypatch):
    monkeypatch.setattr(sweep, 'PATIENCE', {True: 0.5, False: 1.0})

    run = executor.run(nap_within_30_seconds)
    until_calls_began(openwhisk, 1)
    os.killpg(openwhisk.of_run('call')[0].pid, signal.SIGKILL)
    # The orchestrator suspends meanwhile
    settled(openwhisk)
    # Nobody tells: what it had to say is missed when its time is up
    later = SimpleNamespace(time=lambda: time.time() + 100, sleep=time.sleep)
    with monkeypatch.context() as patched:
        patched.setattr(sweep, 'time', later)
        assert 'was lost' in run.sweep()[0]
    assert run.result(timeout=60) == 5
    assert [found.subject[2] for found in openwhisk.of_run('call')] == [0, 1]


@pytest.mark.parametrize('retries', [3, 0])
def test_a_call_that_the_service_kills_when_its_time_is_up_is_tried_again_or_fails(openwhisk, executor, monkeypatch, retries):
    monkeypatch.setattr(sweep, 'PATIENCE', {True: 0.5, False: 1.0})
    executor._prepared()
    (action,) = openwhisk.actions.values()
    # Less than the call takes, and is allowed
    openwhisk.cold = lambda found: setattr(action, 'timeout', 3 if found.subject and found.subject[0] == 'call' else 60)
    run = executor.run(nap_within_30_seconds, retry=retries)
    until_calls_began(openwhisk, 1)
    until(lambda: openwhisk.of_run('call')[0].result == 'its container was killed')
    settled(openwhisk)
    openwhisk.cold = lambda found: setattr(action, 'timeout', 60)
    with monkeypatch.context() as patched:
        patched.setattr(sweep, 'time', SimpleNamespace(time=lambda: time.time() + 100, sleep=time.sleep))
        assert 'was lost' in run.sweep()[0]
    if retries:
        assert run.result(timeout=60) == 5
    else:
        with pytest.raises(RuntimeError, match='its end was not reported within 90 s'):
            run.result(timeout=60)
    assert [found.subject[2] for found in openwhisk.of_run('call')] == ([0, 1] if retries else [0])


def test_a_namespace_that_is_full_loses_nothing(openwhisk, executor):
    openwhisk.limit = 3
    assert executor.run(wide, 30).result(timeout=120) == [x + 3 for x in range(30)]
    assert openwhisk.refused and openwhisk.peak <= 3
    assert len(openwhisk.of_run('call')) == 30


def test_a_map_wider_than_the_namespace_goes_on_without_its_orchestrator(openwhisk, cloud, backend):
    cloud[backend]['max_workers'] = 4
    openwhisk.limit = 6
    run = TriggerflowExecutor(config=cloud, log_level=None).run(wide, 60)
    assert run.result(timeout=120) == [x + 3 for x in range(60)]
    first, last = first_and_last(openwhisk)
    calls = sorted(found.subject[3][0] for found in openwhisk.of_run('call'))
    assert calls == [f'{number:05d}' for number in range(60)] and openwhisk.peak <= 6
    assert first.ended < last.began - 1


def test_lanes_that_fill_the_namespace_do_not_stand_still(openwhisk, cloud):
    cloud['openwhisk']['max_workers'] = openwhisk.limit = 10
    began = time.monotonic()
    run = TriggerflowExecutor(config=cloud, log_level=None).run(wide, 60)
    assert run.result(timeout=300) == [x + 3 for x in range(60)]
    assert openwhisk.peak <= 10 and len(openwhisk.of_run('call')) == 60
    # Nobody gave up, and a sweep had nothing to do
    assert not [key for key in run._facts.list(f'triggerflow.jobs/{run.session}') if 'refused' in key or '/att/' in key]
    assert time.monotonic() - began < 60, 'whoever ended a call waited for a place'


def test_lanes_that_are_more_than_the_namespace_takes_go_on_when_some_of_them_give_up(openwhisk, cloud, monkeypatch):
    cloud['openwhisk']['max_workers'], openwhisk.limit = 10, 5
    run = TriggerflowExecutor(config=cloud, log_level=None).run(wide, 30)
    assert run.result(timeout=300) == [x + 3 for x in range(30)]
    assert openwhisk.peak <= 5
    # Some lanes stood still, and a sweep let them go on
    assert [key for key in run._facts.list(f'triggerflow.jobs/{run.session}') if key.endswith('.refused.json')]


def test_two_thousand_calls_go_through_fifty_lanes_and_a_namespace_of_sixty(openwhisk, cloud):
    cloud['openwhisk']['max_workers'] = 50
    openwhisk.limit = openwhisk.WARM = 60
    run = TriggerflowExecutor(config=cloud, log_level=None).run(wide, 2000)
    assert run.result(timeout=600) == [x + 3 for x in range(2000)]
    first, last = first_and_last(openwhisk)
    calls = openwhisk.of_run('call')
    assert len({found.subject[3][0] for found in calls}) == 2000 and openwhisk.peak <= 60
    assert {found.subject[1] for found in openwhisk.of_run('activation')} == {0, 1} and openwhisk.refused > 0, openwhisk.refused
    # All but those of the lanes' beginnings began while nothing but calls was alive
    assert sum(first.ended < found.began < last.accepted for found in calls) > 1900


@pytest.mark.parametrize('backend', ['ibm_cf'], indirect=True)
def test_a_token_that_expires_meanwhile_is_renewed_before_it_is_needed(openwhisk, cloud):
    granted = openwhisk.grant(seconds=compute.TOKEN_GRACE - 1)
    cloud['ibm_cf'] |= {'token': granted['access_token'], 'token_expiry_time': granted['expiration']}
    with renewing(openwhisk):
        assert TriggerflowExecutor(config=cloud, log_level=None).run(twice).result(timeout=90) == 6
    # The client renews it, and hands it on: nobody else has to
    assert len(openwhisk.tokens) == 3


@pytest.mark.parametrize('backend', ['ibm_cf'], indirect=True)
def test_a_token_that_is_refused_is_renewed_by_whoever_finds_out(openwhisk, executor):
    with renewing(openwhisk):
        run = executor.run(nap_then_add)
        until_calls_began(openwhisk, 1)
        openwhisk.tokens.clear()
        assert run.result(timeout=90) == 6
    assert len(openwhisk.tokens) >= 1


@pytest.mark.parametrize('backend', ['ibm_cf'], indirect=True)
def test_a_token_of_an_hour_is_enough_for_a_run_of_days(openwhisk, executor):
    with renewing(openwhisk):
        run = executor.run(naps, 3)
        for number in (1, 2, 3):
            until_calls_began(openwhisk, number)
            openwhisk.later(2 * 86400)
        until(lambda: has_ended(run), 180)
    assert run.result() == 3
    # Whoever ended a call, days later, had to renew its token, and did so before it used it
    assert len(openwhisk.tokens) >= 1 + 3 and openwhisk.unauthorized == 0


@pytest.mark.parametrize('backend', ['ibm_cf'], indirect=True)
def test_a_configuration_without_a_namespace_s_id_and_without_a_token_will_do(openwhisk, cloud, tmp_path, monkeypatch):
    from lithops.serverless.backends.ibm_cf import ibm_cf
    from lithops.util.ibm_token_manager import IAMTokenManager

    # Lithops keeps both there, for its next process
    monkeypatch.setattr(ibm_cf, 'CACHE_DIR', str(tmp_path / 'cache'))
    monkeypatch.setattr(IAMTokenManager, 'TOKEN_FILE', str(tmp_path / 'cache' / 'token'))
    for name in ('namespace_id', 'token', 'token_expiry_time'):
        del cloud['ibm_cf'][name]
    cloud['ibm_cf']['resource_group_id'] = 'default'
    openwhisk.tokens.clear()
    with renewing(openwhisk):
        for _ in range(2):
            assert TriggerflowExecutor(config=cloud, log_level=None).run(twice).result(timeout=90) == 6
    # Made once, by the client; workers are told
    assert [*openwhisk.namespaces] == [cloud['ibm_cf']['namespace']] and len(openwhisk.tokens) == 1
    assert openwhisk.unauthorized == 0


def test_a_store_that_is_away_for_seconds_loses_nothing(openwhisk, cloud, tmp_path):
    with servers.seaweedfs(tmp_path / 'store') as endpoint:
        cloud['minio']['endpoint'] = endpoint
        (store,) = children(str(tmp_path))
        run = TriggerflowExecutor(config=cloud, log_level=None).run(wide, 12)
        until(lambda: openwhisk.of_run('call'))
        store.suspend()
        time.sleep(8)
        store.resume()
        assert run.result(timeout=120) == [x + 3 for x in range(12)]
        settled(openwhisk)


@BOTH
def test_an_action_that_was_deleted_fails_the_run_and_names_it(openwhisk, executor):
    run = executor.run(nap_then_add)
    until_calls_began(openwhisk, 1)
    openwhisk.actions.clear()
    with pytest.raises(RuntimeGone, match=r'no action .*lithops runtime deploy'):
        run.result(timeout=60)


def test_a_runtime_without_this_plugin_is_recognised_and_can_be_deployed_again(openwhisk, cloud):
    TriggerflowExecutor(config=cloud, log_level=None).run(twice).result(timeout=60)
    (action,) = openwhisk.actions.values()
    take_plugin_out(action)
    openwhisk.kill_all()
    store = create_store(TriggerflowExecutor(config=cloud, log_level=None).config)
    store.delete(store.list('triggerflow.runtimes/'))
    with pytest.raises(InstallationError, match=r'was deployed without this plugin.*deploy=True'):
        TriggerflowExecutor(config=cloud, log_level=None).run(twice)
    assert TriggerflowExecutor(config=cloud, log_level=None, deploy=True).run(twice).result(timeout=60) == 6


def test_a_runtime_is_asked_once(openwhisk, cloud):
    TriggerflowExecutor(config=cloud, log_level=None).run(twice).result(timeout=60)
    known = create_store(TriggerflowExecutor(config=cloud, log_level=None).config)
    known.delete(known.list('triggerflow.runtimes/'))
    for probes in (1, 0):
        before = len(openwhisk.activations)
        TriggerflowExecutor(config=cloud, log_level=None).run(twice).result(timeout=60)
        settled(openwhisk)
        assert sum(found.subject is None for found in openwhisk.activations[before:]) == probes


@pytest.mark.parametrize(
    ('option', 'told'),
    [({'runtime_memory': 4096}, '4096 MB is not in 128'), ({'runtime_timeout': 3600}, 'timeout 3600.0 s exceeds')],
)
def test_limits_of_an_action_are_told_before_anything_is_invoked(openwhisk, cloud, backend, option, told):
    cloud[backend] |= option
    with pytest.raises(ConfigurationError, match=told):
        TriggerflowExecutor(config=cloud, log_level=None).run(twice)
    assert not openwhisk.of_run('activation')


def test_a_further_attempt_waits_for_its_time_in_its_function(openwhisk, executor, tmp_path):
    run = executor.run(tries_again, str(tmp_path / 'marker'), retry=Retry(on=[ValueError], backoff=2, jitter=0))
    assert run.result(timeout=60) - os.path.getmtime(tmp_path / 'marker') > 1.9


def test_a_further_attempt_that_waits_for_long_is_started_by_an_alarm_or_else_cut(monkeypatch):
    assert status.MAX_WAIT == compute.ALARM
    kept, slept = [], []
    monkeypatch.setattr(compute, 'set_alarm', lambda backend, payload, due: kept.append(due) or True)
    handler = SimpleNamespace(backend_name='openwhisk', backend=None)
    now = time.time()
    for seconds in (0, 59, 600):
        assert compute._is_kept(handler, {'triggerflow': {'due': now + seconds}}) == (seconds == 600)
    assert kept == [now + 600]
    monkeypatch.setattr(status, 'time', SimpleNamespace(time=lambda: now, sleep=slept.append))
    monkeypatch.setattr(status, '_separate', lambda *of_a_job: None)
    for seconds in (-5, 59, 3600):
        waits = SimpleNamespace(run={'subject': 'call', 'due': now + seconds}, _output_key='')
        status.CallStatus._prepare(waits, None, None)
    assert slept == [0, pytest.approx(59), 60]


def memories(openwhisk, job):
    return [found.value['runtime_memory'] for found in openwhisk.of_run('call') if found.subject[1] == job]


def test_more_memory_is_deployed_where_it_is_asked_for_or_needed(openwhisk, executor, tmp_path):
    run = executor.run(wants_more_memory, str(tmp_path / 'marker'))
    assert run.result(timeout=90) == ('alive', [4, 5])
    assert memories(openwhisk, '0-M000') == [384, 384] and memories(openwhisk, '0-A001') == [256, 512]
    assert sorted(action.memory for action in openwhisk.actions.values()) == [256, 384, 512]


def test_where_there_is_no_more_memory_a_further_attempt_has_what_there_was(openwhisk, executor, tmp_path):
    openwhisk.MEMORY = 128, 400
    assert executor.run(wants_more_memory, str(tmp_path / 'marker')).result(timeout=90) == ('alive', [4, 5])
    assert memories(openwhisk, '0-A001') == [256, 256]


def test_a_payload_that_is_too_large_is_refused_before_it_is_sent(monkeypatch):
    monkeypatch.setattr(compute, 'handler_of', lambda config: pytest.fail('it was sent'))
    payload = {'func_name': 'add3', 'extra_env': {'LARGE': 'x' * 2_000_000}}
    with pytest.raises(compute.PayloadTooLarge, match=r'add3 has 2000\d+ bytes; openwhisk takes 1048576'):
        compute.submit({'lithops': {'backend': 'openwhisk'}}, [payload])


def test_a_wait_with_a_time_out_wakes_up(openwhisk, executor):
    assert executor.run(waits_too_long).result(timeout=60) == 'too long'


@pytest.mark.parametrize('has_alarms', [True, False])
def test_what_is_due_later_is_started_by_an_alarm_or_else_waits_in_its_function(openwhisk, executor, monkeypatch, has_alarms):
    openwhisk.has_alarms = has_alarms
    monkeypatch.setattr(compute, 'ALARM', 1.0)
    dues = []

    def later(config, facts, document):
        # Not before: to deploy a runtime takes its time
        dues.append(time.time() + 5)
        begin = start_activation(start_run.session_of_run(document), 0, 'it was due', dues[0])
        performer(config, start_run.field_of(document), facts)(begin)

    monkeypatch.setattr(start_run, 'begin_run', later)
    run = executor.run(twice)
    assert run.result(timeout=120) == 6
    due = dues[0]
    assert run.activations()[0]['started'] >= due - 0.1
    first = openwhisk.of_run('activation')[0]
    assert len(openwhisk.fired) == has_alarms and (first.accepted > due - 0.1) == has_alarms
    assert openwhisk.bound == {'triggers': {}, 'rules': {}}


@pytest.mark.parametrize('has_alarms', [True, False])
def test_a_run_that_nobody_waits_for_is_swept_by_an_alarm_or_else_by_a_function(openwhisk, cloud, has_alarms):
    openwhisk.has_alarms, openwhisk.minute = has_alarms, 2.0
    dropped = []

    def fate(found):
        if found.subject == ('activation', 1) and not dropped:
            dropped.append(found)
            return 'drop'
        return 'twice' if found.subject and found.subject[0] == 'sweep' else None

    openwhisk.fate = fate
    run = TriggerflowExecutor(config={**cloud, 'triggerflow': {'sweep_seconds': 2}}, log_level=None).run(twice)
    until(lambda: has_ended(run), 180)
    assert run.result() == 6 and dropped
    # The next one sees that the run has ended, and is the last one
    until(lambda: openwhisk.bound == {'triggers': {}, 'rules': {}} and not openwhisk.clocks and not openwhisk.running, 180)
    numbers = [found.subject[1] for found in openwhisk.of_run('sweep')]
    assert set(numbers) == {0} if has_alarms else numbers == [*range(1, len(numbers) + 1)]
    assert bool(openwhisk.fired) == has_alarms


def test_a_command_that_looks_at_a_run_once_is_enough_for_it_to_go_on(openwhisk, executor, config_file):
    openwhisk.has_alarms, dropped = False, []

    def fate(found):
        if found.subject == ('activation', 1) and not dropped:
            dropped.append(found)
            return 'drop'
        return None

    openwhisk.fate = fate
    run = executor.run(twice)
    until(lambda: dropped)
    command = [str(Path(sys.executable).with_name('triggerflow-lithops')), 'status', run.run_id]
    looked = subprocess.run(command, env=config_file, capture_output=True, text=True, timeout=120)
    assert 'running' in looked.stdout and 'swept: activation 0 was not woken' in looked.stderr
    until(lambda: has_ended(run))
    assert run.result() == 6


def test_nobody_sweeps_a_run_that_was_purged(openwhisk, executor):
    run = executor.run(twice)
    assert run.result(timeout=60) == 6 and len(openwhisk.clocks) == 1
    settled(openwhisk)
    run.purge()
    assert openwhisk.bound == {'triggers': {}, 'rules': {}} and not openwhisk.clocks
    assert not executor.store.list(f'triggerflow.jobs/{run.session}')


def test_no_function_waits_to_sweep_unless_it_is_asked_for(openwhisk, executor):
    openwhisk.has_alarms = False
    assert executor.run(twice).result(timeout=60) == 6
    assert not settled(openwhisk).of_run('sweep')


def test_many_runs_at_one_time(openwhisk, executor):
    openwhisk.limit = 8
    results = []

    def one():
        results.append(executor.run(twice).result(timeout=150))

    threads = [threading.Thread(target=one) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert results == [6] * 4
