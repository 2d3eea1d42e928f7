"""What a replay needs of the world, and how an activation leaves its orchestrator."""

from dataclasses import dataclass
from typing import Any, Callable, NoReturn, Protocol, Sequence

from ..core.store import Facts


@dataclass(frozen=True)
class Suspended:
    """The activation waits for what its trigger says."""

    number: int
    waits_for: str


@dataclass(frozen=True)
class Superseded:
    """Another activation goes on, or the run has ended already."""

    number: int
    why: str


@dataclass(frozen=True)
class Failed:
    """The run cannot go on, and not through the orchestrator's own doing."""

    error: Exception


@dataclass(frozen=True)
class Lost:
    """Something is gone that the run cannot go on without."""

    reason: str


@dataclass(frozen=True)
class Crashed:
    """A fault of storage, of the function service or of ours: the activation is tried again."""

    error: Exception


Interrupted = Suspended | Superseded | Failed | Lost | Crashed


class Effects(Protocol):
    """What a replay needs of the world, all of it in the caller's hands."""

    def time(self) -> float:
        """Seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Lets time pass."""

    def stop(self, left: Interrupted) -> NoReturn:
        """Ends the activation where it stands."""

    def each(self, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
        """``function`` of each item, in order; at the same time where that is faster."""

    def begin_run(self, config: dict[str, Any], facts: Facts, document: dict[str, Any]) -> Any:
        """Starts another run, unless one of its id is there."""

    def caught_up(self) -> None:
        """The replay has come to where the run last stood."""
