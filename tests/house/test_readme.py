"""What the README says is so."""

import re
import uuid
from pathlib import Path

import pytest
import yaml

import triggerflow_lithops
from triggerflow_lithops import Context, Triggerflow
from triggerflow_lithops.deployment.config import BACKEND, SERVICE, SINK, settings_of

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


def test_the_page_on_trigger_backends_names_every_setting_with_its_default():
    page = (ROOT / 'docs' / 'reference' / 'trigger-backends.md').read_text(encoding='utf-8')
    (block,) = re.findall(r'```yaml\n(.*?)```', page, re.DOTALL)
    section = yaml.safe_load(block)['triggerflow']
    service, sink = settings_of(SERVICE), settings_of(SINK)
    assert {*section} == {BACKEND, *service} and {*section[SINK]} == {*sink} - {'username'}
    assert section['workspace'] == service['workspace'].default
    assert {name: section[SINK][name] for name in ('port', 'tls')} == {name: sink[name].default for name in ('port', 'tls')}


def test_ci_runs_the_test_command_of_the_readme():
    assert '.venv/bin/pytest' in (ROOT / '.ci' / 'run').read_text() and '.venv/bin/pytest -q tests' in README


@pytest.mark.parametrize(('page', 'least'), [('explanation/scenarios.md', 50), ('how-to/triggers.md', 15)])
def test_every_scenario_is_a_test(page, least):
    named = re.findall(r'`(\S+\.py)::(test_\w+)`', (ROOT / 'docs' / page).read_text(encoding='utf-8'))
    assert len(named) > least
    for file, test in named:
        (found,) = (ROOT / 'tests').rglob(Path(file).name)
        assert f'def {test}(' in found.read_text(encoding='utf-8'), f'{file} has no {test}'
