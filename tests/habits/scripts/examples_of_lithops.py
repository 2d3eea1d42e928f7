"""
Written after the examples that Lithops publishes (its folder ``examples``), in their style.

Each function stands for the published one of its name: ``call_async``, ``call_async_class``, ``cloudobject``,
``context_manager``, ``failed_futures``, ``function_chaining``, ``hello_world`` (a notebook), ``internal_execution``,
``joblib_backend``, ``map_``, ``map_cos_prefix``, ``map_internal``, ``map_reduce``, ``map_reduce_cos_bucket``,
``map_reduce_cos_key``, ``map_reduce_localhost``, ``multiple_args_call_async``, ``multiple_args_map``, ``retry``,
``serialize_futures``, ``storage``, ``storage_arg``, ``storage_os``, ``wait``. Buckets are the localhost storage's, not COS.

Not here:

- ``call_async_cython``, ``call_async_java``, ``dso``: need a compiled library, or a runtime with Java and a server.
- ``ibmcos_arg``, ``rabbitmq_arg``, ``remote_logging`` and the second half of ``wait``: need IBM COS, RabbitMQ or Redis.
- ``map_reduce_url``: needs public addresses. What it does with them, ``map_reduce_localhost`` does with files.
- ``sklearn_job_1`` to ``_3``: what they use of Lithops is in ``joblib_backend``, and each takes a minute as a plain driver.
- ``multicloud``: needs two clouds. An orchestrator refuses an executor of another one than its run's.
"""

import os
import pickle
import time

import drive
import lithops
from lithops import RetryingFunctionExecutor, Storage
from lithops.storage.cloud_proxy import open as cloud_open
from lithops.storage.cloud_proxy import os as cloud_os
from lithops.wait import get_result

BUCKET = 'lithops-sample-data'
TEXTS = {'obj1.txt': 'to be or not to be', 'obj2.txt': 'to go', 'obj3.txt': 'or not'}


def shown(*results):
    """The examples print what they came to. Here it is looked at, too."""
    print(*results)
    return results[0] if len(results) == 1 else results


def my_function(x):
    return x + 7


def call_async():
    fexec = lithops.FunctionExecutor()
    fexec.call_async(my_function, 3)
    return shown(fexec.get_result())


def hello(name):
    return 'Hello {}!'.format(name)


def hello_world():
    fexec = lithops.FunctionExecutor()
    future = fexec.call_async(hello, 'World')
    first = future.result()
    futures = fexec.map(hello, ['Ann', 'Bob'])
    return shown(first, fexec.get_result(futures))


def mult(x, y):
    return x * y


class MyClass:
    def __init__(self, base) -> None:
        self.base = base

    def __call__(self, x, fn) -> int:
        return fn(self.base, x)


def call_async_class():
    fexec = lithops.FunctionExecutor()
    inst = MyClass(5)
    fexec.map(inst, [(2, mult), (3, mult)])
    return shown(fexec.get_result())


def my_function_put(text, storage):
    return [storage.put_cloudobject(f'Cloudobject test {number}: {text}') for number in (1, 2)]


def my_function_get(co, storage):
    return storage.get_cloudobject(co)


def cloudobject():
    with lithops.FunctionExecutor() as fexec:
        fexec.call_async(my_function_put, 'Hello World')
        cloudobjects = fexec.get_result()
        fexec.map(my_function_get, cloudobjects)
        first = fexec.get_result()
    fexec = lithops.FunctionExecutor()
    fexec.call_async(my_function_put, 'Hello again')
    cloudobjects = fexec.get_result()
    fexec.map(my_function_get, cloudobjects)
    result = fexec.get_result()
    fexec.clean()
    return shown(first, result)


def my_map_function(id, x):
    print(f"I'm activation number {id}")
    return x + 7


def context_manager():
    with lithops.FunctionExecutor() as fexec:
        fexec.map(my_map_function, [1, 2, 3, 4])
        return shown(fexec.get_result())


def my_failing_function(id, x):
    print(f"I'm activation number {id}")
    if id in [2, 4]:
        raise MemoryError()
    return x


def failed_futures():
    iterdata = ['a', 'b', 'c', 'd', 'e']
    fexec = lithops.FunctionExecutor(log_level='DEBUG')
    futures = fexec.map(my_failing_function, iterdata)
    return_vals = fexec.get_result(fs=futures, throw_except=False)
    failed_callids = [int(f.call_id) for f in futures if f.error]
    if failed_callids:
        new_iterdata = [iterdata[i] for i in failed_callids]
        futures = fexec.map(my_failing_function, new_iterdata)
        new_return_vals = fexec.get_result(fs=futures, throw_except=False)
        for i, failed_callid in enumerate(failed_callids):
            return_vals[failed_callid] = new_return_vals[i]
    return shown(failed_callids, return_vals)


def my_func1(x):
    return x + 2, 5


def my_func2(x, y):
    return x + y, 5, 2


def my_func3(x, y, z):
    return x + y + z


