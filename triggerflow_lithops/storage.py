"""
The border to the stores that travel with Lithops.

Floor 0 is installed twice, and so is :class:`StoreUnavailable`: what a store of the
other installation raises would be caught by nobody here. It is mapped at this border,
and no store reaches this side by another way.
"""

import contextlib
from typing import Any, Callable, Iterator, List, TypeVar

from lithops.monitoring.backends.triggerflow import store as travelling
from lithops.monitoring.backends.triggerflow.triggers.store import StoreUnavailable as TravellingStoreUnavailable

from .triggers.store import Store, StoreUnavailable

_Answer = TypeVar('_Answer')


def create_store(storage_config: dict[str, Any]) -> 'MappedStore':
    """
    The store over the bucket of a storage configuration.

    :param storage_config: as ``lithops.config.extract_storage_config`` returns it
    :raises UnsupportedStorageError: there is none for this storage backend yet
    """
    return MappedStore(travelling.create_store(storage_config))


class MappedStore:
    """A store of the other installation of floor 0, with the errors of this one."""

    def __init__(self, store: Store):
        self._store = store

    def __repr__(self) -> str:
        return repr(self._store)

    def get(self, key: str) -> bytes | None:
        """The value, or None when it is certain that there is none."""
        return self._mapped(lambda: self._store.get(key))

    def list(self, prefix: str) -> List[str]:
        """All keys that begin with ``prefix``, sorted."""
        return self._mapped(lambda: self._store.list(prefix))

    def put_new(self, key: str, value: bytes) -> bool:
        """Writes if the key is absent. True: created; False: exists."""
        return self._mapped(lambda: self._store.put_new(key, value))

    def delete(self, keys: List[str]) -> None:
        """Removes objects. An absent key is no error."""
        self._mapped(lambda: self._store.delete(keys))

    def _mapped(self, request: Callable[[], _Answer]) -> _Answer:
        with map_store_errors():
            return request()


@contextlib.contextmanager
def map_store_errors() -> Iterator[None]:
    """What the other installation raises as unavailable is raised as ours."""
    try:
        yield
    except TravellingStoreUnavailable as error:
        raise StoreUnavailable(str(error)) from error
