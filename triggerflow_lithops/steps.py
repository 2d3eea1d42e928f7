"""
The durable steps of an orchestrator, as its own code takes them: one after the other, in
one thread, and what is not its own fault ends the activation.
"""

import base64
import pickle
import threading
from typing import Any, Callable

import cloudpickle
from lithops.future import ResponseFuture

from . import values
from .errors import NotDurableError, OutsideOrchestratorError
from .fingerprint import digest_of
from .job import job_name, qualified_name
from .replay import Replay
from .triggers.keys import Call
from .triggers.store import StoreUnavailable
from .world import Crashed, World


class UsersError(Exception):
    """Carries an exception that the user's code is meant to see."""

    def __init__(self, error: BaseException):
        super().__init__(error)
        self.error = error


class Steps:
    """
    Runs steps, by way of a replay. Choices are steps of their own.

    :param thread: the one that the orchestrator runs in
    :ivar config: Lithops' configuration of the run
    :ivar run: what every payload of the run carries
    """

    def __init__(self, replay: Replay, world: World, config: dict[str, Any], run: dict[str, Any], thread: threading.Thread):
        self.replay = replay
        self._world = world
        self.config = config
        self.run = run
        self._thread = thread
        self._recording: str | None = None

    @property
    def is_silent(self) -> bool:
        """Whether what there is to see now has been seen."""
        return self.replay.is_silent

    def guarded(self, function: Callable[[], Any], name: str) -> Any:
        """
        Runs a durable call. Faults that are not the user's end the activation.

        :raises OutsideOrchestratorError: this is not the orchestrator's thread
        """
        if threading.current_thread() is not self._thread:
            raise OutsideOrchestratorError(
                f'{name} was called from thread {threading.current_thread().name!r}. Durable calls are numbered in '
                "the order in which the orchestrator's own thread makes them: call it there."
            )
        if self._recording:
            raise OutsideOrchestratorError(
                f'{name} was called by {self._recording}, inside record(). What is recorded is one step: call it outside.'
            )
        try:
            return function()
        except UsersError as carried:
            error = carried.error
        except Exception as fault:
            self._world.leave(Crashed(fault))
        finally:
            self.replay.seed()
        # Outside of the handler, so that it carries nothing of ours as its context
        raise error

    def call_of(self, future: ResponseFuture) -> Call:
        """:raises NotDurableError: it is of no call of this orchestrator"""
        if not future.executor_id.startswith(f'{self.replay.session}-'):
            raise NotDurableError(
                f'A future of executor {future.executor_id} was waited for, which is not of this orchestrator. '
                'Make the call inside the orchestrator, or hand over its result.'
            )
        return Call(job_name(self.replay.session, future.executor_id, future.job_id), int(future.call_id))

    # Choices

    def now(self) -> float:
        """The time, recorded."""
        return float(self.guarded(lambda: self.replay.choice('now', '', self._world.time), 'now()'))

    def sleep(self, seconds: float) -> None:
        """Nothing runs until that time has passed."""
        self.guarded(lambda: self.replay.sleep(seconds), 'sleep()')

    def uuid4(self) -> Any:
        """A UUID, derived from run and position."""
        return self.guarded(self.replay.uuid4, 'uuid4()')

    def record(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """What ``function`` returned or raised when it was run here first."""
        name = qualified_name(function)

        def choose() -> dict[str, str]:
            self._recording = name
            try:
                return _recorded(name, function, args)
            finally:
                self._recording = None

        choice = self.guarded(lambda: self.replay.choice('record', name, choose, digest_of(args)), f'record({name})')
        if 'exception' in choice:
            raise pickle.loads(base64.b64decode(choice['exception']))
        return pickle.loads(base64.b64decode(choice['value']))


def _recorded(name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> dict[str, str]:
    try:
        value = function(*args)
    except StoreUnavailable:
        # Of ours, and no outcome of the step: another activation tries again
        raise
    except BaseException as error:
        return {'exception': pickled_error(error)}
    try:
        return {'value': base64.b64encode(values.dumps(value)).decode()}
    except Exception as error:
        what = f'record({name}) got a {type(value).__name__}, which cannot be pickled ({error!r}): return something plainer.'
        return {'exception': pickled_error(TypeError(what))}


def pickled_error(error: BaseException) -> str:
    try:
        pickled = cloudpickle.dumps(error)
        pickle.loads(pickled)
    except Exception:
        # As Lithops does with an exception of a call that does not survive pickling
        pickled = pickle.dumps(Exception(f'{type(error).__name__}: {error}'))
    return base64.b64encode(pickled).decode()
