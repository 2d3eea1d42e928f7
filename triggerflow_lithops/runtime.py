"""
What runs the functions of a run: the runtime that its compute backend has deployed.

A runtime takes along the Lithops that it was deployed with. One of before this plugin
was installed, or of another version of it, runs calls that nobody would ever hear of:
it is recognised here, before anything is started.
"""

import logging
from dataclasses import dataclass
from typing import Any

import lithops
from lithops.config import extract_serverless_config
from lithops.constants import LOCALHOST
from lithops.invokers import _verify_runtime_meta
from lithops.monitoring.backends.triggerflow.functions import UnsupportedBackendError, is_local, require_functions
from lithops.serverless import ServerlessHandler
from lithops.storage import InternalStorage
from lithops.version import __version__ as lithops_version

from . import installation
from .config import SECTION
from .errors import ConfigurationError, InstallationError
from .localhost.metadata import runtime_metadata
from .triggers.keys import runtime_key
from .triggers.store import Facts

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
    :raises ConfigurationError: it cannot be deployed
    """
    if is_local(config):
        # Its service has a queue
        return Runtime(config[LOCALHOST]['runtime'], None, runtime_metadata(config[SECTION]['service']))
    internal_storage = InternalStorage(lithops.config.extract_storage_config(config))
    handler = ServerlessHandler(extract_serverless_config(config), internal_storage)
    try:
        require_functions(handler)
    except UnsupportedBackendError as error:
        raise ConfigurationError(str(error)) from error
    info = handler.get_runtime_info()
    name, memory = info['runtime_name'], info['runtime_memory']
    key = handler.get_runtime_key(name, memory, lithops_version)
    metadata = None if deploy else internal_storage.get_runtime_meta(key)
    deployed = metadata is None
    if metadata is None:
        metadata = _deployed(handler, info)
        internal_storage.put_runtime_meta(key, metadata)
    _verify_runtime_meta(metadata, name)
    _require_patch(config, facts, key, info, deployed)
    return Runtime(name, memory, metadata, info['max_workers'])


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


def _require_patch(config: dict[str, Any], facts: Facts, key: str, info: dict[str, Any], deployed: bool) -> None:
    """Asks the runtime once, by a call of its own, unless it has just taken along what is here."""
    ours = installation.digest(installation.LITHOPS / installation.BACKEND)
    asked = runtime_key(key, ours)
    if not deployed:
        if facts.read(asked) is not None:
            return
        theirs = _digest_there(config)
        if theirs != ours:
            name, backend = info['runtime_name'], config['lithops']['backend']
            found = 'was deployed without this plugin' if not theirs else 'has another version of this plugin'
            raise InstallationError(
                f'Runtime {name!r} of {backend} {found}: nobody would hear of calls that end there. Deploy it again, with '
                f"TriggerflowExecutor(deploy=True), or: lithops runtime deploy -b {backend} -m {info['runtime_memory']} {name}"
            )
    facts.write(asked, b'{}')


def _digest_there(config: dict[str, Any]) -> str:
    """``installation.digest`` of what the runtime has, by a plain call of Lithops; empty if it has nothing."""

    def digest() -> str:
        # It travels by itself: there may be nothing of ours where it runs
        import hashlib
        from pathlib import Path

        import lithops

        folder = Path(lithops.__file__).parent / 'monitoring' / 'backends' / 'triggerflow'
        found = hashlib.blake2b(digest_size=6)
        for module in sorted(folder.rglob('*.py')):
            found.update(module.relative_to(folder).as_posix().encode())
            found.update(module.read_bytes())
        return found.hexdigest() if folder.is_dir() else ''

    with lithops.FunctionExecutor(config=config, monitoring='storage', log_level=None) as fexec:
        fexec.call_async(digest, (), exclude_modules=['lithops'])
        theirs: str = fexec.get_result()
    return theirs
