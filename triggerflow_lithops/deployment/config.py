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
from dataclasses import dataclass
from typing import Any

from lithops.constants import LITHOPS_TEMP_DIR, LOCALHOST, TEMP_DIR
from lithops.localhost.config import LocalhostEnvironment, get_environment
from lithops.monitoring.backends.triggerflow.private import NotPrivate, private_folder

from ..core import limits
from ..core.run.keys import ID, is_run_id
from ..core.wording import shown
from ..errors import ConfigurationError
from ..retry import policy_of
from . import installation
from .compute_backends import require_functions
from .lithops_config import completed, load_given
from .store_border import UNGUARDED

SECTION = 'triggerflow'

RETRY = 'retry'
BACKEND = 'backend'
#: Part of the section that only ``backend: service`` has, and its own part for the Redis stream that the service reads
SERVICE = 'service'
SINK = 'sink'
#: Whether the local function service runs each invocation in a fresh interpreter, with a hash seed of its own
FRESH = 'fresh_interpreters'
#: On which compute backends each source of wake-ups works (None: on all)
WAKE_UPS: dict[str, tuple[str, ...] | None] = {'storage': None, 'service': ('openwhisk',), 'openwhisk': ('openwhisk', 'ibm_cf')}


@dataclass(frozen=True)
class Setting:
    """
    One key of the ``triggerflow`` section. What is checked, what the default is, and the table of the
    documentation all come from it.

    :param kind: float (seconds), int (a whole number), bool, str, or dict (a mapping, checked by its own function)
    :param default: None where there is none
    :param unit: in words
    :param meaning: Markdown
    :param part: of which part of the section it is: SECTION itself, SERVICE or SINK
    """

    name: str
    kind: type
    default: Any
    unit: str
    meaning: str
    part: str = SECTION


SETTINGS: tuple[Setting, ...] = (
    Setting(
        'idle_seconds', float, 30.0, 'seconds', 'On localhost, the local function service ends after this time without work.'
    ),
    Setting(
        *('sweep_seconds', float, None, 'seconds'),
        "The time between two sweeps of a run that nobody waits for. If it is not set, OpenWhisk's alarm feed sweeps every 600 "
        'seconds, and other cloud backends do not sweep by themselves, because a function would have to wait, and is billed.',
    ),
    Setting('max_deaths', int, 3, 'activations', 'The run fails after this number of consecutive crashes of its orchestrator.'),
    Setting(
        *('max_pending_calls', int, 200_000, 'calls'),
        'The number of calls that an orchestrator may have scheduled and not yet waited for. With more, the run fails with '
        '`TooManyPendingCalls`.',
    ),
    Setting(
        *(FRESH, bool, False, 'true or false'),
        'On localhost, run every call and every activation in a new interpreter with another hash seed, as after a cold start in '
        'a cloud. This takes half a second each. Use it to find code that depends on the process.',
    ),
    Setting(
        *(UNGUARDED, bool, False, 'true or false'),
        'Accept a storage that may overwrite an object which exists already. Two activations at the same moment may then see '
        'different results of one call.',
    ),
    Setting(
        *(BACKEND, str, 'storage', f'one of {", ".join(f"`{name}`" for name in WAKE_UPS)}'),
        "Where triggers live: in the bucket, in a Triggerflow service, or in OpenWhisk's own triggers and rules.",
    ),
    Setting(
        *(RETRY, dict, None, 'a number, or a mapping'),
        'Which failed calls run again, how often, and when. The fields are in the next table. If it is not set, only lost calls '
        'run again, up to 3 times.',
    ),
    Setting('endpoint', str, None, 'URL', 'The service, with `https://` or `http://`, and without user or password.', SERVICE),
    Setting('user', str, None, 'text', 'The user for Basic authentication.', SERVICE),
    Setting('password', str, None, 'text', 'The password of this user.', SERVICE),
    Setting('workspace', str, 'lithops', 'name', 'The workspace of the service. The first run creates it.', SERVICE),
    Setting(SINK, dict, None, 'a mapping', 'The Redis whose stream the service reads. Its keys are in the last table.', SERVICE),
    Setting('host', str, None, 'host name', 'The Redis server.', SINK),
    Setting('port', int, 6379, 'port', 'Its port.', SINK),
    Setting('username', str, '', 'text', 'The user, if the server has users.', SINK),
    Setting('password', str, '', 'text', 'The password.', SINK),
    Setting('stream', str, '', 'name', 'The stream. If it is not set, the name of the workspace.', SINK),
    Setting('tls', bool, False, 'true or false', 'Whether to connect with TLS.', SINK),
)


