"""
Executors and storages that an orchestrator refers to: they travel as what is needed to make
them again, and never as what they hold, which includes credentials.

An activation makes them from its own configuration, in the order in which they stand in the
pickle. That order is the same in every activation, and so are the numbers of the executors.
"""

import copy
import re
import sys
from typing import Any, Callable, TypeVar

import lithops
from lithops.config import extract_storage_config
from lithops.constants import LOCALHOST
from lithops.future import ResponseFuture
from lithops.retries import RetryingFunctionExecutor
from lithops.storage import InternalStorage, Storage
from lithops.storage.cloud_proxy import CloudStorage
from lithops.storage.utils import get_storage_path
from lithops.utils import FuturesList

from ...core.store import StoreUnavailable
from ...errors import TriggerflowError
from ...replay.effects import Crashed
from ..hooks.patching import hooks
from ..jobs import is_pending
from .reducers import CannotTravel, Reduced

Made = TypeVar('Made')

#: Are made again: what they hold is nobody's business
WHOLE = (lithops.FunctionExecutor, InternalStorage, Storage, ResponseFuture)
#: What an executor sets itself. An object of a subclass keeps what it has beyond this
_OF_EXECUTORS = frozenset(
    (
        *('is_lithops_worker', 'executor_id', 'futures', 'cleaned_jobs', 'total_jobs', 'last_call', 'log_path', 'config'),
        *('data_cleaner', 'internal_storage', 'storage', 'backend', 'mode', 'compute_handler', 'job_monitor', 'invoker'),
    )
)
#: Of a future: where it reads, and with which credentials
_OF_STORAGE = ('_storage_config', '_storage_path')
#: Settings of the section 'lithops' that a run decides
_OF_THE_RUN = frozenset(('monitoring', 'backend_type', 'data_cleaner', 'log_level', 'telemetry'))
#: Lithops puts a token that it has asked for into the configuration
_TOKENS = frozenset(('token', 'token_expiry_time'))
_SECRET = re.compile(r'key|secret|passw|token|credential|auth|sas|account|connection_string|private|cert', re.IGNORECASE)


