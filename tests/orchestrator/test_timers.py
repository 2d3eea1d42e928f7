"""A wait that is over when its time is up: nothing runs meanwhile, and what came out stays."""

import os
import signal
import time

import lithops
import psutil
import pytest
from lithops.monitoring.backends.triggerflow import compute
from lithops.monitoring.backends.triggerflow.local_service import LocalService

from triggerflow_lithops import TriggerflowExecutor, now, sleep


def after(seconds, value):
    time.sleep(seconds)
    return value


def once_there(marker, value):
    """Ends when it is told to, however slow a machine is; after two minutes at the latest."""
    until = time.monotonic() + 120
    while not os.path.exists(marker) and time.monotonic() < until:
        time.sleep(0.05)
    return value


def test_a_wait_that_is_over_in_time_gives_what_has_ended(executor):
    def main():
        fexec = lithops.FunctionExecutor()
        futures = fexec.map(after, [(0, 1), (0.1, 2)])
        done, pending = lithops.wait(futures, timeout=300)
        return [future.result() for future in done], len(pending), fexec.call_async(after, (0, 3)).result()

    run = executor.run(main)
    assert run.result(timeout=120) == ([1, 2], 0, 3)
    # For another activation may find its time to be up
    recorded = [event['data']['step'] for event in run.history() if event['type'].endswith('choice.recorded')]
    assert recorded == ['wait(2 calls)']


def test_a_wait_whose_time_is_up_is_an_exception_on_every_replay(executor, tmp_path):
    marker = tmp_path / 'late'
    (tmp_path / 'there').touch()

    def main():
        fexec, said = lithops.FunctionExecutor(), []
        futures = fexec.map(once_there, [(str(tmp_path / 'there'), 'quick'), (str(marker), 'slow')])
        try:
            lithops.wait(futures, timeout=10)
        except TimeoutError as error:
            said.append(str(error))
            marker.touch()
        # Replayed twice, when all has ended long ago
        said += [fexec.call_async(after, (0, step)).result() for step in range(2)]
        return said, futures[0].success or futures[0].ready, [future.result() for future in futures]

    run = executor.run(main)
    said, quick_was_seen, values = run.result(timeout=120)
    assert said == ['Timeout of 10 seconds exceeded waiting for function activations to finish', 0, 1]
    assert quick_was_seen and values == ['quick', 'slow']
    causes = [activation['cause'] for activation in run.activations()]
    assert causes.count('its time was up') == 1


def test_an_orchestrator_sleeps_and_nothing_is_alive_meanwhile(executor):
    def main():
        fexec = lithops.FunctionExecutor()
        began = now()
        future = fexec.call_async(after, (0, 1))
        for _ in range(2):
            sleep(2)
        return now() - began, future.result()

    run = executor.run(main)
    slept, value = run.result(timeout=120)
    assert slept >= 4 and value == 1
    first, second, third = run.activations()[:3]
    assert second['started'] - first['ended'] > 1 and third['started'] - second['ended'] > 1
    assert second['cause'] == third['cause'] == 'its time was up'


def test_a_sleep_goes_on_when_the_service_was_killed(config):
    tf = TriggerflowExecutor(config=config, log_level=None)
    tf.config['triggerflow']['service'] += '-sleep'

    def main():
        began = now()
        sleep(4)
        return now() - began

    run = tf.run(main)
    deadline = time.monotonic() + 90
    while not [activation for activation in run.activations() if activation['result'] == 'suspended']:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(service_of(tf).pid, signal.SIGKILL)
    assert run.result(timeout=120) >= 4


def service_of(tf):
    folder = tf.config['triggerflow']['service']
    return next(found for found in psutil.process_iter(['cmdline']) if folder in (found.info['cmdline'] or ()))


@pytest.mark.parametrize('seconds', [-1, float('nan'), float('inf'), '5', True, None])
def test_what_is_no_number_of_seconds_is_no_sleep(seconds):
    with pytest.raises(ValueError, match='a number of seconds, 0 or more'):
        sleep(seconds)


def test_nothing_is_alive_while_a_timer_runs(executor, tmp_path):
    def main():
        fexec = lithops.FunctionExecutor()
        try:
            lithops.wait(fexec.call_async(once_there, (str(tmp_path / 'late'), 1)), timeout=3)
        except TimeoutError:
            (tmp_path / 'late').touch()
            return 'late'

    run = executor.run(main)
    assert run.result(timeout=120) == 'late'
    first, second = run.activations()
    assert second['started'] - first['ended'] > 1.5


@pytest.mark.parametrize('timeout', [0, -1])
def test_a_time_that_has_passed_already_lets_look_once(run, timeout):
    def main():
        fexec = lithops.FunctionExecutor()
        with pytest.raises(TimeoutError, match='exceeded'):
            lithops.wait(fexec.call_async(after, (5, 1)), timeout=timeout)
        return 'went on'

    assert run(main) == 'went on'


def test_get_result_and_executor_wait_take_a_time_out(run, tmp_path):
    def main():
        fexec, said = lithops.FunctionExecutor(), 0
        for waiting in (fexec.wait, fexec.get_result):
            try:
                waiting(fexec.call_async(once_there, (str(tmp_path / 'late'), 1)), timeout=0.5)
            except TimeoutError:
                said += 1
        (tmp_path / 'late').touch()
        return said, fexec.get_result(fexec.call_async(after, (0, 7)), timeout=300)

    assert run(main, timeout=120) == (2, 7)


def test_the_timer_of_a_run_that_has_ended_does_not_keep_the_service(config):
    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.call_async(after, (0.5, 7)), timeout=3600)

    tf = TriggerflowExecutor(config={**config, 'triggerflow': {'idle_seconds': 1}}, log_level=None)
    tf.config['triggerflow']['service'] += '-timer'
    run = tf.run(main)
    assert run.result(timeout=90) == 7
    deadline = time.monotonic() + 90
    while os.listdir(LocalService(tf.config['triggerflow']['service']).queue) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not os.listdir(LocalService(tf.config['triggerflow']['service']).queue)


class Clock:
    """Time that passes only where it is slept away."""

    def __init__(self):
        self.now, self.slept = 1000.0, []

    def time(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(compute, 'time', found)
    return found


def test_what_is_due_later_waits_where_functions_start_at_once(clock):
    assert compute.wait_until(clock.now + 45, 100, lambda: False)
    assert clock.slept == [30, 15]


def test_a_wait_longer_than_one_function_may_take_is_handed_over(clock):
    assert not compute.wait_until(clock.now + 1000, 100, lambda: False)
    assert clock.slept == [30, 30, 20]


def test_nobody_waits_on_for_an_activation_that_something_else_has_started(clock):
    assert compute.wait_until(clock.now + 1000, 100, lambda: True) and clock.slept == [30]


def test_what_is_due_does_not_wait(clock):
    assert compute.wait_until(0.0, 100, lambda: False) and not clock.slept
