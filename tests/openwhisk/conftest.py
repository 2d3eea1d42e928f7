"""A loopback OpenWhisk, and runs on it: with either of Lithops' backends, storage on a real S3 server."""

import os
import uuid
from pathlib import Path

import environment
import pytest
import server
import servers
import yaml


@pytest.fixture(scope='session')
def site(tmp_path_factory):
    return environment.build(tmp_path_factory.mktemp('runtime') / 'site')


@pytest.fixture
def openwhisk(tmp_path, site, certificate, monkeypatch):
    from lithops.serverless.backends.ibm_cf import config as of_ibm
    from lithops.serverless.backends.openwhisk import config as of_openwhisk

    authority, *pair = certificate
    monkeypatch.setenv('REQUESTS_CA_BUNDLE', authority)
    monkeypatch.chdir(tmp_path)
    for config in (of_ibm, of_openwhisk):
        # Lithops makes it where it was imported
        monkeypatch.setattr(config, 'FH_ZIP_LOCATION', str(tmp_path / 'action.zip'))
    with server.OpenWhisk(tmp_path / 'openwhisk', site, pair) as found:
        found.environment = {'IAM_URL': found.endpoint, 'REQUESTS_CA_BUNDLE': authority}
        yield found


@pytest.fixture
def backend(request):
    """Both go through one client of Lithops'. Tests that need both, or the other one, say so."""
    return getattr(request, 'param', 'openwhisk')


@pytest.fixture
def cloud(openwhisk, backend, seaweedfs):
    """The configuration of runs on it, each test with a namespace and a bucket of its own."""
    token = openwhisk.grant()
    name = uuid.uuid4().hex[:8]
    of_both = {'endpoint': openwhisk.endpoint, 'namespace': f'tests-{name}', 'runtime_memory': 256, 'runtime_timeout': 60}
    return {
        'lithops': {'backend': backend, 'storage': 'minio', 'log_level': 'WARNING'},
        'openwhisk': {**of_both, 'api_key': openwhisk.api_key, 'insecure': True},
        'ibm': {'iam_api_key': 'the-secret-of-the-identity'},
        'ibm_cf': {
            **of_both,
            **{'namespace_id': f'tests-{name}', 'token': token['access_token'], 'token_expiry_time': token['expiration']},
        },
        'minio': {
            **{'endpoint': seaweedfs, 'access_key_id': servers.ACCESS_KEY, 'secret_access_key': servers.SECRET_KEY},
            'storage_bucket': f'bucket-{name}',
        },
    }


@pytest.fixture
def executor(cloud):
    from triggerflow_lithops import TriggerflowExecutor

    return TriggerflowExecutor(config=cloud, log_level=None)


@pytest.fixture
def config_file(cloud, tmp_path):
    """The same for a process of its own."""
    path = Path(tmp_path) / 'config.yaml'
    path.write_text(yaml.safe_dump(cloud))
    return {**os.environ, 'LITHOPS_CONFIG_FILE': str(path)}
