"""
The configuration of a run: Lithops' own, checked, with a ``triggerflow`` section.

Nothing of it is written to the bucket. Whoever invokes passes on the one that it
was itself given.
"""

import copy
import difflib
import logging
import os
import sys
from typing import Any

from lithops.config import default_config, load_config
from lithops.constants import LITHOPS_TEMP_DIR, LOCALHOST, STANDALONE_BACKENDS, TEMP_DIR
from lithops.localhost.config import LocalhostEnvironment, get_environment

from . import installation
from .errors import ConfigurationError
from .retry import policy_of
from .storage import UNGUARDED

SECTION = 'triggerflow'

#: Keys of the ``triggerflow`` section: what each may be, and its default
KEYS: dict[str, tuple[Any, Any]] = {
    # Seconds without work after which the local function service ends
    'idle_seconds': (float, 30.0),
    # How many activations in a row may die before their run fails
    'max_deaths': (int, 3),
    # Seconds between two sweeps of a run that nobody waits for. Unless it is given: ten minutes, where a
    # clock of the cloud's makes them, and none where a function would have to wait
    'sweep_seconds': (float, None),
}
#: … and two that are no numbers: when calls that failed run again,
RETRY = 'retry'
#: and (``UNGUARDED``) whether a storage is used that may overwrite what was written first


def create_config(
    mode: str | None,
    config: dict[str, Any] | None,
    config_file: str | None,
    backend: str | None,
    storage: str | None,
    backend_options: dict[str, Any],
) -> dict[str, Any]:
    """
    Lithops' configuration for a run, complete.

    :raises ConfigurationError: a key, a value or a backend that cannot be used
    """
    _require_temporary_folder()
    given = copy.deepcopy(config) if config else load_config(config_file)
    section = _checked_section(given.get(SECTION))
    named = {'mode': mode, 'backend': backend, 'storage': storage}
    chunksize = (given.get('lithops') or {}).get('chunksize')
    try:
        complete: dict[str, Any] = default_config(
            config_data=given,
            config_overwrite={
                'lithops': {'monitoring': SECTION, **{key: value for key, value in named.items() if value is not None}},
                'backend': backend_options,
            },
        )
    except Exception as error:
        raise ConfigurationError(f'Lithops does not take this configuration: {error}') from error
    _require_functions(complete['lithops']['backend'])
    # Lithops fills in the number of processes, and runs a chunk by that many. Here one
    # process serves a chunk in turn, and the service runs processes side by side
    complete['lithops']['chunksize'] = chunksize or 1
    if complete['lithops']['backend'] == LOCALHOST:
        complete[LOCALHOST]['runtime'] = _interpreter(complete[LOCALHOST]['runtime'])
    complete[SECTION] = {**section, 'service': service_folder()}
    return complete


def service_folder() -> str:
    """
    Where the local function service of this installation lives.

    Another interpreter, another version of Lithops or of this plugin, or another
    ``PYTHONPATH`` has a service of its own.
    """
    return os.path.join(LITHOPS_TEMP_DIR, 'triggerflow', f'service-{installation.fingerprint()}')


def follow_lithops_logging() -> None:
    """Our lines go where Lithops' go."""
    ours, lithops_logger = logging.getLogger('triggerflow_lithops'), logging.getLogger('lithops')
    ours.handlers = lithops_logger.handlers
    ours.propagate = lithops_logger.propagate
    ours.setLevel(lithops_logger.level)


def _checked_section(section: Any) -> dict[str, Any]:
    if section is not None and not isinstance(section, dict):
        raise ConfigurationError(f"The '{SECTION}' section of the configuration is a mapping; found {section!r}.")
    if section and 'run' in section:
        # Inside of a call: what Lithops gives it is the configuration of its run, complete
        section = {key: value for key, value in section.items() if key not in ('run', 'service') and value is not None}
    checked: dict[str, Any] = {key: default for key, (_, default) in KEYS.items()}
    checked[RETRY] = policy_of((section or {}).get(RETRY))
    checked[UNGUARDED] = (section or {}).get(UNGUARDED, False)
    if not isinstance(checked[UNGUARDED], bool):
        raise ConfigurationError(f"'{SECTION}: {UNGUARDED}' is true or false; found {checked[UNGUARDED]!r}.")
    known = [*KEYS, RETRY, UNGUARDED]
    for key, value in (section or {}).items():
        if key in (RETRY, UNGUARDED):
            continue
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0)[0]
            raise ConfigurationError(
                f"Found '{key}' in the '{SECTION}' section of the configuration, which is no key of it. "
                f"The nearest one is '{nearest}'; all: {', '.join(sorted(known))}."
            )
        kind, _ = KEYS[key]
        if isinstance(value, bool) or not isinstance(value, (int, kind)) or value <= 0:
            raise ConfigurationError(f"'{SECTION}: {key}' is a positive {kind.__name__}; found {value!r}.")
        checked[key] = value
    return checked


def _require_functions(backend: str) -> None:
    if backend in STANDALONE_BACKENDS:
        raise ConfigurationError(
            f"Found compute backend '{backend}', which has virtual machines. Orchestrators run where there are functions: "
            f"'{LOCALHOST}', 'openwhisk', 'ibm_cf', …"
        )


def _require_temporary_folder() -> None:
    """Lithops' localhost storage lies in it. Python takes another one while nothing can be written there."""
    told = os.environ.get('TMPDIR')
    if told and os.path.isdir(told) and not os.path.samefile(told, TEMP_DIR):
        raise ConfigurationError(
            f"TMPDIR is '{told}', and Python took '{TEMP_DIR}' instead, for nothing could be written there. A run would be "
            'stored where nobody looks for it: make room, or set another TMPDIR, and start this process again.'
        )


def _interpreter(runtime: str) -> str:
    """
    Lithops' default is a name that is looked up on PATH: outside of an activated
    environment another interpreter, without Lithops.
    """
    if get_environment(runtime) != LocalhostEnvironment.DEFAULT:
        raise ConfigurationError(
            f"Found the container image '{runtime}' as 'runtime' of {LOCALHOST}. "
            'Orchestrators run in this interpreter there: leave it out.'
        )
    return sys.executable
