"""
What runs the functions of a run: the runtime that its compute backend has deployed.

A runtime takes along the Lithops that it was deployed with. One of before this plugin
was installed, or of another version of it, runs calls that nobody would ever hear of:
it is recognised here, before anything is started.
"""

import logging
from dataclasses import dataclass
from typing import Any

from lithops.config import extract_serverless_config, extract_storage_config
from lithops.constants import LOCALHOST
from lithops.invokers import _verify_runtime_meta
from lithops.monitoring.backends.triggerflow.compute import UnsupportedBackendError, is_local, require_no_batch
from lithops.serverless import ServerlessHandler
from lithops.storage import InternalStorage
from lithops.version import __version__ as lithops_version

from ..core.run.keys import runtime_key
from ..core.store import Facts
from ..errors import ConfigurationError, InstallationError
from ..local_service.metadata import runtime_metadata
from . import installation
from .config import SECTION
from .runtime_probe import Probe

logger = logging.getLogger(__name__)

#: Seconds that a worker needs for itself, as Lithops has it
MARGIN = 5


@dataclass(frozen=True)
class Runtime:
    """
    :param name: as Lithops calls it: an interpreter, or an image
    :param memory: MB; None where the backend has no such thing
    :param metadata: Lithops' own: 'preinstalls', versions, 'runtime_timeout' (seconds)
    :param lanes: how many calls of one job may be under way at one time; 0 for any number
    """

    name: str
    memory: int | None
    metadata: dict[str, Any]
    lanes: int = 0

    def timeout_of(self, wanted: float) -> float:
        """Seconds that a function may take, which are fewer than those after which its process is killed."""
        limit = self.metadata.get('runtime_timeout')
        return wanted if not limit or wanted < limit else limit - MARGIN


def prepare_runtime(config: dict[str, Any], facts: Facts, deploy: bool = False) -> Runtime:
    """
    The runtime of a configuration, deployed if it was not.

    :param deploy: whether it is deployed again in any case
    :raises InstallationError: it lacks what a worker of a run needs
    :raises ConfigurationError: it cannot be deployed, or does not answer
    """
    if is_local(config):
        # Its service has a queue
        return Runtime(config[LOCALHOST]['runtime'], None, runtime_metadata(config[SECTION]['service']))
    internal_storage = InternalStorage(extract_storage_config(config))
    handler = ServerlessHandler(extract_serverless_config(config), internal_storage)
    try:
        require_no_batch(handler)
    except UnsupportedBackendError as error:
        raise ConfigurationError(str(error)) from error
    info = handler.get_runtime_info()
    metadata = require_runtime(config, facts, internal_storage, handler, info, deploy)
    return Runtime(info['runtime_name'], info['runtime_memory'], metadata, lanes_of(info['max_workers']))


def lanes_of(max_workers: int | None) -> int:
    """
    How many lanes ``max_workers`` can carry. Whoever hands over to the next one of its lane has not
    ended when that begins: if all places are taken nobody can hand over.
    """
    return max(1, max_workers - max(1, max_workers // 10)) if max_workers else 0


def require_runtime(
    config: dict[str, Any],
    facts: Facts,
    internal_storage: InternalStorage,
    handler: ServerlessHandler,
    info: dict[str, Any],
    deploy: bool = False,
) -> dict[str, Any]:
    """
    A runtime that is deployed, if it was not, and has what a worker needs.

    :param config: Lithops' configuration
    :param info: of the runtime: 'runtime_name', 'runtime_memory' and 'runtime_timeout', as Lithops has them
    :param deploy: whether it is deployed again in any case
    :return: Lithops' metadata of it
    :raises InstallationError: it lacks what a worker of a run needs
    :raises ConfigurationError: it cannot be deployed, or does not answer
    """
    name, memory = info['runtime_name'], info['runtime_memory']
    key = handler.get_runtime_key(name, memory, lithops_version)
    ours = installation.digest(installation.LITHOPS / installation.BACKEND)
    known = runtime_key(key, ours)
    metadata: dict[str, Any] | None = None if deploy else internal_storage.get_runtime_meta(key)
    if metadata is None:
        # It takes along what is here
        metadata = _deployed(handler, info)
        internal_storage.put_runtime_meta(key, metadata)
        _verify_runtime_meta(metadata, name)
        facts.write(known, b'{}')
        return metadata
    _verify_runtime_meta(metadata, name)
    if not facts.has(known):
        _require_patch(Probe(config, internal_storage, handler, (name, memory, metadata)).ask(), ours, config, info)
        facts.write(known, b'{}')
    return metadata


def _deployed(handler: ServerlessHandler, info: dict[str, Any]) -> dict[str, Any]:
    name, memory, timeout = info['runtime_name'], info['runtime_memory'], info['runtime_timeout']
    logger.info('Runtime %s with %s MB - is deployed', name, memory)
    try:
        metadata: dict[str, Any] = handler.deploy_runtime(name, memory, timeout)
    except Exception as error:
        raise ConfigurationError(
            f'Runtime {name!r} with {memory} MB and {timeout} s could not be deployed to {handler.backend_name}: {error}'
        ) from error
    metadata['runtime_timeout'] = timeout
    return metadata


def _require_patch(theirs: str, ours: str, config: dict[str, Any], info: dict[str, Any]) -> None:
    if theirs != ours:
        name, backend = info['runtime_name'], config['lithops']['backend']
        found = 'was deployed without this plugin' if not theirs else 'has another version of this plugin'
        raise InstallationError(
            f'Runtime {name!r} of {backend} {found}: nobody would hear of calls that end there. Deploy it again, with '
            f'TriggerflowExecutor(deploy=True), or: lithops runtime deploy -b {backend} -m {info["runtime_memory"]} {name}'
        )
