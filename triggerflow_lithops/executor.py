"""
What the hooked methods of Lithops do, in one activation: calls, waits and choices,
by way of its replay.
"""

import base64
import contextlib
import functools
import itertools
import logging
import math
import os
import pickle
import sys
import threading
import zlib
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Callable, Sequence

import cloudpickle
import lithops.utils
from lithops.constants import LOGS_DIR, SESSION_ID_ENV, TOTAL_EXECUTORS_ENV
from lithops.future import ResponseFuture
from lithops.job import create_map_job, create_reduce_job
from lithops.monitoring.backends.triggerflow.functions import handler_of, is_local
from lithops.monitoring.backends.triggerflow.future import OUTPUT_FIELD, reduced
from lithops.storage.utils import create_job_key, create_output_key

from .config import SECTION
from .errors import ConfigurationError, NotDurableError, OutsideOrchestratorError
from .fingerprint import Fingerprint, digest_of
from .job import (
    KINDS,
    Uploads,
    future_like,
    futures_of,
    is_pending,
    job_document,
    job_name,
    name_of,
    qualified_name,
    refuse_too_many,
)
from .outputs import Output
from .replay import Ended, Replay
from .retry import innermost
from .runtime import require_runtime
from .seams import job_module, wait_module
from .triggers.inputs import Inputs
from .triggers.keys import Call, event_key
from .triggers.store import StoreUnavailable
from .triggers.trigger import Members
from .world import Crashed, World

#: Lithops' own, of what it invokes
invocations = logging.getLogger('lithops.invokers')


class _UsersError(Exception):
    """Carries an exception that the user's code is meant to see."""

    def __init__(self, error: BaseException):
        super().__init__(error)
        self.error = error


