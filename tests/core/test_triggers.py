"""Floor 0: events, keys, conditions, triggers and the engine."""

import pytest
import whole

from triggerflow_lithops.core import condition, event
from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.run import keys
from triggerflow_lithops.core.run.attempts import Execution
from triggerflow_lithops.core.run.engine import Engine
from triggerflow_lithops.core.run.keys import Call, claim_key
from triggerflow_lithops.core.run.trigger import Members, Trigger
from triggerflow_lithops.core.store import Facts, encode

STATUS = {
    'exception': False,
    'activation_id': 'abc',
    'call_id': '00004',
    'job_id': 'M001',
    'executor_id': 'run-7-x-0',
    'worker_start_tstamp': 1.0,
    'worker_end_tstamp': 2.5,
}


class Counting(MemoryStore):
    def __init__(self):
        super().__init__()
        self.counts = dict(get=0, put=0, list=0, listed=0)

    def get(self, key):
        self.counts['get'] += 1
        return super().get(key)

    def put_new(self, key, value):
        self.counts['put'] += 1
        return super().put_new(key, value)

    def list(self, prefix):
        found = super().list(prefix)
        self.counts['list'] += 1
        self.counts['listed'] += len(found)
        return found


@pytest.fixture
def store():
    return Counting()


@pytest.fixture
def actions():
    return []


@pytest.fixture
def engine(store, actions):
    return Engine(Facts(store), actions.append)


def wait_for(engine, calls, when=None, until_failure=False, number=0):
    calls = list(calls)
    jobs = {call.job: 0 for call in calls}
    trigger = Trigger('s', number, 5, when or condition.join(len(calls)), Members.of(calls), until_failure, jobs)
    engine.facts.write(keys.claim_key('s', number), encode({'cause': '', 'time': 0.0}))
    engine.facts.write(keys.trigger_key('s', number), encode(whole.trigger(trigger)))
    return engine.watch(trigger)


def end(engine, call, failed=False):
    engine.publish(Execution('s', call, 0, 0), encode(whole.event(call, failed)), failed=failed, now=0.0)


def calls_of(job, count):
    return [Call(job, number) for number in range(count)]


def test_a_termination_is_a_cloudevent():
    found = event.validated(event.termination_event('run-7/0/M001/00004', STATUS))
    assert found['type'] == event.SUCCESS and found['time'] == '1970-01-01T00:00:02.500000Z'


def test_a_failed_call_is_a_failure_event():
    assert event.termination_event('x', {**STATUS, 'exception': True})['type'] == event.FAILURE


@pytest.mark.parametrize('broken', [None, [], {}, {'id': '1'}, {**event.new_event('t', 's', 'x', time=0), 'specversion': '0.3'}])
def test_what_is_no_event_is_refused(broken):
    with pytest.raises(event.InvalidEventError):
        event.validated(broken)


@pytest.mark.parametrize(
    'broken',
    [
        None,
        {},
        {'name': 'SOME'},
        {'name': 'JOIN', 'count': 0},
        {'name': 'JOIN', 'count': '3'},
        {'name': 'THRESHOLD', 'count': 4, 'of': 3},
    ],
)
def test_what_is_no_condition_is_refused(broken):
    with pytest.raises(condition.InvalidConditionError):
        condition.validated(broken)


def test_a_join_holds_when_all_events_are_there():
    assert not condition.holds(condition.join(3), 2) and condition.holds(condition.join(3), 3)


def test_a_threshold_holds_when_enough_events_are_there():
    assert not condition.holds(condition.threshold(2, 5), 1) and condition.holds(condition.threshold(2, 5), 2)


def test_true_holds_with_the_first_event():
    assert not condition.holds(condition.always(), 0) and condition.holds(condition.always(), 1)


def test_members_are_ranges_and_come_back_as_they_were():
    calls = [Call('0-M000', 3), Call('0-M000', 1), Call('0-M000', 2), Call('1-A000', 0)]
    members = Members.of(calls)
    assert members.ranges == {'0-M000': [[1, 4]], '1-A000': [[0, 1]]} and set(members) == set(calls)


def test_a_trigger_survives_its_document():
    trigger = Trigger('s', 3, 7, condition.threshold(1, 2), Members.of(calls_of('0-M000', 2)), True, {'0-M000': 3})
    assert Trigger.from_document('s', trigger.document()) == trigger


def test_a_key_of_one_run_is_no_key_of_another():
    assert keys.is_key_of('a-1', 'triggerflow.jobs/a-1/p/000000.json')
    assert keys.is_key_of('a-1', 'triggerflow.jobs/a-1-0-M000/00000/status.json')
    assert not keys.is_key_of('a-1', 'triggerflow.jobs/a-10/p/000000.json')
    assert not keys.is_key_of('a-1', 'triggerflow.jobs/a-1-b-2/p/000000.json')


@pytest.mark.parametrize('run_id', ['', 'a/b', '..', 'a b', 'x' * 65, 'ü', None])
def test_what_is_no_run_id_is_known(run_id):
    assert not keys.is_run_id(run_id)


def test_the_last_event_fires(engine, actions):
    calls = calls_of('0-M000', 3)
    assert not wait_for(engine, calls)
    for call in calls:
        assert not actions
        end(engine, call)
    assert [action['number'] for action in actions] == [1]


def test_an_event_before_its_trigger_counts(engine):
    calls = calls_of('0-M000', 25)
    for call in calls:
        end(engine, call)
    assert wait_for(engine, calls)