class Remade:
    """
    What travels of executors and storages.

    :param config: Lithops' configuration of the run
    """

    def __init__(self, config: dict[str, Any]):
        self._config = config
        self._storage = config['lithops']['storage']

    def reduced(self, obj: Any) -> Reduced | None:
        """
        What pickle makes of an object of Lithops that refers to a backend or a storage.

        :return: None for all other objects
        :raises CannotTravel: the run has another backend, storage or bucket
        """
        if isinstance(obj, lithops.FunctionExecutor):
            return self._executor(obj)
        if isinstance(obj, InternalStorage):
            self._require_storage('InternalStorage', obj.get_storage_config(), obj.bucket)
            return make_internal_storage, ()
        if isinstance(obj, Storage):
            self._require_storage('Storage', obj.get_storage_config())
            return make_storage, (type(obj), obj.bucket)
        if isinstance(obj, ResponseFuture):
            if is_pending(obj):
                raise CannotTravel(
                    'the future of a call that this program has made, and that has not ended, cannot be waited for in an '
                    'orchestrator. Wait for it here, and hand over its result; or make the call inside of the orchestrator'
                )
            kept = {name: value for name, value in vars(obj).items() if name not in _OF_STORAGE}
            return make_future, (type(obj),), kept
        if isinstance(obj, FuturesList):
            return list, (list(obj),)
        return _reduced_layer(obj)

    def _executor(self, executor: lithops.FunctionExecutor) -> Reduced:
        kind, config = type(executor), executor.config
        for what in ('backend', 'storage'):
            ours, theirs = self._config['lithops'][what], config['lithops'][what]
            if ours != theirs:
                raise CannotTravel(
                    f"a {kind.__name__} with {what} '{theirs}' cannot go along with a run whose {what} is '{ours}'. "
                    'Make it with the configuration of the TriggerflowExecutor'
                )
        self._require_storage(kind.__name__, config, executor.internal_storage.bucket)
        differences = self._differences(executor)
        state = None
        if not kind.__module__.startswith('lithops.'):
            state = {name: value for name, value in vars(executor).items() if name not in _OF_EXECUTORS} or None
        return make_executor, (kind, differences), state

    def _differences(self, executor: lithops.FunctionExecutor) -> dict[str, dict[str, Any]]:
        """Sections of an executor's configuration: the keys that the run has not, or has otherwise."""
        found: dict[str, dict[str, Any]] = {}
        backend = executor.config['lithops']['backend']
        for section in ('lithops', backend):
            ours = self._config.get(section) or {}
            for key, value in (executor.config.get(section) or {}).items():
                if ours.get(key) == value or self._is_of_the_run(executor, section, key):
                    continue
                if _is_secret(key) or _holds_secret(value):
                    raise CannotTravel(
                        f"a {type(executor).__name__} whose '{section}: {key}' is not that of the run cannot go along: it looks "
                        'like a credential, and none is stored. Make both with the same configuration'
                    )
                found.setdefault(section, {})[key] = value
        return found

    @staticmethod
    def _is_of_the_run(executor: lithops.FunctionExecutor, section: str, key: str) -> bool:
        if key in _TOKENS:
            return True
        if section != 'lithops':
            # The interpreter of the run, where that is a process of this machine
            return section == LOCALHOST and key == 'runtime'
        if key == 'chunksize':
            # Lithops fills this in where nothing is said
            backend = executor.config['lithops']['backend']
            return bool(executor.config['lithops'][key] == (executor.config.get(backend) or {}).get('worker_processes'))
        return key in _OF_THE_RUN

    def _require_storage(self, name: str, config: dict[str, Any], bucket: str | None = None) -> None:
        theirs = config.get('backend') or config['lithops']['storage']
        if theirs != self._storage:
            raise CannotTravel(
                f"a {name} with storage '{theirs}' cannot go along with a run whose storage is '{self._storage}': its "
                'credentials are not stored. Make it inside of the orchestrator'
            )
        ours, section = self._config[self._storage], config[self._storage]
        if bucket is not None and bucket != ours['storage_bucket']:
            raise CannotTravel(
                f"a {name} with bucket '{bucket}' cannot go along with a run in bucket '{ours['storage_bucket']}'. "
                'Make it with the configuration of the TriggerflowExecutor'
            )
        if self._storage == LOCALHOST:
            # The section of that name is about processes
            return
        for key, value in section.items():
            if key not in ('storage_bucket', *_TOKENS) and ours.get(key) != value:
                raise CannotTravel(
                    f"a {name} whose '{self._storage}: {key}' is not that of the run cannot go along: what is made again "
                    'has the configuration of the run. Make both with the same configuration'
                )


def require_no_configuration(obj: Any, module: str) -> None:
    """
    Checks an object of Lithops, or of this package.

    :param module: of its class
    :raises CannotTravel: it holds a configuration, with credentials
    """
    if module.startswith(('lithops.', 'triggerflow_lithops.')):
        for name, value in getattr(obj, '__dict__', {}).items():
            if name.endswith('config') and isinstance(value, dict):
                raise CannotTravel(
                    f'a {type(obj).__name__} holds the configuration of this program, with its credentials, and none is stored. '
                    'It cannot be used inside of an orchestrator'
                )


def _is_secret(key: Any) -> bool:
    return bool(_SECRET.search(str(key)))


def _holds_secret(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_is_secret(key) or _holds_secret(inner) for key, inner in value.items())
    if isinstance(value, str):
        # A user and a password in an address
        return bool(re.search(r'://[^/\s]*@', value))
    return isinstance(value, (list, tuple)) and any(map(_holds_secret, value))


