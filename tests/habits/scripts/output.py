"""
All ways to print and to log, before and after a wait. Each line begins with the name of its habit.

What each habit wrote is compared line by line: once, and only once, and in its order.
"""

import contextlib
import io
import logging
import logging.config
import logging.handlers
import os
import pprint
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings
from pathlib import Path

import drive
import lithops
import tqdm
from together import one_by_one, together

OUT = sys.stdout


def same(value):
    return value


def printing():
    print('printing| before')
    print('printing|', 'a', 1, sep='-', end='.\n')
    yield same, 1
    print('printing| between', flush=True)
    yield same, 2
    print('printing| after\nprinting| twice')


def printing_to_standard_error():
    print('printing_to_standard_error| before', file=sys.stderr)
    yield same, 1
    print('printing_to_standard_error| after', file=sys.stderr, flush=True)


def writing():
    sys.stdout.write('writing| before\n')
    sys.stdout.writelines(['writing| lines\n', 'writing| of it\n'])
    sys.stdout.flush()
    yield same, 1
    sys.stdout.write('writing| after\n')


def bytes_to_the_buffer():
    sys.stdout.flush()
    sys.stdout.buffer.write(b'bytes_to_the_buffer| before\n')
    sys.stdout.buffer.flush()
    yield same, 1
    sys.stdout.flush()
    sys.stdout.buffer.write(b'bytes_to_the_buffer| after\n')
    sys.stdout.buffer.flush()


def writing_to_the_descriptor():
    sys.stdout.flush()
    os.write(1, b'writing_to_the_descriptor| before\n')
    yield same, 1
    sys.stdout.flush()
    os.write(1, b'writing_to_the_descriptor| after\n')
    os.write(2, b'writing_to_the_descriptor| error\n')


def a_stream_kept_before_a_wait():
    out = sys.stdout
    out.write('a_stream_kept_before_a_wait| before\n')
    yield same, 1
    out.write('a_stream_kept_before_a_wait| after\n')
    print('a_stream_kept_before_a_wait| printed', file=out, flush=True)


def a_stream_kept_at_the_top():
    yield same, 1
    sys.stdout.flush()
    print('a_stream_kept_at_the_top| after', file=OUT, flush=True)


def a_handler_made_before_a_wait():
    log = logging.getLogger('habits.handler')
    log.setLevel(logging.INFO)
    log.propagate = False
    log.handlers[:] = [logging.StreamHandler(sys.stdout)]
    log.handlers[0].setFormatter(logging.Formatter('a_handler_made_before_a_wait| %(levelname)s %(message)s'))
    log.info('before %d', 1)
    yield same, 1
    log.info('between')
    log.debug('not shown')
    yield same, 2
    log.warning('after')


def a_handler_of_standard_error():
    log = logging.getLogger('habits.error')
    log.propagate = False
    log.handlers[:] = [logging.StreamHandler()]
    log.error('a_handler_of_standard_error| before')
    yield same, 1
    log.error('a_handler_of_standard_error| after')


def exceptions_in_the_log():
    log = logging.getLogger('habits.exceptions')
    log.propagate = False
    log.handlers[:] = [logging.StreamHandler(sys.stdout)]
    try:
        yield divide, 1, 0
    except ZeroDivisionError:
        log.exception('exceptions_in_the_log| it failed')
        lines = traceback.format_exc().splitlines()
    print('exceptions_in_the_log|', lines[-1])


def divide(a, b):
    return a / b


def a_log_in_a_file():
    # Opened anew by each activation: what was there before is replaced by the same
    log = logging.getLogger('habits.file')
    log.propagate, log.level = False, logging.INFO
    log.handlers[:] = [logging.FileHandler('run.log', mode='w')]
    log.info('before')
    yield same, 1
    log.info('after')
    log.handlers[0].close()
    print('a_log_in_a_file|', Path('run.log').read_text().split()[-1])


