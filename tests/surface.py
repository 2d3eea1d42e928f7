"""
What of Lithops' public surface is durable inside an orchestrator: the source of docs/lithops-surface.md.

``python tests/surface.py > docs/lithops-surface.md``; a test compares, and fails for whatever Lithops has and this has not.
"""

import inspect
from dataclasses import dataclass

import lithops
from lithops.concurrent import futures
from lithops.future import ResponseFuture
from lithops.utils import FuturesList

VERDICTS = {
    'durable': 'works as outside; what it gives is the same on every replay, and waiting costs nothing',
    'pass-through': "is Lithops' own, unchanged; nothing of it is recorded, and a replay does it again",
    'no effect': 'is accepted, and there is nothing for it to do inside an orchestrator',
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
STATE_IN_REDIS = 'Lives in Redis: an activation would make it anew. Make it inside calls.'

SURFACE = {
    # lithops.FunctionExecutor
    'FunctionExecutor': Row(
        'durable',
        durable='mode config config_file backend storage',
        passed='log_level kwargs',
        none='monitoring',
        note='One that would compute or store elsewhere than its run is refused.',
    ),
    'FunctionExecutor.call_async': Row(
        'durable', durable=f'func data extra_env runtime_memory timeout {MODULES}', note='`data` may be, or hold, futures.'
    ),
    'FunctionExecutor.map': Row(
        'durable',
        durable=f'map_function map_iterdata chunksize extra_args extra_env runtime_memory {OBJECTS} timeout {MODULES}',
        note='Over futures, each call starts when its own input has ended. Partitions of objects are recorded.',
    ),
    'FunctionExecutor.map_reduce': Row(
        'durable',
        durable='map_function map_iterdata reduce_function chunksize extra_args extra_args_reduce extra_env map_runtime_memory '
        f'reduce_runtime_memory timeout {OBJECTS} obj_reduce_by_key {MODULES}',
        none='spawn_reducer',
        note='A reducer starts when all that it reduces has ended; until then nothing of it runs.',
    ),
    'FunctionExecutor.wait': Row(
        'durable',
        durable='fs throw_except return_when download_results timeout',
        none=f'{POLLING} clean_jobs',
        note='What had ended, and whether it was in time, is recorded. For futures that a call returned `timeout` counts anew.',
    ),
    'FunctionExecutor.get_result': Row('durable', durable='fs throw_except timeout', none=POLLING),
    'FunctionExecutor.clean': Row(
        'no effect',
        none='fs cs clean_cloudobjects clean_fn force on_exit',
        note='What a replay reads stays until the run is purged.',
    ),
    'FunctionExecutor.plot': Row('pass-through', passed='fs dst figsize', note='Works after a replay: stats are recorded.'),
    'FunctionExecutor.job_summary': Row('pass-through', passed='cloud_objects_n', note='On localhost Lithops knows no costs.'),
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
        note='Its retries are new jobs, as in Lithops. `Retry` does it without an activation between them.',
    ),
    'RetryingFunctionExecutor.map': Row(
        'durable',
        durable=f'map_function map_iterdata chunksize extra_args extra_env runtime_memory {OBJECTS} timeout {MODULES} retries',
    ),
    'RetryingFunctionExecutor.wait': Row('durable', durable='fs throw_except return_when download_results timeout', none=POLLING),
    'RetryingFunctionExecutor.clean': Row('no effect', none='fs cs clean_cloudobjects clean_fn force'),
    # Futures
    'ResponseFuture.result': Row(
        'durable',
        durable='throw_except',
        none='internal_storage retries wait_dur_sec',
        note='Of a call that returned futures: these.',
    ),
    'ResponseFuture.status': Row('durable', durable='throw_except check_only', none='internal_storage wait_dur_sec'),
    'ResponseFuture.cancel': Row('pass-through', note='Not supported by Lithops.'),
    'ResponseFuture.cancelled': Row('pass-through', note='Not supported by Lithops.'),
    **{
        f'ResponseFuture.{name}': Row('durable', note='As of the latest wait.')
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
        note='However it was imported.',
    ),
    'lithops.get_result': Row('durable', durable='fs throw_except timeout', none=f'internal_storage {POLLING}'),
    'lithops.Storage': Row(
        'pass-through', passed='config backend storage_config', note='Writes are done again by each replay: see `record()`.'
    ),
    # lithops.concurrent.futures
    'futures.FunctionExecutor': Row(
        'durable',
        durable=f'executor runtime_memory extra_env execution_timeout {MODULES}',
        passed='max_workers initializer initargs kwargs',
        note='So are its kin: `LocalhostExecutor`, `ServerlessExecutor`, `ProcessPoolExecutor`, `ThreadPoolExecutor`.',
    ),
    'futures.FunctionExecutor.submit': Row('durable', durable='fn args kwargs'),
    'futures.FunctionExecutor.map': Row(
        'durable', durable='fn iterables timeout chunksize buffersize', note='`timeout` counts anew in each activation.'
    ),
    'futures.FunctionExecutor.shutdown': Row('durable', durable='wait', passed='cancel_futures'),
    'futures.FunctionExecutor.lithops_executor': Row('pass-through'),
    'futures.Future.result': Row('durable', durable='timeout'),
    'futures.Future.exception': Row('durable', durable='timeout'),
    'futures.Future.done': Row('durable', note='Looks, and what it saw is recorded.'),
    'futures.Future.lithops_future': Row('pass-through'),
    'futures.Future.stats': Row('pass-through'),
    'futures.wait': Row('durable', durable='fs timeout return_when', note="So is the standard library's own."),
    'futures.as_completed': Row('durable', durable='fs timeout', note="So is the standard library's own."),
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
    'multiprocessing.AsyncResult.ready': Row('durable', note='As of the latest wait.'),
    'multiprocessing.AsyncResult.successful': Row('durable'),
    'multiprocessing.Process': Row('durable', durable='target name args kwargs daemon', passed='group'),
    'multiprocessing.Process.start': Row('durable'),
    'multiprocessing.Process.join': Row('durable', durable='timeout'),
    **{
        f'multiprocessing.Process.{name}': Row('pass-through')
        for name in [
            'authkey',
            'close',
            'daemon',
            'exitcode',
            'ident',
            'is_alive',
            'kill',
            'name',
            'pid',
            'run',
            'sentinel',
            'terminate',
        ]
    },
    **{
        f'multiprocessing.{name}': Row('refused', note=STATE_IN_REDIS)
        for name in [
            'Array',
            'Barrier',
            'BoundedSemaphore',
            'Condition',
            'Event',
            'JoinableQueue',
            'Lock',
            'Manager',
            'Pipe',
            'Queue',
            'RLock',
            'RawArray',
            'RawValue',
            'Semaphore',
            'SimpleQueue',
            'SyncManager',
            'Value',
        ]
    },
    **{
        f'multiprocessing.{name}': Row('pass-through')
        for name in [
            'DefaultContext',
            'active_children',
            'allow_connection_pickling',
            'cpu_count',
            'current_process',
            'freeze_support',
            'get_all_start_methods',
            'get_context',
            'get_logger',
            'get_start_method',
            'log_to_stderr',
            'parent_process',
            'set_executable',
            'set_forkserver_preload',
            'set_start_method',
        ]
    },
}

