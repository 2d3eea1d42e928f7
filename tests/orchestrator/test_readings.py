"""What an orchestrator reads of clock and chance: recorded, at no request, and the same on every replay."""

import datetime
import os
import pickle
import tempfile
import threading
import time
import uuid
from datetime import datetime as by_name

import cloudpickle
import lithops
import pytest
import whole

from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.run.engine import Engine
from triggerflow_lithops.core.run.keys import Call, claim_key, death_key, event_key
from triggerflow_lithops.core.store import Facts, encode
from triggerflow_lithops.orchestrator.activation import read_history
from triggerflow_lithops.orchestrator.hooks.clocks import reader_of
from triggerflow_lithops.orchestrator.hooks.install import hook
from triggerflow_lithops.replay.effects import Superseded, Suspended
from triggerflow_lithops.replay.readings import MOST
from triggerflow_lithops.replay.replay import Replay
from triggerflow_lithops.testing import simulate

SESSION = 'run-0'
#: What each activation has seen. In a simulation they share this process
SEEN = []


class Gone(Exception):
    """An activation has ended, as its argument says."""


class World:
    def time(self):
        return 100.0

    def sleep(self, seconds):
        raise AssertionError('nothing here has to wait')

    def stop(self, left):
        raise Gone(left)

    def each(self, function, items):
        return [function(item) for item in items]

    def caught_up(self):
        pass


class CountingStore(MemoryStore):
    def __init__(self):
        super().__init__()
        self.requests = 0

    def put_new(self, key, value):
        self.requests += 1
        return super().put_new(key, value)

    def get(self, key):
        self.requests += 1
        return super().get(key)


@pytest.fixture
def store():
    return CountingStore()


@pytest.fixture
def started():
    """What was started, as actions."""
    return []


@pytest.fixture
def activation(store, started):
    """Begins an activation of the run: ``activation(number)``."""

    def begin(number):
        facts = Facts(store, pauses=())
        facts.create(claim_key(SESSION, number), {'cause': 'a test', 'time': 0.0})
        for earlier in range(number):
            # Taken for dead, or it would have been followed upon for its trigger
            facts.create(death_key(SESSION, earlier), {'reason': 'a test', 'time': 0.0, 'due': 0.0})
        history = read_history(facts, SESSION, number, World().each)
        return Replay('run', SESSION, number, history, Engine(facts, started.append), World())

    return begin


def read(replay, value, module='__main__'):
    return replay.read(module, type(value), lambda: value)


def choose(replay, value=7.0):
    return replay.choice('now', '', lambda: value)


def suspend(replay, *calls):
    with pytest.raises(Gone) as gone:
        replay.wait([Call('0-A000', call) for call in calls], len(calls), False)
    (left,) = gone.value.args
    assert isinstance(left, Suspended)


def end(store, call):
    store.put_new(event_key(SESSION, Call('0-A000', call)), encode(whole.event(Call('0-A000', call))))


def scheduled(replay):
    replay.job('0-A000', choice_of_a_job(), prepared_job, lambda *_: None)


def prepared_job():
    more = ('job', 'fingerprint', 'activation', 'time')
    return {name: value for name, value in whole.job(calls=0).items() if name not in more}


def choice_of_a_job():
    from triggerflow_lithops.replay.fingerprint import Fingerprint

    return Fingerprint('map', 'f', 3, '00000000')


# Recorded with the next fact, or with the trigger


def test_a_reading_is_recorded_with_the_fact_that_follows_upon_it(activation):
    first = activation(0)
    assert read(first, 1) == 1
    choose(first)
    assert read(activation(1), 2) == 1


def test_a_reading_is_recorded_with_the_trigger(activation):
    first = activation(0)
    scheduled(first)
    read(first, 1)
    suspend(first, 0)
    second = activation(1)
    scheduled(second)
    assert read(second, 2) == 1


def test_a_reading_costs_no_request(activation, store):
    replay = activation(0)
    before = store.requests
    read(replay, 1)
    assert store.requests == before
    choose(replay)
    without = activation(1)
    between = store.requests
    choose(without)
    choose(without)
    assert store.requests - between == 1


def test_what_was_read_before_a_wait_that_was_over_is_recorded_with_the_fact_after_it(activation, store):
    first = activation(0)
    scheduled(first)
    end(store, 0)
    read(first, 1)
    first.wait([Call('0-A000', 0)], 1, False)
    read(first, 2)
    choose(first)
    # It went on as activation 1
    second = activation(2)
    scheduled(second)
    assert read(second, 3) == 1
    second.wait([Call('0-A000', 0)], 1, False)
    assert read(second, 4) == 2


