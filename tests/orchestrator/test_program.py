"""What travels with an orchestrator, and how it is put together again where it runs."""

import base64
import pickle

import pytest
from travelling import CONFIG, pack, travelled

from triggerflow_lithops import InvalidRunError

# Code travels whole


@pytest.mark.parametrize(
    'body',
    [
        'return (lambda: mylib.double(4))()',
        'return [mylib.double(x) for x in [4]][0]',
        'return next(mylib.double(x) for x in [4])',
        'def inner():\n        return mylib.double(4)\n    return inner()',
        'class Inner:\n        value = mylib.double(4)\n    return Inner.value',
        'from mylib import double\n    return double(4)',
        'import importlib\n    return importlib.import_module("mylib").double(4)',
        'def inner():\n        def inmost():\n            from mylib import double\n            return double(4)\n'
        '        return inmost()\n    return inner()',
    ],
    ids=['lambda', 'comprehension', 'generator', 'inner function', 'class body', 'import', 'import_module', 'inner import'],
)
def test_a_module_that_is_named_anywhere_in_the_code_travels(tmp_path, body):
    top = '' if 'import' in body else 'import mylib\n'
    files = {'script.py': f'{top}def main():\n    {body}\n', 'mylib.py': 'def double(x):\n    return x * 2\n'}
    assert travelled(tmp_path, files) == 8


def test_a_submodule_that_only_inner_code_names_is_imported(tmp_path):
    files = {
        'script.py': 'import pkg.deep.sub\ndef main():\n    return (lambda: [pkg.deep.sub.f() for _ in "a"])()\n',
        'pkg/__init__.py': '',
        'pkg/deep/__init__.py': '',
        'pkg/deep/sub.py': 'def f():\n    return 7\n',
    }
    assert travelled(tmp_path, files) == [7]


def test_packages_travel_with_what_they_import_and_their_data(tmp_path):
    files = {
        'script.py': 'import pkg.reader\ndef main():\n    return pkg.reader.read()\n',
        'pkg/__init__.py': '',
        'pkg/reader.py': """
from importlib import resources
from .helpers import suffix
def read():
    import other, spaced.deep
    return (resources.files("pkg") / "data" / "x.bin").read_bytes() + suffix + other.text + spaced.deep.text()
""",
        'pkg/helpers.py': "suffix = b'-helped'\n",
        'pkg/data/x.bin': bytes(range(5)),
        'pkg/__pycache__/junk.txt': 'junk',
        'pkg/.git/config': 'junk',
        'pkg/venv/pyvenv.cfg': 'junk',
        'other.py': "text = b'-other'\n",
        'unrelated.py': "raise SystemExit('nobody imports this')",
        'spaced/deep.py': 'from pathlib import Path\ndef text():\n    return (Path(__file__).parent / "y.txt").read_bytes()\n',
        'spaced/y.txt': '-spaced',
    }
    assert travelled(tmp_path, files) == bytes(range(5)) + b'-helped-other-spaced'
    stored = pickle.loads(pack(tmp_path / 'again', files))['module_data']
    assert sorted(stored) == [
        *('other.py', 'pkg/__init__.py', 'pkg/data/x.bin', 'pkg/helpers.py', 'pkg/reader.py'),
        *('spaced/deep.py', 'spaced/y.txt'),
    ]


def test_a_namespace_travels_with_all_its_portions_that_are_not_installed(tmp_path):
    files = {
        'script.py': """
import sys
sys.path.append('elsewhere')
import spaced.here, spaced.there
def main():
    return spaced.here.x, spaced.there.y()
""",
        'spaced/here.py': 'x = 1\n',
        'elsewhere/spaced/there.py': 'import os\ndef y():\n    return open(f"{os.path.dirname(__file__)}/y.txt").read()\n',
        'elsewhere/spaced/y.txt': '2',
    }
    assert travelled(tmp_path, files) == (1, '2')


def test_a_module_that_lies_elsewhere_than_its_package_travels(tmp_path):
    files = {
        'script.py': 'import pkg.more\ndef main():\n    return pkg.more.x\n',
        'pkg/__init__.py': "import os\n__path__.append(os.path.join(os.path.dirname(os.path.dirname(__file__)), 'extra'))\n",
        'extra/more.py': 'x = 3\n',
    }
    assert travelled(tmp_path, files) == 3


