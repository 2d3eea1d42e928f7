"""The contract of a store, for every store there is."""

import functools
import os
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
import servers
from botocore.exceptions import ClientError
from lithops.monitoring.backends.triggerflow import localhost_store
from lithops.monitoring.backends.triggerflow import stores as patch
from lithops.monitoring.backends.triggerflow.core.run.keys import PROBE
from lithops.monitoring.backends.triggerflow.core.store import StoreUnavailable as Unavailable

from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.store import Facts, StoreUnavailable
from triggerflow_lithops.deployment.store_border import MappedStore

HERE = ['memory', 'localhost', 'mapped']
#: Lithops' storage backends, each against the server beside it
SERVERS = {
    'minio': 'seaweedfs',
    'aws_s3': 'seaweedfs',
    'ceph': 'moto',
    'ibm_cos': 'moto_over_tls',
    'redis': 'redis',
    'azure_storage': 'azurite',
    'gcp_storage': 'google',
}


@pytest.fixture(scope='session')
def moto(tmp_path_factory):
    with servers.moto(tmp_path_factory.mktemp('moto')) as endpoint:
        yield endpoint


@pytest.fixture(scope='session')
def moto_over_tls(tmp_path_factory, certificate):
    authority, *pair = certificate
    with servers.moto(tmp_path_factory.mktemp('moto-tls'), pair) as endpoint:
        yield endpoint, authority


@pytest.fixture(scope='session')
def redis(tmp_path_factory):
    with servers.redis(tmp_path_factory.mktemp('redis')) as port:
        yield port


@pytest.fixture(scope='session')
def azurite(tmp_path_factory):
    with servers.azurite(tmp_path_factory.mktemp('azurite')) as endpoint:
        yield endpoint


@pytest.fixture(scope='session')
def google(tmp_path_factory):
    with servers.google(tmp_path_factory.mktemp('google')) as endpoint:
        yield endpoint


@pytest.fixture
def rclone(tmp_path):
    with servers.rclone(tmp_path / 'rclone') as endpoint:
        yield endpoint


@pytest.fixture(params=[*HERE, *SERVERS])
def store(request, tmp_path, monkeypatch):
    if request.param == 'memory':
        return MemoryStore()
    if request.param in HERE:
        localhost = localhost_store.LocalhostStore('bucket', root=str(tmp_path))
        return localhost if request.param == 'localhost' else MappedStore(localhost)
    return real_store(request.param, request.getfixturevalue(SERVERS[request.param]), monkeypatch)


def real_store(backend, server, monkeypatch, **triggerflow):
    """A store in a new bucket of a server, through Lithops' own handler."""
    from lithops.config import extract_storage_config
    from lithops.storage import Storage

    keys = {'access_key_id': servers.ACCESS_KEY, 'secret_access_key': servers.SECRET_KEY}
    bucket = f'bucket-{uuid.uuid4().hex[:8]}'
    section = {'storage_bucket': bucket}
    if backend in ('minio', 'ceph'):
        section |= {'endpoint': server, **keys}
    elif backend == 'aws_s3':
        monkeypatch.setenv('AWS_ENDPOINT_URL_S3', server)
        section |= {'region': 'us-east-1', **keys}
    elif backend == 'ibm_cos':
        endpoint, authority = server
        monkeypatch.setenv('AWS_CA_BUNDLE', authority)
        section |= {'endpoint': endpoint, 'region': 'us-south', **keys}
    elif backend == 'redis':
        section |= {'host': '127.0.0.1', 'port': server}
    elif backend == 'azure_storage':
        from azure.storage import blob
        from lithops.storage.backends.azure_storage import azure_storage

        # Lithops makes the address from the account's name; the emulator has another one
        client = functools.partial(blob.BlobServiceClient, server)
        monkeypatch.setattr(azure_storage, 'BlobServiceClient', lambda account_url, credential: client(credential=credential))
        section |= {'storage_account_name': 'devstoreaccount1', 'storage_account_key': AZURITES_KEY}
    else:
        monkeypatch.setenv('STORAGE_EMULATOR_HOST', server)
        monkeypatch.setenv('GOOGLE_CLOUD_PROJECT', 'tests')
        section |= {'region': 'us-east1'}
    config = {'lithops': {'storage': backend, 'user_agent': 'tests'}, backend: section, 'triggerflow': triggerflow}
    storage = Storage(storage_config=extract_storage_config(config))
    storage.bucket = bucket
    storage.create_bucket(bucket)
    return patch.create_store(config, storage)


