"""The simulator: the laws over a corpus of orchestrators, and that it would find it if one were broken."""

import gc
import importlib
import json
import os
import random
import subprocess
import sys
import time

import greenlet
import lithops
import pytest

from triggerflow_lithops import ChangedCodeError, Retry, now
from triggerflow_lithops.testing import HARD, LawBroken, simulate, survive
from triggerflow_lithops.testing.corpus import CORPUS
from triggerflow_lithops.testing.mutants import MUTANTS
from triggerflow_lithops.testing.simulate import KINDS, orchestrators, simulate_seeds

COMMAND = [sys.executable, '-m', 'triggerflow_lithops.testing.simulate']


def on_the_command_line(*arguments, **environment):
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, env={**os.environ, **environment}, timeout=300)
    return done.returncode, json.loads(done.stdout)


def add3(x):
    return x + 3


def slowly(x):
    time.sleep(86_400)
    return x


def two_days():
    fexec = lithops.FunctionExecutor()
    began = now()
    for step in range(2):
        fexec.call_async(slowly, step, timeout=100_000).result()
    return now() - began


def killed_by_its_seed(x):
    raise MemoryError('too much')


def test_runs_with_all_kinds_of_faults_come_to_the_outcome_without_them():
    first = random.SystemRandom().randrange(10**9)
    tally = simulate_seeds(first, 500, list(CORPUS))
    assert not tally.failing, f'first seed: {first}'
    assert tally.runs == 500 and all(tally.faults[kind] for kind in KINDS)


@pytest.mark.parametrize(
    ('name', 'seed'),
    [
        # One activation saw two of four calls ended, and chose; the other one saw all four, and took that for no choice
        ('chained_to_the_known', 362983283),
        ('chained_to_the_known', 363013162),
        # A sweep woke who was about to see that it need not wait
        ('map_reduces', 363059254),
        # A service refused an event when it was told again, or the event of one trigger when another one had fired
        ('fan_out', 269392829),
        ('share_of_the_chained', 269405234),
        # Two activations had read other times before a wait that was over, and each wrote its next fact at another position
        ('reads_the_clock', 176973683),
        # An outage, where the run of a trigger's time reads its trigger
        ('waits_for_its_time', 269339687),
        # A worker was killed between what it wrote and whom it was to wake, and its report woke nobody
        ('share_of', 6000441),
        # An activation was killed before it had set its timer
        ('sleeps', 6000513),
        # Losses had used up the attempts that a call had to raise in
        ('retried', 332045886),
        # An activation had seen the outcome, when it deferred calls, and went on to its next step
        ('chained_late', 332056823),
        # It had been purged, and what had ended was forgotten
        ('pool_fails', 168326715),
    ],
)
def test_what_a_seed_has_found_stays_repaired(name, seed):
    assert not simulate_seeds(seed, 1, [name]).failing


@pytest.mark.parametrize('name', MUTANTS)
def test_a_core_that_is_broken_on_purpose_is_found(name):
    for first in range(0, 2000, 100):
        if simulate_seeds(first, 100, orchestrators(name), mutant=name, until_broken=True).failing:
            return
    pytest.fail(f'{name} survived 2,000 seeds')


def test_a_fault_is_no_excuse_for_what_it_has_not_hurt():
    """Where all kinds of faults are injected, and sweeps repair what they can, a broken wake-up is seen all the same."""
    failing = simulate_seeds(50_000, 400, ['fan_out', 'together', 'chunked'], mutant='watch_does_not_hop').failing
    swept = [law for failed in failing if failed['seed'] % 4 > 1 for law in failed['broken']]
    repaired = [law for law in swept if 'a sweep repaired what no fault had hurt' in law]
    assert repaired and all('waited for what had ended' in law for law in swept if law not in repaired)


def test_a_seed_is_a_reproduction_in_any_process():
    codes, told = zip(
        *(on_the_command_line('--seeds', '60', '--from', '7', PYTHONHASHSEED=hashed) for hashed in ('1', '2')), strict=True
    )
    assert codes == (0, 0) and told[0]['faults']['killed'] > 0
    assert {**told[0], 'seconds': 0} == {**told[1], 'seconds': 0}


def test_the_command_line_tells_which_seed_broke_which_law():
    code, told = on_the_command_line('--seeds', '200', '--from', '0', '--mutant', 'no_second_look', '--processes', '1')
    assert code == 1 and 'everything waits for ever' in told['failing'][0]['broken']
    assert told['failing'][0]['seed'] in range(200) and told['failing'][0]['orchestrator'] in CORPUS


def test_the_command_line_fails_if_a_kind_of_fault_was_too_seldom():
    told = {}
    for least in ('1', '20'):
        told[least] = on_the_command_line('--seeds', '150', '--from', '0', '--processes', '1', '--least', least)
    assert told['1'] == (0, {**told['1'][1], 'too_seldom': {}})
    code, report = told['20']
    assert code == 1 and report['failed'] == 0
    assert report['too_seldom'] == {kind: report['faults'][kind] for kind in KINDS if report['faults'][kind] < 20}


