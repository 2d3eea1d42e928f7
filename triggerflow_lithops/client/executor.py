"""Where runs are started, and found again."""

import logging
import os
import random
import re
import threading
import time
import uuid
from typing import Any, Callable, Coroutine, TypeVar, overload

from lithops.config import get_log_info
from lithops.constants import LOGGER_LEVEL
from lithops.monitoring.backends.triggerflow.wakeups import WakeUpsUnavailable, require_wake_ups
from lithops.utils import setup_lithops_logger

from .. import errors
from ..core import limits
from ..core.run.documents import Outcome, Policy
from ..core.run.keys import ID, RUNS, code_key, is_run_id, outcome_key, run_ids, session_of
from ..core.run.loss import outcome_of
from ..core.store import Facts, StoreUnavailable
from ..core.wording import printable, shown
from ..deployment import installation
from ..deployment.config import RETRY, SECTION, create_config, follow_lithops_logging
from ..deployment.lithops_config import load_given
from ..deployment.runtime import Runtime, prepare_runtime
from ..deployment.store_border import bucket_of, open_store, require_guarded
from ..orchestrator.hooks import install, patching
from ..orchestrator.jobs import qualified_name
from ..orchestrator.packing.program import packed
from ..orchestrator.start_run import DriverNotKept
from ..orchestrator.user_code import NO_ARGUMENTS, require_fitting
from ..retry import policy_of
from .run import Run, utc
from .runs import DamagedRun, begin_run, find_run

logger = logging.getLogger(__name__)

T = TypeVar('T')


