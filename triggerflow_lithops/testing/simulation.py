"""
A whole run in one process, on the real core: hooks, replay, engine, sweep.

What is simulated is the world around it: a clock, a store, a function service, and
what goes wrong with them. One process runs at a time, and a seed decides all that
could come out otherwise, so a seed is a reproduction.
"""

import contextlib
import functools
import json
import logging
import os
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator

import cloudpickle
import lithops.future
from lithops.monitoring.backends.triggerflow.invoke import run_field
from lithops.worker.utils import get_runtime_metadata

from ..client.history_report import Report
from ..client.run import value_of
from ..core.outcome import cancelled_run
from ..core.run import keys
from ..core.run.documents import Outcome, Policy
from ..core.run.keys import Call
from ..core.run.repair import Repair
from ..core.run.sweep import Sweeper
from ..core.store import Facts, StoreUnavailable, decode, encode
from ..orchestrator.activation import Orchestrator
from ..orchestrator.hooks.clocks import other_clock
from ..orchestrator.hooks.install import hook
from ..orchestrator.jobs import qualified_name
from ..retry import policy_of
from .faults import NONE, Faults
from .function_service import LARGEST_SKEW, LIMITS, SimulatedService
from .laws import Laws
from .removal import WHEN, remove_one
from .scheduler import EPOCH, Process, Scheduler
from .store import Memory, SimulatedStore
from .worker import InputStorage

RUN_ID = 'simulated'
INCARNATION = '0'
CONFIG: dict[str, Any] = {
    'lithops': {
        'backend': 'localhost',
        'storage': 'localhost',
        'monitoring': 'triggerflow',
        'execution_timeout': 600,
        'data_cleaner': False,
        'chunksize': 1,
        # All run in this process: Lithops need not look for modules to take along
        'include_modules': 'none',
    },
    'localhost': {'storage_bucket': 'storage', 'runtime': sys.executable, 'worker_processes': 1},
    'triggerflow': {'run': {'session': keys.session_of(RUN_ID, INCARNATION)}},
}

#: Counts requests that are not about the run: of a workspace that it is a firing of
ELSEWHERE = 'elsewhere'
#: How many calls an orchestrator may have scheduled and not yet waited for, unless it is said otherwise
MOST_PENDING = 200_000
#: After so many requests a run is taken for one that never ends …
MOST_REQUESTS = 1_000_000
#: A run is cancelled within so many seconds, and this share of those that are is purged at once
SOON, PURGED = (2.0, 120.0), 0.5
#: Seconds after which sweeps become rarer, the longer a run lasts
LONG_RUN = 20_000.0
#: … and after so many sweeps while nothing else was under way, of which the first ones come after a few minutes each,
#: and the last one after a century
PATIENT_SWEEPS, MOST_SWEEPS = 10, 35
#: Seconds between two sweeps at the most
CENTURY = 100 * 366 * 86_400.0


#: What follows from faults, and is counted where it is seen
SEEN = ('out_of_order', 'two_at_once', 'zombie', 'removed', 'cancelled', 'purged')


