"""The house: imports point down only, and what travels stands alone."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / 'triggerflow_lithops'
PATCH = ROOT / 'patches' / 'lithops' / 'monitoring' / 'backends' / 'triggerflow'

#: Modules of each floor. A module imports from its own floor and from those below
FLOORS = (
    {'triggers'},
    {'errors', 'fingerprint', 'history', 'lookout', 'outputs', 'pending', 'readings', 'replay', 'retry', 'world'}
    | {'content', 'difference', 'introspection', 'readers', 'tokens', 'wording'},
    {'backends', 'causes', 'clocks', 'config', 'hidden', 'installation', 'lithops_config', 'muting', 'progress', 'report'}
    | {'storage'},
    {'seams', 'layers', 'job', 'mismatch', 'steps', 'calls', 'waits', 'executor', 'activation', 'outcome', 'runner', 'user_code'}
    | {'class_reducers', 'culprit', 'homes', 'made_again', 'main_module', 'packing', 'pickling', 'places', 'reducers', 'values'}
    | {'care', 'client', 'localhost', 'pickles', 'probe', 'processes', 'program', 'run', 'runtime', 'travelling', 'waiting'},
    {'native'},
    {'__init__', 'cli', 'doctor', 'testing'},
)


def floor_of(module):
    return next(number for number, floor in enumerate(FLOORS) if module in floor)


def imports(path):
    """Absolute names of all that a module imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            folder = path.parent.relative_to(ROOT).parts
            base = '.'.join(folder[: len(folder) - node.level + 1]) if node.level else ''
            module = '.'.join(part for part in (base, node.module) if part)
            yield module
            yield from (f'{module}.{alias.name}' for alias in node.names)


@pytest.mark.parametrize('path', sorted(PACKAGE.rglob('*.py')), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down_only(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix('.py')
    for name in imports(path):
        parts = name.split('.')
        if parts[0] == 'triggerflow_lithops' and len(parts) > 1 and (PACKAGE / parts[1]).with_suffix('.py').exists():
            assert floor_of(parts[1]) <= floor_of(room), f'{room} imports {name}'


@pytest.mark.parametrize('path', sorted((PACKAGE / 'triggers').glob('*.py')), ids=lambda path: path.name)
def test_floor_0_imports_the_standard_library_only(path):
    foreign = {
        name
        for name in imports(path)
        if name.split('.')[0] not in sys.stdlib_module_names and 'triggerflow_lithops.triggers' not in name
    }
    assert not foreign


@pytest.mark.parametrize('module', sorted(FLOORS[1] - {'retry'}))
def test_floor_1_knows_neither_lithops_nor_a_clock(module):
    names = {name.split('.')[0] for name in imports(PACKAGE / f'{module}.py')}
    assert not names & {'lithops', 'time', 'datetime', 'os'}


@pytest.mark.parametrize('path', sorted(PATCH.glob('*.py')), ids=lambda path: path.name)
def test_what_travels_never_imports_what_stays(path):
    assert not any('triggerflow_lithops' in name.split('.') for name in imports(path))


def test_the_stores_that_travel_are_reached_through_their_border_only():
    """What they raise is of another installation of floor 0, and is mapped there."""
    users = [path for path in PACKAGE.rglob('*.py') if 'lithops.monitoring.backends.triggerflow.store' in imports(path)]
    assert [path.name for path in users] == ['storage.py']


def test_patches_hold_added_files_only():
    import lithops

    installed = Path(lithops.__file__).parent
    record = next(installed.parent.glob('lithops-*.dist-info')) / 'RECORD'
    theirs = {line.split(',')[0] for line in record.read_text().splitlines()}
    ours = {str(path.relative_to(ROOT / 'patches')) for path in PATCH.rglob('*.py')}
    assert ours and not ours & theirs


@pytest.mark.parametrize('path', sorted([*PACKAGE.rglob('*.py'), *PATCH.rglob('*.py')]), ids=lambda path: path.name)
def test_every_module_says_what_lives_in_it(path):
    assert ast.get_docstring(ast.parse(path.read_text())) or path.name in ('config.py', '__main__.py')


def test_public_names_are_there():
    import triggerflow_lithops

    assert all(hasattr(triggerflow_lithops, name) for name in triggerflow_lithops.__all__)