def settings_of(part: str) -> dict[str, Setting]:
    """The settings of one part of the section, by their names."""
    return {setting.name: setting for setting in SETTINGS if setting.part == part}


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
    section = section or {}
    known = settings_of(SECTION)
    _require_known(section, [*known, *settings_of(SERVICE)], SECTION)
    checked = {name: _checked(setting, section[name]) for name, setting in known.items() if name in section}
    defaults = {name: setting.default for name, setting in known.items()}
    return {**defaults, **checked, RETRY: policy_of(section.get(RETRY)), **_checked_wake_ups(section)}


def _checked(setting: Setting, value: Any) -> Any:
    name = f"'{SECTION}: {setting.name}'"
    if setting.kind is bool and not isinstance(value, bool):
        raise ConfigurationError(f'{name} is true or false; found {value!r}.')
    return _positive(name, value, setting.kind) if setting.kind in (float, int) else value


def _positive(name: str, value: Any, kind: type) -> Any:
    """A whole number, or a number of seconds, which is not 0."""
    if kind is float:
        value = _seconds(name, value)
    elif isinstance(value, bool) or not isinstance(value, kind):
        raise ConfigurationError(f'{name} is a whole number, 1 or more; found {shown(value)}.')
    if value <= 0:
        raise ConfigurationError(f'{name} is more than 0; found {shown(value)}.')
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
    chosen = section.get(BACKEND, settings_of(SECTION)[BACKEND].default)
    if chosen not in WAKE_UPS:
        raise ConfigurationError(f"'{SECTION}: {BACKEND}' is one of {', '.join(WAKE_UPS)}; found {chosen!r}.")
    if chosen != 'service':
        for key in settings_of(SERVICE):
            if key in section:
                raise ConfigurationError(f"Found '{SECTION}: {key}', which is of a service: set '{BACKEND}: service', too.")
        return {BACKEND: chosen}
    texts = [setting for setting in settings_of(SERVICE).values() if setting.kind is str]
    checked = {setting.name: section.get(setting.name, setting.default) for setting in texts}
    for key, value in checked.items():
        if not isinstance(value, str) or not value:
            # Not what was found: it may be half of a password
            raise ConfigurationError(f"'{SECTION}: {key}' of a service is a text; found {type(value).__name__}.")
    if not re.match(r'https?://[^/?#@]+(/|$)', str(checked['endpoint'])):
        raise ConfigurationError(f"'{SECTION}: endpoint' begins with https:// (or http://) and a host, without user or password.")
    if not is_run_id(checked['workspace']):
        raise ConfigurationError(f"'{SECTION}: workspace' is {ID}; found {shown(checked['workspace'])}.")
    return {BACKEND: chosen, **checked, SINK: _checked_sink(section.get(SINK), str(checked['workspace']))}


def _checked_sink(sink: Any, workspace: str) -> dict[str, Any]:
    if not isinstance(sink, dict):
        raise ConfigurationError(
            f"'{SECTION}: {SINK}' says where the events of a service go: a mapping with the 'host' of a Redis; "
            f'found {type(sink).__name__}.'
        )
    known = settings_of(SINK)
    _require_known(sink, [*known], f'{SECTION}: {SINK}')
    checked = {key: sink.get(key, setting.default) for key, setting in known.items()}
    for key, setting in known.items():
        if type(checked[key]) is not setting.kind or (key == 'host' and not checked[key]):
            raise ConfigurationError(
                f"'{SECTION}: {SINK}: {key}' is {setting.kind.__name__}; found {type(checked[key]).__name__}."
            )
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
