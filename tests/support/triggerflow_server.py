"""
A loopback Triggerflow service: what was recorded of the original's REST interface, and its worker.

Its faults are the original's, for a client has to live with them: a request without credentials is a 500, a workspace that
has something in it cannot be read, ``overwrite`` never works, a trigger is read when an event comes whose subject and type
no trigger has had, a transient one that fires makes the next one miss the event, events that come twice count twice,
and one that nothing waits for is dropped.
"""

import base64
import hashlib
import hmac
import json
import re
import ssl
import threading
import uuid
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlparse

import redis
import requests

NO_PAGE = 'The server encountered an internal error and was unable to complete your request.'
TRIGGER = {'id', 'condition', 'action', 'context', 'activation_events', 'transient'}


class Failure(Exception):
    """The service has failed: a 500 with a page for people."""


class Triggerflow:
    """
    :param users: passwords by name
    :param mode: of the controller, 'standalone' or 'vm'
    :param certificate: paths of a certificate and its key, for TLS
    :param verify: certificates that are trusted where functions are invoked
    :ivar requests: all that it was asked: (method, path, document)
    :ivar dropped: events that no trigger waited for
    :ivar fired: (trigger id, how it was answered)
    :ivar disorder: None, or what is answered instead: a status, and a text
    :ivar is_working: whether its controller answers, so that a new workspace reads its events
    """

    def __init__(self, users, mode='standalone', certificate=None, verify=True):
        self._digests = {
            name: hmac.new(password.encode(), name.encode(), hashlib.sha3_256).hexdigest() for name, password in users.items()
        }
        self._mode, self._verify = mode, verify
        self.workspaces, self.requests, self.dropped, self.fired = {}, [], [], []
        self.disorder, self.is_working = None, True
        self._workers = {}
        self._http = ThreadingHTTPServer(('127.0.0.1', 0), self._handler())
        self._http.daemon_threads = True
        scheme = 'http'
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
            scheme = 'https'
        self.endpoint = f'{scheme}://127.0.0.1:{self._http.server_port}'

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        for worker in self._workers.values():
            worker.stop()

    # REST

    def answer(self, method, path, query, authorization, body):
        """What is answered: a status, and a document."""
        self.requests.append((method, path, body))
        if self.disorder:
            return self.disorder
        if not authorization:
            raise Failure
        kind, _, given = authorization.partition(' ')
        user, _, digest = base64.b64decode(given).decode().partition(':')
        if kind != 'Basic' or self._digests.get(user) != digest:
            return 401, {'error': 'Unauthorized'}
        if path == '/workspace' and method == 'POST':
            return self._create(body)
        found = re.fullmatch(r'/workspace/([^/]+)(?:/(eventsource|trigger|timeout)(?:/([^/]+))?)?', path)
        if not found:
            return 404, None
        name, kind, rest = found.groups()
        if name not in self.workspaces:
            return 404, {'error': f'Workspace {name} not found'}
        workspace = self.workspaces[name]
        if kind == 'eventsource':
            return self._event_source(workspace, method, rest, query, body)
        if kind == 'trigger':
            return self._trigger(name, workspace, method, rest, body)
        if kind == 'timeout':
            return self._timeout(body)
        if method == 'DELETE':
            del self.workspaces[name]
            if name in self._workers:
                self._workers.pop(name).stop()
            return 200, {'message': f'Workspace {name} deleted'}
        # It takes the ids of what it has for what it has
        raise Failure

    def _create(self, body):
        if not body:
            return 400, {'error': 'Error parsing request parameters', 'err_code': 0}
        kinds = {'workspace_name': str, 'event_source': dict, 'global_context': dict}
        if set(body) != set(kinds) or any(not isinstance(body[name], kind) for name, kind in kinds.items()):
            return 400, {'error': 'Invalid parameters', 'err_code': 1}
        name, source = body['workspace_name'], body['event_source']
        if name in self.workspaces:
            return 400, {'error': f'Workspace {name} already exists', 'err_code': 2}
        if not re.fullmatch(r'[a-zA-Z0-9._-]*', name):
            return 400, {'error': 'Illegal workspace name', 'err_code': 3}
        if set(source) != {'name', 'class', 'parameters'}:
            return 400, {'error': 'Invalid event source', 'err_code': 4}
        self.workspaces[name] = {'sources': {source['name']: source}, 'triggers': {}}
        if not self.is_working:
            return 202, {'error': 'Triggerflow Controller service is unavailable'}
        if self._mode == 'standalone':
            self._workers[name] = Worker(self, self.workspaces[name], source['parameters'], self._verify)
        return 201, {'message': f'Created workspace {name}'}

    def _event_source(self, workspace, method, name, query, body):
        sources = workspace['sources']
        if method == 'POST':
            if not body or not isinstance(body.get('event_source'), dict):
                return 400, {'error': 'Invalid parameters'}
            if 'overwrite' not in query:
                return 400, None
            source = body['event_source']
            if set(source) != {'name', 'class', 'parameters'}:
                raise Failure
            if source['name'] in sources:
                return 409, {'error': f'Event source {source["name"]} already exists'}
            sources[source['name']] = source
            return 201, {'message': f'Created/updated {source["name"]}'}
        if name is None:
            return 200, [*sources]
        if name not in sources:
            return 404, {'error': f'Event source {name} not found'}
        if method == 'DELETE':
            del sources[name]
            return 200, {'message': f'Event source {name} deleted'}
        return 200, {name: sources[name]}

    def _trigger(self, workspace_name, workspace, method, trigger_id, body):
        triggers = workspace['triggers']
        if method == 'POST':
            given = (body or {}).get('triggers')
            if not isinstance(given, list) or not all(isinstance(found, dict) for found in given):
                return 400, {'error': 'Invalid parameters'}
            answer = {'accepted_triggers': [], 'rejected_triggers': []}
            for found in given:
                if set(found) != TRIGGER:
                    answer['rejected_triggers'].append({**found, 'reason': 'Malformed trigger schema'})
                elif found['id'] in triggers:
                    answer['rejected_triggers'].append({**found, 'reason': f'Trigger {found["id"]} already exists'})
                else:
                    answer['accepted_triggers'].append(self._added(workspace_name, triggers, found))
            return 200, answer
        if trigger_id is None:
            return 200, [*triggers]
        if trigger_id not in triggers:
            return 404, {'error': f'Trigger {trigger_id} not found'}
        if method == 'DELETE':
            del triggers[trigger_id]
            return 200, {'message': f'Deleted {trigger_id}'}
        return 200, {trigger_id: triggers[trigger_id]}

    def _added(self, workspace_name, triggers, trigger):
        own = uuid.uuid4()
        now = datetime.now(timezone.utc).replace(tzinfo=None).isoformat()
        added = {**trigger, 'id': trigger['id'] or own.hex, 'uuid': str(own), 'workspace': workspace_name, 'timestamp': now}
        triggers[added['id']] = added
        return added

    def _timeout(self, body):
        kinds = {'event_source': dict, 'event': dict, 'seconds': float}
        if set(body) != set(kinds) or any(type(body[name]) is not kind for name, kind in kinds.items()):
            return 400, {'error': 'Invalid parameters'}
        if self._mode == 'standalone':
            # Its controller has no such route
            raise Failure
        return 201, 'Timeout set'

    def _handler(self):
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def _answer(self):
                url = urlparse(self.path)
                length = int(self.headers.get('Content-Length') or 0)
                try:
                    body = json.loads(self.rfile.read(length)) if length else None
                except ValueError:
                    body = None
                try:
                    status, document = service.answer(
                        self.command, url.path, parse_qs(url.query), self.headers.get('Authorization'), body
                    )
                except Failure:
                    status, document = 500, None
                is_page = document is None or isinstance(document, bytes)
                said = (document or f'<!doctype html>{NO_PAGE}'.encode()) if is_page else json.dumps(document).encode()
                self.send_response(status)
                self.send_header('Content-Type', 'text/html; charset=utf-8' if is_page else 'application/json')
                self.send_header('Content-Length', str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            do_GET = do_POST = do_DELETE = _answer

            def log_message(self, *_):
                pass

        return Handler


class Worker:
    """Reads the events of one workspace, and fires its triggers."""

    def __init__(self, service, workspace, source, verify):
        self._service, self._workspace, self._verify = service, workspace, verify
        # Whatever database it is told
        self._redis = redis.Redis(source['host'], source['port'], password=source['password'], decode_responses=True)
        self._stream = source['stream']
        self._triggers, self._mapping = {}, {}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def stop(self):
        self._is_over.set()
        self._thread.join()

    def _work(self):
        last = '0'
        while not self._is_over.is_set():
            try:
                for _, records in self._redis.xread({self._stream: last}, block=100):
                    for number, event in records:
                        last = number
                        self._take(event)
            except redis.RedisError:
                self._is_over.wait(0.1)

    def _take(self, event):
        subject, kind = event['subject'], event['type']
        if kind not in self._mapping.get(subject, {}):
            self._read_triggers()
            if kind not in self._mapping.get(subject, {}):
                self._service.dropped.append(event)
                return
        waiting = self._mapping[subject][kind]
        for trigger_id in waiting:
            trigger = self._triggers[trigger_id]
            if _holds(trigger, event):
                self._fire(trigger)
                if trigger['transient']:
                    # So the next one in this list misses the event
                    waiting.remove(trigger_id)

    def _read_triggers(self):
        for trigger_id, found in [*self._workspace['triggers'].items()]:
            if trigger_id not in self._triggers:
                self._triggers[trigger_id] = json.loads(json.dumps(found))
                for event in found['activation_events']:
                    self._mapping.setdefault(event['subject'], {}).setdefault(event['type'], []).append(trigger_id)

    def _fire(self, trigger):
        if trigger['action']['name'] == 'PASS':
            answer = None
        else:
            assert trigger['action']['name'] == 'IBM_CF_INVOKE'
            context = trigger['context']
            payload = {**context['invoke_kwargs'], '__OW_TRIGGERFLOW': {'subject': None, 'sink': {}}}
            user, _, password = context['api_key'].partition(':')
            # Three tries, for a namespace that is full
            for _ in range(3):
                found = requests.post(context['url'], json=payload, auth=(user, password), timeout=10.0, verify=self._verify)
                answer = found.status_code
                if answer != 429:
                    break
                self._is_over.wait(0.5)
        self._service.fired.append((trigger['id'], answer))


def _holds(trigger, event):
    context, name = trigger['context'], trigger['condition']['name']
    if name == 'TRUE':
        return True
    context['counter'] = context.get('counter', 0) + 1
    if name == 'FUNCTION_JOIN':
        return context['counter'] == context['total_activations']
    assert name == 'JOIN'
    return context['counter'] >= context['join']
