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
OpenWhisk's own clock: an invocation that is to be made later, with nothing running meanwhile.

A trigger, a rule that binds it to the action, and the feed ``/whisk.system/alarms/once``, which
fires the trigger at its time and then deletes both. Not every installation has that feed.
"""

import logging
import uuid
from typing import Any, Dict

logger = logging.getLogger(__name__)

FEED = '/whisk.system/alarms/once'


def set_alarm(backend: Any, payload: Dict[str, Any], due: float) -> bool:
    """
    Has an action invoked at its time

    :param backend: Lithops' own, of ``openwhisk``
    :param due: seconds since the epoch
    :return: whether it will be; False where there are no alarms, or this one was refused
    """
    client = backend.cf_client
    own = f'{client.url}/{client.namespace}'
    name = f'triggerflow-{uuid.uuid4().hex}'
    trigger, rule = f'{own}/triggers/{name}', f'{own}/rules/{name}'
    action = backend._format_function_name(payload['runtime_name'], payload['runtime_memory'])
    namespace, package, feed = FEED.strip('/').split('/')
    try:
        _asked(client.session.put(trigger, json={'annotations': [{'key': 'feed', 'value': FEED}]}))
        binding = {'trigger': f'/{client.namespace}/{name}', 'action': f'/{client.namespace}/{backend.package}/{action}'}
        _asked(client.session.put(rule, json={**binding, 'status': 'active'}))
        alarm = {
            'lifecycleEvent': 'CREATE',
            'triggerName': f'/{client.namespace}/{name}',
            'authKey': client.api_key,
            'date': int(due * 1000),
            'trigger_payload': payload,
            'deleteAfterFire': 'rules',
        }
        _asked(client.session.post(f'{client.url}/{namespace}/actions/{package}/{feed}?blocking=true', json=alarm))
        return True
    except Exception as error:
        logger.debug(f'No alarm can be set, so a function waits: {error}')
        for part in (rule, trigger):
            client.session.delete(part)
        return False


def _asked(answer: Any) -> None:
    if answer.status_code >= 300:
        raise RuntimeError(f'{answer.request.method} {answer.request.path_url}: {answer.status_code} {answer.text[:200]}')
