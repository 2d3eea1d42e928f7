"""Small scripts of ordinary Python come to the same as plain drivers and as orchestrators."""

import pytest
from compare import MODES, habits_of, names_of

SCRIPTS = ['containers', 'functions', 'classes', 'failures', 'texts', 'arithmetic', 'clocks', 'data']


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize(('script', 'habit'), habits_of(SCRIPTS))
def test_a_habit_comes_to_what_it_comes_to_in_a_plain_driver(programs, script, habit, mode):
    kind, expected = programs.came(script, 'plain').outcomes[habit]
    assert kind == 'value', expected
    assert programs.came(script, mode).outcomes[habit] == [kind, expected]


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('script', SCRIPTS)
def test_each_script_was_replayed(programs, script, mode):
    assert min(programs.came(script, mode).activations.values()) > 1


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('script', SCRIPTS)
def test_a_script_leaves_the_files_that_a_plain_driver_leaves(programs, script, mode):
    assert programs.came(script, mode).files == programs.came(script, 'plain').files


def test_the_suite_is_as_large_as_it_says():
    assert len(habits_of(SCRIPTS)) == len(set(habits_of(SCRIPTS))) > 140
    assert all(names_of(script) for script in SCRIPTS)
