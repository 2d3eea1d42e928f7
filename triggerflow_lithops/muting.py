"""
Output while an orchestrator is replayed: it goes nowhere, for it was seen before.

What is muted is where the bytes go, the file descriptors. The objects that write there
stay as they are: a handler, a progress bar or a variable that has kept ``sys.stdout`` is
silent during a replay, and is heard afterwards. So is a program that the orchestrator runs.
"""

import logging
import logging.handlers
import os
import sys
from typing import Any, Callable, Iterator

#: Handlers whose lines outlive the process: a replay would write, or send, each line again
_OUTSIDE: tuple[type[logging.Handler], ...] = (
    logging.FileHandler,
    logging.handlers.SocketHandler,
    logging.handlers.SysLogHandler,
    logging.handlers.SMTPHandler,
    logging.handlers.HTTPHandler,
)


class Muted:
    """From now on until :meth:`end`, what this process prints and logs goes nowhere."""

    def __init__(self) -> None:
        _flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        self._kept = {descriptor: os.dup(descriptor) for descriptor in _descriptors()}
        for descriptor in self._kept:
            os.dup2(nowhere, descriptor, inheritable=os.get_inheritable(descriptor))
        os.close(nowhere)
        self._emits = {handler: vars(handler).get('emit') for handler in _OUTSIDE}
        for handler in _OUTSIDE:
            handler.emit = _silent(handler.emit)  # type: ignore[method-assign, assignment]

    def end(self) -> None:
        """What is printed and logged from here on is new."""
        # What a stream still holds belongs to the replay
        _flush()
        for descriptor, kept in self._kept.items():
            os.dup2(kept, descriptor, inheritable=os.get_inheritable(descriptor))
            os.close(kept)
        for handler, emit in self._emits.items():
            if emit is None:
                delattr(handler, 'emit')
            else:
                handler.emit = emit  # type: ignore[method-assign]


def _silent(emit: Callable[[Any, logging.LogRecord], None]) -> Callable[[Any, logging.LogRecord], None]:
    def emit_unless_repeated(handler: Any, record: logging.LogRecord) -> None:
        # A file that each activation begins anew needs all of its lines
        if isinstance(handler, logging.FileHandler) and not handler.mode.startswith('a'):
            emit(handler, record)

    return emit_unless_repeated


def _flush() -> None:
    for stream in _streams():
        try:
            stream.flush()
        except Exception:
            pass  # it is closed, or was never a stream


def _descriptors() -> list[int]:
    """File descriptors of standard output and error, wherever Lithops and its backends have put them."""
    found = {1, 2}
    for stream in _streams():
        try:
            found.add(stream.fileno())
        except Exception:
            pass  # it has none
    return [descriptor for descriptor in sorted(found) if _is_open(descriptor)]


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _streams() -> Iterator[Any]:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        # Lithops' own writes to two others: to the log of a call, and to what was standard output before
        while stream is not None:
            yield stream
            if (log := vars(stream).get('_stream') if hasattr(stream, '__dict__') else None) is not None:
                yield log
            stream = vars(stream).get('_stdout') if hasattr(stream, '__dict__') else None
