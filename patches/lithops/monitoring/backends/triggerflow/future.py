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
Futures as they travel: to a call that is given what another one returned, and from a
call that returns futures of its own.
"""

import json
import os
import pickle
import time
from types import SimpleNamespace
from typing import Any, Callable, Dict, Optional, Tuple

from lithops.config import extract_storage_config
from lithops.future import ResponseFuture
from lithops.storage.utils import create_status_key

from .core.damage import Unfit
from .core.run import document_checks
from .core.run.loss import lose
from .core.store import Facts
from .error_text import described
from .failure import InputLost
from .stores import create_store

#: In the status of a call: where its output lies, when it is not in the status
OUTPUT_FIELD = 'triggerflow_output'

_OF_A_FUTURE = (
    'executor_id',
    'job_id',
    'job_key',
    'call_id',
    'function_name',
    'execution_timeout',
    'runtime_name',
    'runtime_memory',
    'backend',
)


class TravellingFuture(ResponseFuture):
    """
    The future of a call of a run, away from who made the call. It carries no
    credentials: where it arrives there are some
    """

    def __reduce__(self) -> Tuple[Any, ...]:
        return reduced(self, produces=self._produce_output, read=self._read)

    def _query_call_status(self, internal_storage) -> Optional[Dict[str, Any]]:
        status = _lost_unless_read(super()._query_call_status, internal_storage)
        if status is not None:
            _require_event(status, self.executor_id, self.job_id, self.call_id)
        return status

    def _query_call_output(self, internal_storage) -> bytes:
        if OUTPUT_FIELD not in self._call_status:
            return super()._query_call_output(internal_storage)
        self._output_query_count += 1
        return _lost_unless_read(internal_storage.get_data, self._call_status[OUTPUT_FIELD])


def reduced(future: ResponseFuture, produces: bool = True, read: bool = False) -> Tuple[Any, ...]:
    """
    What pickle makes of a future of a run: a :class:`TravellingFuture` comes out

    :param produces: whether its result counts among those of its executor
    :param read: whether it was read already
    """
    return _restored, ({name: getattr(future, name) for name in _OF_A_FUTURE}, produces, read)


def without_credentials(pickled: bytes) -> bytes:
    """The futures that a call returned, one or several, as they may be stored"""
    returned = pickle.loads(pickled)
    if isinstance(returned, ResponseFuture):
        return pickle.dumps(_travelling(returned))
    return pickle.dumps([_travelling(future) for future in returned])


def _travelling(future: ResponseFuture) -> TravellingFuture:
    return _made(vars(future), future._produce_output, future._read, future._storage_config)


def _restored(found: Dict[str, Any], produces: bool, read: bool) -> TravellingFuture:
    return _made(found, produces, read, extract_storage_config(json.loads(os.environ['LITHOPS_CONFIG'])))


def _made(found: Dict[str, Any], produces: bool, read: bool, storage_config: Dict[str, Any]) -> TravellingFuture:
    future = TravellingFuture(found['call_id'], SimpleNamespace(**found), {}, storage_config)
    future._produce_output, future._read = produces, read
    future._set_state(ResponseFuture.State.Invoked)
    return future


def _require_event(status: Any, executor_id: str, job_id: str, call_id: str) -> None:
    """What Lithops evaluates is looked at before. If it is damaged the run is lost, and so is this call"""
    try:
        document_checks.event(status)
    except Unfit as unfit:
        damage = unfit.of(create_status_key(executor_id, job_id, call_id))
        config = json.loads(os.environ['LITHOPS_CONFIG'])
        run = config.get('triggerflow', {}).get('run')
        if run:
            _lost_unless_read(lose, Facts(create_store(config)), run['session'], str(damage), time.time())
        raise InputLost(f'What another call returned could not be read: {damage}') from None


def _lost_unless_read(read: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except Exception as error:
        # Not a failure of the user's function: the call is lost, and tried again as such
        raise InputLost(f'What another call returned could not be read: {described(error)}') from error
