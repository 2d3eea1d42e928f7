"""
Lithops programs that come to the same as plain drivers and as orchestrators.

Written after Lithops' own functional tests (call_async, map, map_reduce, wait, future,
storage, retries, concurrent_futures, multiprocessing). Each gives a value, or raises.
"""

import functools
import io
import os
import tempfile
import time

import lithops
from lithops import wait as lithops_wait
from lithops.storage.utils import CloudObject, StorageNoSuchKeyError
from lithops.wait import ALL_COMPLETED, ALWAYS, ANY_COMPLETED

WORDS = {'one.txt': 'a b c\nd e\n' * 300, 'other.txt': 'f g\n' * 200}


def add(x, y):
    return x + y


def add3(x):
    return x + 3


def nap(x):
    """Takes ``x`` seconds; or, where that is a name, as long as it takes until that is told, and two minutes at the most."""
    if not isinstance(x, str):
        time.sleep(x)
        return x
    storage, until = lithops.Storage(), time.monotonic() + 120
    while time.monotonic() < until:
        try:
            storage.head_object(storage.bucket, f'same/told/{x}')
            break
        except StorageNoSuchKeyError:
            time.sleep(0.2)
    return x


def tell(x):
    """Naps of this name are over. So what takes too long does, however slow a machine is."""
    storage = lithops.Storage()
    storage.put_object(storage.bucket, f'same/told/{x}', '')


def odd_fails(x):
    if x % 2:
        raise ValueError(f'{x} is odd')
    return x


def fails_until(attempt, x, storage):
    """Fails, and in attempt number ``attempt`` does not: counted by objects, which all attempts see."""
    prefix = f'same/attempts/{x}/'
    number = len(storage.list_keys(storage.bucket, prefix)) + 1
    storage.put_object(storage.bucket, f'{prefix}{number}', '')
    if number < attempt:
        raise ValueError(f'{x} in attempt {number}')
    return x, number


def total(results):
    return sum(results)


