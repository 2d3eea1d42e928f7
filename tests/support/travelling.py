"""
Packs the orchestrator of a script as ``run()`` does, and loads it as an activation does: each
in a process of its own that is forked from this one, so that it takes milliseconds.
"""

import os
import pickle
import sys
import threading
import traceback
import types

from lithops.job.serialize import write_module_data
from lithops.worker import utils as worker_utils

from triggerflow_lithops.orchestrator import user_code
from triggerflow_lithops.orchestrator.packing.program import packed

CONFIG = {
    'lithops': {'backend': 'localhost', 'storage': 'localhost'},
    'localhost': {'storage_bucket': 'storage', 'worker_processes': 2, 'runtime': sys.executable},
}


def in_a_process(function, *args):
    """What ``function(*args)`` returns in a forked process; raises what it raises."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        try:
            try:
                end = True, function(*args)
            except BaseException as error:
                error.__traceback__, said = None, traceback.format_exc()
                end = False, (error, said)
            with os.fdopen(writing, 'wb') as pipe:
                pickle.dump(end, pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, 'rb') as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    returned, value = pickle.loads(text)
    if not returned:
        error, said = value
        print(said)
        raise error
    return value


def forget(names):
    """Of the modules of these names nothing is loaded: other tests have some of their own."""
    for name in [name for name in sys.modules if name.partition('.')[0] in names]:
        del sys.modules[name]


def write(folder, files):
    """Writes files, given by their paths, below a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text) if isinstance(text, bytes) else path.write_text(text)


def pack(folder, files, *, argv=(), config=None, metadata=None, module=None, args=user_code.NO_ARGUMENTS):
    """
    What ``run(main, args)`` stores.

    :param files: of a program, by their paths; ``script.py`` is what is executed, unless
    :param module: is the name of a module, which is executed as ``python -m`` does
    """
    write(folder, files)
    own = {name.partition('/')[0].removesuffix('.py') for name in files}
    preinstalled = worker_utils.get_runtime_metadata() if metadata is None else metadata

    def as_a_script():
        path = str(folder / ('script.py' if module is None else f'{module.replace(".", "/")}.py'))
        sys.argv = [path, *argv]
        sys.path.insert(0, str(folder))
        os.chdir(folder)
        forget(own)
        main = sys.modules['__main__'] = types.ModuleType('__main__')
        main.__file__ = path
        main.__package__ = None if module is None else module.rpartition('.')[0]
        if module is not None and main.__package__:
            __import__(main.__package__)
        with open(path) as text:
            exec(compile(text.read(), path, 'exec'), vars(main))
        given = getattr(main, 'ARGS', args)
        user_code.require_fitting(main.main, given)
        return packed(config or CONFIG, main.main, given, preinstalled)

    return in_a_process(as_a_script)


def unpack(code, folder):
    """What the orchestrator returns in an activation of another machine, where nothing of its program is."""

    def as_an_activation():
        worker_utils.MODULES_DIR = str(folder)
        os.chdir(folder)
        stored = pickle.loads(code)
        modules = str(folder / 'job')
        sys.path.append(modules)
        forget({name.partition('/')[0].removesuffix('.py') for name in stored['module_data']})
        write_module_data(modules, stored['module_data'])
        ends = []

        def orchestrate():
            try:
                function, args = pickle.loads(stored['func']).load()
                ends.append((True, user_code.call(function, args)))
            except BaseException as error:
                ends.append((False, error))

        thread = threading.Thread(target=orchestrate)
        thread.start()
        thread.join()
        returned, value = ends[0]
        if not returned:
            raise value
        return value

    folder.mkdir(exist_ok=True)
    return in_a_process(as_an_activation)


def travelled(tmp_path, files, **options):
    """
    What the orchestrator ``main`` of a program returns where it runs. Its folder is gone by then.

    :param files: as for :func:`pack`, or the text of ``script.py``
    """
    here = tmp_path / 'here'
    code = pack(here, {'script.py': files} if isinstance(files, str) else files, **options)
    here.rename(tmp_path / 'gone')
    return unpack(code, tmp_path / 'there')
