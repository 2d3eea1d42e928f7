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
Triggers and rules of OpenWhisk's own: whoever fires a trigger has the action invoked that a rule binds to it.
"""

import contextlib
import json
from typing import Any, Dict, Optional

#: Seconds for an answer
TIMEOUT = 30.0
#: Where its feeds are
FEEDS = '/whisk.system/alarms'


class RuleRefused(Exception):
    """
    OpenWhisk does not take a trigger or a rule

    :param status: of its answer
    """

    def __init__(self, said: str, status: int):
        super().__init__(said)
        self.status = status


class Rule:
    """
    A trigger, and the rule that binds it to an action. Both have one name

    :param backend: Lithops' own, of ``openwhisk`` or ``ibm_cf``
    """

    def __init__(self, backend: Any, name: str):
        self._backend = backend
        self._client = backend.cf_client
        self._name = name
        own = f'{self._client.url}/{self._client.namespace}'
        self._rule, self._trigger = f'{own}/rules/{name}', f'{own}/triggers/{name}'

    def create(self, payload: Dict[str, Any], feed: Optional[str] = None) -> None:
        """
        :param payload: of an invocation: of the action that it is about
        :param feed: which one of :data:`FEEDS` fires it
        :raises RuleRefused: it is not there
        """
        action = self._backend._format_function_name(payload['runtime_name'], payload['runtime_memory'])
        said = {'annotations': [{'key': 'feed', 'value': f'{FEEDS}/{feed}'}]} if feed else {}
        namespace = self._client.namespace
        binding = {'trigger': f'/{namespace}/{self._name}', 'action': f'/{namespace}/{self._backend.package}/{action}'}
        # A name that is there is of this one, from a try whose answer was lost
        require(self._client.session.put(f'{self._trigger}?overwrite=true', json=said, timeout=TIMEOUT))
        require(self._client.session.put(f'{self._rule}?overwrite=true', json={**binding, 'status': 'active'}, timeout=TIMEOUT))

    def fire(self, payload: Dict[str, Any]) -> bool:
        """Whether the action was invoked by it, with this payload"""
        # 204: no rule is there, so nothing was invoked
        said = json.dumps(payload, default=str)
        return self._client.session.post(self._trigger, data=said, timeout=TIMEOUT).status_code == 202

    def delete(self) -> None:
        """One that is gone is no error"""
        for entity in (self._rule, self._trigger):
            with contextlib.suppress(Exception):
                self._client.session.delete(entity, timeout=TIMEOUT)

    def tell_feed(self, feed: str, said: Dict[str, Any]) -> None:
        """:raises RuleRefused: it did not take that"""
        namespace, package = FEEDS.strip('/').split('/')
        own = {'triggerName': f'/{self._client.namespace}/{self._name}', 'authKey': self._client.api_key}
        url = f'{self._client.url}/{namespace}/actions/{package}/{feed}?blocking=true'
        answer = self._client.session.post(url, data=json.dumps({**own, **said}, default=str), timeout=TIMEOUT)
        require(answer)
        if answer.status_code == 202:
            raise RuleRefused(f'The feed {feed} has taken its time, and not said whether it is done', 202)


def require(answer: Any) -> None:
    """:raises RuleRefused: it is a refusal"""
    if answer.status_code >= 300:
        asked = answer.request
        said = f'{asked.method} {asked.path_url}: {answer.status_code} {answer.text[:200]}'
        raise RuleRefused(said, answer.status_code)
