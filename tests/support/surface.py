"""
What of Lithops' public surface is durable inside an orchestrator: the source of docs/reference/lithops-surface.md.

``python tests/support/surface.py > docs/reference/lithops-surface.md`` writes it. A test compares it with Lithops.
"""

import inspect
from dataclasses import dataclass

import lithops
from lithops.concurrent import futures
from lithops.future import ResponseFuture
from lithops.retries import RetryingFuture
from lithops.utils import FuturesList

VERDICTS = {
    'durable': 'works as outside. Its results are the same on every replay, and waiting costs nothing',
    'pass-through': "is Lithops' own function, unchanged. Nothing of it is recorded, and a replay does it again",
    'no effect': 'is accepted, and does nothing inside an orchestrator',
    'refused': 'raises an error that says what to write instead',
}


@dataclass
class Row:
    """One callable: its verdict, its parameters by their verdicts, and a note."""

    verdict: str
    durable: str = ''
    passed: str = ''
    none: str = ''
    refused: str = ''
    note: str = ''

    def parameters(self):
        found = {'durable': self.durable, 'pass-through': self.passed, 'no effect': self.none, 'refused': self.refused}
        return {verdict: names.split() for verdict, names in found.items() if names}


POLLING = 'threadpool_size wait_dur_sec show_progressbar'
MODULES = 'include_modules exclude_modules'
OBJECTS = 'obj_chunk_size obj_chunk_number obj_newline'
OF_CALLS_ONLY = 'The function of the standard library is durable, too. Futures of threads are refused.'
UNKNOWN_TO_LITHOPS = 'Not supported by Lithops.'
STATE_IN_REDIS = 'It is stored in Redis, and each activation would create it again. Create it inside calls.'

#: Of lithops.multiprocessing and of its context alike: what lives in Redis, and what does not, by their parameters
_STATE = {
    'Barrier': 'parties action timeout',
    'BoundedSemaphore': 'value',
    'Condition': 'lock',
    'Event': '',
    'JoinableQueue': 'maxsize',
    'Lock': '',
    'Manager': '',
    'Queue': 'maxsize',
    'RLock': '',
    'RawArray': 'typecode_or_type size_or_initializer',
    'Semaphore': 'value',
    'SimpleQueue': '',
}
_STATE_OF_MODULE = {
    'Array': 'typecode_or_type size_or_initializer lock',
    'Pipe': 'duplex conn_type',
    'RawValue': 'typecode_or_type initial_value',
    'SyncManager': 'address authkey serializer',
    'Value': 'typecode_or_type initial_value lock',
}
_STATE_OF_CONTEXT = {
    'Array': 'typecode_or_type size_or_initializer lock',
    'Pipe': 'duplex',
    'RawValue': 'typecode_or_type args',
    'Value': 'typecode_or_type args lock',
}
_HELPERS = {
    'active_children': '',
    'cpu_count': '',
    'current_process': '',
    'get_all_start_methods': '',
    'get_context': 'method',
    'get_start_method': 'allow_none',
    'set_start_method': 'method force',
}
_HELPERS_OF_MODULE = {
    'allow_connection_pickling': '',
    'freeze_support': '',
    'get_logger': '',
    'log_to_stderr': 'level',
    'parent_process': '',
    'set_executable': 'executable',
    'set_forkserver_preload': 'module_names',
}
_UNKNOWN = ('active_children', 'parent_process')

