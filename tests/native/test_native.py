"""Custom triggers: what a user writes, and what comes of it. With files as store, and with S3."""

import functools
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import servers

from triggerflow_lithops import (
    ANY,
    END,
    JOIN,
    PASS,
    THRESHOLD,
    TIMEOUT,
    TRUE,
    CallAsync,
    CloudEvent,
    ConfigurationError,
    Failed,
    InvalidActionError,
    InvalidConditionError,
    InvalidEventError,
    InvalidTriggerError,
    Map,
    Orchestrate,
    Publish,
    PythonCallable,
    Retry,
    Succeeded,
    TriggerExistsError,
    Triggerflow,
    TriggerNotFoundError,
    WorkspaceNotFoundError,
    publish,
)
from triggerflow_lithops.client import care
from triggerflow_lithops.core.run.keys import run_key
from triggerflow_lithops.core.store import Facts, StoreUnavailable


def total(context, events):
    return context.get('start', 0) + sum(event['data'] for event in events)


def fails(context, events):
    raise ValueError('no good')


def triple(x):
    return 3 * x


def shard(number=None, subject='today', **more):
    return CloudEvent('shard.done', subject, data=number, **more)


@pytest.fixture(scope='module')
def s3_config(config, seaweedfs):
    keys = {'access_key_id': servers.ACCESS_KEY, 'secret_access_key': servers.SECRET_KEY}
    bucket = f'bucket-{uuid.uuid4().hex[:8]}'
    lithops = {'backend': 'localhost', 'storage': 'minio'}
    return {**config, 'lithops': lithops, 'minio': {'endpoint': seaweedfs, 'storage_bucket': bucket, **keys}}


@pytest.fixture(params=['localhost', 's3'])
def tf(request, config):
    chosen = request.getfixturevalue('s3_config') if request.param == 's3' else config
    made = Triggerflow(f'w-{uuid.uuid4().hex[:8]}', context={'unit': 'kg'}, config=chosen, log_level=None)
    yield made
    if made._name in made.list_workspaces():
        made.delete_workspace()


@pytest.fixture
def local(config):
    made = Triggerflow(f'w-{uuid.uuid4().hex[:8]}', config=config, log_level=None)
    yield made
    made.delete_workspace()


def at_the_end(tf, trigger_id, event=None):
    """The workspace ends when a trigger's action has ended well."""
    tf.add_trigger('end', event or Succeeded(trigger_id), action=END)
    return tf.wait(timeout=60)


def test_a_join_calls_its_function_once_with_distinct_events_whenever_they_came(tf):
    tf.publish(shard(1, id='early'))
    tf.add_trigger('merge', shard(), JOIN(3), CallAsync(total), context={'start': 100})
    assert tf.publish(shard(2, id='second')) and not tf.publish(shard(2, id='second')) and not tf.publish(shard(1, id='early'))
    assert tf.get_trigger('merge')['fired'] == 0
    tf.publish(shard(3))
    assert at_the_end(tf, 'merge') == [106]
    assert [run.result(timeout=60) for run in tf.runs('merge')] == [106] and tf.list_triggers() == []


def test_all_triggers_of_an_event_fire_transient_ones_once(tf):
    tf.add_trigger('one', shard(), action=CallAsync(total))
    tf.add_trigger('other', [shard(), shard(subject='tomorrow')], ANY, CallAsync(total))
    tf.add_trigger('lasting', shard(), TRUE, CallAsync(total), transient=False)
    for number in range(3):
        tf.publish(shard(number))
    values = {name: sorted(run.result(timeout=60) for run in tf.runs(name)) for name in ('one', 'other', 'lasting')}
    assert values['one'] == values['other'] == [0] and values['lasting'] == [0, 1, 2]


def test_a_deleted_trigger_stays_deleted(tf):
    tf.add_trigger('gone', shard(), action=CallAsync(total))
    tf.add_trigger('flushed', shard(), action=CallAsync(total))
    tf.delete_trigger('gone')
    tf.flush_triggers()
    tf.publish(shard(1))
    assert tf.sweep() == [] and tf.list_triggers() == [] and tf.runs('gone') == tf.runs('flushed') == []
    with pytest.raises(TriggerNotFoundError):
        tf.get_trigger('gone')
    with pytest.raises(TriggerExistsError, match='choose another id'):
        tf.add_trigger('gone', shard(), action=CallAsync(total))


