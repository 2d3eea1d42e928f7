"""
One activation: the Lithops function in which an orchestrator runs.

The orchestrator runs in a thread of its own. Where it must wait, that thread is
left where it stands, the activation ends, and the process goes away with it: so
``finally``, ``with`` and ``except`` of the user's code do not run at a suspension.
"""

import functools
import json
import logging
import multiprocessing.util
import os
import pickle
import sys
import threading
from typing import Any, Callable, Protocol

from lithops.monitoring.backends.triggerflow.compute import InvocationRejected, wait_until
from lithops.monitoring.backends.triggerflow.driver import extend_path, forget_driver
from lithops.monitoring.backends.triggerflow.error_text import described
from lithops.monitoring.backends.triggerflow.invoke import (
    ACTIVATION,
    CLAIMED,
    fail_run,
    in_flight_at_function_service,
    performer,
    start_calls,
)
from lithops.monitoring.backends.triggerflow.sweep import sweep_in_turn
from lithops.monitoring.backends.triggerflow.wakeups import end_wake_ups, triggers_of

from ..core.damage import Unfit
from ..core.outcome import failed_run
from ..core.run.action import start_activation
from ..core.run.deferred import Each, one_by_one
from ..core.run.documents import RunFields
from ..core.run.ended import clear_if_purged
from ..core.run.engine import Engine
from ..core.run.keys import claim_key, death_key, facts_prefix, outcome_key, position_of, trigger_key
from ..core.run.loss import Gone, end, lose
from ..core.run.sweep import InFlight
from ..core.store import Facts
from ..deployment.config import SECTION, follow_lithops_logging
from ..deployment.store_border import create_store
from ..errors import InstallationError
from ..replay.effects import Crashed, Effects, Failed, Lost, Superseded, Suspended
from ..replay.history import History, lines_of
from ..replay.replay import Replay
from .context import Hooks
from .outcome import End, Raised, Returned, completed, raised
from .packing.main_module import cannot_be_loaded, load
from .processes import end_helpers
from .runner import ThreadRunner
from .user_code import call

logger = logging.getLogger(__name__)


class Orchestrator:
    """
    What Lithops runs as the function of every activation of a run. Of which run, its payload tells.

    :param code: the user's function and its arguments, pickled
    :param runtime_meta: Lithops' metadata of the runtime that its calls run in
    :param script: what is known of the script that it is part of; None if this process is that script's own
    """

    def __init__(self, code: bytes, runtime_meta: dict[str, Any], script: dict[str, Any] | None = None):
        self.code = code
        self.runtime_meta = runtime_meta
        self.script = script

    def load(self) -> tuple[Callable[..., Any], Any]:
        """The user's function and its arguments. Imports the user's modules."""
        if self.script is None:
            function, args = pickle.loads(self.code)
            return function, args
        return load(self.code, self.script)

    def __call__(self, subject: str, number: int, cause: str, due: float) -> str | None:
        _end_with_this_call()
        extend_path()
        follow_lithops_logging()
        config = json.loads(os.environ['LITHOPS_CONFIG'])
        run = config[SECTION]['run']
        if subject == ACTIVATION:
            return self._live(config, run, number, cause, due)
        sweep_in_turn(config, run, number, due)
        return None

    def _live(self, config: dict[str, Any], run: RunFields, number: int, cause: str, due: float) -> str | None:
        facts, session = Facts(create_store(config)), run['session']
        perform = performer(config, run, facts)

        def is_claimed() -> bool:
            return facts.has(claim_key(session, number))

        if not wait_until(due, run['orchestrator']['execution_timeout'], is_claimed):
            perform(start_activation(session, number, cause, due))
            return str(CLAIMED)
        in_flight = functools.partial(in_flight_at_function_service, config, session)
        engine = Engine(facts, perform, triggers_of(config, run))
        runner = ThreadRunner()
        try:
            left = Activation(self, run, config, engine, runner, start_calls, in_flight).run(number, cause)
        finally:
            # Whatever it was that ended it is told
            runner.caught_up()
        if isinstance(left, Crashed):
            if isinstance(left.error, (InvocationRejected, InstallationError)):
                # Of a call, or of where it would run: who lives next would find the same
                fail_run(facts, run, left.error)
                forget_driver(config, session)
                return None
            raise left.error
        if isinstance(left, (Returned, Raised, Failed, Lost)):
            end_wake_ups(config, run)
            forget_driver(config, session)
        return CLAIMED if isinstance(left, Superseded) else None


class Runner(Effects, Protocol):
    """What an activation needs of the world: where its orchestrator plays."""

    def run(self, user_code: Callable[[], Any], create_hooks: Callable[[threading.Thread], Hooks]) -> End:
        """Runs the orchestrator until it ends, or is left standing."""