class TriggerflowExecutor:
    """
    Starts orchestrators, and finds their runs again.

    :param mode: Lithops' execution mode
    :param config: Lithops' configuration, instead of a file
    :param config_file: path of Lithops' configuration file
    :param backend: Lithops' compute backend
    :param storage: Lithops' storage backend
    :param log_level: as in ``lithops.FunctionExecutor``
    :param retry: when calls of its runs that failed run again: a ``Retry``, its fields as
        a mapping, or a number of retries; as the configuration says, unless given
    :param deploy: whether the runtime is deployed anew before the first run: with this Lithops, and this plugin
    :param backend_options: anything that the compute backend's section may have
    :raises ConfigurationError: the configuration cannot be used. It is a ``TypeError``, too, where an argument has a
        type that cannot be meant
    :raises InstallationError: this Lithops lacks what workers need
    """

    def __init__(
        self,
        mode: str | None = None,
        config: dict[str, Any] | None = None,
        config_file: str | os.PathLike[str] | None = None,
        backend: str | None = None,
        storage: str | None = None,
        log_level: str | bool | None = False,
        *,
        retry: Any = None,
        deploy: bool = False,
        **backend_options: Any,
    ):
        if patching.in_force is not None:
            raise errors.NotDurableError(
                'TriggerflowExecutor inside an orchestrator: runs of runs are not durable yet. '
                'Call the function, or make it a call.'
            )
        _require_types(mode=mode, config=config, config_file=config_file, backend=backend, storage=storage, deploy=deploy)
        given = load_given(config, None if config_file is None else os.fspath(config_file))
        _set_up_logging(log_level, given)
        installation.require_patch()
        install.require_seams()
        self.config = create_config(mode, given, None, backend, storage, backend_options)
        self.store = open_store(self.config)
        self.bucket = bucket_of(self.config)
        self.facts = Facts(self.store)
        self._deploy = deploy
        self._runtime: Runtime | None = None
        self._preparing = threading.Lock()
        self.retry = policy_of(retry) if retry is not None else self.config[SECTION][RETRY]

    def __repr__(self) -> str:
        return f'TriggerflowExecutor({self.bucket})'

    @overload
    def run(
        self,
        orchestrator: Callable[..., Coroutine[Any, Any, T]],
        args: Any = ...,
        *,
        run_id: str | None = ...,
        name: str | None = ...,
        retry: Any = ...,
    ) -> Run[T]: ...

    @overload
    def run(
        self,
        orchestrator: Callable[..., T],
        args: Any = ...,
        *,
        run_id: str | None = ...,
        name: str | None = ...,
        retry: Any = ...,
    ) -> Run[T]: ...

    def run(
        self,
        orchestrator: Callable[..., Any],
        args: Any = NO_ARGUMENTS,
        *,
        run_id: str | None = None,
        name: str | None = None,
        retry: Any = None,
    ) -> Run[Any]:
        """
        Starts an orchestrator, and returns at once.

        :param orchestrator: any callable: an ordinary Lithops script as a function
        :param args: what it is called with, by the rules of ``call_async``, ``None`` included: a tuple and a dict
            that fit its signature are unpacked, and any other value is its one argument. When none are given,
            one that requires exactly one argument gets ``{}``
        :param run_id: 1 to 64 of ``A-Z a-z 0-9 . _ -``, the first a letter or a digit; the same one twice is the same run
        :param name: for people to read, 1 to 128 printable characters; the function's own unless given
        :param retry: when calls of this run that failed run again, as the executor takes it
        :raises InvalidRunError: not callable with these arguments, not picklable, no run id, or no name. It is a
            ``TypeError``, too, where a type cannot be meant
        :raises RunExistsError: the run id is taken by another orchestrator, if only since a moment ago
        :raises InstallationError: the runtime of its functions lacks what workers need
        :raises ConfigurationError: the runtime cannot be deployed, or the storage overwrites what was written first
        """
        policy = self.retry if retry is None else policy_of(retry)
        require_fitting(orchestrator, args)
        function_name = qualified_name(orchestrator)
        checked = _checked_run_id(_new_run_id(function_name) if run_id is None else run_id)
        named = _readable(function_name.rpartition('.')[2]) if name is None else _checked_name(name)
        try:
            existing = None if run_id is None else self._find(checked)
            if existing is None:
                return self._start(orchestrator, args, checked, named, function_name, policy)
        except DriverNotKept as error:
            raise errors.ConfigurationError(str(error)) from error
        except StoreUnavailable as error:
            raise errors.ConfigurationError(
                f'The bucket {self.bucket} cannot be used, so the run was not started: {error}. '
                "Check its permissions and its space; 'triggerflow-lithops doctor' tries every request."
            ) from error
        _require_same(existing, function_name)
        outcome = outcome_of(self.facts, existing.session)
        if outcome is None:
            existing.sweep()
        else:
            _tell_old_outcome(existing.run_id, outcome)
        return existing

    def get_run(self, run_id: str) -> Run[Any]:
        """
        A run that anyone started.

        :raises RunNotFoundError: none of this id is in the bucket
        """
        run = self._find(_checked_run_id(run_id))
        if run is None:
            raise errors.RunNotFoundError(run_id, self.bucket)
        return run

    def list_runs(self) -> list[Run[Any]]:
        """All runs in the bucket, the oldest first."""
        listed = self.facts.list(f'{RUNS}/')
        runs = [run for run_id in run_ids(listed) if (run := self._find(run_id))]
        over = {key for key in listed if key.endswith('.outcome.json')}
        going_on = [run for run in runs if outcome_key(run.session) not in over]
        # A few are swept at a time: not always the same ones by commands that look once. The user's random numbers stay his
        random.Random().shuffle(going_on)
        for run in going_on:
            run.tend()
        return sorted(runs, key=lambda run: run.document['time'])

    def _find(self, run_id: str) -> Run[Any] | None:
        return find_run(self.config, self.facts, run_id)

    def _start(
        self,
        orchestrator: Callable[..., Any],
        args: Any,
        run_id: str,
        name: str,
        function_name: str,
        retry: Policy,
    ) -> Run[Any]:
        incarnation = uuid.uuid4().hex[:8]
        key = code_key(session_of(run_id, incarnation))
        described = self.store_code(key, orchestrator, args)
        described['function'], described['function_name'] = function_name, function_name.rpartition('.')[2]
        document = {
            'version': 1,
            'run_id': run_id,
            'incarnation': incarnation,
            'name': name,
            'orchestrator': described,
            'retry': retry,
            'time': time.time(),
        }
        run, ours = begin_run(self.config, self.facts, document)
        if not ours:
            # Another client was faster, since this one had looked: who comes later than it is told the same
            self.store.delete([key])
            _require_same(run, function_name)
        return run

    def store_code(self, key: str, orchestrator: Callable[..., Any], args: Any = NO_ARGUMENTS) -> dict[str, Any]:
        """
        Writes an orchestrator and all that it needs, in the form of a Lithops function.

        :return: what a run of it has to know: as :func:`run_field` says, but for the names
        """
        runtime = self._prepared()
        self.facts.write(key, packed(self.config, orchestrator, args, runtime.metadata))
        return {
            'code_key': key,
            'execution_timeout': runtime.timeout_of(self.config['lithops']['execution_timeout']),
            'log_level': _lithops_log_level(),
            'runtime_name': runtime.name,
            'runtime_memory': runtime.memory,
            'max_deaths': self.config[SECTION]['max_deaths'],
            'max_pending_calls': self.config[SECTION]['max_pending_calls'],
            'sweep_seconds': self.config[SECTION]['sweep_seconds'],
            'lanes': runtime.lanes,
        }

    def _prepared(self) -> Runtime:
        """What a run needs beside its code. Asked for by the first one only."""
        with self._preparing:
            if self._runtime is None:
                require_guarded(self.config, self.store)
                _require_wake_ups(self.config)
                self._runtime = prepare_runtime(self.config, self.facts, self._deploy)
            return self._runtime


