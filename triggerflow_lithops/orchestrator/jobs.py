"""Jobs: what a scheduled one is made of, and what its futures are made from."""

import base64
import functools
from types import SimpleNamespace
from typing import Any

from lithops.future import ResponseFuture
from lithops.monitoring.backends.triggerflow.status import GRACE
from lithops.storage.utils import create_job_key

from ..core.run.documents import Policy
from ..core.run.inputs import Inputs
from ..core.run.keys import MAX_CALLS, data_key
from ..core.store import Facts, new_nonce
from ..errors import NotDurableError
from ..replay.fingerprint import Fingerprint
from ..replay.introspection import callable_name

#: How Lithops' prefix of a job's id is called in a fingerprint
KINDS = {'A': 'call_async', 'M': 'map', 'R': 'reduce'}


def qualified_name(function: Any) -> str:
    """Module and qualified name of a callable; of its class, if it is an object."""
    while isinstance(function, functools.partial):
        function = function.func
    return callable_name(function)


class Uploads:
    """
    Takes what Lithops uploads when it makes a job. Its keys are content hashes, or ours.

    :param internal_storage: of the executor, where objects are looked for
    """

    def __init__(self, facts: Facts, session: str, job: str, internal_storage: Any):
        self._facts = facts
        self._session = session
        self._job = job
        self.data_key: str | None = None
        self.backend = internal_storage.backend
        self.storage = internal_storage.storage

    def put_func(self, key: str, function: bytes) -> None:
        self._facts.write(key, function)

    def put_data(self, key: str, data: bytes) -> None:
        # Before the scheduling is won: two activations may both do it, each its own
        self.data_key = data_key(self._session, self._job, new_nonce())
        self._facts.write(self.data_key, data)


def refuse_too_many(found: Fingerprint) -> None:
    """:raises NotDurableError: the ids of calls have five digits"""
    if found.calls > MAX_CALLS:
        raise NotDurableError(
            f'{found.kind}({found.function}) of {found.calls} calls: a durable map has {MAX_CALLS} calls at the most. Split it.'
        )


def job_name(session: str, executor_id: str, job_id: str) -> str:
    """What a job is called inside its run, such as ``0-M001``."""
    return f'{executor_id.removeprefix(f"{session}-")}-{job_id}'


def name_of(value: Any) -> str:
    """What a future is called in a fingerprint; empty for anything else."""
    return f'{value.job_key}/{value.call_id}' if issubclass(type(value), ResponseFuture) else ''


def job_document(
    made: Any,
    uploads: Uploads,
    runtime_name: str,
    runtime_memory: int | None,
    retry: Policy,
    inputs: Inputs,
    lanes: int,
) -> dict[str, Any]:
    """
    What futures are made from, and as ``invocation`` what only invoking needs.

    :param lanes: how many chunks are under way at one time; 0 for all of them
    """
    in_payload = made.data_key is None
    chunksize = max(1, made.chunksize)
    return {
        'calls': made.total_calls,
        'func_key': made.func_key,
        'func_name': made.function_name,
        'chunksize': chunksize,
        'lanes': lanes,
        'execution_timeout': made.execution_timeout,
        # Seconds after its invocation when a chunk is over, whatever became of it
        'lifetime': chunksize * made.execution_timeout + GRACE,
        'retry': retry,
        'runtime_name': runtime_name,
        'runtime_memory': runtime_memory,
        'metadata': made.metadata,
        'parts_per_object': getattr(made, 'parts_per_object', None),
        'invocation': {
            'inputs': inputs.document(),
            'extra_env': made.extra_env,
            'data_key': uploads.data_key,
            'data_byte_ranges': made.data_byte_ranges,
            'data': [base64.b64encode(data).decode() for data in made.data_byte_strs] if in_payload else None,
        },
    }


def futures_of(executor: Any, job_id: str, fact: dict[str, Any]) -> list[ResponseFuture]:
    """As Lithops' invoker makes them, already marked as invoked."""
    job = SimpleNamespace(
        job_id=job_id,
        job_key=create_job_key(executor.executor_id, job_id),
        executor_id=executor.executor_id,
        function_name=fact['func_name'],
        execution_timeout=fact['execution_timeout'],
        runtime_name=fact['runtime_name'],
        runtime_memory=fact['runtime_memory'],
        backend=executor.backend,
    )
    futures = []
    for index in range(fact['calls']):
        future = ResponseFuture(f'{index:05d}', job, fact['metadata'].copy(), executor.invoker.storage_config)
        future._set_state(ResponseFuture.State.Invoked)
        futures.append(future)
    return futures


def future_like(other: ResponseFuture) -> ResponseFuture:
    """The future of a call that another one made, as it came, marked as invoked."""
    future = ResponseFuture(other.call_id, other, {}, other._storage_config)
    future._produce_output, future._read = other._produce_output, other._read
    future._set_state(ResponseFuture.State.Invoked)
    return future


def is_pending(future: ResponseFuture) -> bool:
    """Whether nothing of a call is known yet but that it was invoked."""
    return not (future.ready or future.success or future.done)
