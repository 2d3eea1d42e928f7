"""
The runs that the service has seen and that have not ended, as far as it knows.

One of them of which nothing is here, neither accepted nor running, has lost
something, or it has ended: a sweep finds out. They are noted in files, so that a
service that was killed goes on with them.

A note is a name, and nothing is in it: what a sweep needs, credentials of the storage included,
is in the file of what was kept of the run's driver, which goes with the run. Without that
file there is nothing to sweep: the run has ended, or it is left to who waits for it.
"""

import contextlib
import logging
import os
import time
from typing import Any

from lithops.monitoring.backends.triggerflow.driver import forget_driver, kept_of
from lithops.monitoring.backends.triggerflow.invocations import Invocation, checked_config, checked_run
from lithops.monitoring.backends.triggerflow.invoke import run_of
from lithops.monitoring.backends.triggerflow.private import UNFINISHED, private_folder, remove_file, write_file
from lithops.monitoring.backends.triggerflow.sweep import remove_if_purged, sweep_unless_over

from .run_chunk import OVER, with_environment_of_driver

logger = logging.getLogger(__name__)

#: Seconds of quiet before a run is swept: at first, and at the most
QUIET = (2.0, 60.0)
#: How many sweeps of one run may fail in a row before it is left to others
MAX_FAILURES = 20


class IdleRuns:
    """
    :param folder: where they are noted, in the folder of the service
    """

    def __init__(self, folder: str):
        self._folder = folder
        self._runs: dict[str, dict[str, Any]] = {}
        self._due: dict[str, float] = {}
        self._sweeps: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        private_folder(folder)
        for name in os.listdir(folder):
            self._take_up(name)

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
            write_file(self._folder, session, '')

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

        :param code: what :func:`sweep_idle_run` returned; anything but 0 and ``OVER``
            is a failure, and it is tried again
        """
        self._sweeps[session] = self._sweeps.get(session, 0) + 1
        self._failures[session] = self._failures.get(session, 0) + 1 if code else 0
        if code == OVER or self._failures[session] >= MAX_FAILURES:
            for found in (self._runs, self._due, self._sweeps, self._failures):
                found.pop(session, None)
            self._forget(session)

    def _take_up(self, session: str) -> None:
        """Goes on with a run that an earlier service has noted."""
        kept = None
        if not session.endswith(UNFINISHED):
            try:
                kept = kept_of(os.path.dirname(os.path.dirname(self._folder)), session)
                if kept is not None:
                    checked_config(kept['config'])
                    checked_run(kept['run'])
            except (OSError, ValueError) as error:
                logger.warning('Could not go on with run %s: %s', session, error)
        if kept is None:
            self._forget(session)
            return
        self._runs[session] = {'config': kept['config'], 'run': kept['run']}

    def _forget(self, session: str) -> None:
        with contextlib.suppress(OSError):
            remove_file(self._folder, session)


def sweep_idle_run(config: dict[str, Any], run: dict[str, Any]) -> int:
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