@dataclass(frozen=True)
class Simulated:
    """
    A run that was simulated.

    :param seed: that repeats it
    :param outcome: its document; None if it has none
    :param seconds: of virtual time, from its start to its outcome
    :param requests: to the store, by the kind of process that made them; as ``elsewhere`` those that
        were not about the run
    :param listed: keys that listings showed, by the kind of process that asked
    :param invocations: how often each call, and each activation by its number, was invoked
    :param faults: how often each was injected
    :param seen: how often what follows from them was seen: invocations that began out of
        order, two activations at once, and zombies, which outlived the run; how many
        objects of it were removed; and whether it was cancelled, and purged
    :param repaired: what sweeps repaired
    :param broken: laws that were broken, in words
    """

    seed: int
    outcome: Outcome | None
    seconds: float
    requests: 'Counter[str]'
    listed: 'Counter[str]'
    invocations: 'Counter[Call | int]'
    faults: 'Counter[str]'
    seen: 'Counter[str]'
    repaired: list[Repair]
    broken: list[str]
    memory: Memory
    document: dict[str, Any]

    @property
    def status(self) -> str:
        """``'running'``, ``'completed'``, ``'failed'``, ``'cancelled'`` or ``'lost'``."""
        return str(self.outcome['status']) if self.outcome else 'running'

    @property
    def calls(self) -> int:
        """How many calls were invoked, not counting how often."""
        return sum(isinstance(subject, Call) for subject in self.invocations)

    def result(self) -> Any:
        """What the orchestrator returned; raises what it raised."""
        if self.outcome is None:
            raise TimeoutError(f'The simulated run has no outcome (seed {self.seed}): {"; ".join(self.broken)}')
        return value_of(RUN_ID, self.outcome)

    def events(self) -> list[dict[str, Any]]:
        """Lithops' status of each call that has ended."""
        return self._documents(key for key in self.memory.list(keys.JOBS) if key.endswith('/status.json'))

    def jobs(self) -> list[dict[str, Any]]:
        """The facts that scheduled its jobs."""
        facts = self._documents(self.memory.list(keys.facts_prefix(keys.session_of(RUN_ID, INCARNATION))))
        return [fact for fact in facts if 'retry' in fact]

    def _documents(self, found: Iterable[str]) -> list[dict[str, Any]]:
        return [decode(value) for value in map(self.memory.get, found) if value is not None]

    def history(self) -> list[dict[str, Any]]:
        """All that happened, as ``Run.history()`` tells it. Times are virtual."""
        return self._report().history()

    def activations(self) -> list[dict[str, Any]]:
        """One dict per activation, as ``Run.activations()`` tells it."""
        return self._report().activations()

    def _report(self) -> Report:
        return Report(self.document, keys.session_of(RUN_ID, INCARNATION), Facts(self.memory))


