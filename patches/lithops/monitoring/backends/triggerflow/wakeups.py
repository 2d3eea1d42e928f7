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
Who wakes a run, where it is not the worker of its last event: the Triggerflow service, or a trigger of OpenWhisk's own.

``backend`` of the ``triggerflow`` section says which: 'storage' (the default: nobody else), 'service' or 'openwhisk'.
"""

import json
import logging
from typing import Any, Dict, Optional

from .compute import handler_of
from .invoke import ACTIVATION, backend_of, own_payload, rule_of
from .redis_stream import Stream, StreamUnavailable
from .trigger_service import RemoteTriggers, ServiceClient, TriggerServiceError

logger = logging.getLogger(__name__)


class WakeUpsUnavailable(Exception):
    """Whoever is to wake runs cannot"""


def require_wake_ups(config: Dict[str, Any]) -> None:
    """
    Makes sure that somebody will wake the runs of this configuration

    :raises WakeUpsUnavailable: the Triggerflow service, or its sink, is out of reach, or cannot be used
    """
    if backend_of(config) == 'service':
        try:
            ServiceClient(config['triggerflow']).open_workspace()
            Stream(config['triggerflow']['sink']).check()
        except (TriggerServiceError, StreamUnavailable) as error:
            raise WakeUpsUnavailable(f'{error} Without it: backend: storage in the triggerflow section.') from error


def begin_wake_ups(config: Dict[str, Any], run: Dict[str, Any]) -> None:
    """
    Binds the wake-ups of a run to whoever makes them. Where that is refused, they are made without

    :param run: what every payload of the run carries
    """
    if backend_of(config) == 'openwhisk':
        try:
            rule_of(config, run).create(own_payload(config, run, ACTIVATION, 1, '', 0.0))
        except Exception as error:
            logger.warning(f'Run {run["run_id"]} - is woken without a rule: {error}')


def end_wake_ups(config: Dict[str, Any], run: Dict[str, Any]) -> None:
    """The run has ended: nothing of it is left where it was woken from"""
    try:
        if backend_of(config) == 'openwhisk':
            rule_of(config, run).delete()
        elif backend_of(config) == 'service':
            RemoteTriggers(config['triggerflow'], lambda number: {}).forget(run['session'])
    except Exception as error:
        # A purge tries again
        logger.warning(f'Run {run["run_id"]} - what woke it may be left: {error}')


def triggers_of(config: Dict[str, Any], run: Dict[str, Any]) -> Optional[RemoteTriggers]:
    """The service where the triggers of a run live; None where that is the bucket"""
    if backend_of(config) != 'service':
        return None

    def action(number: int) -> Dict[str, Any]:
        payload = own_payload(config, run, ACTIVATION, number, 'its trigger fired', 0.0)
        backend = handler_of(config).backend
        function = backend._format_function_name(payload['runtime_name'], payload['runtime_memory'])
        client = backend.cf_client
        url = f'{client.url}/{client.namespace}/actions/{backend.package}/{function}'
        # As Lithops' own client sends one
        sent = json.loads(json.dumps(payload, default=str))
        return {'url': url, 'api_key': config['openwhisk']['api_key'], 'invoke_kwargs': sent}

    return RemoteTriggers(config['triggerflow'], action)