def children_and_filters():
    parent, child = logging.getLogger('habits.parent'), logging.getLogger('habits.parent.child')
    parent.propagate = False
    parent.handlers[:] = [logging.StreamHandler(sys.stdout)]
    parent.setLevel('DEBUG')
    parent.handlers[0].addFilter(lambda record: 'secret' not in record.getMessage())
    child.info('children_and_filters| before')
    yield same, 1
    child.info('children_and_filters| secret')
    child.info('children_and_filters| after')
    logging.LoggerAdapter(child, {'x': 1}).info('children_and_filters| adapted')


def records_that_are_kept():
    memory = logging.handlers.MemoryHandler(100)
    log = logging.getLogger('habits.memory')
    log.propagate, log.level, log.handlers[:] = False, logging.INFO, [memory]
    log.info('records_that_are_kept| before')
    yield same, 1
    log.info('records_that_are_kept| after')
    memory.setTarget(logging.StreamHandler(sys.stdout))
    memory.flush()


def a_program_that_prints():
    sys.stdout.flush()
    subprocess.run(['echo', 'a_program_that_prints| before'])
    yield same, 1
    sys.stdout.flush()
    subprocess.run(['sh', '-c', 'echo "a_program_that_prints| after"; echo "a_program_that_prints| error" >&2'])
    os.system('echo "a_program_that_prints| system"')


def a_thread_that_prints():
    def say(when):
        thread = threading.Thread(target=print, args=(f'a_thread_that_prints| {when}',))
        thread.start()
        thread.join()

    say('before')
    yield same, 1
    say('after')


def pretty_printing():
    pprint.pprint({'pretty_printing| ': 'before'})
    pprint.pp(['pretty_printing| '] + [(yield same, 'after')])


def odd_characters():
    print('odd_characters| Grüße 世界 \N{SNOWMAN} \033[31mred\033[0m')
    yield same, 1
    print('odd_characters| \ttab ☃')


def results_as_they_come():
    for number in range(3):
        print(f'results_as_they_come| {number}: {(yield same, number * 2)}')


def bars_of_progress():
    bar = tqdm.tqdm(total=3, file=sys.stdout, mininterval=0, bar_format='bars_of_progress| {n_fmt}/{total_fmt}\n')
    for number in range(3):
        yield same, number
        bar.update()
    bar.close()
    tqdm.tqdm.write('bars_of_progress| written')


def warnings_on_standard_error():
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        warnings.showwarning = lambda message, *_: print(f'warnings_on_standard_error| {message}', file=sys.stderr)
        warnings.warn('before', stacklevel=1)
    yield same, 1
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        warnings.showwarning = lambda message, *_: print(f'warnings_on_standard_error| {message}', file=sys.stderr)
        warnings.warn('after', stacklevel=1)


def output_that_is_caught(fexec):
    caught = io.StringIO()
    with contextlib.redirect_stdout(caught):
        print('before')
        fexec.call_async(same, 1).result()
        print('after')
    print('output_that_is_caught| outside', repr(caught.getvalue()))
    return caught.getvalue()


def errors_that_are_caught(fexec):
    caught = io.StringIO()
    with contextlib.redirect_stderr(caught):
        sys.stderr.write('before\n')
        fexec.call_async(same, 1).result()
        print('after', file=sys.stderr)
    print('errors_that_are_caught| outside')
    return [line for line in caught.getvalue().splitlines() if line in ('before', 'after')]


def output_that_goes_to_a_file(fexec):
    with open('printed.txt', 'w') as file, contextlib.redirect_stdout(file):
        print('before')
        fexec.call_async(same, 1).result()
        print('after')
    return Path('printed.txt').read_text()


def output_without_an_end_of_line(fexec):
    print('output_without_an_end_of_line| one, ', end='')
    print(fexec.call_async(same, 'two').result(), end='')
    print(', three')


def a_stream_of_ones_own(fexec):
    class Loud:
        def __init__(self, stream):
            self.stream = stream

        def write(self, text):
            return self.stream.write(text.upper())

        def __getattr__(self, name):
            return getattr(self.stream, name)

    sys.stdout = Loud(sys.stdout)
    try:
        print('a_stream_of_ones_own| before')
        fexec.call_async(same, 1).result()
        print('a_stream_of_ones_own| after')
    finally:
        sys.stdout = sys.stdout.stream
    print('a_stream_of_ones_own| quiet')


