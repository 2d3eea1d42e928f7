"""What a history costs that becomes long, and that nothing of it is lost on the way."""

import pytest

from triggerflow_lithops.core.run.keys import Call
from triggerflow_lithops.replay.history import History, lines_of

STATISTICS = {f'statistic_{number}': number / 7 for number in range(20)}
STATUS = {'exception': False, 'result': '\\x80' * 40, 'worker_end_tstamp': 1_764_000_000.123, **STATISTICS}


class Bucket:
    """What the activations of a loop write, one after the other: a trigger each, and packs."""

    def __init__(self):
        self.packs, self.trigger, self.written = {}, None, []

    def loop(self, steps):
        history = History()
        for step in range(steps):
            if step and step % 100 == 0:
                history = self.read()
            self.activation(step, history)
        return history

    def read(self):
        history = History()
        history.load(self.trigger, [lines_of(key, self.packs[key]) for key in self.trigger['history']['packs']])
        return history

    def activation(self, step, history):
        history.add_fact(2 * step, {'job': f'0-A{step:03d}', 'calls': 1, 'activation': step, 'time': 1_764_000_000.5 + step})
        history.add_event(Call(f'0-A{step:03d}', 0), {**STATUS, 'call': step})
        history.add_fact(2 * step + 1, {'fingerprint': ['wait', '', 1, 'abcdef']})
        size = 0
        if history.needs_packing():
            key = f'pack-{step}'
            self.packs[key] = history.packed(key)
            size = len(self.packs[key])
        carried = {**history.carried(), 'outputs': [], 'waiting': []}
        self.trigger = {'context': {'position': 2 * step + 2, 'due': None}, 'history': carried}
        self.written.append(size + len(carried['tail']))


@pytest.fixture(scope='module')
def bucket():
    loop = Bucket()
    loop.history = loop.loop(1200)
    return loop


def test_a_step_late_in_a_long_loop_writes_hardly_more_than_an_early_one(bucket):
    early, late = sum(bucket.written[100:300]), sum(bucket.written[1000:1200])
    assert late < 1.4 * early


def test_a_loop_of_twelve_hundred_calls_writes_some_kilobytes_a_step(bucket):
    assert sum(bucket.written) < 1200 * 2_000


def test_a_long_history_lies_in_a_few_packs(bucket):
    assert 2 <= len(bucket.trigger['history']['packs']) <= 3
    assert len(bucket.packs) > 50


def test_the_tail_that_a_trigger_carries_is_bounded(bucket):
    assert len(bucket.trigger['history']['tail']) < 2_000


def test_a_long_history_is_read_as_it_was_written(bucket):
    read = bucket.read()
    assert read.facts == bucket.history.facts and len(read.facts) == 2400
    assert read.events == bucket.history.events and len(read.events) == 1200


def test_a_history_of_a_short_loop_is_in_one_pack():
    loop = Bucket()
    loop.loop(150)
    assert len(loop.trigger['history']['packs']) == 1
