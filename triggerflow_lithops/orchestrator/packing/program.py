"""
What an activation needs of the user's program: the orchestrator, packed so that it can travel.

It is loaded once before anything is written: what ``run()`` accepts can be loaded.
"""

import io
import pickle
from typing import Any, Callable

import cloudpickle
from lithops.job.job import _include_exclude_modules
from lithops.job.serialize import create_module_data
from lithops.monitoring.backends.triggerflow.compute import is_local
from lithops.monitoring.backends.triggerflow.error_text import described, text_of

from ...deployment import installation
from ...errors import InvalidRunError
from ..activation import Orchestrator
from ..user_code import NO_ARGUMENTS
from .culprit import path_to_culprit
from .main_module import describe_script, try_to_load
from .modules import Modules
from .pickling import Pickler
from .places import is_installed
from .reducers import CannotTravel
from .remade import Remade

#: Bytes of a pickle that is not loaded before it is stored: it would take this program's memory and time again
TOO_LARGE_TO_TRY = 50 * 1024**2


def packed(
    config: dict[str, Any],
    orchestrator: Callable[..., Any],
    args: Any,
    metadata: dict[str, Any],
) -> bytes:
    """
    An orchestrator and all that it needs, in the form of a Lithops function.

    :param config: Lithops' configuration, which may name modules to include
    :param args: what it is called with
    :param metadata: Lithops' own, of the runtime that it runs in
    :raises InvalidRunError: it cannot be pickled or loaded, or a module that it names cannot travel
    """
    remade, script = Remade(config), describe_script()
    try:
        code, pickler = _pickled((orchestrator, args), remade)
        named = pickler.named
        if len(code) <= TOO_LARGE_TO_TRY:
            for module, name in try_to_load(code, script):
                named.setdefault(module, f'{module}.{name}' if name else module)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _refusal(orchestrator, args, remade, error) from error
    local = is_local(config)
    include, exclude = _include_exclude_modules(config, [], [])
    modules = Modules((name for name, _ in metadata['preinstalls']), include, exclude, local)
    files = modules.travelling(named, pickler.imported)
    if not local:
        # The local function service has what its client has
        files |= _own_modules()
    function = cloudpickle.dumps(Orchestrator(code, metadata, script))
    return pickle.dumps({'func': function, 'module_data': files}, -1)


def _pickled(value: Any, remade: Remade) -> tuple[bytes, Pickler]:
    """The value, and after it the functions and classes of the script that are part of it, by name."""
    with io.BytesIO() as file:
        pickler = Pickler(file, remade, is_installed)
        pickler.dump(value)
        dumped: set[str] = set()
        while new := {name: named for name, named in pickler.own.items() if name not in dumped}:
            pickler.dump(new)
            # What they name in their turn comes after them
            dumped.update(new)
        pickler.dump({})
        return file.getvalue(), pickler


def _own_modules() -> dict[str, str]:
    """What of this package an activation imports."""
    modules: dict[str, str] = create_module_data([str(installation.PACKAGE)])
    return {name: text for name, text in modules.items() if not name.startswith(f'{installation.PACKAGE.name}/testing/')}


def _refusal(orchestrator: Callable[..., Any], args: Any, remade: Remade, error: BaseException) -> InvalidRunError:
    """Says which part of the orchestrator, or of its arguments, cannot travel, and why."""
    script = describe_script()

    def attempt(value: Any) -> None:
        code, _ = _pickled((value, None), remade)
        try_to_load(code, script)

    what, culprit = _named(orchestrator), orchestrator
    if args is not NO_ARGUMENTS:
        try:
            attempt(orchestrator)
        except KeyboardInterrupt:
            raise
        except BaseException:
            pass
        else:
            what, culprit = 'The arguments', args
    steps, reason = path_to_culprit(culprit, attempt)
    reason = reason or error
    way = ' → '.join([what, *steps])
    advice = 'Leave out what belongs to this process (files, connections, clients), and create it inside of the orchestrator.'
    said = f'{way} cannot travel to where the orchestrator runs: {_said(reason)}.'
    return InvalidRunError(said if isinstance(reason, CannotTravel) else f'{said} {advice}')


def _named(orchestrator: Any) -> str:
    name = getattr(orchestrator, '__qualname__', None) or type(orchestrator).__qualname__
    return f'The orchestrator {name}'


def _said(error: BaseException) -> str:
    text = text_of(error).strip().rstrip('.')
    return str(text if isinstance(error, (pickle.PicklingError, TypeError)) and text else described(error))
