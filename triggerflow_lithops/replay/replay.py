"""
Replay: what the durable calls of an orchestrator do, given its history.

Pure but for what comes in: facts and engine (the bucket), a clock, and ``leave``,
which ends the activation where it stands and never returns. Each durable call
takes the next *position*. A choice is written at its position before the user's
code sees it; what can be derived is derived.
"""

import hashlib
import random
import sys
import uuid
from dataclasses import dataclass
from typing import Any, Callable, NoReturn, Sequence

from .. import errors
from ..core import condition as conditions
from ..core.outcome import failed_run
from ..core.run.ended import ENDED
from ..core.run.engine import Engine
from ..core.run.inputs import Inputs
from ..core.run.keys import Call, claim_key, event_key, fact_key, pack_key, trigger_key
from ..core.run.loss import end
from ..core.run.sweep import InFlight, unknown
from ..core.run.trigger import Members, Trigger
from ..core.store import encode, new_nonce
from .difference import Difference, steps_in_words
from .effects import Effects, Failed, Superseded, Suspended
from .fingerprint import Fingerprint, digest_of
from .history import ARGUMENTS, History
from .lookout import Lookout
from .outputs import Outputs
from .pending import PendingCalls
from .readings import TOO_MANY, Readings

#: Up to so many events are read without a listing that says which are there
FEW = 10
#: Seconds by which the clocks of two machines may differ
SKEW = 10.0

