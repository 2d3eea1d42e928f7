"""
Orchestrators in a simulated world: time is skipped, faults are injected, and a seed
repeats all of it. For the tests of this project, and for yours::

    from triggerflow_lithops.testing import simulate, survive

    def test_the_result():
        assert simulate(main, {'folder': 'in/'}).result() == 6

    def test_that_it_survives_what_the_cloud_does():
        survive(main, {'folder': 'in/'}, seeds=200)
"""

try:
    import greenlet as _greenlet  # noqa: F401
except ImportError as _missing:
    raise ImportError("The simulator needs greenlet: pip install 'triggerflow-lithops[testing]'") from _missing

from .api import LawBroken, simulate, survive
from .faults import HARD, NONE, SOFT, Faults
from .simulation import Simulated

__all__ = ['HARD', 'NONE', 'SOFT', 'Faults', 'LawBroken', 'Simulated', 'simulate', 'survive']
