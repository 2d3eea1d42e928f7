"""
Another user of the machine, in a temporary folder that both can write to: nothing that this user tries succeeds.

The first user and the second one are processes with user ids of their own, both without privileges. The first user has a
real run on the localhost backend, which waits meanwhile.
"""

import json
import os
import stat
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

import pytest

FIRST, SECOND = 64_901, 64_902
#: Where modules are imported from that are installed
PACKAGES = sysconfig.get_path('purelib')
UMASKS = ('000', '022')

#: What the first user runs: an orchestrator whose calls have large results and large arguments, and that waits for a file
SCRIPT = """
import os, sys, time
umask, gate = int(sys.argv[1], 8), sys.argv[2]
os.umask(umask)
import lithops
from triggerflow_lithops import ConfigurationError, TriggerflowExecutor

def large(x):
    return b'x' * 20_000

def length(data):
    return len(data)

def waits(gate):
    while not os.path.exists(gate):
        time.sleep(0.05)
    return os.umask(0)

def main(gate):
    open(gate + '.ran', 'w').close()
    fexec = lithops.FunctionExecutor()
    found = [len(result) for result in fexec.get_result(fexec.map(large, [1, 2]))]
    found.append(fexec.get_result(fexec.call_async(length, (b'x' * 300_000,))))
    fexec.storage.put_cloudobject(b'x')
    open(gate + '.begun', 'w').close()
    return [*found, fexec.get_result(fexec.call_async(waits, gate)), os.umask(0)]

try:
    config = {'lithops': {'backend': 'localhost', 'storage': 'localhost'}, 'triggerflow': {'idle_seconds': 1}}
    run = TriggerflowExecutor(config=config, log_level='ERROR').run(main, (gate,))
    print(run.result(timeout=60))
except ConfigurationError as error:
    print('refused:', error)
"""


def as_user(user, *command, **environment):
    """A process of a user of the machine."""
    environment = {'PATH': os.environ['PATH'], 'USER': f'user-{user}', 'PYTHONPATH': PACKAGES, **environment}
    return subprocess.Popen(
        command, user=user, group=user, extra_groups=[], env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd='/',
    )  # fmt: skip


def said_by(process, timeout=60):
    said, _ = process.communicate(timeout=timeout)
    return said.strip()


@pytest.fixture(scope='module')
def python():
    """An interpreter that other users can run, with the packages of this one."""
    if os.geteuid() != 0:
        pytest.skip('only root can be two users')
    name = f'python{sys.version_info[0]}.{sys.version_info[1]}'
    for found in (sys.executable, f'/usr/bin/{name}', f'/usr/local/bin/{name}'):
        try:
            # An interpreter of another build may not fit what is installed for this one
            if said_by(as_user(FIRST, found, '-c', 'import psutil, cloudpickle, yaml; print(1)')) == '1':
                return found
        except OSError:
            continue
    pytest.skip(f'no other user can run {sys.executable}, or read {PACKAGES}')


