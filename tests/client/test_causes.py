"""History is told in causal order: a cause stands before what it caused, whatever the clocks of the machines say."""

import random

import pytest
import whole

from triggerflow_lithops.client.history_report import Report
from triggerflow_lithops.core import condition, event
from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.run import keys
from triggerflow_lithops.core.run.inputs import Inputs
from triggerflow_lithops.core.run.trigger import Members, Trigger
from triggerflow_lithops.core.store import Facts, decode, encode
from triggerflow_lithops.orchestrator.user_code import NO_ARGUMENTS
from triggerflow_lithops.testing.corpus import CORPUS
from triggerflow_lithops.testing.faults import HARD, NONE
from triggerflow_lithops.testing.simulation import INCARNATION, RUN_ID, Simulation, simulating

HOUR = 3600.0
SESSION = 'run-7-0a0a0a0a'
DOCUMENT = {'run_id': 'run-7', 'name': 'main', 'orchestrator': {'function': 'main'}, 'time': 1_000_000.0}
CALL = keys.Call('0-A000', 0)


def told(facts):
    """What a history tells, in order: the last part of each type, and of each subject."""
    history = Report(DOCUMENT, SESSION, facts).history()
    return [' '.join(name_of(found, 'run-7')) for found in history]


def name_of(found, run_id):
    return found['type'].removeprefix(f'{event.PREFIX}.'), found['subject'].removeprefix(run_id).strip('/')


def one_call(activations=0.0, calls=0.0, claims=0.0):
    """
    The facts of a run of one call, whose end wakes activation 1.

    :param activations: seconds by which the clock of activation 0 is off
    :param calls: … that of the worker of the call
    :param claims: … that of activation 1
    """
    facts = Facts(MemoryStore())
    fact = whole.job('0-A000', calls=1, time=1_000_002.0 + activations)
    waits_for = Trigger(SESSION, 0, 1, condition.join(1), Members({'0-A000': [[0, 1]]}), True, {'0-A000': 0})
    trigger = whole.trigger(waits_for, 1_000_003.0 + activations)
    status = {**whole.event(CALL, ended=1_000_004.0 + calls), 'executor_id': f'{SESSION}-0'}
    facts.create(keys.claim_key(SESSION, 0), {'cause': 'the run was started', 'time': 1_000_001.0 + activations})
    facts.create(keys.fact_key(SESSION, 0), fact)
    facts.create(keys.trigger_key(SESSION, 0), trigger)
    facts.create(keys.event_key(SESSION, CALL), status)
    facts.create(keys.claim_key(SESSION, 1), {'cause': 'its trigger fired', 'time': 1_000_005.0 + claims})
    facts.create(keys.outcome_key(SESSION), {'status': 'completed', 'value': '', 'time': 1_000_006.0 + claims})
    return facts


IN_ORDER = [
    'run.started ',
    'activation.started 0',
    'job.scheduled 0/A000',
    'activation.suspended 0',
    'termination.success 0/A000/00000',
    'activation.started 1',
    'run.completed ',
]


@pytest.mark.parametrize('off', [0.0, 5 * HOUR, -5 * HOUR])
@pytest.mark.parametrize('whose', ['activations', 'calls', 'claims'])
def test_a_history_is_in_causal_order_whosever_clock_is_hours_off(whose, off):
    found = told(one_call(**{whose: off}))
    if (whose, off) == ('calls', -5 * HOUR) or (whose, off) == ('activations', 5 * HOUR):
        # Whether it ended before the activation suspended nothing but the clocks tell
        assert [line for line in found if 'suspended' not in line] == [line for line in IN_ORDER if 'suspended' not in line]
        assert found.index('activation.started 0') < found.index('activation.suspended 0') < found.index('activation.started 1')
    else:
        assert found == IN_ORDER


def test_the_times_that_a_history_tells_are_those_that_were_recorded():
    history = Report(DOCUMENT, SESSION, one_call(calls=5 * HOUR)).history()
    (end,) = (found for found in history if found['type'] == event.SUCCESS)
    assert event.seconds_of(end) == 1_000_004.0 + 5 * HOUR


def test_what_an_activation_did_stands_before_its_death_that_another_machine_has_written():
    facts = one_call(activations=5 * HOUR)
    facts.store.delete([keys.trigger_key(SESSION, 0)])
    facts.create(keys.death_key(SESSION, 0), {'reason': 'it vanished', 'time': 1_000_003.0, 'due': 1_000_004.0})
    found = told(facts)
    assert found.index('job.scheduled 0/A000') < found.index('activation.died 0') < found.index('activation.started 1')


def test_facts_that_contradict_each_other_are_told_all_the_same():
    facts = one_call()
    facts.create(keys.fact_key(SESSION, 1), {**facts.read(keys.fact_key(SESSION, 0)), 'job': '0-A001', 'activation': 1})
    # A fact of activation 1 stands before one of activation 0, which has suspended before
    facts.create(keys.fact_key(SESSION, 2), {**facts.read(keys.fact_key(SESSION, 0)), 'job': '0-A002'})
    assert len(told(facts)) == len(IN_ORDER) + 2 and sorted(set(told(facts)) & set(IN_ORDER)) == sorted(IN_ORDER)


# Over simulated runs, whose documents are given the clocks of many machines


def simulated(name, seed):
    faults = HARD if seed % 2 else NONE
    with simulating():
        return Simulation(CORPUS[name], NO_ARGUMENTS, seed, faults, True, True, None, 10**6, 0, False, False).run()


