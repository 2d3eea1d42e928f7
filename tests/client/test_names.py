"""Names, ids and arguments are checked where they are given, and what is printed of them is harmless."""

import json
from pathlib import Path

import pytest
import whole
import yaml
from click.testing import CliRunner

from triggerflow_lithops import (
    PASS,
    CloudEvent,
    ConfigurationError,
    InvalidEventError,
    InvalidRunError,
    InvalidTriggerError,
    Run,
    Triggerflow,
    TriggerflowExecutor,
)
from triggerflow_lithops.cli import main as cli
from triggerflow_lithops.client.executor import _readable
from triggerflow_lithops.core import limits
from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.run import keys
from triggerflow_lithops.core.store import Facts
from triggerflow_lithops.core.wording import printable
from triggerflow_lithops.native.context import Context
from triggerflow_lithops.native.events import published
from triggerflow_lithops.testing import simulate, survive

CONFIG = {'lithops': {'backend': 'localhost', 'storage': 'localhost'}}
ESCAPE = 'a\x1b[2Jb'


def one():
    return 1


@pytest.fixture
def tf():
    """An executor over a bucket in memory."""
    executor = TriggerflowExecutor(config=CONFIG, log_level=None)
    executor.facts = Facts(MemoryStore())
    return executor


# Names for people to read

TEXTS_OUT_OF_BOUNDS = {'empty': '', 'long': 'x' * 129, 'longer': 'x' * 100_000}
TEXTS_OUT_OF_BOUNDS |= {'escape': ESCAPE, 'line end': 'a\nb', 'tab': 'a\tb'}
NO_TEXTS = {'a list': ['a'], 'bytes': b'a', 'a number': 5, 'true': True, 'a mapping': {}}


@pytest.mark.parametrize('name', TEXTS_OUT_OF_BOUNDS.values(), ids=TEXTS_OUT_OF_BOUNDS)
def test_a_name_is_1_to_128_printable_characters(tf, name):
    with pytest.raises(InvalidRunError, match='The name of a run has 1 to 128 printable characters; found') as raised:
        tf.run(one, name=name)
    assert str(raised.value).isprintable() and len(str(raised.value)) < 300 and not tf.facts.list('')


@pytest.mark.parametrize('name', NO_TEXTS.values(), ids=NO_TEXTS)
def test_a_name_that_is_no_text_is_a_type_error(tf, name):
    with pytest.raises(TypeError, match='1 to 128 printable characters; found'):
        tf.run(one, name=name)


@pytest.mark.parametrize('name', ['x', 'x' * 128, 'tägliche Läufe — 毎日 🙂'])
def test_a_name_may_be_in_any_language(name):
    assert limits.name(name, 'The name of a run') == name


@pytest.mark.parametrize('name', ['<lambda>', 'f' * 1000, '_', 'f\x1b', 'größe'])
def test_the_name_of_a_function_becomes_one_that_is_in_bounds(name):
    assert limits.name(_readable(name), 'The name of a run')


# Ids

NO_IDS = ['', '.', '..', '.hidden', '-c', '_x', 'a/b', '../x', 'a b', 'x' * 65, 'x' * 100_000, 'a\n', ESCAPE, 'é']


@pytest.mark.parametrize('given', NO_IDS, ids=lambda text: repr(text[:12]))
def test_an_id_is_1_to_64_characters_that_begin_with_a_letter_or_a_digit(tf, given):
    local = Triggerflow('names', executor=tf)
    places = [
        (InvalidRunError, lambda: tf.run(one, run_id=given)),
        (InvalidRunError, lambda: tf.get_run(given)),
        (InvalidTriggerError, lambda: Triggerflow(given, executor=tf)),
        (InvalidTriggerError, lambda: local.create_workspace(given)),
        (InvalidTriggerError, lambda: local.delete_workspace(given)),
        (InvalidTriggerError, lambda: local.add_trigger(given, CloudEvent('a', 'b'), action=PASS)),
        (InvalidTriggerError, lambda: local.get_trigger(given)),
        (InvalidTriggerError, lambda: local.delete_trigger(given)),
        (InvalidTriggerError, lambda: local.enable_trigger(given)),
        (InvalidTriggerError, lambda: local.disable_trigger(given)),
        (InvalidTriggerError, lambda: local.intercept_trigger(given, 'x')),
        (InvalidTriggerError, lambda: local.intercept_trigger('x', given)),
        (InvalidTriggerError, lambda: local.runs(given)),
        (ConfigurationError, lambda: TriggerflowExecutor(config={**CONFIG, 'triggerflow': {**SERVICE, 'workspace': given}})),
    ]
    context = Context({}, 't', {}, [])
    for ask in (
        *(context.delete_trigger, context.enable_trigger, context.disable_trigger),
        lambda found: context.intercept_trigger('x', found),
    ):
        places.append((InvalidTriggerError, lambda ask=ask: ask(given)))
    for error, place in places:
        with pytest.raises(error) as raised:
            place()
        assert str(raised.value).isprintable() and len(str(raised.value)) < 300
    assert not context.asked()


SERVICE = {'backend': 'service', 'endpoint': 'https://127.0.0.1', 'user': 'u', 'password': 'p', 'sink': {'host': 'h'}}


@pytest.mark.parametrize('given', ['7', 'a.b-c_d', 'x' * 64])
def test_such_an_id_is_one(given):
    assert keys.is_run_id(given)


# Events


NO_ATTRIBUTES = ['', 'x' * 2049, 'a\nb', ESCAPE, '\x00', '\ud800', None, b'a', ['a'], 5]


