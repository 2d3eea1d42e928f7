"""One run, followed from anywhere: how it stands, what came out, what happened."""

import contextlib
import html
import logging
import time
from datetime import datetime, timezone
from typing import Any, Generic, Mapping, TypeVar

from lithops.constants import JOBS_PREFIX
from lithops.monitoring.backends.triggerflow.compute import is_local
from lithops.monitoring.backends.triggerflow.driver import forget_driver
from lithops.monitoring.backends.triggerflow.local_service import LocalService
from lithops.monitoring.backends.triggerflow.sweep import end_sweeps, sweep_run
from lithops.monitoring.backends.triggerflow.wakeups import end_wake_ups

from .. import errors
from ..core import limits
from ..core.damage import Damaged
from ..core.outcome import LOST
from ..core.run.documents import Outcome
from ..core.run.ended import clear_away
from ..core.run.keys import JOBS, outcome_key, run_key
from ..core.run.loss import document_of, lose, outcome_of
from ..core.run.repair import RUN_LOST, Repair
from ..core.store import Facts
from ..core.workspace.keys import WorkspaceKeys
from ..deployment.config import SECTION
from ..deployment.store_border import bucket_of, map_store_errors
from ..orchestrator.packing import exception_documents
from ..orchestrator.start_run import cancel_run, field_of, session_of_run
from .care import care
from .history_report import Report
from .polling import interruptible, wait_for
from .progress import Progress

logger = logging.getLogger(__name__)

#: What the orchestrator of a run returns
T_co = TypeVar('T_co', covariant=True)


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
        self.session = session_of_run(document)
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

    def cancel(self) -> None:
        """
        Ends the run as cancelled, unless it has ended. Calls that are under way go on,
        and change nothing.
        """
        self._require()
        cancel_run(self._config, self._facts, self.document)
        care.is_over(self.session)

    def purge(self) -> None:
        """
        Removes everything of the run from the bucket. Its id may be used again.

        :raises InvalidRunError: it is still running
        :raises ConfigurationError: what sweeps it cannot be ended; nothing was removed
        """
        if self.status() == 'running':
            raise errors.InvalidRunError(f'Run {self.run_id} is running. Cancel it first: run.cancel().')
        self._end_elsewhere(field_of(self.document))
        self._mark_purged()
        self._clear_away(self.session)
        # After that, so that a purge that was interrupted can be done again
        self._facts.store.delete([outcome_key(self.session), run_key(self.run_id)])
        # What was written before an activation or a worker could know
        self._clear_away(self.session)

    def _end_elsewhere(self, field: Mapping[str, Any]) -> None:
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
            LocalService(self._config[SECTION]['service']).ensure_running()
        if not self._require():
            return [str(Repair(RUN_LOST, why=f'{run_key(self.run_id)} is damaged'))]
        with map_store_errors():
            repaired: list[str] = sweep_run(self._config, field_of(self.document), self.document['time'])
        return repaired

    def tend(self) -> None:
        """
        Takes part in the care for this run, which has not ended. Returns at once: what is to be repaired
        is repaired beside, or by the local service, whose bell is rung.
        """
        ring = self._ring if is_local(self._config) else None
        care.take(self.session, self.sweep, ring, time.time() - self.document['time'])

    def _tend_unless(self, outcome: Outcome | None) -> None:
        if outcome is None:
            self.tend()
        else:
            care.is_over(self.session)

    def _ring(self) -> None:
        folder = self._config[SECTION]['service']
        # Of many runs that are looked at together, one is enough: where nobody listens, each ring would start a service
        if care.is_due(folder):
            LocalService(folder).notify()

    def _mark_purged(self) -> None:
        """For its trigger, if it has one: a firing without a run would be taken for one that was never started."""
        if 'firing' in self.document['orchestrator']:
            home, trigger_id, number = (self.document['orchestrator']['firing'][name] for name in ('home', 'trigger', 'number'))
            if self._facts.has(WorkspaceKeys(home).firing(trigger_id, number)):
                self._facts.write(WorkspaceKeys(home).purged(trigger_id, number), b'{}')

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

    def _outcome(self, timeout: float | None) -> Outcome:
        def look() -> Outcome | None:
            self._counted = progress.update() or self._counted
            return outcome_of(self._facts, self.session)

        limits.timeout(timeout)
        again = f'ask again, here or with TriggerflowExecutor().get_run({self.run_id!r})'
        with interruptible(self.goes_on()), Progress(self.run_id, self.session, self._facts) as progress:
            found: Outcome = wait_for(f'Run {self.run_id}', look, self._require, self.tend, timeout, again)
        care.is_over(self.session)
        return found

    def goes_on(self) -> str:
        """What is printed when a wait for the run ends before the run does."""
        return (
            f'Run {self.run_id} goes on. Find it with TriggerflowExecutor().get_run({self.run_id!r}), or: '
            f'triggerflow-lithops status {self.run_id} (end it: triggerflow-lithops cancel {self.run_id})'
        )


def utc(seconds: float) -> str:
    """A time for people to read."""
    return datetime.fromtimestamp(seconds, timezone.utc).strftime('%Y-%m-%d %H:%M:%S')


def value_of(run_id: str, outcome: Outcome) -> Any:
    """
    What the orchestrator returned; raises what it raised, with its traceback.

    :param outcome: the fact of how the run ended
    :raises RunCancelled: it was cancelled
    :raises RunLost: something that it needs is gone
    """
    if outcome['status'] == 'completed':
        return exception_documents.value_of(outcome['value'], f'Run {run_id} has completed, and what it returned')
    if outcome['status'] == 'cancelled':
        raise errors.RunCancelled(run_id)
    if outcome['status'] == LOST:
        raise errors.RunLost(run_id, outcome['reason'])
    if 'kind' in outcome:
        raise exception_documents.exception_of(outcome, f'Run {run_id}')
    name, message = outcome['error']
    raise errors.restored(name, message, outcome.get('fields', {})) or errors.OutcomeError(
        f'Run {run_id} has failed: {name}: {message}', name, message
    )
