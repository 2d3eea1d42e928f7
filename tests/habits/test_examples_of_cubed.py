"""What is written after cubed's own examples computes what numpy does, on its Lithops executor, with nothing pinned."""

import sys

import numpy as np
import pytest
from compare import SCRIPTS, habits_of

if sys.version_info < (3, 11):
    pytest.skip('cubed needs Python 3.11', allow_module_level=True)

SCRIPT = 'examples_of_cubed'
#: A plain driver takes minutes, and numpy says what is right
PLAIN = False
NUMBERS = np.arange(36.0).reshape(6, 6)
ANOMALY = NUMBERS - NUMBERS.mean(axis=0)


def winds():
    rng = np.random.default_rng(3)
    return rng.random((4, 3, 5)), rng.random((4, 3, 5)), rng.random((3, 5)), rng.random((3, 5))


def difference(array, axis):
    """As of the notebook: the first one stands for that before it, too."""
    pad = [(1, 0) if i == axis else (0, 0) for i in range(array.ndim)]
    return np.pad(np.diff(array, axis=axis), pad, mode='symmetric')


def vorticity(u, v, dx, dy):
    return (difference(u, 1) * dx - difference(v, 2) * dy).mean(axis=0)


def quadratic_means(u, v, *_):
    return [(u**2).mean(axis=0), (v**2).mean(axis=0), (u * v).mean(axis=0)]


#: What numpy makes of each. Random arrays are compared with each other, inside of the orchestrator
EXPECTED = {
    'add': ((np.arange(1, 10).reshape(3, 3) + 1).tolist(), True, True),
    'matmul_random': (True, (4, 4)),
    'vorticity': vorticity(*winds()).round(9).tolist(),
    'quadratic_means': [found.round(9).tolist() for found in quadratic_means(*winds())],
    'reductions': [
        NUMBERS.sum(axis=1).tolist(),
        NUMBERS.max().tolist(),
        NUMBERS.argmax(axis=0).tolist(),
        (ANOMALY**2).sum().tolist(),
        NUMBERS.T.tolist(),
    ],
}


# Not in fresh interpreters, each of which takes seconds to import cubed
@pytest.mark.parametrize('mode', ['forked'])
@pytest.mark.parametrize(('script', 'name'), habits_of([SCRIPT]))
def test_cubed_computes_what_numpy_does(programs, script, name, mode):
    came = programs.came(script, mode)
    assert came.outcomes[name] == ['value', repr(EXPECTED[name])]
    assert came.activations[name] > 1


def test_nothing_is_pinned():
    assert 'CONTEXT_ID' not in (SCRIPTS / f'{SCRIPT}.py').read_text(encoding='utf-8')