@pytest.mark.parametrize('given', NO_ATTRIBUTES, ids=lambda given: repr(given)[:12])
@pytest.mark.parametrize('name', ['type', 'subject', 'source', 'id'])
def test_an_attribute_of_an_event_is_a_text_without_control_characters(name, given):
    named = {'type': 'shard.done', 'subject': 'today', 'source': 'urn:x', 'id': '1'}
    for make in (lambda found: CloudEvent(**found), lambda found: published({**found, 'specversion': '1.0'})):
        with pytest.raises(InvalidEventError) as raised:
            make({**named, name: given})
        assert str(raised.value).isprintable() and len(str(raised.value)) < 300


def test_an_event_may_be_about_a_long_key_in_any_language():
    assert published(CloudEvent('shard.done', f'größe/毎日/{"x" * 2000}'))['subject'].endswith('xxx')


# Arguments


@pytest.mark.parametrize(
    'given',
    [
        *({'mode': 5}, {'config': []}, {'config': 'config.yaml'}, {'config_file': 5}),
        *({'backend': ['localhost']}, {'storage': 1}, {'deploy': 'yes'}),
    ],
    ids=str,
)
def test_an_argument_of_another_type_is_told_by_name(given):
    ((name, value),) = given.items()
    with pytest.raises(TypeError, match=f"^'{name}' is .*; found .*, a {type(value).__name__}") as raised:
        TriggerflowExecutor(**{'config': CONFIG, 'log_level': None, **given})
    assert isinstance(raised.value, ConfigurationError)


def test_a_configuration_file_may_be_a_path(tmp_path):
    (tmp_path / 'config.yaml').write_text(yaml.dump(CONFIG))
    assert TriggerflowExecutor(config_file=Path(tmp_path / 'config.yaml'), log_level=None).bucket


@pytest.mark.parametrize('given', [None, 5, b'run-7', ['run-7']])
def test_what_is_no_text_is_no_run_id(tf, given):
    with pytest.raises(TypeError, match='a run id is 1 to 64'):
        tf.get_run(given)
    if given is not None:
        with pytest.raises(TypeError, match='a run id is 1 to 64'):
            tf.run(one, run_id=given)


@pytest.mark.parametrize('given', [None, 5, 'main'])
def test_what_cannot_be_called_is_no_orchestrator(tf, given):
    with pytest.raises(TypeError, match='takes a function to run as an orchestrator; found'):
        tf.run(given)


def test_an_executor_of_triggers_is_one():
    with pytest.raises(TypeError, match="'executor' is a TriggerflowExecutor; found 5, a int"):
        Triggerflow('names', executor=5)


@pytest.mark.parametrize(
    ('name', 'value'), [('seeds', 0), ('seeds', -1), ('seeds', 'ten'), ('seeds', True), ('first_seed', 'one')]
)
def test_a_number_of_seeds_is_1_or_more(name, value):
    with pytest.raises(ValueError, match=f"'{name}' is a whole number"):
        survive(one, **{name: value})


@pytest.mark.parametrize(('name', 'value'), [('seed', 'one'), ('seed', 1.5), ('faults', 'hard'), ('faults', None)])
def test_a_seed_is_a_number_and_faults_are_faults(name, value):
    with pytest.raises(TypeError, match=f"'{name}' is "):
        simulate(one, **{name: value})


def test_a_value_that_cannot_be_shown_is_refused_all_the_same(tf):
    class Silent:
        def __repr__(self):
            raise RuntimeError(ESCAPE)

    with pytest.raises(TypeError, match='a Silent that cannot be shown'):
        tf.get_run(Silent())


# What the command line prints


@pytest.fixture
def foreign(config, tmp_path):
    """A run in the tests' bucket whose texts somebody else has written: what a command answers about it."""
    (tmp_path / 'config.yaml').write_text(yaml.dump(config))
    executor = TriggerflowExecutor(config=config, log_level=None)
    document = whole.run('1e5', '0a0a0a0a', 'gone', name=ESCAPE, time=1.0)
    document['orchestrator'] |= {'function': ESCAPE, 'function_name': ESCAPE}
    executor.facts.create(keys.run_key('1e5'), document)
    run = Run(executor.config, executor.facts, document)
    executor.facts.create(keys.claim_key(run.session, 0), {'cause': ESCAPE, 'time': 2.0})
    outcome = {'status': 'failed', 'error': [ESCAPE, f'{ESCAPE}\r\n{ESCAPE}'], 'time': 3.0}
    executor.facts.create(keys.outcome_key(run.session), outcome)
    yield lambda *command: CliRunner().invoke(cli.main, [*command, '-c', str(tmp_path / 'config.yaml')])
    run.purge()


@pytest.mark.parametrize('command', [['runs'], ['status', '1e5'], ['history', '1e5'], ['history', '1e5', '--json']], ids=' '.join)
def test_no_control_character_of_a_run_reaches_the_terminal(foreign, command):
    said = foreign(*command)
    assert said.exit_code == 0 and 'x1b[2J' in said.output.replace('u001b', 'x1b')
    assert all(line.isprintable() for line in said.output.split('\n'))


def test_a_run_id_that_reads_like_a_number_is_printed_as_it_is(foreign):
    assert '1e5 ' in foreign('runs').output and '1e5' in foreign('status', '1e5').output


def test_no_control_character_of_an_error_reaches_the_terminal(foreign):
    said = foreign('status', ESCAPE)
    assert said.exit_code == 1 and r'a\x1b[2Jb' in said.output and said.output.strip().isprintable()


def test_history_as_json_is_not_changed_by_that(foreign):
    assert json.loads(foreign('history', '1e5', '--json').output)[0]['data']['name'] == ESCAPE


def test_what_is_printable_stays_as_it_is():
    assert printable(f'größe 毎日 🙂 {ESCAPE}\n') == r'größe 毎日 🙂 a\x1b[2Jb\n'
