"""Futures as inputs: what a call is given starts it, and nobody waits for it in a function."""

import glob
import json
import os

import lithops
import pytest

from triggerflow_lithops import NotDurableError, TriggerflowExecutor
from triggerflow_lithops.core.run.inputs import Inputs, dependents_of
from triggerflow_lithops.core.run.keys import Call, Group
from triggerflow_lithops.core.run.trigger import Members
from triggerflow_lithops.local_service.service import processes_log


def add3(x):
    return x + 3


def slow(x):
    import time

    time.sleep(0.5)
    return x


def total(results):
    return sum(results)


def odd_fails(x):
    if x % 2:
        raise ValueError(f'{x} is odd')
    return x


def inputs_of(**of_call):
    return Inputs({int(number[1:]): Members(ranges) for number, ranges in of_call.items()}, {'0-M000': 4})


@pytest.mark.parametrize(
    'inputs, ranges',
    [
        (Inputs({number: Members.of([Call('0-M000', number + 5)]) for number in range(10_000)}, {'0-M000': 4}), 1),
        (Inputs({number: Members.of([Call('0-M000', 7)]) for number in range(10_000)}, {'0-M000': 4}), 1),
        (Inputs({0: Members({'0-M000': [[0, 10_000]]})}, {'0-M000': 4}), 1),
        (Inputs({0: Members.of([Call('0-M000', 3)]), 2: Members.of([Call('0-M000', 4)])}, {'0-M000': 4}), 2),
        (Inputs({0: Members.of([Call('0-M000', 3), Call('1-A001', 0)])}, {'0-M000': 4, '1-A001': 0}), 1),
        (Inputs({number: Members.of([Call('0-M000', 9 - number)]) for number in range(3)}, {'0-M000': 4}), 3),
    ],
    ids=['each for one', 'all for one', 'one for all', 'some', 'of two jobs', 'reversed'],
)
def test_inputs_are_small_and_come_back_as_they_were(inputs, ranges):
    document = json.loads(json.dumps(inputs.document()))
    assert len(document['ranges']) == ranges
    again = Inputs.from_document(document)
    assert again.of_call == inputs.of_call and again.jobs == inputs.jobs


def test_calls_that_wait_for_nothing_are_not_deferred():
    assert Inputs({0: Members({})}, {}).document() is None
    assert not Inputs.from_document(None)


def test_what_starts_a_call_carries_its_arguments_and_no_others():
    inputs = Inputs({number: Members.of([Call('0-M000', number)]) for number in range(25)}, {'0-M000': 0})
    invocation = {'inputs': inputs.document(), 'data': [f'data {number}' for number in range(25)], 'data_byte_ranges': None}
    found = list(dependents_of('s', 1, {'job': '0-M001', 'metadata': {}, 'invocation': invocation}, range(25)))
    assert [dependent.group for dependent in found] == [Group('0-M000', number) for number in range(3)]
    assert [len(dependent.job['invocation']['data']) for dependent in found] == [10, 10, 5]
    assert found[2].job['invocation']['data']['24'] == 'data 24' and 'metadata' not in found[2].job


def lives_of(run, config):
    """Start and end of each process of a call of ``run``, by its job and number."""
    lives = {}
    with open(processes_log(config['triggerflow']['service'])) as log:
        for line in map(json.loads, log):
            if line['session'] == run.session and line['subject'] == 'call':
                for call_id in line['calls']:
                    lives.setdefault((line['job'].rsplit('-', 1)[1], int(call_id)), []).append((line['started'], line['ended']))
    return lives


def finished(executor, orchestrator, calls):
    run = executor.run(orchestrator)
    value = run.result(timeout=60)
    for _ in range(1800):
        lives = lives_of(run, executor.config)
        if len(lives) >= calls:
            break
        import time

        time.sleep(0.05)
    assert {number: len(found) for number, found in lives.items()} == dict.fromkeys(lives, 1)
    return value, {call: found[0] for call, found in lives.items()}


def test_no_call_begins_before_what_it_is_given_has_ended(executor):
    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map(add3, fexec.map(slow, list(range(4))))
        summed = fexec.call_async(total, (fexec.get_result(futures),))
        return summed.result(), fexec.call_async(add3, futures[3]).result()

    value, lives = finished(executor, main, 10)
    assert value == (18, 9)
    for number in range(4):
        assert lives['M001', number][0] > lives['M000', number][0] + 0.5


def test_a_reducer_begins_when_all_that_it_reduces_has_ended(executor):
    def main():
        fexec = lithops.FunctionExecutor()
        fexec.map_reduce(slow, list(range(12)), total, spawn_reducer=20)
        return fexec.get_result()

    value, lives = finished(executor, main, 13)
    assert value == 66
    began = lives['R000', 0][0]
    assert all(began > start + 0.5 for (job, _), (start, _) in lives.items() if job == 'M000')


def test_a_chain_needs_no_activation_between_its_links(executor):
    def main():
        fexec = lithops.FunctionExecutor()
        future = fexec.call_async(add3, 0)
        for _ in range(6):
            future = fexec.call_async(add3, future)
        return future.result()

    run = executor.run(main)
    assert run.result(timeout=60) == 21
    assert len(run.activations()) == 2


@pytest.mark.parametrize('spawn_reducer', [0, -1, 20, 100])
def test_map_reduce_at_every_setting_of_spawn_reducer(run, spawn_reducer):
    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map_reduce(add3, [1, 2, 3], total, spawn_reducer=spawn_reducer)
        return fexec.get_result(), len(futures), futures[-1].result()

    assert run(main) == (15, 4, 15)


