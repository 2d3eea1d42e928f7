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
Invoking: the payloads of activations and of calls, and who takes them.

Both sides use this: the client starts activation 0, an orchestrator its calls,
and a worker the next activation. Whoever invokes uses the configuration that it
was itself given. All that is ours in a payload is one field, ``triggerflow``.
"""

import base64
import json
import logging
import pickle
import random
import time
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence, Set, Tuple

from lithops.storage.utils import create_job_key
from lithops.version import __version__

from .compute import MAX_PAYLOAD, InvocationNotAccepted, InvocationRejected, handler_of, is_local, submit
from .core.outcome import failed_run
from .core.run import keys
from .core.run.action import START_ACTIVATION, START_CALL, START_DEFERRED, START_FOLLOWING
from .core.run.attempts import DEFAULT
from .core.run.documents import Action, LaneRest, Policy
from .core.run.inputs import data_of
from .core.run.lanes import Lanes, Start, neighbours, start_of
from .core.run.loss import end
from .core.store import Facts, StoreUnavailable
from .invocations import RUN_VERSION as VERSION
from .local_service import LocalService, in_flight_at_any_service
from .openwhisk_rules import Rule

logger = logging.getLogger(__name__)

FIELD = 'triggerflow'

#: Policy of what another call has made: whether that runs again is up to the caller
NO_RETRIES: Policy = {**DEFAULT, 'retries': 0}

#: Subject of a call that another call has made, by an executor of its own
NESTED = 'nested'

#: In the field of a call: what of its lane follows upon it; …
FOLLOWING = 'following'
#: … to be looked up
LOOK_UP: Dict[str, Any] = {}

#: Subjects of what runs the orchestrator's own function: one activation, or a sweep
ACTIVATION, SWEEP = 'activation', 'sweep'

#: Seconds for which a worker tries to hand over to the next one of its lane. Each another number,
#: for where one gives up others can go on
HAND_OVER = (10.0, 30.0)

#: Which share of a payload what is left of a lane may be
SHARE = 0.25

#: What an activation returns that found its number claimed by somebody else
CLAIMED = 'claimed'


def run_field(run_id: str, session: str, orchestrator: Dict[str, Any], retry: Policy) -> Dict[str, Any]:
    """
    What every payload of a run carries.

    :param orchestrator: 'function_name', 'code_key' (where its code is), 'execution_timeout' (seconds),
        'log_level', 'runtime_name' and 'runtime_memory' (MB) of its activations,
        'max_deaths', how many of them in a row may die, 'max_pending_calls', how many calls may be
        scheduled and not yet waited for, 'sweep_seconds' between two sweeps
        (None: as it suits the backend), and 'lanes', how many chunks of one job may be
        under way at one time (0: any number)
    :param retry: of its jobs, unless one has its own
    """
    return {'version': VERSION, 'run_id': run_id, 'session': session, 'orchestrator': orchestrator, 'retry': retry}


def run_of(field: Dict[str, Any]) -> Dict[str, Any]:
    """What every payload of a run carries, out of that of one invocation"""
    return {name: field[name] for name in ('version', 'run_id', 'session', 'orchestrator', 'retry')}


def performer(config: Dict[str, Any], run: Dict[str, Any], facts: Facts) -> Callable[[Action], None]:
    """
    Performs what the engine wants started. What can never be started ends the run.

    :param config: Lithops' configuration, as whoever invokes was given it
    :param run: what every payload of the run carries
    """
    start = starter(config, run, facts)

    def perform(action: Action) -> None:
        try:
            start(action)
        except InvocationRejected as error:
            fail_run(facts, run, error)

    return perform


def fail_run(facts: Facts, run: Dict[str, Any], error: Exception) -> None:
    """The run has failed: whoever tries again would find the same"""
    end(facts, run['session'], failed_run(error, time.time()))


def starter(config: Dict[str, Any], run: Dict[str, Any], facts: Facts) -> Callable[[Action], None]:
    """
    As :func:`performer`, for who can tell the user.

    :return: raises :class:`InvocationRejected`
    """

    def start(action: Action) -> None:
        if action['name'] == START_ACTIVATION:
            start_activation(config, run, action['number'], action['cause'], action['due'])
        elif action['name'] == START_CALL:
            job = scheduled_job(facts, run['session'], action['position'])
            number = keys.Call(*action['call']).number
            payload = call_payload(config, run, job['activation'], action['position'], job, action['attempt'])
            _invoke(config, payload, chunks_of(job, [number]), action['attempt']['due'])
        elif action['name'] == START_DEFERRED:
            job = action['job']
            payload = call_payload(config, run, job['activation'], action['position'], job)
            _invoke(config, payload, chunks_of(job, action['numbers']))
        elif action['name'] == START_FOLLOWING:
            _go_on(config, run, facts, action)
        else:
            raise ValueError(f'Found action {action["name"]!r}, which only a sweep performs')

    return start


def _go_on(config: Dict[str, Any], run: Dict[str, Any], facts: Facts, action: Action) -> None:
    """
    The next chunk of a lane is invoked by a worker that holds a place in its namespace until that
    was taken. Where all places are held by such workers one of them has to leave, so that the
    others can go on; what it was to start a sweep does
    """
    job, starts = next_of_lane(facts, action)
    try:
        _start_lanes(config, run, job['activation'], action['position'], job, starts, random.uniform(*HAND_OVER))
    except InvocationNotAccepted as error:
        for number in (number for start in starts for number in start.numbers):
            facts.create(keys.refused_key(run['session'], keys.Call(job['job'], number)), {'time': time.time()})
        logger.warning(f'Run {run["run_id"]} - a lane of {job["job"]} stands still until the next sweep: {error}')


def in_flight_at_function_service(config: Dict[str, Any], session: str) -> Optional[Set[keys.Call | int]]:
    """
    What the function service has of a run: calls, and activations by their numbers.
    None where it cannot be asked
    """
    if not is_local(config):
        return None
    return in_flight_at_any_service(config[FIELD]['service'], session)


def scheduled_job(facts: Facts, session: str, position: int) -> Dict[str, Any]:
    """The fact that scheduled a job"""
    job = facts.read(keys.fact_key(session, position))
    if job is None:
        raise StoreUnavailable(f'{keys.fact_key(session, position)}, a scheduled job, is gone')
    return job


def next_of_lane(facts: Facts, action: Action) -> Tuple[Dict[str, Any], List[Start]]:
    """What a lane goes on with, if there is anything left of it; and the job that this is of"""
    following = action['following']
    job = following.get('job') or scheduled_job(facts, action['session'], action['position'])
    chunks = following['chunks'] if 'chunks' in following else Lanes(job).after(following['call'])
    return job, [start_of(job, chunks)] if chunks else []


def job_of(facts: Facts, session: str, position: int, call: keys.Call) -> Dict[str, Any]:
    """
    The fact that scheduled the job of a call. A nested job has none, but that of the call
    that made it
    """
    job = scheduled_job(facts, session, position)
    return job if job['job'] == call.job else {**job, 'job': call.job, 'retry': NO_RETRIES, 'lanes': 0}


def field_of(job: Any) -> Optional[Dict[str, Any]]:
    """
    The ``triggerflow`` field of a Lithops job, None for a job of no run. A job of an
    executor inside a call has none, and finds its run in the configuration
    """
    field = getattr(job, FIELD, None)
    if not isinstance(field, dict):
        run = (job.config.get(FIELD) or {}).get('run')
        field = run and {**run, 'subject': NESTED, 'attempt': 0, 'retry': NO_RETRIES, 'number': 0, 'position': -1}
    executor_id = str(job.executor_id)
    if not field or (executor_id != field['session'] and not executor_id.startswith(field['session'] + '-')):
        return None
    if field['subject'] == NESTED:
        field['job'] = f'{executor_id[len(field["session"]) + 1 :]}-{job.job_id}'
    return field


def start_activation(config: Dict[str, Any], run: Dict[str, Any], number: int, cause: str, due: float = 0.0) -> None:
    """
    Invokes activation ``number`` of a run.

    :param config: Lithops' configuration, as whoever invokes was given it
    :param cause: why, for people to read
    :param due: seconds since the epoch before which it does not start
    """
    payload = own_payload(config, run, ACTIVATION, number, cause, due)
    if number and not due and backend_of(config) == 'openwhisk' and _is_fired(config, run, payload):
        return
    _invoke(config, payload, [{name: payload[name] for name in ('call_ids', 'data_byte_strs')}], due)


def backend_of(config: Dict[str, Any]) -> str:
    """Where wake-ups come from, as the ``triggerflow`` section says: 'storage', 'service' or 'openwhisk'"""
    return config[FIELD].get('backend', 'storage')


def rule_of(config: Dict[str, Any], run: Dict[str, Any]) -> Rule:
    """The trigger and the rule of OpenWhisk's own that wake a run"""
    handler = handler_of(config)
    if handler.backend_name == 'ibm_cf':
        handler.backend._get_or_create_namespace()
    return Rule(handler.backend, f'triggerflow-{run["session"]}')


