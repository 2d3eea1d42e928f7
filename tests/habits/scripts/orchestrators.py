"""Whatever can be called is an orchestrator: coroutines, methods, partials, objects; and all ways in which one ends."""

import asyncio
import contextlib
import dataclasses
import enum
import functools
import sys

import drive
import lithops
from trouble import NotFound, ServiceError


def same(value):
    return value


def asked(value):
    """What a call came to."""
    return lithops.FunctionExecutor().call_async(same, value).result()


async def later(value):
    await asyncio.sleep(0)
    return value + 1


async def coroutine():
    there = asked(1)
    found = await asyncio.gather(later(there), later(5))
    async with asyncio.timeout(5) if sys.version_info >= (3, 11) else contextlib.nullcontext():
        await asyncio.sleep(0.001)
    return found


class Workflow:
    rate = 2

    def __init__(self, factor):
        self.factor = factor
        self.log = []

    def run(self):
        self.log.append('before')
        self.log.append(asked(self.factor))
        return self.log, self.factor * self.rate

    @classmethod
    def of_the_class(cls):
        return asked(cls.rate)

    @staticmethod
    def static():
        return asked('static')

    def __call__(self):
        return asked(self.factor + 1)


def scaled(factor, value, *, shift=0):
    return asked(factor * value) + shift


def timed(function):
    @functools.wraps(function)
    def wrapper(*args):
        return 'timed', function(*args)

    return wrapper


def bare(function):
    def wrapper():
        return 'bare', function()

    return wrapper


@timed
def decorated(n):
    return asked(n)


@bare
def decorated_barely():
    return asked('b')


def made(word):
    def inner():
        return asked(word) + word

    return inner


def of_two(left, right):
    return asked(left) - right


@dataclasses.dataclass
class Report:
    lines: list
    done: bool = True


class State(enum.Enum):
    READY = 'ready'


def returns_types_of_the_script():
    report = Report([asked('line')])
    return report, State.READY, {State.READY: [report]}


def returns_a_function():
    there = asked(3)
    return (lambda x: x + there)(4), functools.partial(pow, there)


def returns_nothing():
    asked(0)


def exits_with_a_status():
    asked(1)
    sys.exit(3)


def exits_with_a_text():
    asked(1)
    sys.exit('not today')


def exits_well():
    asked(1)
    sys.exit()


class Refused(Exception):
    def __init__(self, reason, code):
        super().__init__(reason, code)
        self.reason, self.code = reason, code

    def __str__(self):
        return f'refused: {self.reason}'


def raises_its_own():
    raise Refused(asked('no'), 7)


def raises_of_a_module():
    raise NotFound(asked('key'), 'the store')


def raises_what_a_call_raised():
    asked(1)
    lithops.FunctionExecutor().call_async(fail, 'in the call').result()


def fail(text):
    raise ServiceError(text, retry_after=1)


def raises_with_a_cause_and_a_note():
    try:
        {}[asked('missing')]
    except KeyError as error:
        wrong = RuntimeError('no such thing')
        if sys.version_info >= (3, 11):
            wrong.add_note('look again')
        raise wrong from error


def raises_a_group():
    if sys.version_info >= (3, 11):
        raise ExceptionGroup(asked('group'), [ValueError(1), KeyError('k')])  # noqa: F821
    raise ValueError(asked('group'))


def raises_of_unicode():
    asked(1)
    b'\xff'.decode()


def raises_of_syntax():
    compile(asked('a b'), 'config.py', 'exec')


def raises_of_a_name():
    asked(1)
    return undefined  # noqa: F821


def raises_of_the_keyboard():
    asked(1)
    raise KeyboardInterrupt


ORCHESTRATORS = {
    'coroutine': coroutine,
    'bound_method': Workflow(4).run,
    'class_method': Workflow.of_the_class,
    'static_method': Workflow.static,
    'object_that_is_called': Workflow(1),
    'partial': functools.partial(scaled, 3, 2, shift=1),
    'lambda_': lambda: asked('lambda'),
    'decorated': (decorated, (5,)),
    'decorated_barely': decorated_barely,
    'closure': made('word'),
    'of_two_arguments': (of_two, (5, 3)),
    'returns_types_of_the_script': returns_types_of_the_script,
    'returns_a_function': returns_a_function,
    'returns_nothing': returns_nothing,
    'exits_with_a_status': exits_with_a_status,
    'exits_with_a_text': exits_with_a_text,
    'exits_well': exits_well,
    'raises_its_own': raises_its_own,
    'raises_of_a_module': raises_of_a_module,
    'raises_what_a_call_raised': raises_what_a_call_raised,
    'raises_with_a_cause_and_a_note': raises_with_a_cause_and_a_note,
    'raises_a_group': raises_a_group,
    'raises_of_unicode': raises_of_unicode,
    'raises_of_syntax': raises_of_syntax,
    'raises_of_a_name': raises_of_a_name,
    'raises_of_the_keyboard': raises_of_the_keyboard,
}

if __name__ == '__main__':
    drive.drive_each(ORCHESTRATORS)
