"""
Early stopping: many calls look for a number whose digest begins with zeros, and
the first that finds one is enough.

Each call searches a range of its own. When a call comes back without a find, the
next range is begun; what the others are doing is no longer waited for.
"""

import hashlib
import sys

import lithops
from lithops.wait import ANY_COMPLETED

from triggerflow_lithops import TriggerflowExecutor

TEXT = 'triggerflow'
RANGE = 200_000
WIDTH = 4


def digest(text, number):
    """SHA-256 of ``text`` and ``number``, in hexadecimal digits."""
    return hashlib.sha256(f'{text}{number}'.encode()).hexdigest()


def search(text, zeros, first):
    """A number from ``first`` on whose digest begins with ``zeros`` zeros, or None."""
    for number in range(first, first + RANGE):
        if digest(text, number).startswith('0' * zeros):
            return number
    return None


def main(args):
    fexec = lithops.FunctionExecutor()
    begun = 0
    searching = []
    while True:
        while len(searching) < WIDTH:
            searching.append(fexec.call_async(search, (args['text'], args['zeros'], begun * RANGE)))
            begun += 1
        done, searching = fexec.wait(searching, return_when=ANY_COMPLETED)
        for future in done:
            if future.result() is not None:
                return future.result()


if __name__ == '__main__':
    text = sys.argv[1] if len(sys.argv) > 1 else TEXT
    run = TriggerflowExecutor(log_level='WARNING').run(main, {'text': text, 'zeros': 5})
    number = run.result()
    print(f'{text}{number} {digest(text, number)}')
