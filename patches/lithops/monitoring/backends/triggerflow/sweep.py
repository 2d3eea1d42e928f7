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
Sweeping a run, with the function service that it runs on. Anyone may, at any time; and
so that somebody does, a clock of the cloud's, or a function that waits.
"""

import functools
import logging
import time
from typing import Any, Dict, List, Optional

from lithops.constants import JOBS_PREFIX, LOCALHOST

from .compute import handler_of, is_local, submit, wait_until
from .core.run import keys
from .core.run.action import REPORT_LOST
from .core.run.ended import clear_if_purged, how_over
from .core.run.engine import Engine
from .core.run.loss import Damaged, document_of, lose
from .core.run.sweep import Sweeper
from .core.store import Facts, StoreUnavailable
from .invoke import SWEEP, call_payload, in_flight_at_function_service, job_of, own_payload, performer
from .openwhisk_alarms import remove_interval, set_interval
from .status import limits_of, report_lost
from .stores import create_store
from .wakeups import triggers_of

logger = logging.getLogger(__name__)

#: Seconds that a sweep gives what it takes for overdue: where the function service
#: tells what it has, and where only time does
PATIENCE = {True: 0.5, False: 10.0}
#: Seconds between two sweeps that OpenWhisk's alarm feed has made, unless it is said otherwise
INTERVAL = 600.0
#: The number of each of those
BY_ALARM = 0


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

    in_flight = functools.partial(in_flight_at_function_service, config, run['session'])
    sweeper = Sweeper(Engine(facts, perform_or_report, triggers_of(config, run)), run['session'], limits_of(run), in_flight)
    repaired = sweeper.sweep(now, started, pause=lambda: time.sleep(PATIENCE[is_local(config)]))
    for said in repaired:
        logger.warning(f'Run {run["run_id"]} - swept: {said}')
    return repaired


def sweep_unless_over(config: Dict[str, Any], run: Dict[str, Any]) -> bool:
    """
    Sweeps a run, unless it has ended, or was purged. One whose document cannot be read has ended, as lost

    :param run: what every payload of the run carries
    :return: whether it goes on
    """
    facts = Facts(create_store(config))
    try:
        document = document_of(facts, run['session'])
    except Damaged as damage:
        if damage.newer:
            raise
        lose(facts, run['session'], str(damage), time.time())
        return False
    if document is None or facts.has(keys.outcome_key(run['session'])):
        return False
    sweep_run(config, run, document['time'])
    return True


def is_over(config: Dict[str, Any], run: Dict[str, Any]) -> bool:
    """
    Whether a run has ended, or was purged

    :param run: what every payload of the run carries
    """
    return how_over(Facts(create_store(config)), run['session']) is not None


def seems_over(config: Dict[str, Any], run: Dict[str, Any]) -> bool:
    """
    Whether a run has ended, or was purged, as far as two looks at files can show, which take no time. False where
    its bucket is not on a disk of this machine

    :param run: what every payload of the run carries
    """
    if config['lithops']['storage'] != LOCALHOST:
        return False
    store = create_store(config)
    try:
        return store.has(keys.outcome_key(run['session'])) or not store.has(keys.run_key(run['run_id']))
    except StoreUnavailable:
        return False


def remove_if_purged(config: Dict[str, Any], run: Dict[str, Any]) -> List[str]:
    """
    Removes what was still written of a run after it was purged. To be done when nothing of it runs any more

    :param run: what every payload of the run carries
    :return: the keys of that
    """
    return clear_if_purged(Facts(create_store(config)), run['session'], (keys.JOBS, JOBS_PREFIX))


def begin_sweeps(config: Dict[str, Any], run: Dict[str, Any]) -> None:
    """
    Has a run swept from time to time until it is over, whoever waits for it: by OpenWhisk's
    alarm feed, and elsewhere, where it was asked for, by a function that waits. The local
    function service sweeps by itself
    """
    seconds: Optional[float] = run['orchestrator']['sweep_seconds']
    if is_local(config):
        return
    if config['lithops']['backend'] == 'openwhisk':
        payload = own_payload(config, run, SWEEP, BY_ALARM, '', 0.0)
        if set_interval(handler_of(config).backend, _interval(run), payload, seconds or INTERVAL):
            return
    if seconds is not None:
        _start_sweep(config, run, BY_ALARM + 1, time.time() + seconds)


def end_sweeps(config: Dict[str, Any], run: Dict[str, Any]) -> None:
    """Ends what :func:`begin_sweeps` began: what is to sweep a run that is purged could not be loaded any more"""
    if config['lithops']['backend'] == 'openwhisk':
        remove_interval(handler_of(config).backend, _interval(run))


def sweep_in_turn(config: Dict[str, Any], run: Dict[str, Any], number: int, due: float) -> None:
    """
    One of the sweeps that :func:`begin_sweeps` began

    :param due: seconds since the epoch
    """
    if number == BY_ALARM:
        if not sweep_unless_over(config, run):
            end_sweeps(config, run)
        return
    facts = Facts(create_store(config))

    def is_over() -> bool:
        return how_over(facts, run['session']) is not None

    is_time = wait_until(due, run['orchestrator']['execution_timeout'], is_over)
    if is_over():
        return
    # What is delivered twice must not be two who go on
    ours, _ = facts.create(keys.sweep_key(run['session'], number), {'time': time.time()})
    if not ours:
        return
    if is_time:
        try:
            sweep_unless_over(config, run)
        except Exception:
            logger.exception(f'Run {run["run_id"]} - a sweep failed, the next one may not')
        due = time.time() + run['orchestrator']['sweep_seconds']
    _start_sweep(config, run, number + 1, due)


def _start_sweep(config: Dict[str, Any], run: Dict[str, Any], number: int, due: float) -> None:
    submit(config, [own_payload(config, run, SWEEP, number, '', due)])


def _interval(run: Dict[str, Any]) -> str:
    return f'triggerflow-sweeps-{run["session"]}'
