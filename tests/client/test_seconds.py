"""Whatever takes a time in seconds takes 0 to 100 years, and refuses anything else at once."""

import datetime
import json
from decimal import Decimal
from fractions import Fraction

import lithops
import lithops.concurrent.futures
import numpy as np
import pytest
from lithops.multiprocessing import Pool, Process

from triggerflow_lithops import PASS, ConfigurationError, Retry, Run, Triggerflow, TriggerflowExecutor, sleep
from triggerflow_lithops.core import condition, limits
from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.store import Facts
from triggerflow_lithops.deployment.config import create_config
from triggerflow_lithops.native.conditions import JOIN, TIMEOUT
from triggerflow_lithops.testing import simulate

#: No number of seconds: by what is found
NONE_AT_ALL = {
    'huge': 10**400,
    'of more digits than are written': 10**5000,
    'nan': float('nan'),
    'infinite': float('inf'),
    'minus infinite': float('-inf'),
    'longer than a hundred years': 3.2e9,
    'a text': '5',
    'bytes': b'5',
    'true': True,
    'numpy true': np.bool_(True),
    'numpy nan': np.float64('nan'),
    'numpy duration': np.timedelta64(5, 's'),
    'duration': datetime.timedelta(seconds=5),
    'decimal nan': Decimal('NaN'),
    'a list': [5],
    'a huge fraction': Fraction(10**400),
    'complex': 5j,
    'anything': object(),
}
#: … and what means that a time has passed, in Lithops and in the standard library only
PASSED = {'negative': -1, 'a little negative': -1e-9, 'negative and huge': -(10**400)}


@pytest.fixture(scope='module')
def tf():
    executor = TriggerflowExecutor(config=CONFIG, log_level=None)
    executor.facts = Facts(MemoryStore())
    return executor


CONFIG = {'lithops': {'backend': 'localhost', 'storage': 'localhost'}}


def configured(section, key, value):
    return create_config(None, {**CONFIG, section: {**CONFIG.get(section, {}), key: value}}, None, None, None, {})


def run_of(tf):
    return Run(tf.config, tf.facts, {'run_id': 'run-7', 'incarnation': '0a0a0a0a', 'name': 'main', 'time': 0.0})


#: Everything public that takes seconds, outside of an orchestrator: given an executor and a value
PLACES = {
    'sleep': lambda tf, value: sleep(value),
    'run.result': lambda tf, value: run_of(tf).result(value),
    'run.wait': lambda tf, value: run_of(tf).wait(timeout=value),
    'Triggerflow.wait': lambda tf, value: Triggerflow('seconds', executor=tf).wait(value),
    'TIMEOUT': lambda tf, value: TIMEOUT(value),
    'TIMEOUT before': lambda tf, value: TIMEOUT(value, JOIN(3)),
    'add_trigger': lambda tf, value: Triggerflow('seconds', executor=tf).add_trigger(
        't', condition={'name': 'NEVER', 'seconds': value}, action=PASS
    ),
    'a stored condition': lambda tf, value: condition.validated({'name': 'JOIN', 'count': 1, 'seconds': value}),
    'Retry.backoff': lambda tf, value: Retry(backoff=value),
    'Retry.max_backoff': lambda tf, value: Retry(max_backoff=value),
    'retry=': lambda tf, value: TriggerflowExecutor(config=CONFIG, log_level=None, retry={'backoff': value}),
    'run(retry=)': lambda tf, value: tf.run(lambda: 1, retry={'max_backoff': value}),
    'triggerflow: retry': lambda tf, value: configured('triggerflow', 'retry', {'backoff': value}),
    'idle_seconds': lambda tf, value: configured('triggerflow', 'idle_seconds', value),
    'sweep_seconds': lambda tf, value: configured('triggerflow', 'sweep_seconds', value),
    'execution_timeout': lambda tf, value: configured('lithops', 'execution_timeout', value),
    'runtime_timeout': lambda tf, value: configured('localhost', 'runtime_timeout', value),
    'TriggerflowExecutor(runtime_timeout=)': lambda tf, value: TriggerflowExecutor(
        config=CONFIG, log_level=None, runtime_timeout=value
    ),
}


@pytest.mark.parametrize('place', PLACES)
def test_no_number_of_seconds_is_refused_at_once(place, tf):
    for found, value in {**NONE_AT_ALL, **PASSED}.items():
        with pytest.raises((ValueError, TypeError), match=r'a number of seconds|longer than|0 or more') as raised:
            PLACES[place](tf, value)
        assert len(str(raised.value)) < 300, found


def test_what_is_refused_for_its_type_is_a_type_error_and_says_what_to_write_instead():
    with pytest.raises(TypeError, match=r"found '5', a str"):
        sleep('5')
    with pytest.raises(TypeError, match=r'a timedelta\. Write value\.total_seconds\(\)'):
        sleep(datetime.timedelta(seconds=5))


# Inside an orchestrator


def add3(x):
    return x + 3


