"""The bar of calls done, where Lithops would show one: on a terminal."""

import logging
import sys
import time
from typing import Any

from .triggers.keys import JOBS, facts_prefix, is_key_of
from .triggers.store import Facts

#: Seconds between two counts. Each lists the run
COUNT = 1.0


class Progress:
    """Counts calls, on a terminal and unless debug logs are printed already."""

    def __init__(self, session: str, facts: Facts):
        self._session = session
        self._facts = facts
        self._calls: dict[str, int] = {}
        self._bar: Any = None
        self._counted = time.monotonic()

    def __enter__(self) -> 'Progress':
        if sys.stderr.isatty() and logging.getLogger('lithops').getEffectiveLevel() != logging.DEBUG:
            from tqdm.auto import tqdm

            self._bar = tqdm(bar_format='  {l_bar}{bar}| {n_fmt}/{total_fmt}  ', total=0, leave=False)
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self) -> None:
        """Counts again, if it is time."""
        if self._bar is None or time.monotonic() - self._counted < COUNT:
            return
        self._counted = time.monotonic()
        self._bar.total, self._bar.n = self.count()
        self._bar.refresh()

    def count(self) -> tuple[int, int]:
        """How many calls were scheduled, and how many have ended."""
        keys = [key for key in self._facts.list(f'{JOBS}/{self._session}') if is_key_of(self._session, key)]
        for key in keys:
            if key.startswith(facts_prefix(self._session)) and key not in self._calls:
                fact = self._facts.read(key) or {}
                self._calls[key] = fact['calls'] if 'job' in fact else 0
        return sum(self._calls.values()), sum(key.endswith('/status.json') for key in keys)
