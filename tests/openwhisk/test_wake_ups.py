"""One set of orchestrators, woken in each way: by workers alone, by the Triggerflow service, by OpenWhisk's own triggers."""

import json
import time

import pytest
import servers
from helpers import settled, until
from lithops.monitoring.backends.triggerflow import trigger_service
from programs import chained, first_of_many, in_time, naps, raises_one, slow_and_wide, tries_again, twice, wide
from triggerflow_server import Triggerflow

from triggerflow_lithops import ConfigurationError, Retry, TriggerflowExecutor

PASSWORD, REDIS_PASSWORD = 'the-secret-of-the-service', 'the-secret-of-redis'


@pytest.fixture(scope='module')
def redis_port(tmp_path_factory):
    with servers.redis(tmp_path_factory.mktemp('redis'), REDIS_PASSWORD) as port:
        yield port


@pytest.fixture
def triggerflow(certificate):
    authority, *pair = certificate
    with Triggerflow({'somebody': PASSWORD}, certificate=pair, verify=authority) as found:
        yield found


@pytest.fixture
def section(request, redis_port, triggerflow):
    """The ``triggerflow`` section of a backend."""
    chosen = getattr(request, 'param', 'service')
    if chosen != 'service':
        return {'backend': chosen}
    return {
        **{'backend': chosen, 'endpoint': triggerflow.endpoint, 'user': 'somebody', 'password': PASSWORD, 'workspace': 'tests'},
        'sink': {'host': '127.0.0.1', 'port': redis_port, 'password': REDIS_PASSWORD, 'stream': request.node.name},
    }


@pytest.fixture
def woken(cloud, section):
    return TriggerflowExecutor(config={**cloud, 'triggerflow': section}, log_level=None)


ALL = pytest.mark.parametrize('section', ['storage', 'service', 'openwhisk'], indirect=True)


def value_of(run):
    """What a run comes to by itself: whoever waits in result() sweeps, and wakes what is slow."""
    until(lambda: time.sleep(0.5) or run.status() != 'running', 180)
    return run.result()


@ALL
def test_orchestrators_come_to_the_same_end_however_they_are_woken(openwhisk, woken, tmp_path):
    # In a full namespace OpenWhisk drops what a rule invokes, and tells nobody
    openwhisk.limit = 100
    runs = [
        (woken.run(twice), 6),
        (woken.run(wide, 20), [x + 3 for x in range(20)]),
        (woken.run(first_of_many), True),
        (woken.run(raises_one), 'no good'),
        (woken.run(chained), 11),
    ]
    again = woken.run(tries_again, str(tmp_path / 'marker'), retry=Retry(on=[ValueError], backoff=0.1))
    assert value_of(again) > 0
    for run, value in runs:
        assert value_of(run) == value
    # By itself: beside many others it may come to its time-out late, when what it waits for has ended
    runs.append((woken.run(in_time), 'it took too long, and then 5'))
    for run, value in runs:
        assert value_of(run) == value
        # Whoever was to wake it did, and nothing was repaired
        assert not any('sweep' in activation['cause'] for activation in run.activations())
    settled(openwhisk)
    until(lambda: not [name for name in openwhisk.bound['rules'] if 'sweeps' not in name])


@pytest.mark.parametrize('section', ['service'], indirect=True)
def test_triggers_are_in_the_service_and_not_in_the_bucket(triggerflow, woken):
    run = woken.run(slow_and_wide, 10)
    assert run.result(timeout=120) == [*range(10)]
    keys = woken.store.list(f'triggerflow.jobs/{run.session}')
    assert not [key for key in keys if '.w0' in key.rpartition('/')[2]]
    added = [body['triggers'][0] for method, path, body in triggerflow.requests if path.endswith('/trigger') and method == 'POST']
    first = added[0]
    assert len(first['activation_events']) == 20 and first['context']['total_activations'] == 10 and not first['transient']
    # Counted by the service, and acted upon; one that starts early, for an event came twice, waits once more
    assert (first['id'], 202) in triggerflow.fired
    # None of them is left, when the run has ended
    until(lambda: not triggerflow.workspaces['tests']['triggers'])


