"""
The script's ``__main__``, and how what was packed is loaded into it.

In an activation ``sys.modules['__main__']`` is the namespace of the script: its functions and
classes, by value, and the variables that they name. The file of the script is not executed
again. All functions of the script have this one namespace as their globals, so that a
``global`` statement, a plain ``pickle`` of the script's objects, and a pool of forked
processes work as they do in the script.
"""

import contextvars
import decimal
import functools
import io
import multiprocessing
import multiprocessing.context
import os
import pickle
import sys
import types
from typing import Any, Callable

import cloudpickle.cloudpickle as cloudpickle
import lithops.worker.utils as worker_utils
from lithops.monitoring.backends.triggerflow.error_text import described

from ...errors import NotDurableError, OutcomeError
from ..hooks import install, patching
from .class_reducers import make_class, set_members
from .module_objects import set_attributes, set_contents
from .remade import MAKERS, stand_in

MAIN = '__main__'
#: Of the script's module: what its functions may ask for beside the variables that they name
NAMES = ('__file__', '__doc__', '__package__')


class MainNamespace(dict[str, Any]):
    """Stands for the globals of the script in what is pickled."""

    def __reduce__(self) -> Any:
        return main_namespace, ()


def main_namespace() -> dict[str, Any]:
    """The globals of the script, where it is loaded. A loader has a function of its own for this name."""
    return vars(sys.modules[MAIN])


def describe_script() -> dict[str, Any]:
    """What an activation has to know of the script: its arguments, its module's attributes, and what it has set for Python."""
    found = vars(sys.modules[MAIN])
    return {
        'argv': [*getattr(sys, 'argv', [''])],
        'main': {name: found[name] for name in NAMES if isinstance(found.get(name), str)},
        'recursion_limit': sys.getrecursionlimit(),
        'decimal': decimal.getcontext(),
    }


def load(code: bytes, script: dict[str, Any]) -> tuple[Callable[..., Any], Any]:
    """
    Makes this process one of the script, and loads what was packed.

    :param script: what :func:`describe_script` returned
    :return: the orchestrator and its arguments
    """
    sys.argv[:] = script['argv']
    sys.setrecursionlimit(max(script['recursion_limit'], sys.getrecursionlimit()))
    decimal.setcontext(script['decimal'].copy())
    _prefer_what_travelled()
    main = _module(script)
    sys.modules[MAIN] = main
    _prefer_forks()
    loader = _Loader(code, main)
    try:
        loaded = loader.load_all()
        # Layers of Lithops that were imported just now are hooked, too
        install.use(patching.in_force)
        return loaded
    except BaseException as error:
        # A module that ends the process, too: here that is no end of the orchestrator
        raise CannotLoad(error, loader.asked) from error


def try_to_load(code: bytes, script: dict[str, Any]) -> set[tuple[str, str]]:
    """
    Loads what was packed, and leaves this process as it was.

    :return: what it names by reference: modules, and names in them
    :raises BaseException: whatever is raised by what cannot be loaded
    """
    trial = _Trial(code, _module(script))
    # A context variable gets its value when it is loaded
    contextvars.copy_context().run(trial.load_all)
    return trial.named


class CannotLoad(Exception):
    """
    What was packed cannot be loaded.

    :param error: what was raised
    :param asked: the last thing that was looked up by name before that
    """

    def __init__(self, error: BaseException, asked: str):
        self.error = error
        self.asked = asked
        super().__init__(error, asked)


def cannot_be_loaded(error: BaseException) -> OutcomeError:
    """What a run ends with whose orchestrator cannot be loaded in an activation."""
    where, found = '', error
    if isinstance(error, CannotLoad):
        where = f' The last name that it asked for is {error.asked}.'
        found = error.error
    missing = ' Is that module in the runtime?' if isinstance(found, ImportError) else ''
    return OutcomeError(f'The orchestrator cannot be loaded where it runs: {described(found)}.{where}{missing}')


def _module(script: dict[str, Any]) -> types.ModuleType:
    module = types.ModuleType(MAIN)
    # As Python has it in a module without annotations that was compiled by 3.14, and in none before
    vars(module).update(script['main'], __builtins__=__builtins__, __annotations__={})
    return module


