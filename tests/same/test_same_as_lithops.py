"""Each body runs twice, as a plain Lithops driver and as an orchestrator, and comes to the same."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from bodies import BODIES
from plain import outcome_of

HERE = Path(__file__).parent


@pytest.fixture(scope='session')
def plain(tmp_path_factory):
    """What each body comes to as a plain driver."""
    folder = tmp_path_factory.mktemp('plain')
    # The first version of Lithops' localhost backend: the second one hangs now and then
    config = {'lithops': {'backend': 'localhost', 'storage': 'localhost'}, 'localhost': {'version': 1, 'runtime': sys.executable}}
    environment = {**os.environ, 'LITHOPS_CONFIG': json.dumps(config), 'TMPDIR': str(folder)}
    command = [sys.executable, str(HERE / 'plain.py'), str(folder / 'outcomes'), *BODIES]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400, cwd=folder)
    assert ran.returncode == 0, ran.stderr
    outcomes = {}
    with open(folder / 'outcomes', 'rb') as file:
        while len(outcomes) < len(BODIES):
            name, outcome = pickle.load(file)
            outcomes[name] = outcome
    return outcomes


@pytest.mark.parametrize('name', BODIES)
def test_an_orchestrator_comes_to_what_a_plain_driver_comes_to(executor, plain, name):
    run = executor.run(BODIES[name])
    outcome = outcome_of(lambda: run.result(timeout=60))
    assert outcome == plain[name]
