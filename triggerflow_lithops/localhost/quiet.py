"""
The runs that the service has seen and that have not ended, as far as it knows.

One of them of which nothing is here, neither accepted nor running, has lost
something, or it has ended: a sweep finds out. They are noted in files, so that a
service that was killed goes on with them.
"""

import contextlib
import json
import logging
import os
import time
from typing import Any

from lithops.monitoring.backends.triggerflow.documents import Damaged, document, read_document, unexpected
from lithops.monitoring.backends.triggerflow.driver import forget_driver
from lithops.monitoring.backends.triggerflow.invocations import Invocation, checked_config, checked_run
from lithops.monitoring.backends.triggerflow.invoke import run_of
from lithops.monitoring.backends.triggerflow.private import UNFINISHED, private_folder, write_file
from lithops.monitoring.backends.triggerflow.sweep import remove_if_purged, sweep_unless_over

from .queue import UNREADABLE, put_aside
from .worker import OVER, with_environment_of_driver

logger = logging.getLogger(__name__)

#: Seconds of quiet before a run is swept: at first, and at the most
QUIET = (2.0, 60.0)
#: How many sweeps of one run may fail in a row before it is left to others
MAX_FAILURES = 20


class QuietRuns:
    """
    :param folder: where they are noted
    """

    def __init__(self, folder: str):
        self._folder = folder
        self._runs: dict[str, dict[str, Any]] = {}
        self._due: dict[str, float] = {}
        self._sweeps: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        private_folder(folder)
        for name in [name for name in os.listdir(folder) if not name.endswith((UNFINISHED, UNREADABLE))]:
            path = os.path.join(folder, name)
            try:
                self._runs[name] = read_note(path)
            except Damaged as damaged:
                put_aside(path, f'is no note of a run: {damaged}')
            except OSError as error:
                logger.warning('Could not read %s: %s', path, error)

    def __len__(self) -> int:
        return len(self._runs)

    def add(self, invocation: Invocation) -> None:
        """Something of a run was accepted."""
        session = invocation.session
        self._sweeps.pop(session, None)
        if session in self._runs:
            return
        self._runs[session] = {'config': invocation.config, 'run': run_of(invocation.run)}
        # Without a note the run is swept by the client that waits for it, and by nobody else
        with contextlib.suppress(OSError):
            write_file(self._folder, session, json.dumps(self._runs[session]))

    def run_of(self, session: str) -> dict[str, Any]:
        """'config' and 'run' of one of them."""
        return self._runs[session]

    def due(self, here: set[str]) -> list[str]:
        """
        Sessions of those that have been quiet for long enough.

        :param here: sessions of which something is here
        """
        now, found = time.monotonic(), []
        for session in self._runs:
            if session in here:
                self._due.pop(session, None)
            elif session not in self._due:
                wait = min(QUIET[1], QUIET[0] * 2.0 ** self._sweeps.get(session, 0))
                self._due[session] = now + wait
            elif self._due[session] <= now:
                del self._due[session]
                found.append(session)
        return found

    def swept(self, session: str, code: int) -> None:
        """
        A sweep of one of them came to its end.

        :param code: what :func:`sweep_quiet_run` returned; anything but 0 and ``OVER``
            is a failure, and it is tried again
        """
        self._sweeps[session] = self._sweeps.get(session, 0) + 1
        self._failures[session] = self._failures.get(session, 0) + 1 if code else 0
        if code == OVER or self._failures[session] >= MAX_FAILURES:
            for found in (self._runs, self._due, self._sweeps, self._failures):
                found.pop(session, None)
            with contextlib.suppress(OSError):
                os.unlink(os.path.join(self._folder, session))


def read_note(path: str) -> dict[str, Any]:
    """
    What is noted of a run: 'config' and 'run'.

    :raises Damaged: it is no note
    :raises OSError: it cannot be read now
    """
    found = read_document(path)
    checked_config(found.get('config'))
    run = checked_run(document(found.get('run'), "'run'"))
    if run['session'] != os.path.basename(path):
        raise unexpected("'session'", run['session'], 'that of its name')
    return {'config': found['config'], 'run': run_of(run)}


def sweep_quiet_run(config: dict[str, Any], run: dict[str, Any]) -> int:
    """
    Sweeps a run, unless it has ended, or was purged. Then nothing is kept of its driver, and what
    calls have written after it was purged is removed.

    :return: ``OVER`` if so, else 0
    """
    with_environment_of_driver(config, run['session'])
    if sweep_unless_over(config, run):
        return 0
    forget_driver(config, run['session'])
    remove_if_purged(config, run)
    return OVER
