"""
Builds the package: setuptools does, in a folder that is new each time.

Two things differ from plain setuptools. Nothing is left in the source tree, and
nothing that an earlier build has left there comes into the next one: a module that
was moved would be installed under both names. And an editable install works.

An editable install of setuptools' has no files in the folder of Lithops, and
Lithops makes its workers from the files in its folder. So ours is the usual wheel
without our own package, which is found in the source tree by a ``.pth`` file.
What travels to workers is a copy (``docs/decisions/0027-what-an-editable-install-copies.md``).
"""

import base64
import contextlib
import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from setuptools import build_meta

ROOT = Path(__file__).resolve().parent
#: The first parts of the paths that an editable wheel does not have
IN_THE_TREE = ('triggerflow_lithops', 'triggerflow_lithops_command.py')

Settings = dict[str, Any] | None


@contextlib.contextmanager
def own_folder() -> Iterator[None]:
    """Inside of it, setuptools keeps what it builds in a folder of its own (its ``DIST_EXTRA_CONFIG``)."""
    before = os.environ.get('DIST_EXTRA_CONFIG')
    with tempfile.TemporaryDirectory(prefix='triggerflow-lithops-build-') as folder:
        extra = Path(folder, 'extra.cfg')
        extra.write_text(f'[build]\nbuild_base = {folder}\n[egg_info]\negg_base = {folder}\n')
        os.environ['DIST_EXTRA_CONFIG'] = str(extra)
        try:
            yield
        finally:
            del os.environ['DIST_EXTRA_CONFIG']
            if before is not None:
                os.environ['DIST_EXTRA_CONFIG'] = before


def get_requires_for_build_sdist(config_settings: Settings = None) -> list[str]:
    with own_folder():
        return build_meta.get_requires_for_build_sdist(config_settings)


def get_requires_for_build_wheel(config_settings: Settings = None) -> list[str]:
    with own_folder():
        return build_meta.get_requires_for_build_wheel(config_settings)


get_requires_for_build_editable = get_requires_for_build_wheel


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: Settings = None) -> str:
    with own_folder():
        return build_meta.prepare_metadata_for_build_wheel(metadata_directory, config_settings)


prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel


def build_sdist(sdist_directory: str, config_settings: Settings = None) -> str:
    with own_folder():
        return build_meta.build_sdist(sdist_directory, config_settings)


def build_wheel(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    with own_folder():
        return build_meta.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_editable(wheel_directory: str, config_settings: Settings = None, metadata_directory: str | None = None) -> str:
    with tempfile.TemporaryDirectory(prefix='triggerflow-lithops-build-') as folder:
        name = build_wheel(folder, config_settings, metadata_directory)
        with zipfile.ZipFile(Path(folder, name)) as wheel:
            files = {path: wheel.read(path) for path in wheel.namelist() if path.split('/')[0] not in IN_THE_TREE}
    record = next(path for path in files if path.endswith('.dist-info/RECORD'))
    del files[record]
    files['__editable__.triggerflow_lithops.pth'] = f'{ROOT}\n'.encode()
    lines = [f'{path},{_digest(content)},{len(content)}\n' for path, content in files.items()]
    files[record] = ''.join([*lines, f'{record},,\n']).encode()
    with zipfile.ZipFile(Path(wheel_directory, name), 'w', zipfile.ZIP_DEFLATED) as wheel:
        for path, content in files.items():
            wheel.writestr(path, content)
    return name


def _digest(content: bytes) -> str:
    """As the specification of wheels has it: base64 without its padding."""
    return 'sha256=' + base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()
