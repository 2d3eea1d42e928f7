"""Executors inside simulated calls: plain Lithops, which waits by looking, but for what runs its calls."""

import json
import os
import time
from typing import Any, Callable, Sequence

from lithops.future import ResponseFuture
from lithops.monitoring.backends.triggerflow.future import OUTPUT_FIELD, reduced
from lithops.monitoring.backends.triggerflow.invoke import NO_RETRIES
from lithops.storage.utils import create_output_key, create_status_key

from ..core.run.inputs import Inputs
from ..core.store import Facts, StoreUnavailable, new_nonce
from ..orchestrator.context import Hooks
from ..orchestrator.jobs import Uploads, job_document, job_name
from ..replay.fingerprint import Fingerprint
from ..replay.replay import Ended

#: Seconds between two looks
POLL = 5.0


class NestedHooks(Hooks):
    """
    What the hooked methods of Lithops do inside one execution of one call.

    :param session: of the run
    :param caller: what the call is called in its run, such as ``0-M001-00003``
    :param start_calls: invokes calls of a job that it made, which is given as a fact
    """

    def __init__(self, facts: Facts, session: str, caller: str, runtime_meta: dict[str, Any], start_calls: Callable[..., None]):
        self.facts = facts
        self._session = session
        # Its executors are numbered from 0, in a session of its own
        self.session_of_executors = f'{session}-{caller}-{new_nonce()}'
        self.runtime_meta = runtime_meta
        self._start_calls = start_calls
        self.config = json.loads(os.environ['LITHOPS_CONFIG'])
        self.processes = 0

    def run_step(self, function: Callable[[], Any], name: str) -> Any:
        """Whatever fails is an exception of the call."""
        return function()

    def reader(self, frame: Any) -> None:
        """A call reads what there is."""

    @property
    def is_replaying(self) -> bool:
        """No call is replayed."""
        return False

    def carry(self, future: ResponseFuture) -> Any:
        """What pickle makes of a future."""
        return reduced(future, future._produce_output, future._read)

    def now(self) -> float:
        """The time."""
        return time.time()

    def await_calls(
        self,
        pending: list[ResponseFuture],
        needed: int,
        until_failure: bool = False,
        timeout: float | None = None,
        due: float | None = None,
    ) -> Ended:
        """Looks again and again."""
        if timeout is not None and due is None:
            due = time.time() + timeout
        while True:
            for future in [future for future in pending if not future.ready]:
                status = self.facts.read(create_status_key(future.executor_id, future.job_id, future.call_id))
                if status is not None:
                    future._set_ready(status)
            in_time = sum(future.ready for future in pending) >= needed
            if in_time or (due is not None and time.time() >= due):
                return Ended([], in_time, due)
            time.sleep(POLL)

    def output(self, future: ResponseFuture) -> bytes:
        """The pickled result of a call."""
        own = create_output_key(future.executor_id, future.job_id, future.call_id)
        return self.get_data((future._call_status or {}).get(OUTPUT_FIELD, own))

    def logs(self, future: ResponseFuture) -> None:
        """Nobody keeps them."""

    def require_readable(self, future: ResponseFuture) -> None:
        """Whatever fails is an exception of the call."""

    def fetch_outputs(self, futures: list[ResponseFuture]) -> None:
        """Each is read when it is asked for."""

    def get_data(self, key: str) -> bytes:
        """As Lithops' storage gives it."""
        found = self.facts.read_bytes(key)
        if found is None:
            raise StoreUnavailable(f'{key} is not there')
        return found

    def _schedule(
        self,
        executor: Any,
        job_id: str,
        fingerprint: Fingerprint,
        create: Any,
        inputs: Callable[[int], list[list[ResponseFuture]]],
        is_choice: bool = False,
    ) -> dict[str, Any]:
        job = job_name(self._session, executor.executor_id, job_id)
        uploads = Uploads(self.facts, self._session, job, executor.internal_storage)
        made = create(
            config=executor.config,
            internal_storage=uploads,
            executor_id=executor.executor_id,
            runtime_meta=self.runtime_meta,
        )
        document = job_document(made, uploads, executor.invoker.runtime_name, None, NO_RETRIES, Inputs({}, {}), lanes=0)
        indices: Sequence[int] = range(document['calls'])
        self._start_calls({**document, 'job': job, 'activation': 0}, indices)
        return document
