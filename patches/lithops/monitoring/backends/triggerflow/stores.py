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
Create-only objects over Lithops' storage handlers.

Each store answers *created* or *exists*, a value or *absent*, and raises
``StoreUnavailable`` when it does not know; the contract is that of
``triggers.store.Store``. Reading, listing and deleting are Lithops' own requests.
Creating needs a condition that the server itself checks, and each kind of store says
it in another way.
"""

import contextlib
from typing import Any, Dict, Iterator, List, Optional, Type

from lithops.config import extract_storage_config
from lithops.storage import Storage
from lithops.storage.utils import StorageNoSuchKeyError

from .core.run.keys import PROBE
from .core.store import Store, StoreUnavailable, new_nonce
from .localhost_store import LocalhostStore

#: Setting of the ``triggerflow`` section: work on a store that does not keep what was
#: written first
UNGUARDED = 'unguarded_writes'


class UnsupportedStorageError(Exception):
    """A storage backend, or a server, on which two writers may both be the first"""


class HandlerStore:
    """
    Any storage that Lithops knows, where nothing can be asked of the server: it looks,
    and then it writes. Two writers at the same moment may both be told that they were first

    :param handler: Lithops' own, of the storage backend
    :param bucket: where all objects are
    """

    def __init__(self, handler: Any, bucket: str):
        self._handler = handler
        self._bucket = bucket

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self._bucket})'

    def get(self, key: str) -> Optional[bytes]:
        """The value, or None when there is none"""
        with self._asking('get', key):
            try:
                return self._get(key)
            except StorageNoSuchKeyError:
                return None

    def list(self, prefix: str) -> List[str]:
        """All keys that begin with ``prefix``, sorted"""
        with self._asking('list', prefix):
            return sorted(self._list(prefix))

    def put_new(self, key: str, value: bytes) -> bool:
        """Writes if the key is absent. True: created; False: exists"""
        with self._asking('put', key):
            return self._create(key, value)

    def delete(self, keys: List[str]) -> None:
        """Removes objects"""
        if keys:
            with self._asking('delete', f'{keys[0]} and {len(keys) - 1} more'):
                self._delete(keys)

    @contextlib.contextmanager
    def _asking(self, what: str, key: str) -> Iterator[None]:
        """Whatever a client library raises: it is not known what the server has"""
        try:
            yield
        except StoreUnavailable:
            raise
        except Exception as error:
            raise StoreUnavailable(f'{what} {self._bucket}/{key}: {type(error).__name__}: {error}') from error

    def _get(self, key: str) -> bytes:
        return self._handler.get_object(self._bucket, key)

    def _list(self, prefix: str) -> List[str]:
        return self._handler.list_keys(self._bucket, prefix)

    def _create(self, key: str, value: bytes) -> bool:
        if self.get(key) is not None:
            return False
        self._handler.put_object(self._bucket, key, value)
        return True

    def _delete(self, keys: List[str]) -> None:
        self._handler.delete_objects(self._bucket, keys)


class S3Store(HandlerStore):
    """A store that speaks S3, and knows ``If-None-Match: *``"""

    def __init__(self, handler: Any, bucket: str):
        super().__init__(handler, bucket)
        self._client = handler.get_client()
        # Client libraries of before 2024, and IBM's, do not know this parameter by themselves
        events = self._client.meta.events
        events.register('provide-client-params.s3.PutObject', _take_condition, unique_id='triggerflow-condition')
        events.register('before-call.s3.PutObject', _send_condition, unique_id='triggerflow-condition-sent')

    def _create(self, key: str, value: bytes) -> bool:
        try:
            self._client.put_object(Bucket=self._bucket, Key=key, Body=value, IfNoneMatch='*')
        except self._client.exceptions.ClientError as error:
            # 409 is no answer: another writer was at it at the same moment
            if error.response['ResponseMetadata']['HTTPStatusCode'] == 412:
                return False
            raise
        return True

    def _delete(self, keys: List[str]) -> None:
        for answer in self._handler.delete_objects(self._bucket, keys):
            failed = answer.get('Errors')
            if failed:
                raise StoreUnavailable(f'{len(failed)} objects were not deleted, such as {failed[0]}')


def _take_condition(params: Dict[str, Any], context: Dict[str, Any], **_: Any) -> Dict[str, Any]:
    params = dict(params)
    context['triggerflow_condition'] = params.pop('IfNoneMatch', None)
    return params


def _send_condition(params: Dict[str, Any], context: Dict[str, Any], **_: Any) -> None:
    if context.get('triggerflow_condition'):
        params['headers']['If-None-Match'] = context['triggerflow_condition']


class RedisStore(HandlerStore):
    """Redis, as Lithops lays objects out in it: a value, and a set for each folder"""

    def _create(self, key: str, value: bytes) -> bool:
        parts = f'{self._bucket}/{key}'.split('/')
        with self._handler.get_client().pipeline(transaction=True) as pipeline:
            for depth in range(1, len(parts)):
                folder, inside = '/'.join(parts[:depth]), parts[depth]
                pipeline.sadd(f'{folder}/', inside if depth == len(parts) - 1 else f'{inside}/')
            pipeline.set('/'.join(parts), value, nx=True)
            return bool(pipeline.execute()[-1])


class AzureStore(HandlerStore):
    """Azure's blobs, which are not overwritten unless one says so"""

    @property
    def _container(self) -> Any:
        return self._handler.get_client().get_container_client(self._bucket)

    def _list(self, prefix: str) -> List[str]:
        # Lithops takes every error for a container that is not there
        return list(self._container.list_blob_names(name_starts_with=prefix))

    def _create(self, key: str, value: bytes) -> bool:
        from azure.core.exceptions import ResourceExistsError

        try:
            self._container.upload_blob(key, value, overwrite=False)
        except ResourceExistsError as error:
            if error.error_code != 'BlobAlreadyExists':
                raise
            return False
        return True

    def _delete(self, keys: List[str]) -> None:
        from azure.core.exceptions import ResourceNotFoundError

        for key in keys:
            with contextlib.suppress(ResourceNotFoundError):
                self._container.delete_blob(key)


