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
Folders and files that belong to the user of this process alone, whatever the umask is.

Lithops' temporary folder may lie where other users can write. What another user has put there, or
could have changed, is refused: nothing is read from it or written to it. A folder is opened, then it
is looked at what was opened, and what is done in the folder is done by that descriptor: so nothing
can be put in its place in between.
"""

import contextlib
import errno
import os
import stat
import uuid
from typing import IO, Iterator, List, Optional, Tuple

from .ownership import PRIVATE, NotPrivate, make_folder, require_ours, require_way, take

__all__ = [
    'LARGEST',
    'UNFINISHED',
    'NotPrivate',
    'WrongKind',
    'append_file',
    'create_file',
    'keep_files_private',
    'make_fifo',
    'open_below',
    'open_fifo',
    'open_file',
    'open_folder',
    'private_folder',
    'read_all',
    'read_file',
    'remove_file',
    'restore_umask',
    'set_umask_of_user',
    'umask_of_before',
    'umask_of_user',
    'write_file',
]

#: The end of the name of a file that is not complete
UNFINISHED = '.new'

#: Bytes of a file that is read, unless it is said otherwise. What is larger is no file of ours
LARGEST = 32 * 1024 * 1024

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = _OLD | os.O_DIRECTORY
_TRIES = 3

#: The umask that code of a user has in this process, where it is known
_of_user: Optional[int] = None


class WrongKind(NotPrivate):
    """What is there is this user's, and something else than was expected"""


# Folders


def private_folder(path: str) -> None:
    """
    Makes a folder that only this user can look into, unless it is there

    :raises NotPrivate: there is something else
    """
    os.close(open_folder(path, create=True))


def open_folder(path: str, create: bool = False) -> int:
    """
    A descriptor of a private folder: what is done below it is done in that folder, whatever
    is put in its place meanwhile

    :param create: whether it is made if it is missing
    :raises FileNotFoundError: it is missing
    :raises NotPrivate: it is no folder of this user, or others could put another one in its place, or in what is in it
    """
    others_come = require_way(os.path.dirname(path), create)
    folder = _opened(path, None, (path,), create)
    try:
        if stat.S_IMODE(os.fstat(folder).st_mode) == PRIVATE:
            return folder
        if others_come:
            take(folder, path)
        else:
            os.fchmod(folder, PRIVATE)
    except BaseException:
        os.close(folder)
        raise
    return folder


def open_below(folder: int, names: List[str], path: str, create: bool = False) -> int:
    """
    A descriptor of a folder that lies in a private one, however deep. ``folder`` is closed

    :param folder: a descriptor of the private one
    :param names: of the folders on the way, each in the one before
    :param path: of the private folder, to be told in errors
    :raises FileNotFoundError: it is missing
    :raises NotADirectoryError: there is a file where a folder should be
    :raises NotPrivate: one of them is another user's, or a symbolic link
    """
    for depth, name in enumerate(names):
        try:
            below = _opened(name, folder, (path, *names[: depth + 1]), create)
        finally:
            os.close(folder)
        folder = below
    return folder


def _opened(name: str, within: Optional[int], path: Tuple[str, ...], create: bool) -> int:
    for tries in range(_TRIES):
        try:
            folder = os.open(name, _FOLDER, dir_fd=within)
            break
        except FileNotFoundError:
            # One that was emptied may be removed at any time
            if not create or tries == _TRIES - 1:
                raise
            make_folder(name, within)
        except OSError as error:
            raise _no_link(error, name, within, os.path.join(*path)) from None
    try:
        if os.fstat(folder).st_uid != os.geteuid():
            require_ours(os.fstat(folder), os.path.join(*path))
    except BaseException:
        os.close(folder)
        raise
    return folder


# Files


def create_file(folder: int, name: str) -> int:
    """
    A new file in a private folder, open for writing, that only this user can read

    :param folder: a descriptor of the folder
    :raises FileExistsError: something is there, be it a symbolic link
    """
    return _with_mode(os.open(name, _NEW, 0o600, dir_fd=folder))


def open_file(folder: int, name: str, path: str, flags: int = 0) -> int:
    """
    A file of a private folder

    :param folder: a descriptor of the folder
    :param path: of the file, to be told in errors
    :param flags: those of ``os.open``; it is read unless they say otherwise. It is made, for this user alone, if they say so
    :raises FileNotFoundError: it is missing
    :raises NotPrivate: it is another user's, or no file
    """
    try:
        # What is no file, and has no end, must not be waited for
        file = os.open(name, _OLD | os.O_NONBLOCK | flags, 0o600, dir_fd=folder)
    except OSError as error:
        raise _no_link(error, name, folder, path) from None
    try:
        found = os.fstat(file)
        require_ours(found, path)
        if not stat.S_ISREG(found.st_mode):
            raise NotPrivate(f'{path} should be a file, and is something else. Remove it.')
        if flags & os.O_CREAT:
            os.fchmod(file, 0o600)
    except BaseException:
        os.close(file)
        raise
    return file


