"""What OpenWhisk will never take, or does not take now, and what becomes of a run then."""

import logging
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from helpers import has_ended, renewing, settled, take_plugin_out, until, until_calls_began
from lithops.constants import LOCALHOST, SERVERLESS_BACKENDS, STANDALONE_BACKENDS
from lithops.monitoring.backends.triggerflow import compute, invoke, openwhisk_alarms
from lithops.monitoring.backends.triggerflow.stores import KINDS
from programs import catches_everything, large_environment, nap_then_add, twice

from triggerflow_lithops import ConfigurationError, InstallationError, PayloadTooLarge, RunDied, RuntimeGone, TriggerflowExecutor
from triggerflow_lithops.deployment import compute_backends, runtime_probe
from triggerflow_lithops.deployment.config import create_config

BOTH = pytest.mark.parametrize('backend', ['openwhisk', 'ibm_cf'], indirect=True)


def test_a_call_whose_invocation_is_too_large_fails_the_run_at_once_and_says_so(openwhisk, executor):
    run = executor.run(large_environment)
    with pytest.raises(PayloadTooLarge, match=r'add3 has \d+ bytes; openwhisk takes 1048576 at the most.*hand large values over'):
        run.result(timeout=60)
    assert settled(openwhisk).of_run('call') == [] and len(run.activations()) == 1


@BOTH
def test_a_payload_that_the_service_finds_too_large_is_not_tried_again(openwhisk, executor):
    executor._prepared()
    openwhisk.MAX_PAYLOAD = 500
    with pytest.raises(ConfigurationError, match=r'of twice is refused by \w+: .*larger than allowed: \d+ > 500 bytes'):
        executor.run(twice)
    assert [run.status() for run in executor.list_runs()] == ['cancelled'] and not openwhisk.of_run('activation')


def test_a_call_that_the_service_finds_too_large_fails_the_run(openwhisk, executor):
    executor._prepared()

    def fate(found):
        openwhisk.MAX_PAYLOAD = 500

    openwhisk.fate = fate
    with pytest.raises(PayloadTooLarge, match=r'invocation of add3 is refused .*larger than allowed'):
        executor.run(twice).result(timeout=60)


def test_a_deleted_action_fails_a_run_that_is_to_begin(openwhisk, cloud):
    openwhisk.has_alarms = False
    tf = TriggerflowExecutor(config={**cloud, 'triggerflow': {'sweep_seconds': 600}}, log_level=None)
    tf._prepared()
    openwhisk.actions.clear()
    with pytest.raises(RuntimeGone, match='no action'):
        tf.run(twice).result(timeout=60)


@pytest.fixture
def unknown(openwhisk, cloud):
    """A runtime that is deployed, and of which the bucket does not say yet that it has this plugin."""
    tf = TriggerflowExecutor(config=cloud, log_level=None)
    tf._prepared()
    tf.store.delete(tf.store.list('triggerflow.runtimes/'))
    return TriggerflowExecutor(config=cloud, log_level=None)


@BOTH
def test_a_runtime_that_was_deleted_is_not_waited_for(openwhisk, unknown):
    openwhisk.actions.clear()
    with pytest.raises(ConfigurationError, match=r'does not answer: .* has no action.*deploy=True.*lithops runtime deploy -b'):
        unknown.run(twice)
    assert unknown.list_runs() == []


def test_a_runtime_is_asked_again_when_its_answer_is_lost(openwhisk, unknown, monkeypatch):
    monkeypatch.setattr(runtime_probe, 'PATIENCE', 15.0)
    asked = []

    def fate(found):
        asked.append(found.subject)
        return 'drop' if len(asked) == 1 else None

    openwhisk.fate = fate
    assert unknown.run(twice).result(timeout=120) == 6 and asked[:2] == [None, None]


def test_a_runtime_that_never_answers_is_not_waited_for_without_end(openwhisk, unknown, monkeypatch):
    monkeypatch.setattr(runtime_probe, 'PATIENCE', 0.5)
    openwhisk.fate = lambda found: 'drop'
    with pytest.raises(ConfigurationError, match=r'does not answer: 3 calls have not ended within .*lithops runtime deploy -b'):
        unknown.run(twice)
    # The first one was of its deployment
    assert len(openwhisk.activations) == 1 + 3 and {found.subject for found in openwhisk.activations} == {None}
    # What it was asked with is gone
    assert not unknown.store.list('triggerflow.jobs/')


def test_a_runtime_that_fails_when_it_is_asked_says_why(openwhisk, unknown):
    (action,) = openwhisk.actions.values()
    (action.folder / 'lithops' / 'monitoring' / 'backends' / 'triggerflow' / 'folder.py').mkdir()
    openwhisk.kill_all()
    with pytest.raises(ConfigurationError, match=r'does not answer: IsADirectoryError: .*lithops runtime deploy -b'):
        unknown.run(twice)


def test_memory_that_cannot_be_had_ends_the_run_and_is_no_exception_of_its_orchestrator(executor):
    with pytest.raises(RunDied, match=r'ConfigurationError.* with 4096 MB .*could not be deployed .*4096 MB is not in 128'):
        executor.run(catches_everything, 4096).result(timeout=60)