def _is_fired(config: Dict[str, Any], run: Dict[str, Any], payload: Dict[str, Any]) -> bool:
    """Whether a trigger of OpenWhisk's own has taken an invocation"""
    try:
        return rule_of(config, run).fire(payload)
    except Exception as error:
        logger.debug(f'Run {run["run_id"]} - its trigger was not fired, so it is woken without: {error}')
        return False


def own_payload(config: Dict[str, Any], run: Dict[str, Any], subject: str, number: int, cause: str, due: float) -> Dict[str, Any]:
    """
    The payload of what runs the orchestrator's own function.

    :param subject: ``ACTIVATION`` or ``SWEEP``
    :param number: among those of its subject
    """
    orchestrator = run['orchestrator']
    data = {'subject': subject, 'number': number, 'cause': cause, 'due': due}
    return {
        **_payload(
            config,
            {**run, 'subject': subject, 'number': number, 'due': due},
            executor_id=run['session'],
            job_id={ACTIVATION: 'O000', SWEEP: 'S000'}[subject],
            func_key=orchestrator['code_key'],
            func_name=orchestrator['function_name'],
            total_calls=1,
            extra_env={},
            chunksize=1,
            **{name: orchestrator[name] for name in ('execution_timeout', 'log_level', 'runtime_name', 'runtime_memory')},
        ),
        'call_ids': [keys.call_id(number)],
        'data_byte_strs': [str(pickle.dumps(data))],
    }


