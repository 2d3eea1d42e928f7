"""Runs many small pieces of a script at once, so that they share what they wait for."""


def call(function, arguments):
    """What runs in a worker."""
    return function(*arguments)


def together(fexec, habits):
    """
    Runs generators side by side: what each yields, a function and its arguments, becomes a call, and all of them one map.

    :return: of each what it returned, ``('value', …)``, or the exception that it did not catch, ``('exception', …)``
    """
    outcomes, asked = {}, {}

    def go_on(habit, step, *given):
        try:
            asked[habit] = step(*given)
        except StopIteration as end:
            outcomes[habit.__name__] = 'value', end.value
        except Exception as error:
            outcomes[habit.__name__] = 'exception', f'{type(error).__name__}: {error}'

    generators = {habit: habit() for habit in habits}
    for habit, generator in generators.items():
        go_on(habit, next, generator)
    while asked:
        waiting = list(asked)
        # A few calls share a process, as a fresh interpreter for each would take long
        futures = fexec.map(call, [(function, arguments) for function, *arguments in asked.values()], chunksize=10)
        fexec.wait(futures, throw_except=False)
        asked.clear()
        for habit, future in zip(waiting, futures, strict=True):
            try:
                step, given = generators[habit].send, future.result()
            except Exception as error:
                step, given = generators[habit].throw, error
            go_on(habit, step, given)
    return outcomes


def one_by_one(fexec, habits):
    """Runs functions one after the other, each of which waits itself."""
    outcomes = {}
    for habit in habits:
        try:
            outcomes[habit.__name__] = 'value', habit(fexec)
        except Exception as error:
            outcomes[habit.__name__] = 'exception', f'{type(error).__name__}: {error}'
    return outcomes
