"""What the README says is so."""

import re
import uuid
from pathlib import Path

import pytest
import yaml

import triggerflow_lithops
from triggerflow_lithops import Context, Triggerflow
from triggerflow_lithops.deployment.config import BACKEND, KEYS, RETRY, SERVICE, SINK, SINK_KEYS, SWITCHES

ROOT = Path(__file__).parents[2]
README = (ROOT / 'README.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'```python\n(.*?)```', README, re.DOTALL)
#: What is not for users
INSIDE = {'asked', 'values_now', 'executor'}


def test_the_hello_of_the_readme_is_the_example():
    script = (ROOT / 'examples' / 'hello.py').read_text()
    assert script.partition('"""\n\n')[2] == BLOCKS[0]


def test_what_the_readme_asks_of_a_run_works(executor):
    found = executor.run(lambda: 6)
    found.result(timeout=90)
    code = BLOCKS[1].replace("TriggerflowExecutor().get_run('main-3f9a1c2b')", 'found')
    exec(code, {'found': found})


@pytest.fixture
def tf(executor):
    made = Triggerflow(f'w-{uuid.uuid4().hex[:8]}', executor=executor)
    yield made
    if made._name in made.list_workspaces():
        made.delete_workspace()


def printed_by(code, tf, capsys):
    """What a block of triggers prints, with another workspace than its own."""
    assert "Triggerflow('etl')" in code
    exec(code.replace("Triggerflow('etl')", 'own'), {'__name__': '__main__', 'own': tf})
    assert tf._name not in tf.list_workspaces()
    return capsys.readouterr().out.strip()


def test_the_triggers_of_the_readme_work(tf, capsys):
    assert printed_by(BLOCKS[2], tf, capsys) == '[103]' and '# [103]' in BLOCKS[2]


def test_the_triggers_of_their_page_work(tf, capsys):
    page = (ROOT / 'docs' / 'how-to' / 'triggers.md').read_text(encoding='utf-8')
    code = re.findall(r'```python\n(.*?)```', page, re.DOTALL)[0]
    assert printed_by(code, tf, capsys) == '[103]' and '# [103]' in code


def test_the_page_on_triggers_names_all_of_them():
    page = (ROOT / 'docs' / 'how-to' / 'triggers.md').read_text(encoding='utf-8')
    methods = [name for of in (Triggerflow, Context) for name in vars(of) if not name.startswith('_')]
    public = {name: getattr(triggerflow_lithops, name) for name in triggerflow_lithops.__all__}
    words = {name for name, found in public.items() if '.native.' in getattr(found, '__module__', '')}
    told = set(re.findall(r'\w+', page))
    assert {*methods, *words, 'TRUE', 'ANY', 'PASS', 'END'} - told <= INSIDE


def test_the_readme_names_every_setting_with_its_default():
    named = dict(re.findall(r'^\| `(\w+)` \| (\S+) \|', README, re.MULTILINE))
    assert named.pop(BACKEND) == '`storage`'
    assert {key: named.pop(key) for key in SWITCHES} == {key: 'yes' if default else 'no' for key, default in SWITCHES.items()}
    told = {key: None if value == 'unset' else float(value) for key, value in named.items()}
    assert told == {key: default for key, (_, default) in KEYS.items()}
    assert f'| `{RETRY}` |' in README


def test_the_page_on_trigger_backends_names_every_setting_with_its_default():
    page = (ROOT / 'docs' / 'trigger-backends.md').read_text(encoding='utf-8')
    (block,) = re.findall(r'```yaml\n(.*?)```', page, re.DOTALL)
    section = yaml.safe_load(block)['triggerflow']
    assert {*section} == {BACKEND, *SERVICE, SINK} and {*section[SINK]} == {*SINK_KEYS} - {'username'}
    defaults = {key: section[key] for key in ('workspace',)} | {key: section[SINK][key] for key in ('port', 'tls')}
    assert defaults == {'workspace': SERVICE['workspace'], 'port': SINK_KEYS['port'][1], 'tls': SINK_KEYS['tls'][1]}


def test_ci_runs_the_test_command_of_the_readme():
    assert '.venv/bin/pytest' in (ROOT / '.ci' / 'run').read_text() and '.venv/bin/pytest -q tests' in README


@pytest.mark.parametrize(('page', 'least'), [('scenarios.md', 50), ('how-to/triggers.md', 15)])
def test_every_scenario_is_a_test(page, least):
    named = re.findall(r'`(\S+\.py)::(test_\w+)`', (ROOT / 'docs' / page).read_text(encoding='utf-8'))
    assert len(named) > least
    for file, test in named:
        (found,) = (ROOT / 'tests').rglob(Path(file).name)
        assert f'def {test}(' in found.read_text(encoding='utf-8'), f'{file} has no {test}'


def test_the_example_of_the_page_on_testing_is_complete():
    page = (ROOT / 'docs' / 'how-to' / 'testing.md').read_text(encoding='utf-8')
    code = re.findall(r'```python\n(.*?)```', page, re.DOTALL)[0]
    names = {'main': lambda args: 6}
    exec(code, names)
    for name in [name for name in names if name.startswith('test_')]:
        names[name]()