def _require_wake_ups(config: dict[str, Any]) -> None:
    try:
        require_wake_ups(config)
    except WakeUpsUnavailable as error:
        raise errors.ConfigurationError(str(error)) from error


def _tell_old_outcome(run_id: str, outcome: Outcome) -> None:
    """A run id was given of a run that has ended: nothing runs again, which may be a surprise."""
    # A warning of the log: it is seen where no log was set up, too, and as often as it is true
    logger.warning(
        'Run %s is not started again: it is there, and %s on %s UTC. This is its old outcome. '
        'Purge the run first (get_run(%r).purge()), or choose another run id.',
        run_id,
        outcome['status'] if outcome['status'] in ('completed', 'failed') else f'was {outcome["status"]}',
        utc(outcome['time']),
        run_id,
    )


def _require_same(existing: Run[Any], function_name: str) -> None:
    """:raises RunExistsError: the run that has an id is of another orchestrator"""
    if isinstance(existing, DamagedRun):
        raise errors.RunExistsError(
            f'Run {existing.run_id!r} is there already, and what it is cannot be told: {existing.damage}. '
            f'Purge it (get_run({existing.run_id!r}).purge()), or choose another run id.'
        )
    found = existing.document['orchestrator']['function']
    if found != function_name:
        raise errors.RunExistsError(
            f'Run {existing.run_id!r} is there already, of {found}, and not of {function_name}. '
            'Choose another run id, or purge that run.'
        )


def _require_types(deploy: object, config_file: object, config: object, **named: object) -> None:
    """:raises ConfigurationTypeError: an argument of an executor is of a type that cannot be meant"""
    _require_type('deploy', deploy, bool, 'True or False')
    _require_type('config', config, (dict, type(None)), 'a dict, as Lithops takes it')
    _require_type('config_file', config_file, (str, os.PathLike, type(None)), 'a path')
    for name, value in named.items():
        _require_type(name, value, (str, type(None)), 'a name, as Lithops has it')


def _require_type(name: str, value: object, kinds: Any, expected: str) -> None:
    if not isinstance(value, kinds):
        raise errors.ConfigurationTypeError(f"'{name}' is {expected}; found {shown(value)}, a {type(value).__name__}.")


def _checked_run_id(run_id: object) -> str:
    if not is_run_id(run_id):
        kind = errors.InvalidRunError if isinstance(run_id, str) else errors.InvalidRunTypeError
        raise kind(f'Found run id {shown(run_id)}; a run id is {ID}.')
    return str(run_id)


def _checked_name(name: object) -> str:
    try:
        return limits.name(name, 'The name of a run')
    except TypeError as error:
        raise errors.InvalidRunTypeError(str(error)) from error
    except ValueError as error:
        raise errors.InvalidRunError(str(error)) from error


def _new_run_id(function_name: str) -> str:
    readable = re.sub(r'[^A-Za-z0-9_]+', '', function_name.rpartition('.')[2]).lstrip('_')[:40]
    return f'{readable or "run"}-{uuid.uuid4().hex[:8]}'


def _readable(function_name: str) -> str:
    """A name for people, which begins with a letter or a digit: what begins with a dash is an option of a command."""
    return printable(re.sub(r'^[\W_]+', '', function_name.rstrip('>')))[: limits.NAME] or 'run'


def _set_up_logging(log_level: str | bool | None, given: dict[str, Any]) -> None:
    """
    As ``lithops.FunctionExecutor`` does, and for our own lines, too.

    :param given: the configuration, not yet complete
    """
    lithops_logger = logging.getLogger('lithops')
    try:
        if log_level:
            setup_lithops_logger(log_level)
        elif log_level is False and lithops_logger.getEffectiveLevel() == logging.WARNING:
            setup_lithops_logger(*get_log_info(config_data=given))
    except (OSError, TypeError, ValueError) as error:
        raise errors.ConfigurationError(f'Lithops does not take the settings of its log: {error.__cause__ or error}') from error
    follow_lithops_logging()


def _lithops_log_level() -> int | str:
    level = logging.getLogger('lithops').getEffectiveLevel()
    return LOGGER_LEVEL if level == logging.WARNING else level
