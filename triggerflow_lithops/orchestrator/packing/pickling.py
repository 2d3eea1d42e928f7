"""
Pickles an orchestrator: what cloudpickle takes, and what an ordinary script has beside that.

While it goes through the objects it notes which modules they name, and which their code
imports: those are what has to travel along.
"""

import copyreg
import dis
import importlib.util
import inspect
import io
import pickle
import re
import sys
import types
from collections.abc import Iterator
from typing import Any, Callable

import cloudpickle.cloudpickle as cloudpickle

from .class_reducers import TYPING, completed_class
from .main_module import MAIN, MainNamespace, main_namespace
from .module_objects import Homes
from .reducers import Cache, is_reduced_by_itself, reduced, require_no_guard
from .remade import Remade, require_no_configuration

_LOADS_BY_NAME = frozenset(('import_module', '__import__', 'resolve_name'))
_LOOKED_UP = frozenset(('LOAD_NAME', 'LOAD_FROM_DICT_OR_GLOBALS'))
_NAME = re.compile(r'[^\W\d]\w*')
_IMPORT = dis.opmap['IMPORT_NAME']


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """
    :param remade: what travels of executors and storages
    :param is_installed: whether a top-level module is of an installed package, which was not written for this script
    :ivar named: modules that are named by reference, and for each what is named of it
    :ivar imported: modules that functions and classes import when they are called; not all of them have to be there
    :ivar own: functions and classes of the script
    """

    def __init__(self, file: io.BytesIO, remade: Remade, is_installed: Callable[[str], bool]):
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self.named: dict[str, str] = {}
        self.imported: set[str] = set()
        self.own: dict[str, Any] = {}
        self._remade = remade
        self._is_installed = is_installed
        self._installed: dict[str, bool] = {}
        self._homes = Homes()
        self._main: types.ModuleType = sys.modules[MAIN]
        # All functions of the script get its one namespace when they are loaded
        self.globals_ref[id(vars(self._main))] = MainNamespace(__name__=MAIN)

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is MainNamespace:
            return main_namespace, ()
        if kind is types.CodeType:
            return _code_of, (obj.co_filename, *cloudpickle._code_reduce(obj)[1])
        if kind is types.ModuleType:
            self._note_module(obj)
            return NotImplemented
        at_home = self._homes.reduced(obj)
        if at_home is not None:
            self._note_name(*at_home[1])
            return at_home[0]
        found = self._remade.reduced(obj) or reduced(obj)
        if found is None and kind in TYPING:
            found = TYPING[kind](obj)
        if found is None and kind.__module__ == MAIN:
            found = self._named_in_script(obj, kind)
        if found is None:
            found = super().reducer_override(obj)
            if isinstance(found, tuple):
                found = completed_class(obj, found)
        self._note(obj, kind, found)
        return found

    def _named_in_script(self, obj: Any, kind: type) -> Any:
        """Of an object that pickles as a name of the script: where it is loaded there is no such name before it."""
        if isinstance(obj, type) or not is_reduced_by_itself(kind):
            return None
        answer = obj.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        if not isinstance(answer, str):
            return answer
        self._note_own(obj, MAIN, answer)
        return copyreg.__newobj__, (kind,), getattr(obj, '__dict__', None) or None  # type: ignore[attr-defined]

    def _dynamic_function_reduce(self, func: types.FunctionType) -> Any:
        make, given, (attributes, state), *others = super()._dynamic_function_reduce(func)
        codes = list(_codes_of(func.__code__))
        # cloudpickle looks neither into class bodies, nor for submodules that inner code names
        space = state['__globals__']
        space.update({name: func.__globals__[name] for name in _names_of_classes(codes) if name in func.__globals__})
        state['__globals__'] = {name: self._homes.contents(value) for name, value in space.items()}
        tops = [*space.values(), *(cloudpickle._get_cell_contents(cell) for cell in func.__closure__ or ())]
        modules = [module for code in codes for module in cloudpickle._find_imported_submodules(code, tops)]
        state['_cloudpickle_submodules'] = list({id(module): module for module in modules}.values())
        return (make, given, (attributes, state), *others)

    def _note(self, obj: Any, kind: Any, found: Any) -> None:
        by_reference = found is NotImplemented or isinstance(found, str)
        if kind is types.FunctionType or kind is Cache or isinstance(obj, type):
            module, name = obj.__module__, str(obj.__qualname__)
            if by_reference:
                self._note_name(module, name)
                return
            self._note_own(obj, module, name)
            if module == MAIN:
                self._note_annotations(obj)
            if kind is types.FunctionType:
                self.imported.update(imports_of(obj.__code__, obj.__globals__.get('__package__')))
        elif kind is types.BuiltinFunctionType or isinstance(found, str):
            self._note_name(getattr(obj, '__module__', None), getattr(obj, '__qualname__', ''))
        elif kind in TYPING:
            self._note_own(obj, MAIN, getattr(obj, '__name__', ''))
        elif by_reference:
            self._require_harmless(obj, kind.__module__)

    def _require_harmless(self, obj: Any, module: str) -> None:
        if module not in self._installed:
            self._installed[module] = self._is_installed(module.partition('.')[0])
        if self._installed[module]:
            require_no_configuration(obj, module)
            require_no_guard(obj)

    def _note_own(self, obj: Any, module: str | None, name: str) -> None:
        if module == MAIN and vars(self._main).get(name) is obj:
            self.own[name] = obj

    def _note_annotations(self, obj: Any) -> None:
        """Whoever asks for the types of a class or a function looks up the names in their texts."""
        texts = [text for text in getattr(obj, '__annotations__', {}).values() if isinstance(text, str)]
        for name in _NAME.findall(' '.join(texts)):
            value = vars(self._main).get(name)
            if isinstance(value, (type, types.ModuleType, *TYPING)):
                self.own[name] = value

    def _note_name(self, module: str | None, name: str) -> None:
        if module and module != MAIN:
            self.named.setdefault(module, f'{module}.{name}')

    def _note_module(self, module: types.ModuleType) -> None:
        if cloudpickle._should_pickle_by_reference(module):
            self.named.setdefault(module.__name__, module.__name__)


