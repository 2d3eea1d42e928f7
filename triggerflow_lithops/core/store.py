"""
What the engine asks of an object store, and how it writes a fact.

A store answers a write with *created* or *exists*, a read with a value or
*absent*, and raises :class:`StoreUnavailable` when it does not know. Unknown is
never taken for absent. :class:`Facts` asks until the answer is definite.
"""

import time
import uuid
from typing import Any, Callable, List, Mapping, Protocol, TypeVar, cast, overload

from .damage import Damaged, Unfit, decode, encode
from .errors import TriggerflowError
from .kinds import document_at

__all__ = ['Facts', 'Store', 'StoreUnavailable', 'decode', 'encode', 'new_nonce']

#: Seconds between two tries of one request. Their sum, about 6 s, is what an
#: outage may last before it ends an activation
PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.0)

#: How often an object is read that is damaged, and each time another one
READS = 5


class StoreUnavailable(TriggerflowError):
    """The store did not answer, or not with something that can be believed."""


class Store(Protocol):
    """An object store in which a key, once written, keeps its value."""

    def get(self, key: str) -> bytes | None:
        """The value, or None when it is certain that there is none."""

    def list(self, prefix: str) -> List[str]:
        """All keys that begin with ``prefix``, sorted."""

    def put_new(self, key: str, value: bytes) -> bool:
        """
        Writes a whole object if, and only if, the key is absent.

        :return: True when it was created, False when the key exists
        """

    def delete(self, keys: List[str]) -> None:
        """Removes objects. An absent key is no error."""


def new_nonce() -> str:
    """What tells one execution from another: 12 random hexadecimal digits."""
    return uuid.uuid4().hex[:12]


_Answer = TypeVar('_Answer')
#: A class of :mod:`.run.documents`
_Document = TypeVar('_Document', bound=Mapping[str, Any])


class Facts:
    """
    Create-only documents over a store, every request repeated until its answer
    is definite.

    :param pauses: seconds to wait before each further try
    """

    def __init__(
        self,
        store: Store,
        pauses: tuple[float, ...] = PAUSES,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.store = store
        self._pauses = pauses
        self._sleep = sleep

    def create(self, key: str, document: _Document) -> tuple[bool, _Document]:
        """
        Writes a fact, or adopts the one that is there.

        "Exists" says nothing by itself (a client library repeats a write that
        had succeeded), so the document carries a nonce that is compared.

        :return: whether the fact is ours, and the fact that holds
        """
        nonce = new_nonce()
        fact = cast(_Document, {**document, 'nonce': nonce})
        if self.write(key, encode(fact)):
            return True, fact
        there = cast('_Document | None', self.read(key))
        if there is None:
            raise StoreUnavailable(f'{key} exists and cannot be read: was the run purged meanwhile?')
        return there.get('nonce') == nonce, there

    def write(self, key: str, value: bytes) -> bool:
        """Writes bytes if the key is absent. True: created; False: exists."""
        return self._definite(lambda: self.store.put_new(key, value))

    @overload
    def read(self, key: str) -> dict[str, Any] | None: ...

    @overload
    def read(self, key: str, kind: type[_Document]) -> _Document | None: ...

    def read(self, key: str, kind: Any = dict) -> Any:
        """
        A document, or None when there is none.

        :param kind: its type, for the reader's types only: what is checked follows from the key
        :raises Damaged: it is not one of the kind that belongs there
        """
        return self.read_as(key, document_at)

    def read_as(self, key: str, parse: Callable[[str, bytes], _Answer]) -> _Answer | None:
        """
        An object, read by ``parse``, or None when there is none.

        :param parse: given the key and what is there; raises Unfit or Damaged if it is not what it should be
        :raises Damaged: so it was twice. What was damaged on its way comes whole the next time
        """
        value = self.read_bytes(key)
        for _ in range(READS):
            if value is None:
                return None
            try:
                return parse(key, value)
            except (Damaged, Unfit) as damage:
                again = self.read_bytes(key)
                if again == value:
                    raise damage.of(key) if isinstance(damage, Unfit) else damage from None
                value = again
        raise StoreUnavailable(f'{key} was read {READS} times, and was another one each time')

    def has(self, key: str) -> bool:
        """Whether there is an object, whatever it is."""
        return self.read_bytes(key) is not None

    def read_bytes(self, key: str) -> bytes | None:
        """An object, or None when there is none."""
        return self._definite(lambda: self.store.get(key))

    def list(self, prefix: str) -> List[str]:
        """All keys that begin with ``prefix``, sorted."""
        return self._definite(lambda: self.store.list(prefix))

    def _definite(self, request: Callable[[], _Answer]) -> _Answer:
        for pause in self._pauses:
            try:
                return request()
            except StoreUnavailable:
                self._sleep(pause)
        return request()
