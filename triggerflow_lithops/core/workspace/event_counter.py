"""
The marks of a trigger that counts: one for each event that counts for it, by the event's
digest, so that one listing shows them.

Where that would be a long one, the marks are parted into ``k`` cells, and a *look* at all of
them is written down, with what is missing, ``m`` events: as long as no cell has gained
``m / k``, the sum cannot have been reached, and a publisher lists its own cell only. How many
cells there are follows from ``m``: all who go by one look take the same.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Iterable

from ..store import Facts
from . import keys
from .keys import WorkspaceKeys, last_of

#: How many marks one listing shows
PAGE = 1000
#: Missing events for each cell, below which there are fewer cells: one that may gain a single one tells nothing
SPARE = 2


def is_long(in_all: int) -> bool:
    """Whether so many marks are more than one listing shows."""
    return in_all > PAGE


@dataclass(frozen=True)
class CountSnapshot:
    """How many events each cell had, and how many more had to come for the next firing."""

    missing: int
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def digits(self) -> int:
        """Of a digest, that tell a cell: the fewer are missing, the fewer cells."""
        return next((digits for digits in range(keys.DIGITS, 0, -1) if self.missing >= SPARE * 16**digits), 0)

    def cells(self, marks: Iterable[str]) -> dict[str, int]:
        """How many marks each cell has."""
        return Counter(digest[: self.digits] for digest in marks)

    def suggests_another(self, counts: dict[str, int]) -> bool:
        """Whether nothing may be missing any more, by what some cells have gained."""
        # Rounded up
        gain = -(-self.missing // 16**self.digits)
        return any(count - self.counts.get(cell, 0) >= gain for cell, count in counts.items())


class EventCounter:
    """Those of one trigger."""

    def __init__(self, facts: Facts, home: WorkspaceKeys, trigger_id: str):
        self._facts = facts
        self._home = home
        self._trigger_id = trigger_id

    def add(self, channel: str, digest: str) -> None:
        """An event counts. Once, however often this is said."""
        self._facts.write(self._home.mark(self._trigger_id, channel, digest), b'{}')

    def add_all(self, channels: Iterable[str]) -> None:
        """All events that are there count."""
        marked = self.found()
        for channel in channels:
            for key in self._facts.list(self._home.events(channel)):
                if last_of(key) not in marked:
                    self.add(channel, last_of(key))

    def found(self, cell: str = '') -> dict[str, str]:
        """The digests of the events that count, or of those of a cell, and a channel of each."""
        return dict(last_of(key).split('.') for key in self._facts.list(self._home.marks(self._trigger_id, cell)))

    def may_suffice(self, look_key: str | None, in_all: int, digest: str) -> bool:
        """
        Whether an event may have been the last one that was missing, by its cell.

        :param look_key: of the newest look, if there is one
        :param in_all: how many events the next firing takes, and those before it took
        """
        if not is_long(in_all):
            return True
        found = self._facts.read(look_key) if look_key else None
        look = CountSnapshot(found['missing'], found['counts']) if found else CountSnapshot(in_all)
        cell = digest[: look.digits]
        return look.suggests_another({cell: len(self.found(cell))})
