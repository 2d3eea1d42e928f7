"""Calls that fail run again where it is said, and nothing else does."""

import json
import os
import pickle
import signal
from pathlib import Path

import lithops
import pytest

from triggerflow_lithops import ConfigurationError, OutsideOrchestratorError, Retry, TriggerflowExecutor

QUICK = {'backoff': 0.05, 'factor': 1.5}


class Refused(ConnectionError):
    """An exception of the user's own."""


def fails_twice(x, folder, kind=Refused):
    """Notes each execution in a file of its own."""
    tries = len(os.listdir(folder))
    open(os.path.join(folder, f'{x}-{tries}'), 'w').close()
    if len([name for name in os.listdir(folder) if name.startswith(f'{x}-')]) <= 2:
        raise kind('not yet')
    return x


def odd_fails_twice(x, folder):
    return x if x % 2 == 0 else fails_twice(x, folder)


def fails(folder):
    open(os.path.join(folder, str(len(os.listdir(folder)))), 'w').close()
    raise ValueError('never')


def killed_once(folder):
    if not os.listdir(folder):
        open(os.path.join(folder, 'killed'), 'w').close()
        os.kill(os.getpid(), signal.SIGKILL)
    return 'alive'


def one(function, *args):
    """An orchestrator of one call."""

    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.call_async(function, args).result()

    return main


def attempts(run):
    return [event['data'] for event in run.history() if event['type'] == 'event.triggerflow.attempt.failed']


def test_a_call_that_fails_is_retried_and_then_succeeds(executor, tmp_path):
    run = executor.run(one(fails_twice, 1, str(tmp_path)), retry=Retry(retries=5, **QUICK))
    assert run.result(timeout=60) == 1 and len(os.listdir(tmp_path)) == 3


def test_retries_that_are_used_up_end_in_the_last_exception(executor, tmp_path):
    run = executor.run(one(fails, str(tmp_path)), retry=Retry(retries=2, **QUICK))
    with pytest.raises(ValueError, match='never'):
        run.result(timeout=60)
    assert len(os.listdir(tmp_path)) == 3


def test_a_call_that_raised_is_not_retried_unless_it_is_said(executor, tmp_path):
    run = executor.run(one(fails, str(tmp_path)))
    with pytest.raises(ValueError, match='never'):
        run.result(timeout=60)
    assert len(os.listdir(tmp_path)) == 1 and not attempts(run)


def test_a_type_of_error_that_is_not_named_is_not_retried(executor, tmp_path):
    run = executor.run(one(fails, str(tmp_path)), retry=Retry(retries=2, on=(KeyError, OSError), **QUICK))
    with pytest.raises(ValueError, match='never'):
        run.result(timeout=60)
    assert len(os.listdir(tmp_path)) == 1


@pytest.mark.parametrize('on', [ConnectionError, 'OSError', ['KeyError', 'builtins.ConnectionError']])
def test_a_type_of_error_is_named_by_its_class_its_name_or_a_base(executor, tmp_path, on):
    run = executor.run(one(fails_twice, 1, str(tmp_path), ConnectionResetError), retry=Retry(retries=2, on=on, **QUICK))
    assert run.result(timeout=60) == 1


def test_an_exception_that_cannot_be_unpickled_is_retried_by_its_name(executor, tmp_path):
    def fails_oddly_twice(folder):
        class Odd(Exception):
            def __init__(self, one, other):
                super().__init__(one)

        tries = len(os.listdir(folder))
        open(os.path.join(folder, str(tries)), 'w').close()
        if tries < 2:
            raise Odd(1, 2)
        return tries

    run = executor.run(one(fails_oddly_twice, str(tmp_path)), retry=Retry(retries=2, on=Exception, **QUICK))
    assert run.result(timeout=60) == 2


def test_only_the_failed_calls_of_a_map_run_again(executor, tmp_path):
    folder = str(tmp_path)

    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(odd_fails_twice, [(x, folder) for x in range(6)]))

    run = executor.run(main, retry=Retry(retries=9, on='ConnectionError', **QUICK))
    assert run.result(timeout=60) == [0, 1, 2, 3, 4, 5]
    failed = {event['subject'][-5:] for event in run.history() if event['type'].endswith('attempt.failed')}
    assert failed == {'00001', '00003', '00005'}


def test_the_backoff_is_as_configured(executor, tmp_path):
    policy = Retry(retries=5, backoff=0.3, factor=2.0, jitter=0.0)
    run = executor.run(one(fails_twice, 1, str(tmp_path)), retry=policy)
    run.result(timeout=60)
    history = [event for event in run.history() if event['type'].endswith('attempt.failed')]
    waits = [seconds(event['data']['next']['due']) - seconds(event['time']) for event in history]
    assert waits == pytest.approx([0.3, 0.6], abs=0.001)
    assert [event['data']['attempt'] for event in history] == [0, 1]
    ended = next(event for event in run.history() if '.termination.' in event['type'])
    assert ended['data']['attempt'] == 2
    assert ended['data']['worker_start_tstamp'] >= seconds(history[-1]['data']['next']['due'])


