"""What calls and waits do inside an orchestrator, by real runs on localhost."""

import os
import pickle
import sys
import time

import lithops
import pytest
from lithops.wait import ALL_COMPLETED, ALWAYS, ANY_COMPLETED

from triggerflow_lithops import ConfigurationError, OutcomeError, now, record, uuid4


def add3(x):
    return x + 3


def fail(x):
    raise ValueError(f'no {x}')


def fail_on_odd(x):
    if x % 2:
        raise ValueError(f'odd {x}')
    return x


def big(x):
    return bytes([x]) * 100_000


def pid(x):
    return os.getpid()


def after(seconds, value):
    time.sleep(seconds)
    return value


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(one)


def raise_unpicklable(x):
    raise Unpicklable(x, x)


def test_each_call_may_depend_on_the_one_before(run):
    def main():
        fexec = lithops.FunctionExecutor()
        value = 0
        for _ in range(4):
            fexec.call_async(add3, value)
            value = fexec.get_result()
        return value

    assert run(main) == 12


def test_a_result_of_none_is_a_result(run):
    def main():
        fexec = lithops.FunctionExecutor()
        future = fexec.call_async(lambda x: None, 0)
        return [future.result(), fexec.get_result(fexec.call_async(add3, 1))]

    assert run(main) == [None, 4]


def test_results_come_in_the_order_of_the_input(run):
    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(after, [(0.3, 'a'), (0.0, 'b'), (0.1, 'c')]))

    assert run(main) == ['a', 'b', 'c']


def test_an_empty_map_has_no_results(run):
    def main():
        fexec = lithops.FunctionExecutor()
        fexec.map(add3, [])
        return fexec.get_result()

    assert run(main) == []


def test_a_map_of_one_item_gives_a_list(run):
    def main():
        fexec = lithops.FunctionExecutor()
        fexec.map(add3, [1])
        return fexec.get_result()

    assert run(main) == [4]


def test_a_map_takes_an_iterator(run):
    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(add3, (x * x for x in range(4))))

    assert run(main) == [3, 4, 7, 12]


def test_a_map_takes_extra_args(run):
    def main():
        fexec = lithops.FunctionExecutor()
        items = [{'x': 1}, {'x': 2}]
        results = fexec.get_result(fexec.map(lambda x, y: x * y, items, extra_args={'y': 10}))
        return results, items

    assert run(main) == ([10, 20], [{'x': 1}, {'x': 2}])


def test_a_chunk_of_calls_is_served_by_one_process(run):
    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(lambda x: os.getppid(), range(6), chunksize=3))

    parents = run(main)
    assert len(set(parents[:3])) == len(set(parents[3:])) == 1 and parents[0] != parents[3]


def test_extra_env_reaches_the_calls(run):
    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(lambda x: os.environ['COLOUR'], [1], extra_env={'COLOUR': 'red'}))

    assert run(main) == ['red']


def test_a_time_out_is_an_exception_where_the_orchestrator_waits(run):
    def main():
        fexec = lithops.FunctionExecutor()
        fexec.call_async(after, (30, 'late'), timeout=1)
        try:
            return fexec.get_result()
        except TimeoutError as error:
            return str(error)

    assert 'maximum time of 1 seconds' in run(main)


def test_a_call_that_is_killed_is_an_exception_that_says_so(run):
    def main():
        fexec = lithops.FunctionExecutor()
        fexec.call_async(lambda x: os.kill(os.getpid(), 9), 0)
        try:
            return fexec.get_result()
        except MemoryError as error:
            return str(error)

    assert 'SIGKILL' in run(main)


@pytest.mark.parametrize('leave, kind', [(lambda x: os._exit(3), RuntimeError), (lambda x: sys.exit(3), SystemExit)])
def test_a_call_that_leaves_its_process_is_an_exception(run, leave, kind):
    def main():
        fexec = lithops.FunctionExecutor()
        fexec.call_async(leave, 0)
        try:
            return fexec.get_result()
        except kind:
            return 'caught'

    assert run(main) == 'caught'


def test_an_error_that_the_orchestrator_catches_is_raised_again_on_replay(run):
    def main():
        fexec = lithops.FunctionExecutor()
        caught = []
        for x in range(3):
            try:
                fexec.get_result(fexec.call_async(fail, x))
            except ValueError as error:
                caught.append(str(error))
        return caught

    assert run(main) == ['no 0', 'no 1', 'no 2']


def test_an_error_that_the_orchestrator_does_not_catch_fails_the_run(executor):
    def main():
        fexec = lithops.FunctionExecutor()
        fexec.call_async(fail, 7)
        return fexec.get_result()

    run = executor.run(main)
    with pytest.raises(ValueError, match='no 7') as raised:
        run.result(timeout=90)
    assert run.status() == 'failed' and any(entry.name == 'fail' for entry in raised.traceback)


def test_an_exception_that_cannot_be_pickled_comes_as_its_text(run):
    def main():
        fexec = lithops.FunctionExecutor()
        fexec.call_async(raise_unpicklable, 'odd one')
        try:
            fexec.get_result()
        except Exception as error:
            return type(error).__name__, 'odd one' in str(error)

    assert run(main) == ('Exception', True)


