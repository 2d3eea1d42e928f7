"""What is read from a bucket may be damaged: it is fatal to its own run, said with the key, and to nothing else."""

import contextlib
import http.server
import json
import os
import pickle
import re
import threading
import time
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace

import cloudpickle
import lithops
import pytest
import whole
import yaml
from click.testing import CliRunner
from damage import MONSTERS, damaged
from lithops.future import ResponseFuture
from lithops.monitoring.backends.triggerflow.core.store import StoreUnavailable as TravellingStoreUnavailable
from lithops.monitoring.backends.triggerflow.invoke import call_payload, chunks_of, job_of, next_of_lane, run_field
from lithops.monitoring.backends.triggerflow.stores import S3Store
from lithops.storage import Storage

from triggerflow_lithops import (
    PASS,
    CloudEvent,
    RunExistsError,
    RunLost,
    RunNotFoundError,
    Triggerflow,
    TriggerflowError,
    WorkspaceNotFoundError,
)
from triggerflow_lithops.cli import main as cli
from triggerflow_lithops.client.history_report import Report
from triggerflow_lithops.client.run import value_of
from triggerflow_lithops.client.runs import find_run, how_ended
from triggerflow_lithops.core.damage import Damaged, Gone
from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.run import keys
from triggerflow_lithops.core.run.attempts import DEFAULT, Execution, Failure
from triggerflow_lithops.core.run.deferred import one_by_one
from triggerflow_lithops.core.run.engine import Engine
from triggerflow_lithops.core.run.keys import Call
from triggerflow_lithops.core.run.sweep import Limits, Sweeper
from triggerflow_lithops.core.run.trigger import Members
from triggerflow_lithops.core.store import Facts, StoreUnavailable, encode
from triggerflow_lithops.core.workspace.keys import WorkspaceKeys, channel_of
from triggerflow_lithops.core.workspace.workspace import Workspace
from triggerflow_lithops.deployment.store_border import MappedStore
from triggerflow_lithops.orchestrator.activation import read_history
from triggerflow_lithops.orchestrator.packing.pickles import is_pickle
from triggerflow_lithops.orchestrator.user_code import NO_ARGUMENTS
from triggerflow_lithops.replay.fingerprint import Fingerprint
from triggerflow_lithops.replay.outputs import Output, Outputs
from triggerflow_lithops.testing.corpus import CORPUS
from triggerflow_lithops.testing.faults import Faults
from triggerflow_lithops.testing.laws import Laws
from triggerflow_lithops.testing.scheduler import EPOCH
from triggerflow_lithops.testing.simulation import CONFIG, INCARNATION, RUN_ID, Simulation, simulating

SESSION = keys.session_of(RUN_ID, INCARNATION)
RUN = run_field(RUN_ID, SESSION, {**whole.ORCHESTRATOR, 'code_key': 'code'}, DEFAULT)
#: What a future needs to know of its job
_NAMES = ('job_id', 'job_key', 'executor_id', 'function_name', 'execution_timeout', 'runtime_name', 'runtime_memory')
JOB = SimpleNamespace(**dict.fromkeys(_NAMES, ''))
LIMITS = Limits(life=100, start=10, max_deaths=3)
#: Documents with damage that each reader is given
DOCUMENTS = 2_000
#: Requests that one reader may make of a run of a few calls
REQUESTS = 2_000

#: What lies where
KINDS = {
    'run': r'run\.json',
    'outcome': r'outcome\.json',
    'claim': r'claim\.json',
    'death': r'died\.json',
    'trigger': r'trigger\.json',
    'fact': r'/p/\d+\.json',
    'event': r'status\.json',
    'attempt': r'/att/\d+\.\d+\.json',
    'watch': r'\.w\d+',
    'dependent': r'\.d\d+\.\d+',
    'pack': r'/pack/',
    'output': r'/out/',
}


class Bounded(MemoryStore):
    """A bucket in memory of which nobody asks for ever."""

    def __init__(self, objects):
        super().__init__()
        self.asked = 0
        self._objects, self._keys = dict(objects), sorted(objects)

    def get(self, key):
        self.asked += 1
        assert self.asked < REQUESTS, 'A reader goes on for ever.'
        return super().get(key)

    def list(self, prefix):
        self.asked += 1
        assert self.asked < REQUESTS, 'A reader goes on for ever.'
        return super().list(prefix)


