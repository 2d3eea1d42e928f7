"""What lies in a folder in which other processes work meanwhile."""

import os
from pathlib import Path


def below(folder):
    """All files and folders in it, at any depth. ``Path.rglob`` fails when one of them is removed meanwhile."""
    return [Path(parent, name) for parent, folders, files in os.walk(folder) for name in folders + files]
