"""
What an activation knows of its run's past: facts by position, events by call.

Pure: documents in, documents out. Each fact is kept as one line of JSON, encoded
once. A trigger carries the history along that its activation knew, as a *tail*
of a few lines; when the tail has grown, it becomes a *pack*, an object of its own.
A pack is a copy of facts that never change, so it is a cache.

Each pack is many times larger than the next one: small ones are merged into larger
ones. So a line is written a few times only, however long the history becomes, and a
history of 1,000 steps lies in two packs.
"""

import base64
import json
import zlib
from dataclasses import dataclass
from typing import Any, Iterable, Sequence

from ..core.damage import Unfit
from ..core.run.keys import Call

#: In the fact of a choice: what its arguments were, in words
ARGUMENTS = 'arguments'
#: What a history leaves out of a fact: only an invocation, or an error, needs it
LEFT_OUT = ('invocation', ARGUMENTS)
#: Lines that may stay in the tail
TAIL = 32
#: A pack that is at the most so many times as long as what is newer becomes part of a new one
FACTOR = 16


@dataclass(frozen=True)
class Pack:
    """
    Old lines, in one object.

    :param key: where that lies
    """

    key: str
    lines: list[str]


class History:
    """
    Facts by position and events by call, as far as they are known here.

    :ivar facts: scheduled jobs and recorded choices, by position
    :ivar events: Lithops' status documents, by call
    :ivar readings: what was read of clock and chance before a position, by that and by the module that read
    :ivar reached: the last position that some activation is known to have come to
    :ivar last_written: the last position that has a fact in the bucket
    :ivar inherited: positions whose facts no trigger carries: they were found in the bucket
    :ivar position: where the last trigger waits; -1 when there is none
    :ivar waiting: the fingerprint of that wait
    :ivar due: when that wait is over, whatever has ended; None for never
    :ivar outputs: which packs of outputs there are
    :ivar torn: whether an activation died meanwhile, so that there may be facts
        that no trigger carries
    """

    def __init__(self) -> None:
        self.facts: dict[int, dict[str, Any]] = {}
        self.events: dict[Call, dict[str, Any]] = {}
        self.readings: dict[tuple[int, str], list[Any]] = {}
        self.reached = self.last_written = -1
        self.inherited: set[int] = set()
        self.position = -1
        self.waiting: list[Any] = []
        self.due: float | None = None
        self.has_gaps = False
        self.outputs: list[list[Any]] = []
        self._packs: list[Pack] = []
        self._tail: list[str] = []

    def __repr__(self) -> str:
        return f'History({len(self.facts)} facts, {len(self.events)} events, up to {self.position})'

    def add_fact(self, position: int, fact: dict[str, Any]) -> None:
        """Learns the fact of a position. What only an invocation or an error needs is left out."""
        brief = {name: value for name, value in fact.items() if name not in LEFT_OUT}
        self._know_fact(position, brief)
        self._tail.append(json.dumps(['fact', position, brief], separators=(',', ':')))

    def add_inherited(self, facts: dict[int, dict[str, Any]]) -> None:
        """
        Learns what an activation left that died, or that went on unseen.

        :param facts: those in the bucket that :meth:`lacks` names
        """
        before = dict(self.readings)
        for position in sorted(facts):
            self.add_fact(position, facts[position])
            self.inherited.add(position)
        if any(self.readings[read] != values for read, values in before.items()):
            # Another activation went on than the one that wrote the trigger: what that waited for is void
            self.waiting, self.due = [], None

    @property
    def newest(self) -> int:
        """The newest activation that left a fact which no trigger carries; -1 if there is none."""
        return max((int(self.facts[position]['activation']) for position in self.inherited), default=-1)

    def lacks(self, position: int) -> bool:
        """
        Whether a fact in the bucket says more than is known here. What was derived was not written: if
        there is a fact at its position, another activation has made it, and its readings hold.
        """
        return 'activation' not in self.facts.get(position, ())

    def add_readings(self, stored: list[list[Any]]) -> None:
        """Learns what was read of clock and chance: a position, a module, and what that had read before."""
        if stored:
            self._know_readings(stored)
            self._tail.append(json.dumps(['readings', stored], separators=(',', ':')))

    def add_event(self, call: Call, status: dict[str, Any]) -> None:
        """Learns the event of a call. Its log is left out: a replay prints nothing."""
        brief = {name: value for name, value in status.items() if name != 'logs'}
        self.events[call] = brief
        self._tail.append(json.dumps(['event', call.job, call.number, brief], separators=(',', ':')))

    def load(self, trigger: dict[str, Any], packs: Sequence[list[str]]) -> None:
        """
        Learns what the last trigger carries.

        :param trigger: its document
        :param packs: what it names as ``packs``, each as :func:`lines_of` reads it
        :raises Unfit: what it carries is no history
        """
        carried = trigger['history']
        self.position = self.reached = trigger['context']['position']
        self.waiting = carried['waiting']
        self.due = trigger['context']['due']
        self.outputs = carried['outputs']
        self._packs = [Pack(key, lines) for key, lines in zip(carried['packs'], packs, strict=True)]
        self._tail = lines_of('', base64.b64decode(carried['tail']))
        for lines in [*(pack.lines for pack in self._packs), self._tail]:
            self._learn(lines)

    def needs_packing(self) -> bool:
        """Whether the tail has outgrown what a trigger should carry."""
        return len(self._tail) > TAIL

    def packed(self, key: str) -> bytes:
        """The tail, and packs that are not much longer, as the object to be written at ``key``."""
        lines, self._tail = self._tail, []
        while self._packs and len(self._packs[-1].lines) <= FACTOR * len(lines):
            lines = self._packs.pop().lines + lines
        self._packs.append(Pack(key, lines))
        return _compressed(lines)

    def carried(self) -> dict[str, Any]:
        """What a trigger carries of the history."""
        return {'packs': [pack.key for pack in self._packs], 'tail': base64.b64encode(_compressed(self._tail)).decode('ascii')}

    def _learn(self, lines: Iterable[str]) -> None:
        try:
            # One parse of one document is several times faster than one of each line
            for kind, *entry in json.loads(f'[{",".join(lines)}]'):
                if kind == 'fact':
                    self._know_fact(entry[0], entry[1])
                elif kind == 'readings':
                    self._know_readings(entry[0])
                else:
                    self.events[Call(entry[0], entry[1])] = entry[2]
        except (TypeError, ValueError, LookupError, AttributeError, RecursionError) as error:
            raise Unfit(f'a line that is none of a history ({error})', 'facts, events and readings') from None

    def _know_fact(self, position: int, fact: dict[str, Any]) -> None:
        self.facts[position] = fact
        self.reached = max(self.reached, position)
        if 'activation' in fact:
            self.last_written = max(self.last_written, position)
        self._know_readings(fact.get('readings', ()))

    def _know_readings(self, stored: Iterable[list[Any]]) -> None:
        for position, reader, values in stored:
            self.readings[position, reader] = values


def _compressed(lines: Iterable[str]) -> bytes:
    return zlib.compress('\n'.join(lines).encode('ascii'), 1)


def lines_of(key: str, pack: bytes) -> list[str]:
    """
    The lines of a pack, none of which has an end of line in it. A pack has a checksum: what can be read is what was written.

    :param key: where it lies
    :raises Unfit: it is no pack
    """
    try:
        return zlib.decompress(pack).decode('ascii').splitlines()
    except (zlib.error, ValueError, MemoryError) as error:
        raise Unfit(f'{len(pack)} bytes that are no pack ({error})', 'a pack of a history') from None
