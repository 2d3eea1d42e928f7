#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
#
"""
The hooks into Lithops' worker: all of them, and only here.

They are set in the process of Lithops' handler, before it makes the runner of a call of a run, and
stay there. What is hooked looks at the job, or at the status, that it serves: for one of no run it
does what Lithops made it for.
"""

import functools
import importlib
import os
import sys
from typing import Any, Callable, Tuple

from lithops.future import logger

from .error_text import traceback_text
from .failure import exception_of, stats_of
from .invoke import field_of
from .localhost_store import LocalhostStore
from .private import restore_umask


def hook() -> None:
    """Hooks Lithops, in this process. What this Lithops does not have is left out"""
    for module, owner, name, ours in HOOKED:
        # Lithops' runner is imported where a call runs only, and is loaded there: it brings numpy, and takes long
        _replace(getattr(importlib.import_module(module), owner), name, ours)


def _replace(owner: type, name: str, ours: Callable[..., Any]) -> None:
    original = getattr(owner, name, None)
    if original is None or hasattr(original, 'triggerflow_hooked'):
        return

    @functools.wraps(original)
    def hooked(served: Any, *args: Any, **kwargs: Any) -> Any:
        return ours(original, served, *args, **kwargs)

    hooked.triggerflow_hooked = True  # type: ignore[attr-defined]
    setattr(owner, name, hooked)


def _is_of_run(runner: Any) -> bool:
    return field_of(runner.job) is not None


def _run(original: Callable[[Any], None], runner: Any) -> None:
    """Lithops reports an Exception, SystemExit and KeyboardInterrupt. Any other end of a function is one, too"""
    if not _is_of_run(runner):
        original(runner)
        return
    # From here on this process is the user's
    restore_umask()
    try:
        original(runner)
    except (Exception, SystemExit, KeyboardInterrupt):
        # Not of the function: Lithops itself could not report its end
        raise
    except BaseException:
        # Lithops has closed what it notes, and said that it is done. The handler waits for this process
        with open(runner.job.stats_file, 'a') as runner.stats.stats_fid:
            runner._write_exception()


def _write_exception(original: Callable[[Any], None], runner: Any) -> None:
    if not _is_of_run(runner):
        original(runner)
        return
    error = sys.exc_info()[1]
    runner.stats.write('exception', True)
    try:
        print('----------------------- EXCEPTION !-----------------------')
        print(traceback_text(error), end='')
        print('----------------------------------------------------------')
    except BaseException:
        pass  # the function has closed or replaced its output
    for key, value in stats_of(error).items():
        runner.stats.write(key, value)


def _raise_call_exception(original: Callable[..., None], future: Any, throw_except: bool) -> None:
    error = exception_of(future._call_status)
    if error is None:
        original(future, throw_except)
        return
    future._set_state(future.State.Error)
    future._exception = type(error), error, BaseException.__traceback__.__get__(error)
    logger.warning(
        f'{future._id_prefix()} - CallID: {future.call_id} - There was an exception - '
        f'Activation ID: {future.activation_id} - {type(error).__name__}'
    )
    if throw_except:
        raise error


def _put_object(original: Callable[..., None], storage: Any, bucket_name: str, key: str, data: Any) -> None:
    """What lies in Lithops' folder on this machine is for its user alone, whatever umask the code has that writes it"""
    parts = [*key.split(os.sep), bucket_name]
    if os.sep not in bucket_name and not os.path.isabs(key) and os.pardir not in parts and parts[-2]:
        LocalhostStore(bucket_name).make_private(key)
    original(storage, bucket_name, key, data)


def _write_to_log(original: Callable[..., None], stream: Any, *args: Any) -> None:
    """
    Lithops writes to the log of a task, and prints, where an exception counts as the function's own. A line that finds
    no room on the disk is lost, or comes later, and is no failure of the function
    """
    try:
        original(stream, *args)
    except OSError:
        pass


#: What is hooked: module, class and method, and what takes its place
HOOKED: Tuple[Tuple[str, str, str, Callable[..., None]], ...] = (
    ('lithops.worker.jobrunner', 'JobRunner', 'run', _run),
    ('lithops.worker.jobrunner', 'JobRunner', '_write_exception', _write_exception),
    ('lithops.worker.utils', 'LogStream', 'write', _write_to_log),
    ('lithops.worker.utils', 'LogStream', 'flush', _write_to_log),
    ('lithops.future', 'ResponseFuture', '_raise_call_exception', _raise_call_exception),
    ('lithops.storage.backends.localhost.localhost', 'LocalhostStorageBackend', 'put_object', _put_object),
)
