"""
Clock and chance in an orchestrator: what the standard library reads of them is recorded.

A script that names a file by the time, or passes a ``uuid4()`` or a temporary folder to a call,
would do otherwise in each activation. What its own thread reads between two durable steps is
recorded instead (:mod:`~.readings`), and a replay is given the same.

What is hooked is named in ``_READ``, ``_NOW`` and :func:`made_by_name`. A reading is the user's if it is made by the
orchestrator's thread, outside of a durable step, and by no code of Lithops, of a storage client or
of a logger: a request that is signed with the time of yesterday would be refused. Each module
has readings of its own, so that a library that reads the clock now and then does not mix up the user's.
"""

import contextlib
import ctypes
import datetime
import gc
import os
import sys
import tempfile
import time
import uuid
from types import FrameType
from typing import Any, Callable, Iterator, Protocol

#: Packages whose readings are their own: Lithops, what speaks to servers, and what tells of the orchestrator
NOT_THE_USERS = frozenset(
    {
        *('lithops', 'boto3', 'botocore', 'ibm_boto3', 'ibm_botocore', 'ibm_cloud_sdk_core', 'ibm_code_engine_sdk', 's3transfer'),
        *('google', 'googleapiclient', 'azure', 'msal', 'oss2', 'aliyunsdkcore', 'oci', 'minio', 'redis', 'kubernetes', 'docker'),
        *('urllib3', 'requests', 'http', 'httpx', 'httpcore', 'aiohttp', 'ssl', 'socket', 'socketserver', 'selectors', 'pika'),
        *('logging', 'loguru', 'warnings', 'tqdm', 'threading', 'queue', 'concurrent', 'multiprocessing', 'subprocess'),
    }
)

_NEUTRAL = sys.stdlib_module_names - NOT_THE_USERS | {'triggerflow_lithops'}

_SECOND = 1_000_000_000

#: Reads something for a module of the user's, or takes it as it was read here first: a kind of value, and what reads it
Read = Callable[[type, Callable[[], Any]], Any]


class Recorder(Protocol):
    """What records the readings of an orchestrator."""

    def reader(self, frame: FrameType | None) -> Read | None:
        """What reads for the code of ``frame``; None where that is not the orchestrator's own."""


def reader_of(frame: FrameType | None) -> str | None:
    """
    The module that reads something; None where that is not the user's.

    :param frame: that asked. What only passes it on, such as ``email.utils`` or ``uuid``, does not count
    """
    while frame is not None:
        module: str = frame.f_globals.get('__name__') or ''
        package = module.partition('.')[0]
        if package in NOT_THE_USERS:
            return None
        if package not in _NEUTRAL:
            return module
        frame = frame.f_back
    return ''


class Reading:
    """
    Stands for a function of C that reads the clock. It is pickled as that function, and, like that one and
    unlike a function of Python, it is no method where it is the attribute of a class.
    """

    def __init__(self, original: Any, read: Callable[..., Any], active: Callable[[], Recorder | None]):
        self.__name__ = self.__qualname__ = original.__name__
        self.__module__ = 'time'
        self.__doc__ = original.__doc__
        self.__wrapped__ = original
        self._read = read
        self._active = active

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        active = self._active()
        read = None if active is None else active.reader(sys._getframe(1))
        if read is None:
            return self.__wrapped__(*args, **kwargs)
        return self._read(read, self.__wrapped__, *args, **kwargs)

    def __repr__(self) -> str:
        return repr(self.__wrapped__)

    def __reduce__(self) -> str:
        return str(self.__name__)


@contextlib.contextmanager
def other_clock(now: Callable[[], float]) -> Iterator[None]:
    """
    Another clock than that of this machine, where clocks are hooked.

    :param now: tells the time in seconds since the epoch
    """
    clocks: Any = (time.time, time.time_ns)
    originals = [clock.__wrapped__ for clock in clocks]
    clocks[0].__wrapped__, clocks[1].__wrapped__ = now, lambda: round(now() * _SECOND)
    try:
        yield
    finally:
        for clock, original in zip(clocks, originals, strict=True):
            clock.__wrapped__ = original