#: Everything of Lithops that takes seconds and is durable
WAITS = {
    'lithops.wait': lambda value: lithops.wait(lithops.FunctionExecutor().call_async(add3, 1), timeout=value),
    'lithops.wait of nothing': lambda value: lithops.wait([], timeout=value),
    'lithops.get_result': lambda value: lithops.get_result(lithops.FunctionExecutor().call_async(add3, 1), timeout=value),
    'fexec.wait': lambda value: lithops.FunctionExecutor().wait(lithops.FunctionExecutor().call_async(add3, 1), timeout=value),
    'fexec.get_result': lambda value: lithops.FunctionExecutor().get_result(
        lithops.FunctionExecutor().call_async(add3, 1), timeout=value
    ),
    'futures.wait': lambda value: lithops.concurrent.futures.wait([pooled()], timeout=value),
    'futures.as_completed': lambda value: [*lithops.concurrent.futures.as_completed([pooled()], timeout=value)],
    'future.result': lambda value: pooled().result(timeout=value),
    'future.exception': lambda value: pooled().exception(timeout=value),
    'executor.map': lambda value: [*lithops.concurrent.futures.FunctionExecutor().map(add3, [1], timeout=value)],
    'AsyncResult.get': lambda value: Pool(1).apply_async(add3, (1,)).get(value),
    'AsyncResult.wait': lambda value: Pool(1).apply_async(add3, (1,)).wait(value),
    'Process.join': lambda value: joined(value),
}
#: … and how long a call may take
CALLS = {
    'call_async': lambda value: lithops.FunctionExecutor().call_async(add3, 1, timeout=value),
    'map': lambda value: lithops.FunctionExecutor().map(add3, [1], timeout=value),
    'FunctionExecutor(config)': lambda value: lithops.FunctionExecutor(
        config={'lithops': {**CONFIG['lithops'], 'execution_timeout': value}}
    ),
    'map_reduce': lambda value: lithops.FunctionExecutor().map_reduce(add3, [1], sum, timeout=value),
}


def pooled():
    return lithops.concurrent.futures.FunctionExecutor().submit(add3, 1)


def joined(value):
    process = Process(target=add3, args=(1,))
    process.start()
    process.join(value)


def taken(places, values):
    """In an orchestrator: what each of the places did not refuse, or not as it should."""
    found = []
    for place, wait in places.items():
        for what, value in values.items():
            try:
                wait(value)
            except (ValueError, TypeError) as error:
                if 'a number of seconds' not in str(error):
                    found.append(f'{place} of {what}: {error}')
            except TimeoutError:
                found.append(f'{place} of {what} waited')
            else:
                found.append(f'{place} took {what}')
    return found


@pytest.mark.parametrize('place', [*WAITS, *CALLS])
def test_no_number_of_seconds_is_refused_inside_an_orchestrator(place):
    assert simulate(lambda: taken({place: {**WAITS, **CALLS}[place]}, NONE_AT_ALL)).result() == []


def test_a_call_that_may_take_less_than_no_time_is_refused():
    assert simulate(lambda: taken(CALLS, PASSED)).result() == []


def test_a_time_that_has_passed_lets_look_once_as_in_lithops_and_in_the_standard_library():
    def orchestrator():
        future = lithops.FunctionExecutor().call_async(add3, 1)
        said = []
        for wait in (lambda: lithops.wait(future, timeout=-1), lambda: pooled().result(timeout=-0.5)):
            try:
                wait()
            except TimeoutError as error:
                said.append(type(error).__name__)
        return said, future.result()

    assert simulate(orchestrator).result() == (['TimeoutError', 'TimeoutError'], 4)


# What is taken


TAKEN = [0, 0.0, 5, 0.5, 3.1e9, np.float64(5), np.float32(5), np.int64(5), Fraction(1, 2), Decimal('0.5'), np.array(5.0)]


@pytest.mark.parametrize('value', TAKEN, ids=repr)
def test_whatever_turns_into_a_float_is_taken_and_can_be_stored(value):
    found = limits.seconds(value, 'timeout')
    assert found == float(value) and json.loads(json.dumps(found)) == found and type(found) in (int, float)


def test_retries_and_conditions_are_stored_as_plain_numbers():
    assert json.loads(json.dumps(Retry(backoff=np.float32(2), max_backoff=Fraction(7, 2)).policy()))['max_backoff'] == 3.5
    assert json.loads(json.dumps(TIMEOUT(np.int64(5), JOIN(2))))['seconds'] == 5


def test_a_number_of_numpy_is_slept_and_waited_for_in_an_orchestrator():
    def orchestrator():
        sleep(np.int64(5))
        future = lithops.FunctionExecutor().call_async(add3, 1)
        return lithops.wait(future, timeout=np.float32(500))[0][0].result(), Fraction(1, 2)

    assert simulate(orchestrator).result() == (4, Fraction(1, 2))


def test_an_idle_time_of_nothing_is_refused():
    with pytest.raises(ConfigurationError, match='is more than 0; found 0'):
        configured('triggerflow', 'idle_seconds', 0)
