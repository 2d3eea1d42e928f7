"""Exceptions: of calls and of the script, caught, chained, noted, grouped; and what is done whether they come or not."""

import contextlib
import errno
import json
import sys
import traceback
import warnings

import drive
import lithops
from together import together
from trouble import NotFound, ServiceError


def same(value):
    return value


class Invalid(ValueError):
    """An exception of the script's own, with a field."""

    def __init__(self, field, value):
        super().__init__(field, value)
        self.field, self.value = field, value

    def __str__(self):
        return f'{self.field} must not be {self.value!r}'


def reject(field, value):
    raise Invalid(field, value)


def divide(a, b):
    return a / b


def look_up(key):
    return {'a': 1}[key]


def the_exception_of_a_call():
    try:
        yield divide, 1, 0
    except ZeroDivisionError as error:
        return type(error).__name__, str(error), error.args


def lookup_errors():
    try:
        yield look_up, 'b'
    except LookupError as error:
        first = repr(error)
    try:
        yield [].pop,
    except IndexError as error:
        return first, str(error)


def a_service_that_fails(code):
    raise ServiceError(code, retry_after=3)


def exceptions_with_arguments_of_their_own():
    try:
        yield a_service_that_fails, 503
    except ServiceError as error:
        return str(error), error.code, error.retry_after


def not_there(key):
    raise NotFound(key, 'the bucket')


def exceptions_with_a_text_of_their_own():
    try:
        yield not_there, 'x.csv'
    except LookupError as error:
        return type(error) is NotFound, str(error), error.key, error.place


def exceptions_of_the_script():
    try:
        yield same, 0
        reject('age', -1)
    except Invalid as error:
        return str(error), error.field, error.value, isinstance(error, ValueError)


def chained_exceptions():
    text = yield same, 'x'
    try:
        try:
            int(text)
        except ValueError as error:
            raise RuntimeError('no number') from error
    except RuntimeError as error:
        return str(error), repr(error.__cause__), error.__suppress_context__


def exceptions_in_the_handling_of_another():
    try:
        yield divide, 1, 0
    except ZeroDivisionError:
        try:
            look_up('c')
        except KeyError as error:
            return repr(error), repr(error.__context__)


def annotated(text):
    error = ValueError(text)
    if sys.version_info >= (3, 11):
        error.add_note('while reading line 3')
    raise error


def notes():
    try:
        yield same, 1
        annotated('bad')
    except ValueError as error:
        return str(error), getattr(error, '__notes__', ['while reading line 3'])


def groups_of_exceptions():
    message = yield same, 'several'
    if sys.version_info < (3, 11):
        return None
    group = ExceptionGroup(message, [ValueError('a'), ExceptionGroup('inner', [KeyError('b'), ValueError('c')])])  # noqa: F821
    found, rest = group.split(ValueError)
    return repr(found), repr(rest)


def raise_one_of(*kinds):
    raise {'os': FileNotFoundError(errno.ENOENT, 'No such file', 'data.csv'), 'stop': StopIteration(7)}[kinds[0]]


def errors_of_the_operating_system():
    try:
        yield raise_one_of, 'os'
    except OSError as error:
        return type(error).__name__, error.errno, error.filename, str(error)


def errors_of_texts_that_cannot_be_read():
    try:
        yield json.loads, '{"a": '
    except json.JSONDecodeError as error:
        first = type(error).__name__, isinstance(error, ValueError), error.args
    try:
        yield same, 2
        b'\xff'.decode()
    except UnicodeDecodeError as error:
        return first, error.reason, error.start, str(error)


def the_end_of_what_was_begun():
    steps = []
    try:
        steps.append('try')
        steps.append((yield same, 'called'))
    except Exception:
        steps.append('except')
    else:
        steps.append('else')
    finally:
        steps.append('finally')
    return steps


def the_end_of_what_failed():
    steps = []
    try:
        try:
            yield divide, 1, 0
        finally:
            steps.append((yield same, 'called in finally'))
    except ZeroDivisionError:
        steps.append('except')
    return steps


