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
Sweeping a run, with the function service that it runs on. Anyone may, at any time.
"""

import functools
import logging
import time
from typing import Any, Dict, List

from .functions import is_local
from .invoke import call_payload, held_by_function_service, job_of, performer
from .status import limits_of, report_lost
from .store import create_store
from .triggers import keys
from .triggers.action import REPORT_LOST
from .triggers.engine import Engine
from .triggers.store import Facts
from .triggers.sweep import Sweeper

logger = logging.getLogger(__name__)

#: Seconds that a sweep gives what it takes for overdue: where the function service
#: tells what it has, and where only time does
PATIENCE = {True: 0.5, False: 10.0}


def sweep_run(config: Dict[str, Any], run: Dict[str, Any], started: float) -> List[str]:
    """
    Finds what nobody reported, and repairs it

    :param config: Lithops' configuration, of whoever sweeps
    :param run: what every payload of the run carries
    :param started: seconds since the epoch
    :return: what was repaired, in words; empty when there was nothing to repair
    """
    now = time.time()
    facts = Facts(create_store(config))
    perform = performer(config, run, facts)

    def perform_or_report(action):
        if action['name'] != REPORT_LOST:
            perform(action)
            return
        call = keys.Call(*action['call'])
        attempt = None
        if action['attempt']:
            attempt = facts.read(keys.attempt_key(run['session'], call, action['attempt']))
        job = job_of(facts, run['session'], action['position'], call)
        payload = call_payload(config, run, job['activation'], action['position'], job, attempt)
        report_lost({**payload, 'call_ids': [call.call_id]}, action['reason'])

    held = functools.partial(held_by_function_service, config, run['session'])
    sweeper = Sweeper(Engine(facts, perform_or_report), run['session'], limits_of(run), held)
    repaired = sweeper.sweep(now, started, pause=lambda: time.sleep(PATIENCE[is_local(config)]))
    for said in repaired:
        logger.warning(f"Run {run['run_id']} - swept: {said}")
    return repaired
