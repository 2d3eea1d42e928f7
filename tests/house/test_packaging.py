"""What installing adds to Lithops, and what uninstalling leaves of it."""

import hashlib
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import lithops
import pytest
from lithops.utils import create_handler_zip

from triggerflow_lithops import InstallationError
from triggerflow_lithops.deployment import installation
from triggerflow_lithops.orchestrator.hooks import install

ROOT = Path(__file__).parents[2]


def pip(python, *arguments):
    subprocess.run([python, '-m', 'pip', '--disable-pip-version-check', '-q', *arguments], check=True, stderr=subprocess.DEVNULL)


def digests(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


def test_installing_and_uninstalling_leave_lithops_as_it_was(tmp_path):
    venv.create(tmp_path, with_pip=True)
    python = str(tmp_path / 'bin' / 'python')
    pip(python, 'install', '--no-deps', f'lithops=={lithops.__version__}')
    theirs = next(tmp_path.glob('lib/python*/site-packages/lithops'))
    before = digests(theirs)
    pip(python, 'install', '--no-deps', str(ROOT))
    added = digests(theirs)
    assert {path.parts[:3] for path in set(added) - set(before)} == {('monitoring', 'backends', 'triggerflow')}
    assert {path: added[path] for path in before} == before
    pip(python, 'uninstall', '-y', 'triggerflow-lithops')
    assert digests(theirs) == before


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
