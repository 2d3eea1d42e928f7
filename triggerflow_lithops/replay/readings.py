"""
What an orchestrator reads of clock and chance between two durable steps.

Each such *reading* is the same on every replay: it is written with the fact of the step that
comes next, to whose position it belongs, and with a trigger that comes before that fact.
Until there is the fact it is *pending*.

A step before which something was read is always a fact. So of two activations that come to
one position with other readings the one that loses the fact knows it. What a trigger has
only counts as long as no other activation has gone on by a fact.

Pure: a history, and a function that reads.
"""

from collections import Counter
from typing import Any, Callable

from .history import History

#: Readings that are kept for one step. Those beyond are real ones in each activation: a loop that
#: looks at the clock until some time has passed ends on a replay, too
MOST = 1000

TOO_MANY = (
    f'The clock, or random ids, were read more than {MOST:,} times before this step, or an earlier one. Those beyond are not '
    'recorded: read less often, or in record().'
)

#: As they are stored: a position, a module, and what that had read before the step of the position
Stored = list[list[Any]]


class Readings:
    """
    The readings of one activation.

    :param history: what the activations before it have recorded
    """

    def __init__(self, history: History):
        self._history = history
        self._pending = {read: values for read, values in history.readings.items() if read[0] > history.last_written}
        self._position = -1
        self._taken: Counter[str] = Counter()

    def next(self, position: int, reader: str, kind: type, read: Callable[[], Any]) -> Any:
        """
        What was read here first, or what is read now.

        :param position: of the step that comes next
        :param reader: the module that reads. Each has readings of its own
        :param kind: of the value, which JSON can hold
        :param read: reads it
        """
        if position != self._position:
            self._position = position
            self._taken.clear()
        taken = self._taken[reader]
        self._taken[reader] += 1
        if position <= self._history.reached:
            recorded = self._history.readings.get((position, reader), ())
            found = recorded[taken] if taken < len(recorded) else None
            return found if type(found) is kind else read()
        value = read()
        if taken < MOST:
            self._pending.setdefault((position, reader), []).append(value)
        return value

    def pending(self) -> Stored:
        """What is to be written with the next fact."""
        return [[position, reader, values] for (position, reader), values in sorted(self._pending.items())]

    def settled(self) -> None:
        """There is a fact that has what was pending."""
        self._pending.clear()

    def keep(self) -> None:
        """A trigger is about to carry what is pending."""
        known = self._history.readings
        self._history.add_readings([read for read in self.pending() if known.get((read[0], read[1])) != read[2]])

    def were_too_many(self, position: int) -> bool:
        """Whether there were more before a step than are kept."""
        return any(len(values) >= MOST for (before, _), values in self._history.readings.items() if before <= position)
