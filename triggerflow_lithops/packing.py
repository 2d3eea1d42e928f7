"""
What travels along with an orchestrator: modules and packages, with their files of data.

What the pickle names and what code imports is looked up as this process would import it. A
module of the script's own travels whole, with what it imports in its turn; one that is
installed travels if the runtime has it not; the standard library and Lithops never do.
"""

import ast
import base64
import fnmatch
import functools
import importlib.machinery
import importlib.util
import os
import site
import sys
import sysconfig
import zipfile
import zipimport
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

from .errors import InvalidRunError

#: Bytes of all that travels with one run
LIMIT = 50 * 1024**2
#: Bytes of a file whose text is kept for the next run
_KEPT = 1024**2
#: Are in every runtime, or travel otherwise
_EVERYWHERE = frozenset(('lithops', 'triggerflow_lithops'))
_LEFT_OUT = frozenset(('__pycache__', 'node_modules'))
_NATIVE = (*importlib.machinery.EXTENSION_SUFFIXES, '.pyd', '.dylib')


@dataclass
class Place:
    """
    Where a top-level module lies.

    :param roots: files or folders that travel: a module, a package, or the portions of a namespace
    :param is_installed: whether it is of an installed package, and not of the script's own
    """

    roots: list[str]
    is_installed: bool
    archive: str | None = None
    name: str = ''


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
                waiting += [(name, '') for name in sorted(_imports(path for _, path in added))]
        self._add_strays(named, found)
        return self._encoded(found)

    def _take(self, top: str, needed_for: str, found: Found) -> bool:
        """Whether files were added that may import others."""
        if top in _EVERYWHERE or top in self._exclude or top in ('__main__', '__mp_main__'):
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
        files = dict(_files(place.roots))
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
                    found.files.update(_files(place.roots))

    def _require_included(self, named: dict[str, str]) -> None:
        if self._is_local:
            # Whatever this program can import is there
            return
        files = {PurePath(name).name.partition('.')[0] for name in self._include or () if name.endswith(('.py', '.so'))}
        included = files | {name.partition('.')[0] for name in self._include or ()}
        for top, needed_for in _tops(named).items():
            if top in _EVERYWHERE | self._preinstalled | self._exclude | included or is_standard(top):
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
            if '.' not in name or not path or path in there or top in _EVERYWHERE | self._exclude or not os.path.isfile(path):
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


def is_standard(top: str) -> bool:
    """Whether a top-level module is of Python itself."""
    return top in sys.stdlib_module_names or top in sys.builtin_module_names


def is_installed(top: str) -> bool:
    """Whether a top-level module is of an installed package: neither of Python, nor of the script's own."""
    if is_standard(top):
        return False
    if top in _EVERYWHERE:
        return True
    place = place_of(top)
    return place is not None and place.is_installed


def place_of(top: str) -> Place | None:
    """Where a top-level module lies; None for one of Python itself, and for one that is not found."""
    spec = _spec_of(top)
    if spec is None or spec.origin in ('built-in', 'frozen'):
        return None
    if isinstance(spec.loader, zipimport.zipimporter):
        return Place([], _lies_in(spec.loader.archive, _installed_folders()), spec.loader.archive, top)
    if spec.submodule_search_locations is not None and not spec.has_location:
        portions = [path for path in spec.submodule_search_locations if os.path.isdir(path)]
        own = [path for path in portions if not _lies_in(path, _installed_folders())]
        return Place(own or portions, not own)
    if not spec.origin or not os.path.exists(spec.origin):
        return None
    root = os.path.dirname(spec.origin) if spec.submodule_search_locations is not None else spec.origin
    installed = _lies_in(root, _installed_folders())
    return None if not installed and _lies_in(root, _standard_folders()) else Place([os.path.abspath(root)], installed)


def _spec_of(top: str) -> importlib.machinery.ModuleSpec | None:
    spec = getattr(sys.modules.get(top), '__spec__', None)
    if spec is None:
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError, AttributeError):
            # One that was put into sys.modules has none
            spec = importlib.machinery.PathFinder.find_spec(top)
    return spec


