"""What a client does that waits: it looks, bears an outage of the bucket, and has sweeps made meanwhile."""

import contextlib
import logging
import sys
import threading
import time
from typing import Any, Callable, Iterator

from .triggers.store import StoreUnavailable

logger = logging.getLogger(__name__)

#: Seconds between two looks: at first, and at the most
POLL = (0.01, 0.25)
#: Seconds between two sweeps
SWEEP = 5.0
#: Seconds for which the bucket may be out of reach
OUTAGE = 300.0


@contextlib.contextmanager
def interruptible(goes_on: str) -> Iterator[None]:
    """
    Inside of it something is waited for that goes on by itself. Ctrl-C ends the wait only, and says so.

    :param goes_on: what goes on, and how to find it again: a line, for people to read
    """
    try:
        yield
    except KeyboardInterrupt:
        # Not logged: it is the answer to what the user did, at whatever level his log is
        with contextlib.suppress(Exception):
            print(goes_on, file=sys.stderr, flush=True)
        raise


def wait_for(
    what: str,
    look: Callable[[], Any],
    require: Callable[[], Any],
    sweep: Callable[[], Any],
    timeout: float | None,
    again: str = 'ask again',
) -> Any:
    """
    Looks until there is something.

    :param what: is waited for, such as ``'Run main-3f9a1c2b'``
    :param look: returns it; None while it is not there
    :param require: raises if it can never come
    :param sweep: repairs what keeps it from coming
    :param timeout: seconds
    :param again: how to go on waiting for it, in words
    :raises TimeoutError: it was not there by then
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    reached = swept = time.monotonic()
    sweeps = _Sweeps(sweep)
    for _ in _looks(deadline):
        try:
            found = look()
            if found is not None:
                return found
            reached = time.monotonic()
            if reached - swept > SWEEP:
                require()
                sweeps.begin()
                swept = reached
        except (StoreUnavailable, OSError) as error:
            if time.monotonic() - reached > OUTAGE:
                raise
            logger.warning('%s - the bucket cannot be reached, still trying: %s', what, error)
    # Of what was removed it would be wrong to say that it goes on
    with contextlib.suppress(StoreUnavailable, OSError):
        require()
    raise TimeoutError(f'{what} has not ended within {timeout} s. It goes on: {again}.')


class _Sweeps:
    """Sweeps beside whoever waits: one looks twice, with a pause, and nobody waits for that."""

    def __init__(self, sweep: Callable[[], Any]):
        self._sweep = sweep
        self._thread: threading.Thread | None = None

    def begin(self) -> None:
        """Sweeps, unless one is under way."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._work, name='sweep', daemon=True)
            self._thread.start()

    def _work(self) -> None:
        try:
            self._sweep()
        except Exception as error:
            # The next one may come through
            logger.warning('A sweep failed: %s: %s', type(error).__name__, error)


def _looks(deadline: float | None) -> Iterator[None]:
    pause, longest = POLL
    while True:
        yield
        if deadline is not None and time.monotonic() >= deadline:
            return
        time.sleep(pause if deadline is None else max(0.0, min(pause, deadline - time.monotonic())))
        pause = min(longest, pause * 1.2)
