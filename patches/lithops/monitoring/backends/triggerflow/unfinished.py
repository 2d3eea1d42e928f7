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
Files that are being written, and what is left of them when their writer was killed.

A writer holds a lock on its file, which the operating system takes away when the writer has ended, however it ended.
So a file that nobody holds has no writer any more, however slow a writer may be, and whatever process has its id by now.
"""

import contextlib
import fcntl
import os
import time
from typing import IO, Any, List

#: The folder, beside the buckets, in which the objects of Lithops' localhost storage are written
UNFINISHED = 'unfinished'
#: Seconds after the last change of a file for which nobody asks about its writer: it may be about to take its lock, or to
#: give the file its name
AGE = 60.0


def unfinished_name(name: str) -> str:
    """Of a file that is to be called ``name``"""
    return f'.{name}'


def own(file: IO[Any]) -> None:
    """Says that this process is writing a file, until it is closed"""
    # A file system without locks shows no owners, and nothing on it is taken for abandoned
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remove_abandoned(folder: str, beginning: str = '', age: float = AGE) -> List[str]:
    """
    Removes the files whose writers are gone

    :param folder: of files that are being written
    :param beginning: of their names
    :param age: seconds since they were changed
    :return: their names
    """
    removed = []
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                if name.startswith(beginning) and os.lstat(path).st_mtime < time.time() - age and _is_abandoned(path):
                    os.unlink(path)
                    removed.append(name)
    return removed


def _is_abandoned(path: str) -> bool:
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    finally:
        os.close(file)
