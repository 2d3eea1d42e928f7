"""Where an orchestrator plays in the simulated world: in a greenlet, which is left standing."""

import threading
from typing import Any, Callable, NoReturn, Sequence

import greenlet

from ..core.run.keys import run_key
from ..core.store import Facts
from ..orchestrator.context import Hooks
from ..orchestrator.hooks.install import use
from ..orchestrator.outcome import End
from ..orchestrator.runner import run_to_end
from ..replay.effects import Interrupted
from .scheduler import Process, Scheduler


class SimulatedRunner:
    """The world of one simulated activation."""

    def __init__(self, scheduler: Scheduler, process: Process):
        self._scheduler = scheduler
        self._process = process
        self._front: Any = None
        self.hooks: Hooks | None = None

    def run(self, user_code: Callable[[], Any], create_hooks: Callable[[threading.Thread], Hooks]) -> End:
        """Runs the orchestrator until it ends, or is left standing."""
        self._front = greenlet.getcurrent()
        hooks = self.hooks = create_hooks(threading.current_thread())
        self._enter(hooks)
        turn = greenlet.greenlet(lambda: run_to_end(user_code, hooks), self._front)
        end: End = turn.switch()
        self._enter(None)
        if not turn.dead:
            self._scheduler.leave_behind(turn)
        return end

    def time(self) -> float:
        """Seconds since the epoch, by the clock of this process."""
        return self._scheduler.now + self._process.skew

    def sleep(self, seconds: float) -> None:
        """Lets virtual time pass."""
        self._scheduler.sleep(seconds)

    def stop(self, left: Interrupted) -> NoReturn:
        """Leaves the orchestrator where it stands."""
        self._front.switch(left)
        self._scheduler.die()

    def each(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """``function`` of each item."""
        return [function(item) for item in items]

    def begin_run(self, config: dict[str, Any], facts: Facts, document: dict[str, Any]) -> None:
        """One run is simulated: of another one it is written that there is it."""
        facts.create(run_key(document['run_id']), document)

    def caught_up(self) -> None:
        """What a simulated orchestrator prints is shown each time."""

    def _enter(self, hooks: Hooks | None) -> None:
        self._process.hooks = hooks
        use(hooks)