def start_calls(
    config: Dict[str, Any], run: Dict[str, Any], number: int, position: int, job: Dict[str, Any], indices: Iterable[int]
) -> None:
    """
    Invokes calls of a scheduled job, as many as there are lanes. The others follow.

    :param number: of the activation that invokes them
    :param position: where the job was scheduled
    :param job: the fact that scheduled it
    :param indices: of the calls: all that are not deferred and have not ended
    """
    _start_lanes(config, run, number, position, job, Lanes(job).open(indices))


def _start_lanes(
    config: Dict[str, Any],
    run: Dict[str, Any],
    number: int,
    position: int,
    job: Dict[str, Any],
    starts: Iterable[Start],
    patience: Optional[float] = None,
) -> None:
    chunks = [{**_chunk(job['invocation'], start.numbers), FOLLOWING: _handed_on(config, start.following)} for start in starts]
    if chunks:
        _invoke(config, call_payload(config, run, number, position, job), chunks, patience=patience)


def _handed_on(config: Dict[str, Any], following: Optional[LaneRest]) -> Optional[LaneRest]:
    """What is left of a lane, if it is not too much to travel in a payload; else it is looked up"""
    limit = MAX_PAYLOAD.get(config['lithops']['backend'])
    return following if not limit or not following or len(json.dumps(following)) < SHARE * limit else LOOK_UP


