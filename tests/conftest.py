"""
A home, a temporary folder and a local function service of the tests' own.

Lithops fixes its folders when it is imported, so they are set before that.
"""

import os
import shutil
import signal
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
# A process that is aborted says where it stood
os.environ['PYTHONFAULTHANDLER'] = '1'

CONFIG = {
    'lithops': {'backend': 'localhost', 'storage': 'localhost'},
    # Some tests leave sleeping calls behind, which keep their slots
    'localhost': {'worker_processes': 16},
    'triggerflow': {'idle_seconds': 2},
}


#: Where tests are fast: folders and files of which none starts a process of ours, but for those tests that take an executor
FAST = (
    'core',
    'replay',
    'client/test_causes.py',
    'house/test_contributing.py',
    'house/test_structure.py',
    'orchestrator/test_readings.py',
)
STARTS_SERVICES = {'config', 'executor'}
#: Rooms whose files take longest come first: a worker that begins one of them last would keep all others waiting
LONGEST = ('openwhisk', 'faults', 'habits', 'same', 'house', 'native', 'local_service', 'orchestrator', 'client', 'laws')


def pytest_collection_modifyitems(items):
    """
    Sorts the rooms, and marks as ``fast`` the tests that need neither a service nor a server. All of these together
    take less than a minute.
    """
    rooms = [*LONGEST, *sorted({_room_of(item) for item in items} - {*LONGEST})]
    items.sort(key=lambda item: rooms.index(_room_of(item)))
    for item in items:
        where = item.path.relative_to(Path(__file__).parent)
        if (where.parts[0] in FAST or str(where) in FAST) and not STARTS_SERVICES & {*item.fixturenames}:
            item.add_marker(pytest.mark.fast)


def _room_of(item):
    return item.path.relative_to(Path(__file__).parent).parts[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Of a run that did not end in time, where everything stood that was started by these tests."""
    report = yield
    if call.excinfo and call.excinfo.errisinstance(TimeoutError) and 'has not ended within' in str(call.excinfo.value):
        report.sections.append(('What there was', _what_there_is()))
    return report


def pytest_terminal_summary(terminalreporter):
    """What tests have counted, which passed: ``record_property`` comes through from whichever process ran them."""
    for report in terminalreporter.stats.get('passed', ()):
        if report.when == 'call':
            for name, value in report.user_properties:
                terminalreporter.write_line(f'{report.nodeid.rpartition("::")[2]}: {name}: {value}')


def _what_there_is():
    ours = [pid for pid in map(int, filter(str.isdigit, os.listdir('/proc'))) if pid != os.getpid() and _is_ours(pid)]
    said = [f'{pid}: {_read(f"/proc/{pid}/cmdline", -200)}\n{_read(f"/proc/{pid}/status", 120)}' for pid in ours]
    for folder in FOLDER.rglob('service-*'):
        said += [f'{path}' for path in (folder / 'queue').glob('*')]
    # The youngest first, so that nobody starts anew what was aborted before its stack is written
    for pid in reversed(sorted(ours)):
        os.kill(pid, signal.SIGABRT)
    time.sleep(2)
    logs = sorted(FOLDER.rglob('*.log'), key=lambda path: path.stat().st_mtime)[-12:]
    return '\n'.join([*said, *(f'== {path}\n{_read(path, -6000)}' for path in logs)])


def _is_ours(pid):
    return str(FOLDER) in _read(f'/proc/{pid}/environ', 100_000)


def _read(path, length):
    try:
        text = Path(path).read_text(errors='replace')
    except OSError:
        return ''
    return text[:length] if length > 0 else text[length:]


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


@pytest.fixture
def bucket():
    """The facts of a bucket in memory, in which there are the document and the code of a run. Its session is 's'."""
    import whole

    from triggerflow_lithops.core.memory_store import MemoryStore
    from triggerflow_lithops.core.run import keys
    from triggerflow_lithops.core.store import Facts

    facts = Facts(MemoryStore())
    facts.create(keys.run_key(''), whole.run('', 's', keys.code_key('s')))
    facts.write(keys.code_key('s'), b'code')
    return facts


@pytest.fixture(scope='session')
def enterable():
    """A folder of the tests' own that every user of the machine can enter. Those of pytest are for its user alone."""
    way = [*reversed(FOLDER.parents)]
    found = [path for depth, path in enumerate(way) if all(above.stat().st_mode & 0o001 for above in way[: depth + 1])]
    usable = [path for path in found if os.access(path, os.W_OK)]
    if not usable:
        pytest.skip(f'there is no folder above {FOLDER} that every user can enter, and this one can write to')
    folder = Path(tempfile.mkdtemp(prefix='triggerflow-tests-', dir=usable[-1]))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


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

    def run_to_its_end(orchestrator, *args, timeout=120, **kwargs):
        return executor.run(orchestrator, *args, **kwargs).result(timeout=timeout)

    return run_to_its_end
