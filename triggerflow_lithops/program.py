"""What an activation needs of the user's program: the orchestrator, packed so that it can travel."""

import pickle
from typing import Any, Callable, Sequence

import cloudpickle
from lithops.job.job import _include_exclude_modules
from lithops.job.serialize import SerializeIndependent, create_module_data
from lithops.monitoring.backends.triggerflow.error_text import text_of
from lithops.monitoring.backends.triggerflow.functions import is_local

from . import installation
from .activation import Orchestrator
from .errors import InvalidRunError


def packed(
    config: dict[str, Any],
    orchestrator: Callable[..., Any],
    args: Any,
    metadata: dict[str, Any],
    functions: Sequence[Callable[..., Any]] = (),
) -> bytes:
    """
    An orchestrator and all that it needs, in the form of a Lithops function.

    :param config: Lithops' configuration, which may name modules to include
    :param args: what it is called with
    :param metadata: Lithops' own, of the runtime that it runs in
    :param functions: of the user's, inside of it: what they import travels, too
    :raises InvalidRunError: it cannot be pickled
    """
    _require_picklable(orchestrator, 'The orchestrator')
    _require_picklable(args, 'The arguments')
    code = cloudpickle.dumps((orchestrator, args))
    serializer = SerializeIndependent(metadata['preinstalls'])
    include, exclude = _include_exclude_modules(config, [], [])
    paths = serializer.module_paths([orchestrator, *functions], include, exclude)
    if include is not None and not include:
        paths |= serializer.module_paths([{'args': args}], include, exclude)
    function = cloudpickle.dumps(Orchestrator(code, metadata))
    modules = create_module_data(paths)
    if not is_local(config):
        # The local function service has what its client has
        modules.update(_own_modules())
    return pickle.dumps({'func': function, 'module_data': modules}, -1)


def _own_modules() -> dict[str, str]:
    """What of this package an activation imports."""
    modules: dict[str, str] = create_module_data([str(installation.PACKAGE)])
    return {name: text for name, text in modules.items() if not name.startswith(f'{installation.PACKAGE.name}/testing/')}


def _require_picklable(value: Any, what: str) -> None:
    try:
        cloudpickle.dumps(value)
    except Exception as error:
        raise InvalidRunError(
            f'{what} cannot be pickled, and has to travel: {text_of(error)}. '
            'Leave out what belongs to this process (open files, locks, clients), and create it inside.'
        ) from error
