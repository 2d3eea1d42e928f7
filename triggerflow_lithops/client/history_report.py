"""What happened in a run, told from its facts: as CloudEvents, and by activation."""

import logging
import re
from typing import Any, Iterator

from ..core import event
from ..core.run.documents import Outcome
from ..core.run.keys import JOBS, Call, activation_prefix, facts_prefix, is_key_of, position_of, retried_call
from ..core.run.loss import Damaged, outcome_of
from ..core.store import Facts
from ..replay.fingerprint import Fingerprint
from . import causes
from .causes import Found, Node

logger = logging.getLogger(__name__)

#: An event, and what it tells of
_Told = tuple[Node, dict[str, Any]]
#: The job of a run that a call is of, or that has made it, in the name of a folder below the run's session
_JOB = re.compile(r'\d+-[A-Z]\d+')


class Report:
    """
    :param document: that started the run
    """

    def __init__(self, document: dict[str, Any], session: str, facts: Facts):
        self._document = document
        self._session = session
        self._facts = facts
        self._source = f'triggerflow/{document["run_id"]}'
        #: How the run ended, once that was asked for; None if it has not
        self.outcome: Outcome | None = None

    def history(self) -> list[dict[str, Any]]:
        """
        CloudEvents documents, each after what caused it, and else in order of time. The outcome comes last, though
        some calls may end later.
        """
        found = Found()
        events = dict([*self._activation_events(found), *self._job_events(found)])
        return [*self._started(), *causes.in_order(events, found.pairs()), *self._outcome()]

    def activations(self) -> list[dict[str, Any]]:
        """One dict per activation, in order of its number. Times are seconds since the epoch."""
        outcome = self.outcome = outcome_of(self._facts, self._session)
        told = []
        for number, facts in sorted(self._activations().items()):
            ended, result = _end_of(facts)
            told.append(
                {
                    'number': number,
                    'started': facts['claim']['time'],
                    'ended': ended,
                    'cause': facts['claim']['cause'],
                    'result': result,
                }
            )
        if told and outcome and told[-1]['result'] is None and outcome['status'] != 'cancelled':
            told[-1].update(ended=outcome['time'], result=outcome['status'])
        return told

    def _read(self, key: str) -> dict[str, Any] | None:
        """What cannot be read is left out, and told."""
        try:
            return self._facts.read(key)
        except Damaged as damage:
            logger.warning('%s - left out of what is told of the run', damage)
            return None

    def _activations(self) -> dict[int, dict[str, dict[str, Any]]]:
        found: dict[int, dict[str, dict[str, Any]]] = {}
        for key in self._facts.list(activation_prefix(self._session)):
            number, kind = key.split('/')[-2:]
            fact = self._read(key)
            if fact is not None:
                found.setdefault(int(number), {})[kind.removesuffix('.json')] = fact
        return {number: facts for number, facts in found.items() if 'claim' in facts}

    def _started(self) -> Iterator[dict[str, Any]]:
        data = {'name': self._document['name'], 'orchestrator': self._document['orchestrator']['function']}
        yield self._event(event.RUN_STARTED, self._document['run_id'], self._document['time'], data)

    def _activation_events(self, found: Found) -> Iterator[_Told]:
        found.activations = self._activations()
        for number, facts in found.activations.items():
            subject = f'{self._document["run_id"]}/{number}'
            claim = facts['claim']
            said = self._event(event.ACTIVATION_STARTED, subject, claim['time'], {'cause': claim['cause']})
            yield causes.started(number), said
            if 'trigger' in facts:
                trigger = facts['trigger']
                data = {name: trigger[name] for name in ('condition', 'action', 'context')}
                yield causes.suspended(number), self._event(event.ACTIVATION_SUSPENDED, subject, trigger['time'], data)
            if 'died' in facts:
                death = facts['died']
                said = self._event(event.ACTIVATION_DIED, subject, death['time'], {'reason': death['reason']})
                yield causes.died(number), said

    def _job_events(self, found: Found) -> Iterator[_Told]:
        keys = [key for key in self._facts.list(f'{JOBS}/{self._session}') if is_key_of(self._session, key)]
        for key in keys:
            if key.startswith(facts_prefix(self._session)):
                yield from self._fact_event(key, found)
            elif retried_call(key):
                yield from self._attempt_event(key, found)
            elif key.endswith('/status.json'):
                status = self._read(key)
                if status is not None:
                    job = f'{status["executor_id"].rpartition("-")[2]}/{status["job_id"]}'
                    call = self._call_of(key, status['call_id'], found)
                    found.ends[call] = status
                    said = event.termination_event(f'{self._document["run_id"]}/{job}/{status["call_id"]}', status)
                    yield causes.ended(call), said

    def _call_of(self, key: str, call_id: str, found: Found) -> Call:
        """The call that a key belongs to. It is noted which job of the run it is of, or was made by."""
        job = key.removeprefix(f'{JOBS}/{self._session}-').split('/')[0]
        call, own = Call(job, int(call_id)), _JOB.match(job)
        found.jobs[call] = own[0] if own else ''
        return call

    def _fact_event(self, key: str, found: Found) -> Iterator[_Told]:
        fact = self._read(key)
        if fact is None:
            return
        position = position_of(key)
        found.steps[position] = fact
        data = {'position': position, 'step': str(Fingerprint(*fact['fingerprint'])), 'activation': fact['activation']}
        if 'job' in fact:
            subject = f'{self._document["run_id"]}/{fact["job"].replace("-", "/")}'
            data |= {'function': fact['fingerprint'][1], 'calls': fact['calls'], 'chunksize': fact.get('chunksize')}
            yield causes.written(position), self._event(event.JOB_SCHEDULED, subject, fact['time'], data)
        else:
            subject = f'{self._document["run_id"]}/{position}'
            yield causes.written(position), self._event(event.CHOICE_RECORDED, subject, fact['time'], data)

    def _attempt_event(self, key: str, found: Found) -> Iterator[_Told]:
        """That an attempt failed, told from the fact of the one that follows upon it."""
        fact, retried = self._read(key), retried_call(key)
        if fact is None or retried is None:
            return
        call_id, following = retried
        call = self._call_of(key, call_id, found)
        found.attempts[call] = max(following, found.attempts.get(call, 0))
        executor, _, job_id = key.removeprefix(f'{JOBS}/{self._session}-').split('/')[0].partition('-')
        subject = f'{self._document["run_id"]}/{executor}/{job_id}/{call_id}'
        then = {'attempt': following, 'due': event.rfc3339(fact['due']), 'runtime_memory': fact['runtime_memory']}
        data = {'attempt': following - 1, 'reason': fact['after'], 'next': then}
        yield (
            causes.failed(call, following - 1),
            event.new_event(
                event.ATTEMPT_FAILED, subject, self._source, time=fact['time'], data=data, event_id=f'{subject}/{following - 1}'
            ),
        )

    def _outcome(self) -> Iterator[dict[str, Any]]:
        outcome = self.outcome = outcome_of(self._facts, self._session)
        if outcome is not None:
            data = {name: outcome[name] for name in ('error', 'reason') if name in outcome} or None
            yield self._event(event.RUN_ENDED[outcome['status']], self._document['run_id'], outcome['time'], data)

    def _event(self, kind: str, subject: str, time: float, data: Any) -> dict[str, Any]:
        return event.new_event(kind, subject, self._source, time=time, data=data, event_id=f'{subject}/{kind}')


def _end_of(facts: dict[str, dict[str, Any]]) -> tuple[float | None, str | None]:
    if 'trigger' in facts:
        return facts['trigger']['time'], 'suspended'
    if 'died' in facts:
        return facts['died']['time'], 'superseded' if facts['died'].get('gave_way') else 'died'
    return None, None