def _said_by(function, *args, **kwargs):
    """What came out: a value, or what an exception was called and said."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        return type(error).__name__, str(error)


def _states(futures):
    return [(future.success, future.done, future.error) for future in futures]


def count_words(obj):
    return len(obj.data_stream.read().split())


def read_object(obj):
    return obj.data_stream.read().decode()


class Counter:
    def __init__(self):
        self.count = 0

    def next(self, x):
        self.count += x
        return self.count


class Custom(Exception):
    def __init__(self, code):
        super().__init__(code)
        self.code = code


def raise_custom(x):
    raise Custom(x)


# Calls


def hello_world():
    fexec = lithops.FunctionExecutor()
    fexec.call_async(lambda param: 'Hello World!', '')
    return fexec.get_result()


def a_lambda_of_a_list():
    fexec = lithops.FunctionExecutor()
    fexec.call_async(lambda x: ' '.join(x), ['a', 'b'])
    return fexec.get_result()


def arguments_as_a_tuple_and_as_a_dict():
    fexec = lithops.FunctionExecutor()
    return fexec.call_async(add, (4, 6)).result(), fexec.call_async(add, {'x': 2, 'y': 8}).result()


def a_partial_function():
    fexec = lithops.FunctionExecutor()
    fexec.call_async(functools.partial(add, 4), 6)
    return fexec.get_result()


def a_method_of_an_object_that_changes():
    fexec, counter = lithops.FunctionExecutor(), Counter()
    futures = [fexec.call_async(counter.next, 1) for _ in range(2)]
    counter.next(10)
    return [future.result() for future in futures], fexec.call_async(counter.next, 1).result()


def a_result_of_none_and_what_get_result_makes_of_it():
    fexec = lithops.FunctionExecutor()
    fexec.call_async(lambda x: None, 1)
    return fexec.get_result(), fexec.get_result(fexec.map(lambda x: x or None, [0, 1, 0, 2]))


def environment_of_a_call():
    fexec = lithops.FunctionExecutor()
    return fexec.call_async(lambda x: os.environ[x], 'OF_THIS_CALL', extra_env={'OF_THIS_CALL': 'set'}).result()


def ids_and_storage_are_injected():
    fexec = lithops.FunctionExecutor()

    def used(x, id, storage):
        storage.put_object(storage.bucket, f'same/injected/{x}', str(id))
        return storage.get_object(storage.bucket, f'same/injected/{x}')

    return fexec.get_result(fexec.map(used, ['a', 'b']))


# Maps


def maps_of_tuples_dicts_lists_ranges_and_sets():
    fexec = lithops.FunctionExecutor()
    futures = [
        fexec.map(add, [(1, 1), (2, 2)]),
        fexec.map(add, [{'x': 2, 'y': 8}, {'x': 3, 'y': 8}]),
        fexec.map(lambda x: len(x), [['a', 'b'], ['c']]),
        fexec.map(add3, range(3)),
        fexec.map(lambda x: 'same', set(range(2))),
    ]
    return [fexec.get_result(each) for each in futures]


def several_maps_and_what_get_result_gives_each_time():
    fexec = lithops.FunctionExecutor()
    fexec.map(add, [(1, 1), (2, 2)])
    fexec.map(add, [(3, 3), (4, 4)])
    both = fexec.get_result()
    fexec.map(add, [(5, 5)])
    return both, fexec.get_result()


def extra_args_of_a_map():
    fexec = lithops.FunctionExecutor()
    one = fexec.map(add, [1, 2, 3], extra_args=(10,))
    other = fexec.map(add, [{'x': 1}, {'x': 2}], extra_args={'y': 20})
    return fexec.get_result(one), fexec.get_result(other)


def a_map_in_chunks():
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.map(add3, list(range(7)), chunksize=3))


def a_wrapped_function_with_arguments_of_every_kind():
    def doubled(f):
        def wrapper(*args, **kwargs):
            return 2 * f(*args, **kwargs)

        return wrapper

    @doubled
    def summed(a, b, c=0, *args, d, e=5, **kwargs):
        return sum([a, b, c, d, e, *args, *kwargs.values()])

    with lithops.FunctionExecutor() as fexec:
        fexec.map(summed, [{'a': 1, 'b': 2, 'd': 3}, {'args': (1, 2), 'd': 3, 'f': 4}])
        return fexec.get_result()


def a_map_inside_a_call():
    def inside(x):
        fexec = lithops.FunctionExecutor()
        fexec.map(add3, range(x))
        return fexec.get_result()

    fexec = lithops.FunctionExecutor()
    fexec.map(inside, range(1, 3))
    return fexec.get_result()


# Calls that return futures. Inside of a call, Lithops' localhost runs those of a map side by side, and each of them writes
# the modules that they need into one folder, while another one reads them. So these need none


def returns_the_futures_of_a_map(x):
    return lithops.FunctionExecutor().map(lambda y: y + 3, range(x), include_modules=None)


def returns_the_future_of_a_call(x):
    return lithops.FunctionExecutor().call_async(add3, x)


def returns_the_futures_of_two_maps(x):
    fexec = lithops.FunctionExecutor()
    threes = fexec.map(lambda y: y + 3, range(x), include_modules=None)
    return threes + fexec.map(lambda y: y + 2, range(x), include_modules=None)


def returns_a_future_in_a_while(x):
    time.sleep(0.5)
    return lithops.FunctionExecutor().call_async(nap, x)


def futures_of_a_map_are_waited_for():
    fexec = lithops.FunctionExecutor()
    fexec.call_async(returns_the_futures_of_a_map, 3)
    return fexec.get_result(), len(fexec.futures)


def the_future_of_a_call_is_waited_for():
    fexec = lithops.FunctionExecutor()
    fexec.call_async(returns_the_future_of_a_call, 3)
    return fexec.get_result()


def futures_of_two_maps_are_waited_for_first():
    fexec = lithops.FunctionExecutor()
    future = fexec.call_async(returns_the_futures_of_two_maps, 2)
    done, pending = fexec.wait()
    return len(done), len(pending), fexec.get_result(), future.futures, len(future.result())


def futures_of_a_call_that_are_not_in_time():
    fexec, seen = lithops.FunctionExecutor(), []
    for waiting in (lithops_wait, lithops.get_result, fexec.get_result):
        future = fexec.call_async(returns_a_future_in_a_while, 'the future of a call')
        seen += [_said_by(waiting, future, timeout=4), future.futures]
    tell('the future of a call')
    return seen


def futures_of_a_call_that_are_in_time():
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.call_async(returns_a_future_in_a_while, 0.5), timeout=60)


def futures_that_fail():
    fexec = lithops.FunctionExecutor()
    fexec.call_async(lambda x: lithops.FunctionExecutor().call_async(odd_fails, x), 3)
    return fexec.get_result()


# Chains


def a_list_of_futures_is_mapped_over():
    fexec = lithops.FunctionExecutor()
    return fexec.map(add3, [1, 2]).map(add3).map(add3).get_result()


def a_list_of_futures_is_reduced():
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(add3, [1, 2]).map_reduce(add3, total)
    done, pending = futures.wait()
    return futures.get_result(), len(done), len(pending)


def chained_futures_give_no_result_of_their_own():
    fexec = lithops.FunctionExecutor()
    fexec.map(add3, list(fexec.map(add3, [1, 2])))
    return fexec.get_result()


def a_slice_of_futures_is_mapped_over():
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(add3, [1, 2, 3])
    fexec.map(add3, futures[:2])
    return fexec.get_result()


def a_future_is_given_to_a_call():
    fexec = lithops.FunctionExecutor()
    return fexec.call_async(add3, fexec.call_async(add3, 1)).result()


def futures_and_data_mixed():
    fexec = lithops.FunctionExecutor()
    fexec.map(add3, [fexec.call_async(add3, 1), 2])


def extra_args_in_a_chain():
    fexec = lithops.FunctionExecutor()
    fexec.map(add, fexec.map(add3, [1]), extra_args=(1,))


# Map and reduce


def map_reduce():
    fexec = lithops.FunctionExecutor()
    futures = fexec.map_reduce(add, [(1, 1), (2, 2), (3, 3), (4, 4)], total)
    return fexec.get_result(), len(futures)


def map_reduce_and_its_futures():
    fexec = lithops.FunctionExecutor()
    futures = fexec.map_reduce(add3, [1, 2], total, spawn_reducer=100)
    return fexec.get_result(futures), futures[-1].result()


def map_reduce_that_fails():
    fexec = lithops.FunctionExecutor()
    fexec.map_reduce(odd_fails, [2, 3, 4], total, spawn_reducer=0)
    return fexec.get_result()


def _words_in_the_bucket():
    storage = lithops.Storage()
    for name, text in WORDS.items():
        storage.put_object(storage.bucket, f'same/words/{name}', text)
    return f'{storage.backend}://{storage.bucket}/same/words/'


def map_reduce_over_a_prefix():
    fexec = lithops.FunctionExecutor()
    fexec.map_reduce(count_words, _words_in_the_bucket(), total)
    return fexec.get_result()


def map_reduce_with_one_reducer_for_each_object():
    fexec, prefix = lithops.FunctionExecutor(), _words_in_the_bucket()
    futures = fexec.map_reduce(count_words, [prefix + name for name in WORDS], total, obj_reduce_by_key=True, obj_chunk_number=2)
    return fexec.get_result(), len(futures)


def a_map_over_the_chunks_of_objects():
    fexec = lithops.FunctionExecutor()
    return sum(fexec.get_result(fexec.map(count_words, _words_in_the_bucket(), obj_chunk_number=3)))


# Waits


def waits_of_every_kind():
    fexec, seen = lithops.FunctionExecutor(), []
    futures = fexec.map(nap, [0.1, 0.2])
    for return_when in (ANY_COMPLETED, 50, ALL_COMPLETED):
        done, pending = fexec.wait(futures, return_when=return_when)
        seen.append(len(done) + len(pending))
    done, pending = lithops_wait(futures, return_when=ALWAYS)
    return seen, len(done), len(pending), type(done).__name__


def results_at_once_of_one_and_of_many():
    fexec = lithops.FunctionExecutor()
    return lithops.get_result(fexec.map(add3, [1, 2])), lithops.get_result(fexec.call_async(add3, 1))


def a_wait_that_takes_too_long():
    fexec = lithops.FunctionExecutor()
    try:
        fexec.wait(fexec.call_async(nap, 'a wait'), timeout=1)
    finally:
        tell('a wait')


def waits_and_results_that_are_in_time():
    fexec, seen = lithops.FunctionExecutor(), []
    for waiting in (fexec.wait, lithops_wait):
        done, pending = waiting(fexec.map(nap, [0.1, 0.2]), timeout=60)
        seen.append((len(done), len(pending), type(done).__name__, [future.result() for future in done]))
    seen += [waiting(fexec.map(nap, [0, 0.1]), timeout=60) for waiting in (fexec.get_result, lithops.get_result)]
    done, pending = fexec.map(add3, [1, 2]).wait(timeout=60)
    seen += [len(done), len(pending), fexec.map(add3, [3]).get_result(timeout=60), fexec.call_async(add3, 4).result()]
    return seen, fexec.get_result(fexec.call_async(add3, 5), timeout=60)


def waits_of_an_executor_that_are_too_long():
    fexec, seen = lithops.FunctionExecutor(), []
    for name, waiting in (('of an executor: wait', fexec.wait), ('of an executor: get_result', fexec.get_result)):
        futures = fexec.map(nap, [0, name])
        seen += [_said_by(waiting, futures, timeout=1), _states(futures[1:])]
        tell(name)
        seen += [futures[1].result(), len(fexec.futures)]
    # Whoever gave up on a job does not get it among all results
    return seen, fexec.get_result(fexec.call_async(add3, 1)), fexec.get_result()


def waits_of_lithops_that_are_too_long():
    fexec, seen = lithops.FunctionExecutor(), []
    for name, waiting in (('of Lithops: wait', lithops_wait), ('of Lithops: get_result', lithops.get_result)):
        futures = fexec.map(nap, [0, name])
        seen += [_said_by(waiting, futures, timeout=1, throw_except=False), _states(futures[1:])]
        tell(name)
        # They may be waited for again
        seen += [[future.result() for future in futures], lithops.get_result(futures)]
    return seen


def waits_of_a_list_that_are_too_long():
    fexec = lithops.FunctionExecutor()
    one, other = fexec.map(nap, ['of a list']), fexec.map(nap, ['of a list'])
    seen = _said_by(one.wait, timeout=1), _said_by(other.get_result, timeout=1), _states([*one, *other])
    tell('of a list')
    return seen


def a_wait_for_some_that_is_too_long():
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(nap, [0, 'some', 'some'])
    done, _ = lithops_wait(futures, return_when=ANY_COMPLETED, timeout=60)
    seen = len(done) > 0, _said_by(lithops_wait, futures, return_when=60, timeout=1), _states(futures[1:])
    tell('some')
    return seen


def the_time_of_a_wait_has_passed_already():
    fexec = lithops.FunctionExecutor()
    seen = [_said_by(lithops_wait, fexec.map(nap, ['no time']), timeout=timeout) for timeout in (0, -1)]
    tell('no time')
    return seen


def a_wait_for_nothing():
    return lithops.wait([])


def the_states_of_a_future():
    fexec = lithops.FunctionExecutor()
    future = fexec.call_async(add3, 1)
    states = [future.done, future.success, future.error]
    future.status()
    states += [future.done, future.success, future.error]
    return states, future.result(), future.result(), future.done, future.futures, future.job_id, future.function_name


def the_status_and_the_stats_of_a_call():
    fexec = lithops.FunctionExecutor()
    future = fexec.call_async(add3, 1)
    status = future.status()
    expected = ('worker_start_tstamp', 'worker_end_tstamp', 'worker_func_exec_time', 'host_submit_tstamp')
    kept = ('call_id', 'job_id', 'exception', 'func_result_size', 'type')
    return {name: status[name] for name in kept}, [name in future.stats for name in expected]


def a_status_is_looked_at():
    fexec = lithops.FunctionExecutor()
    future, failing = fexec.call_async(nap, 'a look'), fexec.call_async(odd_fails, 3)
    seen = [future.status(check_only=True), future.done]
    tell('a look')
    lithops_wait([future, failing], throw_except=False)
    status, failed = future.status(check_only=True), failing.status(check_only=True, throw_except=False)
    return seen, status['call_id'], status['exception'], failed, _said_by(failing.status, check_only=True), future.result()


def a_status_is_looked_at_until_it_is_there():
    fexec = lithops.FunctionExecutor()
    future = fexec.call_async(nap, 1)
    looks = 0
    while future.status(check_only=True) is None:
        looks += 1
        time.sleep(0.2)
    return looks > 0, future.status()['call_id'], future.result()


def a_call_cannot_be_cancelled():
    lithops.FunctionExecutor().call_async(add3, 1).cancel()


# Failures


def an_exception_of_the_call():
    return lithops.FunctionExecutor().call_async(odd_fails, 3).result()


def an_exception_with_fields():
    try:
        lithops.FunctionExecutor().call_async(raise_custom, 42).result()
    except Custom as error:
        return error.code, error.args


def a_map_of_which_one_fails():
    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.map(odd_fails, [0, 1, 2]))


def a_map_of_which_one_fails_and_nothing_is_thrown():
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(odd_fails, [0, 1, 2])
    results = fexec.get_result(futures, throw_except=False)
    return results, [future.error for future in futures], futures[1].result(throw_except=False)


def nothing_is_thrown_by_waits():
    fexec, seen = lithops.FunctionExecutor(), []
    for waiting in (fexec.wait, lithops_wait):
        for download in (False, True):
            futures = fexec.map(odd_fails, [1, 2])
            done, pending = waiting(futures, throw_except=False, download_results=download)
            seen.append((len(done), len(pending), _states(futures), futures[1].result()))
    futures = fexec.map(odd_fails, [3, 4])
    done, pending = futures.wait(throw_except=False)
    return seen, len(done), len(pending), _states(futures), _said_by(futures.get_result)


def nothing_is_thrown_by_results():
    fexec, seen = lithops.FunctionExecutor(), []
    for waiting in (fexec.get_result, lithops.get_result):
        futures = fexec.map(odd_fails, [1, 2, 3])
        seen += [waiting(futures, throw_except=False), _states(futures), _said_by(waiting, futures)]
    seen.append(fexec.map(odd_fails, [4, 5]).get_result(throw_except=False))
    fexec.call_async(odd_fails, 7)
    return seen, fexec.get_result(throw_except=False)


def nothing_is_thrown_by_a_future():
    fexec = lithops.FunctionExecutor()
    future, other = fexec.call_async(odd_fails, 1), fexec.call_async(odd_fails, 3)
    seen = [future.status(throw_except=False), *_states([future]), future.result(throw_except=False)]
    seen += [other.result(throw_except=False), *_states([other]), other.status(throw_except=False)]
    return seen, _said_by(future.result), _said_by(other.status)


def a_failure_that_is_asked_for_again():
    fexec, seen = lithops.FunctionExecutor(), []
    future = fexec.call_async(odd_fails, 5)
    for _ in range(2):
        try:
            future.result()
        except ValueError as error:
            seen.append(str(error))
    return seen, future.error, future.done


def a_call_that_exits():
    import sys

    return lithops.FunctionExecutor().call_async(lambda x: sys.exit(x), 3).result()


def a_result_that_cannot_be_pickled():
    import threading

    try:
        lithops.FunctionExecutor().call_async(lambda x: threading.Lock(), 1).result()
    except Exception as error:
        return type(error).__name__


def too_few_arguments():
    lithops.FunctionExecutor().map(add, [1])


def names_of_arguments_that_are_wrong():
    lithops.FunctionExecutor().map(add, [{'x': 1, 'z': 2}])


def a_call_that_takes_too_long():
    try:
        lithops.FunctionExecutor().call_async(nap, 30, timeout=2).result()
    except TimeoutError as error:
        return str(error)


# Storage


def objects():
    storage = lithops.Storage()
    storage.put_object(storage.bucket, 'same/objects/a', b'abc')
    head = storage.head_object(storage.bucket, 'same/objects/a')
    found = storage.list_keys(storage.bucket, 'same/objects/')
    part = storage.get_object(storage.bucket, 'same/objects/a', extra_get_args={'Range': 'bytes=1-2'})
    storage.delete_object(storage.bucket, 'same/objects/a')
    return int(head['content-length']), found, part, storage.list_keys(storage.bucket, 'same/objects/')


def objects_are_listed_streamed_and_deleted():
    storage, prefix = lithops.Storage(), 'same/listed/'
    keys = [f'{prefix}{name}' for name in ('foo/baz', 'foo/bar/baz', 'foo_bar/baz', 'foo_baz', 'bar')]
    for key in keys:
        storage.put_object(storage.bucket, key, io.BytesIO(key.encode()))
    listed = {
        what: sorted((found['Key'], found['Size']) for found in storage.list_objects(storage.bucket, prefix + what))
        for what in ('', 'foo', 'foo/', 'not there')
    }
    stream = storage.get_object(storage.bucket, keys[0], stream=True).read()
    storage.delete_objects(storage.bucket, keys[:2])
    storage.delete_cloudobject(CloudObject(storage.backend, storage.bucket, keys[2]))
    left = sorted(storage.list_keys(storage.bucket, prefix))
    storage.delete_cloudobjects([CloudObject(storage.backend, storage.bucket, key) for key in keys[3:]])
    missing = [_said_by(ask, storage.bucket, keys[0])[0] for ask in (storage.get_object, storage.head_object)]
    status = storage.head_bucket(storage.bucket)['ResponseMetadata']['HTTPStatusCode']
    return listed, stream, left, storage.list_keys(storage.bucket, prefix), missing, status


def files_and_folders_are_mapped_over():
    fexec = lithops.FunctionExecutor()
    folder = os.path.join(tempfile.gettempdir(), 'same-files')
    if not os.path.isdir(folder):
        # A replay finds it
        os.makedirs(folder)
        for name, text in WORDS.items():
            with open(os.path.join(folder, name), 'w') as file:
                file.write(text)
    one = os.path.join(folder, 'one.txt')
    parts = fexec.get_result(fexec.map(read_object, one, obj_chunk_number=2, obj_newline=None))
    sized = fexec.get_result(fexec.map(read_object, one, obj_chunk_size=1000, obj_newline=None))
    both = fexec.get_result(fexec.map(read_object, folder))
    return len(parts), ''.join(parts) == WORDS['one.txt'], len(sized), ''.join(sized) == WORDS['one.txt'], sorted(both)


def ids_of_jobs_and_the_last_of_them():
    fexec, seen = lithops.LocalhostExecutor(), []
    for call in (
        lambda: [fexec.call_async(add3, 1)],
        lambda: fexec.map(add3, [1, 2]),
        lambda: fexec.map_reduce(add3, [1, 2], total, spawn_reducer=50),
    ):
        seen.append(([future.job_id for future in call()], fexec.last_call, fexec.get_result()))
    return seen, fexec.mode, fexec.backend


def cloud_objects_go_in_and_out():
    def put(x, storage):
        return storage.put_cloudobject(b'%d' % x)

    def get(cloud_object, storage):
        return int(storage.get_cloudobject(cloud_object))

    fexec = lithops.FunctionExecutor()
    return fexec.get_result(fexec.map(get, fexec.get_result(fexec.map(put, [1, 2])))), fexec.get_result(
        fexec.map(get, fexec.map(put, [3]))
    )


def files_in_the_bucket():
    from lithops.storage.cloud_proxy import open as cloud_open
    from lithops.storage.cloud_proxy import os as cloud_os

    with cloud_open('same/files/a.txt', 'w') as file:
        file.write('hi')
    return cloud_open('same/files/a.txt').read(), cloud_os.listdir('same/files'), cloud_os.path.exists('same/files/b.txt')


# The layers above


def a_localhost_executor():
    fexec = lithops.LocalhostExecutor()
    return fexec.get_result(fexec.map(add3, [1, 2]))


def a_retrying_executor():
    with lithops.RetryingFunctionExecutor(lithops.FunctionExecutor()) as fexec:
        futures = fexec.map(odd_fails, [0, 1, 2], retries=1)
        done, pending = fexec.wait(futures, throw_except=False)
        return [future.error for future in futures], len(done), len(pending), futures[0].result()


def retries_that_end_in_success():
    with lithops.RetryingFunctionExecutor(lithops.FunctionExecutor()) as fexec:
        futures = fexec.map(fails_until, [(1, 'at once'), (2, 'once'), (3, 'twice')], retries=2)
        done, pending = fexec.wait(futures, throw_except=False, download_results=True)
        seen = [(future.done, future.error, future.failure_count, 'worker_exec_time' in future.stats) for future in futures]
        return len(done), len(pending), seen, [future.result() for future in futures], len(fexec.executor.futures)


def retries_that_are_used_up():
    fexec = lithops.RetryingFunctionExecutor(lithops.FunctionExecutor())
    futures = fexec.map(fails_until, [(9, 'never'), (2, 'after all')], retries=1)
    done, pending = fexec.wait(futures, throw_except=False)
    seen = [(future.done, future.error, future.failure_count) for future in futures]
    never, later = futures
    # Nothing is what it does not throw
    said = [_said_by(never.result), _said_by(never.result, throw_except=False), _said_by(never.status, throw_except=False)]
    return len(done), len(pending), seen, said, later.result(), later.status()['exception']


def no_retries_where_the_first_failure_is_thrown():
    fexec = lithops.RetryingFunctionExecutor(lithops.FunctionExecutor())
    futures = fexec.map(fails_until, [(2, 'thrown')], retries=3)
    return _said_by(fexec.wait, futures), futures[0].failure_count, futures[0].error


def retries_that_are_not_in_time():
    fexec = lithops.RetryingFunctionExecutor(lithops.FunctionExecutor())
    futures = fexec.map(nap, [0, 5], retries=1)
    return _said_by(fexec.wait, futures, throw_except=False, timeout=1), [future.done for future in futures]


def retries_of_one_that_is_given_up():
    fexec = lithops.RetryingFunctionExecutor(lithops.FunctionExecutor())
    futures = fexec.map(odd_fails, [1, 2], retries=5)
    futures[0].cancel()
    done, pending = fexec.wait(futures, throw_except=False)
    return len(done), len(pending), [future.failure_count for future in futures]


def standard_futures():
    from lithops.concurrent.futures import FunctionExecutor

    with FunctionExecutor() as executor:
        future, other = executor.submit(add, 1, y=2), executor.submit(odd_fails, 3)
        results = list(executor.map(add, [1, 2], [10, 20]))
        return future.result(), type(other.exception()).__name__, results, future.done(), future.running()


def standard_waits():
    import concurrent.futures

    from lithops.concurrent.futures import FIRST_COMPLETED, FIRST_EXCEPTION, FunctionExecutor, as_completed, wait

    executor = FunctionExecutor()
    futures = [executor.submit(nap, seconds) for seconds in (0.1, 0.2, 0.3)]
    seen = [len(part) > 0 for part in wait(futures, return_when=FIRST_COMPLETED)][:1]
    seen.append(sorted(future.result() for future in as_completed(futures)))
    seen.append([len(part) for part in concurrent.futures.wait(futures)])
    failing = [executor.submit(odd_fails, 1), executor.submit(nap, 'an exception')]
    done, pending = concurrent.futures.wait(failing, return_when=FIRST_EXCEPTION)
    seen.append((len(done), len(pending)))
    tell('an exception')
    executor.shutdown()
    return seen


def a_standard_map_with_a_timeout():
    from lithops.concurrent.futures import FunctionExecutor

    with FunctionExecutor() as executor:
        return list(executor.map(nap, [0.1, 1.2, 2.4], timeout=300))


def a_standard_map_of_which_some_are_in_time():
    import concurrent.futures

    from lithops.concurrent.futures import FunctionExecutor

    seen, executor = [], FunctionExecutor()
    try:
        for value in executor.map(nap, [0, 0.5, 'a standard map'], timeout=10):
            seen.append(value)
    except concurrent.futures.TimeoutError:
        seen.append('too late')
    tell('a standard map')
    return seen


def a_standard_result_that_takes_too_long():
    from lithops.concurrent.futures import FunctionExecutor

    executor = FunctionExecutor()
    try:
        executor.submit(nap, 'a standard result').result(timeout=0.5)
    finally:
        tell('a standard result')


def standard_results_that_are_in_time():
    from lithops.concurrent.futures import FunctionExecutor, as_completed, wait

    with FunctionExecutor() as executor:
        futures = [executor.submit(nap, 0.1), executor.submit(odd_fails, 3), executor.submit(add, 1, y=2)]
        seen = [futures[0].result(timeout=60), repr(futures[1].exception(timeout=60)), futures[2].exception(timeout=60)]
        seen.append([len(part) for part in wait([*futures, executor.submit(nap, 0.5)], timeout=60)])
        return seen, len(list(as_completed([*futures, executor.submit(nap, 0.5)], timeout=60)))


def standard_results_that_take_too_long():
    import concurrent.futures

    from lithops.concurrent.futures import FunctionExecutor, as_completed, wait

    executor = FunctionExecutor()
    quick = executor.submit(odd_fails, 1)
    quick.exception()
    slow = executor.submit(nap, 'standard results')
    seen = [_said_by(slow.result, timeout=1), _said_by(slow.exception, timeout=0.5), _said_by(slow.result, timeout=0)]
    seen.append((slow.done(), slow.running()))
    for waiting in (wait, concurrent.futures.wait):
        done, pending = waiting([quick, slow], timeout=0.5)
        seen.append((done == {quick}, pending == {slow}))
    for completed in (as_completed, concurrent.futures.as_completed):
        yielded = []
        seen.append(_said_by(lambda completed=completed, yielded=yielded: yielded.extend(completed([quick, slow], timeout=0.5))))
        seen.append(yielded == [quick])
    seen.append(_said_by(lambda: list(executor.map(nap, [0, 'standard results'], timeout=1))))
    tell('standard results')
    while slow.running():
        time.sleep(0.2)
    return seen, slow.done(), slow.result(timeout=0)


def standard_submits_that_fail():
    from lithops.concurrent.futures import FunctionExecutor, as_completed

    with FunctionExecutor() as executor:
        futures = [executor.submit(odd_fails, x) for x in range(4)]
        errors = sorted(repr(future.exception()) for future in as_completed(futures))
        seen = [_said_by(future.result) for future in futures]
        custom = executor.submit(raise_custom, 42).exception()
        seen += [type(custom).__name__, custom.code, _said_by(lambda: list(executor.map(odd_fails, [0, 1, 2])))]
        called = []
        futures[1].add_done_callback(lambda future: called.append(str(future.exception())))
        return errors, seen, called, futures[0].cancel(), futures[0].cancelled()


def a_standard_executor_that_is_shut_down():
    from lithops.concurrent.futures import FunctionExecutor

    executor = FunctionExecutor()
    future = executor.submit(nap, 0.5)
    executor.shutdown()
    return future.done(), future.result(), _said_by(executor.submit, add3, 1), _said_by(executor.map, add3, [1])


def a_standard_map_in_windows():
    from lithops.concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    with ThreadPoolExecutor(4, thread_name_prefix='x') as threads, ProcessPoolExecutor() as processes:
        return list(threads.map(add, range(5), range(5), buffersize=2)), list(processes.map(add3, range(4), chunksize=2))


def a_pool_of_processes():
    from lithops.multiprocessing import Pool

    with Pool() as pool:
        later = pool.map_async(add3, [7, 8])
        later.wait()
        return (
            pool.map(add3, [1, 2, 3]),
            pool.starmap(add, [(1, 2), (3, 4)]),
            pool.apply(add3, (5,)),
            pool.apply_async(add, (6,), {'y': 1}).get(),
            list(pool.imap(add3, [1, 2])),
            sorted(pool.imap_unordered(add3, [1, 2])),
            (later.ready(), later.successful(), later.get()),
        )


def a_pool_and_a_failure():
    from lithops.multiprocessing import Pool

    pool = Pool()
    return pool.map(odd_fails, [0, 1])


def a_pool_and_its_callback():
    from lithops.multiprocessing import Pool

    seen, pool = [], Pool()
    result = pool.apply_async(add3, (1,), callback=seen.append)
    value = result.get()
    pool.close()
    pool.join()
    return value, seen


def a_pool_and_failures_of_every_kind():
    from lithops.multiprocessing import Pool

    def kept(call, *args):
        return _said_by(lambda: list(result) if hasattr(result := call(*args), '__iter__') else result)

    pool = Pool()
    later = pool.starmap_async(odd_fails, [(2,), (3,)])
    later.wait()
    return (
        kept(pool.apply, odd_fails, (1,)),
        kept(pool.apply, odd_fails, (2,)),
        kept(pool.starmap, odd_fails, [(2,), (1,)]),
        kept(pool.imap, odd_fails, [2, 1]),
        kept(pool.imap_unordered, odd_fails, [2, 1]),
        (later.ready(), later.successful(), _said_by(later.get), _said_by(later.get)),
        (pool.starmap(add, []), list(pool.imap_unordered(add3, iter([1, 2]))), pool.starmap(add, [(1, 2), (3, 4)], chunksize=2)),
    )


def a_pool_and_its_callbacks_of_failures():
    from lithops.multiprocessing import Pool

    seen, failed, pool = [], [], Pool()
    results = [
        pool.map_async(odd_fails, [0, 2], callback=seen.append, error_callback=failed.append),
        pool.starmap_async(odd_fails, [(1,)], callback=seen.append, error_callback=failed.append),
        pool.apply_async(odd_fails, (3,), error_callback=failed.append),
    ]
    pool.close()
    pool.join()
    said = [(result.ready(), result.successful(), _said_by(result.get)) for result in results]
    return said, seen, sorted(map(str, failed)), _said_by(pool.apply, add3, (1,))


def results_of_a_pool_that_take_too_long():
    from lithops.multiprocessing import Pool

    called, pool = [], Pool()
    result = pool.apply_async(nap, ('one of a pool',))
    seen = [_said_by(result.get, timeout=1), result.wait(timeout=1), result.ready(), _said_by(result.successful)[0]]
    slow = pool.map_async(nap, ['one of a pool', 0], callback=called.append)
    seen += [_said_by(slow.get, timeout=1), slow.wait(timeout=1), slow.ready(), called[:]]
    tell('one of a pool')
    # They may be waited for again
    return seen, result.get(timeout=60), result.get(0), slow.get(60), slow.get(0), called


def a_result_of_a_pool_is_looked_at_until_it_is_there():
    from lithops.multiprocessing import Pool

    called, pool = [], Pool()
    results = [pool.apply_async(nap, (1,)), pool.map_async(nap, [1, 0.5], callback=called.append)]
    while not all(result.ready() for result in results):
        time.sleep(0.2)
    return [result.successful() for result in results], called, [result.get() for result in results]


def a_pool_that_is_terminated():
    from lithops.multiprocessing import Pool

    with Pool(3, initializer=os.environ.__setitem__, initargs=('OF_THE_POOL', 'set')) as pool:
        values = pool.map(os.environ.get, ['OF_THE_POOL', 'OF_NO_POOL'])
        with_processes = type(pool.Process(target=add3)).__name__
    return values, with_processes, _said_by(pool.map, add3, [1]), _said_by(pool.join)


def a_pool_of_a_context():
    import lithops.multiprocessing as multiprocessing

    context = multiprocessing.get_context('spawn')
    with context.Pool() as pool:
        values = pool.map(add3, [1, 2])
    process = context.Process(target=add3, args=(1,), name='named')
    process.start()
    return values, process.join(), multiprocessing.get_start_method(), multiprocessing.get_context() is context


def a_process():
    from lithops.multiprocessing import Process

    process = Process(target=add3, args=(1,), name='named')
    process.start()
    return process.join(), process.join(timeout=1), process.name


def several_processes():
    from lithops.multiprocessing import Process

    def put(x, storage=None):
        lithops.Storage().put_object(lithops.Storage().bucket, f'same/processes/{x}', str(x))

    processes = [Process(target=put, args=(x,), daemon=True) for x in range(3)]
    failing = Process(target=odd_fails, kwargs={'x': 3})
    for process in [*processes, failing]:
        process.start()
    joined = [process.join() for process in processes]
    storage = lithops.Storage()
    found = storage.list_keys(storage.bucket, 'same/processes/')
    return joined, found, _said_by(failing.join), _said_by(failing.join, timeout=60), [process.daemon for process in processes]


def a_process_that_is_joined_too_early():
    from lithops.multiprocessing import Process

    process = Process(target=nap, args=(4,))
    process.start()
    early = time.time()
    seen = [process.join(timeout=1), time.time() - early < 3]
    return seen, process.join(timeout=60), process.join(), process.close()


def what_a_process_of_lithops_does_not_know():
    from lithops.multiprocessing import Process

    process = Process(target=add3, args=(1,))
    process.start()
    process.join()
    asked = [process.is_alive, lambda: process.exitcode, process.terminate, process.kill]
    return [_said_by(question)[0] for question in asked]


def a_process_that_is_started_wrongly():
    from lithops.multiprocessing import Process

    process = Process(target=add3, args=(1,))
    seen = [_said_by(process.join)]
    process.start()
    return seen, _said_by(process.start), process.run()


HELPERS = {add, add3, nap, tell, odd_fails, fails_until, total, count_words, read_object, raise_custom, Counter, Custom}
BODIES = {
    name: body
    for name, body in list(globals().items())
    if callable(body)
    and getattr(body, '__module__', '') == __name__
    and not name.startswith('_')
    and body not in HELPERS
    and not name.startswith('returns_')
}
