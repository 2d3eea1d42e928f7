"""Threads, processes, programs, coroutines, queues of the script's own, with waits in between."""

import asyncio
import concurrent.futures
import contextvars
import functools
import multiprocessing
import os
import queue
import sched
import signal
import subprocess
import sys
import threading
import time

import drive
import lithops
from together import together

request = contextvars.ContextVar('request', default='none')
local = threading.local()


def same(value):
    return value


def square(x):
    return x * x


def threads_of_ones_own():
    seen, lock = [], threading.Lock()

    def work(number):
        with lock:
            seen.append(square(number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    there = yield sum, seen
    return there, sorted(seen)


def a_thread_that_goes_on():
    go, done = threading.Event(), []

    def work():
        go.wait(20)
        done.append('done')

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield same, 1
    go.set()
    thread.join(20)
    return done, thread.is_alive()


def a_pool_of_threads():
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        squares = list(pool.map(square, range(4)))
        future = pool.submit(square, 9)
        there = yield sum, squares
        ended = [found.result() for found in concurrent.futures.as_completed([future])]
    return squares, there, ended


def a_pool_of_processes():
    context = multiprocessing.get_context('fork')
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        squares = list(pool.map(square, range(4)))
    there = yield sum, squares
    return squares, there


def a_pool_of_multiprocessing():
    with multiprocessing.get_context('fork').Pool(2) as pool:
        cubes = pool.map(functools.partial(pow, exp=3), [1, 2])
    there = yield sum, cubes
    with multiprocessing.get_context('fork').Pool(1) as pool:
        return cubes, pool.apply(square, (there,))


def processes_of_ones_own():
    context = multiprocessing.get_context('fork')
    results = context.Queue()
    process = context.Process(target=lambda: results.put(square(5)))
    process.start()
    found = results.get(timeout=20)
    process.join()
    there = yield same, found
    return there, process.exitcode


def queues():
    work = queue.PriorityQueue()
    for item in ((2, 'b'), (1, 'a')):
        work.put(item)
    first = work.get()
    there = yield same, first
    try:
        return there, work.get_nowait(), work.get_nowait()
    except queue.Empty:
        return there, work.qsize()


def values_of_a_thread():
    local.value = 5
    yield same, 1
    seen = []
    thread = threading.Thread(target=lambda: seen.append(hasattr(local, 'value')))
    thread.start()
    thread.join()
    return local.value, seen


def timers_and_conditions():
    condition, ready = threading.Condition(), []

    def tell():
        with condition:
            ready.append(1)
            condition.notify()

    threading.Timer(0.01, tell).start()
    with condition:
        told = condition.wait_for(lambda: ready, timeout=20)
    barrier = threading.Barrier(1)
    yield same, 1
    return bool(told), barrier.wait(), threading.Semaphore(2).acquire(blocking=False)


async def halved(x):
    await asyncio.sleep(0.001)
    return x / 2


async def gathered(values):
    async with asyncio.Semaphore(2):
        found = await asyncio.gather(*map(halved, values), return_exceptions=True)
    other = await asyncio.to_thread(square, 3)
    loop = asyncio.get_running_loop()
    return found, other, await loop.run_in_executor(None, square, 4), await asyncio.wait_for(halved(2), 5)


async def counted(n):
    for number in range(n):
        await asyncio.sleep(0)
        yield number


async def consumed():
    items = asyncio.Queue()
    async for number in counted(3):
        await items.put(number)
    return [items.get_nowait() for _ in range(items.qsize())], [n async for n in counted(2)]


def coroutines():
    found = asyncio.run(gathered([2, 4]))
    there = yield same, found[0]
    return there, found, asyncio.run(consumed())


def coroutines_in_a_call():
    return (yield (lambda values: asyncio.run(gathered(values))), [6])


def context_variables():
    request.set('r1')
    yield same, 1
    seen = contextvars.copy_context().run(lambda: (request.set('r2'), request.get())[1])
    return request.get(), seen


def output_of_a_program():
    text = subprocess.check_output([sys.executable, '-c', 'print(6 * 7)'], text=True)
    there = yield int, text
    failed = subprocess.run(['sh', '-c', 'echo wrong >&2; exit 3'], capture_output=True, text=True)
    try:
        subprocess.run(['false'], check=True)
    except subprocess.CalledProcessError as error:
        return there, failed.returncode, failed.stderr, error.returncode


def a_program_that_is_talked_to():
    with subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        process.stdin.write('line\n')
        process.stdin.flush()
        first = process.stdout.readline()
        there = yield same, first
        rest, _ = process.communicate('more\n')
    return there, rest, process.returncode


def programs_in_a_row():
    found = os.popen('echo a; echo b').read()
    there = yield same, found
    piped = subprocess.run('printf "b\\na\\n" | sort', shell=True, capture_output=True, text=True)
    try:
        subprocess.run(['sleep', '5'], timeout=0.05)
    except subprocess.TimeoutExpired as error:
        return there, piped.stdout.split(), error.cmd


def standard_input():
    yield same, 1
    return sys.stdin.read()


def an_agenda():
    agenda, seen = sched.scheduler(time.monotonic, time.sleep), []
    agenda.enter(0.01, 1, seen.append, ('second',))
    agenda.enter(0, 1, seen.append, ('first',))
    agenda.run()
    yield same, 1
    return seen, agenda.empty()


def signals():
    # To set a handler needs the main thread, which an orchestrator does not have
    before = signal.getsignal(signal.SIGTERM)
    yield same, 1
    return before == signal.getsignal(signal.SIGTERM), signal.Signals.SIGINT.name


def pipes():
    reader, writer = os.pipe()
    os.write(writer, b'piped')
    there = yield same, 5
    found = os.read(reader, there)
    os.close(reader)
    os.close(writer)
    return found


HABITS = [
    threads_of_ones_own,
    a_thread_that_goes_on,
    a_pool_of_threads,
    a_pool_of_processes,
    a_pool_of_multiprocessing,
    processes_of_ones_own,
    queues,
    values_of_a_thread,
    timers_and_conditions,
    coroutines,
    coroutines_in_a_call,
    context_variables,
    output_of_a_program,
    a_program_that_is_talked_to,
    programs_in_a_row,
    standard_input,
    an_agenda,
    signals,
    pipes,
]


def main():
    return together(lithops.FunctionExecutor(), HABITS)


if __name__ == '__main__':
    drive.drive(main)