def _codes_of(code: types.CodeType) -> Iterator[types.CodeType]:
    """Code, and all code inside of it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _codes_of(inner)


def _names_of_classes(codes: list[types.CodeType]) -> Iterator[str]:
    """The names that class bodies look up, which are global if they are not their own."""
    for code in codes:
        if not code.co_flags & inspect.CO_OPTIMIZED:
            yield from (found.argval for found in dis.get_instructions(code) if found.opname in _LOOKED_UP)


def _code_of(filename: str, *args: Any) -> types.CodeType:
    """Code that knows the file it was written in. cloudpickle leaves that out."""
    return types.CodeType(*args).replace(co_filename=filename)


def imports_of(code: types.CodeType, package: str | None) -> Iterator[str]:
    """
    Absolute names of the modules that code imports, the code inside of it included.

    :param package: of the module that it is in, from which relative imports start
    """
    for part in _codes_of(code):
        if _IMPORT in part.co_code[::2]:
            yield from _imports_of(part, package)
        if not _LOADS_BY_NAME.isdisjoint(part.co_names):
            # The first part of a name may be all that is written there
            texts = (text.strip('.') for text in part.co_consts if isinstance(text, str))
            yield from (text for text in texts if text.replace('.', '').isidentifier())


def _imports_of(code: types.CodeType, package: str | None) -> Iterator[str]:
    constants: list[Any] = [0, 0]
    for instruction in dis.get_instructions(code):
        if instruction.opname in ('LOAD_CONST', 'LOAD_SMALL_INT'):
            constants = [constants[-1], instruction.argval]
        elif instruction.opcode == _IMPORT:
            # The level and the names of the import were loaded before
            level = constants[0] if isinstance(constants[0], int) else 0
            name = _absolute(str(instruction.argval), level, package)
            if name:
                yield name


def _absolute(name: str, level: int, package: str | None) -> str | None:
    if not level:
        return name
    try:
        return importlib.util.resolve_name('.' * level + name, package) if package else None
    except ImportError:
        return None