def a_tee(fexec):
    with tempfile.TemporaryFile('w+') as file:
        saved = os.dup(1)
        sys.stdout.flush()
        os.dup2(file.fileno(), 1)
        try:
            os.write(1, b'caught below\n')
            subprocess.run(['echo', 'and a program'])
        finally:
            os.dup2(saved, 1)
            os.close(saved)
        file.seek(0)
        text = file.read()
    print('a_tee|', fexec.call_async(same, text.split()).result(), flush=True)


def the_root_log(fexec):
    root, level = logging.getLogger(), logging.getLogger().level
    before = root.handlers[:]
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format='the_root_log| %(message)s', force=True)
    try:
        logging.warning('before')
        fexec.call_async(same, 1).result()
        logging.warning('after')
    finally:
        root.handlers[:] = before
        root.setLevel(level)


def a_configuration_of_logs(fexec):
    # Closes the handlers that there are
    logging.config.dictConfig(
        {
            'version': 1,
            'disable_existing_loggers': False,
            'formatters': {'f': {'format': 'a_configuration_of_logs| %(name)s %(message)s'}},
            'handlers': {'out': {'class': 'logging.StreamHandler', 'stream': 'ext://sys.stdout', 'formatter': 'f'}},
            'loggers': {'habits.configured': {'handlers': ['out'], 'level': 'INFO', 'propagate': False}},
        }
    )
    logging.getLogger('habits.configured').info('before')
    fexec.call_async(same, 1).result()
    logging.getLogger('habits.configured').info('after')


def logging_that_is_disabled(fexec):
    log = logging.getLogger('habits.disabled')
    log.propagate, log.handlers[:] = False, [logging.StreamHandler(sys.stdout)]
    log.error('logging_that_is_disabled| before')
    logging.disable(logging.ERROR)
    fexec.call_async(same, 1).result()
    log.error('logging_that_is_disabled| hidden')
    found = logging.root.manager.disable
    logging.disable(logging.NOTSET)
    log.error('logging_that_is_disabled| after')
    return found, log.isEnabledFor(logging.ERROR)


def warnings_in_the_log(fexec):
    log = logging.getLogger('py.warnings')
    log.propagate, log.handlers[:] = False, [logging.StreamHandler(sys.stdout)]
    log.handlers[0].setFormatter(logging.Formatter('warnings_in_the_log| %(name)s'))
    logging.captureWarnings(True)
    with warnings.catch_warnings():
        warnings.simplefilter('always')
        warnings.warn('before', UserWarning, stacklevel=1)
        fexec.call_async(same, 1).result()
        warnings.warn('after', UserWarning, stacklevel=1)
    logging.captureWarnings(False)


SHARED = [
    printing,
    printing_to_standard_error,
    writing,
    bytes_to_the_buffer,
    writing_to_the_descriptor,
    a_stream_kept_before_a_wait,
    a_stream_kept_at_the_top,
    a_handler_made_before_a_wait,
    a_handler_of_standard_error,
    exceptions_in_the_log,
    a_log_in_a_file,
    children_and_filters,
    records_that_are_kept,
    a_program_that_prints,
    a_thread_that_prints,
    pretty_printing,
    odd_characters,
    results_as_they_come,
    bars_of_progress,
    warnings_on_standard_error,
]
#: Each of these waits itself, because what it changes holds for the whole process
ALONE = [
    output_that_is_caught,
    errors_that_are_caught,
    output_that_goes_to_a_file,
    output_without_an_end_of_line,
    a_stream_of_ones_own,
    a_tee,
    the_root_log,
    a_configuration_of_logs,
    logging_that_is_disabled,
    warnings_in_the_log,
]
HABITS = [*SHARED, *ALONE]


def main():
    fexec = lithops.FunctionExecutor()
    shared = [habit for habit in SHARED if habit in HABITS]
    alone = [habit for habit in ALONE if habit in HABITS]
    outcomes = {**together(fexec, shared), **one_by_one(fexec, alone)}
    print(drive.LAST_LINE, flush=True)
    return outcomes


if __name__ == '__main__':
    drive.drive(main, prints=True)
