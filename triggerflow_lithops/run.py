"""One run, followed from anywhere: how it stands, what came out, what happened."""

import contextlib
import html
import logging
import time
from datetime import datetime, timezone
from typing import Any, Generic, TypeVar

from lithops.constants import JOBS_PREFIX
from lithops.monitoring.backends.triggerflow.driver import forget_driver, keep_driver
from lithops.monitoring.backends.triggerflow.functions import InvocationRefused, NeverTaken, PayloadTooLarge, is_local
from lithops.monitoring.backends.triggerflow.invoke import fail_run, run_field, starter
from lithops.monitoring.backends.triggerflow.localhost import Door
from lithops.monitoring.backends.triggerflow.sweep import begin_sweeps, end_sweeps, sweep_run
from lithops.monitoring.backends.triggerflow.wakeups import begin_wake_ups, end_wake_ups

from . import errors, travelling
from .care import care
from .config import SECTION
from .progress import Progress
from .report import Report
from .storage import bucket_of, map_store_errors
from .triggers import limits
from .triggers.action import start_activation
from .triggers.ended import clear_away
from .triggers.event import RUN_ENDED, new_event
from .triggers.home import Home
from .triggers.keys import JOBS, RUNS, outcome_key, run_key, session_of, sessions_of
from .triggers.loss import LOST, Damaged, document_of, end, lose, outcome_of
from .triggers.store import Facts, StoreUnavailable, encode
from .waiting import interruptible, wait_for

logger = logging.getLogger(__name__)

#: What the orchestrator of a run returns
T_co = TypeVar('T_co', covariant=True)


class DriverNotKept(StoreUnavailable):
    """What a run has of its driver cannot be written, so there is no such run."""


