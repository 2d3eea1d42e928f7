"""
The function service of the simulated world: it accepts activations and calls, and
runs them. It may lose them, be late, or deliver them twice.
"""

import ast
import json
import pickle
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Callable, ContextManager, Iterable, Protocol, Sequence

from lithops.constants import REDUCE_JOB_ENV
from lithops.monitoring.backends.triggerflow.failure import failure_of
from lithops.monitoring.backends.triggerflow.future import OUTPUT_FIELD
from lithops.monitoring.backends.triggerflow.invoke import chunks_of, job_of, next_of_lane
from lithops.monitoring.backends.triggerflow.status import ATTEMPT_FIELD
from lithops.storage.utils import create_job_key

from ..core.run import action as actions
from ..core.run import keys
from ..core.run.attempts import Execution
from ..core.run.documents import Action, AttemptFact, Job, JobFact, LaneRest, RunFields
from ..core.run.engine import Engine
from ..core.run.keys import Call
from ..core.run.lanes import Lanes, Start, neighbours
from ..core.run.sweep import Limits, Sweeper
from ..core.store import PAUSES, Facts, StoreUnavailable, new_nonce
from ..deployment.store_border import map_store_errors
from ..orchestrator.activation import Activation, Orchestrator
from ..replay.effects import Crashed
from .nested import NestedHooks
from .runner import SimulatedRunner
from .scheduler import Process, Scheduler
from .store import SimulatedStore
from .trigger_service import SimulatedTriggerService
from .worker import Worker, lost_status

#: In seconds. Activations live shorter than this, unless something is wrong
LIMITS = Limits(life=1500.0, start=120.0, max_deaths=6)
#: Seconds by which a clock is off at the most
LARGEST_SKEW = 8.0
#: Seconds between two tries of a request that a call itself makes. Lithops' storage clients try for longer than we do
PATIENT = (*PAUSES, 10.0, 20.0, 30.0)

Work = Callable[[Process], None]


class World(Protocol):
    """What the function service needs of the simulated world."""

    scheduler: Scheduler
    session: str

    @property
    def has_code(self) -> bool:
        """Whether the function that runs an activation can be loaded."""

    def happens(self, fault: str) -> bool:
        """Whether this fault is injected now."""

    def reach(self, process: Process) -> SimulatedStore:
        """The store, as this process reaches it."""

    def invokes(self, by: Process) -> None:
        """The current process is about to invoke something, and may die before it does."""

    def invoked(self, by: Process, subject: Call | int, due: float) -> None:
        """Somebody invoked something, to start when it is due."""

    def starts(self, by: Process, position: int, calls: Iterable[Call]) -> None:
        """An activation invokes calls of the job that was scheduled at ``position``."""

    def began(self, turn: int, live_activations: int) -> None:
        """
        What was invoked begins.

        :param turn: how many invocations were accepted before it
        :param live_activations: how many there are; this one counts
        """

    def ended(self, process: Process) -> None:
        """A process came to its end by itself."""

    def astray(self, subjects: Iterable[Call | int], late: bool = False) -> None:
        """
        An invocation of these does not come, or not in time.

        :param late: it comes, and a sweep can know that it does
        """

    def reporting(self, process: Process, call: Call) -> ContextManager[None]:
        """Inside of it, this process reports the end of a call."""

    def woken(self, number: int, alive: Callable[[Process], bool]) -> None:
        """
        A sweep has started the activation after ``number``, which it takes for one that was not woken.

        :param alive: whether a process is
        """

    def broken(self, law: str) -> None:
        """A law was broken."""

    def taken_for_lost(self, call: Call, attempt: int, early: bool) -> None:
        """
        A sweep reports an attempt of a call as lost.

        :param early: its time is not up, and nobody has said that it is gone
        """


