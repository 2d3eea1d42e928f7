"""Each body runs twice, as a plain Lithops driver and as an orchestrator, and comes to the same."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bodies import BODIES
from plain import outcome_of

HERE = Path(__file__).parent

#: Plain drivers that run at the same time
PROGRAMS = 3


@pytest.fixture(scope='session')
def plain(tmp_path_factory, request):
    """What each body that was selected comes to as a plain driver."""
    names = [item.callspec.params['name'] for item in request.session.items if 'plain' in getattr(item, 'fixturenames', ())]
    # Several programs side by side, for most of the time they wait
    folders = [tmp_path_factory.mktemp('plain') for _ in range(PROGRAMS)]
    programs = [_program(folder, names[number::PROGRAMS]) for number, folder in enumerate(folders)]
    outcomes = {}
    for folder, program in zip(folders, programs, strict=True):
        outcomes |= _outcomes(program, folder)
    # A bare Lithops hangs now and then: what it owes is asked once more
    owed = [name for name in names if name not in outcomes]
    if owed:
        folder = tmp_path_factory.mktemp('again')
        outcomes |= _outcomes(_program(folder, owed), folder)
    return outcomes


def _outcomes(program, folder):
    """What a program has come to, as far as it came."""
    try:
        _, errors = program.communicate(timeout=300)
        assert program.returncode == 0, errors
    except subprocess.TimeoutExpired:
        os.killpg(program.pid, signal.SIGKILL)
        program.communicate()
    found = {}
    with open(folder / 'outcomes', 'rb') as file:
        while file.peek():
            name, outcome = pickle.load(file)
            found[name] = outcome
    return found


def _program(folder, names):
    """Starts a process that runs bodies as plain drivers."""
    # The first version of Lithops' localhost backend: the second one hangs now and then
    config = {'lithops': {'backend': 'localhost', 'storage': 'localhost'}, 'localhost': {'version': 1, 'runtime': sys.executable}}
    environment = {**os.environ, 'LITHOPS_CONFIG': json.dumps(config), 'TMPDIR': str(folder)}
    (folder / 'outcomes').touch()
    command = [sys.executable, str(HERE / 'plain.py'), str(folder / 'outcomes'), *names]
    pipes = {'stdout': subprocess.DEVNULL, 'stderr': subprocess.PIPE}
    return subprocess.Popen(command, env=environment, text=True, cwd=folder, start_new_session=True, **pipes)


@pytest.mark.parametrize('name', BODIES)
def test_an_orchestrator_comes_to_what_a_plain_driver_comes_to(executor, plain, name):
    run = executor.run(BODIES[name])
    outcome = outcome_of(lambda: run.result(timeout=180))
    assert outcome == plain[name]


def test_the_bodies_that_the_documentation_names_are_there():
    text = (HERE.parent.parent / 'docs' / 'explanation' / 'scenarios.md').read_text(encoding='utf-8')
    table = text.partition("## Lithops' own functional tests")[2]
    rows = [row.split('|')[2] for row in table.splitlines() if row.startswith('|')]
    # The other one is a setting of the configuration
    named = {name for row in rows for name in re.findall('`([a-z0-9_]+)`', row)} - {'worker_processes'}
    assert len(named) > 60 and named <= set(BODIES)