SURFACE = {
    # lithops.FunctionExecutor
    'FunctionExecutor': Row(
        'durable',
        durable='mode config config_file backend storage',
        passed='log_level kwargs',
        none='monitoring',
        note='An executor with another backend or storage than its run is refused.',
    ),
    'FunctionExecutor.call_async': Row(
        'durable', durable=f'func data extra_env runtime_memory timeout {MODULES}', note='`data` may be, or hold, futures.'
    ),
    'FunctionExecutor.map': Row(
        'durable',
        durable=f'map_function map_iterdata chunksize extra_args extra_env runtime_memory {OBJECTS} timeout {MODULES}',
        note='In a map over futures, each call starts when its own input has ended. Partitions of objects are recorded.',
    ),
    'FunctionExecutor.map_reduce': Row(
        'durable',
        durable='map_function map_iterdata reduce_function chunksize extra_args extra_args_reduce extra_env map_runtime_memory '
        f'reduce_runtime_memory timeout {OBJECTS} obj_reduce_by_key {MODULES}',
        none='spawn_reducer',
        note='A reducer starts when all of its inputs have ended. It does not run before that.',
    ),
    'FunctionExecutor.wait': Row(
        'durable',
        durable='fs throw_except return_when download_results timeout',
        none=f'{POLLING} clean_jobs',
        note='Which calls had ended, and whether that was in time, is recorded. There is one `timeout` for all futures.',
    ),
    'FunctionExecutor.get_result': Row('durable', durable='fs throw_except timeout', none=POLLING),
    'FunctionExecutor.clean': Row(
        'no effect',
        none='fs cs clean_cloudobjects clean_fn force on_exit',
        note='A replay needs these objects, so they stay until the run is purged.',
    ),
    'FunctionExecutor.plot': Row(
        'pass-through', passed='fs dst figsize', note='It works after a replay, because statistics are recorded.'
    ),
    'FunctionExecutor.job_summary': Row(
        'pass-through', passed='cloud_objects_n', note='On localhost, Lithops has no costs to show.'
    ),
    # Its kin
    'LocalhostExecutor': Row('durable', durable='config config_file storage', passed='log_level kwargs', none='monitoring'),
    'ServerlessExecutor': Row(
        'durable',
        durable='config config_file backend storage',
        passed='log_level kwargs',
        none='monitoring',
        note='On the backend of the run.',
    ),
    'StandaloneExecutor': Row(
        'durable',
        durable='config config_file backend storage',
        passed='log_level kwargs',
        none='monitoring',
        note='On the backend of the run.',
    ),
    'RetryingFunctionExecutor': Row(
        'durable',
        durable='executor',
        note='Its retries are new jobs, as in Lithops. `Retry` needs no activation between attempts.',
    ),
    'RetryingFunctionExecutor.map': Row(
        'durable',
        durable=f'map_function map_iterdata chunksize extra_args extra_env runtime_memory {OBJECTS} timeout {MODULES} retries',
    ),
    'RetryingFunctionExecutor.wait': Row('durable', durable='fs throw_except return_when download_results timeout', none=POLLING),
    'RetryingFunctionExecutor.clean': Row('no effect', none='fs cs clean_cloudobjects clean_fn force'),
    'RetryingFuture.result': Row(
        'durable',
        durable='throw_except',
        none='internal_storage',
        note='It raises even with `throw_except=False`, as in Lithops.',
    ),
    'RetryingFuture.status': Row(
        'durable',
        durable='throw_except check_only',
        none='internal_storage',
        note='It raises even with `throw_except=False`, as in Lithops.',
    ),
    'RetryingFuture.cancel': Row('pass-through', note='No further retries are made.'),
    **{f'RetryingFuture.{name}': Row('durable', note='The state at the latest wait.') for name in ('done', 'error', 'stats')},
    # Futures
    'ResponseFuture.result': Row(
        'durable',
        durable='throw_except',
        none='internal_storage retries wait_dur_sec',
        note='If the call returned futures, this is their list.',
    ),
    'ResponseFuture.status': Row('durable', durable='throw_except check_only', none='internal_storage wait_dur_sec'),
    'ResponseFuture.cancel': Row('pass-through', note=UNKNOWN_TO_LITHOPS),
    'ResponseFuture.cancelled': Row('pass-through', note=UNKNOWN_TO_LITHOPS),
    **{
        f'ResponseFuture.{name}': Row('durable', note='The state at the latest wait. `status(check_only=True)` looks again.')
        for name in ('done', 'error', 'futures', 'invoked', 'new', 'ready', 'running', 'success')
    },
    'FuturesList.map': Row('durable', durable='map_function sync kwargs'),
    'FuturesList.map_reduce': Row('durable', durable='map_function reduce_function sync kwargs'),
    'FuturesList.wait': Row('durable', durable='kwargs'),
    'FuturesList.get_result': Row('durable', durable='kwargs'),
    # Functions
    'lithops.wait': Row(
        'durable',
        durable='fs throw_except return_when download_results timeout',
        none=f'internal_storage job_monitor {POLLING} futures_from_executor_wait',
        note='This is true however it was imported.',
    ),
    'lithops.get_result': Row('durable', durable='fs throw_except timeout', none=f'internal_storage {POLLING}'),
    'lithops.Storage': Row(
        'pass-through', passed='config backend storage_config', note='A replay writes again: use `record()`, or a call.'
    ),
    # lithops.concurrent.futures
    'futures.FunctionExecutor': Row(
        'durable',
        durable=f'executor runtime_memory extra_env execution_timeout {MODULES}',
        passed='max_workers initializer initargs kwargs',
    ),
    **{
        f'futures.{name}': Row(
            'durable',
            durable=f'executor runtime_memory extra_env execution_timeout {MODULES}',
            passed='max_workers initializer initargs kwargs',
            note=note,
        )
        for name, note in {
            'LocalhostExecutor': '',
            'ProcessPoolExecutor': '',
            'ServerlessExecutor': 'On the backend of the run.',
            'StandaloneExecutor': 'On the backend of the run.',
            'ThreadPoolExecutor': '',
        }.items()
    },
    'futures.FunctionExecutor.submit': Row(
        'durable', durable='fn args kwargs', note='Awaiting its future in asyncio is refused. Callbacks run during a wait.'
    ),
    'futures.FunctionExecutor.map': Row('durable', durable='fn iterables timeout chunksize buffersize'),
    'futures.FunctionExecutor.shutdown': Row('durable', durable='wait', passed='cancel_futures'),
    'futures.FunctionExecutor.lithops_executor': Row('pass-through'),
    'futures.Future.result': Row('durable', durable='timeout'),
    'futures.Future.exception': Row('durable', durable='timeout'),
    'futures.Future.done': Row('durable', note='It looks at the call, and the answer is recorded. So does `running`.'),
    'futures.Future.lithops_future': Row('pass-through'),
    'futures.Future.stats': Row('pass-through'),
    'futures.wait': Row('durable', durable='fs timeout return_when', note=OF_CALLS_ONLY),
    'futures.as_completed': Row('durable', durable='fs timeout', note=OF_CALLS_ONLY),
    # lithops.multiprocessing
    'multiprocessing.Pool': Row('durable', durable='processes initializer initargs', passed='maxtasksperchild context'),
    'multiprocessing.Pool.apply': Row('durable', durable='func args kwds'),
    'multiprocessing.Pool.apply_async': Row(
        'durable', durable='func args kwds callback error_callback', note='Callbacks run in `get()`, `wait()` and `Pool.join()`.'
    ),
    'multiprocessing.Pool.map': Row('durable', durable='func iterable chunksize'),
    'multiprocessing.Pool.map_async': Row('durable', durable='func iterable chunksize callback error_callback'),
    'multiprocessing.Pool.starmap': Row('durable', durable='func iterable chunksize'),
    'multiprocessing.Pool.starmap_async': Row('durable', durable='func iterable chunksize callback error_callback'),
    'multiprocessing.Pool.imap': Row('durable', durable='func iterable chunksize'),
    'multiprocessing.Pool.imap_unordered': Row('durable', durable='func iterable chunksize'),
    'multiprocessing.Pool.close': Row('pass-through'),
    'multiprocessing.Pool.join': Row('durable'),
    'multiprocessing.Pool.terminate': Row('pass-through'),
    'multiprocessing.AsyncResult.get': Row('durable', durable='timeout'),
    'multiprocessing.AsyncResult.wait': Row('durable', durable='timeout'),
    'multiprocessing.AsyncResult.ready': Row('durable', note='It looks at the call, and the answer is recorded.'),
    'multiprocessing.AsyncResult.successful': Row('durable'),
    'multiprocessing.Process': Row('durable', durable='target name args kwargs daemon', passed='group'),
    'multiprocessing.Process.start': Row('durable'),
    'multiprocessing.Process.join': Row('durable', durable='timeout'),
    **{
        f'multiprocessing.Process.{name}': Row('pass-through')
        for name in ('authkey', 'close', 'daemon', 'ident', 'name', 'pid', 'run', 'sentinel')
    },
    **{
        f'multiprocessing.Process.{name}': Row('pass-through', note=UNKNOWN_TO_LITHOPS)
        for name in ('exitcode', 'is_alive', 'kill', 'terminate')
    },
    **{
        f'multiprocessing.{name}': Row('refused', refused=parameters, note=STATE_IN_REDIS)
        for name, parameters in {**_STATE, **_STATE_OF_MODULE}.items()
    },
    **{
        f'multiprocessing.{name}': Row('pass-through', passed=parameters, note=UNKNOWN_TO_LITHOPS if name in _UNKNOWN else '')
        for name, parameters in {**_HELPERS, **_HELPERS_OF_MODULE}.items()
    },
    # What get_context() gives
    'multiprocessing.DefaultContext': Row('pass-through'),
    'multiprocessing.DefaultContext.Pool': Row(
        'durable', durable='processes initializer initargs', passed='maxtasksperchild context'
    ),
    'multiprocessing.DefaultContext.Process': Row('durable', durable='target name args kwargs daemon', passed='group'),
    **{
        f'multiprocessing.DefaultContext.{name}': Row('refused', refused=parameters, note=STATE_IN_REDIS)
        for name, parameters in {**_STATE, **_STATE_OF_CONTEXT}.items()
    },
    **{
        f'multiprocessing.DefaultContext.{name}': Row(
            'pass-through', passed=parameters, note=UNKNOWN_TO_LITHOPS if name in _UNKNOWN else ''
        )
        for name, parameters in {**_HELPERS, 'reducer': ''}.items()
    },
}


