"""Triggers of a workspace, by themselves: what is published, what fires, what it costs, and what survives."""

import random
from collections import Counter

import pytest

from triggerflow_lithops.core import condition
from triggerflow_lithops.core.event import InvalidEventError, new_event
from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.store import Facts, StoreUnavailable, encode
from triggerflow_lithops.core.workspace import event_counter, keys
from triggerflow_lithops.core.workspace.event_counter import CountSnapshot, EventCounter
from triggerflow_lithops.core.workspace.keys import WorkspaceKeys, channel_of, digest_of
from triggerflow_lithops.core.workspace.workspace import Firing, TriggerExistsError, Workspace
from triggerflow_lithops.testing.faults import HARD, NONE, SOFT
from triggerflow_lithops.testing.scheduler import Process, Scheduler
from triggerflow_lithops.testing.store import Memory, SimulatedStore


def done(number, subject='a', source='urn:test'):
    return new_event('shard.done', subject, source, time=0.0, event_id=str(number))


def trigger(name='t', of=None, subjects=('a',), transient=True):
    events = [{'type': 'shard.done', 'subject': subject} for subject in subjects]
    return {'id': name, 'activation_events': events, 'condition': of or condition.always(), 'transient': transient}


@pytest.fixture
def started():
    return []


@pytest.fixture
def workspace(started):
    # As a run of an id of its own: one that was started is there
    return Workspace(Facts(MemoryStore()), 'home', lambda firing: firing in started or started.append(firing))


def test_a_trigger_fires_when_its_events_are_there(workspace, started):
    workspace.add(trigger(of=condition.join(3)))
    for number in range(3):
        assert not started
        workspace.publish(done(number))
    assert [(firing.number, len(firing.events)) for firing in started] == [('000000', 3)]


def test_an_event_with_an_id_that_was_seen_counts_once(workspace, started):
    workspace.add(trigger(of=condition.join(2)))
    assert [workspace.publish(done(1)), workspace.publish(done(1)), workspace.publish(done(1))] == [True, False, False]
    assert not started
    workspace.publish(done(1, source='urn:other'))
    assert len(started) == 1


def test_an_event_of_two_subjects_is_one(workspace, started):
    workspace.add(trigger(of=condition.join(2), subjects='ab'))
    workspace.publish(done(1, 'a'))
    workspace.publish(done(1, 'b'))
    assert not started
    workspace.publish(done(2, 'b'))
    assert len(started) == 1


def test_events_that_come_before_their_trigger_count(workspace, started):
    workspace.publish(done(1))
    workspace.publish(done(2))
    workspace.add(trigger(of=condition.join(2)))
    assert len(started) == 1


def test_all_triggers_of_an_event_fire(workspace, started):
    for name in ('one', 'two', 'three'):
        workspace.add(trigger(name))
    workspace.publish(done(1))
    assert sorted(firing.trigger['id'] for firing in started) == ['one', 'three', 'two']


def test_a_transient_trigger_fires_once_and_a_lasting_one_for_each(workspace, started):
    workspace.add(trigger('transient'))
    workspace.add(trigger('lasting', transient=False))
    workspace.add(trigger('pairs', condition.join(2), transient=False))
    for number in range(5):
        workspace.publish(done(number))
        workspace.publish(done(number))
    fired = [firing.trigger['id'] for firing in started]
    assert (fired.count('transient'), fired.count('lasting'), fired.count('pairs')) == (1, 5, 2)
    pairs = [firing.events for firing in started if firing.trigger['id'] == 'pairs']
    assert len({key for events in pairs for key in events}) == 4


def test_a_deleted_trigger_stays_deleted(workspace, started):
    workspace.add(trigger())
    assert workspace.triggers() == ['t'] and workspace.delete('t') and not workspace.delete('t')
    workspace.publish(done(1))
    workspace.sweep(lambda trigger_id, numbers: [])
    assert not started and workspace.triggers() == [] and workspace.trigger('t') is None
    with pytest.raises(TriggerExistsError, match='choose another id'):
        workspace.add(trigger())


def test_a_trigger_that_is_added_again_is_the_same(workspace, started):
    workspace.add(trigger())
    workspace.add(trigger())
    workspace.publish(done(1))
    assert len(started) == 1
    with pytest.raises(TriggerExistsError):
        workspace.add(trigger(of=condition.join(2)))


def test_a_trigger_whose_context_reads_otherwise_than_it_was_written_is_the_same(workspace, started):
    for _ in range(2):
        workspace.add({**trigger(), 'context': {'pair': (1, 2), 3: 4}})
    workspace.publish(done(1))
    assert len(started) == 1


def test_a_join_of_more_than_there_will_ever_be_waits(workspace, started):
    workspace.add(trigger(of=condition.join(10**400)))
    workspace.publish(done(1))
    assert not started


