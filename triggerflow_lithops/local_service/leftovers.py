"""What processes that were killed have left behind: looked for once, when the service starts."""

import contextlib
import glob
import logging
import os
import shutil

from lithops.monitoring.backends.triggerflow.driver import forget_driver, is_any_older, left_behind, set_environment
from lithops.monitoring.backends.triggerflow.local_service import LocalService
from lithops.monitoring.backends.triggerflow.private import UNFINISHED as NEW
from lithops.monitoring.backends.triggerflow.sweep import is_over
from lithops.monitoring.backends.triggerflow.unfinished import AGE, UNFINISHED, remove_abandoned, unfinished_name

from .queue import DONE, UNREADABLE

logger = logging.getLogger(__name__)

#: How many of the files that were put aside are kept, the newest ones
KEPT = 100
#: Seconds after which what was kept of a driver may be left behind: its run has certainly begun by then
OLD = 3600.0


def clean_scratch(scratch: str) -> None:
    """Removes what processes left that are gone. Those of a service that was killed go on, and report."""
    for path in glob.glob(os.path.join(glob.escape(scratch), '*')):
        if not os.path.exists(f'/proc/{os.path.basename(path)}'):
            shutil.rmtree(path, ignore_errors=True)


def clean_folders(folder: str, age: float = AGE) -> None:
    """
    Removes what nobody owns any more of a service, and of the storage beside it. For a service that is about to
    start, and has its folder for itself.

    :param age: seconds after which nobody is about to take what is being written for his own
    """
    queue, runs = LocalService(folder).queue, os.path.join(folder, 'runs')
    home = os.path.dirname(folder)
    removed = remove_abandoned(os.path.join(home, UNFINISHED), age=age) + remove_abandoned(queue, unfinished_name(''), age)
    # These only the service writes, and there is one at a time
    removed += [_remove(path) for below in (folder, runs) for path in _paths(below, NEW)]
    removed += [_remove(path) for path in _paths(queue, DONE) if not os.path.lexists(path.removesuffix(DONE))]
    for below in (folder, queue, runs):
        removed += [_remove(path) for path in _newest_last(_paths(below, UNREADABLE))[:-KEPT]]
    if removed:
        logger.info('%d files that processes had left behind were removed', len(removed))


def _paths(folder: str, end: str) -> list[str]:
    return glob.glob(os.path.join(glob.escape(folder), f'*{end}'))


def _newest_last(paths: list[str]) -> list[str]:
    def changed(path: str) -> float:
        with contextlib.suppress(OSError):
            return os.lstat(path).st_ctime
        return 0.0

    return sorted(paths, key=changed)


def _remove(path: str) -> str:
    with contextlib.suppress(OSError):
        if os.path.isdir(path) and not os.path.islink(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    return path


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