def test_a_deployment_that_fails_once_is_tried_again_by_the_next_activation(openwhisk, executor, monkeypatch):
    executor._prepared()
    create, asked = openwhisk._create, []

    def create_later(*of_an_action):
        asked.append(of_an_action)
        return (500, {'error': 'later'}) if len(asked) == 1 else create(*of_an_action)

    monkeypatch.setattr(openwhisk, '_create', create_later)
    assert executor.run(catches_everything, 384).result(timeout=60) == [4, 5] and len(asked) == 2


def test_a_runtime_of_other_memory_is_asked_for_this_plugin_once(openwhisk, executor):
    assert executor.run(catches_everything, 384).result(timeout=60) == [4, 5]
    for probes in (1, 0):
        if probes:
            executor.store.delete(executor.store.list('triggerflow.runtimes/'))
        before = len(settled(openwhisk).activations)
        assert executor.run(catches_everything, 384).result(timeout=60) == [4, 5]
        assert sum(found.subject is None for found in openwhisk.activations[before:]) == probes


def test_a_runtime_of_other_memory_without_this_plugin_fails_the_run(openwhisk, executor):
    assert executor.run(catches_everything, 384).result(timeout=60) == [4, 5]
    settled(openwhisk).kill_all()
    take_plugin_out(next(action for action in openwhisk.actions.values() if action.memory == 384))
    executor.store.delete(executor.store.list('triggerflow.runtimes/'))
    with pytest.raises(InstallationError, match=r'was deployed without this plugin.*lithops runtime deploy -b openwhisk -m 384'):
        executor.run(catches_everything, 384).result(timeout=60)


@pytest.mark.parametrize('backend', ['ibm_cf'], indirect=True)
@pytest.mark.parametrize('token', ['refused', 'expired'])
def test_an_identity_service_that_fails_for_a_moment_loses_nothing(openwhisk, executor, token):
    with renewing(openwhisk):
        run = executor.run(nap_then_add)
        until_calls_began(openwhisk, 1)
        if token == 'refused':
            openwhisk.tokens.clear()
        else:
            openwhisk.later(86400)
        openwhisk.troubles = 2
        until(lambda: has_ended(run))
    assert run.result() == 6 and openwhisk.troubles == 0


def test_a_handler_that_cannot_be_made_is_tried_again_and_then_told(monkeypatch):
    config, made = {'lithops': {'backend': 'ibm_cf'}, 'ibm_cf': {}}, []

    def create(config):
        made.append(config)
        raise ConnectionError('it is away')

    monkeypatch.setattr(compute, '_create_handler', create)
    monkeypatch.setattr(compute, 'PATIENCE', 0.3)
    with pytest.raises(compute.InvocationNotAccepted, match=r'ibm_cf has not taken .*ConnectionError: it is away'):
        compute.submit(config, [{'func_name': 'add3', 'triggerflow': {}}])
    assert len(made) > 1


@pytest.mark.parametrize(
    ('backend', 'told'),
    [
        ('k8s', 'runs a job as a batch'),
        ('code_engine', 'runs a job as a batch'),
        ('aws_batch', 'runs a job as a batch'),
        ('singularity', 'runs a job as a batch'),
        ('knative', 'only when the function has ended'),
        ('gcp_cloudrun', 'only when the function has ended'),
        ('oracle_f', 'one function at a time'),
        ('aws_ec2', 'has virtual machines'),
    ],
)
def test_a_backend_that_runs_no_orchestrators_is_refused_by_name(backend, told):
    config = {'lithops': {'backend': backend, 'storage': 'localhost'}}
    with pytest.raises(ConfigurationError, match=rf"compute backend '{backend}', .*{told}.*'openwhisk', 'ibm_cf'"):
        TriggerflowExecutor(config=config, log_level=None)
    with pytest.raises(ConfigurationError, match=f"compute backend '{backend}'"):
        TriggerflowExecutor(config={'lithops': {'storage': 'localhost'}}, backend=backend, log_level=None)


@pytest.mark.parametrize('backend', ['azure_functions', 'gcp_functions'])
def test_a_trigger_that_answers_only_at_the_end_is_refused(backend):
    config = {'lithops': {'backend': backend, 'storage': 'localhost'}, backend: {'trigger': 'https'}}
    with pytest.raises(ConfigurationError, match=r"with 'trigger: https', which answers .*'trigger: pub/sub' it does not"):
        TriggerflowExecutor(config=config, log_level=None)
    compute_backends.require_functions(backend, {'trigger': 'pub/sub'})


def test_each_of_lithops_backends_is_run_read_or_refused_and_the_table_says_so():
    named = [*compute_backends.TESTED, *compute_backends.READ, *compute_backends.REFUSED]
    assert sorted(named) == sorted({LOCALHOST, *SERVERLESS_BACKENDS, *STANDALONE_BACKENDS})
    text = (Path(__file__).parents[2] / 'docs' / 'how-to' / 'other-backends.md').read_text()
    table = text.partition('## Which backends')[2].partition('##')[0]
    for names, said in (
        (compute_backends.TESTED, 'run by the tests'),
        (compute_backends.READ, 'not tested yet'),
        (compute_backends.REFUSED, 'refused'),
    ):
        rows = ' '.join(line for line in table.splitlines() if f'| {said}' in line)
        assert set(re.findall(r'`(\w+)`', rows)) >= set(names)


