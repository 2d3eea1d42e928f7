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

import logging
import time
import uuid
from typing import Any, Dict

from .openwhisk_rules import Rule, RuleRefused

logger = logging.getLogger(__name__)

#: Seconds before each further try of an alarm that was refused
PAUSES = (0.5, 2.0)


def set_alarm(backend: Any, payload: Dict[str, Any], due: float) -> bool:
    """
    Has an action invoked at its time

    :param backend: Lithops' own, of ``openwhisk``
    :param due: seconds since the epoch
    :return: whether it will be; False where there are no alarms, or this one was refused
    """
    name = f'triggerflow-{uuid.uuid4().hex}'
    return _set(Rule(backend, name), payload, 'once', {'date': int(due * 1000), 'deleteAfterFire': 'rules'})


def set_interval(backend: Any, name: str, payload: Dict[str, Any], seconds: float) -> bool:
    """
    Has an action invoked again and again, until :func:`remove_interval`

    :param name: of the trigger and of the rule
    :param seconds: between two invocations, and until the first; the feed counts in whole minutes
    :return: whether it will be; False where there are no alarms, or this one was refused
    """
    minutes = max(1, round(seconds / 60))
    first = int((time.time() + seconds) * 1000)
    return _set(Rule(backend, name), payload, 'interval', {'minutes': minutes, 'startDate': first})


def remove_interval(backend: Any, name: str) -> None:
    """
    Ends what :func:`set_interval` began. One that is gone is no error

    :raises Exception: it may still be there
    """
    rule = Rule(backend, name)
    try:
        rule.tell_feed('interval', {'lifecycleEvent': 'DELETE'})
    except RuleRefused as error:
        # 404: there are no feeds, or nothing of this name
        if error.status != 404:
            raise
    rule.delete()


def _set(rule: Rule, payload: Dict[str, Any], feed: str, when: Dict[str, Any]) -> bool:
    said: Any = ''
    for pause in (*PAUSES, None):
        try:
            rule.create(payload, feed)
            rule.tell_feed(feed, {'lifecycleEvent': 'CREATE', 'trigger_payload': payload, **when})
            return True
        except Exception as error:
            rule.delete()
            said = error
            if getattr(error, 'status', None) == 404:
                logger.debug(f'There are no alarms: {error}')
                return False
        if pause is not None:
            time.sleep(pause)
    logger.warning(f'No alarm can be set, so it is done without: {said}')
    return False