def test_an_event_that_comes_twice_counts_once(engine, actions):
    calls = calls_of('0-M000', 2)
    wait_for(engine, calls)
    end(engine, calls[0])
    end(engine, calls[0])
    assert not actions


def test_a_second_value_of_a_call_is_never_seen(engine, store):
    call = Call('0-A000', 0)
    end(engine, call)
    end(engine, call, failed=True)
    assert store.get(keys.event_key('s', call)) == encode(whole.event(call))


def test_a_number_that_is_claimed_is_not_started_again(engine, actions):
    calls = calls_of('0-M000', 12)
    wait_for(engine, calls, condition.threshold(1, 12))
    engine.facts.write(claim_key('s', 1), encode({'cause': '', 'time': 0.0}))
    end(engine, calls[3])
    assert not actions


def test_only_those_who_are_waited_for_wake_anybody(engine, actions):
    """Calls are listed by tens, so a call sees the watch upon its neighbours."""
    calls = calls_of('0-M000', 3)
    assert not wait_for(engine, calls[:1])
    for call in calls:
        end(engine, call)
    assert len(actions) == 1


def test_the_first_failure_fires_where_it_is_waited_for(engine, actions):
    calls = calls_of('0-M000', 40)
    wait_for(engine, calls, until_failure=True)
    end(engine, calls[39], failed=True)
    assert len(actions) == 1


def test_a_failure_wakes_nobody_who_waits_for_all(engine, actions):
    calls = calls_of('0-M000', 40)
    wait_for(engine, calls)
    end(engine, calls[39], failed=True)
    assert not actions


def test_enough_of_many_fire(engine, actions):
    calls = calls_of('0-M000', 40)
    wait_for(engine, calls, condition.threshold(3, 40))
    for number in (39, 0, 20):
        assert not actions
        end(engine, calls[number])
    assert len(actions) == 1


@pytest.mark.parametrize(('until_failure', 'needed'), [(False, 1), (True, 3)])
def test_a_worker_that_died_before_it_woke_the_run_is_stood_in_for_by_its_report(engine, actions, until_failure, needed):
    calls = calls_of('0-M000', 3)
    when = condition.join(3) if needed == 3 else condition.threshold(needed, 3)
    assert not wait_for(engine, calls, when, until_failure)
    # What a worker writes that is about to wake the run, and is killed
    engine.facts.write(keys.event_key('s', calls[0]), encode(whole.event(calls[0], exception=until_failure)))
    engine.facts.write(keys.fired_key('s', 0), encode({}))
    end(engine, calls[0])
    assert not actions
    again = Execution('s', calls[0], 0, 0, redelivered=True)
    engine.publish(again, encode({'exception': True}), failed=True, now=0.0)
    assert [action['number'] for action in actions] == [1]


@pytest.mark.parametrize('count', [100, 1000])
def test_a_fan_in_costs_a_bounded_number_of_requests_per_call(engine, store, actions, count):
    import random

    calls = calls_of('0-M000', count)
    wait_for(engine, calls)
    random.Random(count).shuffle(calls)
    for call in calls:
        end(engine, call)
    assert len(actions) == 1
    assert store.counts['put'] < 1.1 * count and store.counts['list'] < 1.1 * count + 10
    assert store.counts['get'] < 0.5 * count and store.counts['listed'] < 25 * count


def test_a_join_may_be_over_several_jobs(engine, actions):
    calls = calls_of('0-M000', 15) + calls_of('1-A003', 1)
    wait_for(engine, calls)
    for call in calls:
        assert not actions
        end(engine, call)
    assert len(actions) == 1


@pytest.mark.parametrize('newest', [0, 1, 2, 3, 6, 7, 100, 1023])
def test_the_newest_activation_is_found_in_a_few_requests(engine, store, newest):
    for number in range(newest + 1):
        store.put_new(claim_key('s', number), encode({}))
    store.counts['get'] = 0
    assert engine.newest_activation('s', since=0) == engine.newest_activation('s') == newest
    assert store.counts['get'] <= 22


class Deaf:
    """A service that takes triggers, and refuses some events."""

    def __init__(self, takes):
        self.takes = takes

    def watch(self, session, number, members, count):
        return True

    def tell(self, session, job, number, failed):
        return next(self.takes)


def test_an_event_that_a_service_is_not_told_again_is_waited_for_in_the_bucket(store, actions):
    """The first call ends before the service knows its trigger, and what is told again is refused."""
    engine = Engine(Facts(store), actions.append, Deaf(iter([True, False, True])))
    calls = calls_of('0-M000', 2)
    watch = engine._service.watch
    engine._service.watch = lambda *asked: end(engine, calls[0]) is None and watch(*asked)
    assert not wait_for(engine, calls)
    end(engine, calls[1])
    assert [action['number'] for action in actions] == [1]


def test_a_trigger_that_an_earlier_one_hides_is_waited_for_in_the_bucket(store, actions):
    """The first activation waited in the bucket, and its trigger holds for every call that ends from then on."""
    engine = Engine(Facts(store), actions.append)
    calls = calls_of('0-M000', 3)
    wait_for(engine, calls, condition.threshold(1, 3))
    end(engine, calls[0])
    # The second one waits in a service, which refuses the event that it waits for
    engine = Engine(Facts(store), actions.append, Deaf(iter([False])))
    wait_for(engine, calls[1:2], number=1)
    end(engine, calls[1])
    assert [action['number'] for action in actions] == [1, 2]
