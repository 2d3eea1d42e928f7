"""The runs of a bucket: found by their ids, also where the document of a run is damaged, and begun."""

import time
from typing import Any

from ..core.damage import Damaged
from ..core.event import RUN_ENDED, new_event
from ..core.outcome import LOST, lost_run
from ..core.run.documents import Outcome
from ..core.run.keys import JOBS, RUNS, outcome_key, run_key, sessions_of
from ..core.run.loss import end, outcome_of
from ..core.run.repair import RUN_LOST, Repair
from ..core.store import Facts
from ..deployment.store_border import bucket_of
from ..errors import RunNotFoundError
from ..orchestrator import start_run
from .care import care
from .polling import interruptible
from .run import Run


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
            end(self._facts, session, lost_run(str(self.damage), time.time()))
        return [str(Repair(RUN_LOST, why=str(self.damage)))]

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
            raise RunNotFoundError(self.run_id, bucket_of(self._config))
        return False

    def _outcome(self, timeout: float | None) -> Outcome:
        self._require()
        return lost_run(str(self.damage), 0.0)

    def _sessions(self) -> list[str]:
        """Of each time that it was started."""
        listed = [*self._facts.list(f'{JOBS}/{self.run_id}-'), *self._facts.list(f'{RUNS}/{self.run_id}/')]
        return sessions_of(self.run_id, listed)


def begin_run(config: dict[str, Any], facts: Facts, document: dict[str, Any]) -> tuple[Run[Any], bool]:
    """
    Starts a run, unless one of its id is there.

    :param document: of the run
    :return: the run that there is, and whether it was started here
    :raises ConfigurationError: the function service will never take it
    :raises DriverNotKept: what it has of this process cannot be kept; then there is no run
    """
    try:
        ours, found = start_run.create_run(config, facts, document)
    except Damaged as damage:
        return DamagedRun(config, facts, document['run_id'], damage), False
    run: Run[Any] = Run(config, facts, found)
    if ours:
        with interruptible(run.goes_on()):
            if start_run.begin_run(config, facts, document):
                care.began(run.session)
    return run, ours


def find_run(config: dict[str, Any], facts: Facts, run_id: str) -> Run[Any] | None:
    """The run of an id, if there is one. What is wrong with one that cannot be read it says itself."""
    try:
        document = facts.read(run_key(run_id))
    except Damaged as damage:
        return DamagedRun(config, facts, run_id, damage)
    return None if document is None else Run(config, facts, document)


def how_ended(facts: Facts, run: Run[Any]) -> Outcome | None:
    """The fact of how a run ended; None while it has not."""
    if isinstance(run, DamagedRun):
        return lost_run(str(run.damage), 0.0)
    return outcome_of(facts, run.session)