class Simulation:
    """
    One run of one orchestrator.

    :param sweeps: whether somebody sweeps it, now and then
    :param reports_in_flight: whether the function service tells what it has
    :param most_requests: after which it is taken for one that never ends
    :param lanes: how many chunks of a job may be under way at one time; 0 for all of them
    :param elsewhere: whether triggers live in a service of their own
    :param cleaned: whether something that the run needs is removed at some moment
    :param cancelled: whether it is cancelled at some moment, and maybe purged
    :param most_pending: how many calls it may have scheduled and not yet waited for
    :param costs: whether what it costs, and how long a wake-up takes, are laws, too
    """

    def __init__(
        self,
        orchestrator: Callable[..., Any],
        args: Any,
        seed: int,
        faults: Faults = NONE,
        sweeps: bool = True,
        reports_in_flight: bool = True,
        retry: Any = None,
        most_requests: int = MOST_REQUESTS,
        lanes: int = 0,
        elsewhere: bool = False,
        cleaned: bool = False,
        cancelled: bool = False,
        most_pending: int = MOST_PENDING,
        costs: bool = False,
    ):
        self.seed = seed
        self.session = keys.session_of(RUN_ID, INCARNATION)
        self._faults = faults
        self._of_requests = faults.of_requests()
        self.counts: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self.listed: Counter[str] = Counter()
        self.invocations: Counter[Call | int] = Counter()
        self.repaired: list[Repair] = []
        self.timers = 0
        self.outage_until = 0.0
        self._requests = 0
        self._most_requests = most_requests
        self._swept_in_vain = 0
        self._repairing: Process | None = None
        self._latest_turn = 0
        self._ended: float | None = None
        self.seen: Counter[str] = Counter()
        self._random = random.Random(seed)
        self.scheduler = Scheduler(self._random)
        self.memory = Memory()
        self._seen: dict[str, bytes] = {}
        self._sweeps = sweeps
        self._cleaned = cleaned
        self._cancelled = cancelled
        self.laws = Laws(self.memory, self.session, costs)
        policy = policy_of(retry)
        self._document = _document(orchestrator, policy, lanes, most_pending)
        self._of_run = (f'{keys.JOBS}/', keys.outcome_key(self.session))
        field = run_field(RUN_ID, self.session, self._document['orchestrator'], policy)
        runs = Orchestrator(cloudpickle.dumps((orchestrator, args)), _runtime_metadata())
        self.memory.put_new(keys.code_key(self.session), runs.code)
        self.memory.put_new(keys.run_key(RUN_ID), encode(self._document))
        self._service = SimulatedService(self, runs, field, CONFIG, reports_in_flight, elsewhere)

    def run(self) -> Simulated:
        """Until there is an outcome and everything has come to rest, zombies included."""
        random.seed(self.seed)
        with _in_this_world(self.scheduler, self._open_storage):
            client = Process('client', RUN_ID, 0.0)
            self.scheduler.spawn(client, lambda: self._service.start_activation(client, 0, 'the run was started'))
            if self._sweeps:
                self._spawn_sweeper()
            if self._cleaned:
                self.scheduler.spawn(Process('cleaner', RUN_ID, 0.0), self._clean, self._random.uniform(*WHEN))
            if self._cancelled:
                soon = self._random.choice(SOON)
                self.scheduler.spawn(Process('client', RUN_ID, 0.0), self._cancel, self._random.uniform(0, soon))
            while self.scheduler.step():
                if self._ended is None and self.memory.get(keys.outcome_key(self.session)):
                    self._ended = self.scheduler.now
                if self._requests > self._most_requests:
                    self.laws.broken.append(f'nothing ends: {self._most_requests} requests')
                    break
            outcome = self.memory.get(keys.outcome_key(self.session))
            if outcome is None and not self.seen['purged']:
                self.laws.broken.append('everything waits for ever')
            self.laws.at_rest(self)
            self.scheduler.close()
        return Simulated(
            seed=self.seed,
            outcome=None if outcome is None else decode(outcome),
            seconds=(self._ended or self.scheduler.now) - EPOCH,
            requests=self.requests,
            listed=self.listed,
            invocations=self.invocations,
            faults=self.counts,
            seen=+self.seen,
            repaired=self.repaired,
            broken=self.laws.broken,
            memory=self.memory,
            document=self._document,
        )

    def _open_storage(self, config: Any) -> InputStorage:
        process = self.scheduler.current
        if process is None:
            raise RuntimeError('Outside of its calls, nothing of a simulated run reads the bucket.')
        return InputStorage(self._service.engine(process).facts)

    # What the store and the service ask

    @property
    def _is_calm(self) -> bool:
        """Whether there are no faults any more: after many sweeps in vain the next one completes, however much it looks at."""
        return self._swept_in_vain > PATIENT_SWEEPS

    def happens(self, fault: str) -> bool:
        """Whether this fault is injected now."""
        chance = 0 if self._is_calm else getattr(self._faults, fault)
        if not chance or self._random.random() >= chance:
            return False
        self.counts[fault] += 1
        return True

    def one_of_request(self) -> str:
        """Which fault is injected into a request, or into who makes it; '' for none."""
        if self._is_calm or not self._of_requests:
            return ''
        drawn = self._random.random()
        for fault, upto in self._of_requests:
            if drawn < upto:
                self.counts[fault] += 1
                return fault
        return ''

    def hurt(self, process: Process) -> None:
        """A fault has hurt this process, which may not do in time what it should, or at all."""
        process.was_hurt = True
        if process.kind == 'sweep':
            # Who only looks starts nothing
            self.laws.hurt.anyone |= self._repairing == process
        elif process.kind in ('client', 'trigger service'):
            self.laws.hurt.anyone = True
        else:
            self.laws.hurt.subjects.update(self._service.subjects(process))

    def astray(self, subjects: Iterable[Call | int], late: bool = False) -> None:
        """An invocation of these does not come, or not in time."""
        self.laws.hurt.delayed.update(subjects)
        if not late:
            self.laws.hurt.subjects.update(subjects)

    @contextlib.contextmanager
    def reporting(self, process: Process, call: Call) -> Iterator[None]:
        """Inside of it, this process reports the end of a call."""
        key = keys.event_key(self.session, call)
        ended = self.memory.get(key) is not None
        yield
        # Who found no event, and has written none, has started another attempt
        if ended or self.memory.written.get(key, (0.0, None))[1] is process:
            self.laws.promptness.reported(call, self.scheduler.now)

    def woken(self, number: int, alive: Callable[[Process], bool]) -> None:
        """A sweep has started the activation after ``number``."""
        self.laws.woken(number, alive)

    def kill(self, process: Process, reported: bool) -> None:
        """The current process dies."""
        self.hurt(process)
        self._service.died(process, reported)
        if process.kind == 'sweep':
            self._count_sweep()
            self._spawn_sweeper()
        self.scheduler.die()

    def reach(self, process: Process) -> SimulatedStore:
        """The store, as this process reaches it."""
        return SimulatedStore(self, self.memory, process, self.session, self._seen)

    def count_request(self, process: Process, key: str) -> None:
        """A request was made, about this key, or keys that begin so."""
        self.requests[process.kind if key.startswith(self._of_run) else ELSEWHERE] += 1
        self._requests += 1

    def count_listed(self, process: Process, keys: int) -> None:
        """A listing showed so many keys."""
        self.listed[process.kind] += keys

    def wrote(self, process: Process, key: str) -> None:
        """A process has written something new."""
        if self._ended is not None:
            self.laws.wrote_after_the_end(process, key)

    def broken(self, law: str) -> None:
        """A law was broken."""
        self.laws.broken.append(law)

    def invokes(self, by: Process) -> None:
        """The current process is about to invoke something, and may die before it does."""
        if by.kind == 'client' and not self._sweeps:
            # Nobody would report that
            return
        for fault in ('killed', 'vanished'):
            if self.happens(fault):
                self.kill(by, reported=fault == 'killed')

    def invoked(self, by: Process, subject: Call | int, due: float) -> None:
        """Somebody invoked something, to start when it is due."""
        self.invocations[subject] += 1
        self.timers += by.kind == 'activation' and isinstance(subject, int) and due > 0
        self.laws.invoked(by, subject)

    def starts(self, by: Process, position: int, calls: Iterable[Call]) -> None:
        """An activation invokes calls of the job that was scheduled at ``position``."""
        self.laws.starts(by, position, calls, self.scheduler.now)

    def began(self, turn: int, live_activations: int) -> None:
        """What was invoked begins."""
        self.seen['out_of_order'] += turn < self._latest_turn
        self.seen['two_at_once'] += live_activations > 1
        self._latest_turn = max(turn, self._latest_turn)

    def ended(self, process: Process) -> None:
        """A process came to its end by itself."""
        self.laws.promptness.ended(process, self.scheduler.now)
        self.seen['zombie'] += self._ended is not None and process.kind == 'activation'

    def taken_for_lost(self, call: Call, attempt: int, early: bool) -> None:
        """A sweep reports an attempt of a call as lost."""
        if early:
            self.laws.broken.append(f'attempt {attempt} of {call} was taken for lost before its time was up')
        # Of one that is written, nobody knows whether it was invoked, too
        written = self.memory.get(keys.attempt_key(self.session, call, attempt))
        if written is None and not self.invocations[call]:
            self.laws.broken.append(f'{call} was taken for lost, and nobody had ever invoked it')

    @property
    def has_code(self) -> bool:
        """Whether the function that runs an activation can be loaded."""
        return self.memory.get(keys.code_key(self.session)) is not None

    # The client, the cleaner, and the sweeper

    def _cancel(self) -> None:
        outcome = encode(cancelled_run(self.scheduler.now))
        if not self.memory.put_new(keys.outcome_key(self.session), outcome):
            return
        self.seen['cancelled'] += 1
        self._ended = self.scheduler.now
        if self._random.random() < PURGED:
            self.seen['purged'] += 1
            self.laws.is_purged = True
            prefixes = f'{keys.JOBS}/{self.session}', f'{keys.RUNS}/{RUN_ID}'
            for key in [key for prefix in prefixes for key in self.memory.list(prefix)]:
                self.memory.forget(key)
                self._seen.pop(key, None)

    def _clean(self) -> None:
        if self.memory.get(keys.outcome_key(self.session)) is None:
            self._seen.pop(remove_one(self.memory, self.session, self._random), None)
            self.seen['removed'] += 1
            self.laws.hurt.anyone = self.laws.hurt.by_a_cleaner = True

    def _spawn_sweeper(self) -> None:
        process = Process('sweep', RUN_ID, self._random.uniform(-LARGEST_SKEW, LARGEST_SKEW))
        # What was lost may have been due in a year, and a run may last as long: sweeps become rare
        lasts, in_vain = self.scheduler.now - EPOCH, max(0, self._swept_in_vain - PATIENT_SWEEPS)
        delay = self._random.uniform(20, 400) * max(1.0, lasts / LONG_RUN, 2.0**in_vain)
        self.scheduler.spawn(process, lambda: self._sweep(process), min(delay, CENTURY))

    def _count_sweep(self) -> None:
        self._swept_in_vain = self._swept_in_vain + 1 if self.scheduler.is_idle else 0

    def _sweep(self, process: Process) -> None:
        now = self.scheduler.now + process.skew
        sweeper = Sweeper(self._service.engine(process), self.session, LIMITS, self._service.in_flight)
        seconds = self._random.uniform(8, 15)

        def pause() -> None:
            self.scheduler.sleep(seconds)
            self._repairing = process

        with contextlib.suppress(StoreUnavailable):
            repaired = sweeper.sweep(now, EPOCH, pause)
            self.repaired += repaired
        self._count_sweep()
        is_over = self.memory.get(keys.outcome_key(self.session)) or self.seen['purged']
        if not is_over and self._swept_in_vain < MOST_SWEEPS:
            self._spawn_sweeper()


