"""Which faults a simulation injects, and how often."""

from dataclasses import dataclass, fields, replace
from random import Random


@dataclass(frozen=True)
class Faults:
    """
    The chance of each fault, from 0 to 1.

    Of a storage request:

    :param refused: it fails, once
    :param lied: a write succeeds, and answers with an error
    :param slow: it takes up to 20 s
    :param outage: from here on all requests of everybody fail, for up to 20 s

    Of a process, at each of its storage requests, and before each invocation:

    :param killed: it dies, and the function service reports it
    :param vanished: it dies, and nobody reports it
    :param paused: at a request, it stands still, for up to an hour, and goes on: a zombie

    Of an invocation:

    :param lost: it is accepted, and nothing ever begins
    :param twice: it is delivered twice
    :param late: it is delivered up to five minutes late, so maybe out of order

    Of a call:

    :param out_of_memory: the process of the user's function is killed
    """

    refused: float = 0
    lied: float = 0
    slow: float = 0
    outage: float = 0
    killed: float = 0
    vanished: float = 0
    paused: float = 0
    lost: float = 0
    twice: float = 0
    late: float = 0
    out_of_memory: float = 0

    def of_requests(self) -> list[tuple[str, float]]:
        """The faults of a request, or of who makes it, each with the sum of all chances up to it."""
        chances = [(name, getattr(self, name)) for name in _OF_REQUESTS if getattr(self, name)]
        return [(name, sum(chance for _, chance in chances[: number + 1])) for number, (name, _) in enumerate(chances)]

    def some(self, random: Random) -> 'Faults':
        """These faults, each of them with a chance of a half, so that they also come alone."""
        return replace(self, **{field.name: 0 for field in fields(self) if random.random() < 0.5})


_OF_REQUESTS = ('refused', 'slow', 'outage', 'killed', 'vanished', 'paused')

#: No faults at all
NONE = Faults()
#: Faults after which every run goes on without a sweep
SOFT = Faults(refused=0.01, lied=0.01, slow=0.02, paused=0.003, twice=0.06, late=0.05)
#: All of them
HARD = Faults(
    refused=0.01,
    lied=0.01,
    slow=0.01,
    outage=0.003,
    killed=0.012,
    vanished=0.006,
    paused=0.008,
    lost=0.03,
    twice=0.06,
    late=0.04,
    out_of_memory=0.03,
)

BY_NAME = {'none': NONE, 'soft': SOFT, 'hard': HARD}