@dataclass(frozen=True)
class _Invocation:
    """
    What a process runs.

    :param subjects: one activation, or a chunk of calls
    :param run: what it does
    :param report: what another process does for it if it was killed
    """

    kind: str
    subjects: Sequence[Call | int]
    run: Work
    report: Work


class SimulatedService:
    """
    :param run: what every payload of the run carries
    :param reports_in_flight: whether it tells what it has, and reports what was killed. One that
        does not leaves all that to deadlines
    :param elsewhere: whether triggers live in a service of their own
    """

    def __init__(
        self,
        world: World,
        orchestrator: Orchestrator,
        run: RunFields,
        config: dict[str, Any],
        reports_in_flight: bool,
        elsewhere: bool = False,
    ):
        self._world = world
        self._scheduler = world.scheduler
        self._orchestrator = orchestrator
        self._run = run
        self._config = config
        self._reports_in_flight = reports_in_flight
        self._triggers = SimulatedTriggerService(world, self._fire) if elsewhere else None
        self._here: Counter[Call | int] = Counter()
        self._running: dict[Process, _Invocation] = {}
        self._alive: set[Process] = set()
        self._accepted = 0
        self._timers: list[tuple[Call | int, float]] = []

    def in_flight(self) -> set[Call | int] | None:
        """What it has, if it can be asked."""
        if not self._reports_in_flight:
            return None
        later = Counter(number for number, due in self._timers if due > self._scheduler.now)
        return set(self._here - later)

    def engine(self, process: Process) -> Engine:
        """The engine, as this process uses it."""
        store = self._world.reach(process)
        facts = Facts(store, sleep=self._scheduler.sleep)

        def perform(action: Action) -> None:
            with map_store_errors():
                self._perform(process, facts, action)

        return Engine(facts, perform, self._triggers)

    def subjects(self, process: Process) -> Sequence[Call | int]:
        """What a process runs, or reports."""
        return self._running[process].subjects if process in self._running else ()

    def died(self, process: Process, reported: bool) -> None:
        """A process is gone."""
        self._alive.discard(process)
        invocation = self._running.pop(process, None)
        if invocation is None:
            return
        if reported and self._reports_in_flight:
            self._spawn(replace(invocation, kind='report', run=invocation.report), self._scheduler.random.uniform(0.1, 2))
        self._here.subtract(invocation.subjects)

    # What is invoked

    def start_activation(self, by: Process, number: int, cause: str, due: float = 0.0) -> None:
        """Accepts an activation."""
        self._world.invokes(by)
        self._world.invoked(by, number, due)
        # Not what a call that it reports as lost wakes
        if self._reports_in_flight and cause == f'a sweep: activation {number - 1} was not woken':
            self._world.woken(number - 1, self._alive.__contains__)

        def handle_death(process: Process) -> None:
            self._handle_death(process, number, 'its process was killed')

        def run(process: Process) -> None:
            self._run_activation(process, number, cause)

        self._deliver(_Invocation('activation', [number], run, handle_death), due)

    def _fire(self, by: Process, number: int) -> None:
        self.start_activation(by, number, 'its trigger fired')

    def _perform(self, by: Process, facts: Facts, action: Action) -> None:
        if action['name'] == actions.START_ACTIVATION:
            self.start_activation(by, action['number'], action['cause'], action['due'])
            return
        position = action['position']
        if action['name'] == actions.START_DEFERRED:
            job = action['job']
            chunks = neighbours(action['numbers'], job['chunksize'])
            starts = [Start(chunk, {'call': chunk[-1]} if job['lanes'] else None) for chunk in chunks]
            self._start(by, job['activation'], position, job, starts)
            return
        if action['name'] == actions.START_FOLLOWING:
            job, found = next_of_lane(facts, action)
            self._start(by, job['activation'], position, job, found)
            return
        call = Call(*action['call'])
        job = job_of(facts, self._world.session, position, call)
        following: LaneRest | None = {'call': call.number} if job['lanes'] else None
        if action['name'] == actions.START_CALL:
            self._start(by, job['activation'], position, job, [Start([call.number], following)], action['attempt'])
        else:
            key = keys.attempt_key(self._world.session, call, action['attempt'])
            attempt = facts.read(key, AttemptFact) if action['attempt'] else None
            left = attempt['due'] + job['lifetime'] - self._scheduler.now if attempt else 0.0
            self._world.taken_for_lost(call, action['attempt'], not self._reports_in_flight and left > LARGEST_SKEW)
            execution = self._execution(call, job['activation'], position, job, attempt, following)
            self._report(by, execution, lost_status(self._scheduler.now, action['reason']))

    def _start_calls(self, by: Process, number: int, position: int, job: JobFact, indices: Sequence[int]) -> None:
        starts = list(Lanes(job).open(indices))
        if job['lanes'] and len(starts) > job['lanes']:
            self._world.broken(f'{by} started {len(starts)} chunks of {job["job"]} in {job["lanes"]} lanes')
        if by.kind == 'activation':
            self._world.starts(by, position, [Call(job['job'], index) for start in starts for index in start.numbers])
        self._start(by, number, position, job, starts)

    def _start(
        self,
        by: Process,
        number: int,
        position: int,
        job: Job,
        starts: Iterable[Start],
        attempt: AttemptFact | None = None,
    ) -> None:
        for start in starts:
            (chunk,) = chunks_of(job, start.numbers)
            calls = [Call(job['job'], index) for index in start.numbers]
            executions = [self._execution(call, number, position, job, attempt, start.following) for call in calls]
            self._world.invokes(by)
            for execution in executions:
                self._world.invoked(by, execution.call, attempt['due'] if attempt else 0.0)

            def run(process: Process, chunk: Any = chunk, executions: Any = executions) -> None:
                self._run_chunk(process, job, chunk, executions)

            def report(process: Process, executions: Any = executions) -> None:
                for execution in executions:
                    status = lost_status(self._scheduler.now, 'Its process was killed')
                    self._report(process, replace(execution, redelivered=True), status)

            self._deliver(_Invocation('call', calls, run, report), attempt['due'] if attempt else 0.0)

    def _execution(
        self,
        call: Call,
        number: int,
        position: int,
        job: Job,
        attempt: AttemptFact | None,
        following: LaneRest | None,
    ) -> Execution:
        which, memory = (attempt['attempt'], attempt['runtime_memory']) if attempt else (0, job['runtime_memory'])
        return Execution(self._world.session, call, position, number, which, job['retry'], memory, following=following)

    def _deliver(self, invocation: _Invocation, due: float) -> None:
        if self._world.happens('lost'):
            self._world.astray(invocation.subjects)
            return
        for _ in range(2 if self._world.happens('twice') else 1):
            delay = max(0.0, due - self._scheduler.now) + self._scheduler.random.uniform(0.01, 2)
            if self._world.happens('late'):
                delay += self._scheduler.random.uniform(10, 300)
                self._world.astray(invocation.subjects, late=self._reports_in_flight)
            self._spawn(invocation, delay)
            if invocation.kind == 'activation':
                self._timers.append((invocation.subjects[0], due))

    # What runs

    def _spawn(self, invocation: _Invocation, delay: float) -> None:
        process = Process(invocation.kind, invocation.subjects[0], self._scheduler.random.uniform(-LARGEST_SKEW, LARGEST_SKEW))
        self._running[process] = invocation
        self._here.update(invocation.subjects)
        self._accepted += 1
        turn = self._accepted

        def work() -> None:
            if invocation.kind == 'activation':
                self._alive.add(process)
            self._world.began(turn, len(self._alive))
            try:
                invocation.run(process)
            except StoreUnavailable:
                # What it had to report it could not
                self.died(process, reported=True)
                return
            del self._running[process]
            self._alive.discard(process)
            self._here.subtract(invocation.subjects)
            self._world.ended(process)

        self._scheduler.spawn(process, work, delay)

    def _run_activation(self, process: Process, number: int, cause: str) -> None:
        if not self._world.has_code:
            raise StoreUnavailable('the code of the run cannot be loaded')
        runner = SimulatedRunner(self._scheduler, process)

        def start_calls(config: Any, run: Any, *args: Any) -> None:
            self._start_calls(process, *args)

        activation = Activation(
            self._orchestrator, self._run, self._config, self.engine(process), runner, start_calls, self.in_flight
        )
        left = activation.run(number, cause)
        if isinstance(left, Crashed):
            self._handle_death(process, number, f'{left.error!r}')

    def _handle_death(self, process: Process, number: int, reason: str) -> None:
        Sweeper(self.engine(process), self._world.session, LIMITS).handle_death(number, reason, self._scheduler.now)

    def _run_chunk(self, process: Process, job: Job, chunk: dict[str, Any], executions: Sequence[Execution]) -> None:
        facts, store = self.engine(process).facts, self._world.reach(process)
        uploaded = facts.read_bytes(job['func_key'])
        if uploaded is None:
            raise StoreUnavailable(f'{job["func_key"]}, the function of a call, is not there')
        function = pickle.loads(uploaded)['func']
        data = self._data(facts, chunk)
        reduces = REDUCE_JOB_ENV in job['invocation']['extra_env']
        for execution, arguments in zip(executions, data, strict=True):
            patient = Facts(store, PATIENT, self._scheduler.sleep)
            worker = Worker(self._scheduler, process, patient, job['execution_timeout'], reduces)
            hooks = self._nested(process, patient, execution)
            ended = worker.run(function, arguments, execution.call.call_id, self._world.happens('out_of_memory'), hooks)
            if worker.output is not None:
                job_key = create_job_key(*self._of_job(job['job']))
                ended[OUTPUT_FIELD] = keys.output_key(job_key, execution.call.call_id, new_nonce())
                try:
                    store.put(ended[OUTPUT_FIELD], worker.output)
                except StoreUnavailable as error:
                    # The process of the user's function does this, without a second try, and dies of it
                    ended = lost_status(self._scheduler.now, f'The function process exited with code 1: {error}')
            self._report(process, execution, ended)

    def _nested(self, process: Process, facts: Facts, caller: Execution) -> NestedHooks:
        def start_calls(job: JobFact, indices: Sequence[int]) -> None:
            self._start_calls(process, 0, -1, job, indices)

        name = f'{caller.call.job}-{caller.call.call_id}'
        return NestedHooks(facts, self._world.session, name, self._orchestrator.runtime_meta, start_calls)

    def _data(self, facts: Facts, chunk: dict[str, Any]) -> list[bytes]:
        if 'data_key' not in chunk:
            return [ast.literal_eval(data) for data in chunk['data_byte_strs']]
        stored = facts.read_bytes(chunk['data_key'])
        if stored is None:
            raise StoreUnavailable(f'{chunk["data_key"]}, the arguments of a call, are not there')
        return [stored[first : last + 1] for first, last in chunk['data_byte_ranges']]

    def _report(self, process: Process, execution: Execution, ended: dict[str, Any]) -> None:
        executor_id, job_id = self._of_job(execution.call.job)
        status = {
            'type': '__end__',
            'executor_id': executor_id,
            'job_id': job_id,
            'call_id': execution.call.call_id,
            'activation_id': new_nonce(),
            **({ATTEMPT_FIELD: execution.attempt} if execution.attempt else {}),
            **ended,
        }
        encoded = json.dumps(status).encode('ascii')
        with self._world.reporting(process, execution.call):
            self.engine(process).report(execution, encoded, failure_of(status), self._scheduler.now)

    def _of_job(self, job: str) -> tuple[str, str]:
        executor, _, job_id = job.rpartition('-')
        return f'{self._world.session}-{executor}', job_id