class Run(Generic[T_co]):
    """
    One run, followed from here. Everything that it says is read from the bucket.

    For a type checker it is a ``Run[T]`` of an orchestrator that returns a ``T``, and a ``Run[Any]`` where the
    orchestrator is not known, as in ``get_run()``.

    :ivar run_id: what finds it again
    :ivar name: for people to read
    """

    def __init__(self, config: dict[str, Any], facts: Facts, document: dict[str, Any]):
        self._config = config
        self._facts = facts
        self.document = document
        self.run_id: str = document['run_id']
        self.name: str = document['name']
        self.session = session_of(self.run_id, document['incarnation'])
        # How many calls were scheduled, and how many had ended, when a wait last counted them
        self._counted: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f'Run({self.run_id!r})'

    def _repr_html_(self) -> str:
        """What a notebook shows: a table, made with two requests at the most. It never raises."""
        rows = [('Run', self.run_id), ('Name', self.name), ('Status', self._status_or_why_not())]
        with contextlib.suppress(Exception):
            rows.append(('Started (UTC)', utc(self.document['time'])))
        if self._counted is not None and rows[2][1] == 'running':
            rows.append(('Calls ended', '{1} of {0}, when last counted'.format(*self._counted)))
        cells = (f'<tr><th>{name}</th><td>{html.escape(str(value))}</td></tr>' for name, value in rows)
        return f'<table>{"".join(cells)}</table>'

    def _status_or_why_not(self) -> str:
        # Nobody who looks at a run wants to wait until the bucket can be reached again
        impatient = Facts(self._facts.store, pauses=())
        try:
            return Run(self._config, impatient, self.document)._read_status()
        except errors.RunNotFoundError:
            return 'not there any more: it was purged'
        except Exception as error:
            return f'unknown: the bucket cannot be reached ({type(error).__name__}: {error})'

    def status(self) -> str:
        """
        ``'running'``, ``'completed'``, ``'failed'``, ``'cancelled'`` or ``'lost'``.

        Two requests. Of a run that has not ended, what nobody reported is looked for beside, now and then.

        :raises RunNotFoundError: it was purged
        """
        found = self._read_status()
        if found == 'running':
            self.tend()
        else:
            care.is_over(self.session)
        return found

    def _read_status(self) -> str:
        outcome = outcome_of(self._facts, self.session)
        if outcome is None and not self._require():
            # It has ended here
            outcome = outcome_of(self._facts, self.session)
        return 'running' if outcome is None else str(outcome['status'])

    def wait(self, timeout: float | None = None) -> str:
        """
        Waits until the run has ended, and sweeps meanwhile.

        :param timeout: seconds, from 0, to look once, to a hundred years
        :return: its status
        :raises TimeoutError: it has not ended by then
        :raises ValueError: the timeout is no number of seconds
        """
        return str(self._outcome(timeout)['status'])

    def result(self, timeout: float | None = None) -> T_co:
        """
        What the orchestrator returned; raises what it raised, with its traceback.

        :param timeout: seconds, from 0, to look once, to a hundred years
        :raises TimeoutError: it has not ended by then
        :raises ValueError: the timeout is no number of seconds
        :raises RunCancelled: it was cancelled
        :raises RunLost: something that it needs is gone
        """
        value: T_co = value_of(self.run_id, self._outcome(timeout))
        return value

    def history(self) -> list[dict[str, Any]]:
        """
        All that happened: CloudEvents documents, from ``run.started`` to the outcome.

        What caused something stands before it, also where the clocks of two machines differ; what has
        nothing to do with each other is in order of time. The times are those that were recorded.
        """
        report = Report(self.document, self.session, self._facts)
        history = report.history()
        self._tend_unless(report.outcome)
        return history

    def activations(self) -> list[dict[str, Any]]:
        """One dict per activation: number, started, ended (None if unknown), cause, result."""
        report = Report(self.document, self.session, self._facts)
        activations = report.activations()
        self._tend_unless(report.outcome)
        return activations

    def begin(self) -> None:
        """
        Starts activation 0. For whoever has written that there is this run.

        :raises ConfigurationError: the function service will never take it
        """
        field = self._field()
        try:
            # First, so that they find an activation 0 that never began
            begin_sweeps(self._config, field)
            begin_wake_ups(self._config, field)
            starter(self._config, field, self._facts)(start_activation(self.session, 0, 'the run was started'))
            care.began(self.session)
            logger.info('Run %s - started: %s', self.run_id, self.document['orchestrator']['function'])
        except InvocationRefused as error:
            # A sweep, of whoever waits for it, begins it
            logger.warning('Run %s - could not begin yet: %s', self.run_id, error)
        except PayloadTooLarge as error:
            self.cancel()
            raise errors.ConfigurationError(str(error)) from error
        except NeverTaken as error:
            fail_run(self._facts, field, error)

    def cancel(self) -> None:
        """
        Ends the run as cancelled, unless it has ended. Calls that are under way go on,
        and change nothing.
        """
        self._require()
        self._facts.write(outcome_key(self.session), encode({'status': 'cancelled', 'time': time.time()}))
        end_wake_ups(self._config, self._field())
        forget_driver(self._config, self.session)
        care.is_over(self.session)

    def purge(self) -> None:
        """
        Removes everything of the run from the bucket. Its id may be used again.

        :raises InvalidRunError: it is still running
        :raises ConfigurationError: what sweeps it cannot be ended; nothing was removed
        """
        if self.status() == 'running':
            raise errors.InvalidRunError(f'Run {self.run_id} is running. Cancel it first: run.cancel().')
        self._end_elsewhere(self._field())
        self._mark_purged()
        self._clear_away(self.session)
        # After that, so that a purge that was interrupted can be done again
        self._facts.store.delete([outcome_key(self.session), run_key(self.run_id)])
        # What was written before an activation or a worker could know
        self._clear_away(self.session)

    def _end_elsewhere(self, field: dict[str, Any]) -> None:
        """
        Removes what is kept of a run outside of the bucket.

        :param field: what every payload of the run carries
        """
        try:
            end_sweeps(self._config, field)
        except Exception as error:
            # It would go on for ever, and find no code to run
            raise errors.ConfigurationError(
                f'Run {self.run_id} is not purged, for the alarm that sweeps it cannot be removed: {error}. Try again.'
            ) from error
        end_wake_ups(self._config, field)
        forget_driver(self._config, field['session'])

    def _clear_away(self, session: str) -> None:
        # Lithops' own local workers, of calls that calls have made, keep their files in Lithops' place
        clear_away(self._facts, session, (JOBS, JOBS_PREFIX))

    def sweep(self) -> list[str]:
        """
        Repairs what nobody reported. In a run without faults there is nothing to do.

        :return: what it repaired, in words; empty when there was nothing to repair
        """
        care.began(self.session)
        if is_local(self._config):
            Door(self._config[SECTION]['service']).rouse()
        if not self._require():
            return [f'the run is lost: {run_key(self.run_id)} is damaged']
        with map_store_errors():
            repaired: list[str] = sweep_run(self._config, self._field(), self.document['time'])
        return repaired

    def tend(self) -> None:
        """
        Takes part in the care for this run, which has not ended. Returns at once: what is to be repaired
        is repaired beside, or by the local service, whose bell is rung.
        """
        ring = self._ring if is_local(self._config) else None
        care.take(self.session, self.sweep, ring, time.time() - self.document['time'])

    def _tend_unless(self, outcome: dict[str, Any] | None) -> None:
        if outcome is None:
            self.tend()
        else:
            care.is_over(self.session)

    def _ring(self) -> None:
        folder = self._config[SECTION]['service']
        # Of many runs that are looked at together, one is enough: where nobody listens, each ring would start a service
        if care.is_due(folder):
            Door(folder).ring()

    def keep_driver(self) -> None:
        """
        Keeps what the run has of this process, where it runs on this machine.

        :raises DriverNotKept: it cannot be written
        """
        try:
            keep_driver(self._config, self._field())
        except OSError as error:
            raise DriverNotKept(f'The run was not started, for what it has of its driver cannot be kept: {error}') from error

    def forget_driver(self) -> None:
        """There is no such run."""
        forget_driver(self._config, self.session)

    def _field(self) -> dict[str, Any]:
        """What every payload of the run carries."""
        field: dict[str, Any] = run_field(self.run_id, self.session, self.document['orchestrator'], self.document['retry'])
        return field

    def _mark_purged(self) -> None:
        """For its trigger, if it has one: a firing without a run would be taken for one that was never started."""
        if 'firing' in self.document['orchestrator']:
            home, trigger_id, number = (self.document['orchestrator']['firing'][name] for name in ('home', 'trigger', 'number'))
            if self._facts.has(Home(home).firing(trigger_id, number)):
                self._facts.write(Home(home).purged(trigger_id, number), b'{}')

    def _require(self) -> bool:
        """
        Whether it can go on. If its document cannot be read, it is lost.

        :raises RunNotFoundError: it was purged
        :raises Damaged: a newer version of this plugin has written its document
        """
        try:
            document = document_of(self._facts, self.session)
        except Damaged as damage:
            if damage.newer:
                raise
            lose(self._facts, self.session, str(damage), time.time())
            return False
        if document is None:
            raise errors.RunNotFoundError(self.run_id, bucket_of(self._config))
        return True

    def _outcome(self, timeout: float | None) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            self._counted = progress.update() or self._counted
            return outcome_of(self._facts, self.session)

        limits.timeout(timeout)
        again = f'ask again, here or with TriggerflowExecutor().get_run({self.run_id!r})'
        with interruptible(self._goes_on()), Progress(self.run_id, self.session, self._facts) as progress:
            found: dict[str, Any] = wait_for(f'Run {self.run_id}', look, self._require, self.tend, timeout, again)
        care.is_over(self.session)
        return found

    def _goes_on(self) -> str:
        """What is told when a wait for the run ends before the run does."""
        return (
            f'Run {self.run_id} goes on. Find it with TriggerflowExecutor().get_run({self.run_id!r}), or: '
            f'triggerflow-lithops status {self.run_id} (end it: triggerflow-lithops cancel {self.run_id})'
        )


