"""
How long, and how many requests, a replay of a long history takes.

The history is made by the real code, in one process: what starts a call is
replaced by something that publishes its event at once, so each wait is over at
once, and one process lives through all activations but the last.
"""

import json
import multiprocessing
import os
import pickle
import time

import cloudpickle
import lithops
import sitecustomize
from lithops.worker.utils import get_runtime_metadata

from triggerflow_lithops import TriggerflowExecutor
from triggerflow_lithops.core.run.attempts import DEFAULT, Execution
from triggerflow_lithops.core.run.engine import Engine
from triggerflow_lithops.core.run.keys import Call, code_key, event_key, run_key, session_of
from triggerflow_lithops.core.run.sweep import unknown
from triggerflow_lithops.core.store import Facts, encode
from triggerflow_lithops.orchestrator import activation

FORK = multiprocessing.get_context('fork')


def no_op(x):
    return x


def orchestrator(jobs):
    fexec = lithops.FunctionExecutor()
    for number in range(jobs):
        fexec.call_async(no_op, number)
        fexec.get_result()
    return jobs


def measured(config, jobs, counted):
    """
    Requests and seconds of the activation that replays ``jobs`` jobs.

    :param counted: does some work, and returns a Counter of (role, kind)
    """
    tf = TriggerflowExecutor(config=config, log_level=None)
    run_id, incarnation = f'replay-{jobs}', '0'
    session = session_of(run_id, incarnation)
    run = {
        'version': 1,
        'run_id': run_id,
        'session': session,
        'orchestrator': {
            'function': 'replaying.orchestrator',
            'function_name': 'orchestrator',
            'code_key': code_key(session),
            'execution_timeout': 3600,
            'log_level': 'warning',
            'runtime_name': tf.config['localhost']['runtime'],
            'runtime_memory': None,
            'max_deaths': 3,
            'max_pending_calls': 200_000,
            'sweep_seconds': None,
            'lanes': 0,
        },
        'retry': DEFAULT,
    }
    document = {'incarnation': incarnation, 'name': 'orchestrator', 'time': time.time(), 'retry': DEFAULT}
    told = {name: run[name] for name in ('version', 'run_id', 'orchestrator')}
    tf.store.put_new(run_key(run_id), encode({**told, **document}))
    orchestrated = activation.Orchestrator(cloudpickle.dumps((orchestrator, jobs)), get_runtime_metadata()), run
    os.environ['LITHOPS_CONFIG'] = json.dumps(tf.config)
    os.environ['LITHOPS_WORKER'] = 'True'
    try:
        _in_a_process(_make_history, tf.store, orchestrated, jobs)
        last = Call(f'0-A{jobs - 1:03d}', 0)
        tf.store.put_new(event_key(session, last), _status(session, last))
        number = Engine(Facts(tf.store), lambda action: None).newest_activation(session)
        replayed = []
        requests, _ = counted(lambda: replayed.extend(_in_a_process(_replay, tf.store, orchestrated, number + 1)))
    finally:
        del os.environ['LITHOPS_CONFIG'], os.environ['LITHOPS_WORKER']
    seconds, left = replayed
    if left != f'Returned(value={jobs})':
        raise RuntimeError(f'The replay of {jobs} jobs ended with {left}.')
    return sum(count for (role, _), count in requests.items() if role == 'activation'), seconds


def _in_a_process(function, *arguments):
    """The seams are hooked for a whole process: one for each activation."""
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=lambda: theirs.send(function(*arguments)))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    finally:
        process.join()


def _make_history(store, orchestrated, jobs):
    session = orchestrated[1]['session']
    engine = Engine(Facts(store), lambda action: None)

    def publish_at_once(config, run, number, position, fact, indices):
        for index in indices:
            call = Call(fact['job'], index)
            if call.job != f'0-A{jobs - 1:03d}':
                execution = Execution(session, call, position, number)
                engine.publish(execution, _status(session, call), failed=False, now=time.time())

    return repr(_live(store, orchestrated, 0, publish_at_once))


def _replay(store, orchestrated, number):
    sitecustomize.role = 'activation'
    started = time.monotonic()
    left = _live(store, orchestrated, number, None)
    return time.monotonic() - started, repr(left)


def _live(store, orchestrated, number, start_calls):
    config = json.loads(os.environ['LITHOPS_CONFIG'])
    engine = Engine(Facts(store), lambda action: None)
    lived = activation.Activation(*orchestrated, config, engine, activation.ThreadRunner(), start_calls, unknown)
    return lived.run(number, 'measured')


def _status(session, call):
    """What Lithops' handler reports of a no-op."""
    executor_number, _, job_id = call.job.partition('-')
    now = time.time()
    result = pickle.dumps(int(job_id[1:]))
    return json.dumps(
        {
            'exception': False,
            'activation_id': 'abcdefabcdef',
            'python_version': '3.11',
            'worker_start_tstamp': now,
            'host_submit_tstamp': now,
            'call_id': call.call_id,
            'job_id': job_id,
            'executor_id': f'{session}-{executor_number}',
            'chunksize': 1,
            'worker_calls': 1,
            'worker_cold_start': True,
            'worker_func_cpu_usage': [1.0, 2.0],
            'worker_func_rss': 50_000_000,
            'worker_peak_memory_start': 50_000_000.0,
            'worker_func_start_tstamp': now,
            'worker_func_end_tstamp': now,
            'worker_func_exec_time': 0.0,
            'func_result_size': float(len(result)),
            'result': str(result),
            'worker_end_tstamp': now,
            'type': '__end__',
        }
    ).encode('ascii')
