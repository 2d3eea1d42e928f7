"""What the hooked methods of Lithops do, in one activation."""

import os
import sys
import threading
from typing import Any, Callable

import lithops.utils
from lithops.constants import SESSION_ID_ENV, TOTAL_EXECUTORS_ENV

from ..core import limits
from ..core.run.documents import RunFields
from ..errors import ConfigurationError
from ..replay.effects import Effects
from ..replay.replay import Replay
from .calls import Calls
from .waits import Waits


class Hooks(Calls, Waits):
    """
    Calls, waits and choices, and the executors that they are made with.

    :ivar session_of_executors: Lithops' session id of the executors that are made
    :ivar processes: how many of lithops.multiprocessing were named; None where Lithops has counted from 1 itself
    :ivar results_due: when the time is up of whoever goes through results now, in seconds since the epoch
    """

    results_due: float | None = None
    processes: int | None = None
    _executors = 0

    def __init__(
        self,
        replay: Replay,
        effects: Effects,
        config: dict[str, Any],
        run: RunFields,
        runtime_meta: dict[str, Any],
        start_calls: Callable[..., None],
        thread: threading.Thread,
    ):
        super().__init__(replay, effects, config, run, runtime_meta, start_calls, thread)
        self.session_of_executors = replay.session
        if 'lithops.multiprocessing.process' in sys.modules:
            self.processes = 0

    @property
    def has_redis(self) -> bool:
        """Whether the configuration names a server of it."""
        return bool(self.config.get('redis'))

    def pin_session(self) -> None:
        """Executors are numbered from 0 in every activation, whatever the process did before."""
        os.environ[SESSION_ID_ENV] = self.session_of_executors
        os.environ.pop(TOTAL_EXECUTORS_ENV, None)
        if self._executors:
            # Of the latest one that there is
            os.environ[TOTAL_EXECUTORS_ENV] = str(self._executors - 1)
        lithops.utils._SESSION_ID = None
        self._executors += 1

    def check_named(self, arguments: dict[str, Any]) -> None:
        """:raises ConfigurationError: an executor is asked to store, or compute, elsewhere than the run"""
        section = (arguments.get('config') or {}).get('lithops') or {}
        self._check_backends({what: arguments.get(what) or section.get(what) for what in ('backend', 'storage')})

    def check_executor(self, executor: Any) -> None:
        """:raises ConfigurationError: it would store, or compute, elsewhere than the run"""
        self._check_backends(executor.config['lithops'])
        # Deadlines follow from it, and it is written
        limits.seconds(executor.config['lithops']['execution_timeout'], "'lithops: execution_timeout'")
        bucket = executor.internal_storage.bucket
        storage = self.config['lithops']['storage']
        if bucket != self.config[storage]['storage_bucket']:
            raise ConfigurationError(
                f"FunctionExecutor with bucket '{bucket}' inside an orchestrator of a run in bucket "
                f"'{self.config[storage]['storage_bucket']}'. Leave storage_bucket out."
            )

    def _check_backends(self, named: dict[str, Any]) -> None:
        for what in ('backend', 'storage'):
            ours, theirs = self.config['lithops'][what], named.get(what)
            if theirs and ours != theirs:
                raise ConfigurationError(
                    f"FunctionExecutor({what}='{theirs}') inside an orchestrator of a run on '{ours}'. "
                    f'What is called must report where the run looks: leave {what}= out.'
                )