def test_each_module_has_readings_of_its_own(activation):
    first = activation(0)
    read(first, 1, 'a_library'), read(first, 2)
    choose(first)
    second = activation(1)
    assert (read(second, 3), read(second, 4, 'a_library')) == (2, 1)


def test_a_reading_of_another_kind_is_a_real_one(activation):
    first = activation(0)
    read(first, 1)
    choose(first)
    assert read(activation(1), 'name') == 'name'


def test_more_readings_than_are_kept_are_real_ones(activation):
    first = activation(0)
    for number in range(MOST + 5):
        read(first, number)
    choose(first)
    second = activation(1)
    assert [read(second, -1) for _ in range(MOST + 2)][-3:] == [MOST - 1, -1, -1]


# Two activations at once


def test_two_activations_that_read_differently_before_a_wait_that_is_over_meet_there(activation, store):
    scheduled(activation(0))
    older, newer = activation(1), activation(2)
    scheduled(older), scheduled(newer)
    end(store, 0)
    read(newer, 2), read(older, 1)
    newer.wait([Call('0-A000', 0)], 1, False)
    with pytest.raises(Gone) as gone:
        older.wait([Call('0-A000', 0)], 1, False)
    assert 'has read another time' in gone.value.args[0].why


def test_an_older_activation_that_loses_a_fact_steps_back(activation, started):
    older = activation(0)
    read(older, 1)
    newer = activation(1)
    read(newer, 2)
    choose(newer)
    with pytest.raises(Gone) as gone:
        choose(older)
    assert isinstance(gone.value.args[0], Superseded) and not started


def test_a_newer_activation_that_loses_a_fact_gives_way_to_its_successor(activation, store, started):
    older, newer = activation(0), activation(1)
    read(older, 1), read(newer, 2)
    choose(older)
    with pytest.raises(Gone):
        choose(newer)
    (action,) = started
    assert action['number'] == 2 and store.get(death_key(SESSION, 1))
    assert read(activation(2), 3) == 1


def test_two_activations_that_have_read_the_same_go_on_together(activation):
    older, newer = activation(0), activation(1)
    read(older, 1), read(newer, 1)
    assert choose(older, 1.0) == choose(newer, 2.0) == 1.0


def test_an_activation_that_begins_late_finds_that_a_newer_one_goes_on(activation):
    newer = activation(2)
    read(newer, 2)
    choose(newer)
    assert read_history(newer.facts, SESSION, 1, World().each).newest == 2


def test_a_trigger_is_void_once_another_activation_has_gone_on_with_other_readings(activation, store):
    older = activation(0)
    scheduled(older)
    newer = activation(1)
    scheduled(newer)
    read(older, 1), read(newer, 2)
    suspend(older, 0)
    for call in (0, 1):
        end(store, call)
    # What it waits for depends on what it has read
    newer.wait([Call('0-A000', 0), Call('0-A000', 1)], 2, False)
    choose(newer)
    last = activation(2)
    scheduled(last)
    assert read(last, 3) == 2
    last.wait([Call('0-A000', 0), Call('0-A000', 1)], 2, False)
    assert choose(last, 2.0) == 7.0


# What is hooked


def everything():
    """One reading of each kind."""
    folder = tempfile.mkdtemp(prefix='readings-')
    descriptor, file = tempfile.mkstemp(suffix=b'.txt', dir=os.fsencode(folder))
    os.close(descriptor)
    with tempfile.NamedTemporaryFile(dir=folder) as named, tempfile.TemporaryDirectory() as other:
        names = [folder, file, named.name, other, tempfile.mktemp('.csv')]
    return {
        'time': time.time(),
        'time_ns': time.time_ns(),
        'clock_gettime': time.clock_gettime(time.CLOCK_REALTIME),
        'localtime': time.localtime(),
        'gmtime': time.gmtime(),
        'ctime': time.ctime(),
        'asctime': time.asctime(),
        'strftime': time.strftime('%H:%M:%S'),
        'now': datetime.datetime.now(),
        'now with a zone': datetime.datetime.now(datetime.timezone.utc),
        'utcnow': datetime.datetime.utcnow(),
        'datetime.today': datetime.datetime.today(),
        'date.today': datetime.date.today(),
        'imported by name': by_name.now(),
        'uuid1': uuid.uuid1(),
        'uuid4': uuid.uuid4(),
        'names': names,
    }


def add3(x):
    time.sleep(100)
    return x + 3


def sees_everything():
    seen = [everything()]
    fexec = lithops.FunctionExecutor()
    for step in range(3):
        fexec.call_async(add3, step).result()
        seen.append(everything())
    SEEN.append(seen)
    fexec.call_async(add3, 0).result()


@pytest.fixture
def seen():
    SEEN.clear()
    return SEEN