def found_in_lithops():
    """All public callables, and the names of their parameters."""
    # It needs a client of Redis to be imported
    import lithops.multiprocessing as multiprocessing
    from lithops.multiprocessing.pool import ApplyResult, Pool

    found = {}
    for name in lithops.__all__:
        given = getattr(lithops, name)
        if inspect.isclass(given) and given is not lithops.Storage:
            found |= {name: _parameters(given.__init__), **_methods(name, given, but_those_of=_base_of(given))}
    for owner in (ResponseFuture, FuturesList, RetryingFuture):
        found |= _methods(owner.__name__, owner)
    found |= {f'lithops.{name}': _parameters(getattr(lithops, name)) for name in ('wait', 'get_result')}
    found['lithops.Storage'] = _parameters(lithops.Storage.__init__)
    for name in futures.__all__:
        given = getattr(futures, name)
        if inspect.isclass(given) and issubclass(given, futures.FunctionExecutor):
            found[f'futures.{name}'] = _parameters(given.__init__)
            found |= _methods(f'futures.{name}', given, but_those_of=_base_of(given))
    found |= _methods('futures.Future', futures.Future)
    found |= {f'futures.{name}': _parameters(getattr(futures, name)) for name in ('wait', 'as_completed')}
    found |= _callables('multiprocessing', multiprocessing)
    found |= _callables('multiprocessing.DefaultContext', multiprocessing.DefaultContext)
    found['multiprocessing.DefaultContext.reducer'] = []
    found |= _methods('multiprocessing.Pool', Pool) | _methods('multiprocessing.AsyncResult', ApplyResult)
    found |= _methods('multiprocessing.Process', multiprocessing.Process)
    return found


