"""What CONTRIBUTING.md says of the tree is so, and CI and the hooks of commits run what there is."""

import ast
import importlib.metadata
import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')
#: A file of this tree, and the names in it
PLACE = re.compile(r'`([\w./-]+/[\w.-]+\.(?:py|md|yml))`(?::((?:,? `[\w.]+`)+))?')
#: What the section has to answer
QUESTIONS = (
    *('Where does a wait suspend?', "Where is a call's event written?", 'Where is a retry decided?'),
    *('a compute backend', 'a storage', 'a durable step', 'a public error', 'a setting'),
    *('a law', 'a mutant', 'a corpus orchestrator'),
)
ANSWERS = dict(
    re.findall(r'^- \*\*(.+?)\*\*:? (.*)$', PAGE.partition('## Where things are')[2].partition('## Conventions')[0], re.M)
)


def names_in(path):
    """All that a module defines at its top, and in its classes: ``publish``, ``Engine.publish``."""
    for node in ast.parse(path.read_text(encoding='utf-8')).body:
        yield from _defined(node)
        if isinstance(node, ast.ClassDef):
            yield from (f'{node.name}.{name}' for inner in node.body for name in _defined(inner))


def _defined(node):
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        yield from (target.id for target in targets if isinstance(target, ast.Name))


@pytest.mark.parametrize('question', QUESTIONS)
def test_a_question_of_a_newcomer_is_answered_with_a_file_and_a_name(question):
    assert any(names for _, names in PLACE.findall(ANSWERS[question]))


@pytest.mark.parametrize('path, names', sorted(set(PLACE.findall(PAGE))))
def test_each_file_and_name_of_the_page_is_there(path, names):
    file = ROOT / path
    assert file.is_file()
    named = set(re.findall(r'`([\w.]+)`', names))
    assert named <= (set(names_in(file)) if file.suffix == '.py' else set())


def test_no_file_is_named_in_another_way_than_the_one_that_is_checked():
    spans = re.findall(r'`([^`\n]+)`', re.sub(r'(?s)```.*?```', '', PAGE))
    paths = {span for span in spans if ' ' not in span and re.search(r'\.(py|md|yml|yaml|toml)$', span)}
    unchecked = paths - {path for path, _ in PLACE.findall(PAGE)}
    assert all((ROOT / path).is_file() for path in unchecked), unchecked


def test_the_page_has_the_command_that_a_change_of_what_travels_asks_for():
    assert '.venv/bin/pip install -q --no-deps -e .' in PAGE and "pip install -q -e '.[dev]'" in PAGE
    assert 'dev' in importlib.metadata.metadata('triggerflow-lithops').get_all('Provides-Extra')


@pytest.fixture(scope='module')
def sessions():
    """All sessions of the noxfile, with the Pythons and parameters that they are run with."""
    command = [sys.executable, '-m', 'nox', '--list', '--no-color', '--noxfile', ROOT / 'noxfile.py']
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # A star before those that run by default, and a dash before the others
    return set(re.findall(r'^[*-] (\S+)', listed, re.MULTILINE))


def asked_by(job):
    """The sessions that a job of CI runs: its commands, with each combination of its matrix."""
    matrix = job['strategy']['matrix']
    commands = [step['run'] for step in job['steps'] if step.get('run', '').startswith('nox ')]
    for command, values in itertools.product(commands, itertools.product(*matrix.values())):
        for key, value in zip(matrix, values, strict=True):
            command = command.replace(f'${{{{ matrix.{key} }}}}', value)
        yield re.fullmatch(r'nox -s "([^"]+)"', command)[1]


def test_ci_runs_all_sessions_and_no_others(sessions):
    workflow = yaml.safe_load((ROOT / '.github' / 'workflows' / 'ci.yml').read_text(encoding='utf-8'))
    # YAML 1.1 takes the word for a truth
    assert {'push', 'pull_request'} <= set(workflow[True])
    asked = [session for job in workflow['jobs'].values() for session in asked_by(job)]
    assert sorted(asked) == sorted(sessions)


def test_the_sessions_are_for_the_pythons_and_the_releases_of_lithops_that_the_metadata_allow(sessions):
    metadata = importlib.metadata.metadata('triggerflow-lithops')
    pythons = set(re.findall(r'Python :: (3\.\d+)', '\n'.join(metadata.get_all('Classifier'))))
    assert {f'fast-{python}' for python in pythons} == {name for name in sessions if name.startswith('fast')}
    expected = {f'tests-{python}({lithops})' for python in pythons for lithops in ('lowest', 'newest')}
    assert expected == {name for name in sessions if name.startswith('tests')}
    noxfile = (ROOT / 'noxfile.py').read_text(encoding='utf-8')
    [allowed] = [text for text in metadata.get_all('Requires-Dist') if re.match(r'lithops[<>=]', text)]
    assert set(allowed.removeprefix('lithops').split(',')) == {'>=3.8', '<4'} and "'lithops==3.8.0'" in noxfile
    assert "'lithops>=3.8,<4'" in noxfile
    [ruff] = {text.partition(';')[0].strip() for text in metadata.get_all('Requires-Dist') if text.startswith('ruff')}
    assert f"'{ruff}'" in noxfile


def test_the_hooks_of_commits_are_valid_and_download_nothing():
    hooks = yaml.safe_load((ROOT / '.pre-commit-config.yaml').read_text(encoding='utf-8'))
    assert [repo['repo'] for repo in hooks['repos']] == ['local']
    entries = {hook['id']: hook['entry'].split() for hook in hooks['repos'][0]['hooks']}
    assert set(entries) == {'ruff-check', 'ruff-format', 'mypy'}
    assert all(entry[0] in ('.venv/bin/ruff', '.venv/bin/mypy') for entry in entries.values())
    assert all(hook['language'] == 'system' for hook in hooks['repos'][0]['hooks'])


def test_the_marker_of_the_fast_tests_is_known(pytestconfig):
    assert any(line.startswith('fast:') for line in pytestconfig.getini('markers'))
