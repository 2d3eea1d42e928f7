"""The contract of a store, for every store there is."""

import os
import threading

import pytest
from lithops.monitoring.backends.triggerflow import store as patch
from lithops.monitoring.backends.triggerflow.triggers.store import StoreUnavailable as Unavailable

from triggerflow_lithops.storage import MappedStore
from triggerflow_lithops.triggers.memory import MemoryStore
from triggerflow_lithops.triggers.store import Facts, StoreUnavailable


@pytest.fixture(params=['memory', 'localhost', 'mapped'])
def store(request, tmp_path):
    if request.param == 'memory':
        return MemoryStore()
    localhost = patch.LocalhostStore('bucket', root=str(tmp_path))
    return localhost if request.param == 'localhost' else MappedStore(localhost)


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
    value, seen = b'x' * 4_000_000, []
    writer = threading.Thread(target=store.put_new, args=('a/b', value))
    writer.start()
    while writer.is_alive():
        seen.append(store.get('a/b'))
    writer.join()
    assert set(seen) <= {None, value}


def test_an_error_of_the_disk_is_not_an_absent_key(tmp_path):
    store = patch.LocalhostStore('bucket', root=str(tmp_path))
    os.makedirs(tmp_path / 'bucket' / 'a' / 'folder')
    with pytest.raises(Unavailable):
        store.get('a/folder')


def test_a_bucket_that_cannot_be_written_says_unknown(tmp_path):
    (tmp_path / 'bucket').write_text('a file where the bucket should be')
    with pytest.raises(Unavailable):
        patch.LocalhostStore('bucket', root=str(tmp_path)).put_new('a/b', b'x')


def test_nothing_unfinished_is_left_in_the_bucket(tmp_path):
    store = patch.LocalhostStore('bucket', root=str(tmp_path))
    store.put_new('a/b', b'x')
    store.put_new('a/b', b'y')
    files = [file for _, _, files in os.walk(tmp_path) for file in files]
    assert files == ['b']


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
    store = MappedStore(patch.LocalhostStore('bucket', root=str(tmp_path)))
    with pytest.raises(StoreUnavailable, match='cannot be read'):
        Facts(store, pauses=(1, 2), sleep=paused.append).read('a')
    assert paused == [1, 2]