class GoogleStore(HandlerStore):
    """Google's objects, each of which has a generation: 0 is that of one that is absent"""

    @property
    def _objects(self) -> Any:
        # Without asking whether the bucket is there, as Lithops does each time
        return self._handler.get_client().bucket(self._bucket)

    def _get(self, key: str) -> bytes:
        from google.api_core.exceptions import NotFound

        try:
            return self._objects.blob(key).download_as_bytes()
        except NotFound:
            raise StorageNoSuchKeyError(self._bucket, key) from None

    def _list(self, prefix: str) -> List[str]:
        return [blob.name for blob in self._objects.list_blobs(prefix=prefix)]

    def _create(self, key: str, value: bytes) -> bool:
        from google.api_core.exceptions import PreconditionFailed

        try:
            self._objects.blob(key).upload_from_string(value, if_generation_match=0)
        except PreconditionFailed:
            return False
        return True

    def _delete(self, keys: List[str]) -> None:
        self._objects.delete_blobs(keys, on_error=lambda blob: None)


#: By the name of Lithops' storage backend
KINDS: Dict[str, Type[HandlerStore]] = {
    'aws_s3': S3Store,
    'ceph': S3Store,
    'ibm_cos': S3Store,
    'minio': S3Store,
    'redis': RedisStore,
    'azure_storage': AzureStore,
    'gcp_storage': GoogleStore,
}


def create_store(config: Dict[str, Any], storage: Optional[Storage] = None) -> Store:
    """
    The store over the bucket of a configuration

    :param config: Lithops', complete, with a 'triggerflow' section
    :param storage: Lithops' own over the same bucket, where there is one already
    :raises UnsupportedStorageError: two writers of one key may both be the first there
    """
    backend = config['lithops']['storage']
    if backend == 'localhost':
        return LocalhostStore(config['localhost']['storage_bucket'])
    kind = HandlerStore if config['triggerflow'].get(UNGUARDED) else KINDS.get(backend)
    if kind is None:
        raise UnsupportedStorageError(
            f'Found storage backend {backend!r}, which has no way to write an object only if it is absent. '
            f'Those that have one: localhost, {", ".join(sorted(KINDS))}. {_AT_YOUR_RISK}'
        )
    storage = storage or Storage(storage_config=extract_storage_config(config))
    return kind(storage.storage_handler, storage.bucket)


def require_guarded(store: Store) -> None:
    """
    Tries whether a server keeps what was written first. One request, but for the first time
    in a bucket

    :raises UnsupportedStorageError: it does not
    """
    # An object that is there and stays there is what tells
    if store.put_new(PROBE, new_nonce().encode()) and store.put_new(PROBE, new_nonce().encode()):
        raise UnsupportedStorageError(
            f'{store!r} takes a write under the condition that the object is absent, and overwrites one that is '
            f'there. Use a server that knows the condition (on S3: If-None-Match). {_AT_YOUR_RISK}'
        )


_AT_YOUR_RISK = (
    f"With '{UNGUARDED}: true' in the triggerflow section it is used all the same: then two activations of a run "
    'at the same moment, which is rare, may see different results of one call.'
)
