"""A package beside the scripts, with relative imports, a package inside, and a file of data."""

from . import units
from .readings import latest
from .units import celsius

__all__ = ['celsius', 'latest', 'names', 'units']


def names():
    from importlib import resources

    return (resources.files(__name__) / 'stations.txt').read_text().split()
