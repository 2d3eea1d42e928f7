"""Folders and files of one user alone: what is refused, what is made private, and what is believed."""

import contextlib
import os
import shutil
import stat
import uuid
from pathlib import Path

import pytest
from disk import below
from lithops.monitoring.backends.triggerflow import driver, ownership, private
from lithops.monitoring.backends.triggerflow.core.store import StoreUnavailable
from lithops.monitoring.backends.triggerflow.invocations import Invocation
from lithops.monitoring.backends.triggerflow.local_service import LocalService
from lithops.monitoring.backends.triggerflow.localhost_store import LocalhostStore

from triggerflow_lithops.local_service.idle_runs import MAX_FAILURES, IdleRuns

ANOTHER = 64_902
KEY = 'a/b/object'
#: What lies on the way to an object, from Lithops' temporary folder down
LEVELS = ('.', 'bucket', 'bucket/a', 'bucket/a/b')

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason='only root can give a file to another user')


@contextlib.contextmanager
def umask(mask):
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def modes_below(folder):
    return {path: mode_of(path) for path in below(folder)}


@pytest.fixture
def open_place(enterable):
    """A folder that others can enter."""
    place = Path(os.path.realpath(enterable), uuid.uuid4().hex[:8])
    place.mkdir()
    place.chmod(0o755)
    return place


@pytest.fixture
def home(open_place):
    """The temporary folder of Lithops, with one object in its bucket."""
    folder = open_place / 'lithops-somebody'
    assert LocalhostStore('bucket', str(folder)).put_new(KEY, b'x')
    return folder


REQUESTS = {
    'get': lambda store: store.get(KEY),
    'list': lambda store: store.list('a/b/'),
    'put': lambda store: store.put_new('a/b/other', b'y'),
    'delete': lambda store: store.delete([KEY]),
    'make-private': lambda store: store.make_private(KEY),
}


# The store


@needs_root
@pytest.mark.parametrize('request_', REQUESTS)
@pytest.mark.parametrize('level', LEVELS)
def test_a_folder_of_another_user_is_no_part_of_the_bucket(home, level, request_):
    os.chown(home / level, ANOTHER, ANOTHER)
    with pytest.raises((StoreUnavailable, private.NotPrivate), match=f'{(home / level)} belongs to user {ANOTHER}'):
        REQUESTS[request_](LocalhostStore('bucket', str(home)))
    assert os.listdir(home / 'bucket/a/b') == ['object']


@pytest.mark.parametrize('request_', REQUESTS)
@pytest.mark.parametrize('level', LEVELS)
def test_no_symbolic_link_is_followed_in_the_bucket(home, level, request_):
    elsewhere = home.parent / 'elsewhere'
    (home / level).rename(elsewhere)
    (home / level).symlink_to(elsewhere)
    with pytest.raises((StoreUnavailable, private.NotPrivate), match=f'{(home / level)} is a symbolic link of user'):
        REQUESTS[request_](LocalhostStore('bucket', str(home)))
    assert [path.name for path in elsewhere.rglob('*') if path.is_file()] == ['object']


@needs_root
@pytest.mark.parametrize('request_', ['get', 'make-private'])
def test_an_object_of_another_user_is_not_read_or_written(home, request_):
    os.chown(home / 'bucket' / KEY, ANOTHER, ANOTHER)
    with pytest.raises((StoreUnavailable, private.NotPrivate), match=f'object belongs to user {ANOTHER}'):
        REQUESTS[request_](LocalhostStore('bucket', str(home)))


@pytest.mark.parametrize('request_', ['get', 'make-private'])
def test_an_object_that_is_a_symbolic_link_is_not_followed(home, request_):
    (home / 'bucket' / KEY).rename(home / 'elsewhere')
    (home / 'bucket' / KEY).symlink_to(home / 'elsewhere')
    with pytest.raises((StoreUnavailable, private.NotPrivate), match='object is a symbolic link'):
        REQUESTS[request_](LocalhostStore('bucket', str(home)))


def test_an_object_that_is_a_fifo_is_not_waited_for(home):
    os.mkfifo(home / 'bucket' / 'fifo')
    with pytest.raises(StoreUnavailable, match='should be a file'):
        LocalhostStore('bucket', str(home)).get('fifo')


@pytest.mark.parametrize('key', ['../triggerflow/x', 'a/../../x', '..'])
def test_no_key_leads_out_of_the_bucket(home, key):
    store = LocalhostStore('bucket', str(home))
    for request in (store.get, lambda key: store.put_new(key, b'x'), lambda key: store.delete([key])):
        with pytest.raises(StoreUnavailable, match='leads out of the bucket'):
            request(key)


@pytest.mark.parametrize('mask', [0o000, 0o022, 0o277, 0o777])
def test_what_the_store_makes_is_private_at_any_umask(open_place, mask):
    with umask(mask):
        store = LocalhostStore('bucket', str(open_place / 'way' / 'home'))
        store.put_new(KEY, b'x')
        store.make_private('c/d')
    modes = modes_below(open_place)
    assert modes == {path: 0o700 if path.is_dir() else 0o600 for path in modes} and len(modes) == 10
    assert store.get(KEY) == b'x'


