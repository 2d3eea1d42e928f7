from ..units import celsius
from .store import READINGS


def latest(name):
    return celsius(READINGS[name][-1])
