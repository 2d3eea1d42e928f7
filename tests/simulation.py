"""
Whole runs in one process, on the real engine, replay and history.

Every storage request is a point where another actor may go on, where the actor
may die, and where the store may fail or lie. One actor runs at a time, chosen by a
seed, so a seed is a reproduction. The clock is virtual: it moves by one second
for each request.
"""

import json
import random
import threading
from collections import Counter
from dataclasses import dataclass, field

from triggerflow_lithops.activation import read_history
from triggerflow_lithops.replay import Fingerprint, Replay, digest_of
from triggerflow_lithops.triggers.attempt import DEFAULT
from triggerflow_lithops.triggers.engine import Engine
from triggerflow_lithops.triggers.keys import Call, claim_key, outcome_key
from triggerflow_lithops.triggers.memory import MemoryStore
from triggerflow_lithops.triggers.store import Facts, StoreUnavailable
from triggerflow_lithops.triggers.sweep import Limits, Sweeper

SESSION = 'run-0'
LIFE = 2000
LIMITS = Limits(life=LIFE / 2, start=LIFE / 2, max_deaths=1000)


class Died(BaseException):
    """The process of this actor is gone."""


class Left(BaseException):
    """The orchestrator's thread was left standing."""

    def __init__(self, left):
        self.left = left


@dataclass(frozen=True)
class Faults:
    """How often, of a thousand requests or invocations, each fault is injected."""

    dies: int = 0
    refused: int = 0
    lied: int = 0
    lost: int = 0
    twice: int = 0
    vanishes: int = 0


NONE = Faults()
SOFT = Faults(refused=30, lied=30, twice=100)
HARD = Faults(dies=15, refused=20, lied=20, lost=60, twice=60)


class SimulatedStore:
    """The memory store, behind a network: every request passes the baton."""

    def __init__(self, simulation):
        self._simulation = simulation
        self._store = simulation.store

    def get(self, key):
        return self._request(lambda: self._store.get(key))

    def list(self, prefix):
        return self._request(lambda: self._store.list(prefix))

    def put_new(self, key, value):
        if self._simulation.happens('lied'):
            # It succeeded, and the answer was lost: the caller tries again
            self._store.put_new(key, value)
            raise StoreUnavailable('no answer')
        return self._request(lambda: self._store.put_new(key, value))

    def delete(self, keys):
        self._store.delete(keys)

    def _request(self, request):
        self._simulation.requests += 1
        self._simulation.now += 1
        self._simulation.pass_on()
        if self._simulation.happens('dies'):
            raise Died
        if self._simulation.happens('refused'):
            raise StoreUnavailable('refused')
        answer = request()
        self._simulation.pass_on()
        if self._simulation.happens('dies'):
            raise Died
        return answer


class Program:
    """What an orchestrator of the corpus may do."""

    def __init__(self, simulation, replay, number):
        self._simulation = simulation
        self._replay = replay
        self._number = number
        self._jobs = 0

    def map(self, function, items):
        job = f'0-M{self._jobs:03d}'
        self._jobs += 1
        fingerprint = Fingerprint('map', function, len(items), digest_of(items))

        def invoke(fact, indices, number):
            for index in indices:
                self._simulation.invoke_call(Call(job, index), function, items[index], number)

        self._replay.job(job, fingerprint, lambda: {'func_key': function, 'retry': DEFAULT, 'lifetime': 10 * LIFE}, invoke)
        return [Call(job, index) for index in range(len(items))]

    def wait(self, calls, needed=None, until_failure=False):
        return self._replay.wait(calls, len(calls) if needed is None else needed, until_failure)

    def value(self, call):
        return self._replay.history.events[call].get('value')

    def failed(self, call):
        return self._replay.history.events[call]['exception']

    def values(self, calls):
        self.wait(calls)
        return [self.value(call) for call in calls]

    def now(self):
        return self._replay.choice('now', '', lambda: self._simulation.now)