class Activation:
    """
    One activation of a run: claims its number, replays, and ends somehow.

    :param run: what every payload of the run carries
    :param config: Lithops' configuration of the run
    :param engine: over the bucket of the run
    :param start_calls: invokes calls of a scheduled job
    :param in_flight: what the function service has of this run
    """

    def __init__(
        self,
        orchestrator: Orchestrator,
        run: RunFields,
        config: dict[str, Any],
        engine: Engine,
        runner: Runner,
        start_calls: Callable[..., None],
        in_flight: InFlight,
    ):
        self._orchestrator = orchestrator
        self._run = run
        self._session = run['session']
        self._config = config
        self._engine = engine
        self._facts = engine.facts
        self._runner = runner
        self._start_calls = start_calls
        self._in_flight = in_flight

    def run(self, number: int, cause: str) -> End:
        """
        From the claim to whatever ends it.

        :param cause: why it was started, for people to read
        """
        try:
            ours, _ = self._facts.create(claim_key(self._session, number), {'cause': cause, 'time': self._runner.time()})
            if not ours:
                return Superseded(number, 'its number is claimed')
            if self._facts.has(outcome_key(self._session)):
                return Superseded(number, 'the run has ended')
            history = read_history(self._facts, self._session, number, self._runner.each)
        except Gone as gone:
            logger.info('Run %s - activation %d - %s', self._run['run_id'], number, self._lose(str(gone)))
            return Lost(str(gone))
        if history.newest > number:
            return Superseded(number, f'activation {history.newest} goes on')
        replay = Replay(
            *(self._run['run_id'], self._session, number, history, self._engine, self._runner, self._in_flight),
            most_pending=self._run['orchestrator']['max_pending_calls'],
        )

        def create_hooks(thread: threading.Thread) -> Hooks:
            meta = self._orchestrator.runtime_meta
            return Hooks(replay, self._runner, self._config, self._run, meta, self._start_calls, thread)

        left = self._runner.run(self._user_code(), create_hooks)
        if isinstance(left, Crashed) and isinstance(left.error, Gone):
            left = Lost(str(left.error))
        self._conclude(left, replay)
        return left

    def _user_code(self) -> Callable[[], Any]:
        def load_and_call() -> Any:
            try:
                function, args = self._orchestrator.load()
            except BaseException as error:
                # Nothing that is tried again would be any better
                self._runner.stop(Failed(cannot_be_loaded(error)))
            return call(function, args)

        return load_and_call

    def _conclude(self, left: End, replay: Replay) -> None:
        result: str
        if isinstance(left, Returned):
            replay.finish(completed(left.value, self._runner.time()))
            result = 'completed'
        elif isinstance(left, Raised):
            replay.finish(raised(left.error, self._runner.time()))
            result = 'failed'
        elif isinstance(left, Failed):
            end(self._facts, self._session, failed_run(left.error, self._runner.time()))
            result = 'failed'
        elif isinstance(left, Lost):
            result = self._lose(left.reason)
        elif isinstance(left, Suspended):
            result = left.waits_for
        elif isinstance(left, Superseded):
            result = left.why
        else:
            result = f'died: {described(left.error)}'
        logger.info('Run %s - activation %d - %s', self._run['run_id'], replay.number, result)
        if replay.ledger.lookout.is_due or isinstance(left, Superseded):
            clear_if_purged(self._facts, self._session)

    def _lose(self, reason: str) -> str:
        lose(self._facts, self._session, reason, self._runner.time())
        return f'the run is lost: {reason}'


def read_history(facts: Facts, session: str, number: int, each: Each = one_by_one) -> History:
    """
    What activation ``number`` can know: what the last trigger before it carries, and what was written since by
    activations that died.

    :param each: does something with each of many, at the same time where that is faster
    :raises Gone: that trigger was removed, or a pack that it names, or one of them is damaged
    """
    history = History()
    for earlier in range(number - 1, -1, -1):
        trigger = facts.read(trigger_key(session, earlier))
        if trigger is None:
            # An activation is followed only if it has written its trigger, or has died
            if not facts.has(death_key(session, earlier)):
                raise Gone(f'{trigger_key(session, earlier)}, which activation {earlier} had written, is gone')
            history.has_gaps = True
            continue
        try:
            history.load(trigger, _read_packs(facts, trigger['history']['packs'], earlier, each))
        except Unfit as unfit:
            raise unfit.of(trigger_key(session, earlier)) from None
        break
    if history.has_gaps:
        keys = {position_of(key): key for key in facts.list(facts_prefix(session))}
        lacking = {position: key for position, key in keys.items() if history.lacks(position)}
        found = dict(zip(lacking, each(facts.read, list(lacking.values())), strict=True))
        history.add_inherited({position: fact for position, fact in found.items() if fact is not None})
    return history


def _read_packs(facts: Facts, packs: list[str], number: int, each: Each) -> list[list[str]]:
    """What packs hold, by their keys, which the trigger of activation ``number`` names."""

    def read(key: str) -> list[str] | None:
        return facts.read_as(key, lines_of)

    found = list(each(read, packs))
    gone = [key for key, packed in zip(packs, found, strict=True) if packed is None]
    if gone:
        raise Gone(f'{gone[0]}, which holds the history up to activation {number}, is gone')
    return [packed for packed in found if packed is not None]


def _end_with_this_call() -> None:
    """
    Ends this process once Lithops' runner has reported, whatever threads the user's
    code left behind: one that stands inside ``with ThreadPoolExecutor`` would keep it
    for ever.
    """

    def end() -> None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        end_helpers()
        os._exit(0)

    if multiprocessing.parent_process() is not None:
        multiprocessing.util.Finalize(None, end, exitpriority=10**6)