@contextlib.contextmanager
def simulating() -> Iterator[None]:
    """Lithops is hooked, and takes this process for a worker of the run. Undone at the end."""
    changed = {'LITHOPS_WORKER': 'True', 'LITHOPS_CONFIG': json.dumps(CONFIG)}
    touched = [*changed, '__LITHOPS_SESSION_ID', '__LITHOPS_TOTAL_EXECUTORS', 'LITHOPS_MP_WORKER_NAME']
    before = {name: os.environ.get(name) for name in touched}
    state, excepthook, session = random.getstate(), sys.excepthook, lithops.utils._SESSION_ID
    lithops_logger = logging.getLogger('lithops')
    level = lithops_logger.level
    lithops_logger.setLevel(logging.ERROR)
    os.environ.update(changed)
    unhook = hook()
    try:
        yield
    finally:
        unhook()
        lithops_logger.setLevel(level)
        random.setstate(state)
        sys.excepthook = excepthook
        lithops.utils._SESSION_ID = session
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _in_this_world(scheduler: Scheduler, open_storage: Callable[[Any], Any]) -> Iterator[None]:
    """Time is virtual, and what a call reads of its inputs comes from the simulated bucket."""
    sleep, storage = time.sleep, lithops.future.InternalStorage
    time.sleep = scheduler.sleep_in_a_call  # type: ignore[assignment]
    lithops.future.InternalStorage = open_storage
    try:
        with other_clock(lambda: scheduler.now):
            yield
    finally:
        time.sleep, lithops.future.InternalStorage = sleep, storage


def _document(orchestrator: Callable[..., Any], policy: Policy, lanes: int, most_pending: int) -> dict[str, Any]:
    name = qualified_name(orchestrator)
    return {
        'version': 1,
        'run_id': RUN_ID,
        'incarnation': INCARNATION,
        'name': name.rpartition('.')[2],
        'orchestrator': {
            'function': name,
            'function_name': name.rpartition('.')[2],
            'code_key': keys.code_key(keys.session_of(RUN_ID, INCARNATION)),
            'execution_timeout': CONFIG['lithops']['execution_timeout'],
            'log_level': 'WARNING',
            'runtime_name': sys.executable,
            'runtime_memory': None,
            'max_deaths': LIMITS.max_deaths,
            'max_pending_calls': most_pending,
            'sweep_seconds': None,
            'lanes': lanes,
        },
        'retry': policy,
        'time': EPOCH,
    }


@functools.cache
def _runtime_metadata() -> dict[str, Any]:
    found: dict[str, Any] = get_runtime_metadata()
    return found