#: Of the account that everybody's emulator has
AZURITES_KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='


def test_an_absent_key_has_no_value(store):
    assert store.get('a/b') is None


def test_what_is_written_is_read(store):
    assert store.put_new('a/b', b'one') and store.get('a/b') == b'one'


def test_a_key_is_written_once(store):
    store.put_new('a/b', b'one')
    assert not store.put_new('a/b', b'two') and store.get('a/b') == b'one'


def test_an_empty_object_is_not_an_absent_one(store):
    assert store.put_new('a/b', b'') and store.get('a/b') == b''


def test_a_prefix_need_not_end_at_a_folder(store):
    for key in ('a/00012/status.json', 'a/0001.w000003', 'a/00020/status.json', 'ab/0001'):
        store.put_new(key, b'x')
    assert store.list('a/0001') == ['a/0001.w000003', 'a/00012/status.json']


def test_a_listing_is_sorted_and_whole(store):
    keys = [f'a/{number:05d}/status.json' for number in range(30)]
    for key in reversed(keys):
        store.put_new(key, b'x')
    assert store.list('a/') == keys and store.list('') == keys


def test_nothing_is_listed_where_nothing_is(store):
    assert store.list('nowhere/at/all') == []


def test_what_is_deleted_is_gone_and_may_be_written_again(store):
    store.put_new('a/b/c', b'one')
    store.delete(['a/b/c', 'a/b/absent'])
    assert store.list('') == [] and store.put_new('a/b/c', b'two')


def test_of_many_writers_one_wins(store):
    gate, won = threading.Barrier(16), []

    def write(number):
        gate.wait()
        if store.put_new('a/b', str(number).encode()):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(won) == 1 and store.get('a/b') == str(won[0]).encode()


def test_a_reader_never_sees_half_an_object(store):
    value, seen = b'x' * 4_000_000, set()
    writer = threading.Thread(target=store.put_new, args=('a/b', value))
    writer.start()
    while writer.is_alive():
        seen.add(store.get('a/b'))
    writer.join()
    assert seen <= {None, value}


def test_an_error_of_the_disk_is_not_an_absent_key(tmp_path):
    store = localhost_store.LocalhostStore('bucket', root=str(tmp_path))
    os.makedirs(tmp_path / 'bucket' / 'a' / 'folder')
    with pytest.raises(Unavailable):
        store.get('a/folder')


def test_a_bucket_that_cannot_be_written_says_unknown(tmp_path):
    (tmp_path / 'bucket').write_text('a file where the bucket should be')
    with pytest.raises(Unavailable):
        localhost_store.LocalhostStore('bucket', root=str(tmp_path)).put_new('a/b', b'x')


def test_nothing_unfinished_is_left_in_the_bucket(tmp_path):
    store = localhost_store.LocalhostStore('bucket', root=str(tmp_path))
    store.put_new('a/b', b'x')
    store.put_new('a/b', b'y')
    assert [name for _, _, names in os.walk(tmp_path) for name in names] == ['b']


def test_many_objects_are_listed_and_deleted(store):
    """More than a store lists, or deletes, in one answer."""
    keys = [f'a/{number:05d}' for number in range(1100)]
    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(lambda key: store.put_new(key, b'x'), keys))
    assert store.list('a/') == keys
    store.delete(keys)
    assert store.list('a/') == []


class NoAnswer:
    """A handler of a server that is away."""

    def __getattr__(self, name):
        def ask(*_, **__):
            raise ConnectionRefusedError('nobody is there')

        return ask


def requests_of(store):
    return (
        lambda: store.get('a/b'),
        lambda: store.list('a/'),
        lambda: store.put_new('a/b', b'x'),
        lambda: store.delete(['a/b']),
    )


@pytest.mark.parametrize('kind', [patch.HandlerStore, patch.RedisStore, patch.AzureStore, patch.GoogleStore])
def test_a_server_that_cannot_be_reached_says_unknown(kind):
    for ask in requests_of(kind(NoAnswer(), 'bucket')):
        with pytest.raises(Unavailable, match=r'bucket/a/b?.*nobody is there'):
            ask()