def test_functions_chain_and_a_failure_is_an_event_too(tf):
    tf.add_trigger('fails', shard(), action=CallAsync(fails))
    tf.add_trigger('tells', Failed('fails'), action=PythonCallable(lambda context, event: event['data']['error']))
    tf.publish(shard(0))
    assert at_the_end(tf, 'tells') == [['ValueError', 'no good']]


def counts(context, event):
    context['seen'] = [*context.get('seen', []), event['data']]
    if len(context['seen']) == 12:
        context.publish(CloudEvent('all.seen', 'today', data=sorted(context['seen'])))


def test_callables_change_a_context_and_no_update_is_lost(tf):
    tf.add_trigger('counts', shard(), action=PythonCallable(counts), transient=False)
    tf.add_trigger('end', CloudEvent('all.seen', 'today'), action=END)
    for number in range(12):
        tf.publish(shard(number))
    assert tf.wait(timeout=90) == [list(range(12))]


def test_a_change_that_is_equal_is_a_change(local):
    action = PythonCallable(lambda context, event: context.update(told=True))
    local.add_trigger('tells', shard(), action=action, context={'told': 1})
    local.publish(shard(1))
    [run] = local.runs('tells')
    assert run.wait(timeout=60) == 'completed' and local.get_trigger('tells')['context']['told'] is True


def note_and_raise(folder):
    def raises(context, event):
        with open(os.path.join(folder, 'times'), 'a') as times:
            times.write(f'{time.time()}\n')
        context['changed'] = True
        context.publish(CloudEvent('never', 'seen'))
        raise KeyError('no such shard')

    return raises


def test_a_callable_that_raises_is_retried_with_backoff_and_then_visible_as_failed(tf, tmp_path):
    action = PythonCallable(note_and_raise(str(tmp_path)), retry=Retry(retries=2, backoff=0.5, jitter=0))
    tf.add_trigger('raises', shard(), action=action)
    tf.add_trigger('never', CloudEvent('never', 'seen'), action=CallAsync(total))
    tf.add_trigger('end', Failed('raises'), action=END)
    tf.publish(shard(1))
    assert tf.wait(timeout=60) == [{'error': ['KeyError', "'no such shard'"]}]
    first, second, third = map(float, (tmp_path / 'times').read_text().split())
    assert second - first >= 0.5 and third - second >= 1.0
    [run] = tf.runs('raises')
    with pytest.raises(KeyError, match='no such shard'):
        run.result(timeout=60)
    assert run.status() == 'failed' and tf.runs('never') == []


def test_an_exception_that_no_retry_names_is_not_retried(local, tmp_path):
    named = {'other': Retry(retries=2, on=OSError, backoff=0.1), 'base': Retry(retries=2, on=LookupError, backoff=0.1)}
    for name, retry in named.items():
        (tmp_path / name).mkdir()
        local.add_trigger(name, shard(), action=PythonCallable(note_and_raise(str(tmp_path / name)), retry=retry))
    local.publish(shard(1))
    for name, times in (('other', 1), ('base', 3)):
        assert [run.wait(timeout=60) for run in local.runs(name)] == ['failed']
        assert len((tmp_path / name / 'times').read_text().split()) == times


@pytest.mark.parametrize(('dies', 'name'), [(sys.exit, 'SystemExit'), (os._exit, 'RunDied')])
def test_a_callable_that_ends_its_process_is_a_failure_too(local, dies, name):
    local.add_trigger('dies', shard(), action=PythonCallable(lambda context, event: dies(3)))
    local.add_trigger('end', Failed('dies'), action=END)
    local.publish(shard(1))
    [run] = local.runs('dies')
    assert run.wait(timeout=60) == 'failed'
    local.sweep()
    assert [found['error'][0] for found in local.wait(timeout=60)] == [name] and local.sweep() == []


def test_the_end_of_a_workspace_is_reached_when_it_was_lost_halfway(local):
    """All triggers were deleted already, its own included, when the one who did it vanished."""
    own = local._own()
    own._begin_run = lambda document: own._facts.create(run_key(document['run_id']), document)
    local.add_trigger('end', shard(), action=END)
    local.publish(shard(1))
    local.flush_triggers()
    other = Triggerflow(local._name, executor=local.executor)
    assert len(other.sweep()) == 1
    assert other.wait(timeout=60) == [1]


class Counting:
    """A store that counts what it is asked."""

    def __init__(self, store):
        self.store, self.asked = store, 0

    def __getattr__(self, name):
        self.asked += 1
        return getattr(self.store, name)


