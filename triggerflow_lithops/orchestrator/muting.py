"""
Output while an orchestrator is replayed: it goes nowhere, for it was seen before.

What is muted is where the bytes go, the file descriptors. The objects that write there
stay as they are: a handler, a progress bar or a variable that has kept ``sys.stdout`` is
silent during a replay, and is heard afterwards. So is a program that the orchestrator runs.
"""

import io
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
        self._streams = [*_streams()]
        self._flush()
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
        self._flush()
        for descriptor, kept in self._kept.items():
            os.dup2(kept, descriptor, inheritable=os.get_inheritable(descriptor))
            os.close(kept)
        for handler, emit in self._emits.items():
            if emit is None:
                delattr(handler, 'emit')
            else:
                handler.emit = emit  # type: ignore[method-assign]

    def _flush(self) -> None:
        for stream in (*self._streams, *_streams()):
            try:
                stream.flush()
            except Exception:
                pass  # it is closed, or was never a stream


def complete_streams() -> None:
    """
    Standard output and error are whole text streams in this process, as they are in a script: with ``buffer``,
    ``encoding``, ``writelines``. Lithops puts an object there that has ``write`` and ``flush`` only.
    """
    for name in ('stdout', 'stderr'):
        stream = getattr(sys, name)
        if stream is not None and not hasattr(stream, 'buffer'):
            descriptors = list(dict.fromkeys(found for part in _parts_of(stream) if (found := _descriptor(part)) is not None))
            buffer = io.BufferedWriter(_Tee(descriptors))
            setattr(sys, name, io.TextIOWrapper(buffer, encoding='utf-8', errors='backslashreplace', line_buffering=True))


class _Tee(io.RawIOBase):
    """Writes to several descriptors. They stay open when it is closed."""

    def __init__(self, descriptors: list[int]):
        super().__init__()
        self._descriptors = descriptors

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptors[0]

    def isatty(self) -> bool:
        return False

    def write(self, data: Any) -> int:
        written = memoryview(data).cast('B')
        for descriptor in self._descriptors:
            rest = written
            while rest:
                rest = rest[os.write(descriptor, rest) :]
        return len(written)


def _silent(emit: Callable[[Any, logging.LogRecord], None]) -> Callable[[Any, logging.LogRecord], None]:
    def emit_unless_repeated(handler: Any, record: logging.LogRecord) -> None:
        # A file that each activation begins anew needs all of its lines
        if isinstance(handler, logging.FileHandler) and not handler.mode.startswith('a'):
            emit(handler, record)

    return emit_unless_repeated


def _descriptors() -> list[int]:
    """File descriptors of standard output and error, wherever Lithops and its backends have put them."""
    found = {1, 2, *(descriptor for stream in _streams() if (descriptor := _descriptor(stream)) is not None)}
    return [descriptor for descriptor in sorted(found) if _is_open(descriptor)]


def _descriptor(stream: Any) -> int | None:
    try:
        return int(stream.fileno())
    except Exception:
        return None  # it has none


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _streams() -> Iterator[Any]:
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        yield from _parts_of(stream)


def _parts_of(stream: Any) -> Iterator[Any]:
    """A stream, and those that it writes to: Lithops' own writes to the log of a call, and to what was there before."""
    while stream is not None:
        yield stream
        inside = getattr(stream, '__dict__', {})
        if '_stream' in inside:
            yield inside['_stream']
        stream = inside.get('_stdout')
