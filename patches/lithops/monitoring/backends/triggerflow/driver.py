#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.
#
"""
What a run on localhost has of its driver, the program that has called ``run()``: environment,
working folder, arguments, and where it imports from; and a temporary folder of the run's own.

It lies in a file beside the local function services, for this user alone, until the run has
an outcome. None of it is ever written to the bucket.
"""

import base64
import contextlib
import hashlib
import json
import locale
import math
import os
import shutil
import sys
import tempfile
import time
from typing import Any, Dict, Iterator, List, Optional

from .compute import is_local
from .documents import DamagedFile, document, read_document, text, texts, unexpected
from .private import UNFINISHED, open_folder, private_folder, remove_file, set_umask_of_user, umask_of_user, write_file

#: Beginnings of names of variables that are private to Lithops, or to the process that has them
PRIVATE = ('__LITHOPS_', 'LITHOPS_WORKER', 'LITHOPS_CONFIG', 'WARM_CONTAINER', 'PYTHONHASHSEED')
_SUFFIX = '.json'
#: Variables that say where temporary files lie
_TEMPORARY = ('TMPDIR', 'TEMP', 'TMP')

#: Where an orchestrator in this process imports from, beyond what the interpreter has and the run has stored
_imports: List[str] = []


def keep_driver(config: Dict[str, Any], run: Dict[str, Any]) -> None:
    """
    Writes down what a run has of this process, for the local function services. To be done
    before there is the run

    :param config: Lithops' configuration of the run
    :param run: what every payload of the run carries
    :raises OSError: it cannot be written, or the folder is another user's
    """
    if not is_local(config):
        return
    home = _home(config)
    private_folder(home)
    folder = _working_folder()
    kept = {
        'environment': [
            [_text(name), _text(value)] for name, value in os.environb.items() if not os.fsdecode(name).startswith(PRIVATE)
        ],
        'folder': _text(folder) if folder is not None else None,
        'umask': _umask(),
        'argv': [argument for argument in getattr(sys, 'argv', []) if isinstance(argument, str)],
        'path': _path(os.fsdecode(folder) if folder is not None else None, home),
        # So that what a killed process has left behind can be told from what a run still needs
        'config': config,
        'run': run,
    }
    write_file(_drivers(home), _name(run['session']), json.dumps(kept))


def driver_of(config: Dict[str, Any], session: str) -> Optional[Dict[str, Any]]:
    """
    What :func:`keep_driver` has written down; None if it is gone, or was never there

    :raises ValueError: it is damaged, or another user has put it there
    """
    return kept_of(_home(config), session)


def kept_of(home: str, session: str) -> Optional[Dict[str, Any]]:
    """
    As :func:`driver_of`

    :param home: the folder in which the local function services of this user are
    """
    try:
        return _checked(read_document(os.path.join(_drivers(home), _name(session))))
    except FileNotFoundError:
        return None
    except DamagedFile as error:
        raise ValueError(f'what was kept of its driver is damaged: {error}') from error


def is_kept(config: Dict[str, Any], session: str) -> bool:
    """Whether :func:`driver_of` has anything to read. It goes when the run has ended"""
    return os.path.lexists(os.path.join(_drivers(_home(config)), _name(session)))


def forget_driver(config: Dict[str, Any], session: str) -> None:
    """The run has ended: its file and its temporary folder go. What cannot be removed now is removed later"""
    if not is_local(config):
        return
    with contextlib.suppress(OSError):
        remove_file(_drivers(_home(config)), _name(session))
    shutil.rmtree(os.path.join(_temporary(_home(config)), _short(session)), ignore_errors=True)


def set_environment(kept: Dict[str, Any]) -> None:
    """
    The environment of this process, which is no user's, becomes exactly that of the driver. Its umask stays: code of the
    user will have the driver's
    """
    before = [os.environ.get(name) for name in _TEMPORARY]
    os.environ.clear()
    os.environb.update({_raw(name): _raw(value) for name, value in kept['environment']})
    # What the C library, and Python, had read from the environment that was there before
    time.tzset()
    with contextlib.suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, '')
    if before != [os.environ.get(name) for name in _TEMPORARY]:
        tempfile.tempdir = None
    set_umask_of_user(kept['umask'])


def set_working_folder(kept: Dict[str, Any]) -> None:
    """
    The working folder of this process becomes the driver's

    :raises OSError: it is gone, or cannot be entered
    """
    if kept['folder'] is None:
        raise FileNotFoundError('it was removed before the run was started')
    os.chdir(_raw(kept['folder']))


def set_arguments(kept: Dict[str, Any]) -> None:
    """An orchestrator in this process has the driver's arguments, and will import from where the driver does"""
    sys.argv[:] = kept['argv']
    _imports[:] = kept['path']


def extend_path() -> None:
    """
    An orchestrator begins: what the driver can import can be imported here, too. After the
    modules that were stored with the run: they are what the driver had when it started it
    """
    sys.path += [entry for entry in _imports if entry not in sys.path]


def add_stored_modules(folder: str) -> None:
    """Modules that were stored with something else that runs here come before what lies on the disk now, too"""
    last = next((number for number, entry in enumerate(sys.path) if entry in _imports), len(sys.path))
    sys.path.insert(last, folder)


