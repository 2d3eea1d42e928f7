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
The Triggerflow service, where triggers may live: told of events by a Redis stream, it starts activations.

What it is known to do wrong (its release of December 2021), and what is done about it here:

- A trigger is read when an event comes whose subject and type no trigger has had yet. So each one is followed by such
  an event, of its own.
- A transient trigger that fires makes the next one miss the event. So none is transient, and each fires at one count only
  (``FUNCTION_JOIN``); what is left of a run is deleted when it ends.
- An event that comes twice counts twice, so an activation may start early: it looks at the events, and waits once more.
- An event that no trigger waits for is dropped. So events that were there already are looked for when the trigger is.
- A request without credentials is answered by 500, ``overwrite`` never works, ``GET /workspace/W`` is an error, and Redis'
  database is 0 whatever it is told: none of these is used.
"""

import hashlib
import hmac
import logging
import time
from typing import Any, Callable, Dict, List, Tuple

import requests

from .core.event import FAILURE, PREFIX, SUCCESS, new_event
from .core.run.keys import call_id
from .redis_stream import Stream, StreamUnavailable

logger = logging.getLogger(__name__)

#: Seconds for a connection, and for an answer
TIMEOUT = (5.0, 30.0)
#: Seconds before each further try of a request that had no answer, or one that says that the service has failed
PAUSES = (0.5, 2.0)
#: Type of the events that make the service read its triggers
ADDED = f'{PREFIX}.trigger.added'


class TriggerServiceError(Exception):
    """The service cannot be reached, or its answer is not one that it may give"""


class ServiceClient:
    """
    The service's REST interface, as much of it as a run needs

    :param settings: 'endpoint', 'user', 'password', 'workspace' and 'sink', as in the ``triggerflow`` section
    """

    def __init__(self, settings: Dict[str, Any]):
        self._url = settings['endpoint'].rstrip('/')
        self._workspace = settings['workspace']
        self._sink = settings['sink']
        digest = hmac.new(settings['password'].encode(), settings['user'].encode(), hashlib.sha3_256)
        self._session = requests.Session()
        self._session.auth = settings['user'], digest.hexdigest()

    def __repr__(self) -> str:
        return f'Triggerflow service at {self._url}'

    def open_workspace(self) -> None:
        """
        Makes the workspace, or makes sure that it reads the sink

        :raises TriggerServiceError: no trigger in it would ever fire
        """
        name = self._sink['stream']
        parameters = {'host': self._sink['host'], 'port': self._sink['port'], 'db': 0, 'stream': name}
        source = {
            **{'name': name, 'class': 'RedisEventSource'},
            'parameters': {**parameters, 'password': self._sink.get('password')},
        }
        document = {'workspace_name': self._workspace, 'global_context': {}, 'event_source': source}
        status, answer = self._ask('POST', '/workspace', document)
        if status == 201:
            return
        if status == 202:
            # It is there now, with nobody who reads its events
            self._ask('DELETE', f'/workspace/{self._workspace}')
            raise TriggerServiceError(f'{self!r} could not start workspace {self._workspace!r}: its controller did not answer.')
        if status != 400 or answer.get('err_code') != 2:
            raise self._refusal(f'workspace {self._workspace!r}', status, answer)
        status, answer = self._ask('GET', f'/workspace/{self._workspace}/eventsource/{name}')
        answer = answer.get(name)
        found = answer.get('parameters') if status == 200 and isinstance(answer, dict) else None
        if not isinstance(found, dict) or any(found.get(key) != parameters[key] for key in ('host', 'port', 'stream')):
            raise TriggerServiceError(
                f'Workspace {self._workspace!r} of {self!r} does not read {Stream(self._sink)!r}, and begins to read another '
                'source only when it is made: choose another workspace, or delete that one.'
            )

    def add_trigger(self, trigger: Dict[str, Any]) -> None:
        """
        Adds a trigger, unless it is there

        :raises TriggerServiceError: it is not
        """
        status, answer = self._ask('POST', f'/workspace/{self._workspace}/trigger', {'triggers': [trigger]})
        if status == 200 and [found.get('id') for found in _documents(answer, 'accepted_triggers')] == [trigger['id']]:
            return
        reasons = [str(found.get('reason')) for found in _documents(answer, 'rejected_triggers')] if status == 200 else []
        if reasons and 'already exists' in reasons[0]:
            return
        raise self._refusal(f'trigger {trigger["id"]}', status, {'error': reasons[0]} if reasons else answer)

    def delete_triggers(self, prefix: str) -> None:
        """
        Deletes all triggers whose ids begin with ``prefix``

        :raises TriggerServiceError: some may be left
        """
        status, answer = self._ask('GET', f'/workspace/{self._workspace}/trigger', kind=list)
        if status == 404:
            return
        if status != 200 or not isinstance(answer, list):
            raise self._refusal('a list of triggers', status, answer)
        for trigger_id in answer:
            if str(trigger_id).startswith(prefix):
                self._ask('DELETE', f'/workspace/{self._workspace}/trigger/{trigger_id}')

    def _ask(self, method: str, path: str, document: Any = None, kind: type = dict) -> Tuple[int, Any]:
        """
        Its answer, once it has one that is not a failure of its own

        :param kind: what it answers with if it does not refuse; a refusal is a dict
        """
        said = ''
        for pause in (*PAUSES, None):
            try:
                found = self._session.request(method, f'{self._url}{path}', json=document, timeout=TIMEOUT, allow_redirects=False)
                if found.status_code < 500:
                    return found.status_code, self._read(method, path, found, kind)
                said = f'it answers {found.status_code}'
            except requests.RequestException as error:
                said = f'{type(error).__name__}: {error}'
            if pause is not None:
                time.sleep(pause)
        raise TriggerServiceError(f'{self!r} does not do {method} {path}: {said}')

    def _read(self, method: str, path: str, found: requests.Response, kind: type) -> Any:
        if found.status_code == 401:
            raise TriggerServiceError(f'{self!r} refuses user {self._session.auth[0]!r} with this password.')
        try:
            answer = found.json()
        except (ValueError, RecursionError):
            raise TriggerServiceError(
                f'{self!r} answers {found.status_code} to {method} {path}, with no JSON in it: {found.text[:100]!r}. Is it one?'
            ) from None
        if not isinstance(answer, (dict, kind)):
            raise TriggerServiceError(f'{self!r} answers {found.status_code} to {method} {path}, with a {type(answer).__name__}.')
        return answer

    def _refusal(self, what: str, status: int, answer: Any) -> TriggerServiceError:
        # No more of it than that: it may have all in it that was sent, credentials included
        said = answer.get('error') if isinstance(answer, dict) else None
        return TriggerServiceError(f'{self!r} does not take {what}: {status} {said or "and no reason"}')


class RemoteTriggers:
    """
    The triggers of a run, in the service. What the engine wants of one

    :param settings: the ``triggerflow`` section
    :param action: of a trigger that starts activation n, given that number: 'url' and 'api_key' of a function, and as
        'invoke_kwargs' its payload
    """

    def __init__(self, settings: Dict[str, Any], action: Callable[[int], Dict[str, Any]]):
        self._client = ServiceClient(settings)
        self._stream = Stream(settings['sink'])
        self._action = action

    def watch(self, session: str, number: int, members: Dict[str, List[List[int]]], count: int) -> bool:
        """Whether activation ``number + 1`` will be started at the ``count``-th event of ``members`` from here on"""
        trigger_id = f'{session}.{number:06d}'
        calls = [(job, index) for job, ranges in members.items() for first, stop in ranges for index in range(first, stop)]
        trigger = {
            'id': trigger_id,
            'activation_events': [_event(session, *call, kind) for call in calls for kind in (SUCCESS, FAILURE)],
            'condition': {'name': 'FUNCTION_JOIN'},
            'action': {'name': 'IBM_CF_INVOKE'},
            'context': {'total_activations': count, **self._action(number + 1)},
            'transient': False,
        }
        try:
            self._client.add_trigger(trigger)
            self._stream.add([new_event(ADDED, trigger_id, f'triggerflow-lithops/{session}', time=time.time())])
            return True
        except (TriggerServiceError, StreamUnavailable) as error:
            logger.warning(f'Trigger {trigger_id} is kept in the bucket: {error}')
            return False

    def tell(self, session: str, job: str, number: int, failed: bool) -> bool:
        """Whether the stream has taken the event of a call"""
        try:
            self._stream.add([_event(session, job, number, FAILURE if failed else SUCCESS)])
            return True
        except StreamUnavailable as error:
            logger.warning(f'The event of {job}/{call_id(number)} is known to the bucket only: {error}')
            return False

    def forget(self, session: str) -> None:
        """
        Deletes what is left of a run

        :raises TriggerServiceError: some may be left
        """
        self._client.delete_triggers(f'{session}.')


def _documents(answer: Dict[str, Any], name: str) -> List[Dict[str, Any]]:
    found = answer.get(name)
    return [document for document in found if isinstance(document, dict)] if isinstance(found, list) else []


def _event(session: str, job: str, number: int, kind: str) -> Dict[str, str]:
    subject = f'{session}/{job}/{call_id(number)}'
    return new_event(kind, subject, f'lithops/{session}-{job}', time=time.time(), event_id=subject)