def test_a_program_that_is_run_with_python_dash_m_takes_its_package_along(tmp_path):
    files = {
        'pkg/__init__.py': 'top = 1\n',
        'pkg/sub/__init__.py': '',
        'pkg/sub/prog.py': """
from .helpers import two
from ..third import three
def main():
    from . import fourth
    from .. import top
    return top, two(), three(), fourth.four, __package__, __name__
""",
        'pkg/sub/helpers.py': 'def two():\n    return 2\n',
        'pkg/third.py': 'def three():\n    return 3\n',
        'pkg/sub/fourth.py': 'four = 4\n',
    }
    assert travelled(tmp_path, files, module='pkg.sub.prog') == (1, 2, 3, 4, 'pkg.sub', '__main__')


def test_a_program_of_a_package_that_imports_relatively_inside_functions_only_takes_it_along(tmp_path):
    files = {
        'pkg/__init__.py': '',
        'pkg/prog.py': 'def main():\n    from .helpers import two\n    return two\n',
        'pkg/helpers.py': 'two = 2\n',
    }
    assert travelled(tmp_path, files, module='pkg.prog') == 2


def test_an_edited_install_travels_from_its_true_place(tmp_path):
    finder = """
import importlib.util, sys
from importlib.machinery import ModuleSpec
class Finder:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == 'edited':
            return importlib.util.spec_from_file_location(
                name, 'src/edited/__init__.py', submodule_search_locations=['src/edited'])
sys.meta_path.append(Finder)
"""
    files = {
        'script.py': f'{finder}\ndef main():\n    import edited.deep\n    return edited.deep.x\n',
        'src/edited/__init__.py': '',
        'src/edited/deep.py': 'x = 5\n',
    }
    assert travelled(tmp_path, files) == 5


def test_modules_travel_out_of_a_zip_file(tmp_path):
    import zipfile

    (tmp_path / 'here').mkdir()
    with zipfile.ZipFile(tmp_path / 'here' / 'lib.zip', 'w') as archive:
        archive.writestr('zipped/__init__.py', '')
        archive.writestr('zipped/deep.py', 'x = 6\n')
    text = 'import sys\nsys.path.append("lib.zip")\nimport zipped.deep\ndef main():\n    return zipped.deep.x\n'
    assert travelled(tmp_path, text) == 6


def test_what_travelled_comes_before_what_is_installed_under_its_name(tmp_path):
    # Of this name there is a module in the runtime, too
    metadata = {'preinstalls': [['tabulate', False]]}
    files = {'script.py': 'import tabulate\ndef main():\n    return tabulate.mine\n', 'tabulate.py': 'mine = True\n'}
    assert travelled(tmp_path, files, metadata=metadata) is True


def test_a_module_that_only_this_program_has_made_is_refused_by_name(tmp_path):
    text = """
import sys, types
made = sys.modules['made'] = types.ModuleType('made')
def main():
    return made
"""
    with pytest.raises(InvalidRunError, match=r"'made', which is needed for made, cannot be found .* 'exclude_modules'"):
        pack(tmp_path, {'script.py': text})


def test_an_import_that_may_fail_is_no_error(tmp_path):
    text = """
def main():
    try:
        import not_there_at_all
    except ImportError:
        return 'without'
"""
    assert travelled(tmp_path, text) == 'without'


CLOUD = {
    'lithops': {'backend': 'aws_lambda', 'storage': 'aws_s3'},
    'aws_lambda': {},
    'aws_s3': {'storage_bucket': 'storage', 'access_key_id': 'planted-id', 'secret_access_key': 'planted-secret'},
}
BARE = {'preinstalls': [['cloudpickle', True]]}


def test_an_installed_package_with_native_code_that_the_runtime_has_not_is_refused_by_name(tmp_path):
    text = 'import numpy as np\ndef main():\n    return np.zeros(1)\n'
    with pytest.raises(InvalidRunError, match=r"The module 'numpy', which is needed for numpy.*has native code"):
        pack(tmp_path, {'script.py': text}, config=CLOUD, metadata=BARE)
    assert pack(tmp_path, {'script.py': text}, config=CLOUD, metadata={'preinstalls': [['numpy', True]]})
    excluding = {**CLOUD, 'lithops': {**CLOUD['lithops'], 'exclude_modules': ['numpy']}}
    assert pack(tmp_path, {'script.py': text}, config=excluding, metadata=BARE)


def test_an_installed_package_that_a_cloud_has_not_travels_and_this_package_too(tmp_path):
    code = pack(tmp_path, {'script.py': 'import click\ndef main():\n    return click\n'}, config=CLOUD, metadata=BARE)
    files = pickle.loads(code)['module_data']
    assert {'click/__init__.py', 'triggerflow_lithops/orchestrator/activation.py'} <= set(files)
    assert not any(name.startswith(('lithops/', 'json/', 'triggerflow_lithops/testing/')) for name in files)