def function_chaining():
    fexec = lithops.FunctionExecutor(log_level='INFO')
    return shown(fexec.map(my_func1, [1, 2, 3]).map(my_func2).map(my_func3).get_result())


def scheduler(total):
    fexec = lithops.FunctionExecutor()
    return fexec.map(my_map_function, range(total))


def internal_execution():
    fexec = lithops.FunctionExecutor(log_level='INFO')
    fexec.call_async(scheduler, 3)
    fexec.wait()
    return shown(fexec.get_result())


def map_internal():
    fexec = lithops.FunctionExecutor()
    fexec.call_async(scheduler, 5)
    found = fexec.get_result()
    fexec.clean()
    return shown(found)


def cube(x):
    print(x)
    return x**3


def joblib_backend():
    import joblib
    from joblib import Parallel, delayed
    from lithops.util.joblib import register_lithops

    register_lithops()
    with joblib.parallel_backend('lithops'):
        return shown(Parallel()(delayed(cube)(i) for i in range(3)))


def map_():
    fexec = lithops.FunctionExecutor()
    fexec.map(my_map_function, range(2))
    fexec.map(my_map_function, range(6))
    return shown(fexec.get_result())


def count_words(obj):
    print(f'Bucket: {obj.bucket}, key: {obj.key}, partition: {obj.part}')
    return counted(obj.data_stream.read())


def counted(data):
    counter = {}
    for line in data.splitlines():
        for word in line.decode('utf-8').split():
            if word not in counter:
                counter[word] = 1
            else:
                counter[word] += 1
    return counter


def sum_words(results):
    final_result = {}
    for count in results:
        for word in count:
            if word not in final_result:
                final_result[word] = count[word]
            else:
                final_result[word] += count[word]
    return final_result


def sample_data(folder):
    storage = Storage()
    for name, text in TEXTS.items():
        storage.put_object(BUCKET, f'{folder}/{name}', text)


def map_cos_prefix():
    sample_data('prefix')
    fexec = lithops.FunctionExecutor()
    fexec.map(count_words, f'localhost://{BUCKET}/prefix/')
    return shown(sorted(fexec.get_result(), key=len))


def map_reduce_cos_bucket():
    sample_data('bucket')
    fexec = lithops.FunctionExecutor()
    fexec.map_reduce(count_words, f'localhost://{BUCKET}/bucket/', sum_words, obj_chunk_size=4 * 1024**2)
    first = fexec.get_result()
    fexec = lithops.FunctionExecutor()
    fexec.map_reduce(count_words, f'localhost://{BUCKET}/bucket/', sum_words, obj_chunk_size=4 * 1024**2, obj_reduce_by_key=True)
    return shown(sorted(first.items()), sorted(fexec.get_result(), key=len))


def map_reduce_cos_key():
    sample_data('key')
    iterdata = [f'localhost://{BUCKET}/key/{name}' for name in TEXTS]
    fexec = lithops.FunctionExecutor()
    fexec.map_reduce(count_words, iterdata, sum_words, obj_chunk_number=2)
    return shown(sorted(fexec.get_result().items()))


def count_words_of_file(obj):
    print(f'I am processing the object from {obj.path}')
    return counted(obj.data_stream.read())


def map_reduce_localhost():
    iterdata = []
    for name, text in TEXTS.items():
        file_path = os.path.abspath(name)
        iterdata.append(file_path)
        if not os.path.isfile(file_path):
            with open(file_path, 'w') as file:
                file.write('\n'.join([text] * 20))
    fexec = lithops.FunctionExecutor(backend='localhost', storage='localhost')
    fexec.map_reduce(count_words_of_file, iterdata, sum_words, obj_chunk_number=2)
    return shown(sorted(fexec.get_result().items()))


def slow_map_function(x):
    time.sleep(x * 0.02)
    return x + 7


def my_reduce_function(results):
    total = 0
    for map_result in results:
        total = total + map_result
    return total


def map_reduce():
    results = []
    for spawned in ({}, {'spawn_reducer': 0}, {'spawn_reducer': 80}):
        fexec = lithops.FunctionExecutor()
        fexec.map_reduce(slow_map_function, [1, 2, 3], my_reduce_function, **spawned)
        results.append(fexec.get_result())
    return shown(*results)


def add(x, y):
    return x + y


def sum_list(list_of_numbers):
    total = 0
    for num in list_of_numbers:
        total = total + num
    return total


def sum_list_mult(list_of_numbers, x):
    return sum_list(list_of_numbers) * x


def multiple_args_call_async():
    results = []
    for function, args in (
        (add, (3, 6)),
        (add, {'x': 2, 'y': 8}),
        (sum_list, ([1, 2, 3, 4, 5],)),
        (sum_list_mult, ([1, 2, 3, 4, 5], 5)),
        (sum_list_mult, {'list_of_numbers': [1, 2, 3, 4, 5], 'x': 3}),
    ):
        fexec = lithops.FunctionExecutor()
        results.append(fexec.call_async(function, args))
    return shown(get_result(results))


