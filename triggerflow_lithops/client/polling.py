"""What a client does that waits: it looks, bears an outage of the bucket, and takes part in the care meanwhile."""

import contextlib
import logging
import sys
import time
from typing import Any, Callable, Iterator

from ..core import limits
from ..core.store import StoreUnavailable
from .care import care

logger = logging.getLogger(__name__)

#: Seconds between two looks: at first, and at the most
POLL = (0.01, 0.25)
#: Seconds between two questions whether it can still come
REQUIRE = 5.0
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
        care.leave()
        # Not logged: it is the answer to what the user did, at whatever level his log is
        with contextlib.suppress(Exception):
            print(goes_on, file=sys.stderr, flush=True)
        raise


def wait_for(
    what: str,
    look: Callable[[], Any],
    require: Callable[[], Any],
    tend: Callable[[], Any],
    timeout: float | None,
    again: str = 'ask again',
) -> Any:
    """
    Looks until there is something.

    :param what: is waited for, such as ``'Run main-3f9a1c2b'``
    :param look: returns it; None while it is not there
    :param require: raises if it can never come
    :param tend: takes part in its care, at each look that finds nothing; it returns at once
    :param timeout: seconds; 0 to look once
    :param again: how to go on waiting for it, in words
    :raises TimeoutError: it was not there by then
    :raises ValueError: the timeout is no number of seconds
    """
    timeout = limits.timeout(timeout)
    deadline = None if timeout is None else time.monotonic() + timeout
    reached = required = time.monotonic()
    for _ in _looks(deadline):
        try:
            found = look()
            if found is not None:
                return found
            reached = time.monotonic()
            if reached - required > REQUIRE:
                require()
                required = reached
            tend()
        except (StoreUnavailable, OSError) as error:
            if time.monotonic() - reached > OUTAGE:
                raise
            logger.warning('%s - the bucket cannot be reached, still trying: %s', what, error)
    # Of what was removed it would be wrong to say that it goes on
    with contextlib.suppress(StoreUnavailable, OSError):
        require()
    raise TimeoutError(f'{what} has not ended within {timeout} s. It goes on: {again}.')


def _looks(deadline: float | None) -> Iterator[None]:
    pause, longest = POLL
    while True:
        yield
        if deadline is not None and time.monotonic() >= deadline:
            return
        time.sleep(pause if deadline is None else max(0.0, min(pause, deadline - time.monotonic())))
        pause = min(longest, pause * 1.2)
