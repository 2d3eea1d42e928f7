"""
Why the arguments of a scheduled job differ from those that it was scheduled with.

Nothing is stored for this: a job's fact says where the data of its calls are, from which
Lithops' workers take them. They are read when an orchestrator is about to fail.
"""

import base64
import functools
import io
import os
import pickle
import platform
import tempfile
from typing import Any, Iterator

import lithops.utils
from lithops.future import ResponseFuture

from ..core.run.inputs import data_of
from ..core.store import Facts
from ..replay.difference import ORDER, Difference, Surroundings, difference_of
from ..replay.fingerprint import digest_of
from ..replay.wording import described_both
from .jobs import name_of

#: Bytes of data that are read for a comparison
MOST_DATA = 2**30


def surroundings(time: float) -> Surroundings:
    """
    What this process has of its own.

    :param time: seconds since the epoch at which a step was recorded
    """
    texts = {value: f'the environment variable {name}' for name, value in os.environ.items() if len(value) > 3}
    texts[platform.node()] = 'the name of the host'
    texts |= {str(os.getpid()): 'the id of a process', str(os.getppid()): 'the id of a process'}
    texts.pop('', None)
    return Surroundings(time, texts, [tempfile.gettempdir()])


def difference_of_jobs(facts: Facts, create: 'functools.partial[Any]', fact: dict[str, Any]) -> Difference | None:
    """
    The first argument that a job was not scheduled with; None if none is found.

    :param create: Lithops' own function that makes the job, with what the user gives it now
    :param fact: as it was scheduled
    """
    found = _given(create.keywords)
    if found is None or len(found) != fact['calls']:
        return None
    first: tuple[int, Any] | None = None
    digests: tuple[list[str], list[str]] = ([], [])
    for number, before in enumerate(_recorded(facts, fact['invocation'], fact['calls'])):
        digests[0].append(digest_of(before, name_of))
        digests[1].append(digest_of(found[number], name_of))
        if first is None and digests[0][-1] != digests[1][-1]:
            first = number, before
    if first is None:
        return None
    number, before = first
    if len(found) > 1 and sorted(digests[0]) == sorted(digests[1]):
        return Difference(f'call {number} of them', *described_both(before, found[number], name_of), ORDER)
    if list(before) != list(found[number]):
        return Difference(f'what call {number} is given', *described_both(before, found[number], name_of), '')
    where = f' of call {number}' if len(found) > 1 else ''
    for name, value in found[number].items():
        if digest_of(before[name], name_of) != digest_of(value, name_of):
            return difference_of(name, where, before[name], value, name_of, surroundings(fact['time']))
    return None


def _given(keywords: dict[str, Any]) -> list[dict[str, Any]] | None:
    """
    What each call is given now, by the names of its parameters; None where Lithops finds that out in a bucket.
    """
    if 'reduce_function' in keywords:
        function, futures = keywords['reduce_function'], keywords['map_futures']
        parts = getattr(keywords['map_job'], 'parts_per_object', None) if keywords['obj_reduce_by_key'] else None
        items: Any = []
        for length in parts or [len(futures)]:
            items.append((futures[:length],))
            futures = futures[length:]
    else:
        function = keywords['map_function']
        if lithops.utils.is_object_processing_function(function):
            return None
        # Lithops merges extra_args into dicts
        items = [dict(item) if type(item) is dict else item for item in keywords['iterdata']]
    return lithops.utils.verify_args(function, items, keywords['extra_args'])  # type: ignore[no-any-return]


def _recorded(facts: Facts, invocation: dict[str, Any], calls: int) -> Iterator[dict[str, Any]]:
    """What each call was given when the job was scheduled."""
    if not invocation['data_key']:
        for number in range(calls):
            yield _Unpickler(io.BytesIO(base64.b64decode(data_of(invocation['data'], number)))).load()
        return
    ranges = [data_of(invocation['data_byte_ranges'], number) for number in range(calls)]
    if ranges[-1][1] > MOST_DATA:
        return
    data = facts.read_bytes(invocation['data_key']) or b''
    for first, last in ranges:
        # As in a request: its last byte is one of them
        yield _Unpickler(io.BytesIO(data[first : last + 1])).load()


class _Unpickler(pickle.Unpickler):
    """Makes of a future what has its name, and no client of a storage."""

    def find_class(self, module: str, name: str) -> Any:
        """What a pickle names."""
        return _future if (module, name) == _TRAVELLING else super().find_class(module, name)


_TRAVELLING = ('lithops.monitoring.backends.triggerflow.future', '_restored')


def _future(found: dict[str, Any], produces: bool, read: bool) -> ResponseFuture:
    future = ResponseFuture.__new__(ResponseFuture)
    future.job_key, future.call_id = found['job_key'], found['call_id']
    return future