def skewed(run, chosen):
    """The facts of a run, as they were if each of its activations and workers had a clock that is hours off."""
    facts, clocks = Facts(MemoryStore()), {}
    for key in run.memory.list(''):
        value = run.memory.get(key)
        if key.endswith('.json') and '/pack/' not in key:
            document = decode(value)
            of_activation = key.split('/a/')[1].split('/')[0] if '/a/' in key else None
            machine = document.get('activation', of_activation) if 'worker_end_tstamp' not in document else key
            off = clocks.setdefault(str(machine), chosen.uniform(-9, 9) * HOUR)
            value = encode({**document, **{name: document[name] + off for name in TIMES if name in document}})
        facts.write(key, value)
    return facts


TIMES = ('time', 'worker_start_tstamp', 'worker_end_tstamp')


def call_of(found):
    job = found['source'].removeprefix(f'lithops/{keys.session_of(RUN_ID, INCARNATION)}-').replace('/', '-')
    return keys.Call(job, int(found['subject'].rpartition('/')[2]))


class Wrong(list):
    """What a history tells before its cause, in words: read from its events, and from what the run has stored."""

    def __init__(self, history, run):
        super().__init__()
        self.history = history
        self.place = {}
        for number, found in enumerate(history):
            self.place.setdefault(name_of(found, RUN_ID), number)
        # By job and number, also of jobs that calls have made, which their source tells apart
        self.ends = {call_of(found): number for number, found in enumerate(history) if '.termination.' in found['type']}
        self.failures = {call_of(found) for found in history if found['type'] == event.FAILURE}
        data = [found.get('data') or {} for found in history]
        self.steps = {said['position']: number for number, said in enumerate(data) if 'step' in said}
        for found in history:
            self.look_at(found)
        self.look_at_attempts()
        for key in run.memory.list(keys.facts_prefix(keys.session_of(RUN_ID, INCARNATION))):
            self.look_at_stored(keys.position_of(key), decode(run.memory.get(key)))
        if history[0]['type'] != event.RUN_STARTED or history[-1]['type'] not in event.RUN_ENDED.values():
            self.append('no start, or no outcome')
        if [*self.steps.values()] != sorted(self.steps.values()) or [*self.steps] != sorted(self.steps):
            self.append('steps are out of order')

    def require(self, cause, caused):
        if cause in self.place and caused in self.place and self.place[cause] > self.place[caused]:
            self.append(f'{cause} after {caused}')

    def look_at(self, found):
        (kind, subject), data = name_of(found, RUN_ID), found.get('data') or {}
        if kind in ('termination.success', 'termination.failure', 'attempt.failed'):
            self.require(('job.scheduled', subject.rpartition('/')[0]), (kind, subject))
        if kind in ('activation.suspended', 'activation.died'):
            self.require(('activation.started', subject), (kind, subject))
            self.require((kind, subject), ('activation.started', str(int(subject) + 1)))
        if 'step' in data:
            self.require(('activation.started', str(data['activation'])), (kind, subject))
        if kind == 'activation.suspended':
            self.look_at_waking(int(subject), data)
            late = [position for position, number in self.steps.items() if number > self.place[kind, subject]]
            if late and min(late) < data['context']['position']:
                self.append(f'activation {subject} suspended before step {min(late)}')

    def look_at_waking(self, number, data):
        following = self.place.get(('activation.started', str(number + 1)))
        context = data['context']
        if following is None or context['due'] or self.history[following]['data']['cause'].endswith('was up'):
            return
        members = [*Members(context['members'])]
        if context['until_failure'] and self.failures & {*members}:
            return
        before = sum(self.ends.get(call, len(self.history)) < following for call in members)
        if before < data['condition'].get('count', 1):
            self.append(f'activation {number + 1} started after {before} of {len(members)} ends')

    def look_at_attempts(self):
        failed = {(found['subject'], found['data']['attempt']): n for n, found in enumerate(self.history) if is_attempt(found)}
        for (subject, attempt), number in failed.items():
            if failed.get((subject, attempt - 1), -1) > number:
                self.append(f'attempt {attempt - 1} of {subject} after attempt {attempt}')
        for number, found in enumerate(self.history):
            earlier = range(found['data']['attempt'] if '.termination.' in found['type'] else 0)
            if any(failed.get((found['subject'], attempt), -1) > number for attempt in earlier):
                self.append(f'{found["subject"]} ended before an attempt failed')

    def look_at_stored(self, position, fact):
        for number, members in Inputs.from_document((fact.get('invocation') or {}).get('inputs')).of_call.items():
            end = self.ends.get(keys.Call(fact['job'], number), len(self.history))
            if any(self.ends.get(call, -1) > end for call in members):
                self.append(f'{fact["job"]}/{number} ended before its inputs')
        if fact['fingerprint'][0] == 'wait' and any(
            self.ends[call] > self.steps[position] for call in Members(fact['choice']['ended'])
        ):
            self.append(f'step {position} before what it has seen')


def is_attempt(found):
    return found['type'] == event.ATTEMPT_FAILED


@pytest.mark.parametrize('name', sorted(CORPUS))
def test_the_history_of_any_run_is_in_causal_order_whatever_the_clocks_say(name):
    for seed in range(4):
        run = simulated(name, seed)
        if run.outcome is None:
            continue
        facts = skewed(run, random.Random(seed))
        history = Report(run.document, keys.session_of(RUN_ID, INCARNATION), facts).history()
        assert len(history) == len(run.history()) and not Wrong(history, run), seed


def test_what_tells_a_wrong_order_tells_that_of_time():
    """A test of the test above: in order of time alone, such a history is wrong."""
    run = simulated('sequence', 0)
    facts = skewed(run, random.Random(0))
    history = Report(run.document, keys.session_of(RUN_ID, INCARNATION), facts).history()
    assert Wrong([history[0], *sorted(history[1:-1], key=lambda found: found['time']), history[-1]], run)
