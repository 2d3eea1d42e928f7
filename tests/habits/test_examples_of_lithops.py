"""What is written after the examples that Lithops publishes comes to the same as plain drivers and as orchestrators."""

import pytest
from compare import habits_of

SCRIPTS = ['examples_of_lithops', 'examples_of_multiprocessing']


# The habits run in fresh interpreters, too
@pytest.mark.parametrize('mode', ['forked'])
@pytest.mark.parametrize(('script', 'name'), habits_of(SCRIPTS))
def test_an_example_comes_to_what_it_comes_to_as_a_plain_driver(programs, script, name, mode):
    kind, expected = programs.came(script, 'plain').outcomes[name]
    assert kind == 'value', expected
    came = programs.came(script, mode)
    assert came.outcomes[name] == [kind, expected] and came.activations[name] > 1