def kind_of(key):
    return next((kind for kind, expression in KINDS.items() if re.search(expression, key)), None)


@pytest.fixture(scope='module')
def buckets():
    """What runs have left: of each orchestrator of the corpus one, with some faults."""
    with simulating():
        return [
            Simulation(orchestrator, NO_ARGUMENTS, seed, Faults(killed=0.03)).run().memory._objects
            for seed, orchestrator in enumerate(CORPUS.values())
        ]


def performer(facts):
    """Makes of an action all that is made of it before anything is invoked."""

    def perform(action):
        if action['name'] in ('START_CALL', 'REPORT_LOST'):
            call = Call(*action['call'])
            job = job_of(facts, SESSION, action['position'], call)
            attempt = action['attempt'] if action['name'] == 'START_CALL' else None
            call_payload(CONFIG, RUN, job['activation'], action['position'], job, attempt)
            chunks_of(job, [call.number])
        elif action['name'] == 'START_DEFERRED':
            call_payload(CONFIG, RUN, action['job']['activation'], action['position'], action['job'])
            chunks_of(action['job'], action['numbers'])
        elif action['name'] == 'START_FOLLOWING':
            next_of_lane(facts, action)

    return perform


def sweep(facts):
    """Of a run that nobody has cared for since long ago, and of which the function service has nothing."""
    return Sweeper(Engine(facts, performer(facts)), SESSION, LIMITS, set).sweep(EPOCH + 1e6, EPOCH, lambda: None)


def handle_death(facts):
    engine = Engine(facts, performer(facts))
    for number in range(engine.newest_activation(SESSION) + 1):
        Sweeper(engine, SESSION, LIMITS).handle_death(number, 'killed', EPOCH + 1e6)


def positions(facts):
    """Where each job was scheduled, as its worker was told."""
    found = {}
    for key in facts.list(keys.facts_prefix(SESSION)):
        name = re.search(rb'"job": ?"([^"]+)"', facts.read_bytes(key))
        if name:
            found[name[1].decode('latin-1')] = keys.position_of(key)
    return found


def report(facts):
    """Calls end once more: well, and with a failure that is followed by a further attempt."""
    engine = Engine(facts, performer(facts))
    events = [key for key in facts.list(f'{keys.JOBS}/{SESSION}-') if key.endswith('/status.json')]
    at = positions(facts)
    for key in events[:4]:
        job, call_id = key.split('/')[1].removeprefix(f'{SESSION}-'), key.split('/')[2]
        if job not in at:
            # Of a call of a call
            continue
        execution = Execution(SESSION, Call(job, int(call_id)), at[job], 0, following={'call': int(call_id)})
        facts.store.delete([key])
        engine.report(execution, encode(whole.event(execution.call)), Failure('killed', lost=True), EPOCH)
        engine.report(execution, encode(whole.event(execution.call)), None, EPOCH)


def tell(facts):
    report = Report(whole.run(RUN_ID, INCARNATION, 'code'), SESSION, facts)
    json.dumps([report.history(), report.activations()], allow_nan=False)


def replay(facts):
    for number in range(Engine(facts, performer(facts)).newest_activation(SESSION) + 2):
        try:
            history = read_history(facts, SESSION, number)
            outputs = Outputs(facts, SESSION, one_by_one)
            outputs.load(history.outputs)
            for call, status in history.events.items():
                if 'triggerflow_output' in status:
                    outputs.get(Output(call, status['triggerflow_output'], int(status['func_result_size'])))
        except Gone:
            continue
        for event in history.events.values():
            future = ResponseFuture('00000', JOB, {}, {'backend': 'localhost', 'localhost': {'storage_bucket': 'storage'}})
            future._set_ready(dict(event))
        for fact in history.facts.values():
            Fingerprint(*fact['fingerprint'])
            Members(fact['choice']['ended']) if fact['fingerprint'][0] == 'wait' and 'choice' in fact else None
        history.add_readings([[0, 'a', [1.0]]])


def ask(facts):
    run = find_run(CONFIG, facts, RUN_ID)
    assert run.status() in ('running', 'completed', 'failed', 'cancelled', 'lost')
    outcome = how_ended(facts, run)
    if outcome is not None:
        try:
            value_of(RUN_ID, outcome)
        except TriggerflowError:
            pass
        except BaseException:
            # What the orchestrator raised
            assert 'exception' in outcome


READERS = (sweep, handle_death, report, tell, replay, ask)


