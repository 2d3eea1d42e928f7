"""
Whether there is a Lithops that this plugin works with, and whether the plugin is
where that Lithops will take it along.

Lithops zips its own folder into every function, image and local worker. What a
worker needs has to be in that folder, and be of the same version as we are.

This module is imported before all others, so that an unsuitable Lithops is one
sentence and not an ImportError from deep inside. At its top it therefore imports
nothing of Lithops.
"""

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import re
import shlex
import sys
from functools import cache
from pathlib import Path
from typing import Any, Iterator
from urllib.parse import unquote, urlsplit

from ..errors import InstallationError

PACKAGE = Path(__file__).parent.parent
BACKEND = Path('monitoring', 'backends', 'triggerflow')

#: Releases of Lithops that this plugin works with: the first one, and the first one that is too new
RELEASES = (3, 8), (4, 0)
#: The name of this plugin where packages come from
DISTRIBUTION = 'triggerflow-lithops'
#: In a checkout, where the files lie that are installed into Lithops' own folder
SOURCE = PACKAGE.parent / 'patches' / 'lithops' / BACKEND
#: The package inside of ours that is installed there, too
FLOOR_0 = 'core'


def digest(folder: Path, but: str = '') -> str:
    """Twelve hexadecimal digits of all modules below ``folder``, names and bytes; without the folder ``but`` in it."""
    found = hashlib.blake2b(digest_size=6)
    for module in sorted(folder.rglob('*.py')):
        if but and module.is_relative_to(folder / but):
            continue
        found.update(module.relative_to(folder).as_posix().encode())
        found.update(module.read_bytes())
    return found.hexdigest()


def require_patch(lithops_folder: Path | None = None) -> None:
    """
    Checks that Lithops' own folder has what a worker needs.

    :raises InstallationError: it has not, or another version of it
    """
    patch = (lithops_folder or LITHOPS) / BACKEND
    if not (patch / 'status.py').is_file():
        raise InstallationError(
            f'{patch} is missing: this Lithops would make workers that cannot report to an orchestrator. {_reinstall()}'
        )
    copies = [(PACKAGE / FLOOR_0, digest(PACKAGE / FLOOR_0), digest(patch / FLOOR_0))]
    if SOURCE.is_dir():
        copies.append((SOURCE, digest(SOURCE), digest(patch, but=FLOOR_0)))
    for source, expected, found in copies:
        if found != expected:
            raise InstallationError(
                f'{patch} is of another version than {source} (digest {found}, expected {expected}). {_reinstall()}'
            )


def _reinstall() -> str:
    """What to do where Lithops' folder lacks what a worker needs: sentences, with the command to run."""
    command = _installs(_origin(), '--force-reinstall --no-deps', f'--reinstall-package {DISTRIBUTION} --no-deps')
    if {'site-packages', 'dist-packages'} & {*LITHOPS.parts}:
        return f"Install both into one environment: '{command}'."
    return (
        f'{LITHOPS} is a folder into which packages are not installed. Install Lithops as a package (and not as an editable one) '
        f"into the environment of {sys.executable}. After that: '{command}'."
    )


def _origin() -> str:
    """What this plugin was installed from, in the words of an installer. The installer has left a note of it (PEP 610)."""
    url: dict[str, Any] = {}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError, ValueError):
        url = json.loads(importlib.metadata.distribution(DISTRIBUTION).read_text('direct_url.json') or '{}')
    if 'vcs_info' in url:
        return shlex.quote(f'{url["vcs_info"]["vcs"]}+{url["url"]}@{url["vcs_info"]["commit_id"]}')
    path = PACKAGE.parent if SOURCE.is_dir() else Path(unquote(urlsplit(url.get('url', '')).path))
    editable = '-e ' if url.get('dir_info', {}).get('editable') else ''
    return f'{editable}{shlex.quote(str(path))}' if path.is_absolute() and path.exists() else DISTRIBUTION


def _installs(packages: str, for_pip: str = '', for_uv: str = '') -> str:
    """A command that installs packages into this environment: of pip where there is one, and of uv where there is none."""
    if importlib.util.find_spec('pip'):
        words = [sys.executable, '-m pip install', for_pip, packages]
    else:
        words = ['uv pip install --python', sys.executable, for_uv, packages]
    return ' '.join(word for word in words if word)


_INSTALL = "'" + _installs('"lithops>=3.8,<4"') + "'"


def _found() -> tuple[Path, str]:
    """The folder of Lithops, and its version."""
    spec = importlib.util.find_spec('lithops')
    # Where only this plugin was installed, its own folder inside of Lithops' is there, and nothing else
    if spec is None or spec.origin is None:
        raise InstallationError(f'Lithops is not installed for {sys.executable}. triggerflow-lithops needs it: {_INSTALL}.')
    folder = Path(spec.origin).parent
    try:
        version = str(importlib.import_module('lithops.version').__version__)
    except Exception as error:
        raise InstallationError(
            f'Lithops in {folder} cannot be imported: {type(error).__name__}: {error}. Install it again: {_INSTALL}.'
        ) from error
    return folder, version


def require_version(version: str) -> None:
    """
    Checks that this plugin works with a release of Lithops.

    :raises InstallationError: it does not
    """
    release = re.match(r'(\d+)\.(\d+)', version)
    first, too_new = RELEASES
    if release and not first <= (int(release[1]), int(release[2])) < too_new:
        raise InstallationError(
            f'Found Lithops {version} in {LITHOPS}. triggerflow-lithops needs Lithops 3.8 or later, and below 4: {_INSTALL}.'
        )


@contextlib.contextmanager
def imports_of_lithops() -> Iterator[None]:
    """
    Inside of it, modules are imported that take names from Lithops.

    :raises InstallationError: this Lithops does not have such a name
    """
    try:
        yield
    except (ImportError, AttributeError) as error:
        if not _is_about_lithops(error):
            raise
        raise InstallationError(
            f'Lithops {VERSION} in {LITHOPS} lacks something that triggerflow-lithops uses: {error}. '
            f'Install the newest of both, or a Lithops that this plugin works with: {_INSTALL}.'
        ) from error


def _is_about_lithops(error: ImportError | AttributeError) -> bool:
    if isinstance(error, ImportError):
        module = error.name
    else:
        # Of a module, its name; of a class, that of its module
        module = getattr(error.obj, '__module__', None) or getattr(error.obj, '__name__', None)
    return str(module).split('.')[0] == 'lithops'


LITHOPS, VERSION = _found()


@cache
def fingerprint() -> str:
    """What tells this installation from any other on this machine."""
    parts = (
        sys.executable,
        sys.prefix,
        sys.version,
        VERSION,
        str(LITHOPS),
        digest(PACKAGE),
        digest(LITHOPS / BACKEND),
        os.environ.get('PYTHONPATH', ''),
    )
    return hashlib.blake2b('\0'.join(parts).encode(), digest_size=6).hexdigest()