def call_payload(
    config: Dict[str, Any],
    run: Dict[str, Any],
    number: int,
    position: int,
    job: Dict[str, Any],
    attempt: Optional[Dict[str, Any]] = None,
) -> Dict[str, Any]:
    """The payload of any call of a scheduled job, but for what differs between chunks"""
    executor, _, job_id = job['job'].rpartition('-')
    field = {
        **run,
        'retry': job['retry'],
        'subject': 'call',
        'job': job['job'],
        'number': number,
        'position': position,
        'attempt': attempt['attempt'] if attempt else 0,
        # MB of its first attempt
        'memory': job['runtime_memory'],
        FOLLOWING: LOOK_UP if job['lanes'] else None,
    }
    return _payload(
        config,
        field,
        executor_id=f'{run["session"]}-{executor}',
        job_id=job_id,
        total_calls=job['calls'],
        extra_env=job['invocation']['extra_env'],
        log_level=run['orchestrator']['log_level'],
        **{
            **{name: job[name] for name in _OF_A_JOB},
            **({'runtime_memory': attempt['runtime_memory']} if attempt else {}),
        },
    )


_OF_A_JOB = ('func_key', 'func_name', 'chunksize', 'execution_timeout', 'runtime_name', 'runtime_memory')


def _payload(config: Dict[str, Any], field: Dict[str, Any], **of_the_job: Any) -> Dict[str, Any]:
    """As Lithops' invokers make it, but for what differs between chunks"""
    return {
        'config': {**config, FIELD: {**config[FIELD], 'run': run_of(field)}},
        'data_key': None,
        'data_byte_ranges': None,
        'monitoring_queues': [],
        'job_key': create_job_key(of_the_job['executor_id'], of_the_job['job_id']),
        'max_workers': config[config['lithops']['backend']].get('max_workers'),
        'call_ids': None,
        'host_submit_tstamp': time.time(),
        'lithops_version': __version__,
        'worker_processes': 1,
        **of_the_job,
        FIELD: field,
    }


def chunks_of(job: Dict[str, Any], indices: Iterable[int]) -> List[Dict[str, Any]]:
    """
    What differs between the payloads of the chunks of some calls

    :param job: the fact that scheduled it
    """
    return [_chunk(job['invocation'], chunk) for chunk in neighbours(indices, job['chunksize'])]


def _chunk(invocation: Dict[str, Any], indices: Sequence[int]) -> Dict[str, Any]:
    chunk: Dict[str, Any] = {'call_ids': [keys.call_id(index) for index in indices]}
    if invocation['data_key']:
        chunk['data_key'] = invocation['data_key']
        chunk['data_byte_ranges'] = [data_of(invocation['data_byte_ranges'], index) for index in indices]
    else:
        # In the form in which Lithops' own payloads come through JSON
        chunk['data_byte_strs'] = [str(base64.b64decode(data_of(invocation['data'], index))) for index in indices]
    return chunk


def _invoke(
    config: Dict[str, Any],
    payload: Dict[str, Any],
    chunks: List[Dict[str, Any]],
    due: float = 0.0,
    patience: Optional[float] = None,
) -> None:
    payload[FIELD]['due'] = due
    if is_local(config):
        # Its lanes are as many as its calls
        LocalService(config[FIELD]['service']).submit(payload, chunks, due)
        return
    payloads = []
    for chunk in chunks:
        following = chunk.pop(FOLLOWING, payload[FIELD].get(FOLLOWING))
        payloads.append({**payload, **chunk, FIELD: {**payload[FIELD], FOLLOWING: following}})
    submit(config, payloads, patience)