def _base_of(owner):
    """Of whose methods there are rows already."""
    bases = [base for base in owner.__mro__[1:] if base.__module__.startswith('lithops')]
    return bases[-1] if bases else None


def _callables(name, owner):
    """Of a module, or of a class that stands for one; errors apart."""
    found = {}
    for each in dir(owner):
        given = getattr(owner, each)
        if each.startswith('_') or not callable(given) or (inspect.isclass(given) and issubclass(given, Exception)):
            continue
        made = given.__init__ if inspect.isclass(given) and given.__init__ is not object.__init__ else given
        found[f'{name}.{each}'] = _parameters(made)
    return found


def _methods(name, owner, but_those_of=None):
    found = {}
    for method in dir(owner):
        if hasattr(but_those_of, method) and getattr(but_those_of, method) is getattr(owner, method):
            continue
        where = next(kind for kind in owner.__mro__ if method in vars(kind))
        given = inspect.getattr_static(owner, method)
        if method.startswith('_') or not where.__module__.startswith('lithops'):
            continue
        if isinstance(given, property):
            found[f'{name}.{method}'] = []
        elif inspect.isroutine(given):
            found[f'{name}.{method}'] = _parameters(getattr(owner, method))
    return found


def _parameters(function):
    return [name for name in inspect.signature(function).parameters if name not in ('self', 'ctx')]


AFTERWARDS = """\
## Statistics and logs

`future.stats` of a call is the same on every replay. Its `host_status_done_tstamp` and `host_result_done_tstamp` are the
time at which the call ended. `future.logs` reads the log when it is asked for, also after a replay. On localhost the output
of a call is in the log of that call (`lithops logs get`), and not in the common log of all functions (`lithops logs poll`).
An orchestrator logs what an ordinary Lithops program logs, each line once."""


def _part_of(name):
    """The heading below which a callable stands."""
    first = name.partition('.')[0]
    modules = {'lithops': 'Functions of `lithops`', 'futures': '`lithops.concurrent.futures`'}
    modules['multiprocessing'] = '`lithops.multiprocessing`'
    return modules.get(first, 'Futures' if first in ('ResponseFuture', 'FuturesList') else 'Executors')


def rendered():
    """docs/reference/lithops-surface.md"""
    lines = ['# The Lithops API in an orchestrator', '']
    lines += [f'What each public callable and parameter of Lithops {lithops.__version__} does inside an orchestrator.', '']
    lines += [f'- **{verdict}**: {meaning}' for verdict, meaning in VERDICTS.items()]
    part = None
    for name, row in SURFACE.items():
        if _part_of(name) != part:
            part = _part_of(name)
            lines += ['', f'## {part}', '', '| callable | is | its parameters | note |', '|---|---|---|---|']
        parts = [f'{verdict}: {", ".join(f"`{each}`" for each in names)}' for verdict, names in row.parameters().items()]
        lines.append(f'| `{name}` | {row.verdict} | {"; ".join(parts)} | {row.note} |')
    lines += ['', *AFTERWARDS.splitlines(), '']
    lines += ['Made by `python tests/support/surface.py > docs/reference/lithops-surface.md`. A test compares it with Lithops.']
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    print(rendered(), end='')
