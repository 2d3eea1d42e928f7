"""The benchmarks, small: they run, and the counts are what the design allows."""

import json
import subprocess
import sys
from pathlib import Path

RUN = Path(__file__).parent.parent / 'benchmarks' / 'run.py'


def figures(*arguments):
    done = subprocess.run([sys.executable, str(RUN), *arguments], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_sequence_is_timed():
    assert figures('sequence', '--calls', '2', '--skip-bare')['seconds'] > 0


def test_a_fan_out_is_timed():
    found = figures('fanout', '--calls', '3', '--skip-bare')
    assert found['seconds'] > 0 and found['ratio_v2'] is None and found['reason_v2'] == 'left out'


def test_a_call_costs_the_requests_that_the_design_allows():
    found = figures('requests', '--calls', '5', '--width', '40')
    assert found['per_sequential_call'] <= 16
    assert found['per_map_call'] <= found['bare_per_map_call'] + 2


def test_an_orchestrator_is_hardly_alive_while_its_calls_sleep():
    found = figures('alive', '--calls', '2', '--seconds', '2')
    assert found['activations'] == 3 and found['share'] < 0.06


def test_a_replay_costs_the_same_requests_however_long_the_history():
    found = figures('replay', '--jobs', '400')
    assert found['requests'] == found['requests_at_100_jobs'] == 6