class Place:
    """
    A temporary folder that both users can write to.

    :ivar tmp: the folder
    :ivar lithops: where Lithops' temporary folder of the first user lies, or will
    :ivar theirs: a folder of the second user
    """

    def __init__(self, folder, python, umask):
        self.python, self.umask = python, umask
        self.tmp, self.home, self.theirs = folder / 'tmp', folder / 'home', folder / 'theirs'
        for path, user, mode in ((self.tmp, 0, 0o1777), (self.home, FIRST, 0o755), (self.theirs, SECOND, 0o777)):
            path.mkdir(parents=True)
            os.chown(path, user, user)
            path.chmod(mode)
        self.lithops = self.tmp / f'lithops-user-{FIRST}'
        self.gate = self.home / 'gate'

    def first_user(self, code=SCRIPT):
        environment = {'TMPDIR': str(self.tmp), 'HOME': str(self.home)}
        return as_user(FIRST, self.python, '-c', code, self.umask, str(self.gate), **environment)

    def second_user(self, code, *arguments):
        """What the second user has printed, who has the names ``tmp``, ``lithops``, ``theirs`` and ``arguments``."""
        given = json.dumps([str(self.tmp), str(self.lithops), str(self.theirs), [str(argument) for argument in arguments]])
        begin = 'import json, os, stat, sys\ntmp, lithops, theirs, arguments = json.load(sys.stdin)\nos.umask(0)\n'
        process = subprocess.Popen(
            [self.python, '-I', '-S', '-c', begin + code], user=SECOND, group=SECOND, extra_groups=[], env={}, cwd='/',
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        said, _ = process.communicate(given, timeout=60)
        assert process.returncode == 0, said
        return said.split('\n')[:-1]

    def everything(self):
        """All paths below Lithops' temporary folder, as root sees them. Its copy of Lithops is the one that is installed."""
        found = [self.lithops]
        for folder, folders, files in os.walk(self.lithops):
            if folder == str(self.lithops) and 'lithops' in folders:
                folders.remove('lithops')
            found += [Path(folder, name) for name in folders + files]
        return found


def make_place(enterable, python, umask):
    folder = Path(tempfile.mkdtemp(dir=enterable))
    folder.chmod(0o755)
    return Place(folder, python, umask)


@pytest.fixture(params=UMASKS)
def place(enterable, python, request):
    """A place in which there is no run yet, and an umask of the first user."""
    return make_place(enterable, python, request.param)


@pytest.fixture
def open_to_all(enterable, python):
    """A place in which the first user has let everybody do everything."""
    place = make_place(enterable, python, '000')
    (place.lithops / 'storage').mkdir(parents=True)
    (place.lithops / 'storage' / 'object').write_text('x')
    (place.lithops / 'storage' / 'empty').mkdir()
    os.mkfifo(place.lithops / 'storage' / 'bell')
    bell = os.open(place.lithops / 'storage' / 'bell', os.O_RDWR)
    for path in place.everything():
        os.chown(path, FIRST, FIRST)
        path.chmod(0o777)
    place.tmp.chmod(0o777)
    yield place
    os.close(bell)


@pytest.fixture(scope='module', params=UMASKS)
def waiting(request, enterable, python):
    """A place in which there is a run of the first user that waits. It ends as it would have ended alone."""
    place = make_place(enterable, python, request.param)
    process = place.first_user()
    deadline = time.monotonic() + 60
    while not Path(f'{place.gate}.begun').exists():
        assert process.poll() is None and time.monotonic() < deadline, said_by(process)
        time.sleep(0.02)
    yield place
    place.gate.touch()
    umask = int(request.param, 8)
    assert said_by(process) == str([20_000, 20_000, 300_000, umask, umask])


# While a run waits


def test_everything_is_private_and_of_its_user(waiting):
    found = {str(path.relative_to(waiting.lithops)): path.lstat() for path in waiting.everything()}
    folders = {'storage', 'logs', 'jobs', 'cleaner', 'triggerflow', 'triggerflow/drivers', 'triggerflow/unfinished'}
    assert folders <= found.keys() and sum(stat.S_ISREG(of.st_mode) for of in found.values()) > 10
    others = {
        name: oct(of.st_mode)
        for name, of in found.items()
        if of.st_uid != FIRST or stat.S_IMODE(of.st_mode) != (0o700 if stat.S_ISDIR(of.st_mode) else 0o600)
    }
    assert not others


#: What the second user tries, at every path that there is. It prints what has succeeded
EACH = """
def each(attempt, paths=arguments):
    for path in paths:
        try:
            if attempt(path) is not False:
                print(path)
        except OSError:
            pass

def in_it(path):
    return os.path.join(path, 'x.json')

def mine(kind):
    path = os.path.join(theirs, kind + '-of-mine')
    if kind == 'folder':
        os.makedirs(path, exist_ok=True)
    else:
        open(path, 'w').close()
    return path
"""
ATTACKS = {
    'see': 'each(os.stat, arguments[1:])',
    'walk': 'each(lambda path: bool(list(os.walk(path))))',
    'read': "each(lambda path: open(path, 'rb', opener=lambda path, flags: os.open(path, flags | os.O_NONBLOCK)).read())",
    'read-from-above': 'each(lambda path: os.open(os.path.relpath(path, tmp), os.O_RDONLY, dir_fd=os.open(tmp, 0)))',
    'write': "each(lambda path: os.write(os.open(path, os.O_WRONLY | os.O_NONBLOCK), b'x'))",
    'truncate': 'each(lambda path: os.truncate(path, 0))',
    'put': "each(lambda path: open(in_it(path), 'w').write('{}'))",
    'make-a-folder': 'each(lambda path: os.mkdir(in_it(path)))',
    'make-a-fifo': 'each(lambda path: os.mkfifo(in_it(path)))',
    'ring': "each(lambda path: os.path.basename(path) == 'bell' and os.write(os.open(path, os.O_WRONLY | os.O_NONBLOCK), b'!'))",
    'remove-files': 'each(os.unlink)',
    'remove-folders': 'each(os.rmdir)',
    'swap-away': "each(lambda path: os.rename(path, path + '.away'))",
    'swap-a-file': "each(lambda path: os.replace(mine('file'), path))",
    'swap-a-folder': "each(lambda path: os.rename(mine('folder'), path))",
    'link-symbolically': "each(lambda path: os.symlink('/etc/passwd', in_it(path)))",
    'link-in': "each(lambda path: os.link(mine('file'), in_it(path)))",
    'link-out': "each(lambda path: os.link(path, os.path.join(theirs, 'out')))",
    'enter': 'each(os.chdir)',
}


@pytest.mark.parametrize('attack', ATTACKS)
def test_a_second_user_cannot(waiting, attack):
    assert not waiting.second_user(EACH + ATTACKS[attack], *waiting.everything())


@pytest.mark.parametrize('attack', ATTACKS)
def test_a_second_user_could_where_the_first_one_lets_everybody(open_to_all, attack):
    assert open_to_all.second_user(EACH + ATTACKS[attack], *open_to_all.everything())


def test_no_process_of_the_run_can_be_sent_a_signal(waiting):
    code = 'each(lambda path: os.stat(path).st_uid == os.stat(lithops).st_uid and os.kill(int(path[6:]), 0), arguments)'
    processes = [path for path in Path('/proc').glob('[0-9]*') if path.stat().st_uid == FIRST]
    assert len(processes) >= 3
    assert not waiting.second_user(EACH + code, *processes)


# Before there is one


def assert_refused(place, *reasons):
    # If it were not refused, it would not wait
    place.gate.touch()
    said = said_by(place.first_user())
    assert said.startswith('refused: The temporary folder of Lithops cannot be used: ') and len(said.splitlines()) == 1, said
    assert all(reason in said for reason in reasons), said
    assert not Path(f'{place.gate}.ran').exists()


def nothing_of_the_first_user(folder):
    """But for those folders that importing Lithops makes."""
    made = {name for name in os.listdir(folder) if Path(folder, name).lstat().st_uid == FIRST}
    return made <= {'jobs', 'logs', 'cleaner'} and not any(os.listdir(Path(folder, name)) for name in made)


def test_a_folder_that_a_second_user_has_made_before_is_refused(place):
    place.second_user('os.mkdir(lithops, 0o777)')
    expected = f'{place.lithops} belongs to user {SECOND}, and this process is of user {FIRST}. Remove it, or set TMPDIR'
    assert_refused(place, expected)
    assert nothing_of_the_first_user(place.lithops)


@pytest.mark.parametrize('place', ['022'], indirect=True)
def test_a_folder_that_a_second_user_has_made_and_closed_lets_nothing_run(place):
    """Lithops itself cannot be imported then."""
    place.second_user('os.mkdir(lithops, 0o755)')
    said = said_by(place.first_user())
    assert said.splitlines()[-1].startswith('PermissionError: ') and str(place.lithops) in said
    assert not Path(f'{place.gate}.ran').exists()


def test_a_symbolic_link_in_its_place_is_refused(place):
    place.second_user('os.symlink(theirs, lithops)')
    assert_refused(place, f'{place.lithops} is a symbolic link of user {SECOND}', 'Remove it, or set TMPDIR')
    assert nothing_of_the_first_user(place.theirs)


def test_a_temporary_folder_in_which_others_can_rename_is_refused(place):
    place.tmp.chmod(0o777)
    assert_refused(place, f'{place.tmp}, on the way to {place.tmp}, has mode 0777', 'Set TMPDIR to a folder of your own')


def test_a_temporary_folder_of_a_second_user_is_refused(place):
    os.chown(place.tmp, SECOND, SECOND)
    assert_refused(place, f'{place.tmp}, on the way to {place.tmp}, belongs to user {SECOND}', 'Set TMPDIR to a folder')


#: What a second user can put into the folder that Lithops itself makes, where the umask of the first one lets everybody write
PLANTS = {
    'the-bucket': "os.mkdir(lithops + '/storage', 0o777)",
    'a-link-to-the-bucket': "os.symlink(theirs, lithops + '/storage')",
    'the-service': "os.makedirs(lithops + '/triggerflow/queue', 0o777)",
    'the-program-that-runs-calls': "open(lithops + '/localhost-runner-v2.py', 'w').close()",
    'the-folder-of-logs': "os.rename(lithops + '/logs', theirs + '/logs'); os.mkdir(lithops + '/logs', 0o777)",
    'something-deeper': "os.mkdir(lithops + '/jobs/x', 0o777)",
}


@pytest.mark.parametrize('plant', PLANTS)
@pytest.mark.parametrize('place', ['000'], indirect=True)
def test_what_a_second_user_has_put_into_the_folder_is_refused(place, plant):
    said_by(place.first_user('import os\nos.umask(0)\nimport lithops'))
    place.second_user(PLANTS[plant])
    assert_refused(place, f'user {SECOND}', f'{place.lithops}/')


@pytest.mark.parametrize('place', ['000'], indirect=True)
def test_what_plain_lithops_has_left_where_everybody_could_write_is_refused(place):
    said_by(place.first_user('import os\nos.umask(0)\nimport lithops\nopen(lithops.constants.RN_LOG_FILE, "w").close()'))
    assert_refused(place, 'localhost-runner.log lies in a folder in which other users could write', 'Remove it, or set TMPDIR')
