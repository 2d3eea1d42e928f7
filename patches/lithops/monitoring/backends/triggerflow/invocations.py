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
The documents of the local function service's queue: what is written when invocations are handed in,
and what the service, and clients that sweep, read of it.

Nothing in such a file is believed that was not checked here. What the service does not read itself is
checked by the process that runs the invocation, and can harm that process only.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Set

from .compute import PayloadTooLarge
from .core.run.keys import Call, is_run_id, run_of_session
from .documents import count, document, number, read_document, read_text, text, unexpected

#: Of these documents
VERSION = 1
#: Of what every payload of a run carries
RUN_VERSION = 1
#: Characters of chunks in one file; those of a wide map are in several ones
ROOM = 4 * 1024 * 1024
#: Characters of what all chunks have in common. So no file is larger than what is read
LARGEST_PAYLOAD = 16 * 1024 * 1024
#: Bytes of the notes which chunks of a file are done
LARGEST_NOTES = 4 * 1024 * 1024

ACTIVATION, CALL = 'activation', 'call'

_CALL_ID = re.compile(r'[0-9]{5}')


@dataclass(frozen=True)
class Invocation:
    """
    One document of the queue

    :ivar payload: a Lithops payload, but for what differs between chunks
    :ivar chunks: what differs: 'call_ids', and their data
    :ivar due: seconds since the epoch before which none of them starts
    """

    payload: Dict[str, Any]
    chunks: List[Dict[str, Any]]
    due: float

    @property
    def run(self) -> Dict[str, Any]:
        """What every payload of the run carries, and what this one has beyond that"""
        return self.payload['triggerflow']

    @property
    def session(self) -> str:
        """Of the run that this belongs to"""
        return self.run['session']

    @property
    def is_activation(self) -> bool:
        """Whether this runs an orchestrator, and no call"""
        return self.run['subject'] == ACTIVATION

    @property
    def config(self) -> Dict[str, Any]:
        """Lithops' configuration"""
        return self.payload['config']

    @property
    def slots(self) -> int:
        """How many calls may be under way when one of these has started"""
        return self.config['localhost']['worker_processes']

    @property
    def idle_seconds(self) -> float:
        """How long the service stays when there is nothing to do"""
        return self.config['triggerflow']['idle_seconds']

    @property
    def is_fresh(self) -> bool:
        """Whether each chunk runs in an interpreter that nothing has run in before"""
        return bool(self.config['triggerflow'].get('fresh_interpreters'))

    def life(self, chunk: int) -> float:
        """Seconds that the calls of a chunk can take at the most"""
        return float(len(self.chunks[chunk]['call_ids']) * self.payload['execution_timeout'])

    def chunk_payload(self, chunk: int, redelivered: bool) -> Dict[str, Any]:
        """The whole Lithops payload of one chunk"""
        return {**self.payload, **self.chunks[chunk], 'triggerflow': {**self.run, 'redelivered': redelivered}}

    def calls(self, chunk: int) -> Set[Call]:
        """The calls of a chunk"""
        return {Call(self.run['job'], int(call_id)) for call_id in self.chunks[chunk]['call_ids']}


def read_invocation(path: str) -> Invocation:
    """
    What a file of the queue asks for

    :raises DamagedFile: it is no invocation
    :raises FileNotFoundError: it is missing: it is done by now
    :raises OSError: it cannot be read now, and may be later
    """
    return _checked(read_document(path))


def documents_of(payload: Dict[str, Any], chunks: List[Dict[str, Any]], due: float) -> Iterator[str]:
    """
    What is written into the queue: one document, or several if there is much in the chunks

    :raises PayloadTooLarge: nobody would read it
    """
    common = json.dumps({'version': VERSION, 'due': due, 'payload': payload})
    if len(common) > LARGEST_PAYLOAD:
        raise PayloadTooLarge(
            f'An invocation of {payload["func_name"]} has {len(common)} bytes; the local function service takes '
            f'{LARGEST_PAYLOAD} at the most. What makes it large is extra_env, or the configuration: hand large values over '
            'as arguments.'
        )
    waiting: List[str] = []
    room = ROOM
    for chunk in map(json.dumps, chunks):
        if waiting and len(chunk) > room:
            yield _joined(common, waiting)
            waiting, room = [], ROOM
        waiting.append(chunk)
        room -= len(chunk)
    yield _joined(common, waiting)


