"""The Triggerflow service as a trigger backend: its client, its sink, and what is done about its faults."""

import json
import logging
import re
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import redis
import requests
import servers
from lithops.monitoring.backends.triggerflow import trigger_service
from lithops.monitoring.backends.triggerflow.redis_stream import Stream, StreamUnavailable
from lithops.monitoring.backends.triggerflow.trigger_service import RemoteTriggers, ServiceClient, TriggerServiceError
from triggerflow_server import Triggerflow

from triggerflow_lithops import ConfigurationError, TriggerflowExecutor
from triggerflow_lithops.client import doctor

PASSWORD, REDIS_PASSWORD = 'the-secret-of-the-service', 'the-secret-of-redis'
RECORDINGS = sorted((Path(__file__).parent / 'recordings').glob('*.txt'))
#: What differs each time
VARYING = re.compile(r'"(timestamp|uuid)":"[^"]*"|[0-9a-f]{32}')


@pytest.fixture(scope='module')
def redis_port(tmp_path_factory):
    with servers.redis(tmp_path_factory.mktemp('redis'), REDIS_PASSWORD) as port:
        yield port


@pytest.fixture
def sink(redis_port, request):
    return {'host': '127.0.0.1', 'port': redis_port, 'password': REDIS_PASSWORD, 'stream': request.node.name}


@pytest.fixture
def server():
    with Triggerflow({'somebody': PASSWORD}) as found:
        yield found


@pytest.fixture
def settings(server, sink):
    return {'endpoint': server.endpoint, 'user': 'somebody', 'password': PASSWORD, 'workspace': 'tests', 'sink': sink}


@pytest.fixture
def no_pauses(monkeypatch):
    monkeypatch.setattr(trigger_service, 'PAUSES', (0.01, 0.01))