def multiple_args_map():
    fexec = lithops.FunctionExecutor()
    fexec.map(add, [(1, 2), (3, 4)])
    fexec.map(add, [{'x': 1, 'y': 2}, {'x': 3, 'y': 4}])
    fexec.map(sum_list, [([1, 2],), ([3, 4],)])
    fexec.map(sum_list_mult, [([1, 2, 3], 2), ([6, 7], 3)])
    fexec.map(sum_list_mult, [{'list_of_numbers': [1, 2], 'x': 2}])
    fexec.map(add, [0, 1, 2], extra_args=(10,))
    fexec.map(add, [{'x': 1}, {'x': 3}], extra_args={'y': 3})
    return shown(fexec.get_result())


FAILURES = {0: 1, 1: 2, 2: 0}


def my_retry_function(x):
    storage = Storage()
    key = f'retries-demo/input-{x}'
    try:
        count = int(storage.get_object(BUCKET, key))
    except Exception:
        count = 0
    print(f'[Input {x}] Attempt #{count + 1}')
    if count < FAILURES.get(x, 0):
        storage.put_object(BUCKET, key, str(count + 1))
        raise RuntimeError(f'Deliberate failure for input {x}, attempt {count + 1}')
    return x + 100


def retry():
    with lithops.FunctionExecutor() as fexec, RetryingFunctionExecutor(fexec) as retry_exec:
        futures = retry_exec.map(my_retry_function, [0, 1, 2], retries=3)
        done, _ = retry_exec.wait(futures, throw_except=False)
        outputs = set(f.result() for f in done)
    Storage().delete_objects(BUCKET, [f'retries-demo/input-{x}' for x in FAILURES])
    return shown(sorted(outputs))


def serialize_futures():
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(my_map_function, range(5))
    with open('futures.pickle', 'wb') as file:
        pickle.dump(futures, file)
    with open('futures.pickle', 'rb') as file:
        futures = pickle.load(file)
    results = get_result(futures)
    os.remove('futures.pickle')
    return shown(results)


def read_object(obj_id, storage):
    print(obj_id)
    return storage.get_cloudobject(obj_id).decode()


def storage():
    storage = Storage()
    obj_id = storage.put_cloudobject('Hello World!', BUCKET, 'cloudobject1.txt')
    fexec = lithops.FunctionExecutor()
    fexec.call_async(read_object, obj_id)
    first = fexec.get_result()
    storage = fexec.storage
    obj_id = storage.put_cloudobject('Hello again!', BUCKET, 'cloudobject2.txt')
    fexec.call_async(read_object, obj_id)
    return shown(first, fexec.get_result(), obj_id.key)


def count_words_in_bucket(bucket_name, obj_key, storage):
    print(f'I am processing the object //{bucket_name}/{obj_key}')
    return counted(storage.get_object(bucket_name, obj_key))


def storage_arg():
    sample_data('arg')
    fexec = lithops.FunctionExecutor()
    fexec.call_async(count_words_in_bucket, (BUCKET, 'arg/obj1.txt'))
    return shown(fexec.get_result())


def write_in_bucket(x):
    with cloud_open(f'test/{x}.txt', 'w') as file:
        file.write('Hello from function number {}!'.format(str(x)))
    return x


def storage_os():
    with cloud_open('bar/foo.txt', 'w') as file:
        file.write('Hello world!')
    with cloud_open('bar/foo.txt', 'r') as file:
        read = file.read(6), file.read()
    fexec = lithops.FunctionExecutor()
    fexec.map(write_in_bucket, [1, 2, 3])
    res = fexec.get_result()
    with cloud_open('test/3.txt', 'r') as file:
        text = file.read()
    found = sorted(cloud_os.listdir('test')), cloud_os.path.dirname('test/3.txt')
    cloud_os.remove('test/1.txt')
    return shown(read, res, text, found, sorted(cloud_os.listdir('test')))


def wait():
    fexec = lithops.FunctionExecutor(runtime_memory=256)
    futures = fexec.map(my_function, range(4))
    fexec.wait()
    fexec.clean()
    return shown([future.done for future in futures], get_result(futures))


ORCHESTRATORS = {
    'call_async': call_async,
    'call_async_class': call_async_class,
    'cloudobject': cloudobject,
    'context_manager': context_manager,
    'failed_futures': failed_futures,
    'function_chaining': function_chaining,
    'hello_world': hello_world,
    'internal_execution': internal_execution,
    'joblib_backend': joblib_backend,
    'map_': map_,
    'map_cos_prefix': map_cos_prefix,
    'map_internal': map_internal,
    'map_reduce': map_reduce,
    'map_reduce_cos_bucket': map_reduce_cos_bucket,
    'map_reduce_cos_key': map_reduce_cos_key,
    'map_reduce_localhost': map_reduce_localhost,
    'multiple_args_call_async': multiple_args_call_async,
    'multiple_args_map': multiple_args_map,
    'retry': retry,
    'serialize_futures': serialize_futures,
    'storage': storage,
    'storage_arg': storage_arg,
    'storage_os': storage_os,
    'wait': wait,
}

if __name__ == '__main__':
    drive.drive_each(ORCHESTRATORS)
