"""
Files: written and read beside each other, relative to the working folder, in archives, in databases, in memory.

What is done before a wait is done again by the next activation, so nothing here appends to a file of an earlier one.
"""

import contextlib
import csv
import filecmp
import fileinput
import glob
import gzip
import io
import json
import linecache
import mmap
import os
import pathlib
import pickle
import shelve
import shutil
import sqlite3
import tarfile
import tempfile
import zipfile
from pathlib import Path

import drive
import lithops
from together import together


def same(value):
    return value


def length_of(path):
    with open(path) as file:
        return len(file.read())


def written(path, text):
    Path(path).write_text(text)
    return os.path.basename(path)


def a_file_for_a_call():
    with open('greeting.txt', 'w') as file:
        file.write('hello')
    there = yield length_of, 'greeting.txt'
    return there, Path('greeting.txt').read_text()


def a_file_of_a_call():
    name = yield written, os.path.abspath('from-a-call.txt'), 'written there'
    return name, open(name).read()


def results_in_a_table():
    rows = []
    for number in (1, 2):
        rows.append((number, (yield pow, number, 3)))
    with open('results.csv', 'w', newline='') as file:
        csv.writer(file).writerows(rows)
    return length_of('results.csv')


def folders_of_results():
    out = Path('out') / 'sub'
    out.mkdir(parents=True, exist_ok=True)
    (out / 'a.txt').write_text('a')
    there = yield sorted, [path.name for path in out.iterdir()]
    for name in there:
        shutil.copy(out / name, out.parent / f'copy-of-{name}')
    return sorted(str(path) for path in Path('out').rglob('*.txt')), out.exists()


def paths():
    path = pathlib.PurePosixPath('/data/in/x.tar.gz')
    there = yield same, path
    return there, there.suffixes, there.stem, there.parent / 'y', there.relative_to('/data'), there == path


def the_working_folder():
    here = yield os.path.basename, os.getcwd()
    return here == os.path.basename(os.getcwd()), Path.cwd() == Path('.').resolve(), os.path.isabs('x')


def a_file_that_stays_open():
    file = open('open.txt', 'w')
    file.write('before ')
    file.write((yield same, 'after'))
    file.close()
    return Path('open.txt').read_text()


def a_file_that_is_read_on():
    Path('lines.txt').write_text('one\ntwo\nthree\n')
    with open('lines.txt') as lines:
        first = next(lines)
        yield same, first
        return first, list(lines)


def archives():
    with zipfile.ZipFile('a.zip', 'w', zipfile.ZIP_DEFLATED) as archive:
        archive.writestr('x.txt', 'x' * 100)
    size = yield os.path.getsize, os.path.abspath('a.zip')
    with zipfile.ZipFile('a.zip') as archive:
        found = archive.namelist(), len(archive.read('x.txt')), size < 300
    os.remove('a.zip')
    return found


def packed_in_memory():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w:gz') as archive:
        info = tarfile.TarInfo('x.txt')
        info.size = 3
        archive.addfile(info, io.BytesIO(b'abc'))
    data = yield gzip.decompress, gzip.compress(b'data', mtime=0)
    buffer.seek(0)
    with tarfile.open(fileobj=buffer) as archive:
        return data, archive.getnames()


def a_database_in_memory():
    with contextlib.closing(sqlite3.connect(':memory:')) as db:
        db.row_factory = sqlite3.Row
        db.execute('CREATE TABLE t (name TEXT, n INTEGER)')
        db.executemany('INSERT INTO t VALUES (?, ?)', [('a', 1), ('b', 2)])
        total = yield sum, [row['n'] for row in db.execute('SELECT n FROM t')]
        db.execute('UPDATE t SET n = n + ?', (total,))
        return total, [tuple(row) for row in db.execute('SELECT * FROM t ORDER BY name')]


def a_database_in_a_file():
    with contextlib.closing(sqlite3.connect('data.db')) as db, db:
        db.execute('CREATE TABLE IF NOT EXISTS t (n INTEGER PRIMARY KEY)')
        db.execute('INSERT OR REPLACE INTO t VALUES (1)')
    there = yield same, 2
    with contextlib.closing(sqlite3.connect('data.db')) as db, db:
        db.execute('INSERT INTO t VALUES (?)', (there,))
        found = db.execute('SELECT n FROM t ORDER BY n').fetchall()
    os.remove('data.db')
    return found


def pickles_and_shelves():
    with open('state.pickle', 'wb') as file:
        pickle.dump({'round': 1}, file)
    there = yield same, 5
    with open('state.pickle', 'rb') as file:
        state = pickle.load(file)
    with tempfile.TemporaryDirectory() as folder, shelve.open(os.path.join(folder, 'shelf')) as shelf:
        shelf['x'] = {**state, 'answer': there}
        return dict(shelf)


def documents_that_grow():
    state = {'rounds': []}
    for number in range(2):
        state['rounds'].append((yield same, number))
        Path('state.json').write_text(json.dumps(state))
    return json.loads(Path('state.json').read_text())


def patterns_of_names():
    for name in 'ab':
        Path(f'part-{name}.log').write_text(f'{name}\n{name}\n')
    found = sorted(glob.glob('part-*.log'))
    there = yield same, found
    lines = [line.strip() for line in fileinput.input(there)]
    return there, lines, linecache.getline('part-a.log', 2), filecmp.cmp('part-a.log', 'part-b.log', shallow=False)


def names_that_are_renamed():
    there = yield same, 'new'
    Path('old.tmp').write_text(there)
    os.replace('old.tmp', 'renamed.txt')
    os.chmod('renamed.txt', 0o600)
    return Path('renamed.txt').read_text(), oct(os.stat('renamed.txt').st_mode)[-3:], os.path.exists('old.tmp')


def folders_that_go():
    os.makedirs('scratch/inner', exist_ok=True)
    Path('scratch/inner/x').touch()
    there = yield same, [(len(dirs), len(files)) for _, dirs, files in os.walk('scratch')]
    shutil.rmtree('scratch')
    return there, os.path.isdir('scratch')


def memory_maps():
    Path('map.bin').write_bytes(b'abcdef')
    with open('map.bin', 'r+b') as file, mmap.mmap(file.fileno(), 0) as view:
        view[0:2] = yield same, b'XY'
        view.flush()
        return bytes(view), view.find(b'c')


def streams_in_memory():
    out = io.StringIO()
    print('first', file=out)
    print((yield same, 'second'), file=out)
    with io.TextIOWrapper(io.BytesIO('é\r\n'.encode('latin-1')), encoding='latin-1') as text:
        return out.getvalue(), text.read()


def files_that_are_not_there():
    yield same, 1
    try:
        open('nowhere/x.txt')
    except FileNotFoundError as error:
        return str(error), error.filename


HABITS = [
    a_file_for_a_call,
    a_file_of_a_call,
    results_in_a_table,
    folders_of_results,
    paths,
    the_working_folder,
    a_file_that_stays_open,
    a_file_that_is_read_on,
    archives,
    packed_in_memory,
    a_database_in_memory,
    a_database_in_a_file,
    pickles_and_shelves,
    documents_that_grow,
    patterns_of_names,
    names_that_are_renamed,
    folders_that_go,
    memory_maps,
    streams_in_memory,
    files_that_are_not_there,
]


def main():
    return together(lithops.FunctionExecutor(), HABITS)


if __name__ == '__main__':
    drive.drive(main)