@pytest.fixture
def functions():
    """Takes invocations, as OpenWhisk does. Gives its address, and the payloads."""
    taken = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            taken.append(json.loads(self.rfile.read(int(self.headers['Content-Length']))))
            self.send_response(202)
            self.end_headers()
            self.wfile.write(b'{"activationId": "x"}')

        def log_message(self, *_):
            pass

    with HTTPServer(('127.0.0.1', 0), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f'http://127.0.0.1:{found.server_port}/action', taken
        found.shutdown()


def until(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'it never came true'
        time.sleep(0.02)


# The loopback server answers as the original did


def exchange(path):
    """A recorded exchange: the controller's mode, whether it was asked itself, a request, and its answer."""
    lines = path.read_text().splitlines()
    mode, port = re.search(r'mode: (\w+), port (\d+)', lines[0]).groups()
    asked = [line[4:] for line in lines if line.startswith('>>> ')]
    told = [line[4:] for line in lines if line.startswith('<<< ')]
    method, url, _ = asked[0].split(' ')
    headers = dict(line.split(': ', 1) for line in asked[1:] if re.match(r'[A-Za-z-]+: ', line))
    body = ''.join(line for line in asked[1:] if not re.match(r'[A-Za-z-]+: ', line))
    kind = next(line.split(': ')[1] for line in told if line.startswith('Content-Type'))
    return mode, port == '15000', (method, url, headers, body), (int(told[0].split(' ')[1]), kind, told[-1])


@pytest.mark.parametrize('mode', ['standalone', 'vm'])
def test_the_loopback_service_answers_as_the_original_did(mode):
    compared = 0
    with Triggerflow({'admin': 'admin'}, mode) as found:
        # Their events lie in a Redis that is not there
        for path in RECORDINGS:
            of_mode, of_controller, (method, url, headers, body), (status, kind, told) = exchange(path)
            if of_mode != mode or of_controller:
                continue
            headers.pop('Host')
            answer = requests.request(method, found.endpoint + url, headers=headers, data=body or None, timeout=10)
            assert answer.status_code == status, path.name
            if status == 404 and 'html' in kind:
                continue
            assert ('json' in answer.headers['Content-Type']) == ('json' in kind), path.name
            if 'json' in kind:
                assert plain(answer.json()) == plain(json.loads(told)), path.name
            compared += 1
    assert compared >= {'standalone': 28, 'vm': 4}[mode]


def plain(document):
    """Without what differs each time, and in an order."""
    if isinstance(document, list) and all(isinstance(item, str) for item in document):
        # It kept them in no order
        document = sorted(document)
    return VARYING.sub('…', json.dumps(document, sort_keys=True, separators=(',', ':')))


# The client


def test_a_workspace_is_made_and_then_used(server, settings):
    for _ in range(2):
        ServiceClient(settings).open_workspace()
    assert [*server.workspaces] == ['tests']
    assert [path for _, path, _ in server.requests].count('/workspace') == 2


def test_a_workspace_that_reads_something_else_is_refused(server, settings):
    ServiceClient(settings).open_workspace()
    other = {**settings, 'sink': {**settings['sink'], 'stream': 'another'}}
    with pytest.raises(TriggerServiceError, match='does not read stream another'):
        ServiceClient(other).open_workspace()


def test_a_workspace_that_nobody_works_for_is_an_error_and_is_not_left(server, settings):
    server.is_working = False
    for _ in range(2):
        with pytest.raises(TriggerServiceError, match='its controller did not answer'):
            ServiceClient(settings).open_workspace()
    assert server.workspaces == {}


def test_a_wrong_password_is_an_error_that_does_not_tell_it(settings, caplog):
    with caplog.at_level(logging.DEBUG), pytest.raises(TriggerServiceError, match="refuses user 'somebody'") as caught:
        ServiceClient({**settings, 'password': 'a-wrong-one'}).open_workspace()
    said = str(caught.value) + caplog.text
    assert 'a-wrong-one' not in said and REDIS_PASSWORD not in said


@pytest.mark.parametrize(
    ('disorder', 'said'),
    [
        ((200, b'<html>a router</html>'), 'no JSON in it'),
        ((200, b'[' * 100_000), 'no JSON in it'),
        ((200, b''), 'no JSON in it'),
        ((302, b'elsewhere'), 'no JSON in it'),
        ((503, {'error': 'later'}), 'answers 503'),
        ((418, {'tea': 1}), '418'),
        ((400, ['tea']), 'with a list'),
        ((200, 'tea'), 'with a str'),
    ],
)
def test_a_service_that_answers_nonsense_is_an_error(server, settings, no_pauses, disorder, said):
    server.disorder = disorder
    with pytest.raises(TriggerServiceError, match=said):
        ServiceClient(settings).open_workspace()
    assert len(server.requests) == (3 if disorder[0] >= 500 else 1)


@pytest.mark.parametrize(
    'nonsense', [['x'], {}, {'accepted_triggers': 5}, {'accepted_triggers': ['x']}, {'rejected_triggers': [None]}, {'error': 0}]
)
def test_a_trigger_that_is_answered_by_nonsense_is_kept_in_the_bucket(triggers, server, caplog, nonsense):
    for status in (200, 400):
        server.disorder = status, nonsense
        assert not triggers.watch('run', 0, {'0-M000': [[0, 1]]}, 1)
    assert 'is kept in the bucket' in caplog.text


@pytest.mark.parametrize('nonsense', [{}, {'tests': 1}, {'tests': {'parameters': [1]}}, ['tests']])
def test_a_workspace_that_is_described_by_nonsense_is_an_error(server, settings, nonsense):
    settings = {**settings, 'sink': {**settings['sink'], 'stream': 'tests'}}
    ServiceClient(settings).open_workspace()
    answer = server.answer
    server.answer = lambda method, *rest: (200, nonsense) if method == 'GET' else answer(method, *rest)
    with pytest.raises(TriggerServiceError, match=r'does not read|with a list'):
        ServiceClient(settings).open_workspace()


def test_an_answer_that_has_all_in_it_that_was_sent_is_not_told(server, settings):
    server.answer = lambda method, path, query, authorization, body: (409, body)
    with pytest.raises(TriggerServiceError, match='409 and no reason') as caught:
        ServiceClient(settings).open_workspace()
    assert REDIS_PASSWORD not in str(caught.value)


def test_a_service_that_is_down_is_an_error_and_is_asked_again(settings, no_pauses):
    (port,) = servers.free_ports(1)
    with pytest.raises(TriggerServiceError, match=f'127.0.0.1:{port} does not do POST /workspace: ConnectionError'):
        ServiceClient({**settings, 'endpoint': f'http://127.0.0.1:{port}'}).open_workspace()


def test_a_certificate_that_nobody_trusts_is_refused(settings, certificate, monkeypatch, no_pauses):
    authority, *pair = certificate
    with Triggerflow({'somebody': PASSWORD}, certificate=pair) as found:
        client = ServiceClient({**settings, 'endpoint': found.endpoint})
        with pytest.raises(TriggerServiceError, match='SSLError'):
            client.open_workspace()
        monkeypatch.setenv('REQUESTS_CA_BUNDLE', authority)
        client.open_workspace()
    assert 'tests' in found.workspaces


def test_a_trigger_is_added_once_and_all_of_a_run_are_deleted(server, settings):
    client = ServiceClient(settings)
    client.open_workspace()
    trigger = {'condition': {'name': 'TRUE'}, 'action': {'name': 'PASS'}, 'context': {}, 'activation_events': []}
    for name in ('run-1.000000', 'run-1.000000', 'run-1.000001', 'run-10.000000'):
        client.add_trigger({**trigger, 'id': name, 'transient': False})
    client.delete_triggers('run-1.')
    assert [*server.workspaces['tests']['triggers']] == ['run-10.000000']
    with pytest.raises(TriggerServiceError, match='Malformed trigger schema'):
        client.add_trigger({'id': 'x'})


def test_triggers_of_a_workspace_that_is_gone_need_not_be_deleted(settings):
    ServiceClient(settings).delete_triggers('run-1.')


# The sink


def test_entries_come_to_a_stream_in_order(sink):
    Stream(sink).add([{'type': 'a', 'data': '"x y\r\n"'}, {'type': 'b', 'subject': 'ü'}])
    client = redis.Redis(port=sink['port'], password=REDIS_PASSWORD, decode_responses=True)
    assert [entry for _, entry in client.xrange(sink['stream'])] == [
        {'type': 'a', 'data': '"x y\r\n"'},
        {'type': 'b', 'subject': 'ü'},
    ]


def test_a_sink_that_cannot_be_used_is_an_error(sink, functions):
    with pytest.raises(StreamUnavailable, match=r'AUTH: .*password') as caught:
        Stream({**sink, 'password': 'a-wrong-one'}).check()
    assert 'a-wrong-one' not in str(caught.value)
    with pytest.raises(StreamUnavailable, match='cannot be reached'):
        Stream({**sink, 'port': servers.free_ports(1)[0]}).check()
    with pytest.raises(StreamUnavailable, match='Redis answers'):
        # Something that is no Redis
        Stream({**sink, 'port': int(functions[0].split(':')[2].split('/')[0])}).check()


@pytest.mark.parametrize(
    'answer', [b'$x\r\n', b'$99999999999999999999\r\n', b"-ERR unknown command 'AUTH', with args beginning with: '%s'\r\n"]
)
def test_a_sink_that_answers_nonsense_is_an_error_that_tells_no_password(sink, answer):
    with socket.create_server(('127.0.0.1', 0)) as found:

        def serve():
            with found.accept()[0] as asked:
                asked.recv(1000)
                asked.sendall(answer.replace(b'%s', REDIS_PASSWORD.encode()))

        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(StreamUnavailable, match='Redis answers to AUTH') as caught:
            Stream({**sink, 'port': found.getsockname()[1]}).check()
    assert REDIS_PASSWORD not in str(caught.value)


@pytest.mark.parametrize('address', [{'host': 'a..b'}, {'host': 'x' * 300}, {'port': 100_000}])
def test_an_address_that_cannot_be_one_is_an_error(sink, address):
    with pytest.raises(StreamUnavailable, match='cannot be reached'):
        Stream({**sink, **address}).check()


# Triggers of a run


@pytest.fixture
def triggers(settings, functions):
    ServiceClient(settings).open_workspace()
    return RemoteTriggers(settings, lambda number: {'url': functions[0], 'api_key': 'a:b', 'invoke_kwargs': {'number': number}})


def started(functions):
    return [payload['number'] for payload in functions[1]]


def test_an_activation_starts_when_enough_events_have_come(triggers, functions, server):
    assert triggers.watch('run', 3, {'0-M000': [[0, 4]], '0-A001': [[7, 8]]}, 3)
    for job, number in (('0-M000', 0), ('0-M001', 0), ('0-M000', 3)):
        assert triggers.tell('run', job, number, failed=False)
    until(lambda: len(server.dropped) == 2)
    assert started(functions) == []
    # Failed or not
    assert triggers.tell('run', '0-A001', 7, failed=True)
    until(lambda: functions[1])
    triggers.tell('run', '0-M000', 1, failed=False)
    time.sleep(0.5)
    assert started(functions) == [4]


def test_the_next_trigger_sees_events_that_an_earlier_one_waits_for_too(triggers, functions):
    """The service reads its triggers when an event comes that none has waited for, and skips one after one that is transient."""
    triggers.watch('run', 0, {'0-M000': [[0, 3]]}, 1)
    triggers.tell('run', '0-M000', 0, failed=False)
    until(lambda: started(functions) == [1])
    triggers.watch('run', 1, {'0-M000': [[1, 3]]}, 1)
    triggers.tell('run', '0-M000', 1, failed=False)
    until(lambda: started(functions) == [1, 2])
    triggers.watch('run', 2, {'0-M000': [[2, 3]]}, 1)
    triggers.tell('run', '0-M000', 2, failed=False)
    until(lambda: started(functions) == [1, 2, 3])


def test_what_cannot_be_kept_by_the_service_is_told(triggers, server, settings, no_pauses, caplog):
    server.disorder = (500, {'error': 'out of order'})
    assert not triggers.watch('run', 0, {'0-M000': [[0, 1]]}, 1)
    assert 'is kept in the bucket' in caplog.text and PASSWORD not in caplog.text
    lost = RemoteTriggers({**settings, 'sink': {**settings['sink'], 'port': servers.free_ports(1)[0]}}, lambda number: {})
    assert not lost.tell('run', '0-M000', 0, failed=False)


# Configuration


def test_doctor_tells_whether_the_service_can_wake_runs(server, settings, no_pauses):
    config = {'triggerflow': {'backend': 'service', **settings}}
    assert 'reads its sink' in doctor.wake_ups(config) and server.workspaces
    config['triggerflow']['sink']['port'] = servers.free_ports(1)[0]
    with pytest.raises(Exception, match='does not read stream'):
        doctor.wake_ups(config)
    server.disorder = (503, {})
    with pytest.raises(Exception, match='backend: storage'):
        doctor.wake_ups(config)


@pytest.mark.parametrize(
    ('section', 'said'),
    [
        ({'backend': 'sevice'}, "'triggerflow: backend' is one of storage, service, openwhisk; found 'sevice'"),
        ({'endpoint': 'https://x'}, "set 'backend: service', too"),
        ({'backend': 'service'}, 'endpoint'),
        ({'backend': 'service', 'endpoint': 'x', 'user': 'u', 'password': 'p'}, 'begins with https://'),
        ({'backend': 'service', 'endpoint': 'https://u:p@x', 'user': 'u', 'password': 'p'}, 'without user or password'),
        ({'backend': 'service', 'endpoint': 'https://x', 'user': 'u', 'password': 5}, 'password.*found int'),
        ({'backend': 'service', 'endpoint': 'https://x', 'user': 'u', 'password': 'p', 'sink': 'redis://:p@h'}, 'found str'),
        ({'backend': 'service', 'endpoint': 'https://x', 'user': 'u', 'password': 'p'}, "mapping with the 'host'"),
        ({'backend': 'service', 'endpoint': 'https://x', 'user': 'u', 'password': 'p', 'workspace': 'a b'}, "found 'a b'"),
        (
            {'backend': 'service', 'endpoint': 'https://x', 'user': 'u', 'password': 'p', 'sink': {'hots': 'h'}},
            "nearest one is 'host'",
        ),
        (
            {'backend': 'service', 'endpoint': 'https://x', 'user': 'u', 'password': 'p', 'sink': {'host': 'h', 'port': '1'}},
            'sink: port',
        ),
        (
            {'backend': 'service', 'endpoint': 'https://x', 'user': 'u', 'password': 'p', 'sink': {'host': 'h'}},
            "compute backend 'localhost'",
        ),
        ({'backend': 'openwhisk'}, "compute backend 'localhost'"),
    ],
)
def test_what_is_no_trigger_backend_is_refused(config, section, said):
    with pytest.raises(ConfigurationError, match=said):
        TriggerflowExecutor(config={**config, 'triggerflow': section}, log_level=None)
