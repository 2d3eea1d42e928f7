"""A store in memory: for tests, and the model that the other stores follow."""

import threading
from typing import List


class MemoryStore:
    """Keeps objects in a dict. Safe to use from several threads."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f'MemoryStore({len(self.objects)} objects)'

    def get(self, key: str) -> bytes | None:
        """The value, or None when there is none."""
        return self.objects.get(key)

    def list(self, prefix: str) -> List[str]:
        """All keys that begin with ``prefix``, sorted."""
        with self._lock:
            return sorted(key for key in self.objects if key.startswith(prefix))

    def put_new(self, key: str, value: bytes) -> bool:
        """Writes if the key is absent. True: created; False: exists."""
        with self._lock:
            if key in self.objects:
                return False
            self.objects[key] = bytes(value)
            return True

    def delete(self, keys: List[str]) -> None:
        """Removes objects. An absent key is no error."""
        with self._lock:
            for key in keys:
                self.objects.pop(key, None)
