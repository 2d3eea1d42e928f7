"""What happened in a run, told from its facts: as CloudEvents, and by activation."""

import logging
from typing import Any, Iterator

from .fingerprint import Fingerprint
from .triggers import event
from .triggers.keys import JOBS, activation_prefix, facts_prefix, is_key_of, position_of, retried_call
from .triggers.loss import Damaged, outcome_of
from .triggers.store import Facts

logger = logging.getLogger(__name__)


class Report:
    """
    :param document: that started the run
    """

    def __init__(self, document: dict[str, Any], session: str, facts: Facts):
        self._document = document
        self._session = session
        self._facts = facts
        self._source = f"triggerflow/{document['run_id']}"

    def history(self) -> list[dict[str, Any]]:
        """CloudEvents documents, in order of time, but for the outcome: it comes last, though some calls may end later."""
        events = [*self._started(), *self._activation_events(), *self._job_events(), *self._outcome()]
        # By the clocks of many machines: the start comes first all the same
        return sorted(events, key=lambda found: (found['type'] in _OUTCOMES, found['type'] != event.RUN_STARTED, found['time']))

    def activations(self) -> list[dict[str, Any]]:
        """One dict per activation, in order of its number. Times are seconds since the epoch."""
        outcome = outcome_of(self._facts, self._session)
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

    def _activation_events(self) -> Iterator[dict[str, Any]]:
        for number, facts in self._activations().items():
            subject = f"{self._document['run_id']}/{number}"
            yield self._event(event.ACTIVATION_STARTED, subject, facts['claim']['time'], {'cause': facts['claim']['cause']})
            if 'trigger' in facts:
                trigger = facts['trigger']
                data = {name: trigger[name] for name in ('condition', 'action', 'context')}
                yield self._event(event.ACTIVATION_SUSPENDED, subject, trigger['time'], data)
            if 'died' in facts:
                yield self._event(event.ACTIVATION_DIED, subject, facts['died']['time'], {'reason': facts['died']['reason']})

    def _job_events(self) -> Iterator[dict[str, Any]]:
        keys = [key for key in self._facts.list(f'{JOBS}/{self._session}') if is_key_of(self._session, key)]
        for key in keys:
            if key.startswith(facts_prefix(self._session)):
                yield from self._fact_event(key)
            elif retried_call(key):
                yield from self._attempt_event(key)
            elif key.endswith('/status.json'):
                status = self._read(key)
                if status is not None:
                    job = f"{status['executor_id'].rpartition('-')[2]}/{status['job_id']}"
                    yield event.termination_event(f"{self._document['run_id']}/{job}/{status['call_id']}", status)

    def _fact_event(self, key: str) -> Iterator[dict[str, Any]]:
        fact = self._read(key)
        if fact is None:
            return
        position = position_of(key)
        data = {'position': position, 'step': str(Fingerprint(*fact['fingerprint'])), 'activation': fact['activation']}
        if 'job' in fact:
            subject = f"{self._document['run_id']}/{fact['job'].replace('-', '/')}"
            data |= {'function': fact['fingerprint'][1], 'calls': fact['calls'], 'chunksize': fact.get('chunksize')}
            yield self._event(event.JOB_SCHEDULED, subject, fact['time'], data)
        else:
            yield self._event(event.CHOICE_RECORDED, f"{self._document['run_id']}/{position}", fact['time'], data)

    def _attempt_event(self, key: str) -> Iterator[dict[str, Any]]:
        """That an attempt failed, told from the fact of the one that follows upon it."""
        fact, found = self._read(key), retried_call(key)
        if fact is None or found is None:
            return
        call_id, following = found
        executor, _, job_id = key.removeprefix(f'{JOBS}/{self._session}-').split('/')[0].partition('-')
        subject = f"{self._document['run_id']}/{executor}/{job_id}/{call_id}"
        retried = {'attempt': following, 'due': event.rfc3339(fact['due']), 'runtime_memory': fact['runtime_memory']}
        data = {'attempt': following - 1, 'reason': fact['after'], 'next': retried}
        yield event.new_event(
            event.ATTEMPT_FAILED, subject, self._source, time=fact['time'], data=data, event_id=f'{subject}/{following - 1}'
        )

    def _outcome(self) -> Iterator[dict[str, Any]]:
        outcome = outcome_of(self._facts, self._session)
        if outcome is not None:
            data = {name: outcome[name] for name in ('error', 'reason') if name in outcome} or None
            yield self._event(event.RUN_ENDED[outcome['status']], self._document['run_id'], outcome['time'], data)

    def _event(self, kind: str, subject: str, time: float, data: Any) -> dict[str, Any]:
        return event.new_event(kind, subject, self._source, time=time, data=data, event_id=f'{subject}/{kind}')


_OUTCOMES = {*event.RUN_ENDED.values()}


def _end_of(facts: dict[str, dict[str, Any]]) -> tuple[float | None, str | None]:
    if 'trigger' in facts:
        return facts['trigger']['time'], 'suspended'
    if 'died' in facts:
        return facts['died']['time'], 'superseded' if facts['died'].get('gave_way') else 'died'
    return None, None
