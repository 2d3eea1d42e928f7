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
What belongs to the user of this process alone, and what another user could have changed.

Lithops' temporary folder may lie where other users can write, and Lithops makes it by the umask
that it finds. So nothing is believed here because of its path: the way to a folder is looked at from
the root on, and a folder that others could enter is looked through before it is used.
"""

import contextlib
import functools
import logging
import os
import stat
from typing import Dict, FrozenSet, List, Tuple

logger = logging.getLogger(__name__)

#: The mode of a folder that is for its owner alone, and always was, or has been looked through
PRIVATE = 0o700
#: … and of one that is being looked through: if this process is killed meanwhile, the next one begins again
CLOSED = 0o1700
#: Symbolic links on the way to one folder
MAX_LINKS = 40

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ELSEWHERE = 'Set TMPDIR to a folder of your own.'
_REMOVE = 'Remove it, or set TMPDIR to a folder of your own.'

#: Of a file that has several names: how many it has, and those that were found
_Names = Dict[Tuple[int, int], Tuple[int, List[str]]]


class NotPrivate(OSError):
    """A folder or a file that another user has made or could have changed, or a symbolic link in its place"""


def require_ours(found: os.stat_result, path: str) -> None:
    """
    Checks the owner of what was opened

    :raises NotPrivate: it belongs to another user
    """
    if found.st_uid != os.geteuid():
        raise NotPrivate(f'{path} belongs to user {found.st_uid}, and this process is of user {os.geteuid()}. {_REMOVE}')


def require_way(path: str, create: bool = False) -> bool:
    """
    Goes to a folder from the root on, and checks that nobody but root and this user can lead it elsewhere

    :param create: whether folders that are missing are made, for this user alone
    :return: whether other users can go there, too
    :raises FileNotFoundError: a folder is missing
    :raises NotPrivate: another user can put something else in the place of a folder
    """
    here, names, links, others_come = os.sep, _names(path), 0, True
    while True:
        found = _lstat(here, create)
        _require_trusted(found, here, path)
        if stat.S_ISLNK(found.st_mode):
            links += 1
            if links > MAX_LINKS:
                raise NotPrivate(f'{here} is one of more than {MAX_LINKS} symbolic links on the way to {path}. {_ELSEWHERE}')
            # The way begins anew, for a link may lead out of a folder that nobody else can enter
            names = _names(os.path.join(os.path.dirname(here), os.readlink(here))) + names
            here, others_come = os.sep, True
            continue
        if others_come and found.st_uid == os.geteuid() and not found.st_mode & 0o011:
            # Nobody else can enter this one, so it does not matter who may write to what is in it
            others_come = False
        if others_come and _others_write(found) and not found.st_mode & stat.S_ISVTX:
            raise NotPrivate(
                f'{here}, on the way to {path}, has mode {_mode(found)}: other users can put another folder in the place of one '
                f'in it. {_ELSEWHERE}'
            )
        if not names:
            return others_come
        # No part of the way until here is a link any more, so '..' is the folder above
        name = names.pop(0)
        here = os.path.dirname(here) if name == os.pardir else os.path.join(here, name)


def take(folder: int, path: str) -> None:
    """
    Makes a folder of ours, which others could enter until now, private, and looks through it

    :param folder: a descriptor of it
    :raises NotPrivate: others have put something into it, or could have changed what is in it. Then it stays as it was
    """
    before = os.fstat(folder)
    os.fchmod(folder, CLOSED)
    try:
        # What is refused stays as it was, and is refused the next time, too. So no mode is changed before all was seen
        for close in (False, True):
            names: _Names = {}
            _look_through(folder, path, _others_write(before), names, close)
            for count, found in names.values():
                if len(found) < count:
                    raise NotPrivate(f'{found[0]} is a hard link: the file has another name, outside of {path}. {_REMOVE}')
    except BaseException:
        os.fchmod(folder, stat.S_IMODE(before.st_mode))
        raise
    os.fchmod(folder, PRIVATE)
    after = os.fstat(folder)
    if stat.S_IMODE(after.st_mode) != PRIVATE:
        raise NotPrivate(f'{path} has mode {_mode(after)}, and its file system does not let it have 0700. {_ELSEWHERE}')
    logger.info(f'{path} had mode {_mode(before)}. It has mode 0700 now, so that no other user can enter it')


def _look_through(folder: int, path: str, others_wrote: bool, names: _Names, close: bool) -> None:
    """
    Checks what lies in a folder that others could enter

    :param others_wrote: whether they could have put something into it, or taken it out
    :param close: whether the folders in it become private
    """
    for name in os.listdir(folder):
        where = os.path.join(path, name)
        try:
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            require_ours(found, where)
            if stat.S_ISDIR(found.st_mode):
                _look_through_below(folder, name, where, names, close)
            elif stat.S_ISLNK(found.st_mode) and not others_wrote:
                continue
            elif others_wrote or _others_write(found):
                kind = 'lies in a folder in which other users could write' if others_wrote else f'has mode {_mode(found)}'
                raise NotPrivate(f'{where} {kind}: another user could have changed it. {_REMOVE}')
            elif found.st_nlink > 1:
                names.setdefault((found.st_dev, found.st_ino), (found.st_nlink, []))[1].append(where)
        except FileNotFoundError:
            continue  # another process of ours has just removed it


def _look_through_below(folder: int, name: str, path: str, names: _Names, close: bool) -> None:
    below = os.open(name, _FOLDER, dir_fd=folder)
    before = os.fstat(below)
    try:
        if not before.st_mode & 0o011:
            # Nobody else could enter this one
            _require_all_ours(below, path)
            return
        if close:
            # A user who has been there may still have it open. With this mode nothing can be put into it any more
            os.fchmod(below, PRIVATE)
        _look_through(below, path, _others_write(before), names, close)
    except BaseException:
        if close:
            os.fchmod(below, stat.S_IMODE(before.st_mode))
        raise
    finally:
        os.close(below)


def _require_all_ours(folder: int, path: str) -> None:
    for here, folders, files, descriptor in os.fwalk('.', dir_fd=folder):
        for name in folders + files:
            where = os.path.normpath(os.path.join(path, here, name))
            with contextlib.suppress(FileNotFoundError):
                require_ours(os.stat(name, dir_fd=descriptor, follow_symlinks=False), where)


def _lstat(path: str, create: bool) -> os.stat_result:
    try:
        return os.lstat(path)
    except FileNotFoundError:
        if not create:
            raise
        make_folder(path)
        return os.lstat(path)


def make_folder(name: str, within: 'int | None' = None) -> None:
    """
    Makes a folder for this user alone, unless something has its name

    :param within: a descriptor of the folder above
    """
    try:
        os.mkdir(name, PRIVATE, dir_fd=within)
        # A umask can take the owner's own rights
        os.chmod(name, PRIVATE, dir_fd=within)
    except FileExistsError:
        pass


def _require_trusted(found: os.stat_result, here: str, path: str) -> None:
    if found.st_uid not in _trusted(os.geteuid()):
        raise NotPrivate(
            f'{here}, on the way to {path}, belongs to user {found.st_uid}: it should belong to root, or to user '
            f'{os.geteuid()}, who runs this process. {_ELSEWHERE}'
        )


@functools.cache
def _trusted(user: int) -> FrozenSet[int]:
    """Users who may have made what lies on the way: this one, and root"""
    return frozenset({0, user}) | _unknown_users()


def _unknown_users() -> FrozenSet[int]:
    """What root of the machine is called in a container that has users of its own: no number is mapped to it"""
    try:
        with open('/proc/self/uid_map') as users, open('/proc/sys/fs/overflowuid') as overflow:
            lines = [line.split() for line in users]
            return frozenset() if lines == [['0', '0', '4294967295']] else frozenset({int(overflow.read())})
    except (OSError, ValueError):
        return frozenset()


def _others_write(found: os.stat_result) -> bool:
    mode = found.st_mode
    return bool(mode & stat.S_IWOTH) or (bool(mode & stat.S_IWGRP) and not _is_group_of_one(found.st_gid))


@functools.cache
def _is_group_of_one(group: int) -> bool:
    """
    Whether nobody but this user is in a group. Many systems give each user such a group, and with it a
    umask by which the group may write
    """
    import grp
    import pwd

    if group not in (os.getegid(), *os.getgroups()):
        return False
    users = pwd.getpwall()
    ours = {user.pw_name for user in users if user.pw_uid in (0, os.geteuid())}
    try:
        members = set(grp.getgrgid(group).gr_mem)
    except KeyError:
        members = set()
    others = any(user.pw_gid == group and user.pw_name not in ours for user in users)
    return not others and members <= ours


def _names(path: str) -> List[str]:
    return [name for name in path.split(os.sep) if name not in ('', os.curdir)]


def _mode(found: os.stat_result) -> str:
    return f'{stat.S_IMODE(found.st_mode):04o}'