def test_what_an_event_and_a_trigger_cost(config):
    tf = Triggerflow(f'w-{uuid.uuid4().hex[:8]}', config=config, log_level=None)
    tf.add_trigger('first', CloudEvent('warm', 'up'), action=PASS)
    tf._facts.store = counting = Counting(tf._facts.store)

    def cost(asks):
        before = counting.asked
        asks()
        return counting.asked - before

    two = [shard(subject=name) for name in ('one', 'other')]
    assert cost(lambda: tf.add_trigger('join', shard(), JOIN(2), CallAsync(total))) == 10
    assert cost(lambda: tf.add_trigger('each', CloudEvent('each', 'x'), action=PASS, transient=False)) <= 10
    assert cost(lambda: tf.add_trigger('two', two, JOIN(2), CallAsync(total))) == 12
    assert cost(lambda: tf.publish(CloudEvent('nobody', 'waits'))) == 3
    assert cost(lambda: tf.publish(shard(1))) == 6
    assert cost(lambda: tf.publish(shard(2))) == 8
    assert cost(lambda: tf.publish(CloudEvent('each', 'x'))) == 5
    tf.delete_workspace()


def test_nothing_fires_twice_after_a_restart(tf):
    tf.add_trigger('merge', shard(), JOIN(2), CallAsync(total), transient=False)
    for number in range(4):
        tf.publish(shard(number, id=str(number)))
    assert sorted(run.result(timeout=60) for run in tf.runs('merge')) in ([1, 5], [2, 4], [3, 3])
    # Another client, who begins anew: adds what is there, publishes what was published, and sweeps
    again = Triggerflow(tf._name, executor=tf.executor)
    again.add_trigger('merge', shard(), JOIN(2), CallAsync(total), transient=False)
    for number in range(4):
        assert not again.publish(shard(number, id=str(number)))
    assert again.sweep() == [] and len(again.runs('merge')) == 2


def test_what_was_purged_is_not_started_again(local):
    for name, transient in (('once', True), ('each', False)):
        local.add_trigger(name, shard(), action=CallAsync(total), transient=transient)
    local.publish(shard(1, id='x'))
    for run in [*local.runs('once'), *local.runs('each')]:
        assert run.result(timeout=60) == 1
        run.purge()
    assert local.sweep() == [] and not local.publish(shard(1, id='x'))
    assert local.runs('once') == local.runs('each') == []


def test_what_a_publisher_left_is_found(local, config):
    """Killed when it had written its event, and nobody had looked; and again, when the firing was written."""
    local.add_trigger('merge', shard(), JOIN(2), CallAsync(total))
    local.publish(shard(1))
    code = """
        import json, os, sys
        from triggerflow_lithops import CloudEvent, Triggerflow
        from triggerflow_lithops.core.workspace.workspace import Workspace
        setattr(Workspace, sys.argv[2], lambda *args: os.kill(os.getpid(), 9))
        tf = Triggerflow(sys.argv[1], config=json.loads(sys.argv[3]), log_level=None)
        tf.publish(CloudEvent('shard.done', 'today', data=2, id='2'))
    """
    for dies_in in ('_evaluate', '_fire'):
        command = [sys.executable, '-c', textwrap.dedent(code), local._name, dies_in, json.dumps(config)]
        assert subprocess.run(command, timeout=60).returncode == -signal.SIGKILL
        assert local.runs('merge') == []
    assert local.sweep() == ['trigger merge was evaluated again']
    assert [run.result(timeout=60) for run in local.runs('merge')] == [3]


@pytest.mark.parametrize('again', ['published again', 'swept on the command line'])
def test_what_had_fired_and_was_not_started_is_started(local, config, tmp_path, again):
    """Killed when the firing was written, and its run was not."""
    local.add_trigger('merge', shard(), JOIN(2), CallAsync(total))
    local.publish(shard(1))
    code = """
        import json, os, sys
        from triggerflow_lithops import CloudEvent, Triggerflow
        from triggerflow_lithops.native.trigger_set import TriggerSet
        TriggerSet._start_run = lambda *args: os.kill(os.getpid(), 9)
        tf = Triggerflow(sys.argv[1], config=json.loads(sys.argv[2]), log_level=None)
        tf.publish(CloudEvent('shard.done', 'today', data=2, id='2'))
    """
    command = [sys.executable, '-c', textwrap.dedent(code), local._name, json.dumps(config)]
    assert subprocess.run(command, timeout=60).returncode == -signal.SIGKILL
    assert local.runs('merge') == [] and local.get_trigger('merge')['fired'] == 1
    if again == 'published again':
        assert not local.publish(shard(2, id='2'))
    else:
        (tmp_path / 'config.yaml').write_text(json.dumps(config))
        program = os.path.join(os.path.dirname(sys.executable), 'triggerflow-lithops')
        said = subprocess.run(
            [program, 'sweep', '--config', str(tmp_path / 'config.yaml')], capture_output=True, text=True, timeout=60
        )
        assert f'workspace {local._name}: trigger merge was evaluated again' in said.stdout, said.stderr
    assert [run.result(timeout=60) for run in local.runs('merge')] == [3]


