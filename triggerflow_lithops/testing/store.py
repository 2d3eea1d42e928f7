"""The store of the simulated world: one memory, which each process reaches over a network that fails."""

from typing import Callable, List, Protocol, TypeVar

from ..core.memory_store import MemoryStore
from ..core.run.keys import outcome_key
from ..core.store import StoreUnavailable
from .scheduler import Process, Scheduler

_Answer = TypeVar('_Answer')


#: Seconds that a request takes
LATENCIES = (0.0, 0.0, 0.01, 0.05)
#: … and from which to which if this happens to it
LONG = {'slow': (1.0, 20.0), 'paused': (1.0, 3600.0)}


class Fate(Protocol):
    """Decides what happens to a request, and hears of what was seen."""

    scheduler: Scheduler
    outage_until: float

    def happens(self, fault: str) -> bool:
        """Whether this fault is injected now."""

    def one_of_request(self) -> str:
        """Which fault is injected into a request, or into who makes it; '' for none."""

    def hurt(self, process: Process) -> None:
        """A fault has hurt this process, which may not do in time what it should, or at all."""

    def kill(self, process: Process, reported: bool) -> None:
        """The current process dies."""

    def count_request(self, process: Process, key: str) -> None:
        """A request was made, about this key, or keys that begin so."""

    def count_listed(self, process: Process, keys: int) -> None:
        """A listing showed so many keys."""

    def wrote(self, process: Process, key: str) -> None:
        """A process has written something new."""

    def broken(self, law: str) -> None:
        """A law was broken."""


class Memory(MemoryStore):
    """
    The bucket. Unlike ours, Lithops' own writes overwrite.

    :ivar written_twice: keys that were given a second value
    :ivar written: when a key was written first, and by which process
    """

    def __init__(self) -> None:
        super().__init__()
        self.written_twice: List[str] = []
        self.written: dict[str, tuple[float, Process]] = {}
        self._first: dict[str, bytes] = {}

    def put_new(self, key: str, value: bytes) -> bool:
        """Writes if the key is absent. True: created; False: exists."""
        created = super().put_new(key, value)
        if created and self._first.setdefault(key, value) != value:
            self.written_twice.append(key)
        return created

    def load(self, objects: dict[str, bytes]) -> None:
        """Many objects that are not there yet, at once."""
        self._objects.update(objects)
        self._keys = sorted(self._objects)

    def forget(self, key: str) -> None:
        """Removes an object that may be written again, with another value."""
        self.delete([key])
        self._first.pop(key, None)
        self.written.pop(key, None)

    def put(self, key: str, value: bytes) -> None:
        """Writes an object, whatever was there."""
        self.delete([key])
        self.put_new(key, value)


class SimulatedStore:
    """
    The bucket, as one process reaches it.

    :param seen: the first value that anyone saw of each key
    """

    def __init__(self, fate: Fate, memory: Memory, process: Process, session: str, seen: dict[str, bytes]):
        self._fate = fate
        self._memory = memory
        self._process = process
        self._outcome = outcome_key(session)
        self._seen = seen

    def get(self, key: str) -> bytes | None:
        """The value, or None when there is none."""
        value = self._request(key, lambda: self._memory.get(key))
        if value is not None:
            if self._seen.setdefault(key, value) != value:
                self._fate.broken(f'{key} was seen in two values')
            if key == self._outcome:
                self._process.saw_outcome = True
        return value

    def list(self, prefix: str) -> List[str]:
        """All keys that begin with ``prefix``, sorted."""
        found = self._request(prefix, lambda: self._memory.list(prefix))
        self._fate.count_listed(self._process, len(found))
        return found

    def put_new(self, key: str, value: bytes) -> bool:
        """Writes if the key is absent. True: created; False: exists."""

        def write() -> bool:
            created = self._memory.put_new(key, value)
            if created:
                self._fate.wrote(self._process, key)
                self._memory.written.setdefault(key, (self._fate.scheduler.now, self._process))
            if self._fate.happens('lied'):
                raise StoreUnavailable('the answer was lost')
            return created

        return self._request(key, write)

    def put(self, key: str, value: bytes) -> None:
        """Writes as Lithops does: over what is there."""
        self._request(key, lambda: self._memory.put(key, value))

    def delete(self, keys: List[str]) -> None:
        """Removes objects."""
        self._request(keys[0] if keys else '', lambda: self._memory.delete(keys))

    def load(self, objects: dict[str, bytes]) -> None:
        """What others have written long ago. Once, however often it is said."""
        if not objects.keys() & set(self._memory.list(min(objects))):
            self._memory.load(objects)

    def _request(self, key: str, request: Callable[[], _Answer]) -> _Answer:
        fate, scheduler = self._fate, self._fate.scheduler
        fate.count_request(self._process, key)
        fault = fate.one_of_request()
        random = scheduler.random
        # Many at one time, so that their order is up to the seed
        if fault in LONG:
            fate.hurt(self._process)
        latency = random.uniform(*LONG[fault]) if fault in LONG else LATENCIES[int(random.random() * len(LATENCIES))]
        scheduler.sleep(latency)
        dies = fault in ('killed', 'vanished')
        if dies and random.random() < 0.5:
            fate.kill(self._process, reported=fault == 'killed')
        if fault == 'outage':
            fate.outage_until = scheduler.now + random.uniform(1, 20)
        if scheduler.now < fate.outage_until:
            fate.hurt(self._process)
        if fault == 'refused' or scheduler.now < fate.outage_until:
            raise StoreUnavailable(fault or 'outage')
        answer = request()
        if dies:
            # What it asked for was done
            fate.kill(self._process, reported=fault == 'killed')
        return answer
