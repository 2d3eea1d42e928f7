"""What a script has around it: arguments, environment, modules and packages beside it, its own source, ``__main__``."""

import argparse
import builtins
import getpass
import gettext
import importlib
import importlib.util
import inspect
import locale
import os
import pickle
import pkgutil
import platform
import shutil
import sys
import sysconfig
import types
from pathlib import Path

import drive
import lithops
import spaced.deep.leaf
import station
from station import celsius
from station.readings import latest
from station.units import FACTOR as factor
from together import together

HERE = Path(__file__).parent
# A driver sets what it needs, before it begins
os.environ['HABIT_OF_THE_DRIVER'] = 'set at the top'
rounds = []


class Thing:
    def __init__(self, x):
        self.x = x


def same(value):
    return value


def the_arguments_of_the_script():
    parser = argparse.ArgumentParser(prog='habits')
    parser.add_argument('--count', type=int, default=1)
    arguments = parser.parse_args()
    there = yield same, arguments.count
    return there, os.path.basename(sys.argv[0]), sys.argv[1:], vars(arguments)


def arguments_that_are_wrong():
    parser = argparse.ArgumentParser(prog='habits', exit_on_error=False)
    parser.add_argument('n', type=int)
    yield same, 1
    try:
        parser.parse_args(['x'])
    except argparse.ArgumentError as error:
        return str(error)


def environment_of(name):
    return os.environ.get(name)


def the_environment():
    here = os.environ['HABIT_OF_THE_SHELL'], os.getenv('HABIT_OF_THE_DRIVER'), os.getenv('NOT_THERE', 'default')
    there = yield environment_of, 'HABIT_OF_THE_SHELL'
    return here, there, os.path.expandvars('$HABIT_OF_THE_SHELL/x'), 'HABIT_OF_THE_DRIVER' in os.environ


def variables_that_are_set():
    os.environ['HABIT_OF_MAIN'] = '1'
    yield same, 1
    found = os.environ.pop('HABIT_OF_MAIN')
    return found, os.environ.get('HABIT_OF_MAIN')


def a_package_beside_the_script():
    there = yield station.latest, 'harbour'
    return there, celsius(41), latest('hill'), station.units.celsius(50), factor == 5 / 9


def a_package_in_a_lambda():
    there = yield (lambda names: [station.latest(name) for name in names]), ['hill', 'harbour']
    return there, [*map(lambda f: station.celsius(f), [50])]


def a_package_without_init():
    # A call would not find it, in Lithops
    there = yield same, spaced.deep.leaf.veins(4)
    return there, spaced.deep.leaf.veins(there)


def data_of_a_package():
    yield same, 1
    return station.names(), pkgutil.get_data('station', 'stations.txt')


def data_beside_the_script():
    text = (HERE / 'station' / 'stations.txt').read_text()
    there = yield len, text
    return there, Path(__file__).name, os.path.basename(inspect.getfile(Thing))


def a_module_by_its_name():
    handlers = {name: importlib.import_module(f'plugin_{name}') for name in 'a'}
    there = yield same, 'x'
    return handlers['a'].handle(there), __import__('plugin_a') is handlers['a'], importlib.util.find_spec('plugin_b')


def a_module_inside_of_a_function():
    import late

    there = yield late.limited, 7
    from late import LIMIT

    return there, LIMIT, late.__name__, 'late' in sys.modules


def limited_there(value):
    import late

    return late.limited(value)


def a_module_that_a_call_imports():
    return (yield limited_there, 9)


def the_main_module():
    import __main__

    there = yield same, __name__
    main = sys.modules['__main__']
    return there, main is __main__, main.Thing is Thing, Thing.__module__, hasattr(main, 'HABITS'), main.__doc__ == __doc__


def pickled_by_the_name_of_main():
    data = pickle.dumps([Thing(3), same])
    yield len, data
    thing, function = pickle.loads(data)
    return type(thing) is Thing, thing.x, function is same, b'__main__' in data


def globals_of_the_module():
    rounds.append(1)
    globals()['made_at_run_time'] = 5
    yield same, rounds
    rounds.append(2)
    return rounds, globals()['made_at_run_time'], 'Thing' in globals()


def sources_of_the_script():
    text = inspect.getsource(Thing)
    yield same, len(text)
    return text.splitlines()[0], inspect.getsource(limited_there).count('late'), inspect.getmodule(same).__name__


def frames():
    names = [frame.function for frame in inspect.stack()][:1]
    yield same, names
    return names, sys._getframe().f_code.co_name, inspect.currentframe().f_globals['__name__']


def the_interpreter():
    here = sys.version_info[:2], sys.executable == shutil.which(sys.executable), sys.byteorder, platform.system()
    there = yield same, here
    return there == here, sys.getrecursionlimit() >= 1000, sys.flags.optimize, getpass.getuser() != '', sys.gettrace()


def paths_of_modules():
    yield same, 1
    found = [str(HERE) in sys.path, Path(station.__file__).parent.name, Path(sysconfig.get_path('stdlib')).is_dir()]
    return *found, locale.localeconv()['decimal_point'], gettext.gettext('text'), builtins.len is len


def a_module_made_by_hand():
    made = types.ModuleType('made')
    exec('def double(x):\n    return 2 * x', made.__dict__)
    sys.modules['made'] = made
    there = yield same, 4
    import made as again

    return again.double(there), again is made


HABITS = [
    the_arguments_of_the_script,
    arguments_that_are_wrong,
    the_environment,
    variables_that_are_set,
    a_package_beside_the_script,
    a_package_in_a_lambda,
    a_package_without_init,
    data_of_a_package,
    data_beside_the_script,
    a_module_by_its_name,
    a_module_inside_of_a_function,
    a_module_that_a_call_imports,
    the_main_module,
    pickled_by_the_name_of_main,
    globals_of_the_module,
    sources_of_the_script,
    frames,
    the_interpreter,
    paths_of_modules,
    a_module_made_by_hand,
]


def main():
    return together(lithops.FunctionExecutor(), HABITS)


if __name__ == '__main__':
    drive.drive(main)