class Hooks:
    """
    What the hooked methods do, in one activation.

    :param start_calls: invokes calls of a scheduled job
    :param thread: the one that the orchestrator runs in
    :ivar config: Lithops' configuration of the run
    :ivar run: what every payload of the run carries
    :ivar runtime_meta: Lithops' metadata of the runtime that calls run in
    :ivar session_of_executors: Lithops' session id of the executors that are made
    :ivar processes: how many of lithops.multiprocessing were named; None where Lithops has counted from 1 itself
    :ivar results_due: when the time is up of whoever goes through results now, in seconds since the epoch
    """

    results_due: float | None = None
    processes: int | None = None

    def __init__(
        self,
        replay: Replay,
        world: World,
        config: dict[str, Any],
        run: dict[str, Any],
        runtime_meta: dict[str, Any],
        start_calls: Callable[..., None],
        thread: threading.Thread,
    ):
        self.replay = replay
        self._world = world
        self.config = config
        self.run = run
        self.runtime_meta = runtime_meta
        self._start_calls = start_calls
        self._thread = thread
        self.session_of_executors = replay.session
        self._executors = 0
        self._uploaded = {fact['func_key'] for fact in replay.history.facts.values() if 'func_key' in fact}
        self._recording: str | None = None
        self._carried: list[ResponseFuture] | None = None
        if 'lithops.multiprocessing.process' in sys.modules:
            self.processes = 0

    @property
    def has_redis(self) -> bool:
        """Whether the configuration names a server of it."""
        return bool(self.config.get('redis'))

    @property
    def is_silent(self) -> bool:
        """Whether what there is to see now has been seen."""
        return self.replay.is_silent

    def pin_session(self) -> None:
        """Executors are numbered from 0 in every activation, whatever the process did before."""
        os.environ[SESSION_ID_ENV] = self.session_of_executors
        os.environ.pop(TOTAL_EXECUTORS_ENV, None)
        if self._executors:
            # Of the latest one that there is
            os.environ[TOTAL_EXECUTORS_ENV] = str(self._executors - 1)
        lithops.utils._SESSION_ID = None
        self._executors += 1

    def guarded(self, function: Callable[[], Any], name: str) -> Any:
        """
        Runs a durable call. Faults that are not the user's end the activation.

        :raises OutsideOrchestratorError: this is not the orchestrator's thread
        """
        if threading.current_thread() is not self._thread:
            raise OutsideOrchestratorError(
                f'{name} was called from thread {threading.current_thread().name!r}. Durable calls are numbered in '
                "the order in which the orchestrator's own thread makes them: call it there."
            )
        if self._recording:
            raise OutsideOrchestratorError(
                f'{name} was called by {self._recording}, inside record(). What is recorded is one step: call it outside.'
            )
        try:
            return function()
        except _UsersError as carried:
            error = carried.error
        except Exception as fault:
            self._world.leave(Crashed(fault))
        finally:
            self.replay.seed()
        # Outside of the handler, so that it carries nothing of ours as its context
        raise error

    # Calls

    def submit_map(
        self,
        executor: Any,
        map_function: Callable[..., Any],
        iterdata: Any,
        runtime_memory: int | None = None,
        extra_env: dict[str, Any] | None = None,
        include_modules: list[str] | None = None,
        exclude_modules: list[str] | None = None,
        timeout: int | None = None,
        chunksize: int | None = None,
        extra_args: Any = None,
        obj_chunk_size: int | None = None,
        obj_chunk_number: int | None = None,
        obj_newline: str | None = '\n',
        job_prefix: str = 'M',
    ) -> tuple[str, Any, list[ResponseFuture]]:
        """``FunctionExecutor._submit_map``: the common path of ``call_async`` and ``map``."""
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
        fingerprint = Fingerprint(kind, qualified_name(map_function), len(calls), digest_of([items, extra_args, *parts], name_of))
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
        fingerprint = Fingerprint(kind, function, len(inputs), digest_of([inputs, extra_args], name_of))
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
            uploads = Uploads(self.replay, job, executor.internal_storage)
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
                    return {'calls': 0, 'exception': _pickled_error(error)}
                raise _UsersError(error) from error
            memory = made.runtime_memory or create.keywords['runtime_memory']
            policy, lanes = innermost(self.run['retry']), self.run['orchestrator']['lanes']
            return job_document(made, uploads, executor.invoker.runtime_name, memory, policy, found, lanes)

        def invoke(fact: dict[str, Any], indices: Sequence[int], number: int) -> None:
            config = {**executor.config, SECTION: self.config[SECTION]}
            self._start_calls(config, self.run, number, self.replay.position, fact, indices)

        fact = self.guarded(lambda: self.replay.job(job, fingerprint, prepare, invoke), f'{fingerprint.kind}()')
        if 'exception' in fact:
            raise pickle.loads(base64.b64decode(fact['exception']))
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
        What pickle makes of a future.

        :raises NotDurableError: it is not on its way to a call of this orchestrator
        """
        if self._carried is None:
            raise NotDurableError(
                f'A future (of {future.function_name}, call {future.job_id}/{future.call_id}) cannot leave its '
                'orchestrator, but as an argument of a call: hand over future.result().'
            )
        self._call(future)
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
            number: Members.of(call for call in map(self._call, given) if call not in known)
            for number, given in enumerate(futures)
        }
        jobs = {job for members in of_call.values() for job in members.ranges}
        return Inputs(of_call, {job: self.replay.position_of(job) for job in sorted(jobs)})

    # Waits

    def wait(
        self,
        fs: Any,
        internal_storage: Any = None,
        job_monitor: Any = None,
        throw_except: bool = True,
        return_when: Any = wait_module.ALL_COMPLETED,
        download_results: bool = False,
        timeout: float | None = None,
        threadpool_size: int | None = None,
        wait_dur_sec: float | None = None,
        show_progressbar: bool = True,
        futures_from_executor_wait: bool = False,
    ) -> Any:
        """``lithops.wait.wait``. What Lithops polls is a durable wait here; the rest is Lithops'."""
        if not fs:
            return [], []
        fs = lithops.utils._as_future_list(fs)
        partition = functools.partial(wait_module._partition_futures, download_results=download_results)
        waited_for = partition(fs)[1] if futures_from_executor_wait else fs
        if partition(fs)[1]:
            wait_module._log_wait_start(lithops.utils.log_prefix(fs[0].executor_id), return_when, len(waited_for))
        # One for the futures given, and for those that they return
        due: float | None = None
        while partition(fs)[1]:
            pending = list({id(future): future for future in fs if is_pending(future)}.values())
            needed = min(len(pending), max(0, _needed(return_when, len(fs)) - (len(fs) - len(pending))))
            looks = pending and (needed or return_when == wait_module.ALWAYS)
            if looks:
                ended = self.settle(pending, needed, throw_except, timeout, due)
                due = ended.due
                if not ended.in_time:
                    # In the words of Lithops
                    raise TimeoutError(f'Timeout of {timeout} seconds exceeded waiting for function activations to finish')
            ready = wait_module._ready_futures(SimpleNamespace(futures=fs), download_results)
            if download_results:
                self.fetch_outputs(ready)
            returned = _fetch(ready, download_results, throw_except)
            # The user's own list, as in Lithops
            fs.extend(returned)
            if not returned or wait_module._check_done(fs, return_when, download_results):
                break
        return partition(fs)

    def adopt(self, future: ResponseFuture) -> None:
        """What a call returned are futures of its own: they are waited for like any other."""
        made_by = self._call(future).job
        future._new_futures = [future_like(found) for found in future._new_futures]
        for found in future._new_futures:
            self.replay.adopt(self._call(found).job, made_by)

    def output(self, future: ResponseFuture) -> bytes:
        """The pickled result of a call, which is too large for its event."""
        read = functools.partial(self.replay.outputs.get, self._output(future))
        return self.guarded(read, 'ResponseFuture.result()')  # type: ignore[no-any-return]

    def logs(self, future: ResponseFuture) -> str | None:
        """What a call that has ended had printed and logged."""
        key = event_key(self.replay.session, self._call(future))
        status: dict[str, Any] = self.guarded(lambda: self.replay.facts.read(key), 'ResponseFuture.logs') or {}
        return zlib.decompress(base64.b64decode(status['logs'])).decode() if 'logs' in status else None

    def fetch_outputs(self, futures: list[ResponseFuture]) -> None:
        """Reads the results of many calls that are about to be asked for, those that are too large for their events."""
        wanted = [future for future in futures if _has_output(future._call_status)]
        if wanted:
            outputs = [self._output(future) for future in wanted]
            self.guarded(lambda: self.replay.outputs.fetch(outputs), 'get_result()')

    def _output(self, future: ResponseFuture) -> Output:
        status = future._call_status
        # A call that another one has made wrote it where Lithops does
        key = status.get(OUTPUT_FIELD) or create_output_key(future.executor_id, future.job_id, future.call_id)
        return Output(self._call(future), key, int(status['func_result_size']))

    def settle(
        self,
        pending: list[ResponseFuture],
        needed: int,
        until_failure: bool = False,
        timeout: float | None = None,
        due: float | None = None,
    ) -> Ended:
        """
        Waits until ``needed`` of the calls have ended, and makes ready the futures of those that have.

        :param needed: 0 to look only
        :param until_failure: whether the first failure is enough
        :param timeout: seconds
        :param due: seconds since the epoch, instead
        """
        of_call = {self._call(future): future for future in pending}
        ended: Ended = self.guarded(lambda: self.replay.wait(list(of_call), needed, until_failure, timeout, due), 'wait()')
        for call in ended.calls:
            future, status = of_call[call], dict(self.replay.history.events[call])
            future._set_ready(status)
            # Who asks on a replay is told the same as who asked first
            future._host_status_done_tstamp = status['worker_end_tstamp']
        return ended

    def _call(self, future: ResponseFuture) -> Call:
        if not future.executor_id.startswith(f'{self.replay.session}-'):
            raise NotDurableError(
                f'A future of executor {future.executor_id} was waited for, which is not of this orchestrator. '
                'Make the call inside the orchestrator, or hand over its result.'
            )
        return Call(job_name(self.replay.session, future.executor_id, future.job_id), int(future.call_id))

    # Choices

    def now(self) -> float:
        """The time, recorded."""
        return float(self.guarded(lambda: self.replay.choice('now', '', self._world.time), 'now()'))

    def sleep(self, seconds: float) -> None:
        """Nothing runs until that time has passed."""
        self.guarded(lambda: self.replay.sleep(seconds), 'sleep()')

    def uuid4(self) -> Any:
        """A UUID, derived from run and position."""
        return self.guarded(self.replay.uuid4, 'uuid4()')

    def record(self, function: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """What ``function`` returned or raised when it was run here first."""
        name = qualified_name(function)

        def choose() -> dict[str, str]:
            self._recording = name
            try:
                return _recorded(name, function, args)
            finally:
                self._recording = None

        choice = self.guarded(lambda: self.replay.choice('record', name, choose, digest_of(args)), f'record({name})')
        if 'exception' in choice:
            raise pickle.loads(base64.b64decode(choice['exception']))
        return pickle.loads(base64.b64decode(choice['value']))

    # The executor

    def check_named(self, arguments: dict[str, Any]) -> None:
        """:raises ConfigurationError: an executor is asked to store, or compute, elsewhere than the run"""
        section = (arguments.get('config') or {}).get('lithops') or {}
        self._check_backends({what: arguments.get(what) or section.get(what) for what in ('backend', 'storage')})

    def check_executor(self, executor: Any) -> None:
        """:raises ConfigurationError: it would store, or compute, elsewhere than the run"""
        self._check_backends(executor.config['lithops'])
        bucket = executor.internal_storage.bucket
        storage = self.config['lithops']['storage']
        if bucket != self.config[storage]['storage_bucket']:
            raise ConfigurationError(
                f"FunctionExecutor with bucket '{bucket}' inside an orchestrator of a run in bucket "
                f"'{self.config[storage]['storage_bucket']}'. Leave storage_bucket out."
            )

    def _check_backends(self, named: dict[str, Any]) -> None:
        for what in ('backend', 'storage'):
            ours, theirs = self.config['lithops'][what], named.get(what)
            if theirs and ours != theirs:
                raise ConfigurationError(
                    f"FunctionExecutor({what}='{theirs}') inside an orchestrator of a run on '{ours}'. "
                    f'What is called must report where the run looks: leave {what}= out.'
                )


def _log_invocation(executor_id: str, job_id: str, fact: dict[str, Any]) -> None:
    """In the words of Lithops, whose invoker is not asked."""
    prefix = lithops.utils.log_prefix(executor_id, job_id)
    log_file = os.path.join(LOGS_DIR, f'{create_job_key(executor_id, job_id)}.log')
    invocations.info(f"{prefix} - Starting function invocation: {fact['func_name']}() - Total: {fact['calls']} activations")
    invocations.info(f'{prefix} - View execution logs at {log_file}')


def _kind(job_prefix: str, function: Any) -> str:
    kind = KINDS[job_prefix]
    if not callable(function):
        raise TypeError(f'{kind}() calls a function; found {function!r}.')
    return kind


def _needed(return_when: Any, calls: int) -> int:
    """How many of ``calls`` Lithops' ``wait`` wants done: the least d with int(d * 100 / calls) >= return_when."""
    if return_when == wait_module.ANY_COMPLETED:
        return 1
    return math.ceil(math.ceil(float(return_when)) * calls / 100)


def _has_output(status: dict[str, Any]) -> bool:
    return not status['exception'] and 'result' not in status and bool(status.get('func_result_size'))


def _fetch(ready: list[ResponseFuture], download_results: bool, throw_except: bool) -> list[ResponseFuture]:
    """
    Takes the status, or the result, of every future that is ready; the first failure is raised last.

    :return: the futures that they returned
    """
    first: BaseException | None = None
    for future in ready:
        try:
            (future.result if download_results else future.status)(throw_except=throw_except)
        except BaseException as error:
            first = first or error
    if first is not None:
        raise first
    return [returned for future in ready for returned in future._new_futures or ()]


def _recorded(name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> dict[str, str]:
    try:
        value = function(*args)
    except StoreUnavailable:
        # Of ours, and no outcome of the step: another activation tries again
        raise
    except BaseException as error:
        return {'exception': _pickled_error(error)}
    try:
        return {'value': base64.b64encode(cloudpickle.dumps(value)).decode()}
    except Exception as error:
        what = f'record({name}) got a {type(value).__name__}, which cannot be pickled ({error!r}): return something plainer.'
        return {'exception': _pickled_error(TypeError(what))}


def _pickled_error(error: BaseException) -> str:
    try:
        pickled = cloudpickle.dumps(error)
        pickle.loads(pickled)
    except Exception:
        # As Lithops does with an exception of a call that does not survive pickling
        pickled = pickle.dumps(Exception(f'{type(error).__name__}: {error}'))
    return base64.b64encode(pickled).decode()
