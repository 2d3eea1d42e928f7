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
Create-only objects in the folder that is Lithops' localhost storage.
"""

import os
import uuid
from typing import List, Optional, Tuple

from lithops import constants

from .core.store import StoreUnavailable
from .private import create_file, open_below, open_file, open_folder, read_all
from .unfinished import UNFINISHED, own

#: Folder of what is not complete. It is beside the bucket, on the same file system, so that no listing shows it
_UNFINISHED = ['triggerflow', UNFINISHED]
_TRIES = 3


class LocalhostStore:
    """
    The objects of Lithops' localhost storage, read and written for ourselves.

    Lithops' own writes are not atomic, and its reads take any error for an absent
    key. Here an object appears by a hard link to a file that is complete already:
    whole, and for one writer only.

    What is read may be unpickled. So it has to be this user's own, from Lithops' temporary
    folder down to the object (see ``private``).
    """

    def __init__(self, bucket: str, root: Optional[str] = None):
        self._home = root or constants.LITHOPS_TEMP_DIR
        self._bucket = bucket

    def __repr__(self) -> str:
        return f'LocalhostStore({os.path.join(self._home, self._bucket)})'

    def get(self, key: str) -> Optional[bytes]:
        """The value, or None when there is none"""
        folders, name = self._split(key)
        try:
            below = self._open(folders)
            try:
                return read_all(open_file(below, name, self._path(key)))
            finally:
                os.close(below)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreUnavailable(f'{key} cannot be read: {error}') from error

    def has(self, key: str) -> bool:
        """Whether there is an object: one look at a file that is not opened"""
        folders, name = self._split(key)
        try:
            below = self._open(folders)
            try:
                os.stat(name, dir_fd=below, follow_symlinks=False)
            finally:
                os.close(below)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, ValueError) as error:
            raise StoreUnavailable(f'{key} cannot be looked for: {error}') from error
        return True

    def list(self, prefix: str) -> List[str]:
        """All keys that begin with ``prefix``, sorted"""
        folder, _, start = prefix.rpartition('/')
        keys: List[str] = []
        try:
            below = self._open(self._split(f'{folder}/')[0])
            try:
                self._collect(below, folder, start, keys)
            finally:
                os.close(below)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StoreUnavailable(f'{prefix} cannot be listed: {error}') from error
        return sorted(keys)

    def put_new(self, key: str, value: bytes) -> bool:
        """Writes if the key is absent. True: created; False: exists"""
        folders, name = self._split(key)
        unfinished = uuid.uuid4().hex
        try:
            beside = open_below(open_folder(self._home, create=True), _UNFINISHED, self._home, create=True)
            try:
                with open(create_file(beside, unfinished), 'wb') as stored:
                    own(stored)
                    stored.write(value)
                    stored.flush()
                    return self._link(beside, unfinished, folders, name)
            finally:
                _remove(unfinished, beside)
                os.close(beside)
        except OSError as error:
            raise StoreUnavailable(f'{key} cannot be written: {error}') from error

    def delete(self, keys: List[str]) -> None:
        """Removes objects, and the folders that are empty then"""
        emptied = set()
        for key in keys:
            folders, name = self._split(key)
            try:
                below = self._open(folders)
                try:
                    os.unlink(name, dir_fd=below)
                finally:
                    os.close(below)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise StoreUnavailable(f'{key} cannot be deleted: {error}') from error
            emptied.add(tuple(folders))
        for path in sorted(emptied, key=len, reverse=True):
            self._remove_empty(list(path))

    def make_private(self, key: str) -> None:
        """
        Lithops is about to write an object: it will be for this user alone

        :raises OSError: it cannot be made, or it is another user's
        """
        folders, name = self._split(key)
        below = self._open(folders, create=True)
        try:
            os.close(open_file(below, name, self._path(key), os.O_WRONLY | os.O_CREAT))
        finally:
            os.close(below)

    def _split(self, key: str) -> Tuple[List[str], str]:
        """The folders that an object lies in, the bucket the first of them, and its name"""
        *folders, name = key.split('/')
        folders = [folder for folder in folders if folder not in ('', '.')]
        if '..' in folders or name in ('.', '..'):
            raise StoreUnavailable(f'{key!r} is not the key of an object: it leads out of the bucket')
        return [self._bucket, *folders], name

    def _open(self, folders: List[str], create: bool = False) -> int:
        return open_below(open_folder(self._home, create), folders, self._home, create)

    def _path(self, key: str) -> str:
        return os.path.join(self._home, self._bucket, key)

    def _link(self, beside: int, unfinished: str, folders: List[str], name: str) -> bool:
        for _ in range(_TRIES):
            below = self._open(folders, create=True)
            try:
                os.link(unfinished, name, src_dir_fd=beside, dst_dir_fd=below, follow_symlinks=False)
                return True
            except FileExistsError:
                return False
            except FileNotFoundError:
                continue  # a folder that was emptied is removed, maybe just now
            finally:
                os.close(below)
        raise FileNotFoundError('its folder vanishes')

    def _collect(self, below: int, folder: str, start: str, keys: List[str]) -> None:
        with os.scandir(below) as entries:
            for entry in entries:
                if not entry.name.startswith(start):
                    continue
                key = f'{folder}/{entry.name}' if folder else entry.name
                if not entry.is_dir(follow_symlinks=False):
                    keys.append(key)
                    continue
                try:
                    inside = open_below(os.dup(below), [entry.name], self._path(folder))
                except (FileNotFoundError, NotADirectoryError):
                    continue
                try:
                    self._collect(inside, key, '', keys)
                finally:
                    os.close(inside)

    def _remove_empty(self, folders: List[str]) -> None:
        while len(folders) > 1:
            *above, name = folders
            try:
                below = self._open(above)
                try:
                    os.rmdir(name, dir_fd=below)
                finally:
                    os.close(below)
            except OSError:
                return
            folders = above


def _remove(name: str, folder: int) -> None:
    try:
        os.unlink(name, dir_fd=folder)
    except OSError:
        pass