def test_a_bucket_that_is_not_there_says_unknown(moto, monkeypatch):
    store = real_store('ceph', moto, monkeypatch)
    for ask in requests_of(patch.S3Store(store._handler, 'nowhere')):
        with pytest.raises(Unavailable):
            ask()


def test_a_refusal_is_no_absent_key(seaweedfs, monkeypatch):
    allowed = real_store('minio', seaweedfs, monkeypatch)
    monkeypatch.setattr(servers, 'SECRET_KEY', 'a wrong one')
    with pytest.raises(ClientError):
        real_store('minio', seaweedfs, monkeypatch)
    refused = patch.S3Store(minio_handler(seaweedfs), allowed._bucket)
    for ask in requests_of(refused):
        with pytest.raises(Unavailable):
            ask()


def minio_handler(endpoint):
    from lithops.storage.backends.minio import StorageBackend

    keys = {'access_key_id': servers.ACCESS_KEY, 'secret_access_key': servers.SECRET_KEY}
    return StorageBackend({'endpoint': endpoint, 'user_agent': 'tests', **keys})


@pytest.mark.parametrize('backend', SERVERS)
def test_a_server_that_keeps_what_was_written_first_is_taken(backend, request, monkeypatch):
    store = real_store(backend, request.getfixturevalue(SERVERS[backend]), monkeypatch)
    for _ in range(2):
        patch.require_guarded(store)
    assert store.list('') == [PROBE]


def test_a_server_that_overwrites_is_found_out(rclone, monkeypatch):
    monkeypatch.setenv('AWS_REQUEST_CHECKSUM_CALCULATION', 'when_required')
    with pytest.raises(patch.UnsupportedStorageError, match=r"If-None-Match.*'unguarded_writes: true'"):
        patch.require_guarded(real_store('minio', rclone, monkeypatch))


def test_a_server_that_overwrites_may_be_used_by_who_insists(rclone, monkeypatch):
    monkeypatch.setenv('AWS_REQUEST_CHECKSUM_CALCULATION', 'when_required')
    store = real_store('minio', rclone, monkeypatch, unguarded_writes=True)
    patch.require_guarded(store)
    assert store.put_new('a/b', b'one') and not store.put_new('a/b', b'two') and store.get('a/b') == b'one'


def test_a_storage_without_a_condition_is_refused_by_name():
    config = {'lithops': {'storage': 'swift'}, 'swift': {}, 'triggerflow': {}}
    with pytest.raises(patch.UnsupportedStorageError, match=r"'swift'.*unguarded_writes"):
        patch.create_store(config)


class Flaky(MemoryStore):
    """Fails the first request of each kind; a write that failed has succeeded."""

    def __init__(self):
        super().__init__()
        self.failed = set()

    def _fail_once(self, kind):
        if kind not in self.failed:
            self.failed.add(kind)
            raise StoreUnavailable(kind)

    def put_new(self, key, value):
        answer = super().put_new(key, value)
        self._fail_once('put')
        return answer

    def get(self, key):
        self._fail_once('get')
        return super().get(key)


def test_a_write_that_succeeded_and_said_otherwise_is_known_as_ours():
    ours, fact = Facts(Flaky(), sleep=lambda seconds: None).create('key', {'value': 1})
    assert ours and fact['value'] == 1


def test_whoever_loses_adopts_the_fact_that_is_there():
    facts = Facts(MemoryStore())
    facts.create('key', {'value': 1})
    ours, fact = facts.create('key', {'value': 2})
    assert not ours and fact['value'] == 1


def test_a_store_that_stays_away_is_an_error_after_a_while():
    class Gone(MemoryStore):
        def get(self, key):
            raise StoreUnavailable('gone')

    pauses = []
    with pytest.raises(StoreUnavailable):
        Facts(Gone(), sleep=pauses.append).read('key')
    assert 5 < sum(pauses) < 10


def test_what_a_travelling_store_does_not_know_is_asked_again_on_this_side(tmp_path):
    """There are two of StoreUnavailable, and each side tries again upon its own."""
    paused = []
    (tmp_path / 'bucket' / 'a').mkdir(parents=True)
    store = MappedStore(localhost_store.LocalhostStore('bucket', root=str(tmp_path)))
    with pytest.raises(StoreUnavailable, match='cannot be read'):
        Facts(store, pauses=(1, 2), sleep=paused.append).read('a')
    assert paused == [1, 2]
