"""Lanes: a map that is wider than its function service, and goes on by itself."""

import lithops
import pytest
import whole

from triggerflow_lithops.core import condition
from triggerflow_lithops.core.run import keys
from triggerflow_lithops.core.run.engine import Engine
from triggerflow_lithops.core.run.inputs import Inputs
from triggerflow_lithops.core.run.keys import Call
from triggerflow_lithops.core.run.lanes import Lanes, start_of
from triggerflow_lithops.core.run.sweep import Limits, Sweeper
from triggerflow_lithops.core.run.trigger import Members, Trigger
from triggerflow_lithops.deployment.runtime import lanes_of
from triggerflow_lithops.testing.api import simulating
from triggerflow_lithops.testing.simulation import Simulation


def job(calls, lanes, chunksize=1, deferred=()):
    inputs = Inputs({number: Members.of([Call('0-M000', 0)]) for number in deferred}, {'0-M000': 0})
    data = [f'data of {number}' for number in range(calls)]
    invocation = {'inputs': inputs.document(), 'data_key': None, 'data_byte_ranges': None, 'data': data}
    return {'job': '0-M001', 'calls': calls, 'lanes': lanes, 'chunksize': chunksize, 'invocation': invocation}


def invoked(found):
    """All chunks in the order in which one lane after the other would run them."""
    seen = []
    for start in found:
        while start:
            seen.append(start.numbers)
            following = start.following
            start = following and start_of(following['job'], following['chunks'])
    return seen


def test_as_many_chunks_as_there_are_lanes_are_open():
    starts = [*Lanes(job(10, 3)).open(range(10))]
    assert [start.numbers for start in starts] == [[0], [1], [2]]
    assert starts[1].following['chunks'] == [[4], [7]] and starts[2].following['call'] == 2


def test_a_lane_carries_the_data_of_what_is_left_of_it_and_of_nothing_else():
    (start, *_) = Lanes(job(10, 3)).open(range(10))
    assert start.following['job']['invocation']['data'] == {'3': 'data of 3', '6': 'data of 6', '9': 'data of 9'}


@pytest.mark.parametrize('chunksize', [1, 2, 3])
@pytest.mark.parametrize('lanes', [0, 1, 3, 50])
def test_every_call_is_in_one_chunk_of_one_lane(lanes, chunksize):
    whole = job(17, lanes, chunksize, deferred=(4, 5, 11))
    numbers = [number for number in range(17) if number not in (4, 5, 11)]
    seen = invoked(Lanes(whole).open(numbers))
    assert sorted(number for chunk in seen for number in chunk) == numbers
    assert all(len(chunk) <= chunksize and chunk == [*range(chunk[0], chunk[-1] + 1)] for chunk in seen)


def test_a_call_that_is_deferred_is_in_no_lane():
    lanes = Lanes(job(6, 1, deferred=(2,)))
    assert lanes.before(2) is None and lanes.after(2) == [] and lanes.before(3) == 1


def test_what_did_not_end_is_opened_where_its_lane_stands():
    lanes = Lanes(job(9, 3))
    assert [start.numbers for start in lanes.open([3, 6, 5, 8])] == [[3], [5]]


def test_the_end_of_a_chunk_lets_the_next_one_start():
    lanes = Lanes(job(12, 2, chunksize=2))
    assert lanes.after(0) == [] and lanes.after(1) == [[4, 5], [8, 9]] and lanes.before(8) == 5


@pytest.mark.parametrize('refused', [True, False])
def test_a_sweep_starts_what_was_refused_in_its_lane_and_waits_for_nothing(bucket, refused):
    actions = []
    engine = Engine(bucket, actions.append)
    scheduled = whole.job('0-M001', 6, lanes=2, runtime_memory=256)
    engine.facts.create(keys.claim_key('s', 0), {'cause': '', 'time': 0})
    engine.facts.create(keys.fact_key('s', 3), scheduled)
    calls = [Call('0-M001', number) for number in range(6)]
    trigger = Trigger('s', 0, 4, condition.join(6), Members.of(calls), False, {'0-M001': 3}, None)
    engine.facts.create(keys.trigger_key('s', 0), whole.trigger(trigger))
    engine.facts.create(keys.event_key('s', calls[0]), whole.event(calls[0], ended=1.0))
    if refused:
        engine.facts.create(keys.refused_key('s', calls[2]), {'time': 20})
    for _ in range(2):
        Sweeper(engine, 's', Limits(life=100, start=10, max_deaths=3)).sweep(21, 0, lambda: None)
    # Once, and not the others: those of the other lane may run
    assert [(action['name'], action['numbers']) for action in actions] == [('START_DEFERRED', [2])] * refused


def test_a_share_of_the_workers_is_left_to_those_who_hand_over():
    found = [lanes_of(workers) for workers in (None, 1, 2, 10, 50, 1200)]
    assert found == [0, 1, 1, 9, 45, 1080]


def same(x):
    return x


def wide():
    fexec = lithops.FunctionExecutor()
    return sum(fexec.get_result(fexec.map(same, range(200))))


def test_no_more_run_at_one_time_than_there_are_lanes_and_nobody_else_is_alive():
    with simulating():
        simulation = Simulation(wide, object, 3, lanes=7)
        running, peak = simulation._service._running, []
        spawn = simulation._service._spawn

        def counted(invocation, delay):
            spawn(invocation, delay)
            peak.append(sum(found.kind == 'call' for found in running.values()))

        simulation._service._spawn = counted
        run = simulation.run()
    assert run.result() == sum(range(200)) and not run.broken
    # Whoever hands over has not ended yet
    assert max(peak) <= 2 * 7
    assert sum(isinstance(subject, int) for subject in run.invocations) == 2


def test_a_lane_costs_little_more_than_one_request_for_each_call_that_follows():
    with simulating():
        narrow, broad = (Simulation(wide, object, 3, lanes=lanes).run() for lanes in (7, 0))
    assert 193 <= narrow.requests['call'] - broad.requests['call'] < 1.5 * 193
