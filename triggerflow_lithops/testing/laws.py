"""
The laws that a simulated run is held to, whatever happens to it.

What is left to whoever compares runs is that the outcome is that of a run without
faults.
"""

from typing import Any, Callable, Iterable, Protocol

from ..core.condition import holds
from ..core.run import keys
from ..core.run.keys import Call
from ..core.run.trigger import Trigger
from ..core.store import decode
from ..replay.lookout import STEPS
from .fault_attribution import FaultAttribution
from .promptness import Promptness
from .scheduler import Process
from .store import Memory

#: Requests that a run without faults may make: per activation, and per execution of a call
ACTIVATION, CALL = 16, 8

#: Faults that end a process before it has told what it did: what it did may be done again
DEADLY = ('outage', 'killed', 'vanished')


class Ended(Protocol):
    """What the laws look at when everything has come to rest."""

    requests: Any
    invocations: Any
    counts: Any
    repaired: list[str]
    timers: int


class Laws:
    """
    :param costs: whether the plugin's own cost is a law, too. How much a run may cost is known of the orchestrators of
        the corpus; of a user's it is not
    :ivar broken: which were broken, in words
    :ivar hurt: whom faults have hurt
    :ivar promptness: how long wake-ups took
    :ivar is_purged: whether what was written and invoked, and why, is not there any more
    """

    def __init__(self, memory: Memory, session: str, costs: bool = False):
        self.broken: list[str] = []
        self.hurt = FaultAttribution(memory, session)
        self.promptness = Promptness(memory, session, self.hurt)
        self.is_purged = False
        self._costs = costs
        self._memory = memory
        self._session = session

    def invoked(self, by: Process, subject: Call | int) -> None:
        """Somebody invoked something."""
        if by.saw_outcome:
            self.broken.append(f'{by} invoked {subject} although it had seen the outcome')
        if isinstance(subject, int) and subject and by.kind == 'call' and self._is_early(subject - 1):
            self.broken.append(f'{by} woke activation {subject} before what it waits for had ended')

    def starts(self, by: Process, position: int, calls: Iterable[Call], now: float) -> None:
        """An activation invokes calls of the job that was scheduled at ``position``."""
        _, scheduled_by = self._memory.written.get(keys.fact_key(self._session, position), (0.0, by))
        if not self._costs or self.is_purged or scheduled_by is by:
            # Who has scheduled it does not look, even if it stood still meanwhile
            return
        ended = [call for call in calls if self._has_ended(call, now)]
        if ended:
            self.broken.append(f'{by} invoked {ended} although they had ended')

    def woken(self, number: int, alive: Callable[[Process], bool]) -> None:
        """
        A sweep has started the activation after ``number``, for nobody had. The function service tells what it has.

        :param alive: whether a process is
        """
        found = self._memory.get(keys.trigger_key(self._session, number))
        due = decode(found)['context']['due'] if found else None
        _, living = self._memory.written.get(keys.claim_key(self._session, number), (0.0, None))
        if self._costs and not self.is_purged and found and due is None and living and alive(living):
            self.broken.append(f'a sweep started activation {number + 1} although activation {number} was alive')

    def wrote_after_the_end(self, by: Process, key: str) -> None:
        """Somebody wrote something new of a run that has ended, or was purged."""
        if by.kind == 'activation' and key.startswith(keys.facts_prefix(self._session)):
            by.facts_too_late += 1
            if by.facts_too_late == STEPS + 1:
                self.broken.append(f'{by} went on for {STEPS + 1} steps after the run had ended')

    def at_rest(self, run: Ended) -> None:
        """Everything has come to its end."""
        if self.is_purged:
            return
        self.broken += [f'{key} was written in two values' for key in self._memory.written_twice]
        unhurt = [repair for repair in run.repaired if not self.hurt.explains(repair)]
        self.broken += [f'a sweep repaired what no fault had hurt: {repair}' for repair in unhurt]
        if self._costs:
            self._at_rest(run)

    def _at_rest(self, run: Ended) -> None:
        self.broken += self.promptness.broken()
        attempts = sum(bool(keys.retried_call(key)) for key in self._memory.list(keys.JOBS))
        if not run.repaired and not any(run.counts[fault] for fault in DEADLY):
            self._once(run, attempts)
        if not run.counts.total():
            self._cost(run, attempts)

    def _once(self, run: Ended, attempts: int) -> None:
        twice = [subject for subject, count in run.invocations.items() if isinstance(subject, Call) and count > 1]
        if sum(run.invocations[call] - 1 for call in twice) != attempts:
            self.broken.append(f'{twice} were invoked more than once')

    def _cost(self, run: Ended, attempts: int) -> None:
        activations = [number for number in run.invocations if isinstance(number, int)]
        calls = len(run.invocations) - len(activations)
        jobs = len({subject.job for subject in run.invocations if isinstance(subject, Call)})
        # An activation may find that its condition holds while somebody else finds it, too
        if sum(run.invocations[number] for number in activations) > 2 * len(activations) + run.timers:
            self.broken.append('activations were invoked again and again')
        # Who succeeds one that died of itself looks at those that died before it, and for the code of the run; so
        # does who reads the history
        deaths = sum(key.endswith('/died.json') for key in self._memory.list(keys.activation_prefix(self._session)))
        # Each job is written once, and listed up to four times where one wait is for many of them; each call's event is
        # read once, by one of the activations
        most = (ACTIVATION + 2 * deaths) * len(activations) + 5 * jobs + 2 * calls
        if run.requests['activation'] > most:
            self.broken.append(f'{len(activations)} activations made {run.requests["activation"]} requests')
        if run.requests['call'] > CALL * (calls + attempts):
            self.broken.append(f'{calls + attempts} executions of calls made {run.requests["call"]} requests')

    def _has_ended(self, call: Call, now: float) -> bool:
        """Whether an activation that looks before it invokes would have seen that ``call`` had ended."""
        written = self._memory.written.get(keys.event_key(self._session, call))
        # Deferred calls are looked at one after the other, and invoked together
        deferred = self._memory.get(keys.attempt_key(self._session, call, 0)) is not None
        return written is not None and written[0] < now and not deferred

    def _is_early(self, number: int) -> bool:
        found = self._memory.get(keys.trigger_key(self._session, number))
        if found is None or self._memory.get(keys.death_key(self._session, number)) is not None:
            return False
        trigger = Trigger.from_document(self._session, decode(found))
        events = {call: self._memory.get(keys.event_key(self._session, call)) for call in trigger.members}
        ended = [decode(event) for event in events.values() if event is not None]
        failed = trigger.until_failure and any(event['exception'] for event in ended)
        return not failed and not holds(trigger.condition, len(ended))