def including(*names, **others):
    return {**CONFIG, 'lithops': {**CONFIG['lithops'], 'include_modules': list(names), **others}}


def test_modules_that_are_named_to_be_included_are_the_only_ones_that_travel(tmp_path):
    files = {
        'script.py': 'import one\ndef main():\n    return one.x\n',
        'one.py': 'x = 1\n',
        'two/__init__.py': '',
        'two/data.txt': 'data',
    }
    assert set(pickle.loads(pack(tmp_path, files, config=including('two')))['module_data']) == {'two/__init__.py', 'two/data.txt'}
    cloud = {**CLOUD, 'lithops': {**CLOUD['lithops'], 'include_modules': ['two']}}
    with pytest.raises(InvalidRunError, match="The module 'one', which is needed for one, is not named in 'include_modules'"):
        pack(tmp_path, files, config=cloud)
    none = {**CONFIG, 'lithops': {**CONFIG['lithops'], 'include_modules': 'none'}}
    assert pickle.loads(pack(tmp_path, files, config=none))['module_data'] == {}


def test_more_than_can_travel_is_refused_with_the_largest_files(tmp_path):
    files = {'script.py': 'import big\ndef main():\n    return big\n', 'big/__init__.py': '', 'big/small.txt': 'small'}
    (tmp_path / 'big').mkdir()
    with open(tmp_path / 'big' / 'huge.bin', 'wb') as huge:
        huge.truncate(60 * 1024**2)
    with pytest.raises(InvalidRunError, match=r"60 MB.*big/huge\.bin \(60\.0 MB\).*'exclude_modules'"):
        pack(tmp_path, files)
    excluding = {**CONFIG, 'lithops': {**CONFIG['lithops'], 'exclude_modules': ['big/*.bin']}}
    assert set(pickle.loads(pack(tmp_path, files, config=excluding))['module_data']) == {'big/__init__.py', 'big/small.txt'}


# The script is __main__


def test_functions_of_the_script_share_its_variables(tmp_path):
    text = """
import sys
count = 0
def up():
    global count
    count += 1
def main():
    global count
    up()
    count += 10
    up()
    main_module = sys.modules['__main__']
    return count, __name__, __name__ == '__main__', globals() is up.__globals__ is vars(main_module), main_module.count
"""
    assert travelled(tmp_path, text) == (12, '__main__', True, True, 12)


def test_plain_pickle_takes_what_the_script_defines(tmp_path):
    text = """
import dataclasses, enum, pickle, sys, typing, collections
class Colour(enum.Enum):
    RED = 1
    BLUE = 2
@dataclasses.dataclass
class Point:
    x: int
    colour: Colour = Colour.RED
Pair = collections.namedtuple('Pair', 'a b')
class Named(typing.NamedTuple):
    a: int
class Outer:
    class Inner:
        def method(self):
            return 5
class Failure(Exception):
    def __init__(self, a, b):
        super().__init__(a, b)
def helper():
    return 1
def main():
    values = [Point(1), Colour.BLUE, Pair(1, 2), Named(3), helper, main, Outer.Inner, Failure('a', 1)]
    again = [pickle.loads(pickle.dumps(value)) for value in values]
    assert again[:7] == values[:7], again
    assert isinstance(again[7], Failure) and again[7].args == ('a', 1)
    assert sys.modules['__main__'].Colour is Colour and Colour(1) is Colour.RED
    return Outer.Inner().method()
"""
    assert travelled(tmp_path, text) == 5


def test_processes_that_are_forked_work(tmp_path):
    text = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
class Point:
    def __init__(self, x):
        self.x = x
def move(point):
    return Point(point.x + 1)
def main():
    with multiprocessing.Pool(2) as pool, ProcessPoolExecutor(1) as executor:
        moved = pool.map(move, [Point(1), Point(2)])
        return [point.x for point in moved], executor.submit(move, Point(5)).result().x, type(moved[0]) is Point
"""
    assert travelled(tmp_path, text) == ([2, 3], 6, True)


@pytest.mark.parametrize('method', ['spawn', 'forkserver'])
def test_processes_that_would_execute_the_script_again_are_refused(tmp_path, method):
    text = f"""
import multiprocessing
def main():
    try:
        multiprocessing.get_context('{method}').Pool(1)
    except NotImplementedError as error:
        return str(error)
