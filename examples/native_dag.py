"""
The 50 most frequent words of all .py and .txt files below a folder, as a graph of
triggers: of Python's own standard library, unless one is given.

                     ┌─▶ count-0 ─┐
    folder.given ▶ split ─▶ count-1 ─▶ merge ▶ the end
                     └─▶ count-2 ─┘

Each trigger holds the function that it runs, and says which events it waits for: that
a folder was given, or that the function of another trigger has ended. Between two
functions nothing runs.
"""

import os
import re
import sys
import sysconfig
import uuid
from collections import Counter

from triggerflow_lithops import END, JOIN, CallAsync, CloudEvent, Failed, Succeeded, Triggerflow

BRANCHES = 3
MOST = 50

WORD = re.compile(r'[a-z]+')


def split(context, events):
    """The files below the folder that was given, in three parts of about equal size."""
    files = []
    for path, folders, names in os.walk(events[0]['data']):
        folders[:] = set(folders) - {'__pycache__', 'dist-packages', 'site-packages'}
        files += [os.path.join(path, name) for name in names if name.endswith(('.py', '.txt'))]
    files.sort(key=os.path.getsize)
    return [files[branch::BRANCHES] for branch in range(BRANCHES)]


def count_words(context, events):
    """How often each word is in the files of one part."""
    counts = Counter()
    for file in events[0]['data'][context['branch']]:
        with open(file, encoding='utf-8', errors='replace') as text:
            counts.update(WORD.findall(text.read().lower()))
    return counts


def merge(context, events):
    """The first 50 words: by count, and by the alphabet where counts are equal. The order of the events does not matter."""
    counts = sum((Counter(event['data']) for event in events), Counter())
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST]


def add_triggers(tf):
    """The graph, in any order: an event that comes before its trigger counts."""
    counts = [f'count-{branch}' for branch in range(BRANCHES)]
    tf.add_trigger('split', CloudEvent('folder.given', 'words'), action=CallAsync(split))
    for branch, name in enumerate(counts):
        tf.add_trigger(name, Succeeded('split'), action=CallAsync(count_words), context={'branch': branch})
    tf.add_trigger('merge', [Succeeded(name) for name in counts], JOIN(BRANCHES), CallAsync(merge))
    # Whoever waits is to hear of a failure, too
    failures = [Failed(name) for name in ('split', *counts, 'merge')]
    tf.add_trigger('end', [Succeeded('merge'), *failures], action=END)


if __name__ == '__main__':
    folder = os.path.abspath(sys.argv[1]) if len(sys.argv) > 1 else sysconfig.get_path('stdlib')
    tf = Triggerflow(f'words-{uuid.uuid4().hex[:8]}', log_level='WARNING')
    try:
        add_triggers(tf)
        tf.publish(CloudEvent('folder.given', 'words', data=folder))
        [found] = tf.wait()
    finally:
        tf.delete_workspace()
    if 'error' in found:
        sys.exit(': '.join(found['error']))
    for word, count in found:
        print(f'{count:8} {word}')
