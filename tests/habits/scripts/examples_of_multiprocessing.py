"""
Written after the examples of ``lithops.multiprocessing`` that Lithops publishes, and of its concurrent futures.

Each function stands for the published one of its name: ``map_details`` (without its picture), ``pi_estimation``, ``pool``,
``pool_args``, ``pool_initializer``, ``process``; ``executors`` is after the documentation of ``lithops.concurrent.futures``.

Not here: ``barrier``, ``buffered_queue``, ``c_types``, ``counter``, ``lock``, ``manager``, ``parameter_server``, ``pipe``,
``queue_poll``, ``remote_logs``, ``semaphore`` and ``simple_queue`` need a Redis, and an orchestrator refuses such objects.
``joinable_queue`` uses the multiprocessing of the standard library, and no Lithops: ``parallel.py`` has its like.
"""

import getpass
import math
import os
import random

import drive
import lithops.multiprocessing as mp
from lithops.concurrent.futures import FunctionExecutor, as_completed
from lithops.multiprocessing import Pool, Process


def my_map_function(x):
    return x + 7


def map_details():
    with mp.Pool() as pool:
        results = pool.map(my_map_function, [1, 2, 3, 4])
    print(results)
    return results


def is_inside(n):
    rng = random.Random(n)
    count = 0
    for _ in range(n):
        x, y = rng.random(), rng.random()
        if x * x + y * y < 1:
            count += 1
    return count


def pi_estimation():
    np, n = 4, 8000
    pool = Pool(processes=np)
    count = pool.map(is_inside, [int(n / np)] * np)
    pi = sum(count) / n * 4
    print('Estimated Pi: {}'.format(pi))
    return pi


def hello(name):
    return 'Hello {}!'.format(name)


def square(x):
    return x * x


def divide(x, y):
    return x / y


def pool():
    results = []
    with Pool() as pool:
        results.append(pool.apply(hello, ('World',)))
        results.append(pool.map(square, [1, 2, 3]))
        res = pool.apply_async(square, (20,))
        res.wait()
        results += [res.ready(), res.get(timeout=5)]
        several = [pool.apply_async(os.path.basename, (f'/x/{i}',)) for i in range(2)]
        results.append([res.get() for res in several])
        results.append(pool.starmap(divide, [(1, 2), (3, 4)]))
        res = pool.apply_async(divide, (1, 0))
        res.wait()
        results.append(res.successful())
        try:
            res.get()
        except ZeroDivisionError as error:
            results.append(str(error))
    print(*results)
    return results


def multiple_args(arg1, arg2, arg3):
    return arg1, arg2, arg3


def single_arg(arg):
    return arg


def pool_args():
    processes = [mp.Process(target=multiple_args, args=args) for args in ((1, 2, 3), 'ABC')]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    pool = mp.Pool()
    results = [pool.map_async(single_arg, args) for args in ([1, 2], (3, 4), [(1, 'a'), (2, 'b')])]
    results.append(pool.starmap_async(multiple_args, [(1, 'a', 'one'), (2, 'b', 'two')]))
    results.append(pool.apply_async(multiple_args, args=(1, 2), kwds={'arg3': 3}))
    found = [res.get() for res in results]
    pool.close()
    pool.join()
    return found


def work(num):
    global param1, param2
    return param1, param2


def initializer_function(arg1, arg2):
    global param1, param2
    param1 = arg1
    param2 = arg2


def pool_initializer():
    with mp.Pool(initializer=initializer_function, initargs=('important global arg', 123456)) as p:
        return p.map(work, [0] * 3)


def greet(path, name, language='english'):
    greeting = {'english': 'hello', 'spanish': 'hola', 'german': 'hallo'}
    with open(path, 'w') as file:
        print(greeting[language], name, file=file)


def process():
    name = getpass.getuser()
    path = os.path.abspath('greeting.txt')
    p = Process(target=greet, args=(path, name), kwargs={'language': 'spanish'})
    p.start()
    p.join()
    with open(path) as file:
        return file.read() == f'hola {name}\n'


def executors():
    with FunctionExecutor() as executor:
        future = executor.submit(pow, 323, 3)
        results = [future.result(), list(executor.map(math.factorial, [3, 4]))]
        futures = {executor.submit(divide, 1, y): y for y in (1, 2)}
        results.append(sorted((futures[future], future.result()) for future in as_completed(futures)))
    return results


ORCHESTRATORS = {
    'map_details': map_details,
    'pi_estimation': pi_estimation,
    'pool': pool,
    'pool_args': pool_args,
    'pool_initializer': pool_initializer,
    'process': process,
    'executors': executors,
}

if __name__ == '__main__':
    drive.drive_each(ORCHESTRATORS)