"""
    assert "get_context('fork')" in travelled(tmp_path, text)


def test_the_attributes_of_the_script_are_there(tmp_path):
    text = '''"""What it does."""
import sys
x: int = 5
def main():
    return __doc__, __file__ == sys.argv[0], sys.argv[1:], __package__, len(__annotations__) >= 0
'''
    assert travelled(tmp_path, text, argv=['--n', '5']) == ('What it does.', True, ['--n', '5'], None, True)


def test_the_source_of_the_script_is_found_where_its_file_is(tmp_path):
    from travelling import unpack

    text = 'import inspect\nclass A:\n    pass\ndef main():\n    return inspect.getsource(main), inspect.getsource(A)\n'
    code = pack(tmp_path, {'script.py': text})
    found = unpack(code, tmp_path / 'there')
    assert found == ('def main():\n    return inspect.getsource(main), inspect.getsource(A)\n', 'class A:\n    pass\n')


def test_subclasses_that_a_class_has_registered_are_registered_once(tmp_path):
    text = """
REGISTRY = []
class Base:
    names = []
    def __init_subclass__(cls, *, tag, **others):
        super().__init_subclass__(**others)
        REGISTRY.append(tag)
        Base.names.append(cls.__name__)
class A(Base, tag='a'):
    pass
def main():
    class B(Base, tag='b'):
        pass
    return A().names, REGISTRY
"""
    assert travelled(tmp_path, text) == (['A', 'B'], ['a', 'b'])


def test_a_metaclass_of_the_script_does_its_work_once(tmp_path):
    text = """
import abc
made = []
class Meta(abc.ABCMeta):
    def __new__(meta, name, bases, space, **options):
        made.append(name)
        return super().__new__(meta, name, bases, {**space, 'tag': name.lower()})
    def __init__(cls, name, bases, space, *, option):
        super().__init__(name, bases, space)
        cls.option = option
class Base(metaclass=Meta, option=1):
    __slots__ = ('x', '__private')
    def __init__(self):
        self.x, self.__private = 1, 2
    @abc.abstractmethod
    def method(self): ...
class Child(Base, option=2):
    def method(self):
        return self.x, self._Base__private
class Slotted:
    __slots__ = 'only'
def main():
    assert isinstance(Child(), Base) and not hasattr(Slotted(), '__dict__')
    class Late(Child, option=3):
        pass
    return made, Child.tag, Base.option, Child.option, Child().method(), Base.__abstractmethods__ == {'method'}
"""
    assert travelled(tmp_path, text) == (['Base', 'Child', 'Late'], 'child', 1, 2, (1, 2), True)


# What cloudpickle does not take


def test_cached_functions_travel_with_an_empty_cache(tmp_path):
    text = """
import functools
calls = []
@functools.lru_cache(maxsize=3, typed=True)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
fib.note = 'kept'
@functools.cache
def once():
    calls.append(1)
    return 5
class Sized:
    @functools.lru_cache
    def method(self):
        return 'cached'
    @functools.cached_property
    def prop(self):
        return 'computed'
fib(10), once()
def main():
    assert fib.cache_info().currsize == 0
    return fib(20), fib.cache_parameters(), fib.note, once(), once(), len(calls), Sized().method(), Sized().prop, fib.__name__
"""
    assert travelled(tmp_path, text) == (6765, {'maxsize': 3, 'typed': True}, 'kept', 5, 5, 2, 'cached', 'computed', 'fib')


def test_functions_with_several_implementations_travel(tmp_path):
    text = """
import functools
@functools.singledispatch
def told(x):
    return 'anything'
@told.register
def _(x: int):
    return f'int {told("")}'
@told.register(list)
def _(x):
    return [told(item) for item in x]
class Teller:
    @functools.singledispatchmethod
    def told(self, x):
        return 'anything'
    @told.register
    def _(self, x: int):
        return 'int'
def main():
    @told.register(dict)
    def _(x):
        return 'dict'
    known = sorted(kind.__name__ for kind in told.registry)
    return told([1, 'a', {}]), Teller().told(1), Teller().told(''), told.registry[int](1), known
"""
    expected = (['int anything', 'anything', 'dict'], 'int', 'anything', 'int anything', ['dict', 'int', 'list', 'object'])
    assert travelled(tmp_path, text) == expected


def test_context_variables_keep_their_values(tmp_path):
    files = {
        'script.py': """
from contextvars import ContextVar
import helpers
from helpers import theirs
own = ContextVar('own')
default = ContextVar('default', default='d')
never = ContextVar('never')
own.set('set')
theirs.set('theirs')
def main():
    return own.get(), default.get(), never.get('nothing'), helpers.read(), theirs is helpers.theirs, own.name
""",
        'helpers.py': """
from contextvars import ContextVar
theirs = ContextVar('theirs', default='')
def read():
    return theirs.get()