class DamagedRun(Run[Any]):
    """
    A run whose document cannot be read: nobody can tell how often it was started, or what it is. It is lost.

    :param damage: what is wrong with its document
    :raises Damaged: from each of its methods, if a newer version of this plugin has written its document
    """

    def __init__(self, config: dict[str, Any], facts: Facts, run_id: str, damage: Damaged):
        super().__init__(config, facts, {'run_id': run_id, 'name': run_id, 'incarnation': '', 'time': 0.0})
        self.damage = damage

    def status(self) -> str:
        """``'lost'``."""
        self._require()
        return LOST

    def history(self) -> list[dict[str, Any]]:
        """That it is lost."""
        self._require()
        source, data = f'triggerflow/{self.run_id}', {'reason': str(self.damage)}
        return [new_event(RUN_ENDED[LOST], self.run_id, source, time=0.0, data=data, event_id=f'{self.run_id}/{LOST}')]

    def activations(self) -> list[dict[str, Any]]:
        """None are known."""
        return []

    def cancel(self) -> None:
        """Ends what is under way of it."""
        self.sweep()

    def sweep(self) -> list[str]:
        """Ends what is under way of it: as lost."""
        self._require()
        for session in self._sessions():
            end(self._facts, session, {'status': LOST, 'reason': str(self.damage), 'time': time.time()})
        return [f'the run is lost: {self.damage}']

    def purge(self) -> None:
        """Removes everything of it from the bucket, of however many starts that is."""
        self.sweep()
        sessions, outcomes = self._sessions(), []
        for session in sessions:
            self._end_elsewhere({'run_id': self.run_id, 'session': session})
            self._clear_away(session)
            outcomes.append(outcome_key(session))
        self._facts.store.delete([*outcomes, run_key(self.run_id)])
        for session in sessions:
            self._clear_away(session)

    def _require(self) -> bool:
        if self.damage.newer:
            raise self.damage
        if not self._facts.has(run_key(self.run_id)):
            raise errors.RunNotFoundError(self.run_id, bucket_of(self._config))
        return False

    def _outcome(self, timeout: float | None) -> dict[str, Any]:
        self._require()
        return {'status': LOST, 'reason': str(self.damage), 'time': 0.0}

    def _sessions(self) -> list[str]:
        """Of each time that it was started."""
        listed = [*self._facts.list(f'{JOBS}/{self.run_id}-'), *self._facts.list(f'{RUNS}/{self.run_id}/')]
        return sessions_of(self.run_id, listed)