@dataclass
class Simulation:
    """One run of one program, with faults chosen by a seed."""

    program: object
    seed: int
    faults: Faults = NONE
    sweeps: bool = True
    store: MemoryStore = field(default_factory=MemoryStore)
    now: int = 0
    requests: int = 0
    counts: Counter = field(default_factory=Counter)
    invocations: Counter = field(default_factory=Counter)
    repaired: list = field(default_factory=list)
    hurt: bool = False
    broken: list = field(default_factory=list)
    seen: dict = field(default_factory=dict)

    def __post_init__(self):
        self.random = random.Random(self.seed)
        self._local = threading.local()
        self._ready = []
        self._baton = threading.Semaphore(0)
        self._acting = None

    # The scheduler

    def run(self, most=60_000):
        """Until the outcome is there and nobody is under way. Returns the outcome."""
        self.spawn(self._activate, 0, 0)
        calm = 0
        while self._ready or not self._outcome():
            if self.requests > most:
                self.broken.append(f'nothing ends: {self.requests} requests')
                break
            if not self._ready:
                calm += 1
                if not self.sweeps or calm > 100:
                    self.broken.append('everything waits for ever')
                    break
                self.now += LIFE
                self._sweep()
                continue
            actor = self._ready.pop(self.random.randrange(len(self._ready)))
            self._acting = actor
            actor.turn.release()
            self._baton.acquire()
        for actor in self._ready:
            actor.doomed = True
            actor.turn.release()
            self._baton.acquire()
        outcome = self._outcome()
        return outcome and json.loads(outcome)

    def spawn(self, function, *arguments):
        actor = _Actor(self, function, arguments)
        self._ready.append(actor)
        actor.start()

    def pass_on(self):
        """Lets another actor go on, maybe this one."""
        actor = self._acting
        if actor is None:
            return
        self._ready.append(actor)
        self._baton.release()
        actor.turn.acquire()
        if actor.doomed:
            raise Died

    def happens(self, fault):
        if self._acting is None or self.random.randrange(1000) >= getattr(self.faults, fault):
            return False
        self.counts[fault] += 1
        self.hurt = True
        return True

    # What is invoked

    def invoke_call(self, call, function, argument, number):
        self.invocations[call] += 1
        self._deliver(self._work, call, function, argument, number)

    def start_activation(self, number, deaths):
        self.invocations['activation'] += 1
        self._deliver(self._activate, number, deaths)

    def _deliver(self, function, *arguments):
        if self.happens('lost') and function == self._activate:
            return
        self.spawn(function, *arguments)
        if self.happens('twice'):
            self.spawn(function, *arguments)

    def _work(self, call, function, argument, number, tries=0):
        try:
            value, failed = _WORK[function](argument)
            # Two executions of a call never agree on anything but the law
            value = value if function != 'random' else self.random.random()
            status = {'value': value, 'exception': failed, 'nonce': self.random.random()}
            self._engine(0).publish(SESSION, call, json.dumps(status).encode(), failed=failed, scheduled_by=number)
        except Died:
            # The function service delivers again what it accepted
            self.spawn(self._work, call, function, argument, number, tries + 1)

    def _activate(self, number, deaths):
        facts = Facts(SimulatedStore(self), pauses=(0,) * 8, sleep=lambda seconds: None)
        try:
            ours, _ = facts.create(claim_key(SESSION, number), {'cause': '', 'time': self.now})
            if not ours or facts.read(outcome_key(SESSION)) is not None:
                return
            replay = Replay('run', SESSION, number, read_history(facts, SESSION, number), self._engine(0, facts), self)
            value = self.program(Program(self, replay, number))
            replay.finish({'status': 'completed', 'value': value})
        except Left as left:
            if type(left.left).__name__ == 'Failed':
                facts.create(outcome_key(SESSION), {'status': 'failed', 'error': str(left.left.error)})
        except (Died, StoreUnavailable):
            if not self._acting.doomed:
                self._mourn(number, deaths + 1)

    def _mourn(self, number, deaths):
        """What the reporter does when the process of an activation is gone."""
        try:
            Sweeper(self._engine(deaths), SESSION, LIMITS).bury(number, 'killed', self.now)
        except (Died, StoreUnavailable):
            pass

    def _engine(self, deaths, facts=None):
        facts = facts or Facts(SimulatedStore(self), pauses=(0,) * 8, sleep=lambda seconds: None)
        return Engine(facts, lambda action: self.start_activation(action['number'], deaths))

    def _sweep(self):
        self._acting = None
        sweeper = Sweeper(self._engine(0), SESSION, LIMITS)
        self.repaired += sweeper.sweep(self.now, 0, pause=lambda: None)

    def _outcome(self):
        return self.store.get(outcome_key(SESSION))

    # The world of a replay

    def time(self):
        return self.now

    def leave(self, left):
        raise Left(left)

    def each(self, function, items):
        return [function(item) for item in items]

    def caught_up(self):
        pass


class _Actor(threading.Thread):
    def __init__(self, simulation, function, arguments):
        super().__init__(daemon=True)
        self.turn = threading.Semaphore(0)
        self.doomed = False
        self._simulation = simulation
        self._function = function
        self._arguments = arguments

    def run(self):
        self.turn.acquire()
        try:
            if not self.doomed:
                self._function(*self._arguments)
        except Died:
            pass
        except BaseException as error:
            self._simulation.broken.append(repr(error))
        finally:
            self._simulation._baton.release()


_WORK = {
    'add': lambda x: (x + 3, False),
    'odd': lambda x: (x, bool(x % 2)),
    'random': lambda x: (None, False),
}


def sequence(program):
    value = 0
    for _ in range(4):
        value = program.values(program.map('add', [value]))[0]
    return value


def fan_out(program):
    first, second = program.map('add', list(range(23))), program.map('add', [100, 200])
    return [program.values(second), program.values(first)]


def together(program):
    calls = program.map('add', list(range(12))) + program.map('add', [50])
    return program.values(calls)


def any_of(program):
    calls, order = program.map('random', list(range(6))), []
    while calls:
        done = program.wait(calls, needed=1)
        order += [program.value(call) for call in done]
        calls = [call for call in calls if call not in done]
    return sorted(order) == sorted(set(order)) and len(order)


def share_of(program):
    calls = program.map('add', list(range(15)))
    return len(program.wait(calls, needed=7)) >= 7


def decide(program):
    seen = program.values(program.map('random', [0, 0]))
    if program.now() % 2 or seen[0] < seen[1]:
        program.values(program.map('add', [1, 2, 3]))
    return program.values(program.map('add', [1]))


def first_failure(program):
    calls = program.map('odd', list(range(14)))
    failed = [call for call in program.wait(calls, until_failure=True) if program.failed(call)]
    return [bool(failed), program.values(program.map('add', [1]))]


#: Programs, and what each returns whatever happens on the way
CORPUS = {
    sequence: 12,
    fan_out: [[103, 203], [x + 3 for x in range(23)]],
    together: [*(x + 3 for x in range(12)), 53],
    any_of: 6,
    share_of: True,
    decide: [4],
    first_failure: [True, [4]],
}
