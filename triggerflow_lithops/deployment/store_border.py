"""
The border to the stores that travel with Lithops.

Floor 0 is installed twice, and so is :class:`StoreUnavailable`: what a store of the
other installation raises would be caught by nobody here. It is mapped at this border,
and no store reaches this side by another way.
"""

import contextlib
from typing import Any, Callable, Iterator, List, TypeVar

from lithops.constants import LOCALHOST
from lithops.monitoring.backends.triggerflow import stores as travelling
from lithops.monitoring.backends.triggerflow.core.damage import Damaged as TravellingDamaged
from lithops.monitoring.backends.triggerflow.core.store import StoreUnavailable as TravellingStoreUnavailable

from ..core.damage import Damaged
from ..core.store import Store, StoreUnavailable
from ..errors import ConfigurationError
from .lithops_config import opened_storage

_Answer = TypeVar('_Answer')

#: Setting of the ``triggerflow`` section: work on a storage that may overwrite what was written first
UNGUARDED = travelling.UNGUARDED


def create_store(config: dict[str, Any], storage: Any = None) -> 'MappedStore':
    """
    The store over the bucket of a configuration.

    :param config: Lithops', complete, with a 'triggerflow' section
    :param storage: Lithops' own over the same bucket, where there is one already
    :raises UnsupportedStorageError: two writers of one key may both be the first there
    """
    return MappedStore(travelling.create_store(config, storage))


def open_store(config: dict[str, Any]) -> 'MappedStore':
    """
    The store of a client: its bucket is there, and the configuration tells its name.

    :raises ConfigurationError: the storage cannot be reached, or not be used
    """
    backend = config['lithops']['storage']
    try:
        storage = None if backend == LOCALHOST else opened_storage(config)
        if storage is not None:
            config[backend]['storage_bucket'] = storage.bucket
        return create_store(config, storage)
    except travelling.UnsupportedStorageError as error:
        raise ConfigurationError(str(error)) from error
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(
            f"Storage '{backend}' cannot be reached: {type(error).__name__}: {error}. Check its section of the configuration."
        ) from error


def bucket_of(config: dict[str, Any]) -> str:
    """What a bucket is called, for people to read: ``aws_s3://my-bucket``."""
    backend = config['lithops']['storage']
    return f'{backend}://{config[backend]["storage_bucket"]}'


def require_guarded(config: dict[str, Any], store: 'MappedStore') -> None:
    """
    Tries whether a server keeps what was written first, unless the configuration says that it need not.

    :raises ConfigurationError: it does not
    """
    if config['lithops']['storage'] == LOCALHOST or config['triggerflow'].get(UNGUARDED):
        return
    try:
        travelling.require_guarded(store)
    except travelling.UnsupportedStorageError as error:
        raise ConfigurationError(str(error)) from error


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
    """What the other installation raises as unavailable, or damaged, is raised as ours."""
    try:
        yield
    except TravellingStoreUnavailable as error:
        raise StoreUnavailable(str(error)) from error
    except TravellingDamaged as error:
        raise Damaged(error.key, error.found, error.expected, error.newer) from error
