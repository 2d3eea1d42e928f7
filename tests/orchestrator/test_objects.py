"""Maps over objects and their partitions, durable and with the results that Lithops gives."""

import http.server
import threading

import lithops
import pytest

from triggerflow_lithops import now

TEXT = '\n'.join(f'line {number} of many' for number in range(5000))


def count_lines(obj):
    return obj.part, len(obj.data_stream.read().splitlines())


def measure(obj, factor, id):
    return id, obj.key, len(obj.data_stream.read()) * factor


def add3(x):
    return x + 3


@pytest.fixture
def bucket():
    """Three objects in a bucket of their own."""
    storage, name = lithops.Storage(config={'lithops': {'storage': 'localhost', 'backend': 'localhost'}}), 'objects'
    for key in ('in/a.txt', 'in/b.txt', 'other/c.txt'):
        storage.put_object(name, key, TEXT)
    yield storage, name
    storage.delete_objects(name, storage.list_keys(name))


def of(**kwargs):
    """An orchestrator that counts the lines of parts of something, and goes on."""

    def main(args):
        fexec = lithops.FunctionExecutor()
        counted = fexec.get_result(fexec.map(count_lines, args, **kwargs))
        fexec.call_async(add3, 1).result()
        return counted

    return main


BOTH = ['objects/in/a.txt', 'objects/other/c.txt']
SOURCES = [('objects', 3), ('objects/in/', 2), ('localhost://objects/in/a.txt', 1), (BOTH, 2)]


@pytest.mark.parametrize('where, objects', SOURCES)
def test_buckets_prefixes_and_keys_are_split_into_objects(run, bucket, where, objects):
    counted = run(of(), where)
    assert len(counted) == objects and {lines for _, lines in counted} == {5000}


def test_objects_are_split_into_a_number_of_parts(run, bucket):
    counted = run(of(obj_chunk_number=4), 'objects/in/')
    assert [part for part, _ in counted] == [1, 2, 3, 4] * 2 and sum(lines for _, lines in counted) == 10_000


def test_files_are_split_into_parts_of_a_size(run, tmp_path):
    path = tmp_path / 'large.txt'
    path.write_text(TEXT * 40)
    counted = run(of(obj_chunk_size=1024**2), str(path))
    assert len(counted) > 2 and sum(lines for _, lines in counted) == len((TEXT * 40).splitlines())


def test_urls_are_read(run, tmp_path):
    (tmp_path / 'a.txt').write_text(TEXT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), lambda *args: Quiet(*args, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        assert run(of(), f'http://127.0.0.1:{server.server_port}/a.txt') == [(1, 5000)]
    finally:
        server.shutdown()


def test_the_other_parameters_are_given_as_in_lithops(run, bucket):
    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(measure, [('objects/in/a.txt', 2), ('objects/other/c.txt', 3)]))

    assert run(main) == [(0, 'in/a.txt', 2 * len(TEXT)), (1, 'other/c.txt', 3 * len(TEXT))]


def test_the_partitions_found_stay_what_they_were(executor, bucket):
    storage, name = bucket

    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map(count_lines, name)
        now()
        counted = fexec.get_result(futures)
        fexec.storage.put_object(name, 'in/new.txt', TEXT)
        fexec.call_async(add3, 1).result()
        return len(counted), len(futures)

    run = executor.run(main)
    assert run.result(timeout=60) == (3, 3)
    assert len(storage.list_keys(name)) > 3


def test_what_is_not_there_is_the_same_exception_on_every_replay(run, bucket):
    _, name = bucket

    def main():
        fexec = lithops.FunctionExecutor()
        try:
            fexec.map(count_lines, f'{name}/in/late.txt')
        except Exception as error:
            said = type(error).__name__
            # On the next replay it would be there
            fexec.storage.put_object(name, 'in/late.txt', TEXT)
            return said, fexec.call_async(add3, 1).result(), fexec.call_async(add3, 2).result()

    said, *values = run(main)
    assert 'Error' in said and values == [4, 5]
