"""
The durable steps of an orchestrator, as its own code takes them: one after the other, in
one thread, and what is not its own fault ends the activation.
"""

import base64
import functools
import random
import threading
from typing import Any, Callable

from lithops.future import ResponseFuture
from lithops.monitoring.backends.triggerflow.error_text import described

from ..core.damage import Damaged, Gone
from ..core.run.documents import RunFields
from ..core.run.keys import Call, fact_key
from ..core.store import StoreUnavailable
from ..errors import NotDurableError, OutcomeError, OutsideOrchestratorError
from ..replay.difference import Difference, difference_in_words, in_words
from ..replay.effects import Crashed, Effects
from ..replay.fingerprint import digest_of
from ..replay.history import ARGUMENTS
from ..replay.replay import Replay
from .hooks import clocks
from .jobs import job_name, qualified_name
from .mismatch import surroundings
from .packing import values
from .packing.exception_documents import document_of, exception_of, value_of
from .packing.pickles import is_pickle


class UserCodeError(Exception):
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

    def __init__(self, replay: Replay, effects: Effects, config: dict[str, Any], run: RunFields, thread: threading.Thread):
        self.replay = replay
        self._effects = effects
        self.config = config
        self.run = run
        self._thread = thread
        self._recording: str | None = None
        self._in_step = False

    @property
    def is_replaying(self) -> bool:
        """Whether what there is to see now has been seen."""
        return self.replay.is_replaying

    @property
    def is_in_own_thread(self) -> bool:
        """Whether the orchestrator's own thread runs."""
        return threading.get_ident() == self._thread.ident

    @property
    def is_recording(self) -> bool:
        """Whether ``record()`` runs a function."""
        return self._recording is not None

    def run_step(self, function: Callable[[], Any], name: str) -> Any:
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
        # What the layers below draw is none of the user's random numbers
        drawn, self._in_step = random.getstate(), True
        try:
            return function()
        except UserCodeError as carried:
            error = carried.error
        except Exception as fault:
            self._effects.stop(Crashed(fault))
        finally:
            random.setstate(drawn)
            self._in_step = False
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

    @property
    def is_in_own_code(self) -> bool:
        """Whether the orchestrator's own thread runs, and is in no durable step."""
        return not self._in_step and threading.get_ident() == self._thread.ident

    def reader(self, frame: Any) -> clocks.Read | None:
        """
        Reads something of clock and chance for the user's code, the same on every replay.

        :param frame: that reads
        :return: what reads it; None where it is not the orchestrator's own code that does
        """
        if not self.is_in_own_code:
            return None
        module = clocks.reader_of(frame)
        return None if module is None else functools.partial(self._read, module)

    def _read(self, module: str, kind: type, read: Callable[[], Any]) -> Any:
        # What it reads in turn is a part of it
        self._in_step = True
        try:
            return self.replay.read(module, kind, read)
        finally:
            self._in_step = False

    # Choices

    def now(self) -> float:
        """The time, recorded."""
        return float(self.run_step(lambda: self.replay.choice('now', '', self._effects.time), 'now()'))

    def sleep(self, seconds: float) -> None:
        """Nothing runs until that time has passed."""
        self.run_step(lambda: self.replay.sleep(seconds), 'sleep()')

    def uuid4(self) -> Any:
        """A UUID, derived from run and position."""
        return self.run_step(self.replay.uuid4, 'uuid4()')

    def record(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """What ``function`` returned or raised when it was run here first."""
        name = qualified_name(function)

        def choose() -> dict[str, Any]:
            self._recording = name
            try:
                return _recorded(name, function, args)
            finally:
                self._recording = None

        def explain(fact: dict[str, Any]) -> Difference | None:
            return difference_in_words(fact[ARGUMENTS], args, surroundings(fact['time']))

        digest, told = digest_of(args), functools.partial(in_words, args)
        choice = self.run_step(lambda: self.replay.choice('record', name, choose, digest, told, explain), f'record({name})')
        # The first time, too, what was recorded is read: so a replay gets the same
        if 'error' in choice:
            raise exception_of(choice, f'record({name})')
        try:
            return value_of(choice['value'], f'What record({name}) got')
        except OutcomeError:
            self.run_step(lambda: self._require_pickle(choice['value']), f'record({name})')
            raise

    def _require_pickle(self, encoded: str) -> None:
        """:raises Damaged: what was recorded last is no pickle"""
        if not is_pickle(base64.b64decode(encoded)):
            raise Damaged(fact_key(self.replay.session, self.replay.position), 'bytes that are no pickle', 'what was recorded')


def _recorded(name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> dict[str, Any]:
    try:
        value = function(*args)
    except (StoreUnavailable, Gone):
        # Of ours, and no outcome of the step: another activation tries again
        raise
    except BaseException as error:
        return document_of(error)
    try:
        return {'value': base64.b64encode(values.dumps(value)).decode()}
    except BaseException as error:
        what = f'record({name}) got a {type(value).__name__}, which cannot be pickled'
        return document_of(TypeError(f'{what} ({described(error)}): return something plainer.'))
