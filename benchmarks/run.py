"""
What a run costs: ``python benchmarks/run.py sequence|fanout|requests|alive|replay|events``.

Each prints one JSON object. Times are of this machine, and compared only side by
side; requests and processes are counted. Everything happens in a home and a
temporary folder of its own, which are gone afterwards.
"""

import argparse
import contextlib
import importlib
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from home import home_of_its_own, settle

HERE = Path(__file__).parent
CONFIG = {
    'lithops': {'backend': 'localhost', 'storage': 'localhost'},
    'localhost': {'worker_processes': os.cpu_count()},
    'triggerflow': {'idle_seconds': 2},
}
#: Of our own runs, up to so many are timed, in about so many seconds, and the median counts
REPEATS, CHEAP = 3, 15.0


def no_op(x):
    return x


def nap(seconds):
    time.sleep(seconds)


def in_sequence(args):
    import lithops

    function, argument = {'no_op': no_op, 'nap': nap}[args['function']], args['argument']
    fexec = lithops.FunctionExecutor()
    for _ in range(args['calls']):
        fexec.call_async(function, argument)
        fexec.get_result()


def side_by_side(args):
    import lithops

    fexec = lithops.FunctionExecutor()
    fexec.get_result(fexec.map(no_op, range(args['calls'])))


def run_orchestrator(orchestrator, **args):
    """A run to its end: the run, and its seconds from start to outcome."""
    from triggerflow_lithops import TriggerflowExecutor
    from triggerflow_lithops.core.run.keys import outcome_key

    tf = TriggerflowExecutor(config=CONFIG, log_level=None)
    run = tf.run(orchestrator, args)
    run.result(timeout=3600)
    return run, json.loads(tf.store.get(outcome_key(run.session)))['time'] - run.document['time']


