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
The reporter: what a worker does when a call, or an activation, has ended.

Lithops' handler, outside of the user's process, asks for it whatever happened: a
value, an exception, a time-out, a kill for want of memory. The end of a call
becomes an event, or another attempt. The end of an activation that died starts its
successor.
"""

import ast
import json
import logging
import os
import pickle
import time
from types import SimpleNamespace
from typing import Any, Dict, List, Optional

from lithops.config import extract_storage_config
from lithops.constants import SESSION_ID_ENV
from lithops.monitoring.status import StorageCallStatus
from lithops.storage import InternalStorage
from lithops.storage.utils import create_output_key

from .compute import ALARM
from .core.run import keys
from .core.run.attempts import Execution
from .core.run.engine import Engine
from .core.run.sweep import Limits, Sweeper
from .core.store import Facts, new_nonce
from .exceptions import CannotBeRead, loads
from .failure import failure_of, last_words, lost, stats_of
from .future import OUTPUT_FIELD, without_credentials
from .invoke import ACTIVATION, CLAIMED, FOLLOWING, LOOK_UP, NESTED, backend_of, field_of, performer, run_of
from .runner_hooks import hook
from .stores import create_store
from .wakeups import end_wake_ups, triggers_of

logger = logging.getLogger(__name__)

#: In the status of a call: which attempt it was, from 0
ATTEMPT_FIELD = 'triggerflow_attempt'

#: Seconds beyond its time-out after which an execution is taken for dead
GRACE = 60.0
#: Seconds that may pass between an invocation and its beginning
START = 120.0

#: Seconds at the most that a further attempt waits, inside its function, until it is due: what is
#: due later is started by an alarm, where there are alarms
MAX_WAIT = ALARM

#: Attribute of a job that is reported and not run
GIVEN_UP = 'given_up'

#: What could not be reported in this process: a function service that can should
#: see to it
unreported: List[str] = []


class CallStatus(StorageCallStatus):
    """Reports a call of a run as an event, and any other call as Lithops does"""

    def __init__(self, job: SimpleNamespace, internal_storage):
        super().__init__(job, internal_storage)
        # Nothing may fail here: the handler reports only what comes after
        self.run = field_of(job)
        self.nested = bool(self.run) and self.run['subject'] == NESTED
        if self.run and not getattr(job, GIVEN_UP, False):
            hook()
        if self.run and not self.nested:
            self._output_key = keys.output_key(job.job_key, job.call_id, new_nonce())
            if not getattr(job, GIVEN_UP, False):
                self._prepare(job, internal_storage)

    def _prepare(self, job: SimpleNamespace, internal_storage) -> None:
        _separate(job, internal_storage, self._output_key)
        if self.run['subject'] == 'call':
            # A cloud's functions start at once; a local function service has waited already
            time.sleep(min(MAX_WAIT, max(0.0, self.run.get('due', 0.0) - time.time())))

    def send_init_event(self) -> None:
        """Nobody reads when a call of a run began, so nothing is written"""
        if not self.run or self.nested:
            super().send_init_event()

    def send_finish_event(self) -> None:
        """Reports how the call, or the activation, ended"""
        if not self.run:
            super().send_finish_event()
            return
        self.status['type'] = '__end__'
        try:
            if self.run['subject'] in ('call', NESTED):
                self._report_call()
            elif self.run['subject'] != ACTIVATION:
                # Somebody else sweeps
                return
            elif self.status['exception']:
                self._report_death(last_words(self.status))
            elif self.run.get('redelivered') and 'result' in self.status and _result(self.status) == CLAIMED:
                # The function service delivers again what has not ended: whoever
                # claimed the number was killed
                self._report_death('its process was killed')
        except Exception:
            # Lithops' handler goes on as if nothing had happened
            unreported.append(f'{self.job.job_key}/{self.job.call_id}')
            logger.exception(f'Run {self.run["run_id"]} - could not report the end of {unreported[-1]}')
            raise

    def _engine(self) -> Engine:
        facts = Facts(create_store(self.config, self.internal_storage.storage))
        run = run_of(self.run)
        return Engine(facts, performer(self.config, run, facts), triggers_of(self.config, run))

    def _report_call(self) -> None:
        if 'new_futures' in self.status:
            self._strip_futures()
        if not self.status['exception'] and 'func_result_size' not in self.status:
            # Lithops would take this for a result of None
            self._lose('What the function process had noted of its end is gone')
        if not self.nested and not self.status['exception'] and 'result' not in self.status and self.status['func_result_size']:
            self.status[OUTPUT_FIELD] = self._output_key
        if self.run['attempt']:
            self.status[ATTEMPT_FIELD] = self.run['attempt']
        execution = Execution(
            session=self.run['session'],
            call=keys.Call(self.run['job'], int(self.job.call_id)),
            position=self.run['position'],
            number=self.run['number'],
            attempt=self.run['attempt'],
            policy=self.run['retry'],
            memory=self.job.runtime_memory,
            redelivered=bool(self.run.get('redelivered')),
            following=self._following(),
            seconds=time.time() - float(self.status.get('worker_start_tstamp') or time.time()),
        )
        self._engine().report(execution, json.dumps(self.status).encode('ascii'), failure_of(self.status), time.time())

    def _strip_futures(self) -> None:
        try:
            self.status['new_futures'] = str(without_credentials(ast.literal_eval(self.status['new_futures'])))
        except BaseException as error:
            # A list that begins with a future, and has something else in it
            del self.status['new_futures']
            self.status.update(stats_of(error))

    def _following(self) -> Optional[Dict[str, Any]]:
        following = self.run.get(FOLLOWING)
        return {'call': int(self.job.call_id)} if following == LOOK_UP else following

    def _lose(self, reason: str) -> None:
        self.add('exception', True)
        self.add('exc_info', str(pickle.dumps(lost(reason))))

    def _report_death(self, reason: str) -> None:
        """An activation that died is succeeded, until it has been enough"""
        engine = self._engine()
        Sweeper(engine, self.run['session'], limits_of(self.run)).handle_death(self.run['number'], reason, time.time())
        if backend_of(self.config) != 'storage' and engine.facts.has(keys.outcome_key(self.run['session'])):
            end_wake_ups(self.config, run_of(self.run))


def limits_of(run: Dict[str, Any]) -> Limits:
    """
    What may be expected of the activations of a run

    :param run: what every payload of the run carries
    """
    orchestrator = run['orchestrator']
    return Limits(life=orchestrator['execution_timeout'] + GRACE, start=START, max_deaths=orchestrator['max_deaths'])


def report_lost(payload: Dict[str, Any], reason: str) -> None:
    """
    Reports what no handler will report any more, as lost

    :param payload: of the invocation that was given up
    """
    internal_storage = InternalStorage(extract_storage_config(payload['config']))
    for call_id in payload['call_ids']:
        now = time.time()
        # Nothing runs here: this process, maybe the user's own, stays as it is
        job = SimpleNamespace(**{**payload, 'call_id': call_id, 'start_tstamp': now, 'stats_file': os.devnull, GIVEN_UP: True})
        status = CallStatus(job, internal_storage)
        status._lose(reason)
        status.add('worker_end_tstamp', now)
        status.send_finish_event()


def _separate(job: SimpleNamespace, internal_storage, output_key: str) -> None:
    """
    Keeps what this execution writes apart from any other execution of its call:
    its stats file, the sessions of executors inside it, and its output
    """
    execution = output_key.rsplit('.', 2)[1]
    job.stats_file = f'{job.stats_file}.{execution}'
    os.environ[SESSION_ID_ENV] = '-'.join([job.job_key, job.call_id, execution])
    shared_key = create_output_key(job.executor_id, job.job_id, job.call_id)
    put_data = internal_storage.put_data

    def put_data_apart(key, data):
        return put_data(output_key if key == shared_key else key, data)

    internal_storage.put_data = put_data_apart


def _result(status: dict):
    try:
        return loads(ast.literal_eval(status['result']))
    except CannotBeRead:
        return None
