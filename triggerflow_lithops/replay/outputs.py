"""
Outputs that an orchestrator has read: results too large for their events.

Its code reads them again in every activation. So that a replay does that in few
requests, small ones are packed, many in one object, when the activation suspends. Large
ones are left where they are. A pack is a cache: what is not in one is read from its key.
"""

import pickle
import pickletools
from typing import Any, Iterable, NamedTuple, Sequence

from ..core.damage import Unfit
from ..core.run.deferred import Each
from ..core.run.keys import Call, pack_key
from ..core.run.loss import Gone
from ..core.run.trigger import Members
from ..core.store import Facts, new_nonce

#: Bytes of an output that is packed, and of a pack, at the most
SMALL, LARGEST = 2**20, 2**26
#: A pack that is not so many times larger than what is new becomes part of a new one
FACTOR = 2


class Output(NamedTuple):
    """
    Where the output of a call lies.

    :param size: bytes
    """

    call: Call
    key: str
    size: int


class Outputs:
    """
    The outputs that a run's orchestrator has read.

    :param each: does something with each of many, at the same time where that is faster
    """

    def __init__(self, facts: Facts, session: str, each: Each):
        self._facts = facts
        self._session = session
        self._each = each
        #: Key, calls and bytes of each pack, the largest first
        self._packs: list[tuple[str, Members, int]] = []
        self._loaded: dict[str, dict[Call, bytes]] = {}
        self._new: dict[Call, bytes] = {}

    def load(self, carried: Iterable[list[Any]]) -> None:
        """Learns which packs there are, from the last trigger."""
        self._packs = [(key, Members(ranges), size) for key, ranges, size in carried]

    def fetch(self, outputs: Sequence[Output]) -> None:
        """Reads small ones, many at the same time."""
        unread = [output for output in outputs if output.size <= SMALL and self._known(output.call) is None]
        for output, value in zip(unread, self._each(self._read, unread), strict=True):
            self._new[output.call] = value

    def get(self, output: Output) -> bytes:
        """The pickled result of a call."""
        self.fetch([output])
        known = self._known(output.call)
        return self._read(output) if known is None else known

    def carried(self) -> list[list[Any]]:
        """What a trigger carries of them. New ones are packed first."""
        while self._new:
            size = sum(map(len, self._new.values()))
            if self._packs and self._packs[-1][2] <= FACTOR * size and self._packs[-1][2] + size <= LARGEST:
                key, _, _ = self._packs.pop()
                self._new = {**self._pack(key), **self._new}
                continue
            key = pack_key(self._session, new_nonce())
            self._facts.write(key, pickle.dumps({tuple(call): value for call, value in self._new.items()}, -1))
            self._packs.append((key, Members.of(self._new), size))
            self._loaded[key], self._new = self._new, {}
        return [[key, members.ranges, size] for key, members, size in self._packs]

    def _known(self, call: Call) -> bytes | None:
        if call in self._new:
            return self._new[call]
        for key, members, _ in self._packs:
            if call in members:
                return self._pack(key).get(call)
        return None

    def _pack(self, key: str) -> dict[Call, bytes]:
        if key not in self._loaded:
            found = self._facts.read_as(key, _unpacked)
            if found is None:
                raise Gone(f'{key}, which holds what calls returned, is gone')
            self._loaded[key] = found
        return self._loaded[key]

    def _read(self, output: Output) -> bytes:
        def whole(key: str, value: bytes) -> bytes:
            if len(value) != output.size:
                raise Unfit(f'{len(value)} bytes', f'the {output.size} that its event says')
            return value

        value = self._facts.read_as(output.key, whole)
        if value is None:
            raise Gone(f'{output.key}, which a call returned, is gone')
        return value


def _unpacked(key: str, pack: bytes) -> dict[Call, bytes]:
    """What is in a pack: looked through first, for what is no longer as it was written could make pickle do anything."""
    try:
        if all(opcode.name in _WRITTEN for opcode, _, _ in pickletools.genops(pack)):
            found = {Call(*call): value for call, value in pickle.loads(pack).items()}
            if all(type(call.job) is str and type(value) is bytes for call, value in found.items()):
                return found
    except Exception as error:
        raise Unfit(f'{len(pack)} bytes that are no pack ({type(error).__name__}: {error})', 'a pack of outputs') from None
    raise Unfit(f'{len(pack)} bytes that are no pack', 'a pack of outputs')


#: All that pickle makes of calls and bytes
_WRITTEN = {
    *('PROTO', 'FRAME', 'STOP', 'MARK', 'MEMOIZE', 'BINGET', 'LONG_BINGET', 'EMPTY_DICT', 'SETITEM', 'SETITEMS', 'TUPLE2'),
    *('SHORT_BINUNICODE', 'BINUNICODE', 'BININT', 'BININT1', 'BININT2', 'SHORT_BINBYTES', 'BINBYTES', 'BINBYTES8'),
}