""",
    }
    assert travelled(tmp_path, files) == ('set', 'd', 'nothing', 'theirs', True, 'own')


def test_locks_travel_as_new_ones(tmp_path):
    text = """
import threading, queue, logging
from concurrent.futures import ThreadPoolExecutor
lock, rlock, event = threading.Lock(), threading.RLock(), threading.Event()
condition, semaphore, barrier = threading.Condition(), threading.BoundedSemaphore(2), threading.Barrier(1)
shared = threading.Condition(lock)
local = threading.local()
local.x = 'mine'
lock.acquire()
event.set()
waiting = queue.Queue()
waiting.put('first')
log = logging.getLogger('script')
pool = ThreadPoolExecutor(2)
handler = logging.StreamHandler()
class Guarded:
    def __init__(self):
        self.lock = threading.Lock()
guarded = Guarded()
def main():
    with lock, rlock, condition, semaphore, guarded.lock:
        assert event.is_set() and barrier.wait() == 0
        assert shared._lock is lock
    handler.flush()
    return local.x, waiting.get(timeout=1), log.name, list(pool.map(abs, [-1, -2]))
"""
    assert travelled(tmp_path, text) == ('mine', 'first', 'script', [1, 2])


def test_weak_collections_travel_with_what_lives(tmp_path):
    text = """
import weakref
class Thing:
    pass
thing = Thing()
keys, values, things = weakref.WeakKeyDictionary({thing: 1}), weakref.WeakValueDictionary(a=thing), weakref.WeakSet([thing])
alive, dead = weakref.ref(thing), weakref.ref(Thing())
def main():
    return keys[thing], values['a'] is thing, thing in things, alive() is thing, dead()
"""
    assert travelled(tmp_path, text) == (1, True, True, True, None)


def test_other_objects_of_an_ordinary_script_travel(tmp_path):
    text = """
import itertools, random, re, sys, types, decimal, datetime, collections, functools, pathlib, typing
from sys import stdout
generator = random.Random(5)
expected = random.Random(5).random()
secure = random.SystemRandom()
counter = itertools.count(3)
view = types.MappingProxyType({'a': 1})
pattern = re.compile('a+')
T = typing.TypeVar('T')
class Box(typing.Generic[T]):
    def __init__(self, value: T):
        self.value = value
class Meta(type):
    pass
class WithMeta(metaclass=Meta):
    __slots__ = ('x',)
squared = functools.partial(pow, exp=2)
def main():
    print('out', file=stdout)
    box = WithMeta()
    box.x = 1
    assert secure.random() < 1 and stdout is sys.stdout
    numbers = next(counter), view['a'], Box[int](3).value, squared(3), box.x
    return generator.random() == expected, pattern.match('aa').group(), numbers
"""
    assert travelled(tmp_path, text) == (True, 'aa', (3, 1, 3, 9, 1))


REDUCED_BADLY = """
class Bad:
    def __reduce__(self):
        return Bad.fail, ()
    @staticmethod
    def fail():
        raise SystemExit("never")
thing = Bad()
"""
INSIDE = """
class Settings:
    def __init__(self):
        self.inner = socket.socket()
thing = Settings()
"""
BAD_ERROR = """
class Bad(Exception):
    def __init__(self, a, b):
        super().__init__(a)
thing = Bad(1, 2)
"""
OURS = 'from triggerflow_lithops import TriggerflowExecutor\nthing = TriggerflowExecutor()'


@pytest.mark.parametrize(
    ('top', 'said'),
    [
        ('thing = open(__file__)', r"global 'thing' .* the open file '.*script\.py' cannot be pickled\. Open it inside"),
        ('thing = socket.socket()', r"global 'thing' cannot travel .* cannot pickle 'socket' object.* create it inside"),
        ('thing = {"a": [socket.socket()]}', "global 'thing' → key 'a' → item 0 cannot travel"),
        (INSIDE, "main → global 'thing' → attribute 'inner' cannot travel"),
        ('thing = (x for x in [1])', r"global 'thing' cannot travel .* cannot pickle 'generator' object"),
        ('import threading\nthing = threading.Thread()', r"'thing' .* 'threading.Thread' object, which exists in this process"),
        ('import subprocess\nthing = subprocess.Popen("true")', r"global 'thing' .* this process only"),
        ('import boto3\nthing = boto3.client("s3", region_name="x")', r"global 'thing' .*cannot pickle"),
        (REDUCED_BADLY, r"global 'thing' cannot travel .*SystemExit: never"),
        (BAD_ERROR, r"global 'thing' cannot travel .*missing 1 required positional argument: 'b'"),
        ('other = socket.socket()\ndef thing():\n    return other', "main → global 'thing' → global 'other'"),
        (OURS, 'a TriggerflowExecutor holds the configuration'),
    ],
    ids=['file', 'socket', 'item', 'field', 'generator', 'thread', 'process', 'client', 'loading', 'error', 'call', 'ours'],
)
def test_what_cannot_travel_is_refused_by_its_name_in_the_script(tmp_path, top, said):
    with pytest.raises(InvalidRunError, match=said):
        pack(tmp_path, {'script.py': f'import socket\n{top}\ndef main():\n    return thing\n'})


def test_the_first_loading_leaves_this_process_as_it_was(tmp_path):
    files = {
        'script.py': """
