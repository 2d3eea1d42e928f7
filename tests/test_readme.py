"""What the README says is so."""

import re
from pathlib import Path

from triggerflow_lithops.config import KEYS, RETRY, UNGUARDED

ROOT = Path(__file__).parent.parent
README = (ROOT / 'README.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'```python\n(.*?)```', README, re.DOTALL)


def test_the_hello_of_the_readme_is_the_example():
    script = (ROOT / 'examples' / 'hello.py').read_text()
    assert script.partition('"""\n\n')[2] == BLOCKS[0]


def test_what_the_readme_asks_of_a_run_works(executor):
    found = executor.run(lambda: 6)
    found.result(timeout=30)
    code = BLOCKS[1].replace("TriggerflowExecutor().get_run('main-3f9a1c2b')", 'found')
    exec(code, {'found': found})


def test_the_readme_names_every_setting_with_its_default():
    named = dict(re.findall(r'^\| `(\w+)` \| (\S+) \|', README, re.MULTILINE))
    assert named.pop(UNGUARDED) == 'no'
    told = {key: None if value == 'unset' else float(value) for key, value in named.items()}
    assert told == {key: default for key, (_, default) in KEYS.items()}
    assert f'| `{RETRY}` |' in README


def test_ci_runs_the_test_command_of_the_readme():
    assert '.venv/bin/pytest' in (ROOT / '.ci' / 'run').read_text() and '.venv/bin/pytest -q tests' in README


def test_every_scenario_is_a_test():
    named = re.findall(r'`(\S+\.py)::(test_\w+)`', (ROOT / 'docs' / 'scenarios.md').read_text(encoding='utf-8'))
    assert len(named) > 50
    for file, test in named:
        assert f'def {test}(' in (ROOT / 'tests' / file).read_text(encoding='utf-8'), f'{file} has no {test}'


def test_the_example_of_the_page_on_testing_is_complete():
    page = (ROOT / 'docs' / 'testing.md').read_text(encoding='utf-8')
    code = re.findall(r'```python\n(.*?)```', page, re.DOTALL)[0]
    names = {'main': lambda args: 6}
    exec(code, names)
    for name in [name for name in names if name.startswith('test_')]:
        names[name]()
