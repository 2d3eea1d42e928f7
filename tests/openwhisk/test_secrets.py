"""No credential of the configuration is in the bucket, however a run went."""

import base64
import gzip
import json
import pickle
import zlib
from types import SimpleNamespace

import pytest
import servers
from helpers import settled
from programs import fails, futures_as_data, futures_everywhere, raises_one, tries_again
from secrets_in import found_in

from triggerflow_lithops import Retry

SECRET = 'the-secret-that-was-planted'


def coded(text):
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


HIDDEN = {
    'base64 in a list': json.dumps({'data': [[coded(SECRET)]]}).encode(),
    'base64 for URLs': base64.urlsafe_b64encode(b'\xff\xfe\xfd' + SECRET.encode()),
    'a header': json.dumps({'headers': {'Authorization': f'Basic {coded(f"user:{SECRET}")}'}}).encode(),
    'zlib': zlib.compress(SECRET.encode()),
    'gzip in base64 in a list': json.dumps(['', coded(gzip.compress(SECRET.encode()))]).encode(),
    'an attribute, as it is': pickle.dumps(SimpleNamespace(given=SimpleNamespace(key=[SECRET]))),
    'an attribute, compressed': pickle.dumps(SimpleNamespace(given=[SimpleNamespace(key=zlib.compress(SECRET.encode()))])),
    'an old pickle': pickle.dumps({'key': SECRET.replace('-', '\\')}, protocol=0),
    'a pickle, written down': json.dumps({'result': str(pickle.dumps(SimpleNamespace(key=coded(SECRET))))}).encode(),
    'a pickle in zlib in base64': coded(zlib.compress(pickle.dumps([SECRET]))).encode(),
    'JSON in JSON': json.dumps({'event': json.dumps({'data': json.dumps({SECRET.replace('-', '"'): 1})})}).encode(),
}


@pytest.mark.parametrize('hidden', HIDDEN.values(), ids=[*HIDDEN])
def test_a_secret_is_found_however_it_is_hidden(hidden):
    secrets = [SECRET, SECRET.replace('-', '\\'), SECRET.replace('-', '"')]
    assert len(found_in(hidden, [*secrets, 'another one'])) == 1


def test_what_is_no_secret_is_not_found():
    assert not found_in(HIDDEN['a header'], ['another one'])


@pytest.mark.parametrize('backend', ['openwhisk', 'ibm_cf'], indirect=True)
def test_no_object_in_the_bucket_holds_a_secret(openwhisk, executor, tmp_path):
    again = executor.run(tries_again, str(tmp_path / 'marker'), retry=Retry(on=[ValueError], backoff=0.1))
    runs = {executor.run(futures_everywhere): ([7, 8], 6), executor.run(futures_as_data): 9, executor.run(raises_one): 'no good'}
    failed = executor.run(fails)
    for run, value in runs.items():
        assert run.result(timeout=120) == value
    assert again.result(timeout=120) > 0
    with pytest.raises(ValueError, match='no good'):
        failed.result(timeout=120)
    settled(openwhisk)
    secrets = [servers.SECRET_KEY, servers.ACCESS_KEY, openwhisk.api_key, 'the-secret-of-the-identity', *openwhisk.tokens]
    stored = executor.store.list('')
    assert {key: found for key in stored if (found := found_in(executor.store.get(key), secrets))} == {}
    # What was looked through is what the runs have left
    assert len(stored) > 5 * 4
