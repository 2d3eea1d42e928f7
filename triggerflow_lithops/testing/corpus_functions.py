"""What simulated orchestrators call, and what both of them note."""

import os
import random
import time
from collections import Counter
from typing import Any

#: What the orchestrators and their calls note of themselves
NOTES: 'Counter[Any]' = Counter()


def add3(x: int) -> int:
    return x + 3


def double(x: Any) -> Any:
    return 2 * x


def total(results: list[int]) -> int:
    return sum(results)


def draw(x: Any) -> float:
    """No two executions of it agree. Virtual time makes it another in each simulation, and the same in its repetition."""
    NOTES['draws'] += 1
    return random.Random(f'{NOTES["draws"]}/{time.time()}').random()


def large(x: int) -> tuple[int, bytes]:
    """Its result does not fit into its event."""
    return x, os.urandom(9_000)


def even_only(x: int) -> int:
    if x % 2:
        raise ValueError(f'{x} is odd')
    return x


def slow_or_failing(x: int) -> int:
    if x == 1:
        raise ValueError('at once')
    time.sleep(300)
    return x


def soon_failing(x: int) -> int:
    time.sleep(5 if x == 1 else 300)
    if x == 1:
        raise ValueError('soon')
    return x


def too_slow(x: int) -> int:
    time.sleep(5_000)
    return x


def third_time_lucky(x: int) -> int:
    NOTES['executions', x] += 1
    if NOTES['executions', x] < 3:
        raise ConnectionError('not yet')
    return x


def count_lines(obj: Any) -> int:
    return len(obj.data_stream.read().splitlines())