def utc(seconds: float) -> str:
    """A time for people to read."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime('%Y-%m-%d %H:%M:%S')


def begin_run(config: dict[str, Any], facts: Facts, document: dict[str, Any]) -> tuple[Run[Any], bool]:
    """
    Starts a run, unless one of its id is there.

    :param document: of the run
    :return: the run that there is, and whether it was started here
    :raises ConfigurationError: the function service will never take it
    :raises DriverNotKept: what it has of this process cannot be kept; then there is no run
    """
    run: Run[Any] = Run(config, facts, document)
    # First, so that whoever finds the run finds this, too, and begins it with nothing else
    run.keep_driver()
    try:
        ours, found = facts.create(run_key(document['run_id']), document)
    except Damaged as damage:
        run.forget_driver()
        return DamagedRun(config, facts, document['run_id'], damage), False
    if ours:
        with interruptible(run._goes_on()):
            run.begin()
        return run, True
    run.forget_driver()
    return Run(config, facts, found), False


def find_run(config: dict[str, Any], facts: Facts, run_id: str) -> Run[Any] | None:
    """The run of an id, if there is one. What is wrong with one that cannot be read it says itself."""
    try:
        document = facts.read(run_key(run_id))
    except Damaged as damage:
        return DamagedRun(config, facts, run_id, damage)
    return None if document is None else Run(config, facts, document)


def how_ended(facts: Facts, run: Run[Any]) -> dict[str, Any] | None:
    """The fact of how a run ended; None while it has not."""
    if isinstance(run, DamagedRun):
        return {'status': LOST, 'reason': str(run.damage), 'time': 0.0}
    return outcome_of(facts, run.session)


def value_of(run_id: str, outcome: dict[str, Any]) -> Any:
    """
    What the orchestrator returned; raises what it raised, with its traceback.

    :param outcome: the fact of how the run ended
    :raises RunCancelled: it was cancelled
    :raises RunLost: something that it needs is gone
    """
    if outcome['status'] == 'completed':
        return travelling.value_of(outcome['value'], f'Run {run_id} has completed, and what it returned')
    if outcome['status'] == 'cancelled':
        raise errors.RunCancelled(run_id)
    if outcome['status'] == LOST:
        raise errors.RunLost(run_id, outcome['reason'])
    if 'kind' in outcome:
        raise travelling.exception_of(outcome, f'Run {run_id}')
    name, message = outcome['error']
    raise errors.restored(name, message, outcome.get('fields', {})) or errors.OutcomeError(
        f'Run {run_id} has failed: {name}: {message}', name, message
    )
