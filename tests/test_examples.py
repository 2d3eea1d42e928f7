"""Every example is a test."""

import os
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / 'examples'
sys.path.insert(0, str(EXAMPLES))

import hello  # noqa: E402
import search  # noqa: E402
import word_count  # noqa: E402


def as_script(name, *arguments):
    """What an example prints when it is run as a newcomer runs it."""
    done = subprocess.run([sys.executable, str(EXAMPLES / name), *arguments], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def counted_plainly(folder):
    """The count of one process, written down differently."""
    counts = Counter()
    for path in Path(folder).rglob('*'):
        left_out = {'site-packages', 'dist-packages', '__pycache__'} & set(path.relative_to(folder).parts[:-1])
        if path.suffix in ('.py', '.txt') and path.is_file() and not left_out:
            counts.update(word_count.WORD.findall(path.read_bytes().decode('utf-8', 'replace').lower()))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:50]


def test_hello_prints_6():
    assert as_script('hello.py').split() == ['6']


def test_hello_takes_three_activations_and_none_is_alive_while_its_calls_sleep(executor):
    run = executor.run(hello.main)
    assert run.result(timeout=60) == 6
    activations = run.activations()
    assert len(activations) >= 3
    calls = [event['data'] for event in run.history() if '.termination.' in event['type']]
    for call in calls:
        # The call's own start and end cost time, too: what counts is its sleep
        asleep = call['worker_start_tstamp'] + 0.5, call['worker_end_tstamp'] - 0.5
        assert not [one for one in activations if one['started'] < asleep[1] and one['ended'] > asleep[0]]


def test_word_count_counts_what_one_process_counts(run):
    folder = sysconfig.get_path('stdlib')
    assert run(word_count.main, {'folder': folder}, timeout=120) == counted_plainly(folder)


@pytest.mark.parametrize('files', [0, 1, 9])
def test_word_count_merges_as_many_counts_as_there_are(run, tmp_path, files):
    for number in range(files):
        word = 'abcdefghi'[number]
        (tmp_path / f'{word}.txt').write_text(f'{word} ' * (word_count.BATCH_BYTES // 2 + number))
    assert run(word_count.main, {'folder': str(tmp_path)}, timeout=120) == counted_plainly(tmp_path)


def test_word_count_is_a_script_too(tmp_path):
    (tmp_path / 'a.txt').write_text('to be or not to be')
    (tmp_path / 'b.md').write_text('not counted')
    assert as_script('word_count.py', os.fspath(tmp_path)).split() == ['2', 'be', '2', 'to', '1', 'not', '1', 'or']


def test_the_example_of_a_test_passes():
    command = [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', str(EXAMPLES / 'test_hello.py')]
    done = subprocess.run(command, cwd=EXAMPLES, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and '4 passed' in done.stdout, done.stdout


def test_search_finds_a_number_and_stops():
    found, digest = as_script('search.py').split()
    assert digest.startswith('00000') and digest == search.digest(found, '')


def test_search_begins_new_ranges_until_it_finds(run):
    number = run(search.main, {'text': 'x', 'zeros': 5}, timeout=120)
    assert search.digest('x', number).startswith('00000')