@pytest.mark.parametrize('field', ['type', 'subject', 'id', 'source'])
def test_an_event_that_lacks_something_is_refused(workspace, field):
    event = done(1)
    event[field] = ''
    with pytest.raises(InvalidEventError, match=field):
        workspace.publish(event)


@pytest.mark.parametrize('field', ['subject', 'time', 'dataref', 'datacontenttype'])
def test_an_event_that_says_something_else_than_a_string_is_refused(workspace, field):
    with pytest.raises(InvalidEventError, match=f"'{field}'"):
        workspace.publish({**done(1), field: 5})


class Counting(MemoryStore):
    """Counts requests, as a store that shows a thousand keys in one listing, and the keys that listings show."""

    def __init__(self):
        super().__init__()
        self.requests = self.listed = 0

    def get(self, key):
        self.requests += 1
        return super().get(key)

    def put_new(self, key, value):
        self.requests += 1
        return super().put_new(key, value)

    def list(self, prefix):
        found = super().list(prefix)
        self.requests += 1 + len(found) // 1000
        self.listed += len(found)
        return found


@pytest.mark.parametrize(('subjects', 'each', 'order'), [(1, 20_000, 'at random'), (200, 100, 'in turn')])
def test_a_join_of_20000_events_takes_a_few_requests_for_each(started, subjects, each, order):
    store = Counting()
    workspace = Workspace(Facts(store), 'home', started.append)
    names = [f's{number}' for number in range(subjects)]
    workspace.add(trigger(of=condition.join(subjects * each), subjects=names))
    events = [(number, name) for name in names for number in range(each)]
    if order == 'at random':
        random.Random(5).shuffle(events)
    for number, name in events[:-1]:
        workspace.publish(done(f'{name}/{number}', name))
    assert not started
    workspace.publish(done(f'{events[-1][1]}/{events[-1][0]}', events[-1][1]))
    assert len(started) == 1 and len(set(started[0].events)) == 20_000
    assert store.requests / 20_000 < 8
    assert store.listed / 20_000 < 150


def test_an_event_that_comes_again_costs_no_more_when_many_have_fired(started):
    store = Counting()
    workspace = Workspace(Facts(store), 'home', started.append)
    workspace.add(trigger(transient=False))
    for number in range(500):
        workspace.publish(done(number))
    before = store.requests
    workspace.publish(done(0))
    assert store.requests - before < 10 and started[-1].number == started[0].number
    before = store.requests
    assert workspace.sweep(lambda trigger_id, numbers: [numbers[0]]) == ['t'] and len(started) == 502
    assert store.requests - before < 20


class World:
    """Publishers, and whoever adds triggers, in virtual time: each request of theirs may fail, or be their last."""

    def __init__(self, seed, faults):
        self.random = random.Random(seed)
        self.scheduler = Scheduler(self.random)
        self.faults, self.chances = faults, faults.of_requests()
        self.memory, self.seen, self.started, self.wrong = Memory(), {}, [], []
        # A firing is a run of an id of its own: one that was started is there
        self.starts = Counter()
        self.outage_until = self.deaths = 0

    def happens(self, fault):
        return self.random.random() < getattr(self.faults, fault)

    def one_of_request(self):
        chance = self.random.random()
        return next((name for name, up_to in self.chances if chance < up_to), '')

    def kill(self, process, reported):
        self.deaths += 1
        self.scheduler.die()

    def count_request(self, process, key):
        pass

    def count_listed(self, process, keys):
        pass

    def hurt(self, process):
        pass

    def wrote(self, process, key):
        pass

    def broken(self, law):
        self.wrong.append(law)

    def start(self, firing):
        self.starts[firing.trigger['id'], firing.number] += 1
        if firing not in self.started:
            self.started.append(firing)

    def spawn(self, work, delay):
        process = Process('publisher', '', 0.0)
        store = SimulatedStore(self, self.memory, process, 'none', self.seen)
        home = Workspace(Facts(store, sleep=self.scheduler.sleep), 'home', self.start)

        def live():
            try:
                work(home)
            except StoreUnavailable:
                self.deaths += 1

        self.scheduler.spawn(process, live, delay)

    def play(self):
        while self.scheduler.step():
            pass

    def sweep(self):
        self.faults, self.chances, self.outage_until = NONE, [], 0

        def not_started(trigger_id, numbers):
            return [number for number in numbers if not self.starts[trigger_id, number]]

        self.spawn(lambda home: home.sweep(not_started), 0.0)
        self.play()


