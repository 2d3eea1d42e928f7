"""What touches the world around a script comes to the same: files, modules, processes, output, blocks around waits."""

import pytest
from compare import MODES, habits_of, names_of

SCRIPTS = ['files', 'surroundings', 'parallel', 'output', 'waiting']


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


#: What each prints is compared, not only what it returns
PRINTS = [habit for habit in names_of('output') if habit not in ('output_that_goes_to_a_file',)]


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize('script', ['output'])
@pytest.mark.parametrize('habit', PRINTS)
def test_each_line_is_written_once_and_only_once(programs, script, habit, mode):
    expected = programs.came(script, 'plain').lines[habit]
    assert programs.came(script, mode).lines[habit] == expected


@pytest.mark.parametrize('mode', MODES)
@pytest.mark.parametrize(('script', 'name'), habits_of(['orchestrators']))
def test_an_orchestrator_ends_as_a_plain_driver_does(programs, script, name, mode):
    expected = programs.came(script, 'plain').outcomes[name]
    # Its name says how it ends
    assert expected[0] == ('exception' if name.startswith(('raises_', 'exits_')) else 'value')
    came = programs.came(script, mode)
    assert came.outcomes[name] == expected and came.activations[name] > 1
