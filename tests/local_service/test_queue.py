"""What the local function service reads from a disk: documents are believed when they were checked, and harm nobody else."""

import json
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from unittest.mock import Mock

import pytest
from damage import MONSTERS, damaged, make_huge
from lithops.monitoring.backends.triggerflow import driver
from lithops.monitoring.backends.triggerflow.compute import PayloadTooLarge
from lithops.monitoring.backends.triggerflow.core.run.keys import Call
from lithops.monitoring.backends.triggerflow.documents import DamagedFile
from lithops.monitoring.backends.triggerflow.invocations import chunks_done, documents_of, read_invocation
from lithops.monitoring.backends.triggerflow.invoke import call_payload, chunks_of, own_payload, run_field
from lithops.monitoring.backends.triggerflow.local_service import LocalService, make_bell
from lithops.monitoring.backends.triggerflow.localhost_store import LocalhostStore

from triggerflow_lithops.local_service.idle_runs import IdleRuns
from triggerflow_lithops.local_service.leftovers import KEPT, clean_folders
from triggerflow_lithops.local_service.metadata import read_metadata, write_runtime_metadata
from triggerflow_lithops.local_service.queue import Queue

ORCHESTRATOR = {
    **{'function_name': 'main', 'code_key': 'code', 'execution_timeout': 60, 'log_level': 'INFO'},
    **{'runtime_name': 'python', 'runtime_memory': None, 'max_deaths': 3, 'sweep_seconds': None, 'lanes': 0},
}


def field(session='r-1'):
    return run_field(session.rpartition('-')[0], session, ORCHESTRATOR, {'retries': 0})


def scheduled(calls):
    return {
        **{'job': '0-M000', 'calls': calls, 'chunksize': 1, 'lanes': 0, 'retry': {'retries': 0}, 'activation': 0},
        **{'func_key': 'f', 'func_name': 'f', 'execution_timeout': 60, 'runtime_name': 'python', 'runtime_memory': None},
        'invocation': {'extra_env': {}, 'data_key': None, 'data': ['gARLAS4='] * calls, 'data_byte_ranges': None},
    }


@pytest.fixture
def calls_of(config, executor):
    """The document of a map, as it is written: ``calls_of(session, calls)``."""

    def document(session='r-1', calls=1, due=0.0):
        job = scheduled(calls)
        payload = call_payload(executor.config, field(session), 0, 0, job)
        [written] = documents_of(payload, chunks_of(job, range(calls)), due)
        return written

    return document


@pytest.fixture
def activation_of(executor):
    """The document of an activation, as it is written."""

    def document(session='r-1', number=0, due=0.0):
        payload = own_payload(executor.config, field(session), 'activation', number, 'it was woken', due)
        [written] = documents_of(payload, [{name: payload[name] for name in ('call_ids', 'data_byte_strs')}], due)
        return written

    return document


@pytest.fixture
def queue(tmp_path):
    (tmp_path / 'queue').mkdir()
    return Queue(str(tmp_path / 'queue'))


@pytest.fixture
def put(tmp_path):
    """Puts a file into the queue, and gives its path."""

    def put_file(name, text):
        path = tmp_path / 'queue' / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return put_file


def accept(queue, redelivered=False):
    return list(queue.accept(redelivered))


# Files that are no invocations


def test_a_real_document_is_an_invocation(queue, put, calls_of, activation_of):
    put('1.json', calls_of(calls=3))
    put('2.json', activation_of(number=7))
    first, second = accept(queue)
    assert len(queue.activations) == 1 and first.calls(2) == {Call('0-M000', 2)} and second.run['number'] == 7


@pytest.mark.parametrize('name', MONSTERS)
def test_what_is_no_invocation_is_put_aside_and_said_and_the_rest_goes_on(name, queue, put, calls_of, caplog):
    put('1.json', MONSTERS[name])
    put('2.json', calls_of())
    assert len(accept(queue)) == 1
    assert sorted(os.listdir(queue._folder)) == ['1.json.unreadable', '2.json']
    [said] = [record.getMessage() for record in caplog.records if '1.json' in record.getMessage()]
    assert 'is no invocation: ' in said and '\n' not in said and len(said) < 500


def set_at(document, path, value):
    *above, last = path
    for key in above:
        document = document[key]
    document[last] = value


FIELD = ('payload', 'triggerflow')


