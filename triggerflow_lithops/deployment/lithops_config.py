"""
The border to Lithops' own reading of a configuration: what it raises there becomes one
sentence that says what was found, what was expected, and what to do.
"""

import contextlib
import copy
import difflib
import importlib.metadata
import logging
import os
import pkgutil
import re
import sys
import traceback
from typing import Any, Iterator

import yaml
from lithops.config import default_config, extract_storage_config, get_default_config_filename, load_config
from lithops.constants import LOCALHOST, SERVERLESS_BACKENDS, STANDALONE_BACKENDS
from lithops.storage import InternalStorage
from lithops.storage import backends as storage_backends

from ..errors import ConfigurationError

#: A module of a backend inside Lithops: its kind, and its name
_BACKEND = re.compile(r'lithops\.(storage|serverless|standalone)\.backends\.(\w+)')
_KINDS = {'storage': 'storage', 'serverless': 'compute backend', 'standalone': 'compute backend'}


def load_given(config: dict[str, Any] | None, config_file: str | None) -> dict[str, Any]:
    """
    The configuration that was given: as it is, or from where Lithops finds it.

    :param config: instead of a file
    :param config_file: path of one, instead of those that Lithops looks for
    :return: a copy
    :raises ConfigurationError: it cannot be read, or it is no mapping
    """
    if config:
        found, where = copy.deepcopy(config), 'The given configuration'
    else:
        found, where = _read(config_file)
    if not isinstance(found, dict):
        raise ConfigurationError(f'{where} is a mapping of sections; found a {type(found).__name__}.')
    for name in ('lithops', LOCALHOST, *SERVERLESS_BACKENDS, *STANDALONE_BACKENDS, *_storages()):
        section = found.get(name)
        if section is not None and not isinstance(section, dict):
            raise ConfigurationError(f"{where} has a section '{name}', which is a mapping; found a {type(section).__name__}.")
    return found


def _read(config_file: str | None) -> tuple[Any, str]:
    from_environment = not config_file and 'LITHOPS_CONFIG' in os.environ
    where = (
        'The environment variable LITHOPS_CONFIG'
        if from_environment
        else f'The configuration file {config_file or get_default_config_filename()}'
    )
    try:
        return load_config(config_file), where
    except FileNotFoundError as error:
        raise ConfigurationError(f'{where} is not there.') from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f'{where} is not YAML: {_said(error)}.') from error
    except ValueError as error:
        expected = 'JSON' if from_environment else 'text in UTF-8'
        raise ConfigurationError(f'{where} is not {expected}: {error}.') from error
    except OSError as error:
        raise ConfigurationError(f'{where} cannot be read: {error.strerror}.') from error


def _said(error: yaml.YAMLError) -> str:
    """What is wrong, and where. Nothing of the text itself: it may be a password."""
    mark, problem = getattr(error, 'problem_mark', None), getattr(error, 'problem', None)
    place = f'line {mark.line + 1}, column {mark.column + 1}: ' if mark else ''
    return f'{place}{problem or type(error).__name__}'


def completed(given: dict[str, Any], overwrite: dict[str, Any]) -> dict[str, Any]:
    """
    Lithops' configuration with all its defaults.

    :param overwrite: as ``lithops.config.default_config`` takes it
    :raises ConfigurationError: Lithops does not take it
    """
    storage = overwrite['lithops'].get('storage') or (given.get('lithops') or {}).get('storage')
    if storage is not None:
        _require_storage(storage)
    try:
        complete: dict[str, Any] = default_config(config_data=given, config_overwrite=overwrite)
    except Exception as error:
        raise ConfigurationError(
            _missing_module(error) or f'Lithops does not take this configuration: {_text_of(error)}'
        ) from error
    return complete


def opened_storage(config: dict[str, Any]) -> Any:
    """
    Lithops' storage over the bucket of a configuration. The bucket is made if it is not there, where Lithops does that.

    :raises ConfigurationError: it cannot be reached
    """
    backend = config['lithops']['storage']
    try:
        with _without_tracebacks_in_the_log():
            return _with_its_bucket(config)
    except Exception as error:
        bucket = (config.get(backend) or {}).get('storage_bucket')
        what = f"Storage '{backend}'" if bucket is None else f"Bucket '{bucket}' of storage '{backend}'"
        raise ConfigurationError(
            _missing_module(error)
            or f"{what} cannot be reached: {_text_of(error)}. Check the section '{backend}' of the configuration."
        ) from error


def _with_its_bucket(config: dict[str, Any]) -> Any:
    try:
        return InternalStorage(extract_storage_config(config)).storage
    except Exception as error:
        response = getattr(error, 'response', None) or {}
        if response.get('Error', {}).get('Code') != 'BucketAlreadyOwnedByYou':
            raise
    # Another program made it at the same moment, or the first answer to the request was lost. Now it is found
    return InternalStorage(extract_storage_config(config)).storage


def _storages() -> list[str]:
    """The names of all that Lithops has."""
    return sorted(found.name for found in pkgutil.iter_modules(storage_backends.__path__) if found.ispkg)


def _require_storage(storage: object) -> None:
    known = _storages()
    if storage not in known:
        nearest = ''.join(f"Is '{name}' meant? " for name in difflib.get_close_matches(str(storage), known, n=1))
        raise ConfigurationError(f'Found storage {storage!r}, which Lithops does not have. {nearest}It has {", ".join(known)}.')


def _missing_module(error: Exception) -> str | None:
    """A sentence about a package that is not installed, if that is what an error is about."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    modules = [frame.f_globals.get('__name__', '') for frame, _ in traceback.walk_tb(error.__traceback__)]
    backends = [found for found in map(_BACKEND.match, modules) if found]
    if not backends:
        return None
    kind, backend = backends[-1].groups()
    return (
        f"The {_KINDS[kind]} '{backend}' needs the Python module '{error.name}', which is not installed for {sys.executable}. "
        f'Install it: \'{sys.executable} -m pip install "lithops[{_extra(backend, error.name)}]"\'.'
    )


def _extra(backend: str, module: str) -> str:
    """The extra of Lithops' own that brings a module of a backend."""
    try:
        required = importlib.metadata.requires('lithops') or []
    except importlib.metadata.PackageNotFoundError:
        required = []
    found = [re.match(r'([\w.-]+).*extra == "(\w+)"', line) for line in required]
    pairs = {(match[1].lower(), match[2]) for match in found if match}
    distribution = module.split('.')[0].lower().replace('_', '-')
    elsewhere = any(name == distribution for name, _ in pairs)
    for extra in (backend, backend.split('_')[0]):
        # A module that has another name than its package is believed to be of the backend's extra
        if (distribution, extra) in pairs or (not elsewhere and any(extra == other for _, other in pairs)):
            return extra
    return 'all'


@contextlib.contextmanager
def _without_tracebacks_in_the_log() -> Iterator[None]:
    """Lithops logs what it raises next, with a traceback. It is told once, and in debug mode as Lithops does."""
    logger = logging.getLogger('lithops.storage.storage')

    def is_wanted(record: logging.LogRecord) -> bool:
        return not record.exc_info or logger.isEnabledFor(logging.DEBUG)

    logger.addFilter(is_wanted)
    try:
        yield
    finally:
        logger.removeFilter(is_wanted)


def _text_of(error: Exception) -> str:
    """The text of an error, in one line. That of a KeyError is a key alone, so its class stands before it."""
    said = ' '.join(str(error).split())
    return said.rstrip('.') if said and type(error) is Exception else f'{type(error).__name__}: {said}'.rstrip('.: ')
