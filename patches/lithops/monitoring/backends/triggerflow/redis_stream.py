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
A Redis stream, as much of it as a worker needs: to add to one. Redis' own client is not in every runtime.
"""

import contextlib
import socket
import ssl
from typing import Any, Dict, List

#: Seconds for each step of a request
PATIENCE = 10.0


class StreamUnavailable(Exception):
    """Redis cannot be reached, or does not take what it is sent"""


class Stream:
    """
    :param sink: 'host' and 'port' of Redis, 'password' and 'username' if it wants them, the name of the 'stream',
        and whether to use 'tls'
    """

    def __init__(self, sink: Dict[str, Any]):
        self._sink = sink

    def __repr__(self) -> str:
        return f'stream {self._sink["stream"]} of redis://{self._sink["host"]}:{self._sink["port"]}'

    def add(self, entries: List[Dict[str, str]]) -> None:
        """
        Adds entries, in order

        :raises StreamUnavailable: it is not certain that all are there
        """
        commands = [['XADD', self._sink['stream'], '*', *[text for pair in entry.items() for text in pair]] for entry in entries]
        self._ask(commands)

    def check(self) -> None:
        """:raises StreamUnavailable: nothing could be added"""
        self._ask([['PING']])

    def _ask(self, commands: List[List[str]]) -> None:
        if self._sink.get('password'):
            user = [self._sink['username']] if self._sink.get('username') else []
            commands = [['AUTH', *user, self._sink['password']], *commands]
        try:
            with self._connected() as found, found.makefile('rb') as answers:
                found.sendall(b''.join(map(_encoded, commands)))
                for command in commands:
                    _require(answers, command[0])
        except (OSError, UnicodeError, OverflowError) as error:
            # The latter two are of an address that cannot be one
            raise StreamUnavailable(f'{self!r} cannot be reached: {error}') from error

    @contextlib.contextmanager
    def _connected(self):
        address = self._sink['host'], self._sink['port']
        with socket.create_connection(address, timeout=PATIENCE) as plain:
            if not self._sink.get('tls'):
                yield plain
                return
            with ssl.create_default_context().wrap_socket(plain, server_hostname=address[0]) as secured:
                yield secured


def _encoded(command: List[str]) -> bytes:
    """A command in Redis' protocol: an array of bulk strings"""
    words = [word.encode() for word in command]
    return b'*%d\r\n' % len(words) + b''.join(b'$%d\r\n%s\r\n' % (len(word), word) for word in words)


def _require(answers: Any, said: str) -> None:
    line = answers.readline()
    # One that does not know a command tells what came with it, which may be the password
    kind, rest = line[:1], line[1:].strip().decode(errors='replace').partition(', with args')[0]
    if kind == b'$' and rest.isdecimal() and len(rest) < 4:
        answers.read(int(rest) + 2)
    elif kind != b'+':
        raise StreamUnavailable(f'Redis answers to {said}: {rest if kind == b"-" else line!r}')