def test_map_reduce_with_extra_arguments_of_both(run):
    def scaled(x, by):
        return x * by

    def total_of(results, id, plus=0):
        return sum(results) + plus + id

    def main():
        fexec = lithops.FunctionExecutor()
        fexec.map_reduce(scaled, [(1,), (2,)], total_of, extra_args=(10,), extra_args_reduce=(5,))
        return fexec.get_result()

    assert run(main) == 35


def test_large_inputs_are_read_where_they_lie(run):
    def large(x):
        return bytes([x]) * 100_000

    def first(data):
        return data[0], len(data)

    def main():
        fexec = lithops.FunctionExecutor()
        fexec.map_reduce(large, [1, 2], lambda results: [first(data) for data in results])
        return fexec.get_result(), fexec.get_result(fexec.map(first, fexec.map(large, [3, 4])))

    assert run(main) == ([(1, 100_000), (2, 100_000)], [(3, 100_000), (4, 100_000)])


def test_an_input_that_fails_fails_what_waits_for_it(run):
    def main():
        fexec, said = lithops.FunctionExecutor(), []
        for future in fexec.map(add3, fexec.map(odd_fails, [0, 1])):
            try:
                said.append(future.result())
            except ValueError as error:
                said.append(str(error))
        try:
            fexec.get_result(fexec.map_reduce(odd_fails, [0, 1, 2], total))
        except ValueError as error:
            said.append(str(error))
        return said

    assert run(main) == [3, '1 is odd', '1 is odd']


def test_a_tuple_or_a_dict_that_is_handed_on_becomes_arguments_as_in_lithops(run):
    def pair(x):
        return x, x + 1

    def named(x):
        return {'one': x, 'other': 5}

    def main():
        fexec = lithops.FunctionExecutor()
        added = fexec.call_async(lambda one, other: one + other, fexec.call_async(pair, 1))
        kept = fexec.call_async(lambda one, other: one * other, fexec.call_async(named, 3))
        return added.result(), kept.result()

    assert run(main) == (3, 15)


def test_futures_mixed_with_data_are_refused_as_lithops_does(run):
    def main():
        fexec = lithops.FunctionExecutor()
        fexec.map(add3, [fexec.call_async(add3, 1), 2])

    with pytest.raises(ValueError, match='mixes futures'):
        run(main)


def test_futures_among_arguments_have_ended_before_the_call_begins(executor):
    def both(one, other, more):
        return one.result() + other['of'].result() + more

    def main():
        fexec = lithops.FunctionExecutor()
        one, other = fexec.call_async(slow, 1), fexec.call_async(slow, 2)
        return fexec.call_async(both, (one, {'of': other}, 3)).result()

    value, lives = finished(executor, main, 3)
    assert value == 6
    # It does not wait for them in a function
    assert lives['A002', 0][0] > max(lives['A000', 0][0], lives['A001', 0][0]) + 0.5


def test_parts_of_an_object_wait_for_a_future_among_their_arguments(run, tmp_path):
    path = tmp_path / 'lines'
    path.write_text('line\n' * 100)

    def lines(obj, more):
        return len(obj.data_stream.read().splitlines()) + more.result()

    def main():
        fexec = lithops.FunctionExecutor()
        future = fexec.call_async(slow, 1000)
        counts = fexec.get_result(fexec.map(lines, [{'obj': str(path), 'more': future}], obj_chunk_number=2))
        return len(counts), sum(counts)

    assert run(main) == (2, 2100)


def test_a_future_of_another_run_is_refused(run):
    def main():
        fexec = lithops.FunctionExecutor()
        future = fexec.call_async(add3, 1)
        future.executor_id = 'another-0'
        fexec.call_async(add3, future)

    with pytest.raises(NotDurableError, match='not of this orchestrator'):
        run(main)


def test_no_credentials_lie_in_the_bucket(config):
    secret = 'not-for-the-bucket-4711'
    tf = TriggerflowExecutor(config={**config, 'aws': {'access_key_id': 'x', 'secret_access_key': secret}}, log_level=None)

    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map_reduce(add3, fexec.map(add3, [1, 2]), total)
        fexec.call_async(lambda x: lithops.FunctionExecutor().map(lambda y: y + 3, [x, x], include_modules=None), 1).result()
        return fexec.call_async(add3, futures[-1]).result()

    run = tf.run(main)
    assert run.result(timeout=60) == 18
    from lithops.constants import LITHOPS_TEMP_DIR

    found = glob.glob(os.path.join(LITHOPS_TEMP_DIR, 'storage', '**', '*'), recursive=True)
    of_run = [path for path in found if run.session in path and os.path.isfile(path)]
    assert len(of_run) > 10
    for path in of_run:
        with open(path, 'rb') as file:
            assert secret.encode() not in file.read(), path


def test_a_join_of_many_inputs_costs_o_n(executor):
    """In the simulated function service: a chain of a map of 300 and its reduction, per call."""
    from triggerflow_lithops.testing import simulate

    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.map_reduce(add3, fexec.map(add3, list(range(width))), total)[-1].result()

    per_call = []
    for width in (100, 300):
        run = simulate(main)
        assert run.result() == sum(range(width)) + 6 * width and not run.broken
        per_call.append(run.requests['call'] / (2 * width + 1))
    print(per_call)
    assert per_call[1] < 1.1 * per_call[0] < 8
