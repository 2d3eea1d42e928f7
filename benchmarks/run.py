"""
What a run costs: ``python benchmarks/run.py sequence|fanout|requests|alive|replay``.

Each prints one JSON object. Times are of this machine, and compared only side by
side; requests and processes are counted. Everything happens in a home and a
temporary folder of its own, which are gone afterwards.
"""

import argparse
import contextlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
CONFIG = {
    'lithops': {'backend': 'localhost', 'storage': 'localhost'},
    'localhost': {'worker_processes': os.cpu_count()},
    'triggerflow': {'idle_seconds': 2},
}


@contextlib.contextmanager
def home_of_its_own():
    """Set before Lithops is imported, for that is when it fixes its folders."""
    folder = tempfile.mkdtemp(prefix='triggerflow-benchmark-')
    for name in ('HOME', 'TMPDIR'):
        os.makedirs(path := os.path.join(folder, name.lower()))
        os.environ[name] = path
    tempfile.tempdir = None
    try:
        yield folder
    finally:
        # The service ends by itself when its folder is gone
        for _ in range(50):
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.exists(folder):
                break
            time.sleep(0.1)


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
    from triggerflow_lithops.triggers.keys import outcome_key

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
    run_orchestrator(orchestrator, **{**orchestrated, 'calls': 1})
    figures = {'calls': args.calls, 'seconds': run_orchestrator(orchestrator, **orchestrated)[1]}
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


def requests(args):
    log = os.path.join(os.environ['TMPDIR'], 'requests')
    os.environ['TRIGGERFLOW_COUNT'] = log
    os.environ['PYTHONPATH'] = str(HERE / 'counting')
    sys.path.insert(0, str(HERE / 'counting'))
    importlib.reload(importlib.import_module('sitecustomize'))

    def counted(work):
        work()
        time.sleep(0.5)  # the last reporter may still be at it
        lines = Path(log).read_text().splitlines()
        os.unlink(log)
        return Counter(tuple(line.split(' ')[:2]) for line in lines)

    def per_call(work, few, many, *roles):
        counted(lambda: work(few))  # what is requested once, and then cached
        less, more = counted(lambda: work(few)), counted(lambda: work(many))
        kinds = {
            f'{role} {kind}': (more[role, kind] - less[role, kind]) / (many - few)
            for role, kind in sorted(more)
            if role in roles and more[role, kind] != less[role, kind]
        }
        return round(sum(kinds.values()), 3), {name: round(count, 3) for name, count in kinds.items()}

    def bare_work(work):
        def of(calls):
            _, reason = bare(work, 1, calls, 120)
            if reason:
                raise RuntimeError(reason)

        return of

    figures, details = {}, {}
    few, many = 2, 2 + args.calls
    for name, work, low, high, roles in (
        ('per_sequential_call', lambda n: run_orchestrator(in_sequence, calls=n, function='no_op', argument=0), few, many,
         ('activation', 'call')),
        ('per_map_call', lambda n: run_orchestrator(side_by_side, calls=n), args.width // 10, args.width, ('call',)),
        ('bare_per_sequential_call', bare_work('sequence'), few, many, ('client', 'bare-worker')),
        ('bare_per_map_call', bare_work('fanout'), args.width // 10, args.width, ('bare-worker',)),
    ):
        figures[name], details[name] = per_call(work, low, high, *roles)
    return {**figures, 'details': details}


def alive(args):
    from triggerflow_lithops.config import service_folder
    from triggerflow_lithops.localhost.service import processes_log

    run, seconds = run_orchestrator(in_sequence, calls=args.calls, function='nap', argument=args.seconds)
    time.sleep(0.5)
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
    from replaying import measured

    short, _ = measured(CONFIG, 100)
    count, seconds = measured(CONFIG, args.jobs)
    return {'jobs': args.jobs, 'requests': count, 'seconds': seconds, 'requests_at_100_jobs': short}


def parsed(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest='command', required=True)
    for command, calls in ((sequence, 20), (fanout, 100)):
        options = commands.add_parser(command.__name__)
        options.add_argument('--calls', type=int, default=calls)
        options.add_argument('--skip-bare', action='store_true', help='leave bare Lithops out')
    options = commands.add_parser('requests')
    options.add_argument('--calls', type=int, default=10, help='of the sequence')
    options.add_argument('--width', type=int, default=110, help='of the map')
    options = commands.add_parser('alive')
    options.add_argument('--calls', type=int, default=10)
    options.add_argument('--seconds', type=float, default=2.0, help='of each call')
    options = commands.add_parser('replay')
    options.add_argument('--jobs', type=int, default=10_000)
    return parser.parse_args(argv)


if __name__ == '__main__':
    arguments = parsed(sys.argv[1:])
    with home_of_its_own():
        figures = globals()[arguments.command](arguments)
    print(json.dumps(figures))
