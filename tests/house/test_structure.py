"""The house: imports point down only, and what travels stands alone."""

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / 'triggerflow_lithops'
PATCH = ROOT / 'patches' / 'lithops' / 'monitoring' / 'backends' / 'triggerflow'

#: The rooms of each floor: folders, and the modules that lie beside them. A room imports from its own floor and from those
#: below. ``patches/``, inside of Lithops, is floor 2
FLOORS = (
    {'core'},
    {'errors', 'replay', 'retry'},
    set(),
    {'deployment', 'local_service'},
    {'orchestrator'},
    {'client', 'durable'},
    {'native'},
    {'__init__', 'cli'},
    {'testing'},
)


def floor_of(room):
    return next(number for number, rooms in enumerate(FLOORS) if room in rooms)


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


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


@pytest.mark.parametrize('path', sorted(PACKAGE.rglob('*.py')), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down_only(path):
    for name in imports(path):
        package, _, rest = name.partition('.')
        room = rest.partition('.')[0]
        if package == PACKAGE.name and ((PACKAGE / room).is_dir() or (PACKAGE / f'{room}.py').exists()) and room:
            assert floor_of(room) <= floor_of(room_of(path)), f'{room_of(path)} imports {name}'


def test_no_two_rooms_import_each_other():
    met = {}
    for path in PACKAGE.rglob('*.py'):
        for name in imports(path):
            other = name.split('.')[1:2]
            if name.startswith(f'{PACKAGE.name}.') and (PACKAGE / other[0]).exists() and other[0] != room_of(path):
                met.setdefault((room_of(path), other[0]), f'{path.relative_to(PACKAGE)} imports {name}')
    assert not [(met[pair], met[pair[::-1]]) for pair in met if pair[::-1] in met]


@pytest.mark.parametrize('path', sorted((PACKAGE / 'core').rglob('*.py')), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_floor_0_imports_the_standard_library_only(path):
    foreign = {
        name
        for name in imports(path)
        if name.split('.')[0] not in sys.stdlib_module_names and 'triggerflow_lithops.core' not in name
    }
    assert not foreign


@pytest.mark.parametrize('path', [PACKAGE / 'errors.py', *sorted((PACKAGE / 'replay').glob('*.py'))], ids=lambda path: path.name)
def test_a_replay_knows_neither_lithops_nor_a_clock(path):
    names = {name.split('.')[0] for name in imports(path)}
    assert not names & {'lithops', 'time', 'datetime', 'os'}


@pytest.mark.parametrize('path', sorted(PATCH.glob('*.py')), ids=lambda path: path.name)
def test_what_travels_never_imports_what_stays(path):
    assert not any('triggerflow_lithops' in name.split('.') for name in imports(path))


def test_the_stores_that_travel_are_reached_through_their_border_only():
    """What they raise is of another installation of floor 0, and is mapped there."""
    users = [path for path in PACKAGE.rglob('*.py') if 'lithops.monitoring.backends.triggerflow.stores' in imports(path)]
    assert [path.name for path in users] == ['store_border.py']


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
