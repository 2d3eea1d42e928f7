"""What the hooked methods of Lithops do that call: jobs are scheduled once, and invoked until they are under way."""

import contextlib
import functools
import itertools
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Callable, Sequence

import cloudpickle
import lithops.utils
from lithops.constants import LOGS_DIR
from lithops.future import ResponseFuture
from lithops.job import create_map_job, create_reduce_job
from lithops.monitoring.backends.triggerflow.compute import handler_of, is_local
from lithops.monitoring.backends.triggerflow.future import reduced
from lithops.storage.utils import create_job_key

from ..core import limits
from ..core.run.documents import JobFact, RunFields
from ..core.run.inputs import Inputs
from ..core.run.trigger import Members
from ..core.store import StoreUnavailable
from ..deployment.config import SECTION
from ..deployment.runtime import require_runtime
from ..errors import NotDurableError
from ..replay.effects import Effects
from ..replay.fingerprint import Fingerprint, digest_of
from ..replay.replay import Replay
from ..retry import innermost
from .jobs import KINDS, Uploads, futures_of, job_document, job_name, name_of, qualified_name, refuse_too_many
from .lithops_modules import job_module
from .mismatch import difference_of_jobs
from .packing.exception_documents import document_of, exception_of
from .steps import Steps, UserCodeError

#: Lithops' own, of what it invokes
invocations = logging.getLogger('lithops.invokers')