@contextlib.contextmanager
def noted(steps, name):
    steps.append(f'enter {name}')
    try:
        yield name.upper()
    except KeyError as error:
        steps.append(f'swallowed {error}')
    finally:
        steps.append(f'exit {name}')


def context_managers_around_a_wait():
    steps = []
    with noted(steps, 'outer') as outer, noted(steps, 'inner'):
        steps.append((yield same, outer))
        yield look_up, 'z'
    return steps


def stacks_of_context_managers():
    steps = []
    with contextlib.ExitStack() as stack:
        for name in 'abc':
            stack.enter_context(noted(steps, name))
        stack.callback(steps.append, 'callback')
        yield same, 1
        kept = stack.pop_all()
    steps.append('out')
    kept.close()
    return steps


def suppressed_exceptions():
    with contextlib.suppress(ZeroDivisionError):
        yield divide, 1, 0
        return 'not reached'
    return 'went on'


def flaky(attempt):
    if attempt < 3:
        raise ConnectionError(f'attempt {attempt}')
    return attempt


def attempts_until_one_succeeds():
    seen = []
    for attempt in range(1, 5):
        try:
            seen.append((yield flaky, attempt))
            break
        except ConnectionError as error:
            seen.append(str(error))
    else:
        seen.append('gave up')
    return seen


def raised_again():
    try:
        try:
            yield look_up, 'q'
        except KeyError as error:
            error.where = 'first'
            raise
    except KeyError as error:
        return error.where, str(error)


def assertions():
    try:
        assert (yield same, 0), 'nothing came'
    except AssertionError as error:
        return str(error)


def tracebacks():
    try:
        yield divide, 1, 0
    except ZeroDivisionError as error:
        frames = traceback.extract_tb(error.__traceback__)
        return 'divide' in {frame.name for frame in frames}, traceback.format_exception_only(type(error), error)


def loop_control():
    seen = []
    for number in range(4):
        try:
            if number == 1:
                continue
            if number == 3:
                break
            seen.append((yield same, number))
        finally:
            seen.append('f')
    return seen


def old(value):
    warnings.warn('old() goes', DeprecationWarning, stacklevel=2)
    return value


def warnings_that_are_errors():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        try:
            old(1)
        except DeprecationWarning as error:
            found = str(error)
    return found, (yield same, 1)


def the_loop_that_never_ends():
    yield same, 1
    try:
        recurse = lambda n: recurse(n + 1)  # noqa: E731
        recurse(0)
    except RecursionError as error:
        return type(error).__name__


def names_that_are_not_there():
    value = yield same, 'text'
    seen = []
    for wrong in (lambda: value.uper(), lambda: undefined, lambda: value + 1, lambda: next(iter(()))):  # noqa: F821
        try:
            wrong()
        except (AttributeError, NameError, TypeError) as error:
            seen.append((str(error), getattr(error, 'name', None)))
        except StopIteration as error:
            seen.append(repr(error))
    return seen


HABITS = [
    the_exception_of_a_call,
    lookup_errors,
    exceptions_with_arguments_of_their_own,
    exceptions_with_a_text_of_their_own,
    exceptions_of_the_script,
    chained_exceptions,
    exceptions_in_the_handling_of_another,
    notes,
    groups_of_exceptions,
    errors_of_the_operating_system,
    errors_of_texts_that_cannot_be_read,
    the_end_of_what_was_begun,
    the_end_of_what_failed,
    context_managers_around_a_wait,
    stacks_of_context_managers,
    suppressed_exceptions,
    attempts_until_one_succeeds,
    raised_again,
    assertions,
    tracebacks,
    loop_control,
    warnings_that_are_errors,
    the_loop_that_never_ends,
    names_that_are_not_there,
]


def main():
    return together(lithops.FunctionExecutor(), HABITS)


if __name__ == '__main__':
    drive.drive(main)
