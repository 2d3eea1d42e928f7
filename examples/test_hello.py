"""How to test an orchestrator: in a simulated world, where time is skipped and nothing leaves the process."""

from hello import main

from triggerflow_lithops.testing import HARD, simulate, survive


def test_the_result():
    assert simulate(main).result() == 6


def test_it_is_suspended_while_its_calls_run():
    run = simulate(main)
    assert run.seconds > 4
    assert [activation['result'] for activation in run.activations()] == ['suspended', 'suspended', 'completed']


def test_one_run_in_which_much_goes_wrong():
    assert simulate(main, seed=11, faults=HARD).result() == 6


def test_it_survives_whatever_the_cloud_does_to_it():
    survive(main, seeds=100)