class Calls(Steps):
    """
    Schedules jobs.

    :param start_calls: invokes calls of a scheduled job
    :ivar runtime_meta: Lithops' metadata of the runtime that calls run in
    """

    def __init__(
        self,
        replay: Replay,
        effects: Effects,
        config: dict[str, Any],
        run: RunFields,
        runtime_meta: dict[str, Any],
        start_calls: Callable[..., None],
        thread: threading.Thread,
    ):
        super().__init__(replay, effects, config, run, thread)
        self.runtime_meta = runtime_meta
        self._start_calls = start_calls
        self._uploaded = {fact['func_key'] for fact in replay.history.facts.values() if 'func_key' in fact}
        self._carried: list[ResponseFuture] | None = None

    def submit_map(
        self,
        executor: Any,
        map_function: Callable[..., Any],
        iterdata: Any,
        runtime_memory: int | None = None,
        extra_env: dict[str, Any] | None = None,
        include_modules: list[str] | None = None,
        exclude_modules: list[str] | None = None,
        timeout: float | None = None,
        chunksize: int | None = None,
        extra_args: Any = None,
        obj_chunk_size: int | None = None,
        obj_chunk_number: int | None = None,
        obj_newline: str | None = '\n',
        job_prefix: str = 'M',
    ) -> tuple[str, Any, list[ResponseFuture]]:
        """``FunctionExecutor._submit_map``: the common path of ``call_async`` and ``map``."""
        timeout = limits.timeout(timeout)
        kind = _kind(job_prefix, map_function)
        items = list(iterdata) if isinstance(iterdata, Iterator) else iterdata
        chained = lithops.utils._chained_futures(items)
        calls = chained or lithops.utils._as_iterdata_list(items)
        # Lithops merges extra_args into the user's own dicts: into copies of them here,
        # for a replay does not do it again
        items = [dict(item) if type(item) is dict else item for item in calls]
        # A map over objects has as many calls as they have partitions, which the first activation finds
        partitioned = lithops.utils.is_object_processing_function(map_function)
        parts = (obj_chunk_size, obj_chunk_number, obj_newline) if partitioned else ()

        def inputs(calls: int) -> list[list[ResponseFuture]]:
            of_all = self._carried_by((map_function, extra_args))
            if partitioned:
                return [of_all + self._carried_by(items)] * calls
            of_each = [[future] for future in chained] if chained else map(self._carried_by, items)
            return [of_all + of_one for of_one in of_each]

        job_id = executor._create_job_id(job_prefix)
        create = functools.partial(
            create_map_job,
            job_id=job_id,
            map_function=map_function,
            iterdata=items,
            runtime_memory=runtime_memory,
            extra_env=extra_env,
            include_modules=include_modules,
            exclude_modules=exclude_modules,
            execution_timeout=timeout,
            chunksize=chunksize,
            extra_args=extra_args,
            obj_chunk_size=obj_chunk_size,
            obj_chunk_number=obj_chunk_number,
            obj_newline=obj_newline,
        )
        digest = digest_of([items, extra_args, *parts], name_of, len(calls))
        fingerprint = Fingerprint(kind, qualified_name(map_function), len(calls), digest)
        fact = self._schedule(executor, job_id, fingerprint, create, inputs, is_choice=partitioned)
        executor._disable_iterdata_output(chained)
        futures = futures_of(executor, job_id, fact)
        executor.futures.extend(futures)
        job = SimpleNamespace(job_id=job_id, total_calls=len(futures))
        if fact['parts_per_object']:
            job.parts_per_object = fact['parts_per_object']
        return job_id, job, futures

    def run_reduce_job(
        self,
        executor: Any,
        reduce_job_id: str,
        reduce_function: Callable[..., Any],
        map_job: Any,
        map_futures: list[ResponseFuture],
        runtime_memory: int | None = None,
        extra_args: Any = None,
        obj_reduce_by_key: bool = False,
        extra_env: dict[str, Any] | None = None,
        include_modules: list[str] | None = None,
        exclude_modules: list[str] | None = None,
    ) -> list[ResponseFuture]:
        """``FunctionExecutor._run_reduce_job``: each reducer starts when the calls that it reduces have ended."""
        parts = getattr(map_job, 'parts_per_object', None) if obj_reduce_by_key else None
        ends = [*itertools.accumulate(parts or [len(map_futures)])]
        inputs = [map_futures[first:end] for first, end in zip([0, *ends], ends, strict=False)]
        create = functools.partial(
            create_reduce_job,
            reduce_job_id=reduce_job_id,
            reduce_function=reduce_function,
            map_job=map_job,
            map_futures=list(map_futures),
            runtime_memory=runtime_memory,
            obj_reduce_by_key=obj_reduce_by_key,
            extra_env=extra_env,
            include_modules=include_modules,
            exclude_modules=exclude_modules,
            extra_args=extra_args,
        )
        kind, function = _kind('R', reduce_function), qualified_name(reduce_function)
        fingerprint = Fingerprint(kind, function, len(inputs), digest_of([inputs, extra_args], name_of, len(inputs)))
        fact = self._schedule(executor, reduce_job_id, fingerprint, create, lambda calls: inputs)
        futures = futures_of(executor, reduce_job_id, fact)
        executor.futures.extend(futures)
        return futures

    def _schedule(
        self,
        executor: Any,
        job_id: str,
        fingerprint: Fingerprint,
        create: 'functools.partial[Any]',
        inputs: Callable[[int], list[list[ResponseFuture]]],
        is_choice: bool = False,
    ) -> dict[str, Any]:
        """
        Schedules a job, or takes it as it was scheduled.

        :param create: Lithops' own function that makes the job, with what the user gave
        :param inputs: tells which futures each of its calls, of which there are so many, is given
        :param is_choice: whether creating it could come out otherwise next time
        :return: its fact
        """
        job = job_name(self.replay.session, executor.executor_id, job_id)
        refuse_too_many(fingerprint)

        def prepare() -> dict[str, Any]:
            uploads = Uploads(self.replay.facts, self.replay.session, job, executor.internal_storage)
            # Whether it can be deployed is no matter of the user's code
            runtime_meta = self._runtime_of(executor, create.keywords['runtime_memory'])
            try:
                # What Lithops takes for uploaded may have been uploaded in another run
                job_module.FUNCTION_CACHE = self._uploaded
                with self._carrying() as carried:
                    made = create(
                        config=executor.config,
                        internal_storage=uploads,
                        executor_id=executor.executor_id,
                        runtime_meta=runtime_meta,
                    )
                refuse_too_many(replace(fingerprint, calls=made.total_calls))
                found = self._inputs(inputs(made.total_calls) if carried else [])
            except StoreUnavailable:
                raise
            except Exception as error:
                if is_choice:
                    # What was found in a bucket may be found otherwise next time
                    return {'calls': 0, **document_of(error)}
                raise UserCodeError(error) from error
            memory = made.runtime_memory or create.keywords['runtime_memory']
            policy, lanes = innermost(self.run['retry']), self.run['orchestrator']['lanes']
            return job_document(made, uploads, executor.invoker.runtime_name, memory, policy, found, lanes)

        def invoke(fact: JobFact, indices: Sequence[int], number: int) -> None:
            config = {**executor.config, SECTION: self.config[SECTION]}
            self._start_calls(config, self.run, number, self.replay.position, fact, indices)

        explain = functools.partial(difference_of_jobs, self.replay.facts, create)
        fact = self.run_step(lambda: self.replay.job(job, fingerprint, prepare, invoke, explain), f'{fingerprint.kind}()')
        if 'error' in fact:
            raise exception_of(fact, f'{fingerprint.kind}()')
        _log_invocation(executor.executor_id, job_id, fact)
        return fact  # type: ignore[no-any-return]

    def _runtime_of(self, executor: Any, memory: int | None) -> dict[str, Any]:
        """
        Lithops' metadata of the runtime of a job, which is deployed if it is another one than the orchestrator's.

        :raises InstallationError: it lacks what a worker needs
        :raises ConfigurationError: it cannot be deployed, or does not answer
        """
        if is_local(self.config):
            return self.runtime_meta
        ours, info = self.run['orchestrator'], executor.invoker.runtime_info
        info = {**info, 'runtime_memory': memory or info['runtime_memory']}
        if (info['runtime_name'], info['runtime_memory']) == (ours['runtime_name'], ours['runtime_memory']):
            return self.runtime_meta
        config = {**executor.config, SECTION: self.config[SECTION]}
        return require_runtime(config, self.replay.facts, executor.internal_storage, handler_of(config), info)

    # Futures as inputs

    def carry(self, future: ResponseFuture) -> Any:
        """
        What pickle makes of a future: never its storage configuration, which has credentials.

        :raises NotDurableError: it would leave this orchestrator, as its result or in record()
        """
        if self._carried is None and self.is_in_own_code:
            # What the orchestrator writes itself it reads itself
            return reduced(future)
        if self._carried is None:
            raise NotDurableError(
                f'A future (of {future.function_name}, call {future.job_id}/{future.call_id}) cannot leave its '
                'orchestrator, but as an argument of a call: hand over future.result().'
            )
        self.call_of(future)
        self._carried.append(future)
        return reduced(future)

    @contextlib.contextmanager
    def _carrying(self) -> Iterator[list[ResponseFuture]]:
        """Futures may be pickled meanwhile. They are noted."""
        carried: list[ResponseFuture] = []
        self._carried = carried
        try:
            yield carried
        finally:
            self._carried = None

    def _carried_by(self, value: Any) -> list[ResponseFuture]:
        with self._carrying() as carried:
            cloudpickle.dumps(value)
        return carried

    def _inputs(self, futures: list[list[ResponseFuture]]) -> Inputs:
        """What the calls of a job wait for, each of which is given some ``futures``."""
        known = self.replay.history.events
        of_call = {
            number: Members.of(call for call in map(self.call_of, given) if call not in known)
            for number, given in enumerate(futures)
        }
        jobs = {job for members in of_call.values() for job in members.ranges}
        return Inputs(of_call, {job: self.replay.position_of(job) for job in sorted(jobs)})


def _log_invocation(executor_id: str, job_id: str, fact: dict[str, Any]) -> None:
    """In the words of Lithops, whose invoker is not asked."""
    prefix = lithops.utils.log_prefix(executor_id, job_id)
    log_file = os.path.join(LOGS_DIR, f'{create_job_key(executor_id, job_id)}.log')
    invocations.info(f'{prefix} - Starting function invocation: {fact["func_name"]}() - Total: {fact["calls"]} activations')
    invocations.info(f'{prefix} - View execution logs at {log_file}')


def _kind(job_prefix: str, function: Any) -> str:
    kind = KINDS[job_prefix]
    if not callable(function):
        raise TypeError(f'{kind}() calls a function; found {function!r}.')
    return kind
