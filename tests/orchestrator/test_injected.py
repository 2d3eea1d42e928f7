"""Parameters that Lithops fills in by their names: a call of an orchestrator is given what a call of a driver is given."""

import sys

import lithops
import pytest
import servers

from triggerflow_lithops import TriggerflowExecutor

KEYS = {'access_key_id': servers.ACCESS_KEY, 'secret_access_key': servers.SECRET_KEY}


@pytest.fixture(scope='module')
def cos(tmp_path_factory, certificate):
    """An S3 server over TLS, as IBM's client wants it: the section of the configuration, and what calls need to trust it."""
    authority, *pair = certificate
    with servers.moto(tmp_path_factory.mktemp('moto-tls'), pair) as endpoint:
        yield {'endpoint': endpoint, 'region': 'us-south', **KEYS}, {'AWS_CA_BUNDLE': authority}


@pytest.fixture
def both(config):
    """Runs a body as a plain driver and as an orchestrator, with sections more than usual in the configuration."""

    def run(body, **sections):
        # The first version of Lithops' localhost backend: the second one hangs now and then
        plain = {**config, 'localhost': {'version': 1, 'runtime': sys.executable}, **sections}
        plain.pop('triggerflow')
        with lithops.FunctionExecutor(config=plain, log_level=None) as fexec:
            driven = body(fexec)

        def main():
            fexec = lithops.FunctionExecutor()
            # Twice, so that the second of them is made by an activation that something woke
            return body(fexec), body(fexec)

        tf = TriggerflowExecutor(config={**config, **sections}, log_level=None)
        return driven, tf.run(main).result(timeout=60)

    return run


def put_and_get(x, ibm_cos, id, storage):
    ibm_cos.create_bucket(Bucket='injected')
    ibm_cos.put_object(Bucket='injected', Key=f'{x}/{id}', Body=f'{x} of {id}')
    found = ibm_cos.get_object(Bucket='injected', Key=f'{x}/{id}')['Body'].read()
    return found, type(ibm_cos).__module__, storage.backend


def publish(x, rabbitmq):
    rabbitmq.channel().basic_publish('', 'queue', f'{x} was here')
    rabbitmq.close()
    return x, type(rabbitmq).__name__


def errors_of(function, **options):
    """A body that tells how calls of ``function`` fail."""

    def body(fexec):
        said = []
        for future in fexec.map(function, [1, 2], **options):
            try:
                future.result()
            except Exception as error:
                said.append((type(error).__name__, str(error)))
        return said

    return body


def test_ibm_cos_is_a_client_of_the_configured_store(both, cos):
    section, trust = cos

    def body(fexec):
        return fexec.get_result(fexec.map(put_and_get, ['a', 'b'], extra_env=trust))

    driven, (once, again) = both(body, ibm_cos=section)
    assert driven == [(b'a of 0', 'ibm_botocore.client', 'localhost'), (b'b of 1', 'ibm_botocore.client', 'localhost')]
    assert once == again == driven


def test_rabbitmq_is_a_connection_to_the_configured_broker(both):
    with servers.broker() as (address, published):
        section = {'amqp_url': address}
        driven, (once, again) = both(lambda fexec: fexec.get_result(fexec.map(publish, [1, 2])), rabbitmq=section)
    assert driven == once == again == [(1, 'BlockingConnection'), (2, 'BlockingConnection')]
    # Of the driver, and twice of the orchestrator
    assert sorted(published) == [b'1 was here'] * 3 + [b'2 was here'] * 3


@pytest.mark.parametrize('function, name', [(put_and_get, 'ibm_cos'), (publish, 'rabbitmq')])
def test_what_is_not_configured_fails_as_in_lithops(both, function, name):
    driven, (once, again) = both(errors_of(function))
    assert driven == [('Exception', f'Cannot create the {name} client: missing configuration')] * 2
    assert once == again == driven


def test_a_broker_that_nobody_reaches_fails_as_in_lithops(both):
    (port,) = servers.free_ports(1)
    driven, (once, again) = both(errors_of(publish), rabbitmq={'amqp_url': f'amqp://127.0.0.1:{port}/'})
    assert [kind for kind, _ in driven] == ['AMQPConnectionError'] * 2
    assert [kind for kind, _ in once] == [kind for kind, _ in again] == [kind for kind, _ in driven]


def test_what_a_call_is_given_lies_in_no_bucket(config):
    """Passwords of brokers and stores come from the configuration of whoever invokes."""
    import glob
    import os

    from lithops.constants import LITHOPS_TEMP_DIR

    with servers.broker() as (address, published):
        tf = TriggerflowExecutor(config={**config, 'rabbitmq': {'amqp_url': address}}, log_level=None)
        run = tf.run(lambda: lithops.FunctionExecutor().call_async(publish, 1).result())
        assert run.result(timeout=60) == (1, 'BlockingConnection') and published
    found = [path for path in glob.glob(f'{LITHOPS_TEMP_DIR}/storage/**', recursive=True) if run.session in path]
    files = [path for path in found if os.path.isfile(path)]
    assert len(files) > 3
    for path in files:
        with open(path, 'rb') as file:
            assert servers.SECRET_KEY.encode() not in file.read(), path
