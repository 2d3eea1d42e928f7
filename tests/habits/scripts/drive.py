"""
What stands under the main guard of each script: its functions run as plain drivers, or as orchestrators.

The environment says which (``DRIVEN_AS``), and where it is written down what they came to (``OUTCOMES``).
"""

import asyncio
import inspect
import json
import os
import time
from pathlib import Path

#: The last line that a script prints whose output is compared
LAST_LINE = 'the script ends'
#: So many runs of a script are under way at the same time
AT_ONCE = 6
#: Seconds for a run, and for the last line of its output to be written
PATIENCE, FLUSH = 400, 10


def drive(main, prints=False):
    """
    Runs ``main``, which returns what each habit of the script came to.

    :param prints: whether what it prints is compared, too; then ``LAST_LINE`` comes last
    """
    narrow(inspect.unwrap(main).__globals__.get('HABITS', []))
    if os.environ['DRIVEN_AS'] == 'plain':
        write_down(main())
        return
    from triggerflow_lithops import TriggerflowExecutor

    run = TriggerflowExecutor().run(main)
    outcomes = run.result(timeout=PATIENCE)
    write_down(outcomes, {'main': len(run.activations())}, output_of(run) if prints else None)


def drive_each(orchestrators):
    """Runs each as an orchestrator of its own: callables by name, or pairs of a callable and a tuple of its arguments."""
    orchestrators = {name: one if isinstance(one, tuple) else (one, ()) for name, one in orchestrators.items()}
    names = list(orchestrators)
    narrow(names, str)
    outcomes, activations = {}, {}
    if os.environ['DRIVEN_AS'] == 'plain':
        for name in names:
            outcomes[name] = outcome_of(called, *orchestrators[name])
    else:
        from triggerflow_lithops import TriggerflowExecutor

        executor = TriggerflowExecutor()
        for first in range(0, len(names), AT_ONCE):
            runs = {name: outcome_of(started, executor, *orchestrators[name]) for name in names[first : first + AT_ONCE]}
            for name, (kind, run) in runs.items():
                outcomes[name] = kind, run
                if kind == 'value':
                    outcomes[name] = outcome_of(run.result, PATIENCE)
                    activations[name] = len(run.activations())
    write_down(outcomes, activations)


def started(executor, orchestrator, args):
    """The run of an orchestrator."""
    return executor.run(orchestrator, args) if args else executor.run(orchestrator)


def called(orchestrator, args):
    """What an orchestrator comes to where it is called as any other function."""
    value = orchestrator(*args)
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def outcome_of(function, *args):
    """What a function came to: a value, or all that is to be seen of an exception."""
    try:
        return 'value', function(*args)
    except BaseException as error:
        return 'exception', all_of(error)


def all_of(error):
    """What is to be seen of an exception, but for its traceback."""
    fields = {name: repr(value) for name, value in vars(error).items() if name != '__notes__'}
    cause = error.__cause__ and type(error.__cause__).__name__
    notes = getattr(error, '__notes__', [])
    return f'{type(error).__name__}: {error} {fields} cause {cause} notes {notes} code {getattr(error, "code", None)}'


def narrow(habits, name_of=lambda habit: habit.__name__):
    """Leaves those that ``HABITS`` in the environment names, if it does."""
    only = os.environ.get('HABITS', '').split()
    if only:
        habits[:] = [habit for habit in habits if name_of(habit) in only]


def output_of(run):
    """What the orchestrator printed, where its last line is known."""
    from lithops.constants import LOGS_DIR

    log, deadline = Path(LOGS_DIR) / f'{run.session}-O000.log', time.monotonic() + FLUSH
    while True:
        text = log.read_text(errors='replace') if log.exists() else ''
        if LAST_LINE in text or time.monotonic() > deadline:
            return text
        time.sleep(0.05)


def write_down(outcomes, activations=None, output=None):
    """What each habit came to, as text: ``repr`` of a value says it all, for what habits return."""
    told = {name: [kind, value if kind == 'exception' else repr(value)] for name, (kind, value) in outcomes.items()}
    document = {'outcomes': told, 'activations': activations, 'output': output}
    Path(os.environ['OUTCOMES']).write_text(json.dumps(document), encoding='utf-8')