def test_an_event_is_not_larger_than_it_may_be(local):
    local.add_trigger('large', shard(), action=PythonCallable(lambda context, event: 'x' * 300_000))
    local.add_trigger('told', Succeeded('large'), action=PythonCallable(lambda context, event: len(event['data'])))
    with pytest.raises(InvalidEventError, match='262144 are the most'):
        local.publish(shard('x' * 300_000))
    local.publish(shard(1))
    # What an action returned may be: it lies beside its event
    assert at_the_end(local, 'told') == [300_000]
    assert [len(run.result()) for run in local.runs('large')] == [300_000]


def test_what_json_cannot_hold_is_in_the_outcome_of_the_run_only(local):
    local.add_trigger('set', shard(), action=PythonCallable(lambda context, event: {1}))
    local.add_trigger('told', Succeeded('set'), action=PythonCallable(lambda context, event: 'data' in event))
    local.publish(shard(1))
    assert at_the_end(local, 'told') == [False]
    assert [run.result() for run in local.runs('set')] == [{1}]


def test_maps_orchestrators_and_publishers(tf):
    def squares(context, events):
        import lithops

        fexec = lithops.FunctionExecutor()
        return sum(fexec.get_result(fexec.map(triple, events[0]['data'])))

    tf.add_trigger('map', shard(), THRESHOLD(2, of=3), Map(triple))
    tf.add_trigger('orchestrate', Succeeded('map'), action=Orchestrate(squares))
    tf.add_trigger('tell', Succeeded('orchestrate'), action=Publish(CloudEvent('told', 'all')))
    tf.add_trigger('pass', Succeeded('orchestrate'), action=PASS)
    tf.publish(shard(1))
    tf.publish(shard(2))
    assert at_the_end(tf, '', CloudEvent('told', 'all')) == [[27]]
    assert [sorted(run.result(timeout=60)) for run in tf.runs('map')] == [[3, 6]]


def test_a_trigger_that_was_added_runs_its_own_function(local):
    """Another client was about to add one of this id, and had written its code."""
    own = local._own()
    own.workspace.add = lambda trigger: None
    own.add('merge', shard(), action=CallAsync(fails))
    other = Triggerflow(local._name, executor=local.executor)
    other.add_trigger('merge', shard(), action=CallAsync(total))
    other.publish(shard(1))
    assert [run.result(timeout=60) for run in other.runs('merge')] == [1]


def test_events_from_outside_may_say_anything_of_their_time_and_data(local):
    """The oldest comes first, whatever the form of its time; what a dataref names is the publisher's own affair."""
    said = [
        {'time': '2026-11-23T09:00:00.5Z', 'data': 3},
        {'time': '2026-11-23T09:00:00Z', 'data': 2},
        {'time': '2026-11-23T10:59:59.123456789+02:00', 'data': 1},
        {'time': 'yesterday', 'data': -1, 'dataref': 'https://example.org/x'},
        {'time': None, 'data': 0, 'dataref': f'{local._own().home}/code/order'},
    ]
    local.add_trigger('order', shard(), JOIN(5), CallAsync(lambda context, events: [event['data'] for event in events]))
    for number, more in enumerate(said):
        local.publish({**shard(id=str(9 - number)).document(), **more})
    assert [run.result(timeout=60) for run in local.runs('order')] == [[0, -1, 1, 2, 3]]


def test_interceptors_that_publish_publish_events_of_their_own(local):
    events = [CloudEvent('told', name) for name in ('first', 'second', 'third')]
    for name, event in zip(('guard', 'other', 'merge'), events, strict=True):
        local.add_trigger(name, shard() if name == 'merge' else CloudEvent('nothing', 'comes'), JOIN(2), Publish(event))
    for name in ('guard', 'other'):
        local.intercept_trigger('merge', by=name)
    local.add_trigger('end', events, JOIN(3), END)
    for _ in range(2):
        local.publish(shard('x' * 200_000))
    # What is too large for an event lies beside it
    assert [[len(data) for data in found] for found in local.wait(timeout=60)] == 3 * [[200_000, 200_000]]