@pytest.mark.parametrize('section', ['service'], indirect=True)
def test_events_that_come_twice_count_twice_and_do_no_harm(openwhisk, woken, triggerflow):
    openwhisk.fate = lambda found: 'twice' if found.subject else None
    assert woken.run(wide, 8).result(timeout=120) == [x + 3 for x in range(8)]
    assert triggerflow.fired


@pytest.mark.parametrize('section', ['service'], indirect=True)
def test_a_run_goes_on_though_the_service_goes_away(openwhisk, woken, triggerflow, monkeypatch):
    monkeypatch.setattr(trigger_service, 'PAUSES', (0.1,))
    woken.run(twice).result(timeout=120)
    # It takes no triggers any more: they are kept in the bucket
    triggerflow.disorder = (500, {'error': 'out of order'})
    run = woken.run(twice)
    assert run.result(timeout=180) == 6
    assert [key for key in woken.store.list(f'triggerflow.jobs/{run.session}') if '.w0' in key.rpartition('/')[2]]


@pytest.mark.parametrize('section', ['service'], indirect=True)
def test_a_service_that_is_down_is_told_before_anything_is_started(openwhisk, woken, triggerflow, monkeypatch):
    monkeypatch.setattr(trigger_service, 'PAUSES', (0.1,))
    triggerflow.disorder = (503, {'error': 'later'})
    with pytest.raises(ConfigurationError, match=r'answers 503.*backend: storage'):
        woken.run(twice)
    assert woken.list_runs() == [] and not openwhisk.of_run('activation')


@pytest.mark.parametrize('section', ['openwhisk'], indirect=True)
@pytest.mark.parametrize('backend', ['openwhisk', 'ibm_cf'], indirect=True)
def test_a_rule_wakes_a_run_and_is_removed_when_it_ends(openwhisk, woken):
    openwhisk.has_alarms = False
    run = woken.run(naps, 2)
    assert f'triggerflow-{run.session}' in openwhisk.bound['rules'] or run.status() != 'running'
    assert value_of(run) == 2
    # Two wake-ups, and each by the trigger
    assert [status for status, _ in openwhisk.fired] == [202, 202]
    until(lambda: openwhisk.bound == {'triggers': {}, 'rules': {}})


@pytest.mark.parametrize('section', ['openwhisk'], indirect=True)
def test_a_rule_that_was_deleted_meanwhile_is_done_without(openwhisk, woken):
    openwhisk.has_alarms = False

    def fate(found):
        openwhisk.bound = {'triggers': {}, 'rules': {}}

    openwhisk.fate = fate
    assert woken.run(twice).result(timeout=120) == 6
    assert openwhisk.fired == []


@pytest.mark.parametrize('section', ['service', 'openwhisk'], indirect=True)
def test_a_run_that_is_cancelled_leaves_no_trigger(openwhisk, woken, triggerflow):
    openwhisk.has_alarms = False
    openwhisk.fate = lambda found: 'drop' if found.subject and found.subject[0] == 'call' else None
    run = woken.run(twice)
    until(lambda: run.activations() and run.activations()[0]['result'] == 'suspended')
    # It has written that it waits, and may be about to tell the service
    settled(openwhisk)
    run.cancel()
    until(lambda: openwhisk.bound == {'triggers': {}, 'rules': {}})
    assert not triggerflow.workspaces or not triggerflow.workspaces['tests']['triggers']


@pytest.mark.parametrize('section', ['service'], indirect=True)
def test_no_secret_of_the_service_is_in_the_bucket(woken):
    run = woken.run(twice)
    assert run.result(timeout=120) == 6
    stored = [woken.store.get(key) or b'' for key in woken.store.list('')]
    assert stored and not [value for value in stored for secret in (PASSWORD, REDIS_PASSWORD) if secret.encode() in value]
    assert PASSWORD not in json.dumps(run.history())
