"""
A home, a temporary folder and a local function service of the tests' own.

Lithops fixes its folders when it is imported, so they are set before that.
"""

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

FOLDER = Path(tempfile.mkdtemp(prefix='triggerflow-tests-'))
for name in ('HOME', 'TMPDIR'):
    folder = FOLDER / name.lower()
    folder.mkdir()
    os.environ[name] = str(folder)
tempfile.tempdir = None
for name in ('LITHOPS_CONFIG', 'LITHOPS_CONFIG_FILE'):
    os.environ.pop(name, None)

CONFIG = {
    'lithops': {'backend': 'localhost', 'storage': 'localhost'},
    # Some tests leave sleeping calls behind, which keep their slots
    'localhost': {'worker_processes': 16},
    'triggerflow': {'idle_seconds': 2},
}


def pytest_sessionfinish(session):
    # The service ends by itself: at the latest when its folder is gone
    shutil.rmtree(FOLDER, ignore_errors=True)
    time.sleep(0.1)
    shutil.rmtree(FOLDER, ignore_errors=True)


@pytest.fixture(scope='session')
def seaweedfs(tmp_path_factory):
    """The endpoint of an S3 server."""
    import servers

    with servers.seaweedfs(tmp_path_factory.mktemp('seaweedfs')) as endpoint:
        yield endpoint


@pytest.fixture(scope='session')
def certificate(tmp_path_factory):
    """Paths: of an authority, of a certificate of 127.0.0.1, and of its key."""
    import trustme

    folder, authority = tmp_path_factory.mktemp('certificate'), trustme.CA()
    issued = authority.issue_cert('127.0.0.1')
    authority.cert_pem.write_to_path(folder / 'authority.pem')
    issued.private_key_pem.write_to_path(folder / 'key.pem')
    for number, part in enumerate(issued.cert_chain_pems):
        part.write_to_path(folder / 'certificate.pem', append=number > 0)
    return tuple(str(folder / name) for name in ('authority.pem', 'certificate.pem', 'key.pem'))


@pytest.fixture(scope='session')
def config():
    """The configuration of all test runs."""
    return CONFIG


@pytest.fixture(scope='session')
def executor():
    """Starts runs on the tests' own localhost backend."""
    from triggerflow_lithops import TriggerflowExecutor

    return TriggerflowExecutor(config=CONFIG, log_level=None)


@pytest.fixture
def run(executor):
    """Runs an orchestrator to its end, and gives its value: ``run(main, args)``."""

    def run_to_its_end(orchestrator, *args, timeout=60, **kwargs):
        return executor.run(orchestrator, *args, **kwargs).result(timeout=timeout)

    return run_to_its_end
