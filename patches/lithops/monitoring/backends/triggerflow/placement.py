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
Where Lithops' own code writes and reads what belongs to a run: below a prefix of ours.

Lithops' cleaners delete all that lies below ``lithops.jobs``, also while a run needs it.
So the functions, data, outputs and events of a run have the keys that Lithops makes for
them, below another prefix. Everything else stays where Lithops has it.

Which run a call belongs to is read from the configuration in the environment. Lithops'
handler sets it for each call, and removes it afterwards, so a warm process that serves a
call of no run next is not affected.
"""

import functools
import json
import os
from types import FunctionType
from typing import Any, Callable, Optional, Set, Tuple

import lithops.storage.utils
from lithops.monitoring import JobMonitor
from lithops.storage import InternalStorage, cloud_proxy

from .core.run import keys

#: Name of this monitoring backend, and of our section of the configuration
NAME = 'triggerflow'

#: What is hooked in Lithops
HOOKED: Tuple[Tuple[Any, str], ...] = (
    (lithops.storage.utils, '_jobs_key'),
    (InternalStorage, 'get_job_status'),
    (JobMonitor, '__init__'),
    (cloud_proxy, '_LITHOPS_PREFIXES'),
)

#: Executors inside calls that the user has given another monitoring backend. The workers of
#: their calls load nothing of ours, and write where Lithops does
_elsewhere: Set[str] = set()


def is_of_run(name: str) -> bool:
    """
    Whether an executor, or a job, belongs to the run of the current call

    :param name: id of an executor, or key of a job
    """
    session = _session_of(os.environ.get('LITHOPS_CONFIG', ''))
    return session is not None and _begins_with(name, session) and not any(_begins_with(name, other) for other in _elsewhere)


def _begins_with(name: str, executor_id: str) -> bool:
    return name == executor_id or name.startswith(f'{executor_id}-')


@functools.lru_cache(maxsize=1)
def _session_of(config: str) -> Optional[str]:
    """The session of the run whose call was given a configuration; None if it is a call of no run"""
    try:
        found = json.loads(config)
        if found['lithops']['monitoring'] == NAME:
            return found[NAME]['run']['session']
    except (ValueError, KeyError, TypeError):
        # The user's own, where no run is
        pass
    return None


def _jobs_key(original: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(original)
    def jobs_key(*parts: str) -> str:
        return '/'.join((keys.JOBS, *parts)) if is_of_run(parts[0]) else original(*parts)

    return jobs_key


def _get_job_status(original: Callable[..., Any]) -> Callable[..., Any]:
    # The same code, in which the prefix means ours
    below_ours = FunctionType(
        original.__code__, {**original.__globals__, 'JOBS_PREFIX': keys.JOBS}, original.__name__, original.__defaults__
    )

    @functools.wraps(original)
    def get_job_status(self, executor_id, *args, **kwargs):
        return (below_ours if is_of_run(executor_id) else original)(self, executor_id, *args, **kwargs)

    return get_job_status


def _init_job_monitor(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def init(self, *args, **kwargs):
        original(self, *args, **kwargs)
        # Without a configuration it was made by lithops.wait(), which waits for calls of any executor
        if self.config and self.type != NAME and is_of_run(self.executor_id):
            _elsewhere.add(self.executor_id)

    return init


def hook() -> None:
    """Hooks Lithops, when this process imports our package"""
    if not all(hasattr(owner, name) for owner, name in HOOKED):
        # Of another release of Lithops: the client says so when it starts a run
        return
    lithops.storage.utils._jobs_key = _jobs_key(lithops.storage.utils._jobs_key)
    InternalStorage.get_job_status = _get_job_status(InternalStorage.get_job_status)
    JobMonitor.__init__ = _init_job_monitor(JobMonitor.__init__)
    # A program that lists the bucket as a folder sees none of our keys, as it sees none of Lithops'
    cloud_proxy._LITHOPS_PREFIXES += keys.PREFIXES
