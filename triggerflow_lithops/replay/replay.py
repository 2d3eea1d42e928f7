"""
Replay: what the durable calls of an orchestrator do, given its history.

Pure but for what comes in: facts and engine (the bucket), a clock, and ``stop``, which ends the activation where it
stands and never returns. A choice is written at its position before the user's code sees it; what can be derived is
derived.
"""

import hashlib
import random
import sys
import uuid
from dataclasses import dataclass
from typing import Any, Callable, Sequence, cast

from .. import errors
from ..core.outcome import failed_run
from ..core.run.documents import JobFact, Outcome
from ..core.run.ended import ENDED
from ..core.run.engine import Engine
from ..core.run.inputs import Inputs
from ..core.run.keys import Call, fact_key, trigger_key
from ..core.run.loss import end
from ..core.run.sweep import InFlight, unknown
from ..core.run.trigger import Members
from .effects import Effects, Failed, Superseded
from .fingerprint import Fingerprint, digest_of
from .history import ARGUMENTS, History
from .ledger import Explain, Ledger
from .outputs import Outputs
from .pending import PendingCalls
from .suspend import Suspension, Wait

#: Invokes calls of a scheduled job, by their numbers, as an activation with a number
Invoke = Callable[[JobFact, Sequence[int], int], None]


@dataclass(frozen=True)
class Ended:
    """
    What came of a wait.

    :param calls: those that count as ended, in order; their events are in the history
    :param in_time: whether they were as many as it takes before the time was up
    :param due: when it would have been up; None where nothing says so
    """

    calls: list[Call]
    in_time: bool
    due: float | None


