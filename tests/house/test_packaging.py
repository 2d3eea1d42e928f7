"""What is built of this tree, what installing adds to Lithops, and what uninstalling leaves of it."""

import hashlib
import importlib.metadata
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import lithops
import pytest
from lithops.utils import create_handler_zip

import triggerflow_lithops
from triggerflow_lithops import InstallationError
from triggerflow_lithops.deployment import installation
from triggerflow_lithops.orchestrator.hooks import install

ROOT = Path(__file__).parents[2]
NAME = 'triggerflow_lithops'
BACKEND = 'lithops/monitoring/backends/triggerflow'


def told(*command, **options):
    """What a command prints; what it says of itself is shown where it fails."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(python, *arguments):
    told(python, '-m', 'pip', '--disable-pip-version-check', '-q', *arguments)


def uv(*arguments, **options):
    """What uv prints. It may trust other certificates than pip does, and then it does not reach the index."""
    done = subprocess.run([sys.executable, '-m', 'uv', *map(str, arguments)], capture_output=True, text=True, **options)
    if 'Failed to fetch' in done.stderr:
        pytest.skip(f'uv does not reach the package index: {done.stderr.splitlines()[-1]}')
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def digests(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


def contents(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tracked():
    """The paths of all files that a checkout has; None in an unpacked source distribution, which is no checkout."""
    if not (ROOT / '.git').exists():
        return None
    listed = told('git', 'ls-files', '--cached', '--others', '--exclude-standard', cwd=ROOT).splitlines()
    return {path for path in listed if (ROOT / path).is_file()}


@pytest.fixture(scope='session')
def tree(tmp_path_factory):
    """A copy of this tree, with what an earlier build of setuptools' own would have left of a module that has moved."""
    folder = tmp_path_factory.mktemp('tree') / NAME
    paths = tracked()
    if paths is None:
        left_out = shutil.ignore_patterns('.venv', 'build', '*.egg-info', '__pycache__', '.*_cache', '.nox')
        shutil.copytree(ROOT, folder, ignore=left_out)
    for path in paths or ():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    (folder / 'build' / 'lib' / NAME).mkdir(parents=True)
    (folder / 'build' / 'lib' / NAME / 'moved_away.py').touch()
    return folder


@pytest.fixture(scope='session')
def built(tree, tmp_path_factory):
    """The source distribution of this tree, and the wheel that is built of that."""
    folder = tmp_path_factory.mktemp('built')
    told(sys.executable, '-m', 'build', '--outdir', folder, tree)
    return next(folder.glob('*.tar.gz')), next(folder.glob('*.whl'))


@pytest.fixture
def fresh(tmp_path):
    """The Python of a new environment with uv and no pip. It has Lithops; and all else that is needed, from here."""
    uv('venv', '-q', '--python', sys.executable, tmp_path / 'fresh')
    python = tmp_path / 'fresh' / 'bin' / 'python'
    uv('pip', 'install', '-q', '--python', python, '--no-deps', f'lithops=={lithops.__version__}')
    folder = next((tmp_path / 'fresh').glob('lib/python*/site-packages'))
    (folder / 'what_is_needed.pth').write_text(f'{sysconfig.get_path("purelib")}\n')
    return python


def lithops_of(python):
    return next(python.parent.parent.glob('lib/python*/site-packages/lithops'))


def imported(python, folder):
    """The file from which the package is imported there; or the sentence that says why it cannot be."""
    command = [str(python), '-c', f'import {NAME}; print({NAME}.__file__)']
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    return (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()[-1]


def command_of(sentence):
    """The command that a sentence tells to run. Where that is uv's, it is the uv that these tests have."""
    (command,) = re.findall(r"Install both into one environment: '(.*)'\.$", sentence)
    words = shlex.split(command)
    return [sys.executable, '-m', *words] if words[0] == 'uv' else words


def test_the_wheel_of_the_source_distribution_is_that_of_the_tree(tree, built, tmp_path):
    told(sys.executable, '-m', 'build', '--wheel', '--outdir', tmp_path, tree)
    assert contents(next(tmp_path.glob('*.whl'))) == contents(built[1])


def test_a_wheel_has_all_modules_and_nothing_of_an_earlier_build(built):
    found = {path for path in contents(built[1]) if '.dist-info/' not in path}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / NAME).rglob('*.py')}
    added = {str(path.relative_to(ROOT / 'patches')) for path in (ROOT / 'patches').rglob('*.py')}
    below = f'{NAME}/{installation.FLOOR_0}/'
    twice = {f'{BACKEND}/{path.removeprefix(f"{NAME}/")}' for path in modules if path.startswith(below)}
    assert twice and found == modules | added | twice | {f'{NAME}/py.typed', f'{NAME}_command.py'}


