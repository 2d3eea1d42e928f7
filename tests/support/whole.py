"""Documents of a run as they are stored, with all that belongs to them: for tests that write some themselves."""

from triggerflow_lithops.core.run.attempts import DEFAULT
from triggerflow_lithops.replay.history import History

HISTORY = {**History().carried(), 'outputs': [], 'waiting': []}
INVOCATION = {'inputs': None, 'extra_env': {}, 'data_key': None, 'data_byte_ranges': None}
ORCHESTRATOR = {
    'function': 'tests.main',
    'function_name': 'main',
    'execution_timeout': 600,
    'log_level': 'INFO',
    'runtime_name': 'python',
    'runtime_memory': None,
    'max_deaths': 3,
    'sweep_seconds': None,
    'lanes': 0,
    'max_pending_calls': 1000,
}


def run(run_id, incarnation, code_key, **more):
    """That there is a run."""
    orchestrator = {**ORCHESTRATOR, 'code_key': code_key}
    found = {'version': 1, 'run_id': run_id, 'incarnation': incarnation, 'name': 'main', 'orchestrator': orchestrator}
    return {**found, 'retry': DEFAULT, 'time': 0.0, **more}


def trigger(of, time=0.0, **history):
    """What an activation waits for, and the history that it carries."""
    return {**of.document(), 'time': time, 'history': {**HISTORY, **history}}


def job(name='0-M000', calls=3, activation=0, lifetime=50, lanes=0, retry=DEFAULT, inputs=None, **more):
    """The fact that scheduled a job."""
    return {
        'job': name,
        'fingerprint': ['map', 'tests.function', calls, '00000000'],
        'activation': activation,
        'time': 0.0,
        'calls': calls,
        'func_key': 'triggerflow.jobs/s-0/0.func.pickle',
        'func_name': 'function',
        'chunksize': 1,
        'lanes': lanes,
        'execution_timeout': 40,
        'lifetime': lifetime,
        'retry': retry,
        'runtime_name': 'python',
        'runtime_memory': None,
        'metadata': {},
        'parts_per_object': None,
        'invocation': {**INVOCATION, 'inputs': inputs, 'data': ['gAROLg=='] * calls},
        **more,
    }


def event(call, exception=False, ended=0.0, **more):
    """How a call ended."""
    executor, _, job_id = call.job.rpartition('-')
    found = {'type': '__end__', 'executor_id': f's-{executor}', 'job_id': job_id, 'call_id': call.call_id, 'activation_id': 'abc'}
    failed = {'exc_info': "b'\\x80\\x04N.'"} if exception else {}
    return {**found, 'exception': exception, 'worker_start_tstamp': 0.0, 'worker_end_tstamp': ended, **failed, **more}