def test_a_map_fails_fast(run):
    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map(lambda x: after(60, x) if x else fail(x), range(2))
        started = time.time()
        try:
            fexec.get_result(futures)
        except ValueError as error:
            return str(error), time.time() - started

    assert run(main, timeout=50)[0] == 'no 0'


def test_results_of_failed_calls_are_kept_when_nothing_is_thrown(run):
    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map(fail_on_odd, range(4))
        fexec.wait(futures, throw_except=False)
        return [future.error for future in futures], fexec.get_result(futures, throw_except=False)

    assert run(main) == ([False, True, False, True], [0, None, 2, None])


def test_an_orchestrator_waits_after_a_partly_failed_map(run):
    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map(fail_on_odd, range(4))
        try:
            fexec.wait(futures)
        except ValueError:
            pass
        other = fexec.map(add3, range(2))
        return fexec.get_result(other)

    assert run(main) == [3, 4]


def test_the_first_of_many_is_enough(run):
    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map(after, [(60, 'slow'), (0, 'quick')])
        done, not_done = fexec.wait(futures, return_when=ANY_COMPLETED)
        return [future.result() for future in done], len(not_done)

    assert run(main, timeout=50) == (['quick'], 1)


def test_a_percentage_is_enough(run):
    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map(after, [(60, 3), (0, 0), (0, 1), (0, 2)], chunksize=1)
        done, not_done = fexec.wait(futures, return_when=50)
        return len(done) >= 2, len(done) + len(not_done)

    assert run(main, timeout=50) == (True, 4)


def test_what_always_saw_stays_what_it_was(run):
    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map(after, [(3, 'a'), (2, 'b')])
        before = len(fexec.wait(futures, return_when=ALWAYS)[0])
        fexec.wait(futures, return_when=ALL_COMPLETED)
        fexec.get_result(fexec.call_async(add3, 0))
        return before, len(fexec.wait(futures, return_when=ALWAYS)[0])

    assert run(main) == (0, 2)


def test_an_oversized_result_goes_by_reference(executor):
    def main():
        fexec = lithops.FunctionExecutor()
        results = fexec.get_result(fexec.map(big, [1, 2]))
        fexec.get_result(fexec.call_async(add3, 0))
        return [len(result) for result in results], results[1][:2]

    assert executor.run(main).result(timeout=90) == ([100_000, 100_000], b'\x02\x02')


def test_two_maps_run_side_by_side_and_the_second_may_be_awaited_first(run):
    def main():
        fexec = lithops.FunctionExecutor()
        first, second = fexec.map(add3, [0, 1]), fexec.map(add3, [10, 11])
        return fexec.get_result(second), fexec.get_result(first)

    assert run(main) == ([13, 14], [3, 4])


def test_two_independent_calls_run_side_by_side(run, tmp_path):
    def meets(name, other):
        (tmp_path / name).touch()
        until = time.monotonic() + 60
        while not (tmp_path / other).exists() and time.monotonic() < until:
            time.sleep(0.02)
        return (tmp_path / other).exists()

    def main():
        fexec = lithops.FunctionExecutor()
        fexec.call_async(meets, ('a', 'b'))
        fexec.call_async(meets, ('b', 'a'))
        return fexec.get_result()

    assert run(main) == [True, True]


def test_several_executors_in_one_orchestrator_keep_their_futures_apart(run):
    def main():
        one, other = lithops.FunctionExecutor(), lithops.FunctionExecutor(log_level='INFO')
        one.call_async(add3, 1)
        other.call_async(add3, 2)
        return one.get_result(), other.get_result(), one.executor_id[-2:], other.executor_id[-2:]

    assert run(main) == (4, 5, '-0', '-1')


def test_cleaning_takes_nothing_away_that_a_replay_needs(run):
    def main():
        with lithops.FunctionExecutor(config={**CONFIG, 'lithops': {**CONFIG['lithops'], 'data_cleaner': True}}) as fexec:
            first = fexec.get_result(fexec.call_async(add3, 1))
            fexec.clean(clean_cloudobjects=True, clean_fn=True, force=True)
            second = fexec.get_result(fexec.call_async(add3, first))
        with lithops.FunctionExecutor() as fexec:
            return fexec.get_result(fexec.call_async(add3, second))

    CONFIG = {'lithops': {'backend': 'localhost', 'storage': 'localhost'}, 'localhost': {'worker_processes': 16}}
    assert run(main) == 10


def test_lithops_own_wait_and_future_result_are_durable(run):
    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map(add3, [1, 2])
        done, _ = lithops.wait(futures)
        return [future.result() for future in futures], len(done), fexec.call_async(add3, 5).result()

    assert run(main) == ([4, 5], 2, 8)


