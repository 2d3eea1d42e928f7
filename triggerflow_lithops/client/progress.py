"""
The bar of calls done, where Lithops would show one: on a terminal, and in a notebook.

What shows progress cannot fail a wait: whatever goes wrong here, in the bar or while
calls are counted, ends the bar or is counted again, and nothing else.
"""

import logging
import sys
import time
from typing import Any

from lithops.utils import is_notebook

from ..core.run.keys import JOBS, facts_prefix, is_key_of
from ..core.store import Facts

logger = logging.getLogger(__name__)

#: Seconds between two counts, at the least. Each lists the run
COUNT = 1.0
#: The least that the pause between two counts is, as a multiple of what the last one took: a wide run takes long to list
PAUSE = 10

#: How many calls there will be is not known before the first job is scheduled
_STARTING = '  {desc}: starting  '
_COUNTING = '  {l_bar}{bar}| {n_fmt}/{total_fmt}  '


class Progress:
    """
    Counts calls, where somebody sees it and unless debug logs are printed already.

    :param run_id: stands before the bar
    """

    def __init__(self, run_id: str, session: str, facts: Facts):
        self._run_id = run_id
        self._session = session
        self._facts = facts
        self._calls: dict[str, int] = {}
        self._bar: Any = None
        self._next = time.monotonic() + COUNT

    def __enter__(self) -> 'Progress':
        try:
            if logging.getLogger('lithops').getEffectiveLevel() != logging.DEBUG:
                self._bar = _bar(self._run_id)
        except Exception as error:
            logger.debug('No bar is shown: %r', error)
        return self

    def __exit__(self, *error: Any) -> None:
        bar, self._bar = self._bar, None
        if bar is None:
            return
        try:
            # A bar of a notebook that is closed before its end stays there, in red
            bar.total = bar.n
            bar.close()
        except Exception as failed:
            logger.debug('The bar cannot be closed: %r', failed)

    def update(self) -> tuple[int, int] | None:
        """
        Counts again, if it is time.

        :return: as :meth:`count` does; None where nothing was counted
        """
        if self._bar is None or time.monotonic() < self._next:
            return None
        began, counted = time.monotonic(), None
        try:
            counted = self.count()
            self._show(*counted)
        except Exception as error:
            # Whoever waits finds out by itself whether the bucket can be reached
            logger.debug('Calls cannot be counted: %r', error)
        now = time.monotonic()
        self._next = now + max(COUNT, PAUSE * (now - began))
        return counted

    def count(self) -> tuple[int, int]:
        """How many calls were scheduled, and how many have ended."""
        keys = [key for key in self._facts.list(f'{JOBS}/{self._session}') if is_key_of(self._session, key)]
        for key in keys:
            if key.startswith(facts_prefix(self._session)) and key not in self._calls:
                fact = self._facts.read(key) or {}
                self._calls[key] = fact['calls'] if 'job' in fact else 0
        return sum(self._calls.values()), sum(key.endswith('/status.json') for key in keys)

    def _show(self, scheduled: int, ended: int) -> None:
        try:
            if not scheduled:
                return
            self._bar.bar_format = _COUNTING
            if scheduled != self._bar.total and hasattr(self._bar, 'container'):
                # What a notebook draws learns a new total in no other way
                self._bar.reset(total=scheduled)
            self._bar.total, self._bar.n = scheduled, ended
            self._bar.refresh()
        except Exception as error:
            logger.debug('The bar is not shown any more: %r', error)
            self.__exit__()


def _bar(run_id: str) -> Any:
    """A bar that says which run it is of; None where nobody would see it."""
    options: dict[str, Any] = {'desc': run_id, 'bar_format': _STARTING, 'total': None, 'leave': False}
    if is_notebook():
        from tqdm import notebook

        # Without ipywidgets, ``tqdm.auto`` warns; its bar as text needs none
        if notebook.IProgress is not None:
            return notebook.tqdm(**options)
    elif sys.stderr is None or not sys.stderr.isatty():
        return None
    from tqdm import tqdm

    return tqdm(**options)
