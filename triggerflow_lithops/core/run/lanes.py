"""
Lanes: how a map wider than its function service is fed while nobody is there to do it. Pure.

The chunks of a job are dealt out to as many *lanes* as may run at the same time. The first chunk
of each lane is invoked. Whoever publishes the event that ends a chunk invokes the next one of its
lane, and hands on what is left of it: so nobody has to look anything up.
"""

from dataclasses import dataclass
from typing import Iterable, Iterator

from .documents import Job, JobFact, LaneRest
from .inputs import Inputs, brief_of


@dataclass(frozen=True)
class Start:
    """A chunk that is invoked, and what of its lane follows upon it."""

    numbers: list[int]
    following: LaneRest | None


class Lanes:
    """
    Those of one job.

    :param job: the fact that scheduled it
    """

    def __init__(self, job: JobFact):
        deferred = Inputs.from_document(job['invocation']['inputs']).of_call
        self._job = job
        self._width = job['lanes'] or job['calls'] or 1
        self._chunks = neighbours((number for number in range(job['calls']) if number not in deferred), job['chunksize'])
        self._chunk_of = {number: index for index, chunk in enumerate(self._chunks) for number in chunk}

    def before(self, number: int) -> int | None:
        """The call whose end lets the chunk of ``number`` start; None if nothing of its lane does."""
        index = self._chunk_of.get(number, 0) - self._width
        return self._chunks[index][-1] if index >= 0 else None

    def after(self, number: int) -> list[list[int]]:
        """The chunks that follow in its lane when ``number`` has ended."""
        index = self._chunk_of.get(number)
        if index is None or self._chunks[index][-1] != number:
            return []
        return self._chunks[index + self._width :: self._width]

    def open(self, numbers: Iterable[int]) -> Iterator[Start]:
        """What is to be invoked so that all of ``numbers``, which have not ended, come to run."""
        wanted = sorted(numbers)
        missing = set(wanted)
        for chunk in neighbours(wanted, self._job['chunksize'], self._chunk_of):
            before = self.before(chunk[0])
            if before is None or before not in missing:
                yield start_of(self._job, [chunk, *self.after(chunk[-1])])


def start_of(job: Job, chunks: list[list[int]]) -> Start:
    """
    The first of the ``chunks`` of a lane is invoked.

    :param job: the fact that scheduled it, or what is needed of it for these chunks
    """
    first, *rest = chunks
    if not rest:
        return Start(first, None)
    left = brief_of(job, (number for chunk in rest for number in chunk))
    return Start(first, {'call': first[-1], 'chunks': rest, 'job': left})


def neighbours(numbers: Iterable[int], chunksize: int, chunk_of: dict[int, int] | None = None) -> list[list[int]]:
    """
    Runs of neighbours, no longer than ``chunksize``: the data of a payload are one range of bytes.

    :param chunk_of: the chunk that each belongs to, where these are given
    """
    chunks: list[list[int]] = []
    for number in numbers:
        last = chunks[-1] if chunks else []
        together = last and len(last) < chunksize and last[-1] == number - 1
        if together and (chunk_of is None or chunk_of[last[-1]] == chunk_of[number]):
            last.append(number)
        else:
            chunks.append([number])
    return chunks