class Replay:
    """
    One activation's way through its orchestrator.

    :param number: of this activation. It grows where a wait turns out to be over
        at once: the same process then lives the next number, too
    :param in_flight: what the function service has of this run
    :param most_pending: how many calls may be scheduled and not yet waited for
    """

    def __init__(
        self,
        run_id: str,
        session: str,
        number: int,
        history: History,
        engine: Engine,
        effects: Effects,
        in_flight: InFlight = unknown,
        most_pending: int = sys.maxsize,
    ):
        self.ledger = Ledger(run_id, session, number, history, engine, effects)
        self.session = session
        self.history = history
        self.engine = engine
        self.facts = engine.facts
        self.effects = effects
        self.outputs = Outputs(self.facts, session, effects.each)
        self.outputs.load(history.outputs)
        self._in_flight = in_flight
        self._pending = PendingCalls(most_pending)
        self._suspension = Suspension(self.ledger, self.outputs)

    @property
    def number(self) -> int:
        """Of the activation, as far as it has come."""
        return self.ledger.number

    @property
    def position(self) -> int:
        """Of the latest durable step."""
        return self.ledger.position

    @property
    def is_replaying(self) -> bool:
        """Whether an earlier activation has come further, and has shown what there was to see."""
        return self.ledger.is_replaying

    # What the hooks call

    def job(
        self,
        job: str,
        fingerprint: Fingerprint,
        prepare: Callable[[], dict[str, Any]],
        invoke: Invoke,
        explain: Explain | None = None,
    ) -> dict[str, Any]:
        """
        Schedules a job, or takes it as it was scheduled.

        :param prepare: uploads what the job needs, and returns its document: 'calls',
            their number, what futures are made from, and as ``invocation`` what only
            invoking needs
        :param invoke: given the fact, invokes these calls, for this activation
        :param explain: called only if the arguments are not those that the fact has
        :return: the fact of this job
        """
        position = self._suspension.jobs[job] = self.ledger.advance()
        fact, adopted = self.ledger.known(position, fingerprint, explain, fingerprint.calls)
        if fact is None:
            prepared = prepare()
            self._bound(prepared['calls'])
            scheduled = {'job': job, 'fingerprint': fingerprint.document()}
            ours, fact = self.ledger.create(position, scheduled, fingerprint, prepared, explain)
            self._pending.scheduled(job, fact['calls'])
            if ours:
                self._begin(cast(JobFact, fact), range(fact['calls']), invoke)
                return fact
            adopted = True
        else:
            self._pending.scheduled(job, fact['calls'])
        if adopted:
            self._finish_invoking(cast(JobFact, fact), invoke)
        return fact

    def position_of(self, job: str) -> int:
        """Where a job of this activation was scheduled."""
        return self._suspension.jobs[job]

    def adopt(self, job: str, made_by: str) -> None:
        """A job that a call of ``made_by`` made may be waited for like any other."""
        self._suspension.jobs.setdefault(job, self._suspension.jobs[made_by])

    def wait(
        self,
        calls: Sequence[Call],
        needed: int,
        until_failure: bool,
        timeout: float | None = None,
        due: float | None = None,
    ) -> Ended:
        """
        Waits until ``needed`` of ``calls`` have ended.

        :param calls: those whose events the orchestrator has not seen, in its order
        :param needed: 0 to look only; ``len(calls)`` to wait for all of them
        :param until_failure: whether the first failure ends the wait as well
        :param timeout: seconds after which the wait is over, whatever has ended
        :param due: when it is over, instead: of an earlier wait that this one continues
        """
        position = self.ledger.advance()
        # What is left of a longer timeout is another number in each activation
        asked = [list(map(tuple, calls)), needed, until_failure, timeout is not None or due is not None]
        fingerprint = Fingerprint('wait', '', len(calls), digest_of(asked, calls=len(calls)))
        fact, _ = self.ledger.known(position, fingerprint)
        due = self._suspension.due(position, timeout, due) if fact is None else None
        wait = Wait(position, fingerprint, calls, needed, until_failure, due)
        while fact is None:
            fact = self._concluded(wait)
            if fact is None:
                self._suspension.suspend(wait)
        chosen = fact.get('choice', {'in_time': True, 'due': None})
        found = self._suspension.take(calls, fact)
        self._pending.ended(found)
        if not needed or not chosen['in_time']:
            self._suspension.looked_at.update(calls)
        self._suspension.looked_at.difference_update(found)
        return Ended(found, chosen['in_time'], chosen['due'])

    def _concluded(self, wait: Wait) -> dict[str, Any] | None:
        """The fact of a wait that is over now; None if it goes on."""
        ended = self._suspension.look(wait)
        failed = wait.until_failure and any(self.history.events[call].get('exception') for call in ended)
        in_time = failed or len(ended) >= wait.needed
        choice = {'ended': Members.of(ended).ranges, 'in_time': in_time, 'due': wait.due}
        if len(ended) == len(wait.calls) == wait.needed and not failed and wait.due is None:
            # All of them were waited for, and none failed: each later activation sees the same
            return self.ledger.derive(wait.position, wait.fingerprint, choice)
        if in_time or (wait.due is not None and self._suspension.is_up(wait.due)):
            return self.ledger.choose(wait.position, wait.fingerprint, choice)
        return None

    def sleep(self, seconds: float) -> None:
        """Waits for nothing but time."""
        position = self.ledger.advance()
        fingerprint = Fingerprint('sleep')
        fact, _ = self.ledger.known(position, fingerprint)
        due = self._suspension.due(position, seconds) if fact is None else None
        while due is not None and fact is None:
            if self._suspension.is_up(due):
                fact = self.ledger.choose(position, fingerprint, {'due': due})
            else:
                self._suspension.suspend(Wait(position, fingerprint, due=due))

    def choice(
        self,
        kind: str,
        function: str,
        choose: Callable[[], Any],
        digest: str = '',
        in_words: Callable[[], Any] | None = None,
        explain: Explain | None = None,
    ) -> Any:
        """
        A value that could come out otherwise next time, chosen once.

        :param choose: returns it, as something that JSON can hold
        :param in_words: what the fact says of the arguments, for ``explain``
        :param explain: called only if the arguments are not those that the fact has
        """
        position = self.ledger.advance()
        fingerprint = Fingerprint(kind, function, 1 if function else 0, digest)
        fact, _ = self.ledger.known(position, fingerprint, explain)
        if fact is None:
            # Before it is chosen: the user's function may change its arguments
            more = {} if in_words is None else {ARGUMENTS: in_words()}
            fact = self.ledger.choose(position, fingerprint, choose(), more, explain)
        return fact['choice']

    def uuid4(self) -> uuid.UUID:
        """A random UUID, derived from run and position."""
        position = self.ledger.advance()
        fingerprint = Fingerprint('uuid4')
        if self.ledger.known(position, fingerprint)[0] is None:
            self.ledger.derive(position, fingerprint)
        seed = hashlib.blake2b(f'{self.session}/{position}'.encode(), digest_size=16)
        return uuid.UUID(bytes=seed.digest(), version=4)

    def finish(self, outcome: Outcome) -> bool:
        """
        Writes how the run ended.

        :return: whether this outcome is the one that holds
        """
        if self.position < self.history.position:
            recorded = f'a wait at step {self.history.position}'
            outcome = failed_run(
                errors.ChangedCodeError(self.ledger.run_id, self.position + 1, recorded, 'the end'), self.effects.time()
            )
        return end(self.facts, self.session, outcome)

    def seed(self) -> None:
        """
        Before the user's code begins: in all activations of a run it draws the same numbers.
        Their state is the user's from there on.
        """
        random.seed(self.session)

    def read(self, reader: str, kind: type, read: Callable[[], Any]) -> Any:
        """
        Something of clock and chance that the orchestrator reads between two steps: the same on every replay.

        :param reader: the module that reads
        :param kind: of the value, which JSON can hold
        :param read: reads it
        """
        return self.ledger.readings.next(self.position + 1, reader, kind, read)

    # Starting calls

    def _bound(self, calls: int) -> None:
        """A run that calls and never waits fails, and not inside its own code, where it might be caught."""
        pending = self._pending.with_more(calls)
        if pending is not None:
            self.effects.stop(Failed(errors.TooManyPendingCalls(self.ledger.run_id, pending, self._pending.most)))

    def _finish_invoking(self, fact: JobFact, invoke: Invoke) -> None:
        """Invokes what an activation that died while it invoked may have left out."""
        by = fact['activation']
        if not fact['calls'] or by in self.ledger.lives or self.facts.has(trigger_key(self.session, by)):
            return
        whole = self.facts.read(fact_key(self.session, self.position), JobFact) or fact
        job, calls = fact['job'], range(fact['calls'])
        # Asked for first: what ends meanwhile is listed then
        there = self._in_flight() or set()
        there |= self.engine.ended(self.session, Members({job: [[0, len(calls)]]}))
        self._begin(whole, [index for index in calls if Call(job, index) not in there], invoke, again=True)

    def _begin(
        self,
        job: JobFact,
        indices: Sequence[int],
        invoke: Invoke,
        again: bool = False,
    ) -> None:
        """Invokes calls of a job at its position, but for those that wait for others."""
        if not job['calls']:
            return
        deferred = Inputs.from_document(job['invocation']['inputs']).of_call
        invoke(job, [index for index in indices if index not in deferred], self.number)
        waiting = [index for index in indices if index in deferred]
        if waiting:
            now = self.effects.time()
            if not self.engine.defer(self.session, self.position, job, waiting, now, again, self.effects.each):
                self.effects.stop(Superseded(self.number, ENDED))
