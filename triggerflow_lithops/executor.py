"""
The seams into Lithops, on the orchestrator's side: all of them, and only here.

Inside an activation, and in no other process, ``FunctionExecutor``,
``ResponseFuture`` and ``lithops.wait`` are given the behaviour of a replay. They
keep Lithops' signatures, values, exceptions and order; what they do for us goes
through :class:`Hooks`.
"""

import base64
import contextlib
import functools
import importlib
import inspect
import math
import os
import pickle
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Callable, Sequence

import cloudpickle
import lithops
import lithops.executors
import lithops.utils
from lithops.constants import LOCALHOST, SESSION_ID_ENV, TOTAL_EXECUTORS_ENV
from lithops.future import ResponseFuture
from lithops.job import create_map_job
from lithops.monitoring.backends.triggerflow.status import GRACE, OUTPUT_FIELD
from lithops.utils import BackendType, FuturesList

from .config import SECTION
from .errors import ConfigurationError, InstallationError, NotDurableError, OutsideOrchestratorError
from .replay import Crashed, Fingerprint, Replay, World, digest_of
from .retry import innermost
from .triggers.attempt import Policy
from .triggers.keys import MAX_CALLS, Call, data_key
from .triggers.store import StoreUnavailable, new_nonce

# The function ``lithops.wait`` hides the module of that name
wait_module = importlib.import_module('lithops.wait')
job_module: Any = importlib.import_module('lithops.job.job')

Executor = lithops.FunctionExecutor

#: Everything of Lithops that is replaced inside an activation, or relied upon
SEAMS: tuple[tuple[Any, str], ...] = (
    (Executor, '__init__'),
    (Executor, '__exit__'),
    (Executor, '_create_compute_handler'),
    (Executor, '_create_job_id'),
    (Executor, '_submit_map'),
    (Executor, 'clean'),
    (Executor, 'get_result'),
    (Executor, 'map_reduce'),
    (FuturesList, '__reduce__'),
    (ResponseFuture, '_query_call_output'),
    (ResponseFuture, '_set_ready'),
    (ResponseFuture, '_set_state'),
    (ResponseFuture, 'result'),
    (ResponseFuture, 'status'),
    (lithops, 'wait'),
    (lithops.executors, 'wait'),
    (lithops.utils, '_EXECUTOR_COUNT'),
    (lithops.utils, '_SESSION_ID'),
    (lithops.utils, '_as_future_list'),
    (lithops.utils, '_as_iterdata_list'),
    (lithops.utils, '_chained_futures'),
    (lithops.utils, 'is_object_processing_function'),
    (job_module, 'FUNCTION_CACHE'),
    (wait_module, '_partition_futures'),
    (wait_module, '_ready_futures'),
    (wait_module, 'wait'),
)

_KINDS = {'A': 'call_async', 'M': 'map'}


def require_seams() -> None:
    """
    Checks that this Lithops has what is hooked.

    :raises InstallationError: it has not
    """
    missing = [f"{getattr(owner, '__name__', owner)}.{name}" for owner, name in SEAMS if not hasattr(owner, name)]
    if missing:
        raise InstallationError(
            f"This Lithops ({lithops.__version__}) has no {', '.join(missing)}, which orchestrators rely on. "
            "Install a release that this plugin was made for: pip install 'lithops>=3.8,<4'."
        )


class _UsersError(Exception):
    """Carries an exception that the user's code is meant to see."""

    def __init__(self, error: BaseException):
        super().__init__(error)
        self.error = error


