"""The bar of calls done: on a terminal, and in a notebook."""

import builtins
import logging
import warnings

import lithops
import pytest
import tqdm.notebook

from triggerflow_lithops.client.progress import Progress
from triggerflow_lithops.core.memory_store import MemoryStore
from triggerflow_lithops.core.store import Facts, StoreUnavailable


def main():
    fexec = lithops.FunctionExecutor()
    fexec.get_result(fexec.map(lambda x: x, range(3)))
    return fexec.get_result(fexec.call_async(lambda x: x, 1))


class ZMQInteractiveShell:
    """Lithops tells a notebook by the name of this class."""


class Listed(MemoryStore):
    """Counts how often it was listed."""

    times = 0

    def list(self, prefix):
        self.times += 1
        return super().list(prefix)


class Unreachable(MemoryStore):
    """A bucket that cannot be listed."""

    def list(self, prefix):
        raise StoreUnavailable('no permission')


class Widget:
    """Stands for the bar of ``tqdm.notebook``, which needs ipywidgets."""

    container = 'what is drawn'
    broken = ''
    made = ()

    def __init__(self, **options):
        self.n, self.total, self.bar_format, self.desc = 0, options['total'], options['bar_format'], options['desc']
        self.drawn, self.leave = [], options['leave']
        Widget.made = [*Widget.made, self]
        self._do('make')

    def reset(self, total):
        self.n, self.total = 0, total
        self._do('reset')

    def refresh(self):
        self._do('refresh')

    def close(self):
        self._do('close')

    def _do(self, what):
        if what == self.broken:
            raise RuntimeError(f'a widget that cannot {what}')
        self.drawn.append((what, self.n, self.total))


@pytest.fixture
def notebook(monkeypatch):
    """This process is a notebook's, with ipywidgets."""
    monkeypatch.setattr(builtins, 'get_ipython', ZMQInteractiveShell, raising=False)
    monkeypatch.setattr(tqdm.notebook, 'IProgress', object)
    monkeypatch.setattr(tqdm.notebook, 'tqdm', Widget)
    monkeypatch.setattr(Widget, 'made', ())


def progress_over(store):
    return Progress('run-7', 'run-7-0a0a0a0a', Facts(store, pauses=()))


def test_calls_scheduled_and_ended_are_counted(executor):
    run = executor.run(main)
    run.result(timeout=90)
    with Progress(run.run_id, run.session, run._facts) as progress:
        assert progress.count() == (4, 4)


def test_nothing_is_shown_where_there_is_no_terminal(executor, capsys):
    executor.run(main).result(timeout=90)
    assert capsys.readouterr().err == ''


def test_a_notebook_shows_the_run_before_anything_is_counted(notebook):
    with progress_over(MemoryStore()):
        (bar,) = Widget.made
        assert (bar.desc, bar.total, bar.bar_format) == ('run-7', None, '  {desc}: starting  ')


def test_a_bar_of_a_notebook_learns_each_new_total_and_does_not_stay(notebook):
    with progress_over(MemoryStore()) as progress:
        (bar,) = Widget.made
        for counted in ((0, 0), (2, 1), (2, 2), (5, 2)):
            progress._show(*counted)
    assert bar.drawn == [
        ('make', 0, None),
        *[('reset', 0, 2), ('refresh', 1, 2), ('refresh', 2, 2), ('reset', 0, 5), ('refresh', 2, 5)],
        # A bar that was closed before its end would stay, in red
        ('close', 2, 2),
    ]
    assert not bar.leave and '{n_fmt}/{total_fmt}' in bar.bar_format


def test_a_notebook_without_ipywidgets_shows_text_and_warns_of_nothing(notebook, monkeypatch, capsys):
    monkeypatch.setattr(tqdm.notebook, 'IProgress', None)
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        with progress_over(MemoryStore()):
            pass
    assert 'run-7: starting' in capsys.readouterr().err and not Widget.made


@pytest.mark.parametrize('broken', ['make', 'reset', 'refresh', 'close'])
def test_a_bar_that_misbehaves_does_not_disturb_whoever_waits(notebook, monkeypatch, broken):
    monkeypatch.setattr(Widget, 'broken', broken)
    with progress_over(MemoryStore()) as progress:
        progress._show(2, 1)
        progress._show(2, 2)


def test_a_bar_that_misbehaves_is_asked_no_more(notebook, monkeypatch):
    monkeypatch.setattr(Widget, 'broken', 'refresh')
    with progress_over(MemoryStore()) as progress:
        progress._show(2, 1)
        assert progress.update() is None and progress._bar is None


def test_calls_that_cannot_be_counted_do_not_disturb_whoever_waits(notebook):
    with progress_over(Unreachable()) as progress:
        progress._next = 0.0
        assert progress.update() is None


def test_calls_are_not_counted_at_every_look(notebook):
    store = Listed()
    with progress_over(store) as progress:
        progress._next = 0.0
        counted = [progress.update() for _ in range(100)]
    assert store.times == 1 and counted == [(0, 0)] + [None] * 99


def test_nothing_is_counted_where_nothing_is_shown():
    store = Listed()
    with progress_over(store) as progress:
        progress._next = 0.0
        assert progress.update() is None and not store.times


def test_there_is_no_bar_among_debug_logs(notebook):
    lithops_logger = logging.getLogger('lithops')
    before = lithops_logger.level
    lithops_logger.setLevel(logging.DEBUG)
    try:
        with progress_over(MemoryStore()):
            assert not Widget.made
    finally:
        lithops_logger.setLevel(before)