@pytest.mark.parametrize(
    'path, value',
    [
        *[(('version',), value) for value in (None, 0, 2, '1', True, 1.0)],
        *[(('due',), value) for value in (None, 'now', float('nan'), float('inf'), -1, True, [], 1e300)],
        *[(('chunks',), value) for value in (None, [], {}, [None], [{}], [{'call_ids': []}], [{'call_ids': [0]}], 'x')],
        *[(('chunks',), [{'call_ids': [value]}]) for value in ('0', '000000', '٠٠٠٠٠', '-0001', None)],
        *[(('payload',), value) for value in (None, [], 'x')],
        *[((*FIELD, 'session'), value) for value in (None, '', 'x', '../r-1', 'r-', 'r-1/..', 's-1')],
        *[((*FIELD, 'run_id'), value) for value in (None, '', '..', 'a/b', 7)],
        *[((*FIELD, 'subject'), value) for value in (None, 'sweep', 7)],
        *[((*FIELD, 'version'), value) for value in (None, 2, True)],
        *[((*FIELD, 'number'), value) for value in (None, -1, 1.5, 10**30)],
        *[((*FIELD, 'job'), value) for value in (None, 3, '')],
        *[((*FIELD, 'orchestrator', 'execution_timeout'), value) for value in (None, 'x', -1)],
        *[(('payload', 'execution_timeout'), value) for value in (None, 'x', float('nan'), 10**400)],
        *[(('payload', 'job_key'), value) for value in (None, 3)],
        *[(('payload', 'config', 'localhost'), value) for value in (None, {}, {'worker_processes': 0})],
        *[(('payload', 'config', 'triggerflow', 'idle_seconds'), value) for value in (None, 'x', float('nan'))],
        *[(('payload', 'config', 'lithops', 'storage'), value) for value in (None, 3, [])],
    ],
    ids=lambda value: '.'.join(value) if isinstance(value, tuple) else repr(value)[:20],
)
def test_a_field_that_is_something_else_is_named(path, value, queue, put, calls_of, caplog):
    document = json.loads(calls_of())
    set_at(document, path, value)
    put('1.json', json.dumps(document))
    assert not accept(queue)
    [said] = [record.getMessage() for record in caplog.records]
    assert 'was expected' in said and '1.json' in said
    assert os.listdir(queue._folder) == ['1.json.unreadable']


def fifo(path):
    os.mkfifo(path)


def fifo_that_is_open(path):
    os.mkfifo(path)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


def folder(path):
    path.mkdir()
    (path / 'x').touch()


def link(path):
    path.symlink_to('/etc/hostname')


def loop(path):
    path.symlink_to(path.name)


def socket_file(path):
    import socket

    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(path))


@pytest.mark.parametrize('make', [fifo, fifo_that_is_open, folder, link, loop, socket_file, make_huge])
def test_what_is_no_file_or_too_large_is_put_aside(make, queue, tmp_path, calls_of, put, monkeypatch):
    # A path of a socket is short
    monkeypatch.chdir(queue._folder)
    opened = make(Path('1.json'))
    put('2.json', calls_of())
    tracemalloc.start()
    assert len(accept(queue)) == 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    if opened is not None:
        os.close(opened)
    assert sorted(os.listdir()) == ['1.json.unreadable', '2.json'] and peak < 10 * 1024 * 1024


def test_what_is_still_being_written_is_neither_accepted_nor_put_aside(queue, put, calls_of):
    put('.1.json', calls_of())
    put('.2.json', calls_of()[:20])
    assert not accept(queue) and sorted(os.listdir(queue._folder)) == ['.1.json', '.2.json']


def test_what_cannot_be_put_aside_is_read_only_once(queue, put, caplog):
    put('1.json', '[]')
    folder(Path(queue._folder) / '1.json.unreadable')
    assert not accept(queue) and not accept(queue) and not queue.new_files()
    assert len([record for record in caplog.records if 'is no invocation' in record.getMessage()]) == 1


def test_what_cannot_be_read_now_is_accepted_later(queue, put, calls_of, monkeypatch):
    put('1.json', calls_of())
    with monkeypatch.context() as full:
        full.setattr('os.open', Mock(side_effect=OSError(24, 'Too many open files')))
        assert not accept(queue)
    assert len(accept(queue)) == 1 and queue.calls