def examples(page):
    """The configurations that a page of the documentation shows, what is left out there filled in."""
    text = (Path(__file__).parents[2] / 'docs' / page).read_text()
    found = [yaml.safe_load(block.replace('…', 'a')) for block in re.findall(r'```yaml\n(.*?)```', text, re.S)]
    return [config for config in found if 'lithops' in config]


@pytest.mark.parametrize('backend', ['openwhisk', 'ibm_cf'])
def test_each_configuration_of_the_storage_page_is_taken_and_there_is_one_for_each_store(backend):
    found = examples('reference/storage.md')
    sections = {'ibm': {'iam_api_key': 'a'}, 'ibm_cf': {'region': 'eu-de'}}
    if backend == 'openwhisk':
        sections = {'openwhisk': {'endpoint': 'https://127.0.0.1:1', 'namespace': 'tests', 'api_key': 'a:b'}}
    for config in found:
        complete = create_config(None, {**config, **sections}, None, backend, None, {})
        assert complete['lithops']['storage'] == config['lithops']['storage']
    assert {config['lithops']['storage'] for config in found} == {*KINDS}


@pytest.mark.parametrize(
    ('page', 'backends'), [('ibm-cloud-functions.md', ['openwhisk', 'ibm_cf']), ('other-backends.md', ['aws_lambda'])]
)
def test_each_configuration_of_the_pages_on_functions_is_taken(page, backends):
    taken = [create_config(None, config, None, None, None, {}) for config in examples(f'how-to/{page}')]
    assert [config['lithops']['backend'] for config in taken] == backends


def test_a_backend_that_has_no_functions_is_not_tried_again(monkeypatch):
    batch = SimpleNamespace(backend_name='k8s', get_backend_type=lambda: 'batch')
    monkeypatch.setattr(compute, 'ServerlessHandler', lambda config, internal_storage: batch)
    config = {'lithops': {'backend': 'k8s'}, 'k8s': {}}
    with pytest.raises(compute.UnsupportedBackendError, match='k8s'):
        compute.submit(config, [{'func_name': 'add3', 'triggerflow': {}}])


def test_two_namespaces_of_one_key_have_a_handler_each(cloud):
    configs = [TriggerflowExecutor(config=cloud, log_level=None).config for _ in range(2)]
    for config, namespace in zip(configs, ('one', 'other'), strict=True):
        config['openwhisk'] = {**config['openwhisk'], 'namespace': namespace}
    found = [compute.handler_of(config).backend.cf_client.namespace for config in configs]
    assert found == [config['openwhisk']['namespace'] for config in configs] == ['one', 'other']


@pytest.mark.parametrize('refused', [1, 5])
def test_an_alarm_that_is_refused_for_a_moment_is_set_and_one_that_stays_refused_is_told(
    openwhisk, executor, monkeypatch, caplog, refused
):
    monkeypatch.setattr(openwhisk_alarms, 'PAUSES', (0.01, 0.01))
    tell, asked = openwhisk._tell_clock, []

    def tell_clock(feed, said):
        asked.append(said['lifecycleEvent'])
        return (503, {'error': 'later'}) if len(asked) <= refused else tell(feed, said)

    monkeypatch.setattr(openwhisk, '_tell_clock', tell_clock)
    with caplog.at_level(logging.WARNING):
        run = executor.run(twice)
    assert asked == ['CREATE'] * (refused + 1 if refused < 3 else 3)
    assert bool(openwhisk.clocks) == (refused == 1) and ('No alarm can be set' in caplog.text) == (refused == 5)
    assert run.result(timeout=60) == 6


def test_a_run_whose_alarm_cannot_be_removed_is_not_purged(openwhisk, executor, monkeypatch):
    run = executor.run(twice)
    assert run.result(timeout=60) == 6
    until(lambda: not openwhisk.running)
    with monkeypatch.context() as patched:
        patched.setattr(openwhisk, '_tell_clock', lambda feed, said: (503, {'error': 'later'}))
        with pytest.raises(ConfigurationError, match=r'is not purged.*Try again'):
            run.purge()
    assert run.status() == 'completed'
    run.purge()
    assert openwhisk.clocks == {} and executor.list_runs() == []


def test_what_is_left_of_a_lane_is_looked_up_where_it_is_too_much_to_hand_on():
    config = {'lithops': {'backend': 'openwhisk'}}
    small, large = {'call': 1, 'chunks': [[2]]}, {'call': 1, 'chunks': [[number] for number in range(100_000)]}
    assert [invoke._handed_on(config, found) for found in (None, small, large)] == [None, small, invoke.LOOK_UP]
    assert invoke._handed_on({'lithops': {'backend': 'aws_lambda'}}, large) is large