def seconds(text):
    from datetime import datetime

    return datetime.fromisoformat(text.replace('Z', '+00:00')).timestamp()


def test_a_call_that_was_killed_is_retried_by_default(executor, tmp_path):
    run = executor.run(one(killed_once, str(tmp_path)))
    assert run.result(timeout=60) == 'alive'
    assert ['SIGKILL' in attempt['reason'] for attempt in attempts(run)] == [True]


def test_nothing_is_retried_where_no_retries_are_wanted(executor, tmp_path):
    run = executor.run(one(killed_once, str(tmp_path)), retry=0)
    with pytest.raises(MemoryError, match='SIGKILL'):
        run.result(timeout=60)


def test_single_jobs_have_retries_of_their_own(executor, tmp_path):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'b').mkdir()
    first, second = str(tmp_path / 'a'), str(tmp_path / 'b')

    def main():
        fexec = lithops.FunctionExecutor()
        with Retry(retries=4, on=ConnectionError, backoff=0.05):
            retried = fexec.map(fails_twice, [(1, first)])
            with Retry(retries=0):
                fragile = fexec.call_async(fails_twice, (1, second))
        value = retried[0].result()
        try:
            fragile.result()
        except ConnectionError as error:
            return value, str(error)

    assert executor.run(main).result(timeout=60) == (1, 'not yet')


@pytest.mark.parametrize('where', ['configuration', 'executor'])
def test_retries_are_set_for_all_runs(config, tmp_path, where):
    given = {'retries': 2, 'on': ['ConnectionError'], **QUICK}
    if where == 'configuration':
        tf = TriggerflowExecutor(config={**config, 'triggerflow': {**config['triggerflow'], 'retry': given}}, log_level=None)
    else:
        tf = TriggerflowExecutor(config=config, log_level=None, retry=given)
    assert tf.run(one(fails_twice, 1, str(tmp_path))).result(timeout=60) == 1


def test_a_run_has_retries_of_its_own(config, tmp_path):
    tf = TriggerflowExecutor(config=config, log_level=None, retry=Retry(retries=5, **QUICK))
    with pytest.raises(ValueError, match='never'):
        tf.run(one(fails, str(tmp_path)), retry=0).result(timeout=60)
    assert len(os.listdir(tmp_path)) == 1


NO_POLICIES = [{'retries': -1}, {'retries': 1.5}, {'backoff': 'long'}, {'jitter': 2}, {'on': 5}, {'on': [int]}, {'tries': 3}, 'x']


@pytest.mark.parametrize('given', NO_POLICIES)
def test_what_is_no_policy_is_refused(config, given):
    with pytest.raises(ConfigurationError, match='found'):
        TriggerflowExecutor(config={**config, 'triggerflow': {'retry': given}}, log_level=None)


def test_a_policy_around_jobs_is_refused_where_no_orchestrator_runs():
    with pytest.raises(OutsideOrchestratorError, match='RetryingFunctionExecutor'), Retry(retries=1):
        pass


def test_a_policy_is_a_plain_document_where_it_travels():
    policy = Retry(retries=1, on=(Refused, OSError)).policy()
    assert policy['on'] == ['builtins.OSError', f'{Refused.__module__}.Refused'] and pickle.dumps(policy)


def forgets_once(folder):
    """Takes away what Lithops' handler is to read: how the function ended."""
    if not os.listdir(folder):
        open(os.path.join(folder, 'forgot'), 'w').close()
        service = Path(json.loads(os.environ['LITHOPS_CONFIG'])['triggerflow']['service'])
        # The process of the handler, whose folder this is, has forked this one
        for path in (service / 'scratch' / str(os.getppid())).rglob('job_stats*'):
            path.unlink()
    return 'remembered'


def test_a_call_whose_end_is_forgotten_was_lost_and_its_result_is_not_none(executor, tmp_path):
    run = executor.run(one(forgets_once, str(tmp_path)), retry=Retry(on=(), **QUICK))
    assert run.result(timeout=60) == 'remembered' and 'is gone' in attempts(run)[0]['reason']


def test_a_retry_in_a_file_of_yaml_is_what_it_says(tmp_path):
    """YAML takes the key "on" for true."""
    file = tmp_path / 'config'
    file.write_text('lithops: {backend: localhost}\ntriggerflow: {retry: {retries: 5, on: [ConnectionError]}}\n')
    assert TriggerflowExecutor(config_file=str(file), log_level=None).retry == Retry(retries=5, on='ConnectionError').policy()
