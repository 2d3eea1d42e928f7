"""
What the engine asks of an object store, and how it writes a fact.

A store answers a write with *created* or *exists*, a read with a value or
*absent*, and raises :class:`StoreUnavailable` when it does not know. Unknown is
never taken for absent. :class:`Facts` asks until the answer is definite.
"""

import json
import time
import uuid
from typing import Any, Callable, List, Protocol, TypeVar

#: Seconds between two tries of one request. Their sum, about 6 s, is what an
#: outage may last before it ends an activation
PAUSES = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.0)


class StoreUnavailable(Exception):
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


def encode(document: Any) -> bytes:
    """A document as it is stored: ASCII JSON."""
    return json.dumps(document, separators=(',', ':')).encode('ascii')


def decode(value: bytes) -> Any:
    """The inverse of :func:`encode`."""
    return json.loads(value)


_Answer = TypeVar('_Answer')


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

    def create(self, key: str, document: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
        """
        Writes a fact, or adopts the one that is there.

        "Exists" says nothing by itself (a client library repeats a write that
        had succeeded), so the document carries a nonce that is compared.

        :return: whether the fact is ours, and the fact that holds
        """
        fact = {**document, 'nonce': new_nonce()}
        if self.write(key, encode(fact)):
            return True, fact
        there = self.read(key)
        if there is None:
            raise StoreUnavailable(f'{key} exists and cannot be read: was the run purged meanwhile?')
        return there.get('nonce') == fact['nonce'], there

    def write(self, key: str, value: bytes) -> bool:
        """Writes bytes if the key is absent. True: created; False: exists."""
        return self._definite(lambda: self.store.put_new(key, value))

    def read(self, key: str) -> dict[str, Any] | None:
        """A document, or None when there is none."""
        value = self.read_bytes(key)
        return None if value is None else decode(value)

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
