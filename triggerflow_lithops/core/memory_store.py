"""A store in memory: for tests, and the model that the other stores follow."""

import bisect
import threading
from typing import List


class MemoryStore:
    """Keeps objects in memory. Safe to use from several threads."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._keys: list[str] = []
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f'MemoryStore({len(self._keys)} objects)'

    def get(self, key: str) -> bytes | None:
        """The value, or None when there is none."""
        return self._objects.get(key)

    def list(self, prefix: str) -> List[str]:
        """All keys that begin with ``prefix``, sorted."""
        with self._lock:
            first = bisect.bisect_left(self._keys, prefix)
            # No key has a character beyond this one
            return self._keys[first : bisect.bisect_left(self._keys, f'{prefix}\U0010ffff', first)]

    def put_new(self, key: str, value: bytes) -> bool:
        """Writes if the key is absent. True: created; False: exists."""
        with self._lock:
            if key in self._objects:
                return False
            self._objects[key] = bytes(value)
            bisect.insort(self._keys, key)
            return True

    def delete(self, keys: List[str]) -> None:
        """Removes objects. An absent key is no error."""
        with self._lock:
            for key in set(keys) & self._objects.keys():
                del self._objects[key]
                self._keys.remove(key)