#: Given the whole fact of a step whose arguments differ, tells which one does
Explain = Callable[[dict[str, Any]], Difference | None]


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
        self.run_id = run_id
        self.session = session
        self.number = number
        self.history = history
        self.engine = engine
        self.facts = engine.facts
        self.effects = effects
        self._in_flight = in_flight
        self.position = -1
        self.outputs = Outputs(self.facts, session, effects.each)
        self.outputs.load(history.outputs)
        self._readings = Readings(history)
        self.lookout = Lookout(self.facts, session, effects.time)
        self._pending = PendingCalls(most_pending)
        self._lives = {number}
        self._jobs: dict[str, int] = {}
        self._looked_at: set[Call] = set()
        if history.position < 0:
            effects.caught_up()

    @property
    def is_replaying(self) -> bool:
        """Whether an earlier activation has come further, and has shown what there was to see."""
        return self.position < self.history.position

    # What the hooks call

    def job(
        self,
        job: str,
        fingerprint: Fingerprint,
        prepare: Callable[[], dict[str, Any]],
        invoke: Callable[[dict[str, Any], Sequence[int], int], None],
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
        position = self._jobs[job] = self._advance()
        fact, adopted = self._known(position, fingerprint, explain, fingerprint.calls)
        if fact is None:
            prepared = prepare()
            self._bound(prepared['calls'])
            ours, fact = self.facts.create(
                fact_key(self.session, position),
                {
                    'job': job,
                    'fingerprint': fingerprint.document(),
                    'activation': self.number,
                    'time': self.effects.time(),
                    **self._read_before(),
                    **prepared,
                },
            )
            self._take(position, fact, ours, fingerprint, explain)
            self._pending.scheduled(job, fact['calls'])
            if ours:
                self._begin(fact, range(fact['calls']), invoke)
                return fact
            adopted = True
        else:
            self._pending.scheduled(job, fact['calls'])
        if adopted:
            self._finish_invoking(fact, invoke)
        return fact

    def position_of(self, job: str) -> int:
        """Where a job of this activation was scheduled."""
        return self._jobs[job]

    def adopt(self, job: str, made_by: str) -> None:
        """A job that a call of ``made_by`` made may be waited for like any other."""
        self._jobs.setdefault(job, self._jobs[made_by])

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
        position = self._advance()
        # What is left of a longer timeout is another number in each activation
        asked = [list(map(tuple, calls)), needed, until_failure, timeout is not None or due is not None]
        fingerprint = Fingerprint('wait', '', len(calls), digest_of(asked, calls=len(calls)))
        fact, _ = self._known(position, fingerprint)
        due = self._due(position, timeout, due) if fact is None else None
        while fact is None:
            ended = self._look(position, calls, needed)
            failed = until_failure and any(self.history.events[call].get('exception') for call in ended)
            if len(ended) == len(calls) == needed and not failed and due is None:
                # All of them were waited for, and none failed: whoever asks, however late, sees the same
                fact = self._derive(position, fingerprint, {'ended': Members.of(ended).ranges, 'in_time': True, 'due': None})
            elif failed or len(ended) >= needed or (due is not None and self._is_up(due)):
                in_time = failed or len(ended) >= needed
                choice = {'ended': Members.of(ended).ranges, 'in_time': in_time, 'due': due}
                fact = self._choose(position, fingerprint, choice)
            else:
                self._suspend(position, fingerprint, calls, needed, until_failure, due)
        chosen = fact.get('choice', {'in_time': True, 'due': None})
        found = self._settle(calls, fact)
        self._pending.ended(found)
        if not needed or not chosen['in_time']:
            self._looked_at.update(calls)
        self._looked_at.difference_update(found)
        return Ended(found, chosen['in_time'], chosen['due'])

    def sleep(self, seconds: float) -> None:
        """Waits for nothing but time."""
        position = self._advance()
        fingerprint = Fingerprint('sleep')
        fact, _ = self._known(position, fingerprint)
        due = self._due(position, seconds) if fact is None else None
        while due is not None and fact is None:
            if self._is_up(due):
                fact = self._choose(position, fingerprint, {'due': due})
            else:
                self._suspend(position, fingerprint, [], 0, False, due)

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
        position = self._advance()
        fingerprint = Fingerprint(kind, function, 1 if function else 0, digest)
        fact, _ = self._known(position, fingerprint, explain)
        if fact is None:
            # Before it is chosen: the user's function may change its arguments
            more = {} if in_words is None else {ARGUMENTS: in_words()}
            fact = self._choose(position, fingerprint, choose(), more, explain)
        return fact['choice']

    def uuid4(self) -> uuid.UUID:
        """A random UUID, derived from run and position."""
        position = self._advance()
        fingerprint = Fingerprint('uuid4')
        if self._known(position, fingerprint)[0] is None:
            self._derive(position, fingerprint)
        seed = hashlib.blake2b(f'{self.session}/{position}'.encode(), digest_size=16)
        return uuid.UUID(bytes=seed.digest(), version=4)

    def finish(self, outcome: dict[str, Any]) -> bool:
        """
        Writes how the run ended.

        :return: whether this outcome is the one that holds
        """
        if self.position < self.history.position:
            recorded = f'a wait at step {self.history.position}'
            outcome = failed_run(
                errors.ChangedCodeError(self.run_id, self.position + 1, recorded, 'the end'), self.effects.time()
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
        return self._readings.next(self.position + 1, reader, kind, read)

    # Positions and facts

    def _advance(self) -> int:
        self.position += 1
        if self.position == self.history.position:
            self.effects.caught_up()
        return self.position

    def _known(
        self, position: int, found: Fingerprint, explain: Explain | None = None, calls: int = 0
    ) -> tuple[dict[str, Any] | None, bool]:
        """
        The fact of a position, if it matches, and whether an activation that died left it. There is
        none of a new step, which is not taken if the run has ended.

        :param calls: that a new step schedules
        """
        fact = self.history.facts.get(position)
        if fact is not None:
            self._compare(position, fact['fingerprint'], found, explain)
            return fact, position in self.history.inherited
        if position == self.history.position and self.history.waiting:
            self._compare(position, self.history.waiting, found)
        over = self.lookout.how_over(calls)
        if over is not None:
            self.effects.stop(Superseded(self.number, over))
        return None, False

    def _bound(self, calls: int) -> None:
        """A run that calls and never waits fails, and not inside its own code, where it might be caught."""
        pending = self._pending.with_more(calls)
        if pending is not None:
            self.effects.stop(Failed(errors.TooManyPendingCalls(self.run_id, pending, self._pending.most)))

    def _derive(self, position: int, fingerprint: Fingerprint, derived: Any = None) -> dict[str, Any]:
        """
        What follows from other facts is not written, unless something was read before it. The history carries what it was.

        :param derived: as a choice, which it then is
        """
        if self._readings.pending():
            # Two activations that have read other things meet at this position, and not each at another one
            return self._choose(position, fingerprint, derived)
        fact = {'fingerprint': fingerprint.document()}
        self.history.add_fact(position, fact)
        return fact

    def _choose(
        self,
        position: int,
        fingerprint: Fingerprint,
        choice: Any,
        more: dict[str, Any] | None = None,
        explain: Explain | None = None,
    ) -> dict[str, Any]:
        ours, fact = self.facts.create(
            fact_key(self.session, position),
            {
                'fingerprint': fingerprint.document(),
                'choice': choice,
                'activation': self.number,
                'time': self.effects.time(),
                **self._read_before(),
                **(more or {}),
            },
        )
        self._take(position, fact, ours, fingerprint, explain)
        return fact

    def _take(
        self, position: int, fact: dict[str, Any], ours: bool, fingerprint: Fingerprint, explain: Explain | None = None
    ) -> None:
        """Takes the fact of a position as it was written, here or by another activation."""
        if not ours:
            if fact.get('readings', []) != self._readings.pending():
                self._step_back(fact['activation'])
            self._compare(position, fact['fingerprint'], fingerprint, explain)
        self._readings.settled()
        self.history.add_fact(position, fact)

    def _step_back(self, other: int) -> NoReturn:
        """
        Another activation was first, and had read other things of clock and chance. What it has read holds.

        :param other: its number
        """
        if other < self.number:
            # It may be dead, and nobody would follow upon it: who takes its number finds this one
            cause = f'activation {self.number} gave way to {other}'
            self.engine.give_way(self.session, self.number, cause, self.effects.time())
        self.effects.stop(Superseded(self.number, f'activation {other} has read another time, or other random numbers'))

    def _read_before(self) -> dict[str, Any]:
        """What was read since the last fact, as a part of the next one."""
        pending = self._readings.pending()
        return {'readings': pending} if pending else {}

    def _compare(self, position: int, recorded: list[Any], found: Fingerprint, explain: Explain | None = None) -> None:
        if recorded != found.document():
            what = steps_in_words(recorded, found.document())
            differs = self._explained(position, explain) if recorded[:3] == found.document()[:3] else None
            known = vars(differs) if differs else {}
            if self._readings.were_too_many(position):
                known = {**known, 'hint': TOO_MANY}
            error = errors.ChangedCodeError(self.run_id, position, *what, **known)
            self.effects.stop(Failed(error))

    def _explained(self, position: int, explain: Explain | None) -> Difference | None:
        """Which argument differs. Whatever happens while it is looked for, the step differs all the same."""
        try:
            fact = self.facts.read(fact_key(self.session, position)) if explain else None
            return explain(fact) if explain and fact else None
        except (Exception, SystemExit):
            # To unpickle the data of the user may raise anything
            return None

    def _finish_invoking(self, fact: dict[str, Any], invoke: Callable[[dict[str, Any], Sequence[int], int], None]) -> None:
        """Invokes what an activation that died while it invoked may have left out."""
        by = fact['activation']
        if not fact['calls'] or by in self._lives or self.facts.has(trigger_key(self.session, by)):
            return
        whole = self.facts.read(fact_key(self.session, self.position)) or fact
        job, calls = fact['job'], range(fact['calls'])
        # Asked for first: what ends meanwhile is listed then
        there = self._in_flight() or set()
        there |= self.engine.ended(self.session, Members({job: [[0, len(calls)]]}))
        self._begin(whole, [index for index in calls if Call(job, index) not in there], invoke, again=True)

    def _begin(
        self,
        job: dict[str, Any],
        indices: Sequence[int],
        invoke: Callable[[dict[str, Any], Sequence[int], int], None],
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

    # Waiting

    def _look(self, position: int, calls: Sequence[Call], needed: int) -> list[Call]:
        """Those of ``calls`` whose events are there, as far as it pays to ask."""
        unknown = [call for call in calls if call not in self.history.events]
        just_looking = needed == 0
        if unknown and (just_looking or position == self.history.position or self.history.has_gaps):
            if len(unknown) > FEW or needed < len(calls):
                there = self.engine.ended(self.session, Members.of(unknown))
                unknown = [call for call in unknown if call in there]
            self._read_events(unknown)
        return [call for call in calls if call in self.history.events]

    def _read_events(self, calls: Sequence[Call]) -> None:
        keys = [event_key(self.session, call) for call in calls]
        for call, status in zip(calls, self.effects.each(self.facts.read, keys), strict=True):
            if status is not None:
                self.history.add_event(call, status)

    def _settle(self, calls: Sequence[Call], fact: dict[str, Any]) -> list[Call]:
        ended = list(calls)
        if 'choice' in fact:
            chosen = Members(fact['choice']['ended'])
            ended = [call for call in calls if call in chosen]
        self._read_events([call for call in ended if call not in self.history.events])
        return ended

    def _due(self, position: int, timeout: float | None, due: float | None = None) -> float | None:
        """When a wait is over at the latest. An earlier wait, or activation, may have said so already."""
        if due is not None or timeout is None:
            return due
        if position == self.history.position and self.history.due is not None:
            return self.history.due
        return self.effects.time() + timeout

    def _is_up(self, due: float) -> bool:
        left = due - self.effects.time()
        if 0 < left <= SKEW and self.history.due is not None and self.position == self.history.position:
            # Woken for its time is up, by another clock that is ahead of this one
            self.effects.sleep(left)
            return True
        return left <= 0

    def _suspend(
        self,
        position: int,
        fingerprint: Fingerprint,
        calls: Sequence[Call],
        needed: int,
        until_failure: bool,
        due: float | None,
    ) -> None:
        """Writes the trigger, and returns only if it holds already: as the next number."""
        members, looked_at = Members.of(calls), Members.of(self._looked_at.difference(calls))
        trigger = Trigger(
            session=self.session,
            number=self.number,
            position=position,
            condition=_condition(needed, len(calls)),
            members=members,
            until_failure=until_failure,
            jobs={job: self._jobs[job] for job in sorted({*members.ranges, *looked_at.ranges})},
            due=due,
            looked_at=looked_at,
        )
        self._readings.keep()
        self._write_trigger(trigger, fingerprint)
        if not self.engine.watch(trigger):
            if trigger.timer is not None:
                self.engine.perform(trigger.timer)
            jobs = len(members.ranges)
            self.effects.stop(Suspended(self.number, f'waits for {jobs} job{"" if jobs == 1 else "s"}' if jobs else 'sleeps'))
        # The function service knows this process by the number that it was started as
        claim = {'cause': 'its condition held already', 'time': self.effects.time(), 'lived_by': min(self._lives)}
        ours, _ = self.facts.create(claim_key(self.session, self.number + 1), claim)
        if not ours:
            self.effects.stop(Superseded(self.number, f'activation {self.number + 1} goes on'))
        self.number += 1
        self._lives.add(self.number)
        self.history.position = position
        self.history.waiting = fingerprint.document()
        self.history.due = due

    def _write_trigger(self, trigger: Trigger, fingerprint: Fingerprint) -> None:
        if self.history.needs_packing():
            key = pack_key(self.session, new_nonce())
            self.facts.write(key, self.history.packed(key))
        document = {
            **trigger.document(),
            'time': self.effects.time(),
            'history': {
                **self.history.carried(),
                'outputs': self.outputs.carried(),
                'waiting': fingerprint.document(),
            },
        }
        if not self.facts.write(trigger_key(self.session, self.number), encode(document)):
            there = self.facts.read(trigger_key(self.session, self.number)) or {}
            if there.get('context') != document['context']:
                self.effects.stop(Superseded(self.number, f'activation {self.number} is lived twice'))


def _condition(needed: int, of: int) -> conditions.Condition:
    if not of:
        return conditions.never()
    return conditions.join(needed) if needed == of else conditions.threshold(needed, of)
