"""The laws, over a corpus of programs, under injected faults."""

import random

import pytest
from simulation import CORPUS, HARD, NONE, SOFT, Simulation

from triggerflow_lithops.triggers.keys import Call

SEEDS = 60


@pytest.fixture(scope='module')
def first_seed():
    seed = random.SystemRandom().randrange(10**9)
    print(f'first seed: {seed}')
    return seed


def simulate(program, seed, faults, sweeps=True):
    simulation = Simulation(program, seed, faults, sweeps)
    outcome = simulation.run()
    where = f'{program.__name__}, seed {seed}'
    assert not simulation.broken, (where, simulation.broken)
    assert outcome['status'] == 'completed' and outcome['value'] == CORPUS[program], (where, outcome)
    return simulation


@pytest.mark.parametrize('program', CORPUS, ids=lambda program: program.__name__)
@pytest.mark.parametrize('faults', [NONE, SOFT], ids=['none', 'soft'])
def test_a_run_without_deaths_ends_right_and_needs_no_sweep(program, faults, first_seed):
    for seed in range(first_seed, first_seed + SEEDS):
        simulate(program, seed, faults, sweeps=False)


@pytest.mark.parametrize('program', CORPUS, ids=lambda program: program.__name__)
def test_a_run_with_deaths_and_lost_invocations_ends_right(program, first_seed):
    for seed in range(first_seed, first_seed + 3 * SEEDS):
        simulate(program, seed, HARD)


@pytest.mark.parametrize('program', CORPUS, ids=lambda program: program.__name__)
def test_a_run_without_faults_invokes_each_call_once_and_is_never_swept(program, first_seed):
    for seed in range(first_seed, first_seed + SEEDS):
        simulation = simulate(program, seed, NONE)
        assert not any(simulation.repaired)
        assert all(count == 1 for what, count in simulation.invocations.items() if isinstance(what, Call))


def test_a_simulation_is_repeated_by_its_seed():
    first, again = (Simulation(next(iter(CORPUS)), 7, HARD) for _ in range(2))
    first.run()
    again.run()
    assert first.requests == again.requests and list(first.store.objects) == list(again.store.objects)
    assert first.counts == again.counts
