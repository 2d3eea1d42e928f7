"""The bar of calls done."""

import lithops

from triggerflow_lithops.progress import Progress


def main():
    fexec = lithops.FunctionExecutor()
    fexec.get_result(fexec.map(lambda x: x, range(3)))
    return fexec.get_result(fexec.call_async(lambda x: x, 1))


def test_calls_scheduled_and_ended_are_counted(executor):
    run = executor.run(main)
    run.result(timeout=90)
    with Progress(run.session, run._facts) as progress:
        assert progress.count() == (4, 4)


def test_nothing_is_shown_where_there_is_no_terminal(executor, capsys):
    executor.run(main).result(timeout=90)
    assert capsys.readouterr().err == ''