@pytest.mark.filterwarnings('ignore:.*utcnow')
def test_everything_that_reads_clock_or_chance_is_the_same_on_each_replay(seen):
    simulate(sees_everything)
    first, again = seen
    assert first == again
    moments = [found['time_ns'] for found in first]
    assert moments == sorted(set(moments)) and len({found['uuid4'] for found in first}) == 4


def test_the_time_that_is_read_is_the_time():
    def reads():
        return time.time(), datetime.datetime.now().timestamp(), time.mktime(time.localtime()), time.time_ns() / 1e9

    # Virtual time begins in 2027
    assert all(abs(found - 1_800_000_000) < 10 for found in simulate(reads).result())


def test_a_given_time_is_no_reading():
    def reads():
        return time.gmtime(0).tm_year, time.strftime('%Y', time.gmtime(0)), time.asctime(time.gmtime(0))[-4:]

    assert simulate(reads).result() == (1970, '1970', '1970')


def drawn_by_a_call(x):
    return uuid.uuid4().hex


def draws_in_a_thread():
    drawn = []
    thread = threading.Thread(target=lambda: drawn.append(uuid.uuid4()))
    thread.start()
    thread.join()
    fexec = lithops.FunctionExecutor()
    values = fexec.get_result(fexec.map(drawn_by_a_call, range(3)))
    SEEN.append((*drawn, len(set(values))))
    fexec.call_async(add3, 1).result()


def test_other_threads_and_calls_read_for_themselves(seen):
    simulate(draws_in_a_thread)
    (first, values), (again, _) = seen
    assert first != again and values == 3


def test_what_asks_the_time_for_a_storage_client_or_a_logger_is_not_the_orchestrator():
    def asked_by(*modules):
        scope = {}
        code = 'def ask(): return inner()' if len(modules) > 1 else 'import sys\ndef ask(): return reader_of(sys._getframe())'
        if len(modules) > 1:
            scope['inner'] = asked_by(*modules[:-1])
        scope |= {'reader_of': reader_of, '__name__': modules[-1]}
        exec(code, scope)
        return scope['ask']

    assert asked_by('botocore.auth', '__main__')() is None
    assert asked_by('email.utils', 'botocore.auth', '__main__')() is None
    assert asked_by('logging', '__main__')() is None
    assert asked_by('email.utils', '__main__')() == '__main__'
    assert asked_by('cubed.core.plan', '__main__')() == 'cubed.core.plan'


def test_outside_of_orchestrators_clocks_are_what_they_were():
    before = {name: getattr(time, name) for name in ('time', 'time_ns', 'localtime', 'gmtime', 'ctime', 'strftime')}
    now, code = vars(datetime.datetime)['now'], uuid.uuid4.__code__
    undo = hook()
    try:
        assert abs(time.time() - before['time']()) < 5 and abs(datetime.datetime.now().timestamp() - time.time()) < 5
        assert pickle.loads(pickle.dumps(time.time)) is time.time and cloudpickle.loads(cloudpickle.dumps(time.time_ns))() > 0
        stamp = datetime.datetime.now()
        assert type(stamp) is datetime.datetime and pickle.loads(cloudpickle.dumps(stamp)) == stamp
        named = pickle.loads(cloudpickle.dumps(datetime.datetime.now))
        assert named == datetime.datetime.now and abs(named().timestamp() - time.time()) < 5
        # As a function of C, it is no method where it is an attribute
        assert type('Timer', (), {'clock': time.time})().clock() > 0
    finally:
        undo()
    assert all(getattr(time, name) is found for name, found in before.items())
    assert vars(datetime.datetime)['now'] is now and uuid.uuid4.__code__ is code


def test_a_subclass_of_datetime_gives_its_own_kind():
    class Stamp(datetime.datetime):
        pass

    def reads():
        return [type(found).__name__ for found in (Stamp.now(), Stamp.utcnow(), Stamp.today())]

    assert simulate(reads).result() == ['Stamp'] * 3


# For real


def write(path):
    with open(path, 'w') as file:
        file.write('written by a call')
    return path


def test_a_stamp_an_id_and_a_temporary_folder_are_passed_to_calls_as_in_plain_lithops(run):
    from time import time as clock

    def main():
        fexec, began = lithops.FunctionExecutor(), clock()
        folder, stamp = tempfile.mkdtemp(), datetime.datetime.now()
        path = fexec.call_async(write, os.path.join(folder, uuid.uuid4().hex)).result()
        back = fexec.call_async(lambda given: given, (stamp,)).result()
        assert fexec.call_async(lambda clock: clock() > stamp, datetime.datetime.now).result()
        with open(path) as file:
            return file.read(), back == stamp, clock() >= began, os.listdir(folder) == [os.path.basename(path)]

    assert run(main) == ('written by a call', True, True, True)