def test_an_object_that_was_open_to_others_is_private_before_it_is_written(home):
    (home / 'bucket' / KEY).chmod(0o666)
    LocalhostStore('bucket', str(home)).make_private(KEY)
    assert mode_of(home / 'bucket' / KEY) == 0o600


# The way to a folder


@pytest.mark.parametrize('mode', [0o755, 0o775, 0o1777, 0o700])
def test_a_way_on_which_nobody_else_can_rename_is_taken(open_place, mode):
    """Many systems give each user a group of its own, and a umask by which the group may write."""
    open_place.chmod(mode)
    private.private_folder(str(open_place / 'x'))


@needs_root
@pytest.mark.parametrize('mode', [0o775, 0o777])
@pytest.mark.parametrize(('owner', 'group'), [(0, ANOTHER), (ANOTHER, 0)])
def test_a_way_on_which_others_can_rename_is_refused(open_place, owner, group, mode):
    os.chown(open_place, owner, group)
    open_place.chmod(mode)
    with pytest.raises(private.NotPrivate, match='on the way to'):
        private.private_folder(str(open_place / 'x'))
    assert not os.listdir(open_place)


def test_what_others_could_write_is_taken_where_nobody_else_can_come(tmp_path):
    tmp_path.chmod(0o700)
    (tmp_path / 'x').mkdir()
    (tmp_path / 'x').chmod(0o777)
    (tmp_path / 'x' / 'file').touch(0o666)
    private.private_folder(str(tmp_path / 'x' / 'y'))
    private.private_folder(str(tmp_path / 'x'))
    assert mode_of(tmp_path / 'x') == 0o700


def test_a_link_of_ones_own_on_the_way_is_followed(open_place):
    (open_place / 'there').mkdir()
    (open_place / 'link').symlink_to('there')
    private.private_folder(str(open_place / 'link' / 'x'))
    assert mode_of(open_place / 'there' / 'x') == 0o700


@needs_root
def test_a_link_of_another_user_on_the_way_is_refused(open_place):
    (open_place / 'there').mkdir()
    (open_place / 'link').symlink_to('there')
    os.chown(open_place / 'link', ANOTHER, ANOTHER, follow_symlinks=False)
    with pytest.raises(private.NotPrivate, match=f'link, on the way to .* belongs to user {ANOTHER}'):
        private.private_folder(str(open_place / 'link' / 'x'))


def test_a_link_out_of_a_folder_that_nobody_else_can_enter_is_noticed(open_place):
    (open_place / 'closed').mkdir(0o700)
    (open_place / 'everybodys').mkdir()
    (open_place / 'everybodys').chmod(0o777)
    (open_place / 'closed' / 'link').symlink_to(open_place / 'everybodys')
    with pytest.raises(private.NotPrivate, match=r'everybodys, on the way to .* has mode 0777'):
        private.private_folder(str(open_place / 'closed' / 'link' / 'x'))


def test_links_in_a_circle_are_refused(open_place):
    (open_place / 'a').symlink_to('b')
    (open_place / 'b').symlink_to('a')
    with pytest.raises(private.NotPrivate, match='more than 40 symbolic links'):
        private.private_folder(str(open_place / 'a' / 'x'))


# A folder that others could enter


def test_a_folder_that_others_could_enter_is_closed_and_keeps_what_is_in_it(open_place):
    home = open_place / 'lithops-somebody'
    with umask(0o022):
        (home / 'logs').mkdir(parents=True)
        (home / 'logs' / 'log').touch()
        (home / 'link').symlink_to('logs')
    private.private_folder(str(home))
    assert mode_of(home) == 0o700 and (home / 'logs' / 'log').exists()


def test_empty_folders_that_everybody_could_write_to_are_closed(open_place):
    """At umask 0 Lithops makes them when it is imported."""
    home = open_place / 'lithops-somebody'
    with umask(0):
        (home / 'logs' / 'x').mkdir(parents=True)
    private.private_folder(str(home))
    assert {mode_of(path) for path in (home, *home.rglob('*'))} == {0o700}


def written_by_others(home):
    (home / 'logs' / 'log').chmod(0o666)


def in_a_folder_of_everybody(home):
    (home / 'logs').chmod(0o777)


def in_a_folder_of_everybody_a_link(home):
    (home / 'logs').chmod(0o777)
    (home / 'logs' / 'log').unlink()
    (home / 'logs' / 'log').symlink_to('/etc/passwd')


def with_another_name(home):
    os.link(home / 'logs' / 'log', home.parent / 'another-name')


def of_another_group(home):
    os.chown(home / 'logs' / 'log', 0, ANOTHER)
    (home / 'logs' / 'log').chmod(0o660)


def of_another_user(home):
    os.chown(home / 'logs' / 'log', ANOTHER, ANOTHER)


def of_another_user_where_nobody_can_come(home):
    of_another_user(home)
    (home / 'logs').chmod(0o700)


def needs_root_for(strange):
    return pytest.param(strange, marks=needs_root)