def is_large(context, event):
    context['asked'] = context.get('asked', 0) + 1
    return event['data'] > 5 and context.workspace['unit'] == 'kg'


def test_a_function_may_be_the_condition(tf):
    tf.add_trigger('large', shard(), is_large, CallAsync(total))
    for number in (3, 4):
        tf.publish(shard(number))
    for run in tf.runs('large'):
        assert run.result(timeout=60) is None
    tf.publish(shard(7))
    assert at_the_end(tf, 'large') == [7]
    tf.publish(shard(8))
    assert len(tf.runs('large')) == 3


def test_a_trigger_whose_time_is_up_fires_with_what_has_come(local):
    began = time.time()
    local.add_trigger('early', shard(), TIMEOUT(600, JOIN(1)), CallAsync(total))
    # Before the other one is added, whose time may be up soon after that
    local.publish(shard(5))
    local.add_trigger('late', shard(), TIMEOUT(2, JOIN(3)), CallAsync(total))
    local.add_trigger('alone', condition=TIMEOUT(1), action=PythonCallable(lambda context, event: str(event)))
    assert at_the_end(local, 'late') == [5] and time.time() - began >= 2
    assert 'completed' in [run.wait(timeout=60) for run in local.runs('alone')]
    early = [run.wait(timeout=60) for run in local.runs('early')]
    assert sorted(early) == ['cancelled', 'completed'] and time.time() - began < 120


def test_no_timer_is_left_of_a_trigger_that_has_fired_or_is_gone(local):
    local.publish(shard(1))
    local.add_trigger('fired', shard(), TIMEOUT(600, JOIN(1)), CallAsync(total))
    local.add_trigger('gone', shard(), TIMEOUT(600, JOIN(2)), CallAsync(total))
    timers = [local.runs(name)[0] for name in ('fired', 'gone')]
    local.delete_trigger('gone')
    assert [run.wait(timeout=60) for run in timers] == ['cancelled', 'cancelled']


def asks_for(what):
    def asks(context, event):
        context['changed'] = True
        what(context)

    return asks


@pytest.mark.parametrize(
    ('what', 'said'),
    [
        (lambda context: context.add_trigger('a/b', shard(), action=PASS), "'a/b'"),
        (lambda context: context.add_trigger('t', action=PASS), 'needs an event'),
        (lambda context: context.add_trigger('t', shard(), action=PASS, context={'when': datetime.now()}), 'not JSON'),
        (lambda context: context.publish({'specversion': '1.0', 'type': 'x', 'source': 'y', 'id': '1'}), 'subject'),
        (lambda context: context.publish(shard('x' * 300_000)), '262144 are the most'),
        (lambda context: context.update(changed={1}), 'not JSON'),
    ],
    ids=['id', 'event', 'context', 'subject', 'large', 'changed'],
)
def test_a_callable_that_asks_for_what_cannot_be_has_changed_nothing(local, what, said):
    local.add_trigger('asks', shard(), action=PythonCallable(asks_for(what), retry=0))
    local.publish(shard(1))
    [run] = local.runs('asks')
    with pytest.raises(ValueError, match=said):
        run.result(timeout=60)
    assert local.get_trigger('asks')['context'] == {}


def grow(context, event):
    """Dynamic: it deletes, adds, disables and enables others."""
    context.delete_trigger('deleted')
    context.disable_trigger('disabled')
    context.enable_trigger('enabled')
    context.add_trigger('added', CloudEvent('shard.done', 'today'), JOIN(2), CallAsync(total), context={'start': 10})


def test_a_trigger_adds_deletes_enables_and_disables_others(tf):
    for name in ('deleted', 'disabled', 'enabled'):
        tf.add_trigger(name, CloudEvent('go', 'today'), action=CallAsync(total))
    tf.disable_trigger('enabled')
    tf.add_trigger('grows', shard(), action=PythonCallable(grow))
    tf.publish(shard(1))
    [run] = tf.runs('grows')
    run.result(timeout=60)
    assert tf.list_triggers() == ['added', 'disabled', 'enabled', 'grows']
    assert [tf.get_trigger(name)['enabled'] for name in ('disabled', 'enabled')] == [False, True]
    tf.publish(CloudEvent('go', 'today', data=3))
    assert [run.result(timeout=60) for run in tf.runs('enabled')] == [3] and tf.runs('disabled') == []
    tf.enable_trigger('disabled')
    assert [run.result(timeout=60) for run in tf.runs('disabled')] == [3]
    tf.publish(shard(2))
    assert [run.result(timeout=60) for run in tf.runs('added')] == [13]