def _nanoseconds(read: Read) -> int:
    return int(read(int, time.time_ns))


def _time(read: Read, original: Any) -> float:
    return _nanoseconds(read) / _SECOND


def _time_ns(read: Read, original: Any) -> int:
    return _nanoseconds(read)


def _of_time_unless_given(read: Read, original: Any, seconds: float | None = None) -> Any:
    return original(_time(read, original) if seconds is None else seconds)


def _asctime(read: Read, original: Any, *given: Any) -> Any:
    return original(*given) if given else original(time.localtime(_time(read, original)))


def _strftime(read: Read, original: Any, form: str, *given: Any) -> Any:
    return original(form, *given) if given else original(form, time.localtime(_time(read, original)))


def _clock_gettime(read: Read, original: Any, clock: int) -> Any:
    return _time(read, original) if clock == time.CLOCK_REALTIME else original(clock)


def _clock_gettime_ns(read: Read, original: Any, clock: int) -> Any:
    return _nanoseconds(read) if clock == time.CLOCK_REALTIME else original(clock)


#: Functions of ``time``, and what each reads. ``date.today`` and ``datetime.today`` ask ``time.time``
_READ: dict[str, Callable[..., Any]] = {
    'time': _time,
    'time_ns': _time_ns,
    'localtime': _of_time_unless_given,
    'gmtime': _of_time_unless_given,
    'ctime': _of_time_unless_given,
    'asctime': _asctime,
    'strftime': _strftime,
    'clock_gettime': _clock_gettime,
    'clock_gettime_ns': _clock_gettime_ns,
}


def _now(read: Read, kind: Any, tz: datetime.tzinfo | None = None) -> Any:
    return kind.fromtimestamp(_time(read, None), tz)


def _utcnow(read: Read, kind: Any) -> Any:
    return kind.fromtimestamp(_time(read, None), datetime.timezone.utc).replace(tzinfo=None)


#: Methods of ``datetime``, and what each reads
_NOW: dict[str, Callable[..., Any]] = {'now': _now, 'utcnow': _utcnow}


def replace_clocks(active: Callable[[], Recorder | None]) -> Callable[[], None]:
    """
    Hooks what reads the clock, in this process.

    :param active: tells which hooks are in force
    :return: what undoes it
    """
    originals = {name: getattr(time, name) for name in _READ}
    for name, read in _READ.items():
        setattr(time, name, Reading(originals[name], read, active))
    # The type stays the same object: values that are pickled name it, and others have imported it
    methods = {name: _replace_method(name, _Method(name, read, active)) for name, read in _NOW.items()}

    def undo() -> None:
        for name, original in originals.items():
            setattr(time, name, original)
        for name, method in methods.items():
            _replace_method(name, method)

    return undo


class _Method:
    """Stands for a class method of C in the dictionary of its type."""

    def __init__(self, name: str, read: Callable[..., Any], active: Callable[[], Recorder | None]):
        self.name = name
        self.original = vars(datetime.datetime)[name]
        self.read = read
        self.active = active

    def __get__(self, instance: Any, kind: Any = None) -> '_Bound':
        return _Bound(self, kind or type(instance))


class _Bound:
    """That method of one class. It is pickled by its name, as the one of C is."""

    def __init__(self, method: _Method, kind: Any):
        self.__name__ = method.name
        self.__qualname__ = f'{kind.__qualname__}.{method.name}'
        self.__doc__ = method.original.__doc__
        self.__self__ = kind
        self._method = method

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        active = self._method.active()
        read = None if active is None else active.reader(sys._getframe(1))
        if read is None:
            return self._method.original.__get__(None, self.__self__)(*args, **kwargs)
        return self._method.read(read, self.__self__, *args, **kwargs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bound) and (other.__self__, other.__name__) == (self.__self__, self.__name__)

    def __hash__(self) -> int:
        return hash((self.__self__, self.__name__))

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self.__self__, self.__name__)