def test_the_source_distribution_has_all_that_is_tracked(built):
    paths = tracked()
    if paths is None:
        pytest.skip('an unpacked source distribution is no checkout')
    with tarfile.open(built[0]) as archive:
        found = {member.name.partition('/')[2] for member in archive.getmembers() if member.isfile()}
    made = {'PKG-INFO', 'setup.cfg'}
    assert {path for path in found - paths - made if f'{NAME}.egg-info/' not in path} == set()
    assert paths - found == set()


def test_building_leaves_nothing_in_the_tree(tree, built):
    paths = tracked()
    left = {str(path.relative_to(tree)) for path in tree.rglob('*') if path.is_file() and '__pycache__' not in path.parts}
    assert paths is None or left - paths == {f'build/lib/{NAME}/moved_away.py'}


def test_what_is_built_passes_the_check_of_the_index(built):
    told(sys.executable, '-m', 'twine', 'check', '--strict', *built)


def test_the_version_stands_in_one_place(built):
    version = triggerflow_lithops.__version__
    assert importlib.metadata.version('triggerflow-lithops') == version
    assert all(path.name.startswith(f'{NAME}-{version}') for path in built)
    assert re.search(
        rf'^## (Unreleased|{re.escape(version)}\b)', (ROOT / 'CHANGELOG.md').read_text(encoding='utf-8'), re.MULTILINE
    )


def test_the_metadata_names_the_license_the_pythons_and_no_other_url_than_those_of_the_readme(built):
    [metadata] = [text.decode() for path, text in contents(built[1]).items() if path.endswith('/METADATA')]
    assert any(path.endswith('.dist-info/licenses/LICENSE') for path in contents(built[1]))
    assert 'License-Expression: Apache-2.0\n' in metadata and 'Requires-Python: >=3.10,<3.14\n' in metadata
    assert re.findall(r'^Classifier: Programming Language :: Python :: (3\.\d+)$', metadata, re.MULTILINE) == [
        f'3.{minor}' for minor in range(10, 14)
    ]
    urls = re.findall(r'^Project-URL: .*, (\S+)$', metadata, re.MULTILINE)
    assert urls and all(url in (ROOT / 'README.md').read_text(encoding='utf-8') for url in urls)


def test_installing_and_uninstalling_leave_lithops_as_it_was(built, tmp_path):
    venv.create(tmp_path, with_pip=True)
    python = tmp_path / 'bin' / 'python'
    pip(python, 'install', '--no-deps', f'lithops=={lithops.__version__}')
    theirs = lithops_of(python)
    before = digests(theirs)
    pip(python, 'install', '--no-deps', built[1])
    added = digests(theirs)
    assert {path.parts[:3] for path in set(added) - set(before)} == {('monitoring', 'backends', 'triggerflow')}
    assert {path: added[path] for path in before} == before
    pip(python, 'uninstall', '-y', 'triggerflow-lithops')
    assert digests(theirs) == before


def test_uv_installs_it_and_the_sentence_of_a_lithops_that_lost_it_has_the_command_that_mends_it(built, fresh, tmp_path):
    uv('pip', 'install', '-q', '--python', fresh, '--no-deps', built[1])
    assert imported(fresh, tmp_path).endswith(
        f'fresh/lib/{lithops_of(fresh).parent.parent.name}/site-packages/{NAME}/__init__.py'
    )
    uv('pip', 'install', '-q', '--python', fresh, '--no-deps', '--reinstall', f'lithops=={lithops.__version__}')
    shutil.rmtree(lithops_of(fresh) / installation.BACKEND, ignore_errors=True)
    sentence = imported(fresh, tmp_path)
    assert 'InstallationError' in sentence and 'is missing' in sentence
    told(*command_of(sentence), cwd=tmp_path)
    assert imported(fresh, tmp_path) == str(lithops_of(fresh).parent / NAME / '__init__.py')


def test_uv_builds_a_folder_again_when_any_module_of_it_has_changed(tree, fresh, tmp_path):
    edited = tmp_path / 'edited'
    shutil.copytree(tree, edited)
    for path in (f'{NAME}/client/run.py', f'{NAME}/core/run/keys.py', f'patches/{BACKEND}/status.py'):
        (edited / path).write_text(f'{(edited / path).read_text()}\n# changed\n')
        uv('pip', 'install', '-q', '--python', fresh, '--no-deps', edited)
        installed = lithops_of(fresh).parent / path.removeprefix('patches/')
        assert installed.read_text() == (edited / path).read_text()


