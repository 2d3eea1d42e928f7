"""
What an activation knows of its run's past: facts by position, events by call.

Pure: documents in, documents out. Each fact is kept as one line of JSON, encoded
once. A trigger carries the history along that its activation knew, as a *tail*
of lines; when the tail has grown, all lines go into one *pack*. A pack is a copy
of facts that never change, so it is a cache: reading a history costs two requests,
however long it is.
"""

import json
import zlib
from typing import Any, Iterable

from .triggers import documents
from .triggers.damage import Unfit, decode, shown
from .triggers.keys import Call
from .triggers.shape import Check, row

#: In the fact of a choice: what its arguments were, in words
ARGUMENTS = 'arguments'
#: What a history leaves out of a fact: only an invocation, or an error, needs it
LEFT_OUT = ('invocation', ARGUMENTS)
#: Lines that may stay in the tail of a short history …
TAIL = 32
#: … and the share of the pack that they may be in a long one, so that all the
#: packs ever written weigh this many times the history at the most
SHARE = 32


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
        self.torn = False
        self.outputs: list[list[Any]] = []
        self.pack: str | None = None
        self._packed: list[str] = []
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

    def load(self, trigger: dict[str, Any], pack: list[str] | None) -> None:
        """
        Learns what the last trigger carries.

        :param trigger: its document
        :param pack: what it names as ``pack``, as :func:`lines_of` reads it
        :raises Unfit: that is no history
        """
        self.position = self.reached = trigger['context']['position']
        self.waiting = trigger['history']['waiting']
        self.due = trigger['context']['due']
        self.outputs = trigger['history']['outputs']
        self.pack = trigger['history']['pack']
        if pack is not None:
            self._packed = pack
        self._tail = trigger['history']['tail']
        self._learn(_entries(self._packed))
        self._learn(map(_checked, _entries(self._tail)))

    def needs_packing(self) -> bool:
        """Whether the tail has outgrown what a trigger should carry."""
        return len(self._tail) > max(TAIL, len(self._packed) // SHARE)

    def packed(self, key: str) -> bytes:
        """All that is known, as the object to be written at ``key``."""
        self._packed += self._tail
        self._tail = []
        self.pack = key
        return zlib.compress('\n'.join(self._packed).encode('ascii'), 1)

    def carried(self) -> dict[str, Any]:
        """What a trigger carries of the history."""
        return {'pack': self.pack, 'tail': self._tail}

    def _learn(self, entries: Iterable[list[Any]]) -> None:
        try:
            for kind, *entry in entries:
                if kind == 'fact':
                    self._know_fact(entry[0], entry[1])
                elif kind == 'readings':
                    self._know_readings(entry[0])
                else:
                    self.events[Call(entry[0], entry[1])] = entry[2]
        except (TypeError, ValueError, IndexError, KeyError, AttributeError) as error:
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


def lines_of(key: str, pack: bytes) -> list[str]:
    """
    The lines of a pack. What is packed has a checksum, so what is read is what was written.

    :raises Unfit: it is no pack
    """
    try:
        return zlib.decompress(pack).decode('ascii').split('\n')
    except (zlib.error, ValueError, MemoryError) as error:
        raise Unfit(f'{len(pack)} bytes that are no pack ({error})', 'a pack of a history') from None


def _entries(lines: list[str]) -> list[list[Any]]:
    # One parse of one document is several times faster than one of each line
    entries: list[list[Any]] = decode(f"[{','.join(lines)}]".encode())
    return entries


def _checked(entry: Any) -> list[Any]:
    """What a trigger carries has no checksum."""
    if type(entry) is not list or not entry or entry[0] not in _ENTRIES:
        raise Unfit(shown(entry), 'a line of a history').inside('history.tail')
    try:
        _ENTRIES[entry[0]](entry[1:])
    except Unfit as unfit:
        raise unfit.inside('history.tail') from None
    return entry


_ENTRIES: dict[str, Check] = {
    'fact': row(documents.position, documents.step),
    'event': row(documents.job_name, documents.call_index, documents.event),
    'readings': row(documents.readings),
}
