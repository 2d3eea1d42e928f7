"""
The configuration of a run: Lithops' own, checked, with a ``triggerflow`` section.

Nothing of it is written to the bucket. Whoever invokes passes on the one that it
was itself given.
"""

import difflib
import logging
import os
import re
import sys
from typing import Any

from lithops.constants import LITHOPS_TEMP_DIR, LOCALHOST, TEMP_DIR
from lithops.localhost.config import LocalhostEnvironment, get_environment
from lithops.monitoring.backends.triggerflow.private import NotPrivate, private_folder

from . import installation
from .backends import require_functions
from .errors import ConfigurationError
from .lithops_config import completed, load_given
from .retry import policy_of
from .storage import UNGUARDED
from .triggers import limits
from .triggers.keys import ID, is_run_id

SECTION = 'triggerflow'

#: Keys of the ``triggerflow`` section: what each may be, and its default
KEYS: dict[str, tuple[Any, Any]] = {
    # Seconds without work after which the local function service ends
    'idle_seconds': (float, 30.0),
    # How many activations in a row may die before their run fails
    'max_deaths': (int, 3),
    # How many calls an orchestrator may have scheduled and not yet waited for, before its run fails
    'max_pending_calls': (int, 200_000),
    # Seconds between two sweeps of a run that nobody waits for. Unless it is given: ten minutes, where a
    # clock of the cloud's makes them, and none where a function would have to wait
    'sweep_seconds': (float, None),
}
#: Whether the local function service runs each invocation in a fresh interpreter, with a hash seed of its own
FRESH = 'fresh_interpreters'
#: … those that are true or false, and their defaults (``UNGUARDED``: whether a storage is used that may
#: overwrite what was written first),
SWITCHES: dict[str, bool] = {UNGUARDED: False, FRESH: False}
#: … and those that are neither: when calls that failed run again,
RETRY = 'retry'
#: where wake-ups come from,
BACKEND = 'backend'
#: on which compute backends each of these works (None: on all),
WAKE_UPS: dict[str, tuple[str, ...] | None] = {'storage': None, 'service': ('openwhisk',), 'openwhisk': ('openwhisk', 'ibm_cf')}
#: and of a service, how to reach it, with its default (None: there is none)
SERVICE: dict[str, str | None] = {'endpoint': None, 'user': None, 'password': None, 'workspace': 'lithops'}
#: … and the Redis stream that it reads: likewise, and of which type each is
SINK = 'sink'
SINK_KEYS: dict[str, tuple[type, Any]] = {
    'host': (str, None),
    'port': (int, 6379),
    'username': (str, ''),
    'password': (str, ''),
    # The workspace's name, unless it is given
    'stream': (str, ''),
    'tls': (bool, False),
}


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
    given = load_given(config, config_file)
    section = _checked_section(given.get(SECTION))
    # Before Lithops loads its client, which may not be installed
    _require_functions(backend or (given.get('lithops') or {}).get('backend'), given, backend_options)
    named = {'mode': mode, 'backend': backend, 'storage': storage}
    chunksize = (given.get('lithops') or {}).get('chunksize')
    complete = completed(
        given,
        {
            'lithops': {'monitoring': SECTION, **{key: value for key, value in named.items() if value is not None}},
            'backend': backend_options,
        },
    )
    _require_functions(complete['lithops']['backend'], complete, {})
    _check_times_of_functions(complete, complete['lithops']['backend'])
    _require_wake_ups(section[BACKEND], complete['lithops']['backend'])
    # Lithops fills in the number of processes, and runs a chunk by that many. Here one
    # process serves a chunk in turn, and the service runs processes side by side
    complete['lithops']['chunksize'] = chunksize or 1
    if complete['lithops']['backend'] == LOCALHOST:
        complete[LOCALHOST]['runtime'] = _interpreter(complete[LOCALHOST]['runtime'])
    complete[SECTION] = {**section, 'service': service_folder()}
    if LOCALHOST in (complete['lithops']['backend'], complete['lithops']['storage']):
        _require_private_folder()
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
    for key, default in SWITCHES.items():
        checked[key] = (section or {}).get(key, default)
        if not isinstance(checked[key], bool):
            raise ConfigurationError(f"'{SECTION}: {key}' is true or false; found {checked[key]!r}.")
    checked |= _checked_wake_ups(section or {})
    others = [*SWITCHES, RETRY, BACKEND, *SERVICE, SINK]
    _require_known(section or {}, [*KEYS, *others], SECTION)
    for key, value in (section or {}).items():
        if key in others:
            continue
        checked[key] = _positive(f"'{SECTION}: {key}'", value, KEYS[key][0])
    return checked


def _positive(name: str, value: Any, kind: type) -> Any:
    """A whole number, or a number of seconds, which is not 0."""
    if kind is float:
        value = _seconds(name, value)
    elif isinstance(value, bool) or not isinstance(value, kind):
        raise ConfigurationError(f'{name} is a whole number, 1 or more; found {limits.shown(value)}.')
    if value <= 0:
        raise ConfigurationError(f'{name} is more than 0; found {limits.shown(value)}.')
    return value


