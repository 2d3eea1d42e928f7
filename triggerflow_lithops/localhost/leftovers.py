"""What processes that were killed have left behind: looked for once, when the service starts."""

import contextlib
import glob
import os
import shutil

from lithops.monitoring.backends.triggerflow.driver import forget_driver, is_any_older, left_behind, set_environment
from lithops.monitoring.backends.triggerflow.sweep import is_over

#: Seconds after which what was kept of a driver may be left behind: its run has certainly begun by then
OLD = 3600.0


def clean_scratch(scratch: str) -> None:
    """Removes what processes left that are gone. Those of a service that was killed go on, and report."""
    for path in glob.glob(os.path.join(glob.escape(scratch), '*')):
        if not os.path.exists(f'/proc/{os.path.basename(path)}'):
            shutil.rmtree(path, ignore_errors=True)


def may_be_left_behind(home: str) -> bool:
    """Whether anything was kept for a run for long: that run goes on, or was killed."""
    return bool(is_any_older(home, OLD))


def forget_drivers_of_ended_runs(home: str) -> int:
    """
    Removes what was kept for runs that have ended, and for which nobody sweeps. Changes the environment of this process.

    :param home: the folder in which the local function services of this user are
    :return: 0
    """
    for kept in left_behind(home, OLD):
        # A bucket that cannot be asked now is asked at the next start
        with contextlib.suppress(Exception):
            set_environment(kept)
            if is_over(kept['config'], kept['run']):
                forget_driver(kept['config'], kept['run']['session'])
    return 0