STRANGE = (
    *(written_by_others, in_a_folder_of_everybody, in_a_folder_of_everybody_a_link, with_another_name),
    *map(needs_root_for, (of_another_group, of_another_user, of_another_user_where_nobody_can_come)),
)


@pytest.mark.parametrize('strange', STRANGE)
def test_what_others_have_put_there_or_could_have_changed_is_refused_again_and_again(open_place, strange):
    home = open_place / 'lithops-somebody'
    with umask(0o022):
        (home / 'logs').mkdir(parents=True)
        (home / 'logs' / 'log').touch()
    strange(home)
    before = {path: mode_of(path) for path in (home, home / 'logs')}
    for _ in range(2):
        with pytest.raises(private.NotPrivate, match=r'logs/log .*Remove it, or set TMPDIR'):
            private.private_folder(str(home))
        assert {path: mode_of(path) for path in before} == before
    shutil.rmtree(home / 'logs')
    private.private_folder(str(home))


@needs_root
def test_what_a_killed_process_has_not_looked_through_is_looked_through(open_place):
    home = open_place / 'lithops-somebody'
    (home / 'logs').mkdir(parents=True)
    os.chown(home / 'logs', ANOTHER, ANOTHER)
    home.chmod(ownership.CLOSED)
    with pytest.raises(private.NotPrivate, match=f'logs belongs to user {ANOTHER}'):
        private.private_folder(str(home))


# The service


@needs_root
@pytest.mark.parametrize('name', ['.', 'queue'])
def test_nothing_is_queued_in_a_folder_of_another_user(open_place, name):
    endpoint = LocalService(str(open_place / 'home' / 'service'))
    private.private_folder(endpoint.folder)
    private.private_folder(endpoint.queue)
    os.chown(Path(endpoint.folder, name), ANOTHER, ANOTHER)
    with pytest.raises(private.NotPrivate, match=f'belongs to user {ANOTHER}'):
        endpoint.submit({'triggerflow': {'session': 's'}}, [])
    assert not os.listdir(endpoint.queue)


def test_a_link_in_the_place_of_the_bell_or_of_its_answer_is_never_followed(open_place):
    endpoint = LocalService(str(open_place / 'service'))
    private.private_folder(endpoint.folder)
    for name, elsewhere in (('bell', open_place / 'fifo'), ('heard', open_place / 'file')):
        os.mkfifo(elsewhere) if name == 'bell' else elsewhere.write_text('as it was')
        Path(endpoint.folder, name).symlink_to(elsewhere)
    assert not endpoint.is_listening() and endpoint._last_heard() == ''
    endpoint.acknowledge()
    assert (open_place / 'file').read_text() == 'as it was' and not Path(endpoint.folder, 'heard').is_symlink()


def test_a_file_in_the_place_of_the_bell_is_not_written_to(open_place):
    endpoint = LocalService(str(open_place / 'service'))
    private.private_folder(endpoint.folder)
    Path(endpoint.bell).touch()
    assert not endpoint.is_listening()
    assert not Path(endpoint.bell).read_bytes()


@pytest.fixture
def noted(tmp_path, executor):
    """An invocation of a run of which something is kept, and the folder of notes of a service."""
    section = {**executor.config['triggerflow'], 'service': str(tmp_path / 'home' / 'service')}
    config = {**executor.config, 'triggerflow': section, 'aws_s3': {'secret_access_key': uuid.uuid4().hex}}
    orchestrator = {'execution_timeout': 60, 'max_deaths': 3, 'sweep_seconds': None}
    run = {'version': 1, 'run_id': 'r', 'session': 'r-1', 'orchestrator': orchestrator, 'retry': {}}
    driver.keep_driver(config, run)
    private.private_folder(config['triggerflow']['service'])
    return Invocation({'config': config, 'triggerflow': run}, [], 0.0), str(tmp_path / 'home' / 'service' / 'runs')


def test_a_note_of_a_run_has_nothing_in_it(noted):
    invocation, folder = noted
    with umask(0):
        IdleRuns(folder).add(invocation)
    assert modes_below(folder) == {Path(folder, 'r-1'): 0o600}
    assert Path(folder, 'r-1').read_bytes() == b''


def test_a_service_that_was_killed_goes_on_with_what_was_kept_of_the_driver(noted):
    invocation, folder = noted
    IdleRuns(folder).add(invocation)
    assert IdleRuns(folder).run_of('r-1') == {'config': invocation.config, 'run': invocation.run}


def test_a_note_of_a_run_that_has_ended_is_forgotten(noted):
    invocation, folder = noted
    IdleRuns(folder).add(invocation)
    driver.forget_driver(invocation.config, 'r-1')
    assert len(IdleRuns(folder)) == 0 and not os.listdir(folder)


def test_no_credential_is_left_in_the_folder_of_a_service_whose_sweeps_fail(noted):
    invocation, folder = noted
    quiet = IdleRuns(folder)
    quiet.add(invocation)
    secret = invocation.config['aws_s3']['secret_access_key'].encode()
    for _ in range(MAX_FAILURES):
        assert not any(secret in path.read_bytes() for path in Path(folder).parent.rglob('*') if path.is_file())
        quiet.swept('r-1', 1)
    assert not os.listdir(folder)