def forbid_odd(context, event):
    context['seen'] = context.get('seen', 0) + 1
    return event['data'] % 2 == 0


def test_a_trigger_intercepts_another(local):
    local.add_trigger('merge', shard(), action=CallAsync(total), transient=False)
    local.add_trigger('guard', CloudEvent('nothing', 'comes'), action=PythonCallable(forbid_odd))
    local.intercept_trigger('merge', by='guard')
    for number in (1, 2):
        local.publish(shard(number))
    assert {run.result(timeout=60) for run in local.runs('merge')} == {None, 2}
    assert local.get_trigger('guard')['context'] == {'seen': 2}


def spoils(context, event):
    event['data'].append(99)
    context.events.clear()
    return True


@pytest.mark.parametrize('how', ['condition', 'interceptor'])
def test_what_a_callable_does_to_an_event_is_not_seen_by_the_next(local, how):
    condition = spoils if how == 'condition' else TRUE
    local.add_trigger('first', shard(), condition, CallAsync(lambda context, events: events[0]['data']))
    if how == 'interceptor':
        local.add_trigger('guard', CloudEvent('nothing', 'comes'), action=PythonCallable(spoils))
        local.intercept_trigger('first', by='guard')
    local.publish(shard([1]))
    assert [run.result(timeout=60) for run in local.runs('first')] == [[1]]


def tell(context, events):
    assert publish(context['workspace'], CloudEvent('told', 'all', data=1), log_level=None)


def test_a_call_publishes_to_a_workspace(tf):
    tf.add_trigger('tell', shard(), action=CallAsync(tell), context={'workspace': tf._name})
    tf.publish(shard(1))
    assert at_the_end(tf, '', CloudEvent('told', 'all')) == [1]


def test_a_callable_publishes_through_its_context_only(local):
    code = {'workspace': local._name}
    local.add_trigger('tell', shard(), action=Orchestrate(tell), context=code)
    local.add_trigger('end', Failed('tell'), action=END)
    local.publish(shard(1))
    [found] = local.wait(timeout=60)
    assert found['error'][0] == 'NotDurableError' and 'context.publish' in found['error'][1]


def count(context, events, storage):
    return len(storage.list_keys(storage.bucket, prefix='triggerflow.workspaces/'))


def test_a_function_that_asks_for_storage_is_given_it(tf):
    tf.add_trigger('count', shard(), action=CallAsync(count))
    tf.publish(shard(1))
    assert at_the_end(tf, 'count')[0] >= 1


def test_an_event_from_outside(local, config, tmp_path):
    local.add_trigger('merge', shard(), JOIN(2), CallAsync(total))
    assert publish(local._name, shard(1, id='x'), config=config, log_level=None)
    (tmp_path / 'config.yaml').write_text(json.dumps(config))
    (tmp_path / 'data.json').write_text('41')
    command = [os.path.join(os.path.dirname(sys.executable), 'triggerflow-lithops'), 'publish', local._name]
    command += ['--type', 'shard.done']
    command += ['--subject', 'today', '--data', f'@{tmp_path / "data.json"}', '--config', str(tmp_path / 'config.yaml')]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert said.returncode == 0 and 'published' in said.stdout, said.stderr
    assert [run.result(timeout=60) for run in local.runs('merge')] == [42]


def test_workspaces_are_made_listed_and_deleted(config):
    tf = Triggerflow(config=config, log_level=None)
    with pytest.raises(InvalidTriggerError, match='Which workspace'):
        tf.list_triggers()
    with pytest.raises(WorkspaceNotFoundError, match="No workspace 'nowhere'"):
        Triggerflow('nowhere', create=False, config=config, log_level=None)
    tf.create_workspace('made', context={'a': 1})
    tf.add_trigger('t', shard(), action=CallAsync(total))
    tf.publish(shard(1))
    assert 'made' in tf.list_workspaces()
    other = Triggerflow('made', config=config, log_level=None)
    tf.delete_workspace('made')
    assert 'made' not in tf.list_workspaces() and not tf._facts.list('triggerflow.events/made@')
    with pytest.raises(WorkspaceNotFoundError):
        other.publish(shard(2))
    # Its past is not met again
    anew = Triggerflow('made', config=config, log_level=None)
    assert anew.list_triggers() == []
    anew.add_trigger('t', shard(), action=CallAsync(total))
    assert anew.runs('t') == []
    anew.delete_workspace()