def read_all(file: int, limit: Optional[int] = None) -> bytes:
    """
    Everything in a file, which is closed

    :param limit: bytes that it may have at the most
    """
    try:
        size = os.fstat(file).st_size
        if limit is not None and size > limit:
            raise OSError(errno.EFBIG, f'it has {size} bytes, and {limit} are the most')
        found, left = [], size + 1
        while True:
            part = os.read(file, max(left, 1))
            if not part:
                return found[0] if len(found) == 1 else b''.join(found)
            found.append(part)
            left -= len(part)
    finally:
        os.close(file)


def write_file(folder: str, name: str, text: str) -> None:
    """
    Puts a file into a private folder, which is made if it is missing: all of it, or nothing

    :raises NotPrivate: the folder is not this user's
    """
    unfinished = f'{name}.{uuid.uuid4().hex[:8]}{UNFINISHED}'
    below = open_folder(folder, create=True)
    try:
        with open(create_file(below, unfinished), 'w', encoding='utf-8') as file:
            file.write(text)
        os.rename(unfinished, name, src_dir_fd=below, dst_dir_fd=below)
    finally:
        os.close(below)


def read_file(folder: str, name: str, limit: int = LARGEST) -> str:
    """
    What a file of a private folder has in it

    :param limit: bytes that it may have at the most
    :raises FileNotFoundError: the file, or the folder, is missing
    :raises NotPrivate: one of the two is not this user's
    """
    below = open_folder(folder)
    try:
        file = open_file(below, name, os.path.join(folder, name))
    finally:
        os.close(below)
    return read_all(file, limit).decode('utf-8')


def append_file(folder: str, name: str, mode: str = 'a') -> IO[str]:
    """
    A file of a private folder, open for what is added to its end. It is made if it is missing

    :param mode: that of ``open``: 'a', or 'a+' where it is read, too
    :raises NotPrivate: the folder, or the file, is not this user's
    """
    below = open_folder(folder)
    try:
        flags = os.O_APPEND | os.O_CREAT | (os.O_RDWR if '+' in mode else os.O_WRONLY)
        return open(open_file(below, name, os.path.join(folder, name), flags), mode, encoding='utf-8')
    finally:
        os.close(below)


def remove_file(folder: str, name: str) -> None:
    """
    Removes a file of a private folder

    :raises FileNotFoundError: the file, or the folder, is missing
    """
    below = open_folder(folder)
    try:
        os.unlink(name, dir_fd=below)
    finally:
        os.close(below)


def make_fifo(folder: str, name: str) -> None:
    """Makes a FIFO in a private folder, unless something has its name"""
    below = open_folder(folder)
    try:
        os.mkfifo(name, 0o600, dir_fd=below)
        os.chmod(name, 0o600, dir_fd=below)
    except FileExistsError:
        pass
    finally:
        os.close(below)


def open_fifo(folder: str, name: str, flags: int) -> int:
    """
    A FIFO of a private folder

    :param flags: those of ``os.open``
    :raises FileNotFoundError: it, or the folder, is missing
    :raises NotPrivate: one of the two is not this user's, or it is no FIFO
    """
    below, path = open_folder(folder), os.path.join(folder, name)
    try:
        fifo = os.open(name, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=below)
    except OSError as error:
        raise _no_link(error, name, below, path) from None
    finally:
        os.close(below)
    try:
        found = os.fstat(fifo)
        require_ours(found, path)
        if not stat.S_ISFIFO(found.st_mode):
            raise WrongKind(f'{path} should be a FIFO, and is something else. Remove it.')
    except BaseException:
        os.close(fifo)
        raise
    return fifo


def _with_mode(file: int) -> int:
    try:
        # A umask can take the owner's own rights
        os.fchmod(file, 0o600)
    except BaseException:
        os.close(file)
        raise
    return file


def _no_link(error: OSError, name: str, within: Optional[int], path: str) -> OSError:
    """What is told of what could not be opened"""
    if error.errno not in (errno.ELOOP, errno.ENOTDIR):
        return error
    try:
        found = os.stat(name, dir_fd=within, follow_symlinks=False)
    except OSError:
        return error
    if stat.S_ISLNK(found.st_mode):
        kind = WrongKind if found.st_uid == os.geteuid() else NotPrivate
        return kind(
            f'{path} is a symbolic link of user {found.st_uid}, and should be a folder or a file. '
            'Remove it, or set TMPDIR to a folder of your own.'
        )
    return error


# What others make in this process


def keep_files_private() -> None:
    """
    What libraries make in this process is for its user alone from here on. Code of a user has the umask of before, or
    the one that it is given
    """
    global _of_user
    before = os.umask(0o077)
    if _of_user is None:
        _of_user = before


def umask_of_user() -> Optional[int]:
    """The umask that code of a user is to have in this process; None: the one that there is"""
    return _of_user


@contextlib.contextmanager
def umask_of_before() -> Iterator[None]:
    """A program that is started meanwhile has the umask of before, too. Not for a process with threads"""
    ours = os.umask(0o077)
    os.umask(ours if _of_user is None else _of_user)
    try:
        yield
    finally:
        os.umask(ours)


def set_umask_of_user(umask: Optional[int]) -> None:
    """
    Says which umask code of a user is to have in this process

    :param umask: None if it is not known
    """
    global _of_user
    if umask is not None:
        _of_user = umask


def restore_umask() -> None:
    """Code of a user begins in this process, and what follows is the user's"""
    global _of_user
    if _of_user is not None:
        os.umask(_of_user)
        _of_user = None