def _reduced_layer(obj: Any) -> Reduced | None:
    """Of Lithops' other interfaces: what holds an executor."""
    if isinstance(obj, RetryingFunctionExecutor):
        kept = {name: value for name, value in vars(obj).items() if name not in ('executor', 'config')}
        return make_retrying, (type(obj), obj.executor), kept
    adapter = sys.modules.get('lithops.concurrent.futures')
    if adapter is not None and isinstance(obj, adapter.FunctionExecutor):
        names = ('runtime_memory', 'extra_env', 'execution_timeout', 'include_modules', 'exclude_modules')
        options = {name: getattr(obj, f'_{name}') for name in names}
        return make_adapter, (type(obj), obj._inner, options, obj._owns_executor, obj._is_shutdown)
    pools = sys.modules.get('lithops.multiprocessing.pool')
    if pools is not None and isinstance(obj, pools.Pool):
        held = ('_state', '_maxtasksperchild', '_initializer', '_initargs', '_processes', '_executor', '_terminated')
        state = {name: getattr(obj, name) for name in held}
        return object.__new__, (type(obj),), {**state, '_handlers': [], '_remote_logger': None, '_logger_stream': None}
    return None


def make_adapter(kind: Any, executor: Any, options: dict[str, Any], owns: bool, is_shutdown: bool) -> Any:
    """An executor of ``lithops.concurrent.futures`` around one that was made again."""
    made = kind(executor=executor, **options)
    made._owns_executor, made._is_shutdown = owns, is_shutdown
    return made


def make_retrying(kind: Any, executor: Any) -> Any:
    """A retrying executor around one that was made again."""
    return kind(executor)


# What a loader of the orchestrator does where these names stand in the pickle


def make_executor(kind: Any, differences: dict[str, dict[str, Any]]) -> Any:
    """
    An executor, made by Lithops as an orchestrator makes one.

    :param differences: from the configuration of the run, by section
    """
    config = None
    if differences:
        config = copy.deepcopy(hooks('An executor').config)
        for section, keys in differences.items():
            config[section] = {**(config.get(section) or {}), **keys}
    made = kind.__new__(kind)
    _or_crash(lambda: lithops.FunctionExecutor.__init__(made, config=config))
    return made


def make_storage(kind: Any, bucket: str) -> Storage:
    """
    A storage of the run's configuration.

    :param kind: its class
    :param bucket: its own
    """
    config = _storage_config()
    config[config['backend']]['storage_bucket'] = bucket
    made: Storage = kind.__new__(kind)
    _or_crash(lambda: Storage.__init__(made, storage_config=config))
    if isinstance(made, CloudStorage):
        made._config = config
    return made


def make_internal_storage() -> InternalStorage:
    """The storage of the run."""
    return _or_crash(lambda: InternalStorage(_storage_config()))


def _or_crash(make: Callable[[], Made]) -> Made:
    """Makes something that asks the storage: if that fails, the activation is tried again."""
    try:
        return make()
    except Exception as error:
        if isinstance(error, TriggerflowError) and not isinstance(error, StoreUnavailable):
            raise
        hooks('An executor').replay.effects.stop(Crashed(error))


def make_future(kind: Any) -> Any:
    """A future that reads with the configuration of the run. Its other attributes are set afterwards."""
    made = kind.__new__(kind)
    made._storage_config = _storage_config()
    made._storage_path = get_storage_path(made._storage_config)
    return made


def _storage_config() -> dict[str, Any]:
    config: dict[str, Any] = copy.deepcopy(extract_storage_config(hooks('A storage').config))
    return config


def stand_in(*_: Any) -> Any:
    """What a trial makes instead of an executor or a storage."""
    return _StandIn()


class _StandIn:
    """Takes any attribute."""


#: Made by whoever loads an orchestrator, and by nobody else
MAKERS: tuple[Callable[..., Any], ...] = (
    *(make_executor, make_adapter, make_retrying),
    *(make_storage, make_internal_storage, make_future),
)
