"""
The 50 most frequent words of all .py and .txt files below a folder: of Python's
own standard library, unless one is given.

One call finds the files, a map counts them, and a tree of calls merges the counts.
How deep the tree is depends on how many counts there are.
"""

import os
import re
import sys
import sysconfig
from collections import Counter

import lithops

from triggerflow_lithops import TriggerflowExecutor

BATCH_BYTES = 4_000_000
FAN_IN = 4
MOST = 50

WORD = re.compile(r'[a-z]+')


def find_files(folder):
    """The files below ``folder``, in batches of about equal size."""
    batches, size = [[]], 0
    for path, folders, names in os.walk(folder):
        folders[:] = sorted(set(folders) - {'__pycache__', 'dist-packages', 'site-packages'})
        for name in sorted(names):
            if name.endswith(('.py', '.txt')):
                file = os.path.join(path, name)
                batches[-1].append(file)
                size += os.path.getsize(file)
                if size >= BATCH_BYTES:
                    batches.append([])
                    size = 0
    return [batch for batch in batches if batch]


def count_words(files):
    """How often each word is in ``files``."""
    counts = Counter()
    for file in files:
        with open(file, encoding='utf-8', errors='replace') as text:
            counts.update(WORD.findall(text.read().lower()))
    return counts


def merge(counts):
    """The sum of several counts."""
    return sum(counts, Counter())


def most_frequent(counts):
    """The first 50 words: by count, and by the alphabet where counts are equal."""
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST]


def main(args):
    fexec = lithops.FunctionExecutor()
    batches = fexec.get_result(fexec.call_async(find_files, args['folder']))
    if not batches:
        return []
    counts = fexec.get_result(fexec.map(count_words, batches))
    while len(counts) > 1:
        groups = [counts[first : first + FAN_IN] for first in range(0, len(counts), FAN_IN)]
        counts = fexec.get_result(fexec.map(merge, groups))
    return most_frequent(counts[0])


if __name__ == '__main__':
    folder = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else sysconfig.get_path('stdlib')
    run = TriggerflowExecutor(log_level='WARNING').run(main, {'folder': folder})
    for word, count in run.result():
        print(f'{count:8} {word}')
