"""
Fixtures for pytest. In the top ``conftest.py`` of your tests::

    pytest_plugins = ['triggerflow_lithops.testing.plugin']

Then a test asks for ``simulate`` or ``survive``, which are those of this package, but
that the command line says how many seeds are tried, and from which on::

    pytest --simulation-seeds 5000 --simulation-from 7
"""

import functools
from typing import Any, Callable

import pytest

from . import api


def pytest_addoption(parser: Any) -> None:
    """The options of the command line."""
    group = parser.getgroup('triggerflow-lithops')
    group.addoption('--simulation-seeds', type=int, default=100, metavar='N', help='seeds that survive() tries (100)')
    group.addoption('--simulation-from', type=int, default=None, metavar='S', help='the first of them (a random one)')


@pytest.fixture
def simulate() -> Callable[..., Any]:
    """Runs an orchestrator in a simulated world: ``simulate(orchestrator, args, seed=0, faults=NONE)``."""
    return api.simulate


@pytest.fixture
def survive(request: Any) -> Callable[..., Any]:
    """Runs an orchestrator with faults, for many seeds: ``survive(orchestrator, args)``."""
    option = request.config.getoption
    return functools.partial(api.survive, seeds=option('--simulation-seeds'), first_seed=option('--simulation-from'))