def _joined(common: str, chunks: List[str]) -> str:
    return f'{common[:-1]}, "chunks": [{", ".join(chunks)}]}}'


def chunks_done(path: str) -> Set[int]:
    """
    Which chunks of a file of the queue are done

    :param path: of that file
    :raises DamagedFile: the notes of that are no text, or too large
    :raises OSError: they cannot be read now, and may be later
    """
    try:
        noted = read_text(f'{path}.done', LARGEST_NOTES)
    except FileNotFoundError:
        return set()
    # A line that a full disk has cut short has no end
    return {int(line) for line in re.findall(r'^([0-9]{1,6});$', noted, re.MULTILINE)}


def _checked(found: Dict[str, Any]) -> Invocation:
    if found.get('version') != VERSION or isinstance(found['version'], (bool, float)):
        raise unexpected("'version'", found.get('version'), f'{VERSION}')
    payload, chunks = document(found.get('payload'), "'payload'"), found.get('chunks')
    config = checked_config(payload.get('config'))
    count(document(config.get('localhost'), "'localhost'").get('worker_processes'), "'worker_processes'", least=1)
    number(config['triggerflow'].get('idle_seconds'), "'idle_seconds'")
    field = checked_run(payload.get('triggerflow'))
    if field.get('subject') not in (ACTIVATION, CALL):
        raise unexpected("'subject'", field.get('subject'), f"'{ACTIVATION}' or '{CALL}'")
    count(field.get('number'), "'number'")
    if field['subject'] == CALL:
        text(field.get('job'), "'job'")
    number(payload.get('execution_timeout'), "'execution_timeout'")
    text(payload.get('job_key'), "'job_key'")
    if payload.get('runtime_memory') is not None:
        number(payload['runtime_memory'], "'runtime_memory'")
    if not isinstance(chunks, list) or not chunks:
        raise unexpected("'chunks'", chunks, 'a list with something in it')
    for chunk in chunks:
        _check_call_ids(document(chunk, 'a chunk').get('call_ids'))
    return Invocation(payload, chunks, number(found.get('due'), "'due'"))


def _check_call_ids(found: Any) -> None:
    if not isinstance(found, list) or not found:
        raise unexpected("'call_ids'", found, 'a list with something in it')
    for call_id in found:
        if not isinstance(call_id, str) or not _CALL_ID.fullmatch(call_id):
            raise unexpected('a call id', call_id, 'a text of five digits')


def checked_run(found: Any) -> Dict[str, Any]:
    """
    What every payload of a run carries, as it is read from a disk

    :raises DamagedFile: it is none
    """
    field = document(found, 'what it carries of its run')
    if field.get('version') != RUN_VERSION or isinstance(field['version'], (bool, float)):
        raise unexpected("'version' of its run", field.get('version'), f'{RUN_VERSION}')
    run_id, session = field.get('run_id'), text(field.get('session'), "'session'")
    if not is_run_id(run_id):
        raise unexpected("'run_id'", run_id, 'the id of a run')
    if run_of_session(session)[0] != run_id or not is_run_id(run_of_session(session)[1]):
        raise unexpected("'session'", session, f'one of run {run_id}')
    orchestrator = document(field.get('orchestrator'), "'orchestrator'")
    number(orchestrator.get('execution_timeout'), "'execution_timeout' of its orchestrator")
    count(orchestrator.get('max_deaths'), "'max_deaths'")
    document(field.get('retry'), "'retry'")
    return field


def checked_config(found: Any) -> Dict[str, Any]:
    """
    A configuration of Lithops, as much of it as the local function service needs, as it is read from a disk

    :raises DamagedFile: it is none
    """
    config = document(found, "'config'")
    lithops = document(config.get('lithops'), "'lithops'")
    text(lithops.get('backend'), "'backend'")
    storage = text(lithops.get('storage'), "'storage'")
    if storage == 'localhost':
        text(document(config.get(storage), f"'{storage}'").get('storage_bucket'), "'storage_bucket'")
    text(document(config.get('triggerflow'), "'triggerflow'").get('service'), "'service'")
    return config