def test_it_can_be_installed_beside_all_extras_of_lithops(built, tmp_path):
    uv('venv', '-q', '--python', sys.executable, tmp_path / 'fresh')
    options = ['-q', '--python', tmp_path / 'fresh' / 'bin' / 'python', '--dry-run']
    uv('pip', 'install', *options, f'lithops[all]=={lithops.__version__}', built[1])


def test_an_editable_install_runs_the_source_tree_and_says_when_what_workers_have_is_older(tree, fresh, tmp_path):
    edited = tmp_path / 'edited'
    shutil.copytree(tree, edited)
    uv('pip', 'install', '-q', '--python', fresh, '--no-deps', '-e', edited)
    assert imported(fresh, tmp_path) == str(edited / NAME / '__init__.py')
    # What travels are files in the folder that Lithops zips
    sources = digests(edited / 'patches' / BACKEND)
    copies = digests(lithops_of(fresh) / installation.BACKEND)
    assert sources and sources.items() <= copies.items() and len(copies) > len(sources)

    for changed in (edited / 'patches' / BACKEND / 'status.py', edited / NAME / installation.FLOOR_0 / 'store.py'):
        changed.write_text(f'{changed.read_text()}\n# changed\n')
        sentence = imported(fresh, tmp_path)
        assert 'InstallationError' in sentence and 'is of another version than' in sentence
        assert '-e' in command_of(sentence)
        told(*command_of(sentence), cwd=tmp_path)
        assert imported(fresh, tmp_path) == str(edited / NAME / '__init__.py')

    uv('pip', 'uninstall', '-q', '--python', fresh, 'triggerflow-lithops')
    assert not (lithops_of(fresh) / installation.BACKEND).exists()
    assert not [path for path in lithops_of(fresh).parent.glob('*editable*')]


def test_a_lithops_that_is_itself_editable_is_told_so(built, fresh, tmp_path):
    uv('pip', 'install', '-q', '--python', fresh, '--no-deps', built[1])
    without = shutil.ignore_patterns('triggerflow', '__pycache__')
    shutil.copytree(lithops_of(fresh), tmp_path / 'checkout' / 'lithops', ignore=without)
    sentence = imported(fresh, tmp_path / 'checkout')
    assert f'{tmp_path / "checkout" / "lithops"} is a folder into which packages are not installed' in sentence
    assert 'not as an editable one' in sentence


def test_what_a_worker_needs_is_in_the_zip_that_lithops_makes(tmp_path):
    (tmp_path / 'entry.py').write_text('')
    create_handler_zip(str(tmp_path / 'handler.zip'), str(tmp_path / 'entry.py'))
    names = zipfile.ZipFile(tmp_path / 'handler.zip').namelist()
    assert 'lithops/monitoring/backends/triggerflow/status.py' in names
    assert 'lithops/monitoring/backends/triggerflow/core/run/engine.py' in names


def test_a_lithops_without_the_patch_is_an_error_that_says_what_to_do(tmp_path):
    shutil.copytree(installation.LITHOPS, tmp_path / 'lithops', ignore=shutil.ignore_patterns('triggerflow', '__pycache__'))
    found = subprocess.run(
        [sys.executable, '-c', 'import triggerflow_lithops'],
        env={**os.environ, 'PYTHONPATH': str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    last = found.stderr.strip().splitlines()[-1]
    assert 'InstallationError' in last and 'is missing' in last and 'pip install' in last


def test_this_installation_is_in_order():
    installation.require_patch()
    install.require_seams()


@pytest.mark.parametrize('owner, name', install.SEAMS, ids=[f'{owner}.{name}' for owner, name in install.SEAMS])
def test_each_seam_is_still_there(owner, name):
    assert hasattr(owner, name)


def test_a_lithops_that_lacks_a_seam_is_refused(monkeypatch):
    monkeypatch.setattr(install, 'SEAMS', (*install.SEAMS, (lithops.FunctionExecutor, '_no_such_method')))
    with pytest.raises(InstallationError, match='no_such_method'):
        install.require_seams()


def test_lithops_is_not_touched_outside_of_an_activation():
    from lithops.wait import wait

    assert lithops.wait is wait and lithops.FunctionExecutor._submit_map.__module__ == 'lithops.executors'