def simulate(seed, faults):
    """Fifty events, some of them twice, and four triggers, in any order. Whether somebody has died, and what is wrong."""
    world = World(seed, faults)
    events = [done(number, subject) for number in range(25) for subject in 'ab']
    # An id is one event, whatever its subject
    for number, event in enumerate(events):
        event['id'] = str(number)
    added = [
        trigger('once', condition.join(50), 'ab'),
        trigger('tens', condition.join(10), 'a', transient=False),
        trigger('each', subjects='b', transient=False),
        trigger('never', condition.join(51), 'ab'),
    ]
    spread = world.random.choice([0.2, 20])
    again = world.random.sample(events, 10)
    for event in [*events, *again]:
        world.spawn(lambda home, event=event: home.publish(event), world.random.uniform(0, spread))
    for document in added:
        world.spawn(lambda home, document=document: home.add(document), world.random.uniform(0, 1.2 * spread))
    world.play()
    if world.deaths:
        # Who has died comes again: a publisher or a client that is not told that it is done repeats it
        world.sweep()
        for event in events:
            world.spawn(lambda home, event=event: home.publish(event), 0.0)
        for document in added:
            world.spawn(lambda home, document=document: home.add(document), 0.0)
        world.play()
    fired = Counter(firing.trigger['id'] for firing in world.started)
    facts = Workspace(Facts(world.memory), 'home', world.start)
    wrong = [*world.wrong, *world.memory.written_twice]
    if faults is NONE:
        # One that comes again makes sure that what it has fired was started
        repeated = {WorkspaceKeys('home').event(channel_of(event['type'], event['subject']), digest_of(event)) for event in again}
        for firing in world.started:
            if world.starts[firing.trigger['id'], firing.number] > 1 + len(repeated & set(firing.events)):
                wrong.append(f'{firing.trigger["id"]} {firing.number} was started again and again')
    if fired != {'once': 1, 'tens': 2, 'each': 25}:
        wrong.append(dict(fired))
    for name, each in (('once', 50), ('tens', 10), ('each', 1)):
        consumed = [firing.events for firing in facts.firings(name)]
        if any(len(keys) != each for keys in consumed) or len({key for keys in consumed for key in keys}) != each * len(consumed):
            wrong.append(f'{name} fired for {consumed}')
    return world.deaths, wrong


@pytest.fixture
def in_small(monkeypatch):
    """So that a few events are many."""
    monkeypatch.setattr(event_counter, 'PAGE', 20)
    monkeypatch.setattr(keys, 'DIGITS', 1)


@pytest.mark.parametrize('faults', [NONE, SOFT, HARD], ids=['none', 'soft', 'hard'])
def test_triggers_fire_as_often_as_they_should_whatever_happens(in_small, faults):
    first = random.SystemRandom().randrange(10**9)
    for seed in range(first, first + 60):
        deaths, wrong = simulate(seed, faults)
        assert not wrong, (seed, deaths, wrong)


# The engine, broken on purpose


def add_without_a_look(self, found):
    self._facts.write(self._home.trigger(found['id']), encode(found))
    self._watch(found)


def add_after_watching(self, found):
    self._watch(found)
    self._evaluate(found['id'])
    self._facts.write(self._home.trigger(found['id']), encode(found))


def fire_whoever_finds_it(self, found, number, events):
    self._facts.create(self._home.firing(found['id'], number), {'events': events})
    self._start(Firing(found, number, events))


def mark_deliveries(self, channel, digest):
    again = digest_of({'source': 'delivery', 'id': str(random.random())})
    self._facts.write(self._home.mark(self._trigger_id, channel, again), b'{}')


def evaluate_by_an_older_look(self, trigger_id, published=None):
    state = self._state(trigger_id)
    known = Workspace(self._facts, self._home.prefix, self._start)
    known._state = lambda _: state
    evaluate(known, trigger_id, published)


def count_a_narrower_cell(self, look_key, in_all, digest):
    if not event_counter.is_long(in_all):
        return True
    look = self._facts.read(look_key) if look_key else None
    look = CountSnapshot(look['missing'], look['counts']) if look else CountSnapshot(in_all)
    return look.suggests_another({digest[: look.digits]: len(self.found(digest[: look.digits + 1]))})


evaluate = Workspace._evaluate


MUTANTS = {
    'no look once a trigger is added': (Workspace, 'add', add_without_a_look),
    'watches before the trigger': (Workspace, 'add', add_after_watching),
    'whoever finds it fired starts it': (Workspace, '_fire', fire_whoever_finds_it),
    'marks that count deliveries': (EventCounter, 'add', mark_deliveries),
    'a cell that is narrower than those of the look': (EventCounter, 'may_suffice', count_a_narrower_cell),
    'a look that was read before the mark was written': (Workspace, '_evaluate', evaluate_by_an_older_look),
}


@pytest.mark.parametrize('name', MUTANTS)
def test_a_workspace_that_is_broken_on_purpose_is_found(in_small, monkeypatch, name):
    monkeypatch.setattr(*MUTANTS[name])
    assert any(simulate(seed, faults)[1] for seed in range(1000) for faults in (SOFT, NONE))