import atexit, sys, enum
import helpers
from helpers import settings, table
from triggerflow_lithops.orchestrator.packing.program import packed
class Colour(enum.Enum):
    RED = 1
class Registered(helpers.Base):
    def method(self):
        return 1
helpers.var.set('before')
count = 0
def main():
    global count
    count += 1
    return Colour.RED, Registered().method(), helpers.var.get(), table, helpers.settings
ARGS = Registered()
deep, deeper = table['deep'], settings.deep
def check():
    from travelling import CONFIG
    before = Registered.method, dict(vars(Registered)), dict(vars(Colour)), sys.modules['__main__'], list(helpers.registry)
    modules = set(sys.modules)
    packed(CONFIG, main, ARGS, {'preinstalls': []})
    after = Registered.method, dict(vars(Registered)), dict(vars(Colour)), sys.modules['__main__'], list(helpers.registry)
    assert before == after and main.__globals__ is globals() and count == 0
    assert helpers.var.get() == 'before'
    assert table['deep'] is deep and settings.deep is helpers.settings.deep is deeper
packed(__import__('travelling').CONFIG, main, ARGS, {'preinstalls': []})
check()
def main(args=None):
    return 'checked'
""",
        'helpers.py': """
from contextvars import ContextVar
registry = []
var = ContextVar('var')
class Settings:
    pass
table = {'deep': Settings()}
settings = Settings()
settings.deep = Settings()
class Base:
    def __init_subclass__(cls):
        registry.append(cls.__name__)
""",
    }
    assert travelled(tmp_path, files) == 'checked'


def test_no_secret_of_an_executor_is_in_what_is_stored(tmp_path):
    text = """
import lithops, sys
from unittest import mock
from travelling import CONFIG
fexec = lithops.FunctionExecutor(config={**CONFIG, 'localhost': {**CONFIG['localhost'], 'worker_processes': 3}})
fexec.config['aws_s3'] = {'secret_access_key': 'planted-secret'}
fexec.internal_storage.get_storage_config()['secret'] = 'planted-secret'
storage = fexec.storage
class Held:
    def __init__(self):
        self.fexec, self.storage, self.internal = fexec, lithops.Storage(config=CONFIG), fexec.internal_storage
held = Held()
from lithops.retries import RetryingFunctionExecutor
retrying = RetryingFunctionExecutor(fexec)
def main(default=fexec):
    return held, fexec, (lambda: fexec)(), storage, retrying
"""
    code = pack(tmp_path, {'script.py': text})
    assert b'planted-secret' not in everything_in(code)
    assert b'worker_processes' in everything_in(code)


def test_no_credential_that_the_run_and_an_executor_share_is_stored(tmp_path):
    text = """
import types
import lithops
from test_program import CLOUD
fexec = lithops.ServerlessExecutor.__new__(lithops.ServerlessExecutor)
fexec.config = {**CLOUD, 'aws_lambda': {'runtime_memory': 4096}, 'redis': {'password': 'planted-secret'}}
fexec.internal_storage = types.SimpleNamespace(bucket='storage', client='planted-secret')
fexec.futures = ['planted-secret']
def main():
    return fexec