def test_a_map_inside_a_call_is_lithops_own(run):
    def nested(x):
        fexec = lithops.FunctionExecutor()
        # Without modules: side by side, Lithops' localhost writes them into one folder while another one reads them
        return fexec.get_result(fexec.map(lambda y: y + 3, [x, x + 1], include_modules=None))

    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(nested, [0, 10, 20]))

    assert run(main, timeout=100) == [[3, 4], [13, 14], [23, 24]]


def test_a_call_runs_once_though_its_orchestrator_runs_many_times(run, tmp_path):
    log = str(tmp_path / 'log')

    def note(x):
        with open(log, 'a') as file:
            file.write(f'{x}\n')

    def main():
        fexec = lithops.FunctionExecutor()
        for x in range(4):
            fexec.wait(fexec.call_async(note, x))

    run(main)
    with open(log) as file:
        assert file.read().split() == ['0', '1', '2', '3']


def test_now_is_the_same_on_every_replay(run):
    def main():
        before = now()
        fexec = lithops.FunctionExecutor()
        fexec.get_result(fexec.call_async(after, (0.2, 0)))
        return before, now()

    before, later = run(main)
    assert later - before >= 0.2


def test_uuid4_and_random_are_the_same_on_every_replay(run, tmp_path):
    seen = str(tmp_path / 'seen')

    def main():
        import random

        drawn = str(uuid4()), random.random()
        with open(seen, 'a') as file:
            file.write(f'{drawn}\n')
        fexec = lithops.FunctionExecutor()
        fexec.get_result(fexec.call_async(after, (1, 0)))
        return drawn

    run(main)
    with open(seen) as file:
        assert len(set(lines := file.readlines())) == 1 and len(lines) > 1


def test_what_is_recorded_runs_once(run, tmp_path):
    log = str(tmp_path / 'log')

    def note(x):
        with open(log, 'a') as file:
            file.write('x')
        if x:
            raise KeyError('recorded')
        return {'value': x}

    def main():
        fexec = lithops.FunctionExecutor()
        value = record(note, 0)
        try:
            record(note, 1)
        except KeyError as error:
            caught = str(error)
        fexec.get_result(fexec.call_async(add3, 0))
        return value, caught

    assert run(main) == ({'value': 0}, "'recorded'")
    with open(log) as file:
        assert file.read() == 'xx'


def test_a_future_cannot_leave_its_orchestrator_and_the_error_says_what_to_write(run):
    def main():
        record(lambda: lithops.FunctionExecutor)
        future = lithops.FunctionExecutor().call_async(add3, 1)
        return record(lambda: future)

    with pytest.raises(TypeError, match=r'hand over future\.result'):
        run(main)


def test_a_durable_call_from_another_thread_is_refused(run):
    def main():
        from concurrent.futures import ThreadPoolExecutor

        fexec = lithops.FunctionExecutor()
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(fexec.call_async, add3, 1).exception()

    assert 'was called from thread' in str(run(main))


def test_an_executor_on_another_bucket_is_refused(run):
    def main():
        lithops.FunctionExecutor(config={**CONFIG, 'minio': MINIO, 'lithops': {**CONFIG['lithops'], 'storage': 'minio'}})

    CONFIG = {'lithops': {'backend': 'localhost', 'storage': 'localhost'}}
    MINIO = {'storage_bucket': 'b', 'endpoint': 'http://127.0.0.1:1', 'access_key_id': 'a', 'secret_access_key': 'b'}
    with pytest.raises(ConfigurationError, match='leave storage= out'):
        run(main)


def test_a_result_that_cannot_be_pickled_is_an_exception(run):
    def main():
        fexec = lithops.FunctionExecutor()
        try:
            fexec.call_async(_unpicklable, 1).result()
        except Exception as error:
            return 'pickle' in str(error), fexec.call_async(add3, 1).result()

    assert run(main) == (True, 4)


def _unpicklable(x):
    import threading

    return threading.Lock()


def test_a_time_out_is_raised_again_on_replay(run):
    def main():
        fexec, said = lithops.FunctionExecutor(), []
        try:
            fexec.call_async(_nap, 30, timeout=1).result()
        except TimeoutError as error:
            said.append(str(error))
        return said, fexec.call_async(add3, 1).result(), fexec.call_async(add3, 2).result()

    said, *values = run(main)
    assert 'maximum time of 1 seconds' in said[0] and len(said) == 1 and values == [4, 5]


def _nap(seconds):
    time.sleep(seconds)


def test_a_future_that_an_orchestrator_pickles_itself_is_read_there(run):
    def main():
        fexec = lithops.FunctionExecutor()
        pickled = pickle.dumps(fexec.map(lambda x: 'x' * 10_000 * x, [1, 2]))
        return b'storage_bucket' not in pickled, [len(found) for found in lithops.get_result(pickle.loads(pickled))]

    assert run(main) == (True, [10_000, 20_000])


def test_a_future_does_not_leave_its_orchestrator(executor):
    def main():
        return lithops.FunctionExecutor().call_async(lambda x: x, 1)

    with pytest.raises(OutcomeError, match='cannot leave its orchestrator'):
        executor.run(main).result(timeout=60)