def test_two_clients_delete_one_workspace_at_once(config):
    name = f'w-{uuid.uuid4().hex[:8]}'
    clients = [Triggerflow(name, config=config, log_level=None) for _ in range(3)]
    for number in range(10):
        clients[0].add_trigger(f't{number}', shard(), action=CallAsync(total))
    clients[0].publish(shard(1))
    with ThreadPoolExecutor() as pool:
        errors = [deleting.exception() for deleting in [pool.submit(client.delete_workspace) for client in clients]]
    # One that comes late finds none
    assert None in errors and [error for error in errors if not isinstance(error, (WorkspaceNotFoundError, type(None)))] == []
    assert name not in clients[0].list_workspaces() and not clients[0]._facts.list(f'triggerflow.events/{name}@')


def test_a_workspace_that_was_deleted_is_missed_by_whoever_has_it(config):
    name = f'w-{uuid.uuid4().hex[:8]}'
    deleted, other = (Triggerflow(name, config=config, log_level=None) for _ in range(2))
    deleted.delete_workspace()
    tried = [
        other.wait,
        other.sweep,
        lambda: other.publish(shard(1)),
        lambda: other.add_trigger('t', shard(), action=PASS),
        other.list_triggers,
        other.flush_triggers,
        *(functools.partial(use, 't') for use in (other.get_trigger, other.delete_trigger, other.enable_trigger, other.runs)),
    ]
    for anew in (False, True):
        if anew:
            # That is another workspace, of the same name
            deleted.create_workspace(name)
        for use in tried:
            with pytest.raises(WorkspaceNotFoundError):
                use()
    deleted.delete_workspace()


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'it never came true'
        time.sleep(0.05)


def adds_the_next(folder):
    def adds(context, event):
        (folder / f'round-{event["data"]}').touch()
        while not (folder / 'go').exists():
            time.sleep(0.05)
        following = CloudEvent('round', str(event['data'] + 1), data=event['data'] + 1)
        context.add_trigger(f'round-{event["data"] + 1}', following, action=PythonCallable(adds))
        context.publish(following)

    return adds


def test_triggers_that_add_one_another_end_when_their_workspace_is_deleted(config, tmp_path):
    tf = Triggerflow(f'w-{uuid.uuid4().hex[:8]}', config=config, log_level=None)
    home = tf._own().home
    tf.add_trigger('round-0', CloudEvent('round', '0'), action=PythonCallable(adds_the_next(tmp_path)))
    tf.publish(CloudEvent('round', '0', data=0))
    until((tmp_path / 'round-0').exists)
    tf.delete_workspace()
    (tmp_path / 'go').touch()
    # What it leaves is its change of the context, and then whatever it asked for
    until(lambda: tf._facts.list(f'{home}/c/'))
    time.sleep(1)
    assert not tf._facts.list(f'{home}/t/') and not (tmp_path / 'round-1').exists()


def test_a_workspace_that_has_ended_is_deleted_with_its_runs(tf):
    tf.add_trigger('merge', shard(), action=CallAsync(total))
    tf.publish(shard(1))
    assert at_the_end(tf, 'merge') == [1]
    runs = [*tf.runs('merge'), *tf.runs('end')]
    for run in runs:
        run.wait(timeout=60)
    tf.delete_workspace()
    left = [*tf._facts.list('triggerflow.runs/'), *tf._facts.list('triggerflow.jobs/'), *tf._facts.list('triggerflow.events/')]
    named = [*(run.run_id for run in runs), f'{tf._name}@']
    assert len(runs) == 2 and not [key for key in left if any(name in key for name in named)]