"""
    code = pack(tmp_path, {'script.py': text}, config=CLOUD, metadata=BARE)
    assert b'planted-secret' not in everything_in(code) and b'planted-id' not in everything_in(code)
    assert b'runtime_memory' in pickle.loads(pickle.loads(code)['func']).code


def everything_in(code):
    """The bytes, and those of all pickles and texts in base64 inside of them."""
    found = [code]
    stored = pickle.loads(code)
    found.append(stored['func'])
    found.append(pickle.loads(stored['func']).code)
    found += [base64.b64decode(text) for text in stored['module_data'].values()]
    return b'\n'.join(found)


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ("fexec.config['lithops']['backend'] = 'aws_lambda'", "backend 'aws_lambda' cannot go along with a run whose backend is"),
        ("fexec.config['lithops']['storage'] = 'aws_s3'", "with storage 'aws_s3' cannot go along"),
        ("fexec.internal_storage.bucket = 'other'", "with bucket 'other' cannot go along with a run in bucket 'storage'"),
        ("fexec.config['localhost']['api_key'] = 'planted-secret'", "'localhost: api_key' is not that of the run"),
        ("fexec.config['localhost']['endpoint'] = 'http://me:planted-secret@host'", "'localhost: endpoint' is not"),
    ],
    ids=['backend', 'storage', 'bucket', 'credential', 'password in an address'],
)
def test_an_executor_that_is_not_of_the_run_is_refused_with_what_to_do(tmp_path, change, said):
    text = f"""
import lithops
from travelling import CONFIG
fexec = lithops.FunctionExecutor(config=CONFIG)
{change}
def main():
    return fexec
"""
    with pytest.raises(InvalidRunError, match=said) as refused:
        pack(tmp_path, {'script.py': text})
    assert "global 'fexec'" in str(refused.value) and 'planted-secret' not in str(refused.value)


def test_a_single_script_is_packed_in_milliseconds(tmp_path):
    text = """
import time
from travelling import CONFIG
from triggerflow_lithops.orchestrator.packing.program import packed
from lithops.worker.utils import get_runtime_metadata
def helper(x):
    return [x for _ in range(3)]
def main():
    metadata = get_runtime_metadata()
    times = []
    for _ in range(5):
        began = time.perf_counter()
        packed(CONFIG, helper, 1, metadata)
        times.append(time.perf_counter() - began)
    return min(times)
ARGS = ()
taken = main()
def main():
    return taken
"""
    assert travelled(tmp_path, text) < 0.02


def test_what_names_stand_for_in_the_script_travels(tmp_path):
    text = """
import abc, collections.abc, dataclasses, enum, functools, pickle, typing
UserId = typing.NewType('UserId', int)
P = typing.ParamSpec('P')
class Missing:
    def __repr__(self):
        return 'MISSING'
    def __reduce__(self):
        return 'MISSING'
MISSING = Missing()
class Access(enum.IntFlag):
    READ = enum.auto()
    WRITE = enum.auto()
    BOTH = READ | WRITE
class Planet(enum.Enum):
    EARTH = (1, 2)
    HOME = EARTH
    def __init__(self, mass, radius):
        self.mass = mass
    @property
    def heavy(self):
        return self.mass > 0
class Text(str, enum.Enum):
    A = 'a'
    @classmethod
    def _missing_(cls, value):
        return cls.A
@dataclasses.dataclass(slots=True, frozen=True, order=True)
class Slotted:
    x: int
    items: list = dataclasses.field(default_factory=list, compare=False)
    kind: typing.ClassVar[str] = 'slotted'
@dataclasses.dataclass(kw_only=True)
class Child:
    start: dataclasses.InitVar[int] = 1
    value: int = 0
    def __post_init__(self, start):
        self.value += start
class Shape(abc.ABC):
    @abc.abstractmethod
    def area(self): ...
class Square(Shape):
    @functools.cached_property
    def side(self):
        return 2
    def area(self):
        return self.side ** 2
    @classmethod
    def make(cls):
        return cls()
    double = functools.partialmethod(lambda self, n: n * 2, 4)
class Movie(typing.TypedDict):
    name: str
class Sized(typing.Protocol):
    def __len__(self): ...
class Descriptor:
    def __set_name__(self, owner, name):
        self.name = name
    def __get__(self, obj, owner=None):
        return self.name
class Described:
    field = Descriptor()
class Tree:
    def __init__(self):
        self.me = self
def main(missing=MISSING):
    assert missing is MISSING and pickle.loads(pickle.dumps(MISSING)) is MISSING and pickle.loads(pickle.dumps(UserId)) is UserId
    assert UserId(5) == 5 and Access.READ | Access.WRITE == 3 and Access(3) is Access.BOTH and list(Access) == [1, 2]
    assert Planet.HOME is Planet['HOME'] is Planet.EARTH and list(Planet.__members__) == ['EARTH', 'HOME']
    assert Planet.EARTH.heavy and pickle.loads(pickle.dumps(Planet.EARTH)) is Planet.EARTH and Text('x') is Text.A
    assert Slotted(1) < Slotted(2) and pickle.loads(pickle.dumps(Slotted(3))) == Slotted(3) and Slotted.kind == 'slotted'
    assert Child(start=4, value=1).value == 5 and Square.make().area() == 4 and Square().double() == 8
    assert isinstance(Square(), Shape) and Movie(name='m') == {'name': 'm'} and Described().field == 'field'
    assert dataclasses.fields(Slotted)[0].default is dataclasses.MISSING
    tree = Tree()
    assert tree.me.me is tree
    try:
        Shape()
    except TypeError:
        return 'all'