def _seconds(name: str, value: Any) -> float:
    try:
        return limits.seconds(value, name)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error


def _check_times_of_functions(complete: dict[str, Any], backend: str) -> None:
    """How long a function may take, as Lithops' own sections say it: runs keep it, and deadlines follow from it."""
    for section, key in (('lithops', 'execution_timeout'), (backend, 'runtime_timeout')):
        found = complete.get(section) or {}
        if key in found and (section == 'lithops' or found[key] is not None):
            found[key] = _positive(f"'{section}: {key}'", found[key], float)


def _require_known(section: dict[str, Any], known: list[str], name: str) -> None:
    for key in section:
        if key not in known:
            nearest = difflib.get_close_matches(str(key), known, n=1, cutoff=0)[0]
            raise ConfigurationError(
                f"Found '{key}' in the '{name}' section of the configuration, which is no key of it. "
                f"The nearest one is '{nearest}'; all: {', '.join(sorted(known))}."
            )


def _checked_wake_ups(section: dict[str, Any]) -> dict[str, Any]:
    """Where wake-ups come from; and how to reach that, if it is a service."""
    chosen = section.get(BACKEND, 'storage')
    if chosen not in WAKE_UPS:
        raise ConfigurationError(f"'{SECTION}: {BACKEND}' is one of {', '.join(WAKE_UPS)}; found {chosen!r}.")
    if chosen != 'service':
        for key in (*SERVICE, SINK):
            if key in section:
                raise ConfigurationError(f"Found '{SECTION}: {key}', which is of a service: set '{BACKEND}: service', too.")
        return {BACKEND: chosen}
    checked = {key: section.get(key, default) for key, default in SERVICE.items()}
    for key, value in checked.items():
        if not isinstance(value, str) or not value:
            # Not what was found: it may be half of a password
            raise ConfigurationError(f"'{SECTION}: {key}' of a service is a text; found {type(value).__name__}.")
    if not re.match(r'https?://[^/?#@]+(/|$)', str(checked['endpoint'])):
        raise ConfigurationError(f"'{SECTION}: endpoint' begins with https:// (or http://) and a host, without user or password.")
    if not is_run_id(checked['workspace']):
        raise ConfigurationError(f"'{SECTION}: workspace' is {ID}; found {limits.shown(checked['workspace'])}.")
    return {BACKEND: chosen, **checked, SINK: _checked_sink(section.get(SINK), str(checked['workspace']))}


def _checked_sink(sink: Any, workspace: str) -> dict[str, Any]:
    if not isinstance(sink, dict):
        raise ConfigurationError(
            f"'{SECTION}: {SINK}' says where the events of a service go: a mapping with the 'host' of a Redis; "
            f'found {type(sink).__name__}.'
        )
    _require_known(sink, [*SINK_KEYS], f'{SECTION}: {SINK}')
    checked = {key: sink.get(key, default) for key, (_, default) in SINK_KEYS.items()}
    for key, (kind, _) in SINK_KEYS.items():
        if type(checked[key]) is not kind or (key == 'host' and not checked[key]):
            raise ConfigurationError(f"'{SECTION}: {SINK}: {key}' is {kind.__name__}; found {type(checked[key]).__name__}.")
    return {**checked, 'stream': checked['stream'] or workspace}


def _require_wake_ups(chosen: str, backend: str) -> None:
    needed = WAKE_UPS[chosen]
    if needed is not None and backend not in needed:
        raise ConfigurationError(
            f"Found '{SECTION}: {BACKEND}: {chosen}' with compute backend '{backend}': it starts functions by the REST interface "
            f'of OpenWhisk, with {" or ".join(needed)}. Leave it out, and the bucket is all that is needed.'
        )


def _require_functions(backend: str | None, config: dict[str, Any], options: dict[str, Any]) -> None:
    if backend:
        require_functions(backend, {**(config.get(backend) or {}), **options})


def _require_temporary_folder() -> None:
    """Lithops' localhost storage lies in it. Python takes another one while nothing can be written there."""
    told = os.environ.get('TMPDIR')
    if told and os.path.isdir(told) and not os.path.samefile(told, TEMP_DIR):
        raise ConfigurationError(
            f"TMPDIR is '{told}', and Python took '{TEMP_DIR}' instead, for nothing could be written there. A run would be "
            'stored where nobody looks for it: make room, or set another TMPDIR, and start this process again.'
        )


def _require_private_folder() -> None:
    """Where Lithops' temporary folder is another user's, or others could have changed it, they would run code as this user."""
    try:
        private_folder(LITHOPS_TEMP_DIR)
    except NotPrivate as error:
        raise ConfigurationError(f'The temporary folder of Lithops cannot be used: {error}') from error


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