def nested(levels):
    found = []
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.parametrize(
    ('added', 'error', 'said'),
    [
        ({'trigger_id': 'a/b'}, InvalidTriggerError, "'a/b'"),
        ({'trigger_id': ''}, InvalidTriggerError, "''"),
        ({'event': {'type': 'x'}}, InvalidTriggerError, 'CloudEvent'),
        ({'event': None}, InvalidTriggerError, 'needs an event'),
        ({'condition': 'TRUE'}, InvalidConditionError, "'TRUE'"),
        ({'condition': {'name': 'SOME'}}, InvalidConditionError, 'SOME'),
        ({'condition': JOIN}, InvalidConditionError, 'JOIN needs its numbers'),
        ({'condition': {'name': 'NEVER'}}, InvalidConditionError, 'never hold'),
        ({'condition': TIMEOUT(1), 'transient': False}, InvalidConditionError, 'once'),
        ({'action': total}, InvalidActionError, r'CallAsync\(.*total\)'),
        ({'action': None}, InvalidActionError, 'An action is'),
        ({'action': END, 'transient': False}, InvalidTriggerError, 'ends once'),
        ({'context': {'when': datetime.now()}}, InvalidEventError, 'not JSON'),
        ({'context': ['a']}, InvalidEventError, "is a dict; found \\['a'\\]"),
        ({'condition': {'name': 'CALLABLE'}}, InvalidConditionError, 'is that function'),
        ({'condition': {'name': ['JOIN']}}, InvalidConditionError, 'found'),
    ],
)
def test_what_is_no_trigger_is_refused(local, added, error, said):
    given = {'trigger_id': 't', 'event': shard(), 'action': CallAsync(total), **added}
    with pytest.raises(error, match=said):
        local.add_trigger(**given)
    assert local.list_triggers() == []


@pytest.mark.parametrize(
    ('make', 'error', 'said'),
    [
        (lambda: CloudEvent('', 'today'), InvalidEventError, "'type'"),
        (lambda: CloudEvent('shard.done', ''), InvalidEventError, "'subject'"),
        (lambda: CloudEvent('shard.done', None), InvalidEventError, "'subject'"),
        (lambda: CloudEvent('shard.done', 'today', data=b'bytes'), InvalidEventError, 'not JSON'),
        (lambda: CloudEvent('shard.done', 'today', data=float('nan')), InvalidEventError, 'not JSON'),
        (lambda: CloudEvent('shard.done', 'today', data=nested(5000)), InvalidEventError, 'not JSON'),
        (lambda: JOIN(0), InvalidConditionError, 'at least 1; found 0'),
        (lambda: THRESHOLD(3, of=2), InvalidConditionError, 'never hold'),
        (lambda: TIMEOUT(-1), InvalidConditionError, '-1'),
        (lambda: TIMEOUT(10**400), InvalidConditionError, 'a hundred years at the most'),
        (lambda: TIMEOUT(1, TIMEOUT), InvalidConditionError, 'TIMEOUT'),
        (lambda: CallAsync(3), InvalidActionError, 'found 3'),
        (lambda: CallAsync(total, retry='often'), ConfigurationError, 'often'),
        (lambda: Publish('told'), InvalidActionError, "'told'"),
    ],
)
def test_what_is_no_event_no_condition_and_no_action_is_refused(make, error, said):
    with pytest.raises(error, match=said):
        make()


def test_a_document_is_an_event_if_it_is_one(local, config):
    with pytest.raises(InvalidEventError, match='subject'):
        local.publish({'specversion': '1.0', 'type': 'x', 'source': 'y', 'id': '1'})
    with pytest.raises(InvalidEventError, match='not JSON'):
        local.publish({'specversion': '1.0', 'type': 'x', 'source': 'y', 'id': '1', 'subject': 's', 'data': {1, 2}})
    with pytest.raises(InvalidTriggerError, match='a name is'):
        Triggerflow('a/b', config=config, log_level=None)


def test_who_waits_bears_sweeps_and_looks_that_fail(local, monkeypatch):
    monkeypatch.setattr(care, 'SWEEP', 0.0)
    reachable, refused, swept = local._facts.store, [], []

    class Flaky:
        def __getattr__(self, name):
            return getattr(reachable, name)

        def get(self, key):
            if len(refused) < 3 and key.endswith('ended.json'):
                refused.append(key)
                raise StoreUnavailable('not now')
            return reachable.get(key)

    def sweep():
        swept.append(1)
        raise StoreUnavailable('not now, either')

    local.add_trigger('end', shard(), action=END)
    monkeypatch.setattr(local, '_facts', Facts(Flaky(), pauses=()))
    monkeypatch.setattr(local, 'sweep', sweep)
    with pytest.raises(TimeoutError, match='has not ended within 1 s'):
        local.wait(timeout=1)
    monkeypatch.undo()
    local.publish(shard(5))
    assert len(refused) == 3 and swept and local.wait(timeout=60) == [5]