def test_a_file_that_is_done_by_now_is_not_missed(queue):
    assert not list(queue.accept(False, ['1.json'])) and not os.listdir(queue._folder)


def test_a_note_that_a_full_disk_has_cut_short_counts_for_nothing(tmp_path):
    (tmp_path / 'x.json.done').write_text('\n3;\n\n1\n12;\n')
    assert chunks_done(str(tmp_path / 'x.json')) == {3, 12}


@pytest.mark.parametrize('notes', [b'\n0;\n\xff', b'\n' + b'9' * 5_000 + b';\n', b'\n7;\n', b'\n0;\n' * 2_000_000])
def test_notes_that_are_damaged_lose_no_call(notes, queue, put, calls_of):
    put('1.json', calls_of(calls=2))
    put('1.json.done', notes)
    assert len(accept(queue)) == 1 and queue.sessions['r-1'] == 2


def test_what_cannot_be_read_is_held_by_nobody(tmp_path, put, queue, calls_of):
    put('1-r-1.json', calls_of(calls=2))
    put('2-r-1.json', '{"payload": 7}')
    put('3-r-1.json', b'[' * 100_000)
    fifo(tmp_path / 'queue' / '4-r-1.json')
    put('1-r-1.json.done', b'\xff')
    assert LocalService(str(tmp_path)).in_flight('r-1') == {Call('0-M000', 0), Call('0-M000', 1)}


# Every reader, and 2,000 damaged documents


@pytest.fixture
def readers(tmp_path, executor, calls_of, activation_of, monkeypatch):
    """By name: a real document, where it lies, and what reads it."""
    service = tmp_path / 'triggerflow' / 'service-1'
    service.mkdir(parents=True)
    config = {**executor.config, 'triggerflow': {**executor.config['triggerflow'], 'service': str(service)}}
    monkeypatch.setattr(sys, 'argv', ['main.py', 'x'])
    driver.keep_driver(config, field())
    kept = tmp_path / 'triggerflow' / 'drivers' / 'r-1.json'
    IdleRuns(str(service / 'runs'))
    write_runtime_metadata(str(service))
    metadata = json.loads((service / 'runtime.json').read_text())
    small = {**metadata, 'preinstalls': metadata['preinstalls'][:20]}
    return {
        'calls': (calls_of(calls=3), service / '1.json', lambda: read_invocation(str(service / '1.json'))),
        'an activation': (activation_of(), service / '1.json', lambda: read_invocation(str(service / '1.json'))),
        'notes of what is done': ('\n1;\n\n0;\n', service / '1.json.done', lambda: chunks_done(str(service / '1.json'))),
        'metadata': (json.dumps(small), service / 'runtime.json', lambda: read_metadata(str(service / 'runtime.json'))),
        'what is kept of a driver': (kept.read_text(), kept, lambda: driver.driver_of(config, 'r-1')),
        'the answer to the bell': ('0123456789abcdef' * 2, service / 'heard', LocalService(str(service))._last_heard),
    }


@pytest.mark.parametrize(
    'name',
    [
        *('calls', 'an activation', 'notes of what is done', 'metadata'),
        *('what is kept of a driver', 'the answer to the bell'),
    ],
)
def test_a_reader_takes_a_damaged_document_or_refuses_it(name, readers, caplog):
    document, path, read = readers[name]
    path.write_text(document)
    assert read()
    taken = 0
    for number in range(2_000 + len(MONSTERS)):
        found = damaged(document.encode(), number) if number < 2_000 else list(MONSTERS.values())[number - 2_000]
        path.write_bytes(found)
        began = time.process_time()
        try:
            read()
            taken += 1
        except ValueError as refused:
            assert isinstance(refused, DamagedFile) or 'is damaged' in str(refused), number
            assert '\n' not in str(refused) and len(str(refused)) < 400
        assert time.process_time() - began < 2, number
    assert 0 < taken < 2_100


# Whose turn it is


def take_all(queue):
    taken = []
    while queue.calls:
        taken.append(queue.calls.take())
    return [(chunk.session, chunk.number) for chunk in taken]


def test_runs_take_turns(queue, put, calls_of):
    put('1.json', calls_of('many-1', 4))
    put('2.json', calls_of('one-1', 1))
    put('3.json', calls_of('few-1', 2))
    accept(queue)
    assert take_all(queue) == [
        *[('many-1', 0), ('one-1', 0), ('few-1', 0), ('many-1', 1), ('few-1', 1), ('many-1', 2), ('many-1', 3)],
    ]