def _replace_method(name: str, method: Any) -> Any:
    """Of a type that is made in C, whose attributes cannot be set."""
    attributes = gc.get_referents(vars(datetime.datetime))[0]
    before = attributes[name]
    attributes[name] = method
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(datetime.datetime))
    return before


# What makes something with a random name. Each gets the hooks in force, its own code, and the arguments of the call


def _uuid(active: Recorder, original: Callable[..., Any], *args: Any, **kwargs: Any) -> uuid.UUID:
    read = active.reader(sys._getframe(2))
    if read is None:
        made: uuid.UUID = original(*args, **kwargs)
        return made
    return uuid.UUID(hex=read(str, lambda: original(*args, **kwargs).hex))


def _mkstemp(
    active: Recorder, original: Callable[..., Any], dir: Any, pre: Any, suf: Any, flags: int, output_type: type
) -> tuple[int, Any]:
    def make() -> Any:
        return original(dir, pre, suf, flags, output_type)

    def adopt(path: Any) -> tuple[int, Any]:
        return os.open(path, flags & ~os.O_EXCL | os.O_NOFOLLOW, 0o600), path

    return _named(active, make, lambda made: made[1], adopt, os.path.abspath(dir), pre, suf)  # type: ignore[no-any-return]


def _mkdtemp(active: Recorder, original: Callable[..., Any], suffix: Any = None, prefix: Any = None, dir: Any = None) -> Any:
    pre, suf, folder, _ = tempfile._sanitize_params(prefix, suffix, dir)  # type: ignore[attr-defined]

    def adopt(path: Any) -> Any:
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            found = os.lstat(path)
            if found.st_uid != os.getuid() or not os.path.isdir(path) or os.path.islink(path):
                raise
        return path

    # From Python 3.12 on its path is absolute
    folder = os.path.abspath(folder) if sys.version_info >= (3, 12) else folder
    return _named(active, lambda: original(suffix, prefix, dir), lambda path: path, adopt, folder, pre, suf)


def _mktemp(active: Recorder, original: Callable[..., Any], suffix: str = '', prefix: str = 'tmp', dir: Any = None) -> Any:
    folder = tempfile.gettempdir() if dir is None else dir
    return _named(active, lambda: original(suffix, prefix, dir), lambda path: path, lambda path: path, folder, prefix, suffix)


def _named(
    active: Recorder,
    make: Callable[[], Any],
    path_of: Callable[[Any], Any],
    adopt: Callable[[Any], Any],
    folder: Any,
    prefix: Any,
    suffix: Any,
) -> Any:
    """
    A file or folder with a random name; on a replay, with the name that it had.

    :param make: makes it, with a name that was free
    :param path_of: tells its path
    :param adopt: takes it if an earlier activation has made it here, and else makes it
    """
    read = active.reader(sys._getframe(3))
    if read is None:
        return make()
    made: list[Any] = []

    def name() -> str:
        made.append(make())
        found = os.path.basename(os.fsdecode(path_of(made[0])))
        return found.removeprefix(os.fsdecode(prefix)).removesuffix(os.fsdecode(suffix))

    named = read(str, name)
    if made:
        return made[0]
    return adopt(os.path.join(folder, prefix + (os.fsencode(named) if isinstance(prefix, bytes) else named) + suffix))


def made_by_name() -> Iterator[tuple[Any, Callable[..., Any]]]:
    """Functions of Python that draw a random name, and what each does in an orchestrator."""
    yield uuid.uuid1, _uuid
    yield uuid.uuid4, _uuid
    yield tempfile._mkstemp_inner, _mkstemp  # type: ignore[attr-defined]
    yield tempfile.mkdtemp, _mkdtemp
    yield tempfile.mktemp, _mktemp
