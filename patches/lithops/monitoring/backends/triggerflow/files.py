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
import tempfile
from typing import List, Optional

from lithops import constants

from .triggers.store import StoreUnavailable
from .unfinished import UNFINISHED, own


class LocalhostStore:
    """
    The objects of Lithops' localhost storage, read and written for ourselves.

    Lithops' own writes are not atomic, and its reads take any error for an absent
    key. Here an object appears by a hard link to a file that is complete already:
    whole, and for one writer only.
    """

    def __init__(self, bucket: str, root: Optional[str] = None):
        self._root = os.path.join(root or constants.LITHOPS_TEMP_DIR, bucket)
        # Beside the bucket, on the same file system, so that no listing shows it
        self._unfinished = os.path.join(root or constants.LITHOPS_TEMP_DIR, 'triggerflow', UNFINISHED)

    def __repr__(self) -> str:
        return f'LocalhostStore({self._root})'

    def get(self, key: str) -> Optional[bytes]:
        """The value, or None when there is none"""
        try:
            with open(os.path.join(self._root, key), 'rb') as stored:
                return stored.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise StoreUnavailable(f'{key} cannot be read: {error}') from error

    def has(self, key: str) -> bool:
        """Whether there is an object: one look at a file that is not opened"""
        try:
            os.stat(os.path.join(self._root, key))
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
            self._collect(folder, start, keys)
        except OSError as error:
            raise StoreUnavailable(f'{prefix} cannot be listed: {error}') from error
        return sorted(keys)

    def put_new(self, key: str, value: bytes) -> bool:
        """Writes if the key is absent. True: created; False: exists"""
        path = os.path.join(self._root, key)
        unfinished = None
        try:
            os.makedirs(self._unfinished, exist_ok=True)
            handle, unfinished = tempfile.mkstemp(dir=self._unfinished)
            with os.fdopen(handle, 'wb') as stored:
                own(stored)
                stored.write(value)
                stored.flush()
                return self._link(unfinished, path)
        except OSError as error:
            raise StoreUnavailable(f'{key} cannot be written: {error}') from error
        finally:
            if unfinished is not None:
                try:
                    os.unlink(unfinished)
                except OSError:
                    pass

    @staticmethod
    def _link(unfinished: str, path: str) -> bool:
        # A folder that was emptied is removed, maybe just now
        for _ in range(3):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                os.link(unfinished, path)
                return True
            except FileExistsError:
                return False
            except FileNotFoundError:
                continue
        raise FileNotFoundError('its folder vanishes')

    def delete(self, keys: List[str]) -> None:
        """Removes objects, and the folders that are empty then"""
        folders = set()
        for key in keys:
            path = os.path.join(self._root, key)
            try:
                os.unlink(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise StoreUnavailable(f'{key} cannot be deleted: {error}') from error
            folders.add(os.path.dirname(path))
        for folder in sorted(folders, key=len, reverse=True):
            self._remove_empty(folder)

    def _collect(self, folder: str, start: str, keys: List[str]) -> None:
        try:
            entries = os.scandir(os.path.join(self._root, folder))
        except (FileNotFoundError, NotADirectoryError):
            return
        with entries:
            for entry in entries:
                if not entry.name.startswith(start):
                    continue
                key = f'{folder}/{entry.name}' if folder else entry.name
                if entry.is_dir(follow_symlinks=False):
                    self._collect(key, '', keys)
                else:
                    keys.append(key)

    def _remove_empty(self, folder: str) -> None:
        while len(folder) > len(self._root):
            try:
                os.rmdir(folder)
            except OSError:
                return
            folder = os.path.dirname(folder)