def test_the_mutants_are_listed_with_what_they_break():
    listed = subprocess.run([*COMMAND, '--list-mutants'], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(listed) == len(MUTANTS) >= 10 and all(len(line.split()) > 4 for line in listed)


def test_time_that_passes_in_a_call_is_skipped():
    began = time.monotonic()
    assert 172_800 < simulate(two_days).result() < 172_900
    assert time.monotonic() - began < 600


def test_a_simulated_run_tells_its_history_and_its_activations():
    run = simulate(two_days)
    assert [activation['number'] for activation in run.activations()] == [0, 1, 2]
    assert run.history()[0]['type'].endswith('run.started') and run.history()[-1]['type'].endswith('run.completed')


def test_an_orchestrators_exception_is_raised_with_its_type():
    def main():
        raise KeyError('nothing there')

    with pytest.raises(KeyError, match='nothing there'):
        simulate(main).result()


def test_an_orchestrator_gets_its_arguments():
    assert simulate(lambda args: args['x'], {'x': 5}).result() == 5


def test_processes_are_numbered_anew_in_every_activation():
    """Their names are handed to their calls, so a warm process would replay them otherwise."""
    from lithops.multiprocessing import Process

    def main():
        names = []
        for _ in range(2):
            process = Process(target=add3, args=(1,))
            process.start()
            process.join()
            names.append(process.name)
        return names

    before = Process(target=add3).name
    run = simulate(main)
    assert run.result() == ['CloudProcess-1', 'CloudProcess-2'] and len(run.activations()) == 3
    assert int(Process(target=add3).name.rpartition('-')[2]) == int(before.rpartition('-')[2]) + 1


def test_a_wide_map_is_simulated_in_seconds():
    def main():
        fexec = lithops.FunctionExecutor()
        return sum(fexec.get_result(fexec.map(add3, list(range(1000)))))

    run = simulate(main)
    assert run.result() == sum(range(3, 1003)) and run.calls == 1000


def test_the_module_of_the_command_line_does_not_hide_the_function_of_its_name():
    importlib.import_module('triggerflow_lithops.testing.simulate')
    from triggerflow_lithops import testing

    assert testing.simulate(lambda: 5).result() == 5


def test_retries_of_the_run_are_those_of_the_simulation():
    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.call_async(killed_by_its_seed, 1).result()

    run = simulate(main, retry=Retry(retries=2, on=MemoryError))
    assert run.status == 'failed' and sum(run.invocations.values()) - len(run.invocations) == 2


def test_an_orchestrator_that_survives_is_told_nothing():
    def main():
        fexec = lithops.FunctionExecutor()
        return fexec.get_result(fexec.map(add3, [1, 2]))

    assert survive(main, seeds=40).result() == [4, 5]


def test_a_call_that_may_not_run_again_may_be_lost():
    def main():
        fexec = lithops.FunctionExecutor()
        with Retry(retries=0):
            return fexec.get_result(fexec.map(add3, [1, 2]))

    assert survive(main, seeds=100, first_seed=0).result() == [4, 5]


def test_an_orchestrator_that_does_not_survive_is_told_the_seed():
    def main():
        fexec = lithops.FunctionExecutor()
        if random.SystemRandom().random() < 0.5:
            fexec.call_async(add3, 1).result()
        return fexec.call_async(add3, 2).result()

    with pytest.raises((LawBroken, ChangedCodeError), match=r'first_seed=\d+, seeds=1'):
        survive(main, seeds=400)


def test_a_simulation_leaves_nothing_of_itself_behind():
    before = {**os.environ}, lithops.FunctionExecutor.map, lithops.FunctionExecutor.__init__, time.time, random.getstate()
    simulate(two_days, seed=5, faults=HARD)
    assert before == (
        {**os.environ},
        lithops.FunctionExecutor.map,
        lithops.FunctionExecutor.__init__,
        time.time,
        random.getstate(),
    )


def test_processes_that_died_do_not_stay_in_memory():
    def standing():
        gc.collect()
        # Not isinstance(): other tests leave objects whose class refuses to be asked
        return sum(type(found) is greenlet.greenlet for found in gc.get_objects())

    assert simulate_seeds(0, 4, ['sequence']).runs == 4
    before = standing()
    assert simulate_seeds(0, 80, ['sequence', 'handed_over']).faults['killed'] > 10
    assert standing() == before


def test_the_fixtures_take_their_seeds_from_the_command_line(tmp_path):
    test = tmp_path / 'test_it.py'
    test.write_text(
        'import lithops\n'
        'def add(x):\n    return x + 1\n'
        'def main():\n'
        '    return lithops.FunctionExecutor().call_async(add, 0).result()\n'
        'def test_it(simulate, survive):\n'
        '    assert simulate(main).result() == survive(main).result() == 1\n'
    )
    (tmp_path / 'conftest.py').write_text("pytest_plugins = ['triggerflow_lithops.testing.plugin']\n")
    options = ['-q', '-p', 'no:cacheprovider', '--simulation-seeds', '5', '--simulation-from', '3']
    done = subprocess.run([sys.executable, '-m', 'pytest', *options, str(test)], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


JOINS = [('added_to_the_last', 1, 1008), ('joined_by_many', 1, 1008), ('joined_again', 2, 1020)]


@pytest.mark.parametrize(('name', 'firings', 'events'), JOINS)
def test_a_join_of_more_than_a_thousand_events_fires_with_them_and_starts_something(name, firings, events):
    told = simulate(CORPUS[name]).result()
    assert told == (firings, events, events, [True] * firings)