def test_a_run_that_comes_later_has_the_next_turn_but_one(queue, put, calls_of):
    put('1.json', calls_of('many-1', 1_000))
    accept(queue)
    for _ in range(10):
        queue.calls.take()
    put('2.json', calls_of('one-1'))
    accept(queue)
    assert [queue.calls.take().session for _ in range(3)] == ['many-1', 'one-1', 'many-1']


def test_that_a_call_was_lost_is_reported_before_others_start(queue, put, calls_of):
    put('1.json', calls_of('many-1', 3))
    accept(queue)
    lost = queue.calls.take()
    lost.lost = 'Its process was killed by SIGKILL'
    queue.add(lost)
    assert queue.calls.first() is lost and take_all(queue) == [('many-1', 0), ('many-1', 1), ('many-1', 2)]


def test_an_activation_waits_for_no_call(queue, put, calls_of, activation_of):
    put('1.json', calls_of('many-1', 3))
    put('2.json', activation_of('one-1'))
    accept(queue)
    assert [chunk.session for chunk in queue.activations] == ['one-1'] and queue.calls.first().session == 'many-1'


# Runs that have ended


def test_what_waits_for_a_run_that_has_ended_is_dropped(queue, put, calls_of, activation_of):
    later = time.time() + 3600
    put('1.json', calls_of('over-1', 5))
    put('2.json', calls_of('over-1', due=later))
    put('3.json', activation_of('over-1', 3, due=later))
    put('4.json', activation_of('over-1', 4))
    put('5.json', calls_of('other-1', 2))
    put('6.json', calls_of('other-1', due=later))
    accept(queue)
    under_way = queue.calls.take()
    assert queue.drop('over-1') == 7
    assert sorted(os.listdir(queue._folder)) == ['5.json', '6.json']
    assert take_all(queue) == [('other-1', 0), ('other-1', 1)] and not queue.activations
    assert queue.sessions == {'over-1': 1, 'other-1': 3}
    queue.finish(under_way)
    assert queue.sessions == {'other-1': 3} and sorted(os.listdir(queue._folder)) == ['5.json', '6.json']


def test_a_queue_is_empty_when_all_that_waited_is_dropped(queue, put, calls_of):
    put('1.json', calls_of('over-1', due=time.time() + 3600))
    accept(queue)
    assert queue
    queue.drop('over-1')
    assert not queue and not queue.runs() and queue.until_next_due(5.0) == 5.0


# What is written


def test_a_wide_map_is_in_several_files_that_are_read(tmp_path, executor):
    job = scheduled(60_000)
    job['invocation']['data'] = ['A' * 200] * 60_000
    payload = call_payload(executor.config, field(), 0, 0, job)
    found, files = [], list(documents_of(payload, chunks_of(job, range(60_000)), 0.0))
    for document in files:
        (tmp_path / '1.json').write_text(document)
        found += [chunk['call_ids'][0] for chunk in read_invocation(str(tmp_path / '1.json')).chunks]
    assert len(files) > 1 and len(found) == len(set(found)) == 60_000


def test_a_payload_that_nobody_would_read_is_refused_when_it_is_written(executor):
    job = scheduled(1)
    job['invocation']['extra_env'] = {'X': 'x' * 17 * 1024 * 1024}
    with pytest.raises(PayloadTooLarge, match='hand large values over as arguments'):
        list(documents_of(call_payload(executor.config, field(), 0, 0, job), chunks_of(job, [0]), 0.0))


# How long it takes


def test_an_invocation_does_not_cost_more_where_thousands_wait(queue, put, calls_of, monkeypatch):
    """The folder is not listed for a file of which the bell has told."""
    for number in range(300):
        put(f'{number:04}.json', calls_of(f'r{number}-1'))
    accept(queue)
    put('9999.json', calls_of('last-1'))
    monkeypatch.setattr(os, 'listdir', Mock(side_effect=AssertionError('the folder is listed')))
    monkeypatch.setattr(os, 'scandir', Mock(side_effect=AssertionError('the folder is listed')))
    [invocation] = queue.accept(False, ['9999.json'])
    assert invocation.session == 'last-1'
    while queue.calls:
        queue.finish(queue.calls.take())
    assert not queue


