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
OpenWhisk's own clock: invocations that are to be made later, with nothing running meanwhile.

A trigger, a rule that binds it to the action, and a feed of ``/whisk.system/alarms``: ``once`` fires the
trigger at its time and then deletes both, ``interval`` fires it until it is removed. Not every
installation has these feeds.
"""

import contextlib
import logging
import time
import uuid
from typing import Any, Dict

logger = logging.getLogger(__name__)

FEEDS = '/whisk.system/alarms'


def set_alarm(backend: Any, payload: Dict[str, Any], due: float) -> bool:
    """
    Has an action invoked at its time

    :param backend: Lithops' own, of ``openwhisk``
    :param due: seconds since the epoch
    :return: whether it will be; False where there are no alarms, or this one was refused
    """
    name = f'triggerflow-{uuid.uuid4().hex}'
    return _set(backend, name, payload, 'once', {'date': int(due * 1000), 'deleteAfterFire': 'rules'})


def set_interval(backend: Any, name: str, payload: Dict[str, Any], seconds: float) -> bool:
    """
    Has an action invoked again and again, until :func:`remove_interval`

    :param name: of the trigger and of the rule
    :param seconds: between two invocations, and until the first; the feed counts in whole minutes
    :return: whether it will be; False where there are no alarms, or this one was refused
    """
    minutes = max(1, round(seconds / 60))
    first = int((time.time() + seconds) * 1000)
    return _set(backend, name, payload, 'interval', {'minutes': minutes, 'startDate': first})


def remove_interval(backend: Any, name: str) -> None:
    """Ends what :func:`set_interval` began. One that is gone is no error"""
    client = backend.cf_client
    rule, trigger = _entities(client, name)
    client.session.delete(rule)
    _tell_feed(client, name, 'interval', {'lifecycleEvent': 'DELETE'})
    client.session.delete(trigger)


def _set(backend: Any, name: str, payload: Dict[str, Any], feed: str, when: Dict[str, Any]) -> bool:
    client = backend.cf_client
    rule, trigger = _entities(client, name)
    action = backend._format_function_name(payload['runtime_name'], payload['runtime_memory'])
    try:
        _require(client.session.put(trigger, json={'annotations': [{'key': 'feed', 'value': f'{FEEDS}/{feed}'}]}))
        binding = {'trigger': f'/{client.namespace}/{name}', 'action': f'/{client.namespace}/{backend.package}/{action}'}
        _require(client.session.put(rule, json={**binding, 'status': 'active'}))
        _require(_tell_feed(client, name, feed, {'lifecycleEvent': 'CREATE', 'trigger_payload': payload, **when}))
        return True
    except Exception as error:
        logger.debug(f'No alarm can be set: {error}')
        for entity in (rule, trigger):
            with contextlib.suppress(Exception):
                client.session.delete(entity)
        return False


def _entities(client: Any, name: str) -> Any:
    own = f'{client.url}/{client.namespace}'
    return f'{own}/rules/{name}', f'{own}/triggers/{name}'


def _tell_feed(client: Any, name: str, feed: str, said: Dict[str, Any]) -> Any:
    namespace, package = FEEDS.strip('/').split('/')
    own = {'triggerName': f'/{client.namespace}/{name}', 'authKey': client.api_key}
    return client.session.post(f'{client.url}/{namespace}/actions/{package}/{feed}?blocking=true', json={**own, **said})


def _require(answer: Any) -> None:
    if answer.status_code >= 300:
        raise RuntimeError(f'{answer.request.method} {answer.request.path_url}: {answer.status_code} {answer.text[:200]}')