def set_temporary_folder(config: Dict[str, Any], session: str) -> None:
    """
    Temporary files of this process lie in the folder of the run, which is made unless it is
    there. The environment keeps the driver's: nested executors find their bucket by that

    :raises OSError: it cannot be made, or is another user's
    """
    home = _home(config)
    path = os.path.join(_temporary(home), _short(session))
    private_folder(_temporary(home))
    private_folder(path)
    tempfile.tempdir = path


def left_behind(home: str, age: float) -> Iterator[Dict[str, Any]]:
    """
    What :func:`keep_driver` has written down some time ago. What is damaged, and temporary
    folders of runs of which nothing is kept, are removed

    :param home: the folder in which the local function services of this user are
    :param age: seconds
    """
    old = time.time() - age
    for name in _older(_drivers(home), old):
        try:
            if name.endswith(UNFINISHED):
                raise ValueError('its writer was killed')
            kept = _checked(read_document(os.path.join(_drivers(home), name)))
        except (OSError, ValueError):
            with contextlib.suppress(OSError):
                remove_file(_drivers(home), name)
        else:
            yield kept
    needed = {_short(name[: -len(_SUFFIX)]) for name in _older(_drivers(home), math.inf)}
    for name in _older(_temporary(home), old):
        if name not in needed:
            shutil.rmtree(os.path.join(_temporary(home), name), ignore_errors=True)


def is_any_older(home: str, age: float) -> bool:
    """Whether :func:`left_behind` would find anything"""
    return any(_older(folder, time.time() - age) for folder in (_drivers(home), _temporary(home)))


def _older(folder: str, than: float) -> List[str]:
    """Names of what lies in a private folder, and was changed last before some time"""
    try:
        below = open_folder(folder)
    except OSError:
        return []
    try:
        found = []
        for name in os.listdir(below):
            with contextlib.suppress(OSError):
                if os.stat(name, dir_fd=below, follow_symlinks=False).st_mtime < than:
                    found.append(name)
        return found
    finally:
        os.close(below)


def _checked(kept: Dict[str, Any]) -> Dict[str, Any]:
    """It comes from a disk: it may be damaged"""
    for name in ('argv', 'path'):
        texts(kept.get(name), f"'{name}'")
    pairs = kept.get('environment')
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise unexpected("'environment'", pairs, 'a list of pairs')
    for name, value in pairs:
        if '=' in text(name, 'the name of a variable'):
            raise unexpected('the name of a variable', name, 'one without =')
        _check_raw(name, 'the name of a variable')
        _check_raw(value, 'the value of a variable')
    if kept.get('folder') is not None:
        _check_raw(text(kept['folder'], "'folder'"), "'folder'")
    umask = kept.get('umask')
    if umask is not None and (isinstance(umask, bool) or not isinstance(umask, int) or not 0 <= umask <= 0o777):
        raise unexpected("'umask'", umask, 'a number from 0 to 511')
    section = document(document(kept.get('config'), "'config'").get('triggerflow'), "'triggerflow'")
    text(section.get('service'), "'service'")
    text(document(kept.get('run'), "'run'").get('session'), "'session'")
    return kept


def _check_raw(found: Any, name: str) -> None:
    """Whether the operating system can be given a text"""
    try:
        if isinstance(found, str) and b'\0' not in _raw(found):
            return
    except UnicodeEncodeError:
        pass
    raise unexpected(name, found, 'a text that an operating system can have')


# Where it lies


def _home(config: Dict[str, Any]) -> str:
    """The folder of all local function services of this user, whatever interpreters they have"""
    return os.path.dirname(config['triggerflow']['service'])


def _drivers(home: str) -> str:
    return os.path.join(home, 'drivers')


def _temporary(home: str) -> str:
    return os.path.join(home, 't')


def _name(session: str) -> str:
    return f'{session}{_SUFFIX}'


def _short(session: str) -> str:
    # Sockets that a program makes in its temporary folder have paths of a hundred bytes at the most
    return base64.b32encode(hashlib.blake2b(session.encode(), digest_size=5).digest()).decode().lower()


# What this process has


def _text(raw: bytes) -> str:
    return raw.decode('utf-8', 'surrogateescape')


def _raw(text: str) -> bytes:
    return text.encode('utf-8', 'surrogateescape')


def _working_folder() -> Optional[bytes]:
    try:
        return os.getcwdb()
    except FileNotFoundError:
        return None


def _path(folder: Optional[str], home: str) -> List[str]:
    """
    Where this process imports from, found from any folder

    :param folder: the working folder
    :param home: what lies below it is of a worker's process only, and goes with it
    """
    entries = []
    for entry in sys.path:
        if not isinstance(entry, str) or (folder is None and not os.path.isabs(entry)):
            continue
        # Something else than a path may stand there: a name that a hook of an installer knows
        if not os.path.isabs(entry) and os.path.exists(entry or os.curdir):
            entry = os.path.normpath(os.path.join(folder or '', entry))
        if not entry.startswith(os.path.join(home, '')):
            entries.append(entry)
    return list(dict.fromkeys(entries))


def _umask() -> Optional[int]:
    """Linux tells it; elsewhere it can only be asked for by changing it, which other threads would see"""
    if umask_of_user() is not None:
        # This process has another one, and a run that it starts has that of the run that it serves
        return umask_of_user()
    try:
        with open('/proc/self/status') as status:
            return next(int(line.split()[1], 8) for line in status if line.startswith('Umask:'))
    except (OSError, StopIteration, ValueError):
        return None
