"""Two clients start one run id at the same moment: one of them wins, and the other one is told whose run it is."""

import subprocess
import sys
import textwrap
import threading
import uuid

import pytest

from triggerflow_lithops import RunExistsError, TriggerflowExecutor
from triggerflow_lithops.core.run import keys
from triggerflow_lithops.core.store import Facts

RACES = 20


def one():
    return 1


def other():
    return 2


class Overtaken:
    """A store to which another client is faster: it writes its run when this one is about to."""

    def __init__(self, store, overtake):
        self._store, self._overtake = store, overtake

    def __getattr__(self, name):
        return getattr(self._store, name)

    def put_new(self, key, value):
        if key.endswith('/run.json'):
            self._overtake()
        return self._store.put_new(key, value)


@pytest.fixture
def overtaken(config, executor):
    """Starts a run while another client is faster: ``overtaken(orchestrator, of the other client, run_id)``."""

    def start(orchestrator, faster, run_id):
        slow = TriggerflowExecutor(config=config, log_level=None)
        won = []
        slow.facts = Facts(Overtaken(slow.store, lambda: won.append(executor.run(faster, run_id=run_id))))
        try:
            return won, slow.run(orchestrator, run_id=run_id)
        except RunExistsError as error:
            return won, error

    return start


def left_of(executor, run_id):
    """The sessions of a run id of which there is anything below the prefix of jobs."""
    return {key.split('/')[1] for key in executor.facts.list(f'{keys.JOBS}/{run_id}-')}


def test_a_client_that_is_overtaken_by_another_orchestrator_is_told_so_and_leaves_nothing(overtaken, executor):
    (won,), lost = overtaken(other, one, 'overtaken')
    assert str(lost) == (
        f"Run 'overtaken' is there already, of {one.__module__}.one, and not of {one.__module__}.other. "
        'Choose another run id, or purge that run.'
    )
    assert won.result(timeout=60) == 1 and left_of(executor, 'overtaken') == {won.session}


def test_a_client_that_is_overtaken_by_the_same_orchestrator_has_its_run_which_is_begun_once(overtaken, executor, tmp_path):
    def counted():
        with (tmp_path / 'begun').open('a') as file:
            file.write('.')
        return 'once'

    (won,), run = overtaken(counted, counted, 'together')
    assert run.session == won.session and run.result(timeout=60) == 'once'
    assert (tmp_path / 'begun').read_text() == '.' and left_of(executor, 'together') == {run.session}


def raced(clients, run_id):
    """What each client has of one run id, when all of them start it at the same moment."""
    gate, found = threading.Barrier(len(clients)), {}

    def start(number, executor, orchestrator):
        gate.wait()
        try:
            found[number] = executor.run(orchestrator, run_id=run_id)
        except RunExistsError as error:
            found[number] = error

    threads = [threading.Thread(target=start, args=(number, *client)) for number, client in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[number] for number in range(len(clients))]


def test_of_two_orchestrators_that_race_in_threads_one_runs_and_the_other_client_is_told_so(config):
    first, second = (TriggerflowExecutor(config=config, log_level=None) for _ in range(2))
    runs = []
    for _ in range(RACES):
        found = raced([(first, one), (second, other)], f'race-{uuid.uuid4().hex[:8]}')
        (run,) = (client for client in found if not isinstance(client, RunExistsError))
        runs.append((run, found.index(run) + 1))
    assert [run.result(timeout=60) for run, _ in runs] == [value for _, value in runs]


def test_of_one_orchestrator_that_races_there_is_one_run_of_one_incarnation(config):
    first, second = (TriggerflowExecutor(config=config, log_level=None) for _ in range(2))
    runs = []
    for _ in range(RACES):
        left, right = raced([(first, one), (second, one)], f'race-{uuid.uuid4().hex[:8]}')
        assert left.session == right.session
        runs.append(left)
    assert {run.result(timeout=60) for run in runs} == {1} and {len(run.activations()) for run in runs} == {1}


CLIENT = """
    import sys
    from triggerflow_lithops import RunExistsError, TriggerflowExecutor

    def one():
        return 1

    def other():
        return 2

    config = {'lithops': {'backend': 'localhost', 'storage': 'localhost'}, 'triggerflow': {'idle_seconds': 2}}
    executor = TriggerflowExecutor(config=config, log_level=None)
    executor.list_runs()
    print('ready', flush=True)
    for line in sys.stdin:
        try:
            executor.run(globals()[sys.argv[1]], run_id=line.strip())
            print('runs', flush=True)
        except RunExistsError:
            print('refused', flush=True)
"""


def test_of_two_orchestrators_that_race_in_processes_one_runs_and_the_other_client_is_told_so(executor, tmp_path):
    clients = []
    for name in ('one', 'other'):
        (tmp_path / 'client.py').write_text(textwrap.dedent(CLIENT))
        command = [sys.executable, 'client.py', name]
        clients.append(subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
    assert [client.stdout.readline() for client in clients] == ['ready\n'] * 2
    races = []
    for _ in range(RACES):
        run_id = f'race-{uuid.uuid4().hex[:8]}'
        for client in clients:
            client.stdin.write(f'{run_id}\n')
            client.stdin.flush()
        races.append((run_id, [client.stdout.readline().strip() for client in clients]))
    for client in clients:
        client.stdin.close()
        assert client.wait(timeout=60) == 0
    assert {tuple(sorted(said)) for _, said in races} == {('refused', 'runs')}
    assert all(executor.get_run(run_id).result(timeout=60) == said.index('runs') + 1 for run_id, said in races)