# What is left behind


WRITER = """
import os, sys, time
from lithops.monitoring.backends.triggerflow.{module} import {name}
def stand_still(*args, **kwargs):
    print('written', flush=True)
    time.sleep(300)
os.{step} = stand_still
{do}
"""
WRITERS = {
    'of the storage': {
        **{'module': 'localhost_store', 'name': 'LocalhostStore', 'step': 'link', 'folder': 'unfinished'},
        'do': "LocalhostStore('b', sys.argv[1]).put_new('k', b'x' * 99)",
    },
    'of the queue': {
        **{'module': 'local_service', 'name': 'LocalService', 'step': 'rename', 'folder': 'service-1/queue'},
        'do': "LocalService(sys.argv[1] + '/triggerflow/service-1').submit({'triggerflow': {'session': 'r-1'}}, [{}])",
    },
}


def grow_old(*paths):
    for path in paths:
        os.utime(path, (0, 0))


@pytest.mark.parametrize('kind', WRITERS)
def test_what_was_being_written_goes_with_a_writer_that_is_killed_and_stays_with_one_that_lives(kind, tmp_path):
    command = [sys.executable, '-c', WRITER.format(**WRITERS[kind]), str(tmp_path)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    unfinished = tmp_path / 'triggerflow' / WRITERS[kind]['folder']
    try:
        assert all(writer.stdout.readline() == 'written\n' for writer in writers)
        files = sorted(unfinished.iterdir())
        grow_old(*files)
        clean_folders(str(tmp_path / 'triggerflow' / 'service-1'))
        assert sorted(unfinished.iterdir()) == files and len(files) == 2
        writers[0].kill()
        writers[0].wait()
        clean_folders(str(tmp_path / 'triggerflow' / 'service-1'))
        assert len(list(unfinished.iterdir())) == 1
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()
            writer.stdout.close()


def test_a_file_that_is_being_begun_is_not_taken_for_left_behind(tmp_path):
    (tmp_path / 'triggerflow' / 'unfinished').mkdir(parents=True)
    young = tmp_path / 'triggerflow' / 'unfinished' / 'x'
    young.touch()
    clean_folders(str(tmp_path / 'triggerflow' / 'service-1'))
    assert young.exists()


def test_notes_without_their_file_and_what_was_half_written_go(tmp_path):
    folder = tmp_path / 'triggerflow' / 'service-1'
    for below in ('queue', 'runs'):
        (folder / below).mkdir(parents=True)
    kept = ['queue/1.json', 'queue/1.json.done', 'runs/r-1', 'runtime.json']
    for name in [*kept, 'queue/2.json.done', 'runs/r-2.12345678.new', 'runtime.json.12345678.new']:
        (folder / name).touch()
    clean_folders(str(folder))
    assert sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file()) == kept


def test_of_what_was_put_aside_the_newest_are_kept(tmp_path):
    folder = tmp_path / 'triggerflow' / 'service-1' / 'queue'
    folder.mkdir(parents=True)
    (folder / '0.json.unreadable').mkdir()
    time.sleep(0.02)
    for number in range(1, KEPT + 2):
        (folder / f'{number}.json.unreadable').touch()
    clean_folders(str(folder.parent))
    assert len(list(folder.iterdir())) == KEPT and not (folder / '0.json.unreadable').exists()


# What stands in the place of a bell, or of an answer


@pytest.mark.parametrize('make', [folder, Path.touch, link])
def test_a_bell_that_is_something_else_is_made_anew(make, tmp_path):
    make(tmp_path / 'bell')
    assert not LocalService(str(tmp_path)).is_listening()
    make_bell(str(tmp_path / 'bell'))
    assert (tmp_path / 'bell').is_fifo()


@pytest.mark.parametrize('make', [folder, fifo, link])
def test_an_answer_that_is_something_else_is_written_anew(make, tmp_path):
    make(tmp_path / 'heard')
    endpoint = LocalService(str(tmp_path))
    assert endpoint._last_heard() == ''
    endpoint.acknowledge()
    assert len(endpoint._last_heard()) == 32


def test_a_key_is_looked_for_without_being_read(tmp_path):
    store = LocalhostStore('b', str(tmp_path))
    store.put_new('a/k', b'x')
    assert store.has('a/k') and not store.has('a/x') and not store.has('a/k/x')
