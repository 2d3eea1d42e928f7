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
Futures as they travel: to a call that is given what another one returned.
"""

import json
import os
from types import SimpleNamespace
from typing import Any, Callable, Dict, Optional, Tuple

from lithops.config import extract_storage_config
from lithops.future import ResponseFuture

from .failure import HANDLER
from .status import OUTPUT_FIELD

_OF_A_FUTURE = (
    'executor_id', 'job_id', 'job_key', 'call_id', 'function_name', 'execution_timeout',
    'runtime_name', 'runtime_memory', 'backend',
)


class InputFuture(ResponseFuture):
    """
    The future of a call of a run, where it is an input: what it stands for has ended
    before it arrives. It carries no credentials; who it is given to has them
    """

    def __reduce__(self) -> Tuple[Any, ...]:
        return reduced(self)

    def _query_call_status(self, internal_storage) -> Optional[Dict[str, Any]]:
        return _lost_unless_read(super()._query_call_status, internal_storage)

    def _query_call_output(self, internal_storage) -> bytes:
        self._output_query_count += 1
        return _lost_unless_read(internal_storage.get_data, self._call_status[OUTPUT_FIELD])


def reduced(future: ResponseFuture) -> Tuple[Any, ...]:
    """What pickle makes of a future of a run: an :class:`InputFuture` comes out"""
    return _restored, ({name: getattr(future, name) for name in _OF_A_FUTURE},)


def _restored(found: Dict[str, Any]) -> InputFuture:
    storage_config = extract_storage_config(json.loads(os.environ['LITHOPS_CONFIG']))
    future = InputFuture(found['call_id'], SimpleNamespace(**found), {}, storage_config)
    future._set_state(ResponseFuture.State.Invoked)
    return future


def _lost_unless_read(read: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return read(*arguments)
    except Exception as error:
        # Not a failure of the user's function: the call is lost, and tried again as such
        raise RuntimeError(HANDLER, f'An input could not be read: {error!r}') from error
