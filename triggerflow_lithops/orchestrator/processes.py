"""Processes that an orchestrator has started: they go with its activation."""

import contextlib
import os
import signal


def end_helpers() -> None:
    """
    Kills what this process has started, and what that has started, if it is of the same process group.

    What was forked and goes on would keep Lithops' handler waiting for this process. Linux only: elsewhere nothing
    tells what a process has started.
    """
    group, found = os.getpgid(0), _children(os.getpid())
    for pid in found:
        found += _children(pid)
    for pid in found:
        # It may have just ended. One that leads a group of its own, as the local function service does, was meant to stay
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if os.getpgid(pid) == group:
                os.kill(pid, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f'/proc/{pid}/task'):
            with open(f'/proc/{pid}/task/{thread}/children') as children:
                found += map(int, children.read().split())
    return found
