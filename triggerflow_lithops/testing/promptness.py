"""
A law on how long a wake-up may take: where workers have told that what an activation waits for has ended, or that
a call has failed for which it does not wait longer, the next activation begins soon. No sweep is needed for that.

Without it, a wait whose wake-up was lost ends when something else wakes the run, and nobody notices.
"""

from typing import Any, Iterator

from ..core.run import keys
from ..core.run.keys import Call
from ..core.run.trigger import Trigger
from ..core.store import decode
from .fault_attribution import FaultAttribution
from .scheduler import Process
from .store import Memory

#: Seconds in which an activation begins that no fault holds up. Requests take less than one, an invocation two, and a
#: trigger service that lives elsewhere a few
SOON = 60.0


class Promptness:
    """
    Notes who has come to which end, and when.

    :param hurt: whom faults have hurt
    """

    def __init__(self, memory: Memory, session: str, hurt: FaultAttribution):
        self._memory = memory
        self._session = session
        self._hurt = hurt
        self._reported: dict[Call, float] = {}
        self._ended: dict[Process, float] = {}

    def reported(self, call: Call, now: float) -> None:
        """A worker, or who stood in for it, has done all that is to be done when ``call`` has ended, or failed."""
        self._reported.setdefault(call, now)

    def ended(self, process: Process, now: float) -> None:
        """A process has come to its end by itself."""
        self._ended[process] = now

    def broken(self) -> Iterator[str]:
        """Each wake-up that came too late, or not at all, although no fault was why; in words."""
        if self._hurt.anyone:
            return
        for key in self._memory.list(keys.activation_prefix(self._session)):
            if key.endswith('/trigger.json') and key in self._memory.written:
                found = self._memory.get(key)
                assert found
                yield from self._late(key, Trigger.from_document(self._session, decode(found)))

    def _late(self, key: str, trigger: Trigger) -> Iterator[str]:
        since, writer = self._memory.written[key]
        known = self._known(trigger)
        if known is None or writer not in self._ended or self._is_excused(trigger):
            return
        # The activation that wrote it looks for itself, until it ends
        by = max(since, known, self._ended[writer]) + SOON
        claimed = self._when(keys.claim_key(self._session, trigger.number + 1))
        over = self._when(keys.outcome_key(self._session))
        if min(claimed, over) > by:
            yield f'activation {trigger.number} waited for what had ended {claimed - by + SOON:.0f} s before the next one began'

    def _known(self, trigger: Trigger) -> float | None:
        """When workers had told enough for ``trigger`` to fire; None if they never had."""
        reported = {call: self._reported[call] for call in trigger.members if call in self._reported}
        failed = [when for call, when in reported.items() if trigger.until_failure and self._has_failed(call)]
        count = trigger.condition.get('count')
        enough = sorted(reported.values())[count - 1 : count] if count else []
        return min([*failed, *enough], default=None)

    def _is_excused(self, trigger: Trigger) -> bool:
        """Whether a fault has hurt who was to start the next activation, or that one itself."""
        following = trigger.number + 1
        # Who waits for all is started by each who sees that all have ended, whatever another one has written
        marked = not trigger.needs_all or any(map(self._has_failed, trigger.members))
        _, firing = self._memory.written.get(keys.fired_key(self._session, trigger.number), (0.0, None))
        return following in self._hurt.delayed or following in self._hurt.subjects or bool(marked and firing and firing.was_hurt)

    def _has_failed(self, call: Call) -> bool:
        event: Any = self._memory.get(keys.event_key(self._session, call))
        return bool(event and decode(event)['exception'])

    def _when(self, key: str) -> float:
        return self._memory.written[key][0] if key in self._memory.written else float('inf')