def bare(work, version, calls, timeout):
    """Seconds of bare Lithops, or None and the reason."""
    command = [sys.executable, str(HERE / 'bare.py'), work, str(version), str(calls)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        said, complained = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return None, f'hung: {calls} calls of bare Lithops (version {version}) were not done in {timeout} s'
    if process.returncode or not said.strip():
        return None, f'failed: {complained.strip().splitlines()[-1:]}'
    return float(said.split()[-1]), None


def against_bare(work, orchestrator, args, **orchestrated):
    # Starts the service
    run_orchestrator(orchestrator, **{**orchestrated, 'calls': 1})
    times = []
    while len(times) < REPEATS and sum(times) < CHEAP:
        times.append(run_orchestrator(orchestrator, **orchestrated)[1])
    figures = {'calls': args.calls, 'seconds': statistics.median(times), 'repeats': len(times)}
    for version in (1, 2):
        seconds, reason = (None, 'left out') if args.skip_bare else bare(work, version, args.calls, max(120, args.calls * 1.5))
        figures[f'seconds_v{version}'] = seconds
        figures[f'ratio_v{version}'] = seconds and figures['seconds'] / seconds
        if reason:
            figures[f'reason_v{version}'] = reason
    return figures


def sequence(args):
    return against_bare('sequence', in_sequence, args, calls=args.calls, function='no_op', argument=0)


def fanout(args):
    return against_bare('fanout', side_by_side, args, calls=args.calls)


class Hung(RuntimeError):
    """Bare Lithops has not come to an end."""


def start_counting():
    """
    From here on, every process counts its requests. Before Lithops is imported.

    :return: does some work, and gives its requests, a Counter of (role, kind), and the keys that listings
        showed, a Counter of roles
    """
    log = os.path.join(os.environ['TMPDIR'], 'requests')
    os.environ['TRIGGERFLOW_COUNT'] = log
    os.environ['PYTHONPATH'] = str(HERE / 'counting')
    sys.path.insert(0, str(HERE / 'counting'))
    importlib.reload(importlib.import_module('sitecustomize'))

    def counted(work, tries=3):
        Path(log).unlink(missing_ok=True)
        try:
            work()
        except Hung:
            if tries == 1:
                raise
            return counted(work, tries - 1)
        settle()
        found, listed = Counter(), Counter()
        for role, kind, _, shown in (line.split(' ') for line in Path(log).read_text().splitlines()):
            found[role, kind] += 1
            listed[role] += int(shown)
        # Lithops' cleaner deletes when it likes, for minutes: of which job cannot be told
        return Counter({kind: count for kind, count in found.items() if kind[0] != 'cleaner'}), listed

    return counted


@contextlib.contextmanager
def on_s3(folder):
    """Runs are stored on a real S3 server meanwhile. Gives what tells how many requests it has answered."""
    sys.path.insert(0, str(HERE.parent / 'tests' / 'support'))
    import requests as http
    import servers

    (port,) = servers.free_ports(1)

    def answered():
        lines = http.get(f'http://127.0.0.1:{port}/metrics', timeout=10).text.splitlines()
        return sum(float(line.rpartition(' ')[2]) for line in lines if line.startswith('SeaweedFS_s3_request_total{'))

    with servers.seaweedfs(Path(folder) / 'seaweedfs', f'-metricsPort={port}', '-metricsIp=127.0.0.1') as endpoint:
        keys = {'access_key_id': servers.ACCESS_KEY, 'secret_access_key': servers.SECRET_KEY}
        CONFIG['minio'] = {'endpoint': endpoint, 'storage_bucket': 'benchmark', **keys}
        CONFIG['lithops']['storage'] = 'minio'
        yield answered


def requests_on_s3(args):
    """As ``requests``, without bare Lithops: what every process of a run asks, and what the server has answered."""
    counted = start_counting()
    figures = {}
    with on_s3(os.environ['TMPDIR']) as answered:
        for name, orchestrator, few, more, roles in (
            ('per_sequential_call', in_sequence, 2, args.calls, ('activation', 'call')),
            ('per_map_call', side_by_side, 10, args.width, ('call',)),
        ):

            def work(calls, orchestrator=orchestrator):
                run_orchestrator(orchestrator, calls=calls, function='no_op', argument=0)

            counted(lambda: work(few))  # noqa: B023 what is requested once, and then cached
            told, found = [], []
            for calls in (few, few + more):
                before = answered()
                found.append(counted(lambda: work(calls))[0])  # noqa: B023
                told.append((answered() - before, found[-1].total()))
            found[1].subtract(found[0])
            figures[name] = round(sum(count for (role, _), count in found[1].items() if role in roles) / more, 3)
            figures[f'{name}_of_a_kind'] = {
                ' '.join(kind): round(count / more, 3) for kind, count in sorted(found[1].items()) if count
            }
            figures[f'{name}_server_and_ours'] = told
    return figures


def requests(args):
    if args.storage == 's3':
        return requests_on_s3(args)
    counted = start_counting()

    def run_sequence(calls):
        run_orchestrator(in_sequence, calls=calls, function='no_op', argument=0)

    def run_map(calls):
        run_orchestrator(side_by_side, calls=calls)

    def bare_of(work):
        def run(calls):
            # Version 1: the other one hangs more often
            _, reason = bare(work, 1, calls, 60)
            if reason:
                raise Hung(reason)

        return run

    figures, details = {}, {}
    # Of a client, what is counted depends on how long it polls: a bare driver's is its work
    for name, work, few, more, roles in (
        ('per_sequential_call', run_sequence, 2, args.calls, ('activation', 'call')),
        ('per_map_call', run_map, 10, args.width, ('call',)),
        ('bare_per_sequential_call', bare_of('sequence'), 2, args.calls, ('client', 'bare-worker')),
        ('bare_per_map_call', bare_of('fanout'), 10, args.width, ('bare-worker',)),
    ):
        counted(lambda: work(few))  # noqa: B023 what is requested once, and then cached
        (less, less_listed), (all_of_it, listed) = (counted(lambda n=n: work(n)) for n in (few, few + more))  # noqa: B023
        all_of_it.subtract(less)
        listed.subtract(less_listed)
        figures[f'{name}_listed'] = round(sum(listed[role] for role in roles) / more, 3)
        per_call = {kind: count / more for kind, count in sorted(all_of_it.items()) if count}
        figures[name] = round(sum(count for (role, _), count in per_call.items() if role in roles), 3)
        details[name] = {' '.join(kind): round(count, 3) for kind, count in per_call.items()}
    return {**figures, 'details': details}


def alive(args):
    from triggerflow_lithops.deployment.config import service_folder
    from triggerflow_lithops.local_service.service import processes_log

    # Starts the service
    run_orchestrator(in_sequence, calls=1, function='no_op', argument=0)
    run, seconds = run_orchestrator(in_sequence, calls=args.calls, function='nap', argument=args.seconds)
    settle()
    lines = map(json.loads, Path(processes_log(service_folder())).read_text().splitlines())
    lives = [
        line['ended'] - line['started'] for line in lines if line['session'] == run.session and line['subject'] == 'activation'
    ]
    return {
        'calls': args.calls,
        'activations': len(lives),
        'seconds_alive': sum(lives),
        'seconds': seconds,
        'share': sum(lives) / seconds,
    }


def replay(args):
    counted = start_counting()
    from replaying import measured

    short, _ = measured(CONFIG, 100, counted)
    count, seconds = measured(CONFIG, args.jobs, counted)
    return {'jobs': args.jobs, 'requests': count, 'seconds': seconds, 'requests_at_100_jobs': short}


def events(args):
    from publishing import joined, store_of, until_started

    local_each = args.each if args.local_each is None else args.local_each
    return {
        'join': {
            storage: joined(store_of(storage, CONFIG), args.subjects, each)
            for storage, each in (('memory', args.each), ('localhost', local_each))
        },
        'starts': args.starts,
        'seconds_to_start': until_started(CONFIG, args.starts, os.environ['TMPDIR']),
    }


def parsed(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    for command, calls in ((sequence, 20), (fanout, 100)):
        options = commands.add_parser(command.__name__)
        options.add_argument('--calls', type=int, default=calls)
        options.add_argument('--skip-bare', action='store_true', help='leave bare Lithops out')
    options = commands.add_parser('requests')
    options.add_argument('--calls', type=int, default=10, help='so many more of a sequence')
    options.add_argument('--width', type=int, default=100, help='so many more of a map')
    options.add_argument('--storage', choices=('localhost', 's3'), default='localhost', help='s3: counted by the server, too')
    options = commands.add_parser('alive')
    options.add_argument('--calls', type=int, default=10)
    options.add_argument('--seconds', type=float, default=2.0, help='of each call')
    options = commands.add_parser('replay')
    options.add_argument('--jobs', type=int, default=10_000)
    options = commands.add_parser('events')
    options.add_argument('--subjects', type=int, default=200, help='of the events of a join')
    options.add_argument('--each', type=int, default=100, help='so many events of each subject')
    options.add_argument('--local-each', type=int, help='so many on localhost (20,000 events take minutes); as many unless given')
    options.add_argument('--starts', type=int, default=50, help='of actions, of each kind')
    return parser.parse_args(argv)


if __name__ == '__main__':
    arguments = parsed(sys.argv[1:])
    with home_of_its_own():
        figures = globals()[arguments.command](arguments)
    print(json.dumps(figures))
