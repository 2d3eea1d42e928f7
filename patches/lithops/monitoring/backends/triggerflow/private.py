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

Lithops' temporary folder may lie where other users can write. What another user has put
there, a folder or a symbolic link, is refused: nothing is read from it or written to it.
"""

import errno
import os
import stat
import uuid
from typing import IO

#: The end of the name of a file that is not complete
UNFINISHED = '.new'

#: Bytes of a file that is read, unless it is said otherwise. What is larger is no file of ours
LARGEST = 32 * 1024 * 1024

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class NotPrivate(OSError):
    """A folder or a file that another user has made, or a symbolic link in its place"""


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
    :raises NotPrivate: it is no folder of this user
    """
    if create:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            os.mkdir(path, 0o700)
        except FileExistsError:
            pass
    try:
        folder = os.open(path, _OLD | os.O_DIRECTORY)
    except OSError as error:
        raise _no_link(error, path) from None
    try:
        _require_ours(folder, path)
        if stat.S_IMODE(os.fstat(folder).st_mode) != 0o700:
            os.fchmod(folder, 0o700)
    except BaseException:
        os.close(folder)
        raise
    return folder


def create_file(path: str) -> IO[str]:
    """
    A new file, open for writing, that only this user can read

    :raises FileExistsError: something is there, be it a symbolic link
    """
    return _writable(os.open(path, _NEW, 0o600))


def write_file(folder: str, name: str, text: str) -> None:
    """
    Puts a file into a private folder, which is made if it is missing: all of it, or nothing

    :raises NotPrivate: the folder is not this user's
    """
    unfinished = f'{name}.{uuid.uuid4().hex[:8]}{UNFINISHED}'
    below = open_folder(folder, create=True)
    try:
        with _writable(os.open(unfinished, _NEW, 0o600, dir_fd=below)) as file:
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
    path = os.path.join(folder, name)
    try:
        # What is no file, and has no end, must not be waited for
        with open(os.open(name, _OLD | os.O_NONBLOCK, dir_fd=below), encoding='utf-8') as file:
            _require_ours(file.fileno(), path)
            # Room is made for as much as is asked for
            return file.read(_size_of(file.fileno(), path, limit) + 1)
    except OSError as error:
        raise _no_link(error, path) from None
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


def _writable(file: int) -> IO[str]:
    os.fchmod(file, 0o600)
    return open(file, 'w', encoding='utf-8')


def _no_link(error: OSError, path: str) -> OSError:
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return NotPrivate(f'{path} is a symbolic link, or something else than was expected. Remove it, or set another TMPDIR.')
    return error


def _size_of(file: int, path: str, limit: int) -> int:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        raise NotPrivate(f'{path} is no file. Remove it.')
    if found.st_size > limit:
        raise OSError(errno.EFBIG, f'it has {found.st_size} bytes, and {limit} are the most', path)
    return found.st_size


def _require_ours(file: int, path: str) -> None:
    owner = os.fstat(file).st_uid
    if owner != os.geteuid():
        raise NotPrivate(
            f'{path} belongs to user {owner}, and this process is of user {os.geteuid()}. Remove it, or set another TMPDIR.'
        )
