"""What an orchestrator prints, logs and has others print is there once, however it is written."""

import contextlib
import io
import logging
import os
import random
import subprocess
import sys
import time
import warnings

import lithops
from lithops.constants import LOGS_DIR

from triggerflow_lithops.orchestrator.muting import Muted


def slowly(x):
    # So long that the activation is suspended meanwhile
    time.sleep(0.7)
    return x


def log_of(run):
    """Lines that the activations of a run have written, in order, once the last one is there."""
    path, until = os.path.join(LOGS_DIR, f'{run.session}-O000.log'), time.monotonic() + 60
    while time.monotonic() < until:
        with open(path) as log:
            lines = [line.strip() for line in log]
        if 'LAST' in lines:
            return lines
        time.sleep(0.05)
    raise AssertionError(f'{path} has no last line')


def test_every_line_is_there_once_however_it_is_written(executor):
    def main():
        out, fexec = sys.stdout, lithops.FunctionExecutor()
        log = logging.getLogger('of the orchestrator')
        log.setLevel('INFO')
        log.propagate = False
        log.handlers[:] = [logging.StreamHandler(sys.stdout)]
        for step in range(3):
            print(f'PRINT {step}')
            out.write(f'OUT {step}\n')
            print(f'ERR {step}', file=sys.stderr)
            log.info('LOG %d', step)
            os.write(1, f'WRITE {step}\n'.encode())
            subprocess.run(['echo', f'PROGRAM {step}'], check=True)
            warnings.warn(f'WARNED {step}', stacklevel=1)
            fexec.call_async(slowly, step).result()
        print('LAST')

    run = executor.run(main)
    run.result(timeout=120)
    lines = log_of(run)
    for step in range(3):
        told = [line for line in lines if line.endswith(f' {step}')]
        for word in ('PRINT', 'OUT', 'ERR', 'LOG', 'WRITE', 'PROGRAM'):
            assert told.count(f'{word} {step}') == 1, f'{word} {step}: {told}'
        assert sum(f'WARNED {step}' in line for line in lines if 'warnings.warn' not in line) == 1
    assert lines.index('PRINT 1') > lines.index('PROGRAM 0')


def test_what_is_caught_around_a_wait_is_whole(executor):
    def main():
        fexec, caught = lithops.FunctionExecutor(), io.StringIO()
        with contextlib.redirect_stdout(caught):
            print('before')
            fexec.call_async(slowly, 1).result()
            print('after')
        print('OUTSIDE')
        logging.disable(logging.ERROR)
        fexec.call_async(slowly, 1).result()
        disabled = logging.root.manager.disable
        print('LAST')
        return caught.getvalue(), disabled

    run = executor.run(main)
    assert run.result(timeout=120) == ('before\nafter\n', logging.ERROR)
    assert log_of(run).count('OUTSIDE') == 1


def test_standard_output_is_a_whole_stream(executor):
    def main():
        fexec = lithops.FunctionExecutor()
        for step in range(2):
            sys.stdout.buffer.write(f'BYTES {step}\n'.encode())
            sys.stdout.writelines([f'LINES {step}\n'])
            print('held until the line ends', end='')
            fexec.call_async(slowly, step).result()
            print()
        print('LAST')
        return sys.stdout.encoding, sys.stdout.isatty(), sys.stderr.fileno() > 0

    run = executor.run(main)
    assert run.result(timeout=120) == ('utf-8', False, True)
    lines = log_of(run)
    assert [lines.count(f'{word} {step}') for word in ('BYTES', 'LINES') for step in range(2)] == [1] * 4


def test_a_log_file_has_each_line_once(executor, tmp_path):
    def main(folder):
        log = logging.getLogger('to files')
        log.setLevel('INFO')
        kept, anew = (logging.FileHandler(os.path.join(folder, name), mode) for name, mode in (('kept', 'a'), ('anew', 'w')))
        log.handlers[:] = [kept, anew]
        fexec = lithops.FunctionExecutor()
        for step in range(2):
            log.info('line %d', step)
            fexec.call_async(slowly, step).result()
        log.info('the last line')

    executor.run(main, str(tmp_path)).result(timeout=120)
    for name in ('kept', 'anew'):
        assert (tmp_path / name).read_text().splitlines() == ['line 0', 'line 1', 'the last line']


def test_the_users_seed_and_the_state_of_random_are_the_users(run):
    def main():
        random.seed(42)
        drawn = [random.randint(0, 10**6)]
        fexec = lithops.FunctionExecutor()
        for _ in range(2):
            fexec.call_async(slowly, 1).result()
            drawn.append(random.randint(0, 10**6))
        return drawn

    expected = random.Random(42)
    assert run(main) == [expected.randint(0, 10**6) for _ in range(3)]


def test_random_numbers_without_a_seed_differ_between_runs_and_are_the_same_on_a_replay(run):
    def main():
        first = random.random()
        fexec = lithops.FunctionExecutor()
        return fexec.call_async(slowly, first).result() == first, first, random.random()

    one, other = run(main), run(main)
    assert one[0] and other[0] and one[1:] != other[1:]


# The mechanism, in a process of its own

SCRIPT = """
import os, subprocess, sys
from triggerflow_lithops.orchestrator.muting import Muted
kept = sys.stdout
muted = Muted()
print('muted', end='')
kept.write('muted, not flushed')
os.system('echo muted')
muted.end()
print('heard')
os.system('echo heard')
"""


def test_what_a_stream_still_holds_when_the_replay_is_over_is_not_heard():
    done = subprocess.run([sys.executable, '-c', SCRIPT], capture_output=True, text=True, check=True)
    assert sorted(done.stdout.split()) == ['heard', 'heard']


def test_no_stream_and_no_handler_is_exchanged():
    before = sys.stdout, sys.stderr, logging.root.manager.disable
    muted = Muted()
    try:
        assert (sys.stdout, sys.stderr, logging.root.manager.disable) == before
    finally:
        muted.end()
    assert vars(logging.FileHandler)['emit'].__module__ == 'logging'
