"""
What travels along with an orchestrator: modules and packages, with their files of data.

What the pickle names and what code imports is looked up as this process would import it. A
module of the script's own travels whole, with what it imports in its turn; one that is
installed travels if the runtime has it not; the standard library and Lithops never do.
"""

import base64
import fnmatch
import importlib.machinery
import importlib.util
import os
import sys
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePath

from ...errors import InvalidRunError
from .places import EVERYWHERE, Place, files_of, imports_in, is_standard, place_of, version_of

#: Bytes of all that travels with one run
LIMIT = 50 * 1024**2
#: Bytes of a file whose text is kept for the next run
_KEPT = 1024**2
_NATIVE = (*importlib.machinery.EXTENSION_SUFFIXES, '.pyd', '.dylib')


@dataclass
class Found:
    """
    Modules that were found.

    :ivar files: the path that a file is written to where it travels, and where it lies here
    """

    files: dict[str, str] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)


class Modules:
    """
    :param preinstalled: top-level modules that the runtime has
    :param include: as Lithops has it: only these travel; all that are needed if it is empty, and none if it is None
    :param exclude: as Lithops has it: names of modules, and patterns of files in them, that do not travel
    :param is_local: whether the runtime is the interpreter of this machine
    """

    def __init__(self, preinstalled: Iterable[str], include: set[str] | None, exclude: set[str], is_local: bool):
        self._preinstalled = frozenset(preinstalled)
        self._include = include
        self._exclude = exclude
        self._is_local = is_local

    def travelling(self, named: dict[str, str], imported: Iterable[str]) -> dict[str, str]:
        """
        The files that travel, in the form of Lithops: paths below the folder that is imported from, and base64.

        :param named: modules that have to be there, and what is named of each
        :param imported: modules that may be missing here
        :raises InvalidRunError: one that has to be there cannot travel, or all together are too large
        """
        if self._include is None:
            return {}
        found = Found()
        if self._include:
            self._explicit(found)
            self._require_included(named)
            return self._encoded(found)
        seen: set[str] = set()
        waiting = [*_tops(named).items(), *((name.partition('.')[0], '') for name in sorted(imported))]
        while waiting:
            top, needed_for = waiting.pop()
            if top in seen or not top:
                continue
            seen.add(top)
            before = len(found.files)
            if self._take(top, needed_for, found):
                added = list(found.files.items())[before:]
                waiting += [(name, '') for name in sorted(imports_in(path for _, path in added))]
        self._add_strays(named, found)
        return self._encoded(found)

    def _take(self, top: str, needed_for: str, found: Found) -> bool:
        """Whether files were added that may import others."""
        if top in EVERYWHERE or top in self._exclude or top in ('__main__', '__mp_main__'):
            return False
        place = place_of(top)
        if place is None:
            if needed_for and top not in self._preinstalled and not is_standard(top):
                raise InvalidRunError(
                    f"The module '{top}', which is needed for {needed_for}, cannot be found on this machine, so it cannot "
                    "travel. Write it to a file that can be imported; or, if the runtime has it, name it in 'exclude_modules' of "
                    'the Lithops configuration.'
                )
            return False
        if place.is_installed and (top in self._preinstalled or self._is_local):
            return False
        if place.archive:
            _read_archive(place, found)
            return False
        files = dict(files_of(place.roots))
        native = [path for path in files.values() if path.endswith(_NATIVE)]
        if native and not self._is_local and (place.is_installed or not sys.platform.startswith('linux')):
            # Made for the libraries, or for the system, of this machine
            if needed_for and top not in self._preinstalled:
                raise InvalidRunError(
                    f"The module '{top}', which is needed for {needed_for}, has native code ({os.path.basename(native[0])}), "
                    'which does not travel, and it is not in the runtime. Build a runtime that has it; or, if it is not used '
                    "there, name it in 'exclude_modules' of the Lithops configuration."
                )
            return False
        found.files.update(files)
        return True

    def _explicit(self, found: Found) -> None:
        for name in self._include or ():
            if name.endswith(('.py', '.so')):
                path = os.path.abspath(name)
                if os.path.isfile(path):
                    found.files[os.path.basename(path)] = path
            elif name.partition('.')[0] not in self._preinstalled or self._is_local:
                place = place_of(name.partition('.')[0])
                if place is not None and place.archive:
                    _read_archive(place, found)
                elif place is not None:
                    found.files.update(files_of(place.roots))

    def _require_included(self, named: dict[str, str]) -> None:
        if self._is_local:
            # Whatever this program can import is there
            return
        files = {PurePath(name).name.partition('.')[0] for name in self._include or () if name.endswith(('.py', '.so'))}
        included = files | {name.partition('.')[0] for name in self._include or ()}
        for top, needed_for in _tops(named).items():
            if top in EVERYWHERE | self._preinstalled | self._exclude | included or is_standard(top):
                continue
            place = place_of(top)
            if place is None or not place.is_installed:
                raise InvalidRunError(
                    f"The module '{top}', which is needed for {needed_for}, is not named in 'include_modules' of the Lithops "
                    'configuration, which names all that travels. Name it there, too, or leave that setting out.'
                )

    def _add_strays(self, named: dict[str, str], found: Found) -> None:
        """Modules that lie elsewhere than their package, which has put another folder on its path."""
        there = set(found.files.values())
        for name in named:
            path = getattr(sys.modules.get(name), '__file__', None)
            top = name.partition('.')[0]
            if '.' not in name or not path or path in there or top in EVERYWHERE | self._exclude or not os.path.isfile(path):
                continue
            place = place_of(top)
            if place is not None and not place.is_installed and any(map(os.path.isdir, place.roots)):
                inside = name.replace('.', '/') + ('/__init__.py' if hasattr(sys.modules[name], '__path__') else '.py')
                found.files.setdefault(inside, path)

    def _encoded(self, found: Found) -> dict[str, str]:
        patterns = [pattern for pattern in self._exclude if '/' in pattern or '*' in pattern or '.' in pattern]
        files = {
            name: path
            for name, path in found.files.items()
            if not any(fnmatch.fnmatch(name, pattern) or path == pattern for pattern in patterns)
        }
        sizes = {name: os.path.getsize(path) for name, path in files.items()}
        if sum(sizes.values()) > LIMIT:
            largest = sorted(sizes, key=lambda name: -sizes[name])[:5]
            told = ', '.join(f'{name} ({sizes[name] / 1024**2:.1f} MB)' for name in largest)
            raise InvalidRunError(
                f'The modules that travel with the orchestrator have {sum(sizes.values()) / 1024**2:.0f} MB, and at most '
                f'{LIMIT // 1024**2} MB can travel. The largest files: {told}. Name modules, or patterns such as '
                f"'{largest[0].partition('/')[0]}/*.bin', in 'exclude_modules' of the Lithops configuration."
            )
        encoded = {name: _text_of(path) for name, path in sorted(files.items())}
        return encoded | {name: base64.b64encode(text).decode() for name, text in found.texts.items()}


def _tops(named: dict[str, str]) -> dict[str, str]:
    tops: dict[str, str] = {}
    for module, what in named.items():
        tops.setdefault(module.partition('.')[0], what)
    return tops


def _read_archive(place: Place, found: Found) -> None:
    with zipfile.ZipFile(str(place.archive)) as archive:
        for name in archive.namelist():
            if (name == f'{place.name}.py' or name.startswith(f'{place.name}/')) and not name.endswith('/'):
                found.texts[name] = archive.read(name)


_texts: dict[str, tuple[tuple[int, int], str]] = {}


def _text_of(path: str) -> str:
    version = version_of(path)
    kept = _texts.get(path)
    if kept is not None and kept[0] == version:
        return kept[1]
    with open(path, 'rb') as file:
        text = base64.b64encode(file.read()).decode()
    if version[1] <= _KEPT:
        _texts[path] = version, text
    return text
