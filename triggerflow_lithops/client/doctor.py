"""What has to be right before a run can be: each check, and what to do about it."""

import importlib.metadata
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

from lithops.monitoring.backends.triggerflow.compute import is_local
from lithops.monitoring.backends.triggerflow.wakeups import require_wake_ups

from ..core.store import Facts, Store, new_nonce
from ..deployment import installation
from ..deployment.config import BACKEND, SECTION
from ..deployment.runtime import prepare_runtime
from ..orchestrator.hooks.install import SEAMS, require_seams

#: Who wakes a run, by the ``backend`` of the ``triggerflow`` section
WOKEN = {
    'storage': 'the worker of its last event',
    'service': 'the Triggerflow service, which reads its sink',
    'openwhisk': "a trigger of OpenWhisk's own, made with each run",
}
#: Where the probe of create-only writes lies, for a moment
PROBE = 'triggerflow.doctor'


@dataclass(frozen=True)
class Finding:
    """One check, and how it came out."""

    check: str
    ok: bool
    said: str


def versions() -> str:
    """Python 3.10 to 3.13, Lithops 3.8 or later, and this plugin."""
    ours = importlib.metadata.version('triggerflow-lithops')
    found = f'Python {".".join(map(str, sys.version_info[:3]))}, Lithops {installation.VERSION}, triggerflow-lithops {ours}'
    if not (3, 10) <= sys.version_info[:2] <= (3, 13):
        raise RuntimeError(f'{found}: use Python 3.10 to 3.13.')
    installation.require_version(installation.VERSION)
    return found


def patch(lithops_folder: Path = installation.LITHOPS) -> str:
    """What a worker needs is where this Lithops will take it along."""
    installation.require_patch(lithops_folder)
    return str(lithops_folder / installation.BACKEND)


def seams() -> str:
    """This Lithops has what is hooked."""
    require_seams()
    return f'{len(SEAMS)} found'


def reachable(store: Store) -> str:
    """The bucket can be listed."""
    return f'{len(store.list("triggerflow.runs/"))} runs listed in {store!r}'


def create_only(store: Store) -> str:
    """Of two writes of one key, the first one holds."""
    key = f'{PROBE}/{new_nonce()}'
    try:
        answers = store.put_new(key, b'first'), store.put_new(key, b'second')
        found = store.get(key)
    finally:
        store.delete([key])
    if answers != (True, False) or found != b'first':
        raise RuntimeError(
            f'Two writes of one key answered {answers} and left {found!r}; expected (True, False) and the first value. '
            'Runs would not be safe on this storage: use another one.'
        )
    return 'of two writes of one key the first one holds'


def functions(tf: Any) -> str:
    """What runs the functions answers: the local service, or a runtime, which is deployed if it was not."""
    found = prepare_runtime(tf.config, Facts(tf.store))
    where = tf.config[SECTION]['service'] if is_local(tf.config) else f'{found.name}, {found.memory} MB'
    return f'Python {found.metadata["python_version"]} in {where}'


def wake_ups(config: dict[str, Any]) -> str:
    """Whoever is to wake runs can be reached, and used."""
    require_wake_ups(config)
    return WOKEN[config[SECTION][BACKEND]]


def examine(create: Callable[[], Any]) -> Iterator[Finding]:
    """
    All checks, each whatever came out of those before it.

    :param create: creates a ``TriggerflowExecutor``
    """
    yield _finding('versions', versions)
    yield _finding('patch', patch)
    yield _finding('seams', seams)
    try:
        tf = create()
    except Exception as error:
        yield Finding('configuration', False, str(error))
        return
    yield Finding('configuration', True, f'compute {tf.config["lithops"]["backend"]}, bucket {tf.bucket}')
    yield _finding('storage reachable', lambda: reachable(tf.store))
    yield _finding('create-only works', lambda: create_only(tf.store))
    yield _finding('function service', lambda: functions(tf))
    yield _finding('wake-ups', lambda: wake_ups(tf.config))


def _finding(check: str, examined: Callable[[], str]) -> Finding:
    try:
        return Finding(check, True, examined())
    except Exception as error:
        return Finding(check, False, str(error))
