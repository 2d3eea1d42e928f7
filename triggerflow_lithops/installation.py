"""
Whether the plugin is where this Lithops will take it along.

Lithops zips its own folder into every function, image and local worker. What a
worker needs has to be in that folder, and be of the same version as we are.
"""

import hashlib
import os
import sys
from functools import cache
from pathlib import Path

import lithops
from lithops.version import __version__ as lithops_version

from .errors import InstallationError

PACKAGE = Path(__file__).parent
LITHOPS = Path(lithops.__file__).parent
BACKEND = Path('monitoring', 'backends', 'triggerflow')

_REINSTALL = (
    f"Install both into one environment: '{sys.executable} -m pip install --force-reinstall --no-deps triggerflow-lithops' "
    "(or '… pip install .' in its source tree; an editable install is not enough)."
)


def digest(folder: Path) -> str:
    """Twelve hexadecimal digits of all modules below ``folder``, names and bytes."""
    found = hashlib.blake2b(digest_size=6)
    for module in sorted(folder.rglob('*.py')):
        found.update(module.relative_to(folder).as_posix().encode())
        found.update(module.read_bytes())
    return found.hexdigest()


def require_patch(lithops_folder: Path = LITHOPS) -> None:
    """
    Checks that Lithops' own folder has what a worker needs.

    :raises InstallationError: it has not, or another version of it
    """
    patch = lithops_folder / BACKEND
    if not (patch / 'status.py').is_file():
        raise InstallationError(
            f'{patch} is missing: this Lithops would make workers that cannot report to an orchestrator. {_REINSTALL}'
        )
    ours, theirs = digest(PACKAGE / 'triggers'), digest(patch / 'triggers')
    if ours != theirs:
        raise InstallationError(
            f'{patch} is of another version than {PACKAGE} (digest {theirs}, expected {ours}). {_REINSTALL}'
        )


@cache
def fingerprint() -> str:
    """What tells this installation from any other on this machine."""
    parts = (
        sys.executable,
        sys.prefix,
        sys.version,
        lithops_version,
        str(LITHOPS),
        digest(PACKAGE),
        digest(LITHOPS / BACKEND),
        os.environ.get('PYTHONPATH', ''),
    )
    return hashlib.blake2b('\0'.join(parts).encode(), digest_size=6).hexdigest()