"""
    assert travelled(tmp_path, text) == 'all'


def test_what_a_module_has_made_stays_its_own_and_keeps_its_state(tmp_path):
    files = {
        'script.py': """
import helpers
from helpers import REGISTRY, names, register, settings, shared
from os import environ
from random import random
import os, random as random_module
settings.debug = 'set by the script'
names.append('script')
register(max)
def main():
    settings.level = 3
    REGISTRY['new'] = 1
    names.append('main')
    shared.add('x')
    random_module.seed(1)
    first = random()
    random_module.seed(1)
    return helpers.told(), environ is os.environ, first == random_module.random(), settings is helpers.settings
""",
        'helpers.py': """
class Settings:
    def __init__(self):
        self.debug, self.level = '', 0
settings = Settings()
REGISTRY = {}
names = ['helpers']
shared = set()
def register(function):
    REGISTRY[function.__name__] = function
def told():
    return settings.debug, settings.level, sorted(REGISTRY), names, shared
""",
    }
    told, *same = travelled(tmp_path, files)
    assert told == ('set by the script', 3, ['max', 'new'], ['helpers', 'script', 'main'], {'x'})
    assert same == [True, True, True]


def test_names_that_only_annotations_have_travel(tmp_path):
    files = {
        'script.py': """
from __future__ import annotations
import dataclasses, typing
import shapes
class Inner:
    deeper: Deeper
class Deeper:
    pass
@dataclasses.dataclass
class Outer:
    inner: list[Inner]
    shape: shapes.Shape
def helper(inner: Inner) -> Outer: ...
def main():
    found = [hint for asked in (Outer, helper, Inner) for hint in typing.get_type_hints(asked).values()]
    return [hint.__name__ for hint in found]
""",
        'shapes.py': 'class Shape:\n    pass\n',
    }
    assert travelled(tmp_path, files) == ['list', 'Shape', 'Inner', 'Outer', 'Deeper']


def test_a_plugin_that_is_imported_by_a_name_that_is_put_together_travels(tmp_path):
    files = {
        'script.py': 'import importlib\ndef main(name="one"):\n    return importlib.import_module(f"plugins.{name}").x\n',
        'plugins/__init__.py': '',
        'plugins/one.py': 'x = 1\n',
    }
    assert travelled(tmp_path, files) == 1


def test_what_a_script_has_set_for_python_holds(tmp_path):
    text = """
import decimal, sys
decimal.getcontext().prec = 50
sys.setrecursionlimit(5000)
def deep(n):
    return n and 1 + deep(n - 1)
def main():
    return len(str(decimal.Decimal(1) / 3)), deep(3000)
"""
    assert travelled(tmp_path, text) == (52, 3000)


def test_a_future_that_has_not_ended_is_refused(tmp_path):
    text = """
from types import SimpleNamespace
from lithops.future import ResponseFuture
from travelling import CONFIG
storage = {'backend': 'localhost', 'localhost': {'storage_bucket': 'storage', 'secret': 'planted-secret'}}
names = ('job_id', 'job_key', 'executor_id', 'function_name', 'execution_timeout', 'runtime_name', 'runtime_memory')
job = SimpleNamespace(**dict.fromkeys(names, 'x'))
future, ended = ResponseFuture('00000', job, {}, storage), ResponseFuture('00001', job, {}, storage)
ended._set_state(ResponseFuture.State.Done)
"""
    with pytest.raises(InvalidRunError, match=r"global 'future' .* has not ended.*Wait for it here"):
        pack(tmp_path, {'script.py': f'{text}\ndef main():\n    return future\n'})
    code = pack(tmp_path, {'script.py': f'{text}\ndef main():\n    return ended\n'})
    assert b'planted-secret' not in everything_in(code)


def test_a_module_that_is_registered_by_value_shares_its_variables(tmp_path):
    files = {
        'script.py': """
import cloudpickle, helpers
cloudpickle.register_pickle_by_value(helpers)
from helpers import up
def main():
    helpers.up()
    return up(), helpers.var.get()
""",
        'helpers.py': """
from contextvars import ContextVar
var = ContextVar('var', default=4)
count = 0
def up():
    global count
    count += 1
    return count
""",
    }
    assert travelled(tmp_path, files) == (2, 4)