@functools.cache
def _installed_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple({os.path.realpath(path) for path in (paths['purelib'], paths['platlib'], *_sites())})


def _sites() -> list[str]:
    return [*getattr(site, 'getsitepackages', list)(), site.getusersitepackages()]


@functools.cache
def _standard_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    return tuple({os.path.realpath(paths[name]) for name in ('stdlib', 'platstdlib')})


def _lies_in(path: str, folders: tuple[str, ...]) -> bool:
    real = os.path.realpath(path)
    if any(real == folder or real.startswith(folder + os.sep) for folder in folders):
        return True
    return bool({'site-packages', 'dist-packages'} & set(PurePath(real).parts))


def _tops(named: dict[str, str]) -> dict[str, str]:
    tops: dict[str, str] = {}
    for module, what in named.items():
        tops.setdefault(module.partition('.')[0], what)
    return tops


def _files(roots: list[str]) -> Iterator[tuple[str, str]]:
    """Paths where they travel, and where they lie here: all files but those that Python or a tool has made."""
    for root in roots:
        root = os.path.abspath(root)
        if os.path.isfile(root):
            yield os.path.basename(root), root
            continue
        base = os.path.dirname(root)
        seen: set[str] = set()
        for folder, folders, names in os.walk(root, followlinks=True):
            real = os.path.realpath(folder)
            if real in seen:
                folders[:] = []
                continue
            seen.add(real)
            folders[:] = sorted(name for name in folders if not _is_left_out(folder, name))
            for name in sorted(names):
                path = os.path.join(folder, name)
                compiled = name.endswith(('.pyc', '.pyo')) and os.path.exists(path[:-1])
                if not compiled and not name.startswith('.') and os.path.isfile(path):
                    yield PurePath(os.path.relpath(path, base)).as_posix(), path


def _is_left_out(folder: str, name: str) -> bool:
    return name.startswith('.') or name in _LEFT_OUT or os.path.exists(os.path.join(folder, name, 'pyvenv.cfg'))


def _read_archive(place: Place, found: Found) -> None:
    with zipfile.ZipFile(str(place.archive)) as archive:
        for name in archive.namelist():
            if (name == f'{place.name}.py' or name.startswith(f'{place.name}/')) and not name.endswith('/'):
                found.texts[name] = archive.read(name)


_texts: dict[str, tuple[tuple[int, int], str]] = {}
_found_imports: dict[str, tuple[tuple[int, int], frozenset[str]]] = {}


def _text_of(path: str) -> str:
    version = _version(path)
    kept = _texts.get(path)
    if kept is not None and kept[0] == version:
        return kept[1]
    with open(path, 'rb') as file:
        text = base64.b64encode(file.read()).decode()
    if version[1] <= _KEPT:
        _texts[path] = version, text
    return text


def _version(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size


def _imports(paths: Iterable[str]) -> set[str]:
    """Top-level names of what these files import, wherever in them."""
    names: set[str] = set()
    for path in paths:
        if not path.endswith('.py'):
            continue
        version = _version(path)
        kept = _found_imports.get(path)
        if kept is None or kept[0] != version:
            kept = _found_imports[path] = version, frozenset(_imports_of_file(path))
        names |= kept[1]
    return names


def _imports_of_file(path: str) -> Iterator[str]:
    with open(path, 'rb') as file:
        try:
            body: list[Any] = [ast.parse(file.read())]
        except (SyntaxError, ValueError):
            return
    while body:
        node = body.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition('.')[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if not node.level and node.module:
                yield node.module.partition('.')[0]
        else:
            # Imports are statements: there are none inside of expressions
            for name in ('body', 'orelse', 'finalbody', 'handlers', 'cases'):
                inner = getattr(node, name, None)
                if isinstance(inner, list):
                    body += inner