_DONE_BY_PYTHON = ('__enter__', '__exit__')


def found_in_lithops():
    """All public callables, and the names of their parameters; None where these are not looked at."""
    # It needs a client of Redis to be imported
    import lithops.multiprocessing as multiprocessing
    from lithops.multiprocessing.pool import ApplyResult, Pool

    found = {}
    for owner in (lithops.FunctionExecutor, lithops.RetryingFunctionExecutor):
        found |= {owner.__name__: _parameters(owner.__init__), **_methods(owner.__name__, owner)}
    for owner in (lithops.LocalhostExecutor, lithops.ServerlessExecutor, lithops.StandaloneExecutor):
        found[owner.__name__] = _parameters(owner.__init__)
    for owner in (ResponseFuture, FuturesList):
        found |= _methods(owner.__name__, owner)
    found |= {f'lithops.{name}': _parameters(getattr(lithops, name)) for name in ('wait', 'get_result')}
    found['lithops.Storage'] = _parameters(lithops.Storage.__init__)
    found['futures.FunctionExecutor'] = _parameters(futures.FunctionExecutor.__init__)
    found |= _methods('futures.FunctionExecutor', futures.FunctionExecutor) | _methods('futures.Future', futures.Future)
    found |= {f'futures.{name}': _parameters(getattr(futures, name)) for name in ('wait', 'as_completed')}
    for name in dir(multiprocessing):
        given = getattr(multiprocessing, name)
        if not name.startswith('_') and callable(given) and not (inspect.isclass(given) and issubclass(given, Exception)):
            found[f'multiprocessing.{name}'] = None
    found['multiprocessing.Pool'] = _parameters(Pool.__init__)
    found['multiprocessing.Process'] = _parameters(multiprocessing.Process.__init__)
    found |= _methods('multiprocessing.Pool', Pool) | _methods('multiprocessing.AsyncResult', ApplyResult)
    found |= _methods('multiprocessing.Process', multiprocessing.Process)
    return found


def _methods(name, owner):
    found = {}
    for method in dir(owner):
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


def rendered():
    """docs/lithops-surface.md"""
    lines = ["# Lithops' surface inside an orchestrator", '']
    lines += [f'What each public callable and parameter of Lithops {lithops.__version__} does there.', '']
    lines += [f'- **{verdict}**: {meaning}' for verdict, meaning in VERDICTS.items()]
    lines += ['', '| callable | is | its parameters | |', '|---|---|---|---|']
    for name, row in SURFACE.items():
        parts = [f'{verdict}: {", ".join(f"`{each}`" for each in names)}' for verdict, names in row.parameters().items()]
        lines.append(f'| `{name}` | {row.verdict} | {"; ".join(parts)} | {row.note} |')
    lines += ['', 'Made by `python tests/surface.py > docs/lithops-surface.md`. A test compares it with Lithops.']
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    print(rendered(), end='')
