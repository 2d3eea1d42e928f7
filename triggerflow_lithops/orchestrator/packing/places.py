"""Where the modules of a program lie: in Python itself, among the installed packages, or with the script."""

import ast
import functools
import importlib.machinery
import importlib.util
import os
import site
import sys
import sysconfig
import zipimport
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

#: Are in every runtime, or travel otherwise
EVERYWHERE = frozenset(('lithops', 'triggerflow_lithops'))
_LEFT_OUT = frozenset(('__pycache__', 'node_modules'))


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


def is_standard(top: str) -> bool:
    """Whether a top-level module is of Python itself."""
    return top in sys.stdlib_module_names or top in sys.builtin_module_names


def is_installed(top: str) -> bool:
    """Whether a top-level module is of an installed package: neither of Python, nor of the script's own."""
    if is_standard(top):
        return False
    if top in EVERYWHERE:
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


def files_of(roots: list[str]) -> Iterator[tuple[str, str]]:
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


_found_imports: dict[str, tuple[tuple[int, int], frozenset[str]]] = {}


def version_of(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_mtime_ns, status.st_size


def imports_in(paths: Iterable[str]) -> set[str]:
    """Top-level names of what these files import, wherever in them."""
    names: set[str] = set()
    for path in paths:
        if not path.endswith('.py'):
            continue
        version = version_of(path)
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