class _Loader(pickle.Unpickler):
    """Loads the orchestrator, and then the names of the script."""

    def __init__(self, code: bytes, main: types.ModuleType):
        super().__init__(io.BytesIO(code))
        self._main = main
        self.asked = ''
        self._hooks: list[tuple[type, Any]] = []
        self._instead: dict[tuple[str, str], Any] = {
            (__name__, main_namespace.__name__): lambda: vars(main),
            (cloudpickle.__name__, '_class_setstate'): self._set_class_state,
        }

    def load_all(self) -> tuple[Callable[..., Any], Any]:
        function, args = self.load()
        while names := self.load():
            for name, value in names.items():
                vars(self._main).setdefault(name, value)
        for kind, hook in self._hooks:
            kind.__init_subclass__ = hook  # type: ignore[method-assign]
        return function, args

    def find_class(self, module: str, name: str) -> Any:
        self.asked = f'{module}.{name}'
        instead = self._instead.get((module, name))
        return instead or super().find_class(module, name)

    def _set_class_state(self, kind: type, state: tuple[dict[str, Any], dict[str, Any]]) -> type:
        # What it has registered of subclasses travels. They are not registered once more as they are made
        hook = state[0].pop('__init_subclass__', None)
        if hook is not None:
            self._hooks.append((kind, hook))
        return cloudpickle._class_setstate(kind, state)  # type: ignore[no-any-return]


class _Trial(_Loader):
    """Loads copies only: no class of this process is touched, and nothing is made that reaches out."""

    def __init__(self, code: bytes, main: types.ModuleType):
        super().__init__(code, main)
        self.named: set[tuple[str, str]] = set()
        self._own: set[int] = set()
        self._instead |= {(maker.__module__, maker.__name__): stand_in for maker in MAKERS}
        for maker, tracker in ((cloudpickle._make_skeleton_class, 4), (make_class, 4), (cloudpickle._make_skeleton_enum, 5)):
            self._instead[maker.__module__, maker.__name__] = functools.partial(self._untracked, maker, tracker)
        make_variable = cloudpickle._make_typevar
        self._instead[make_variable.__module__, make_variable.__name__] = lambda *given: make_variable(*given[:-1], None)
        self._instead[cloudpickle.__name__, 'subimport'] = self._import
        self._instead[set_members.__module__, set_members.__name__] = self._set_members
        # What modules have made is theirs, and has its state already
        for setter in (set_attributes, set_contents):
            self._instead[setter.__module__, setter.__name__] = lambda obj, state: obj

    def find_class(self, module: str, name: str) -> Any:
        self.named.add((module, name))
        return super().find_class(module, name)

    def _import(self, name: str) -> Any:
        self.named.add((name, ''))
        return cloudpickle.subimport(name)

    def _untracked(self, make: Callable[..., type], tracker: int, *given: Any) -> type:
        bases = given[2] if tracker == 4 else given[0]
        if any(map(_registers, bases)):
            # To make a subclass would be seen by a class of this process: the class that is there has to do
            original = cloudpickle._DYNAMIC_CLASS_TRACKER_BY_ID.get(given[tracker])
            if original is not None:
                self._own.add(id(original))
                return original  # type: ignore[no-any-return]
        return make(*given[:tracker], None, *given[tracker + 1 :])

    def _set_members(self, kind: type, state: Any) -> None:
        if id(kind) not in self._own:
            set_members(kind, state)

    def _set_class_state(self, kind: type, state: tuple[dict[str, Any], dict[str, Any]]) -> type:
        return kind if id(kind) in self._own else super()._set_class_state(kind, state)


def _registers(base: Any) -> bool:
    """Whether a class that was imported learns of its subclasses, in Python."""
    for kind in getattr(base, '__mro__', ()):
        if '__init_subclass__' in vars(kind) and sys.modules.get(kind.__module__, None) is not None:
            module = sys.modules[kind.__module__]
            if getattr(module, kind.__qualname__, None) is kind and kind.__module__ not in sys.stdlib_module_names:
                return True
    return False


def _prefer_what_travelled() -> None:
    """
    Puts what travelled with this run before all else that can be imported: a process that is warm
    has modules of earlier runs on its path, and others of the same name may be installed.
    """
    folder = os.path.join(worker_utils.MODULES_DIR, '')
    for path in reversed(sys.path):
        if path.startswith(folder):
            sys.path.insert(0, path)
            break


def _prefer_forks() -> None:
    """A process that is not forked would execute the script's file from its top, which is not here, or would start a run."""
    for kind in ('SpawnProcess', 'ForkServerProcess'):
        found = getattr(multiprocessing.context, kind, None)
        if found is not None:
            found._Popen = staticmethod(_refuse_process)
    if 'fork' in multiprocessing.get_all_start_methods() and multiprocessing.get_all_start_methods()[0] != 'fork':
        multiprocessing.set_start_method('fork', force=True)


def _refuse_process(process: Any) -> Any:
    raise NotDurableError(
        f"A process that is started by '{process._start_method}' executes the script once more, which an orchestrator does not. "
        "Take processes that are forked: multiprocessing.get_context('fork'), or mp_context= of a ProcessPoolExecutor."
    )