class Hooks:
    """
    What the hooked methods do, in one activation.

    :param config: Lithops' configuration of the run
    :param run: what every payload of the run carries
    :param runtime_meta: Lithops' metadata of the runtime that calls run in
    :param start_calls: invokes calls of a scheduled job
    :param thread: the one that the orchestrator runs in
    """

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
        self._config = config
        self._run = run
        self._runtime_meta = runtime_meta
        self._start_calls = start_calls
        self._thread = thread
        self._executors = 0
        self._uploaded = {fact['func_key'] for fact in replay.history.facts.values() if 'func_key' in fact}
        self._recording: str | None = None

    def pin_session(self) -> None:
        """Executors are numbered from 0 in every activation, whatever the process did before."""
        os.environ[SESSION_ID_ENV] = self.replay.session
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
        kind = _KINDS[job_prefix]
        items = list(iterdata) if isinstance(iterdata, Iterator) else iterdata
        calls = lithops.utils._as_iterdata_list(items)
        _refuse_what_is_not_durable(kind, map_function, items, len(calls))
        # Lithops merges extra_args into the user's own dicts: into copies of them here,
        # for a replay does not do it again
        items = [dict(item) if type(item) is dict else item for item in calls]
        # A map over objects has as many calls as they have partitions, which the first activation finds
        partitioned = lithops.utils.is_object_processing_function(map_function)
        job_id = executor._create_job_id(job_prefix)
        job = _job_name(self.replay.session, executor.executor_id, job_id)

        def prepare() -> dict[str, Any]:
            uploads = _Uploads(self.replay, job, executor.internal_storage)
            try:
                # What Lithops takes for uploaded may have been uploaded in another run
                job_module.FUNCTION_CACHE = self._uploaded
                made = create_map_job(
                    config=executor.config,
                    internal_storage=uploads,
                    executor_id=executor.executor_id,
                    job_id=job_id,
                    map_function=map_function,
                    iterdata=items,
                    runtime_meta=self._runtime_meta,
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
                _refuse_too_many(kind, map_function, made.total_calls)
            except StoreUnavailable:
                raise
            except Exception as error:
                if partitioned:
                    # What was found in a bucket may be found otherwise next time
                    return {'calls': 0, 'exception': _pickled_error(error)}
                raise _UsersError(error) from error
            memory = made.runtime_memory or runtime_memory
            return _job_document(made, uploads, executor.invoker.runtime_name, memory, innermost(self._run['retry']))

        def invoke(fact: dict[str, Any], indices: Sequence[int], number: int) -> None:
            config = {**executor.config, SECTION: self._config[SECTION]}
            self._start_calls(config, self._run, number, self.replay.position, fact, indices)

        def schedule() -> dict[str, Any]:
            digest = digest_of([items, extra_args, *((obj_chunk_size, obj_chunk_number, obj_newline) if partitioned else ())])
            return self.replay.job(job, Fingerprint(kind, qualified_name(map_function), len(calls), digest), prepare, invoke)

        fact = self.guarded(schedule, f'{kind}()')
        if 'exception' in fact:
            raise pickle.loads(base64.b64decode(fact['exception']))
        futures = _futures(executor, job_id, fact)
        executor.futures.extend(futures)
        return job_id, SimpleNamespace(job_id=job_id, total_calls=len(futures)), futures

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
        if not partition(fs)[1]:
            return partition(fs)
        pending = list({id(future): future for future in fs if _is_pending(future)}.values())
        needed = min(len(pending), max(0, _needed(return_when, len(fs)) - (len(fs) - len(pending))))
        if pending and (needed or return_when == wait_module.ALWAYS):
            self._settle(pending, needed, throw_except, timeout)
        _fetch(fs, download_results, throw_except)
        return partition(fs)

    def settle(self, future: ResponseFuture, check_only: bool = False) -> None:
        """Waits for one future that is not settled yet; with ``check_only``, looks only."""
        if _is_pending(future):
            self._settle([future], 0 if check_only else 1, False)

    def output(self, future: ResponseFuture) -> bytes:
        """The pickled output of a call, which is too large for its event."""

        def read() -> bytes:
            key = future._call_status[OUTPUT_FIELD]
            output = self.replay.facts.read_bytes(key)
            if output is None:
                raise StoreUnavailable(f'{key}, the output of a call, is gone')
            return output

        return self.guarded(read, 'ResponseFuture.result()')  # type: ignore[no-any-return]

    def _settle(self, pending: list[ResponseFuture], needed: int, until_failure: bool, timeout: float | None = None) -> None:
        of_call = {self._call(future): future for future in pending}
        ended, in_time = self.guarded(lambda: self.replay.wait(list(of_call), needed, until_failure, timeout), 'wait()')
        for call in ended:
            of_call[call]._set_ready(dict(self.replay.history.events[call]))
        if not in_time:
            # In the words of Lithops
            raise TimeoutError(f'Timeout of {timeout} seconds exceeded waiting for function activations to finish')

    def _call(self, future: ResponseFuture) -> Call:
        if not future.executor_id.startswith(f'{self.replay.session}-'):
            raise NotDurableError(
                f'A future of executor {future.executor_id} was waited for, which is not of this orchestrator. '
                'Make the call inside the orchestrator, or hand over its result.'
            )
        return Call(_job_name(self.replay.session, future.executor_id, future.job_id), int(future.call_id))

    # Choices

    def now(self) -> float:
        """The time, recorded."""
        return float(self.guarded(lambda: self.replay.choice('now', '', self._world.time), 'now()'))

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
        storage = self._config['lithops']['storage']
        if bucket != self._config[storage]['storage_bucket']:
            raise ConfigurationError(
                f"FunctionExecutor with bucket '{bucket}' inside an orchestrator of a run in bucket "
                f"'{self._config[storage]['storage_bucket']}'. Leave storage_bucket out."
            )

    def _check_backends(self, named: dict[str, Any]) -> None:
        for what in ('backend', 'storage'):
            ours, theirs = self._config['lithops'][what], named.get(what)
            if theirs and ours != theirs:
                raise ConfigurationError(
                    f"FunctionExecutor({what}='{theirs}') inside an orchestrator of a run on '{ours}'. "
                    f'What is called must report where the run looks: leave {what}= out.'
                )


#: The hooks in force; None where no orchestrator runs
in_force: Hooks | None = None


def hooks(name: str) -> Hooks:
    """
    Those of this activation.

    :raises OutsideOrchestratorError: no orchestrator runs in this process
    """
    if in_force is None:
        raise OutsideOrchestratorError(
            f'{name} was called where no orchestrator runs. It is for a function that was given to TriggerflowExecutor.run().'
        )
    return in_force


def use(active: Hooks | None) -> None:
    """These hooks are in force from now on, in this process."""
    global in_force
    in_force = active


def qualified_name(function: Any) -> str:
    """Module and qualified name of a callable; of its class, if it is an object."""
    while isinstance(function, functools.partial):
        function = function.func
    named = function if hasattr(function, '__qualname__') else type(function)
    return f'{named.__module__}.{named.__qualname__}'


class _ServiceHandler:
    """
    Stands for Lithops' localhost compute handler inside an orchestrator: what that
    one starts dies with the process that started it.
    """

    def __init__(self, config: dict[str, Any]):
        # What a payload carries needs no upload: so it is with functions as a service
        config.setdefault('invoke_pool_threads', 1)
        self._config = config

    def get_backend_type(self) -> str:
        return str(BackendType.FAAS.value)

    def get_runtime_info(self) -> dict[str, Any]:
        return {
            'runtime_name': self._config['runtime'],
            'runtime_memory': None,
            'runtime_timeout': None,
            'max_workers': self._config['max_workers'],
        }

    def clear(self, job_keys: Any = None, exception: Any = None) -> None:
        """Nothing of a run is killed because an executor goes away."""


class _Uploads:
    """
    Takes what Lithops uploads when it makes a job. Its keys are content hashes, or ours.

    :param internal_storage: of the executor, where objects are looked for
    """

    def __init__(self, replay: Replay, job: str, internal_storage: Any):
        self._replay = replay
        self._job = job
        self.data_key: str | None = None
        self.backend = internal_storage.backend
        self.storage = internal_storage.storage

    def put_func(self, key: str, function: bytes) -> None:
        self._replay.facts.write(key, function)

    def put_data(self, key: str, data: bytes) -> None:
        # Before the scheduling is won: two activations may both do it, each its own
        self.data_key = data_key(self._replay.session, self._job, new_nonce())
        self._replay.facts.write(self.data_key, data)


def hook() -> Callable[[], None]:
    """
    Hooks Lithops, in this process. A hooked method behaves as Lithops made it as long
    as no hooks are in force.

    :return: what undoes it
    """
    undo = []
    for owner, name, durable in _REPLACED:
        undo.append((owner, name, vars(owner).get(name)))
        setattr(owner, name, _in_orchestrators(getattr(owner, name), durable))

    def unhook() -> None:
        for owner, name, own in undo:
            if own is None:
                delattr(owner, name)
            else:
                setattr(owner, name, own)

    return unhook


def _in_orchestrators(original: Callable[..., Any], durable: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def hooked(*args: Any, **kwargs: Any) -> Any:
        if in_force is None:
            return original(*args, **kwargs)
        return durable(in_force, original, *args, **kwargs)

    return hooked


# Each gets the hooks in force, what Lithops made, and the arguments of the call


def _init(active: Hooks, original: Callable[..., Any], executor: Any, *args: Any, **kwargs: Any) -> None:
    given = inspect.signature(original).bind(executor, *args, **kwargs)
    given.arguments['monitoring'] = SECTION
    active.check_named(given.arguments)
    active.pin_session()
    original(*given.args, **given.kwargs)
    active.check_executor(executor)


def _create_compute_handler(active: Hooks, original: Callable[..., Any], executor: Any) -> Any:
    if executor.mode == LOCALHOST:
        return _ServiceHandler(executor.config[LOCALHOST])
    return original(executor)


def _submit_map(active: Hooks, original: Callable[..., Any], executor: Any, *args: Any, **kwargs: Any) -> Any:
    return active.submit_map(executor, *args, **kwargs)


def _get_result(active: Hooks, original: Callable[..., Any], executor: Any, fs: Any = None, *args: Any, **kwargs: Any) -> Any:
    if fs:
        return original(executor, fs, *args, **kwargs)
    with _unread_only(executor):
        return original(executor, fs, *args, **kwargs)


def _status(
    active: Hooks,
    original: Callable[..., Any],
    future: Any,
    throw_except: bool = True,
    internal_storage: Any = None,
    check_only: bool = False,
    wait_dur_sec: float = 1,
) -> Any:
    active.settle(future, check_only)
    if check_only and _is_pending(future):
        return None
    return original(future, throw_except, internal_storage)


def _result(
    active: Hooks,
    original: Callable[..., Any],
    future: Any,
    throw_except: bool = True,
    internal_storage: Any = None,
    retries: int = 10,
    wait_dur_sec: float = 1,
) -> Any:
    active.settle(future)
    # Any object will do as the storage: the output is read by a hook, below
    return original(future, throw_except, internal_storage or active, 1)


def _query_call_output(active: Hooks, original: Callable[..., Any], future: Any, internal_storage: Any) -> bytes:
    future._output_query_count += 1
    return active.output(future)


def _wait(active: Hooks, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return active.wait(*args, **kwargs)


def _do_nothing(active: Hooks, original: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Nothing of a run is killed, or cleaned away, because an executor goes away."""


def _refuse_map_reduce(active: Hooks, original: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    raise NotDurableError(
        'map_reduce() inside an orchestrator is not durable yet. '
        'Write: results = fexec.get_result(fexec.map(…)), then fexec.call_async(reduce_function, (results,)).'
    )


def _refuse_pickling(active: Hooks, original: Callable[..., Any], future: Any, protocol: Any = None) -> Any:
    raise NotDurableError(
        f'A future (of {future.function_name}, call {future.job_id}/{future.call_id}) cannot leave its '
        'orchestrator yet, neither as an argument nor as a result: hand over future.result().'
    )


def _reduce_list(active: Hooks, original: Callable[..., Any], futures: Any) -> Any:
    return list, (list(futures),)


_REPLACED: tuple[tuple[Any, str, Callable[..., Any]], ...] = (
    (Executor, '__init__', _init),
    (Executor, '__exit__', _do_nothing),
    (Executor, '_create_compute_handler', _create_compute_handler),
    (Executor, '_submit_map', _submit_map),
    (Executor, 'get_result', _get_result),
    (Executor, 'clean', _do_nothing),
    (Executor, 'map_reduce', _refuse_map_reduce),
    (FuturesList, '__reduce__', _reduce_list),
    (ResponseFuture, '__reduce_ex__', _refuse_pickling),
    (ResponseFuture, '_query_call_output', _query_call_output),
    (ResponseFuture, 'result', _result),
    (ResponseFuture, 'status', _status),
    (lithops, 'wait', _wait),
    (lithops.executors, 'wait', _wait),
    (wait_module, 'wait', _wait),
)


@contextlib.contextmanager
def _unread_only(executor: Any) -> Iterator[None]:
    """
    Lets ``get_result()`` of all futures see those only that it has to look at. It
    goes through them several times, each time from the first: a loop of 10,000 calls
    would spend minutes of every replay on results that it has read.
    """
    futures, read = executor.futures, getattr(executor, 'triggerflow_read', 0)
    while read < len(futures) and futures[read]._read and futures[read].done:
        read += 1
    executor.triggerflow_read = read
    executor.futures = futures[read:]
    try:
        yield
    finally:
        executor.futures = futures


def _refuse_what_is_not_durable(kind: str, function: Callable[..., Any], items: Any, calls: int) -> None:
    if not callable(function):
        raise TypeError(f'{kind}() calls a function; found {function!r}.')
    if lithops.utils._chained_futures(items):
        raise NotDurableError(
            f'{kind}({qualified_name(function)}) over futures is not durable yet inside an orchestrator. '
            'Get their results, and map over those: fexec.map(f, fexec.get_result(futures)).'
        )
    _refuse_too_many(kind, function, calls)


def _refuse_too_many(kind: str, function: Callable[..., Any], calls: int) -> None:
    if calls > MAX_CALLS:
        raise NotDurableError(
            f'{kind}({qualified_name(function)}) of {calls} calls: a durable map has {MAX_CALLS} calls at the most. Split it.'
        )


def _job_name(session: str, executor_id: str, job_id: str) -> str:
    return f"{executor_id.removeprefix(f'{session}-')}-{job_id}"


def _job_document(
    made: Any, uploads: _Uploads, runtime_name: str, runtime_memory: int | None, retry: Policy
) -> dict[str, Any]:
    """What futures are made from, and as ``invocation`` what only invoking needs."""
    in_payload = made.data_key is None
    chunksize = max(1, made.chunksize)
    return {
        'calls': made.total_calls,
        'func_key': made.func_key,
        'func_name': made.function_name,
        'chunksize': chunksize,
        'execution_timeout': made.execution_timeout,
        # Seconds after its invocation when a chunk is over, whatever became of it
        'lifetime': chunksize * made.execution_timeout + GRACE,
        'retry': retry,
        'runtime_name': runtime_name,
        'runtime_memory': runtime_memory,
        'metadata': made.metadata,
        'invocation': {
            'extra_env': made.extra_env,
            'data_key': uploads.data_key,
            'data_byte_ranges': made.data_byte_ranges,
            'data': [base64.b64encode(data).decode() for data in made.data_byte_strs] if in_payload else None,
        },
    }


def _futures(executor: Any, job_id: str, fact: dict[str, Any]) -> list[ResponseFuture]:
    """As Lithops' invoker makes them, already marked as invoked."""
    job = SimpleNamespace(
        job_id=job_id,
        job_key=lithops.storage.utils.create_job_key(executor.executor_id, job_id),
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


def _is_pending(future: ResponseFuture) -> bool:
    return not (future.ready or future.success or future.done)


def _needed(return_when: Any, calls: int) -> int:
    """How many of ``calls`` Lithops' ``wait`` wants done: the least d with int(d * 100 / calls) >= return_when."""
    if return_when == wait_module.ANY_COMPLETED:
        return 1
    return math.ceil(math.ceil(float(return_when)) * calls / 100)


def _fetch(fs: list[ResponseFuture], download_results: bool, throw_except: bool) -> None:
    """Takes the status, or the result, of every future that is ready; the first failure is raised last."""
    first: BaseException | None = None
    for future in wait_module._ready_futures(SimpleNamespace(futures=fs), download_results):
        try:
            (future.result if download_results else future.status)(throw_except=throw_except)
        except BaseException as error:
            first = first or error
    if first is not None:
        raise first


def _recorded(name: str, function: Callable[..., Any], args: tuple[Any, ...]) -> dict[str, str]:
    try:
        value = function(*args)
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
