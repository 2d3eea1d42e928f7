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

from .triggers.keys import Call

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
        self.facts[position] = brief
        self._tail.append(json.dumps(['fact', position, brief], separators=(',', ':')))

    def add_event(self, call: Call, status: dict[str, Any]) -> None:
        """Learns the event of a call. Its log is left out: a replay prints nothing."""
        brief = {name: value for name, value in status.items() if name != 'logs'}
        self.events[call] = brief
        self._tail.append(json.dumps(['event', call.job, call.number, brief], separators=(',', ':')))

    def load(self, trigger: dict[str, Any], pack: bytes | None) -> None:
        """
        Learns what the last trigger carries.

        :param trigger: its document
        :param pack: the object that it names as ``pack``
        """
        self.position = trigger['context']['position']
        self.waiting = trigger['history']['waiting']
        self.due = trigger['context']['due']
        self.outputs = trigger['history']['outputs']
        self.pack = trigger['history']['pack']
        if pack is not None:
            self._packed = zlib.decompress(pack).decode('ascii').split('\n')
        self._tail = trigger['history']['tail']
        self._learn(self._packed)
        self._learn(self._tail)

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

    def _learn(self, lines: Iterable[str]) -> None:
        # One parse of one document is several times faster than one of each line
        for kind, *entry in json.loads(f"[{','.join(lines)}]"):
            if kind == 'fact':
                self.facts[entry[0]] = entry[1]
            else:
                self.events[Call(entry[0], entry[1])] = entry[2]