def readers_of(seed, number):
    """Some of them, in turn."""
    return [READERS[(seed // 8 + at * 3) % len(READERS)] for at in range(number)]


@pytest.mark.parametrize('kind', KINDS)
def test_whatever_is_damaged_no_reader_stands_still_or_raises_anything_but_our_error(buckets, kind):
    places = [(bucket, key) for bucket in buckets for key in bucket if SESSION in key or RUN_ID in key if kind_of(key) == kind]
    refused, began = 0, time.process_time()
    for seed in range(DOCUMENTS):
        bucket, key = places[seed % len(places)]
        value = damaged(bucket[key], seed)
        gone = {} if kind == 'outcome' else {keys.outcome_key(SESSION)}
        objects = {name: there for name, there in bucket.items() if name not in gone} | {key: value}
        is_refused = False
        if kind not in ('pack', 'output'):
            try:
                Facts(Bounded(objects)).read(key)
            except Damaged as damage:
                is_refused = str(damage).startswith(key)
                assert is_refused and len(str(damage)) < 2_000
        refused += is_refused
        # What is refused is refused by all: some of them are enough
        for reader in [] if is_refused and seed % 8 else readers_of(seed, 1 if is_refused else 2):
            try:
                reader(Facts(Bounded(objects), pauses=()))
            except (StoreUnavailable, TravellingStoreUnavailable, Damaged) as error:
                # A fact that is gone, or a document of a newer version
                assert not isinstance(error, Damaged) or error.newer, reader
            except BaseException as error:
                error.add_note(f'{reader.__name__} of {key}, seed {seed}: {value[:300]!r}')
                raise
    assert kind in ('pack', 'output') or refused > DOCUMENTS / 2
    assert time.process_time() - began < 60


# Whole runs: something of one that is under way is damaged


class LawsOfReadable(Laws):
    """The laws of a simulated run, some of whose documents the laws themselves cannot read."""

    def _is_early(self, number):
        return False


class Damaging(Simulation):
    """A run of which one object is damaged, at some moment."""

    def __init__(self, orchestrator, seed, kind, damage):
        # At the moment at which a cleaner would come
        super().__init__(orchestrator, NO_ARGUMENTS, seed, Faults(killed=0.012, vanished=0.01), cleaned=True)
        self.laws = LawsOfReadable(self.memory, self.session)
        self._kind, self._damage, self.damaged = kind, damage, None

    def _clean(self):
        there = [key for key in self.memory.list('') if kind_of(key) == self._kind and (SESSION in key or RUN_ID in key)]
        if there and self.memory.get(keys.outcome_key(self.session)) is None:
            self.damaged = there[-1]
            value = self._damage(self.memory.get(self.damaged))
            self._seen.pop(self.damaged, None)
            self.memory.forget(self.damaged)
            self.memory.put_new(self.damaged, value)
            self.laws.hurt.anyone = self.laws.hurt.by_a_cleaner = True


DAMAGE = {
    'a list': lambda value: b'[]',
    'an empty document': lambda value: b'{}',
    'null': lambda value: b'null',
    'cut': lambda value: value[: len(value) // 2],
    'deep': lambda value: b'[' * 100_000,
}
UNDER_WAY = ('run', 'claim', 'trigger', 'fact', 'event', 'attempt', 'watch', 'dependent', 'death')


@pytest.mark.parametrize('kind', UNDER_WAY)
def test_a_run_of_which_something_is_damaged_comes_to_its_end_or_is_lost_and_says_why(kind):
    """Whatever is damaged, and whenever. That one is lost says the key; and none is ever wrong."""
    lost = 0
    with simulating():
        for seed, name in enumerate(('sequence', 'together', 'chained', 'map_reduces', 'retried', 'fails_fast') * 3):
            expected = Simulation(CORPUS[name], NO_ARGUMENTS, seed).run()
            damage = list(DAMAGE.values())[seed % len(DAMAGE)]
            simulation = Damaging(CORPUS[name], seed, kind, damage)
            run = simulation.run()
            assert run.outcome is not None, (name, seed, run.broken)
            if run.status == 'lost':
                assert simulation.damaged in run.outcome['reason'], (name, seed)
                lost += 1
            else:
                assert {**run.outcome, 'time': 0, 'nonce': 0} == {**expected.outcome, 'time': 0, 'nonce': 0}, (name, seed)
            assert not [law for law in run.broken if 'two values' not in law], (name, seed, run.broken)
    assert lost or kind in ('claim', 'attempt', 'death')


@pytest.mark.parametrize('kind', ['watch', 'dependent', 'fact', 'attempt'])
def test_a_worker_that_finds_something_damaged_writes_its_own_event_and_the_run_is_lost(bucket, kind):
    call, position = Call('0-M000', 1), 0
    where = {
        'watch': keys.watch_key('s', keys.group_of(call), 0),
        'dependent': keys.dependent_key('s', keys.group_of(call), 1, 0),
        'fact': keys.fact_key('s', position),
        'attempt': keys.attempt_key('s', call, 1),
    }[kind]
    if kind != 'fact':
        bucket.write(keys.fact_key('s', position), encode(whole.job()))
    bucket.write(where, b'[]')
    engine = Engine(bucket, lambda action: None)
    failure = None if kind in ('watch', 'dependent') else Failure('killed', lost=True)
    engine.report(Execution('s', call, position, 0), encode(whole.event(call)), failure, 1.0)
    assert bucket.read(keys.event_key('s', call)) == whole.event(call)
    outcome = bucket.read(keys.outcome_key('s'))
    assert outcome['status'] == 'lost' and f'{where} is damaged: found [], expected a document' in outcome['reason']


def test_what_was_damaged_on_its_way_only_is_no_damage(bucket):
    class OnItsWay(MemoryStore):
        reads = 0

        def get(self, key):
            self.reads += 1
            return super().get(key)[: 7 if self.reads == 1 else None]

    store = OnItsWay()
    store.put_new(keys.outcome_key('s'), encode({'status': 'cancelled', 'time': 0.0}))
    assert Facts(store).read(keys.outcome_key('s'))['status'] == 'cancelled' and store.reads == 2


@pytest.mark.parametrize('monster', MONSTERS)
@pytest.mark.parametrize('key', [keys.run_key('r'), keys.event_key('s', Call('0-A000', 0)), 'anything/else'])
def test_no_monster_is_a_document(monster, key):
    store = MemoryStore()
    store.put_new(key, MONSTERS[monster])
    try:
        assert type(Facts(store).read(key)) is dict and key == 'anything/else'
    except Damaged as damage:
        assert damage.key == key and len(str(damage)) < 1_000


def test_damage_survives_pickling_and_says_where_in_the_document_it_is():
    store = MemoryStore()
    store.put_new(keys.run_key('r'), encode({**whole.run('r', '0', 'code'), 'time': 'noon'}))
    with pytest.raises(Damaged, match=r"triggerflow.runs/r/run.json is damaged: found 'noon' as 'time'") as raised:
        Facts(store).read(keys.run_key('r'))
    again = pickle.loads(pickle.dumps(raised.value))
    assert (str(again), again.key, again.newer) == (str(raised.value), keys.run_key('r'), False)


@pytest.mark.parametrize(
    'text',
    ["b'x'.__class__", "__import__('os').system('true')", "b'a' + b'b'", "b'\\x1'", "b'a\nb'", 'b"a\'"x', "b'" + 'x' * 70_000],
)
def test_a_status_holds_bytes_and_nothing_else_that_lithops_would_evaluate(text):
    store, key = MemoryStore(), keys.event_key('s', Call('0-A000', 0))
    store.put_new(key, encode(whole.event(Call('0-A000', 0), result=text)))
    with pytest.raises(Damaged, match='expected bytes as Python writes them'):
        Facts(store).read(key)


@pytest.mark.parametrize('value', [b'', bytes(range(256)), b"it's", b'"', b'\'"\\', b'x' * 100_000, bytes(range(256)) * 1_000])
def test_whatever_bytes_a_call_returned_fit(value):
    store, key = MemoryStore(), keys.event_key('s', Call('0-A000', 0))
    store.put_new(key, encode(whole.event(Call('0-A000', 0), result=str(value))))
    assert Facts(store).read(key)['result'] == str(value)


# Runs whose documents are damaged, as a client sees them


@pytest.fixture
def damage(executor):
    """Damages an object of a bucket on localhost."""

    def replace(key, value):
        executor.store.delete([key])
        executor.store.put_new(key, value)

    return replace


@pytest.fixture
def ended_run(executor):
    run = executor.run(lambda: 'done', run_id=f'ended-{time.monotonic_ns()}')
    assert run.result(timeout=60) == 'done'
    return run


def test_a_run_whose_document_is_damaged_is_listed_is_lost_and_is_not_started_again(executor, damage, ended_run):
    damage(keys.run_key(ended_run.run_id), b'[]')
    found = {run.run_id: run for run in executor.list_runs()}[ended_run.run_id]
    key = keys.run_key(ended_run.run_id)
    assert found.status() == found.wait() == 'lost' and found.activations() == []
    with pytest.raises(RunLost, match=f'{key} is damaged: found .., expected a document.*Purge it'):
        executor.get_run(ended_run.run_id).result()
    assert key in found.history()[-1]['data']['reason']
    with pytest.raises(RunExistsError, match=f'{key} is damaged.*purge'):
        executor.run(lambda: 'done', run_id=ended_run.run_id)


def test_the_command_runs_shows_a_damaged_one_among_the_others(executor, damage, ended_run, tmp_path, config):
    other = executor.run(lambda: 'done')
    other.result(timeout=60)
    damage(keys.run_key(ended_run.run_id), b'{"version": 1')
    (tmp_path / 'config.yaml').write_text(yaml.dump(config))
    shown = CliRunner().invoke(cli.main, ['runs', '-c', str(tmp_path / 'config.yaml')])
    lines = {line.split()[0]: line for line in shown.output.splitlines()[2:]}
    assert 'lost: its document is damaged' in lines[ended_run.run_id] and 'completed' in lines[other.run_id]
    assert shown.exit_code == 0


def test_a_purge_of_it_removes_all_that_there_is_of_it_and_nothing_of_another(executor, damage, ended_run):
    other = executor.run(lambda: 'done', run_id=f'{ended_run.run_id}-0123abcd')
    other.result(timeout=60)
    kept = [key for key in executor.store.list('triggerflow') if other.run_id in key]
    damage(keys.run_key(ended_run.run_id), b'null')
    executor.get_run(ended_run.run_id).purge()
    assert [key for key in executor.store.list('triggerflow') if ended_run.run_id in key] == kept
    assert executor.run(lambda: 'anew', run_id=ended_run.run_id).result(timeout=60) == 'anew'


def test_the_sessions_of_a_run_are_none_of_a_run_whose_id_begins_alike():
    listed = ['triggerflow.jobs/r-0a/a/000000/claim.json', 'triggerflow.runs/r/0b.outcome.json', 'triggerflow.jobs/r-0a-0-M000/x']
    others = ['triggerflow.jobs/r-12-0c/x', 'triggerflow.jobs/r-12-34/x', 'triggerflow.jobs/rr-0a/x', keys.run_key('r')]
    assert keys.sessions_of('r', [*listed, *others]) == ['r-0a', 'r-0b']


def test_a_run_of_a_newer_version_is_left_alone_and_that_is_said(executor, damage, ended_run):
    key = keys.run_key(ended_run.run_id)
    damage(key, encode({**ended_run.document, 'version': 2}))
    found = executor.get_run(ended_run.run_id)
    for asked in (found.status, found.result, found.sweep, found.cancel, found.purge):
        with pytest.raises(Damaged, match=r'written by a newer version of this plugin.*upgrade'):
            asked()
    assert executor.store.get(key) and ended_run.run_id in [run.run_id for run in executor.list_runs()]


def test_a_run_whose_outcome_is_damaged_is_lost_and_can_be_purged(executor, damage, ended_run):
    key = keys.outcome_key(ended_run.session)
    damage(key, b'{"status": "completed", "value": 3}')
    assert ended_run.status() == 'lost' and ended_run.sweep() == []
    with pytest.raises(RunLost, match=f'{key} is damaged'):
        ended_run.result()
    assert ended_run.history()[-1]['type'].endswith('run.lost')
    ended_run.purge()
    with pytest.raises(RunNotFoundError):
        ended_run.status()


def double(x):
    return 2 * x


def two_steps(folder):
    """The second one waits until a file is there."""
    fexec = lithops.FunctionExecutor()
    fexec.get_result(fexec.map(double, [1, 2]))
    return fexec.get_result(fexec.call_async(until_there, os.path.join(folder, 'go on')))


def until_there(path):
    until = time.monotonic() + 60
    while not os.path.exists(path):
        assert time.monotonic() < until, f'{path} never came'
        time.sleep(0.02)
    return 'both'


def until_found(executor, expression):
    """The key of an object, once it is there."""
    until = time.monotonic() + 60
    while True:
        found = [key for key in executor.store.list('triggerflow') if re.search(expression, key)]
        if found:
            return found[-1]
        assert time.monotonic() < until, f'{expression} never came'
        time.sleep(0.02)


def test_of_runs_in_one_bucket_those_that_are_damaged_are_lost_and_the_others_complete(executor, damage, tmp_path):
    runs, where = {kind: executor.run(two_steps, str(tmp_path / kind)) for kind in ('trigger', 'watch', 'run', 'none')}, {}
    for kind, run in runs.items():
        # It waits for the second step
        watch = until_found(executor, rf'{run.session}-0-A001/0000\.w')
        where[kind] = {'watch': watch, 'run': keys.run_key(run.run_id)}.get(kind, keys.trigger_key(run.session, 1))
        if kind != 'none':
            damage(where[kind], b'[' * 100_000)
    assert runs['run'].status() == 'lost'
    for kind in runs:
        (tmp_path / kind).mkdir()
        (tmp_path / kind / 'go on').touch()
    assert runs.pop('none').result(timeout=60) == 'both'
    for kind, run in runs.items():
        with pytest.raises(RunLost, match=re.escape(f'{where[kind]} is damaged')):
            run.result(timeout=60)
    assert {run.run_id for run in runs.values()} < {run.run_id for run in executor.list_runs()}


class CutShort(http.server.BaseHTTPRequestHandler):
    """An S3 server whose connections break in the middle of an object."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self):
        self.send_response(200)
        if self.path.endswith('in-chunks'):
            self.send_header('Transfer-Encoding', 'chunked')
            self.end_headers()
            self.wfile.write(b'14\r\n' + b'x' * 20 + b'\r\n')
        else:
            self.send_header('Content-Length', '50')
            self.end_headers()
            self.wfile.write(b'x' * 20)
        self.close_connection = True

    def do_HEAD(self):
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *args):
        pass


@pytest.mark.parametrize('key', ['of-known-length', 'in-chunks'])
def test_what_a_broken_connection_has_cut_is_no_damage(key):
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), CutShort) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        endpoint = f'http://127.0.0.1:{server.server_port}'
        minio = {'endpoint': endpoint, 'access_key_id': 'a', 'secret_access_key': 'b', 'storage_bucket': 'b'}
        storage = Storage(config={'lithops': {'storage': 'minio'}, 'minio': {**minio, 'region': 'us-east-1'}})
        store = MappedStore(S3Store(storage.storage_handler, 'b'))
        with pytest.raises(StoreUnavailable):
            Facts(store, pauses=()).read(key)
        server.shutdown()


class DamagingEvents(Damaging):
    """What the first call of a run returned, or raised, is still a document, and no pickle any more."""

    def _clean(self):
        while self.damaged is None and self.memory.get(keys.outcome_key(self.session)) is None:
            super()._clean()
            self.scheduler.sleep(0.1)


def no_pickle(value):
    document = json.loads(value)
    for name in ('result', 'exc_info'):
        if name in document:
            document[name] = "b'\\x80\\x04\\x8c\\xff'"
    return encode(document)


@pytest.mark.parametrize('name', ['sequence', 'failures_kept', 'exceptions', 'always'])
def test_an_orchestrator_never_sees_that_what_a_call_returned_is_no_pickle(name):
    """As an exception it might be caught."""
    lost = 0
    with simulating():
        for seed in range(12):
            expected = Simulation(CORPUS[name], NO_ARGUMENTS, seed).run()
            simulation = DamagingEvents(CORPUS[name], seed, 'event', no_pickle)
            run = simulation.run()
            lost += run.status == 'lost'
            assert run.status in ('lost', expected.status), (seed, run.outcome)
            if run.status == 'lost':
                assert f'{simulation.damaged} is damaged: found bytes that are no pickle' in run.outcome['reason']
    assert lost


PICKLED = (3, 'x', {'a': [1, (2, {3})]}, ValueError('x'), Path('.'), encode, lithops, OrderedDict(a=1), Members({}))


@pytest.mark.parametrize('value', PICKLED)
def test_whatever_is_pickled_is_a_pickle(value):
    pickled = cloudpickle.dumps(value)
    assert is_pickle(pickled) and not is_pickle(pickled[:-3]) and not is_pickle(b'\xff' + pickled)


# Workspaces


@pytest.fixture
def workspace(executor):
    """A workspace of two triggers, which publish when they fire; and the prefix of its keys."""
    name = f'w-{time.monotonic_ns()}'
    tf = Triggerflow(name, executor=executor)
    for trigger_id in ('first', 'second'):
        tf.add_trigger(trigger_id, CloudEvent('shard', 'all'), action=PASS, transient=False)
    yield tf, WorkspaceKeys(tf._own().home)
    with contextlib.suppress(WorkspaceNotFoundError):
        Triggerflow(executor=executor).delete_workspace(name)


def test_a_damaged_trigger_keeps_no_other_one_from_firing_and_is_listed_and_can_be_deleted(executor, damage, workspace):
    tf, home = workspace
    damage(home.trigger('first'), b'[]')
    assert tf.publish(CloudEvent('shard', 'all')) and tf.sweep() == []
    assert tf.get_trigger('second')['fired'] == 1 and tf.list_triggers() == ['first', 'second']
    with pytest.raises(Damaged, match=re.escape(f'{home.trigger("first")} is damaged')):
        tf.get_trigger('first')
    tf.delete_trigger('first')
    assert tf.list_triggers() == ['second'] and not [key for key in executor.store.list(home.watches()) if key.endswith('first')]


def test_the_command_triggers_shows_a_damaged_one_among_the_others(damage, workspace, tmp_path, config):
    tf, home = workspace
    damage(home.trigger('first'), b'{}')
    (tmp_path / 'config.yaml').write_text(yaml.dump(config))
    shown = CliRunner().invoke(cli.main, ['triggers', tf._name, '-c', str(tmp_path / 'config.yaml')])
    assert f'{home.trigger("first")} is damaged' in shown.output and 'shard of all' in shown.output and shown.exit_code == 0


def test_a_workspace_whose_document_is_damaged_is_listed_and_can_be_deleted(executor, damage, workspace):
    tf, home = workspace
    damage(f'{keys.WORKSPACES}/{tf._name}.json', b'null')
    assert tf._name in tf.list_workspaces()
    with pytest.raises(Damaged, match='expected a document'):
        Triggerflow(tf._name, executor=executor)
    Triggerflow(executor=executor).delete_workspace(tf._name)
    assert tf._name not in tf.list_workspaces() and executor.store.list(home.prefix) == []


OF_A_WORKSPACE = {
    'trigger': 't/first/trigger.json',
    'firing': 't/first/s.fired.000000',
    'look': 't/first/s.look.000000',
    'context': 'c/first/00000001',
    'event': 'e/channel/digest',
}


@pytest.mark.parametrize('kind', OF_A_WORKSPACE)
def test_what_is_damaged_in_a_workspace_is_refused_and_what_is_not_refused_fires_or_does_not(kind):
    facts, home, key = (
        Facts(MemoryStore()),
        WorkspaceKeys('triggerflow.events/w@0'),
        f'triggerflow.events/w@0/{OF_A_WORKSPACE[kind]}',
    )
    event = {**CloudEvent('shard', 'all').document(), 'data': [1]}
    trigger = {
        'id': 'first',
        'activation_events': [{'type': 'shard', 'subject': 'all'}],
        'condition': {'name': 'JOIN', 'count': 2},
        'action': {'name': 'PASS'},
        'context': {'n': 1},
        'transient': False,
        'retry': DEFAULT,
        'time': 0.0,
        'orchestrator': {**whole.ORCHESTRATOR, 'code_key': 'code'},
    }
    said = {'context': {'n': 2}, 'by': 'run', 'said': '', 'asks': False}
    look = {'missing': 3, 'counts': {'a0': 2}}
    document = {'trigger': trigger, 'firing': {'events': [key]}, 'look': look, 'context': said, 'event': event}[kind]
    refused = 0
    for seed in range(DOCUMENTS):
        facts.store.delete(facts.list(''))
        facts.write(home.trigger('first'), encode(trigger))
        facts.write(home.watch(channel_of('shard', 'all'), 'first'), b'{}')
        facts.store.delete([key])
        facts.store.put_new(key, damaged(encode(document), seed))
        try:
            facts.read(key)
        except Damaged as damage:
            assert damage.key == key
            refused += 1
        fired = []
        space = Workspace(facts, home.prefix, fired.append)
        if seed % 10 == 0:
            for number in range(3):
                space.publish({**event, 'id': str(number)})
            space.sweep(lambda trigger_id, numbers: numbers)
            assert len(fired) < 10
    assert refused > DOCUMENTS / 3
