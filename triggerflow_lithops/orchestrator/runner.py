"""Where an orchestrator runs in an activation: a thread of its own, which is left standing where it must wait."""

import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, NoReturn, Sequence

from ..core.damage import Damaged
from ..core.store import Facts
from ..replay.effects import Interrupted
from ..replay.suspend import FEW
from ..retry import enter_orchestrator
from .context import Hooks
from .hooks.install import hook, use
from .muting import Muted, complete_streams
from .outcome import End, Raised, Returned
from .start_run import begin_run, create_run

#: Requests that one activation has under way at once
THREADS = 32


class ThreadRunner:
    """The world of a replay: where the orchestrator's thread plays, and is left standing."""

    def __init__(self) -> None:
        self._ends: queue.SimpleQueue[End] = queue.SimpleQueue()
        complete_streams()
        self._muted: Muted | None = Muted()

    def run(self, user_code: Callable[[], Any], create_hooks: Callable[[threading.Thread], Hooks]) -> End:
        """Runs the orchestrator until it ends, or is left standing."""

        def act() -> None:
            self._ends.put(run_to_end(user_code, hooks))

        thread = threading.Thread(target=act, name='orchestrator', daemon=True)
        hooks = create_hooks(thread)
        hook()
        use(hooks)
        thread.start()
        end = self._ends.get()
        self.caught_up()
        return end

    def time(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Lets time pass."""
        time.sleep(seconds)

    def stop(self, left: Interrupted) -> NoReturn:
        """Parks this thread for good. The process ends around it."""
        self._ends.put(left)
        while True:
            threading.Event().wait()

    def each(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """``function`` of each item, many at the same time."""
        if len(items) <= FEW:
            return [function(item) for item in items]
        with ThreadPoolExecutor(min(THREADS, len(items))) as pool:
            return list(pool.map(function, items))

    def begin_run(self, config: dict[str, Any], facts: Facts, document: dict[str, Any]) -> None:
        """Starts another run, unless one of its id is there."""
        try:
            ours, _ = create_run(config, facts, document)
        except Damaged:
            # There is one, whatever it is
            return
        if ours:
            begin_run(config, facts, document)

    def caught_up(self) -> None:
        """From here on, what the orchestrator prints and logs is new."""
        if self._muted is not None:
            self._muted.end()
            self._muted = None


def run_to_end(user_code: Callable[[], Any], hooks: Hooks) -> Returned | Raised:
    """Runs the orchestrator, in its own thread. Returns at its end, and only then."""
    enter_orchestrator()
    hooks.replay.seed()
    try:
        return Returned(user_code())
    except BaseException as error:
        return Raised(error)
