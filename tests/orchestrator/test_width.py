"""Wide maps and large results: what they cost is counted."""

import lithops
import pytest

from triggerflow_lithops import TriggerflowExecutor
from triggerflow_lithops.replay.suspend import Suspension
from triggerflow_lithops.testing import simulate
from triggerflow_lithops.testing.simulation import Simulation, simulating

LARGE = 100_000_000


def add3(x):
    return x + 3


def size_of(data):
    return len(data)


def total(results):
    return sum(results)


def mapped(width):
    fexec = lithops.FunctionExecutor()
    return sum(fexec.get_result(fexec.map(add3, list(range(width)))))


def reduced(width):
    fexec = lithops.FunctionExecutor()
    return fexec.map_reduce(add3, list(range(width)), total)[-1].result()


def chained(width):
    fexec = lithops.FunctionExecutor()
    return sum(fexec.get_result(fexec.map(add3, fexec.map(add3, list(range(width))))))


@pytest.mark.parametrize('orchestrator, each, requests', [(mapped, 3, 4.2), (reduced, 3, 4.2), (chained, 6, 12.5)])
def test_a_map_of_ten_thousand_costs_o_n(orchestrator, each, requests):
    """Requests for each item do not grow; keys that listings show grow as the logarithm at the most."""
    per_item = []
    for width in (1_000, 10_000):
        run = simulate(orchestrator, width)
        assert run.result() == sum(range(width)) + each * width and not run.broken
        per_item.append((run.requests.total() / width, run.listed.total() / width))
        assert len(run.activations()) == 2
    print(orchestrator.__name__, per_item)
    assert per_item[1][0] < requests and per_item[1][0] < 1.1 * per_item[0][0]
    assert per_item[1][1] < 2 * per_item[0][1] < 60


def test_a_map_of_ten_thousand_that_is_wider_than_its_function_service_costs_o_n_too():
    with simulating():
        run = Simulation(mapped, 10_000, seed=1, lanes=64).run()
    assert run.result() == sum(range(10_000)) + 30_000 and not run.broken
    assert len(run.activations()) == 2 and run.requests.total() / 10_000 < 5.2


def one_by_one_and_together(width):
    fexec = lithops.FunctionExecutor()
    return sum(fexec.get_result([fexec.call_async(add3, number) for number in range(width)]))


def test_a_wait_for_as_many_jobs_as_calls_lists_each_of_them_once():
    run = simulate(one_by_one_and_together, 200, seed=1)
    assert run.result() == sum(range(3, 203)) and len(run.activations()) == 2
    assert run.requests['call'] / 200 < 4.2


def large_ones(width):
    fexec = lithops.FunctionExecutor()
    futures = fexec.map(lambda x: bytes(100_000), list(range(width)))
    size = sum(map(len, fexec.get_result(futures)))
    for step in range(5):
        fexec.call_async(add3, step).result()
    return size


def test_many_large_results_are_read_once_and_packed():
    requests = []
    for width in (100, 1000):
        run = simulate(large_ones, width)
        assert run.result() == 100_000 * width and not run.broken
        # Each event once, each output once; the rest does not depend on how many there are.
        # Two calls may end together, and both wake it: the second one to begin finds it claimed
        twice = sum(count - 1 for subject, count in run.invocations.items() if isinstance(subject, int))
        requests.append(run.requests['activation'] - 2 * width - 2 * twice)
    # One that takes more than five seconds looks once whether its run was purged meanwhile
    assert requests[1] - requests[0] in (0, 1)


def one_by_one(steps):
    fexec = lithops.FunctionExecutor()
    return sum(len(fexec.call_async(lambda x: bytes(20_000), step).result()) for step in range(steps))


def test_results_that_are_read_one_by_one_are_packed_together(monkeypatch):
    packs, suspend = [], Suspension.suspend

    def noted(self, *args):
        packs.append(len(self._outputs.carried()))
        suspend(self, *args)

    monkeypatch.setattr(Suspension, 'suspend', noted)
    assert simulate(one_by_one, 60).result() == 60 * 20_000
    assert len(packs) == 60 and max(packs) <= 6


def test_a_result_of_100_mb_goes_by_reference_and_not_through_the_orchestrator(executor):
    def main():
        fexec = lithops.FunctionExecutor()
        future = fexec.call_async(lambda x: bytes(x), LARGE)
        return fexec.call_async(size_of, future).result(), fexec.call_async(add3, 1).result()

    run = executor.run(main)
    assert run.result(timeout=120) == (LARGE, 4)
    keys = executor.store.list(f'triggerflow.jobs/{run.session}/')
    assert sum(len(executor.store.get(key)) for key in keys) < 200_000
    run.purge()


def test_a_result_of_100_mb_that_is_read_is_not_packed(executor):
    def main():
        fexec = lithops.FunctionExecutor()
        size = len(fexec.call_async(lambda x: bytes(x), LARGE).result())
        return size, fexec.call_async(add3, 1).result()

    run = executor.run(main)
    assert run.result(timeout=120) == (LARGE, 4)
    keys = executor.store.list(f'triggerflow.jobs/{run.session}/')
    assert sum(len(executor.store.get(key)) for key in keys) < 200_000
    run.purge()


def test_arguments_beyond_lithops_limit_raise_its_error(config):
    tf = TriggerflowExecutor(config={**config, 'lithops': {**config['lithops'], 'data_limit': 1}}, log_level=None)

    def main(size):
        return lithops.FunctionExecutor().call_async(size_of, (bytes(size),)).result()

    assert tf.run(main, 900_000).result(timeout=60) == 900_000
    with pytest.raises(Exception, match='Total data exceeded maximum size'):
        tf.run(main, 1_200_000).result(timeout=60)


def test_large_inputs_travel_as_cloud_objects(run):
    def size(cloud_object, storage):
        return len(storage.get_cloudobject(cloud_object))

    def main():
        storage = lithops.Storage()
        cloud_object = storage.put_cloudobject(bytes(20_000_000), key='same/large')
        fexec = lithops.FunctionExecutor()
        return fexec.call_async(size, cloud_object).result()

    assert run(main) == 20_000_000


def test_a_map_wider_than_its_workers_needs_no_orchestrator(config):
    tf = TriggerflowExecutor(config={**config, 'localhost': {'worker_processes': 2}}, log_level=None)
    run = tf.run(mapped, 150)
    assert run.result(timeout=120) == sum(range(150)) + 450
    assert len(run.activations()) == 2
