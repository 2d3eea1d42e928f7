"""
A loopback OpenWhisk: its REST calls, and its ways with containers.

TLS; packages and actions; blocking and non-blocking invocation; each activation in a process of the unpacked zip,
in an environment without Lithops; containers that are kept warm; an end by force when an action's time is up; 429
when the namespace is full, 413, 404, 401; and, on request, activations that are dropped or delivered twice.
"""

import base64
import contextlib
import io
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlparse

import jwt

HERE = Path(__file__).parent


@dataclass
class Activation:
    """One of them, as the server's log has it. Times are seconds since the epoch; None: not yet."""

    id: str
    action: str
    value: dict
    accepted: float
    began: float | None = None
    ended: float | None = None
    pid: int | None = None
    result: str = ''

    @property
    def subject(self):
        """What of a run it was: ('activation', 2), ('sweep', 0), ('call', '0-M000', 0, ['00003']); None for anything else."""
        found = self.value.get('triggerflow')
        if not found:
            return None
        if found['subject'] in ('activation', 'sweep'):
            return found['subject'], found['number']
        return 'call', found.get('job'), found['attempt'], self.value['call_ids']


@dataclass
class Action:
    folder: Path
    memory: int
    timeout: float
    idle: deque = field(default_factory=deque)


class Container:
    """A process that has one action loaded."""

    def __init__(self, server, action):
        self.folder = server.folder / 'containers' / uuid.uuid4().hex[:8]
        for name in ('home', 'tmp'):
            (self.folder / name).mkdir(parents=True)
        reading, writing = os.pipe()
        environment = {
            **{'PATH': os.environ['PATH'], 'HOME': str(self.folder / 'home'), 'TMPDIR': str(self.folder / 'tmp')},
            **{'CLOCK': str(server.clock)},
            **{'PYTHONPATH': f'{action.folder}:{server.site}', 'PYTHONDONTWRITEBYTECODE': '1', **server.environment},
        }
        with open(server.folder / 'containers.log', 'ab') as log:
            self.process = subprocess.Popen(
                # Its third stream, as OpenWhisk has it, is where answers go
                [*('bash', '-c', f'exec "$@" 3>&{writing}', '-'), sys.executable, '-S', HERE / 'container.py', action.folder],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                text=True,
                pass_fds=[writing],
                start_new_session=True,
            )
        os.close(writing)
        self.answers = os.fdopen(reading)

    def run(self, value, environment):
        """What the action returned; None if its process has ended first."""
        try:
            self.process.stdin.write(json.dumps({'value': value, 'environment': environment}) + '\n')
            self.process.stdin.flush()
        except BrokenPipeError:
            return None
        answer = self.answers.readline()
        return json.loads(answer) if answer else None

    def kill(self):
        """Ends it, and all that it has forked."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()


class OpenWhisk:
    """
    :param folder: of its own
    :param site: packages of a runtime, of :mod:`environment`
    :param certificate: paths of a certificate and its key
    :ivar activations: its log
    :ivar limit: activations of the namespace at one time
    :ivar fate: called with each :class:`Activation` that is accepted: 'drop', 'twice' or None
    :ivar cold: called with each of them before it has a process: whatever time that takes
    :ivar namespaces: those that were made, by their names, and their ids
    :ivar environment: of new containers, beside what OpenWhisk sets
    :ivar has_alarms: whether the alarm feeds are installed
    :ivar minute: seconds that the interval feed takes for one
    :ivar fired: what was answered to each invocation by an alarm
    :ivar tokens: what ``Bearer`` may carry, and when it expires
    :ivar troubles: how many more requests for a token are refused
    :ivar unauthorized: how many requests had no valid credentials
    """

    MAX_PAYLOAD = 1_048_576
    MEMORY, TIMEOUT = (128, 2048), 600.0
    WARM = 16

    def __init__(self, folder, site, certificate, limit=30, api_key='the-user:the-secret-of-openwhisk'):
        self.folder, self.site, self.limit, self.api_key = folder, site, limit, api_key
        self.environment, self.tokens, self.refused = {}, {}, 0
        self.actions, self.packages, self.activations = {}, set(), []
        self.fate = self.cold = lambda activation: None
        self.namespaces = {}
        self.running = {}
        self.troubles, self.unauthorized, self.clock = 0, 0, folder / 'clock'
        self.bound, self.fired, self.has_alarms, self.minute = {'triggers': {}, 'rules': {}}, [], True, 60.0
        self.clocks = {}
        self.peak = 0
        self._lock = threading.RLock()
        (folder / 'containers').mkdir(parents=True)
        self.clock.write_text('0')
        self._http = ThreadingHTTPServer(('127.0.0.1', 0), self._handler())
        self._http.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.endpoint = f'https://127.0.0.1:{self._http.server_port}'

    def __enter__(self):
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._http.shutdown()
        self._http.server_close()
        for clock in [*self.clocks.values()]:
            clock.cancel()
        self.kill_all()

    def kill_all(self):
        """All containers end at once."""
        with self._lock:
            containers = [*self.running, *(idle for action in self.actions.values() for idle in action.idle)]
            for action in self.actions.values():
                action.idle.clear()
        for container in containers:
            container.kill()

    def of_run(self, kind):
        """Activations of a kind, 'activation' or 'call', in the order in which they were accepted."""
        return [found for found in self.activations if found.subject and found.subject[0] == kind]

    def later(self, seconds):
        """Lets time pass in all containers, and where tokens are checked."""
        moved = self.clock.with_suffix('.new')
        moved.write_text(str(self.passed() + seconds))
        moved.replace(self.clock)

    def passed(self):
        """Seconds that :meth:`later` let pass."""
        return float(self.clock.read_text())

    # REST

    def answer(self, method, path, query, headers, body):
        """What is answered: a status, and a document."""
        if path == '/identity/token':
            if self.troubles:
                self.troubles -= 1
                return 503, {'errorMessage': 'later'}
            return 200, self.grant()
        if not self._is_allowed(headers.get('Authorization', '')):
            self.unauthorized += 1
            return 401, {'error': 'The supplied authentication is invalid', 'code': uuid.uuid4().hex}
        if path == '/api/v1/namespaces':
            return self._namespace(method, body)
        found = re.fullmatch(r'/api/v1/namespaces/([^/]+)/(packages|actions|triggers|rules)(?:/(.*))?', path)
        if not found:
            return 404, {'error': f'The requested resource does not exist: {path}'}
        namespace, kind, rest = found.groups()
        if kind == 'packages':
            return self._package(method, rest, query)
        if kind in ('triggers', 'rules'):
            return self._bind(method, kind, rest, query, body)
        if namespace == 'whisk.system' and rest in ('alarms/once', 'alarms/interval') and self.has_alarms:
            return self._tell_clock(rest.partition('/')[2], json.loads(body))
        package, _, name = (rest or '').partition('/')
        if method == 'GET' and not name:
            return 200, [{'name': action} for own, action in self.actions if own == package]
        if method == 'PUT':
            return self._create(package, name, json.loads(body))
        if (package, name) not in self.actions:
            return 404, {'error': 'The requested resource does not exist.', 'code': uuid.uuid4().hex}
        if method == 'DELETE':
            del self.actions[package, name]
            return 200, {'name': name}
        if method == 'GET':
            return 200, {'name': name}
        return self._invoke(package, name, query, body)

    def grant(self, seconds=3600):
        """A token of the identity service."""
        now = int(time.time() + self.passed())
        token = jwt.encode({'iat': now, 'exp': now + seconds, 'jti': uuid.uuid4().hex}, 'a key of 32 bytes, of the identity')
        self.tokens[token] = now + seconds
        return {
            **{'access_token': token, 'refresh_token': 'none', 'token_type': 'Bearer'},
            **{'expires_in': seconds, 'expiration': int(self.tokens[token])},
        }

    def _is_allowed(self, authorization):
        kind, _, given = authorization.partition(' ')
        if kind == 'Bearer':
            return self.tokens.get(given, 0) > time.time() + self.passed()
        return kind == 'Basic' and base64.b64decode(given).decode() == self.api_key

    def _namespace(self, method, body):
        if method == 'GET':
            return 200, {'namespaces': [{'name': name, 'id': id} for name, id in self.namespaces.items()]}
        name = json.loads(body)['name']
        self.namespaces[name] = uuid.uuid4().hex
        return 201, {'name': name, 'id': self.namespaces[name]}

    def _bind(self, method, kind, name, query, body):
        if method == 'DELETE':
            found = self.bound[kind].pop(name, None)
            return (200, {'name': name}) if found is not None else (404, {'error': 'it does not exist'})
        if method == 'POST':
            return self._fire_by_hand(name, json.loads(body))
        if name in self.bound[kind] and not query.get('overwrite'):
            return 409, {'error': 'resource already exists', 'code': uuid.uuid4().hex}
        self.bound[kind][name] = json.loads(body)
        return 200, {'name': name}

    def _fire_by_hand(self, name, payload):
        bound = (found['trigger'] for found in self.bound['rules'].values())
        trigger = next((trigger for trigger in bound if trigger.endswith(f'/{name}')), None)
        if name not in self.bound['triggers']:
            return 404, {'error': 'The requested resource does not exist.'}
        if trigger is None:
            return 204, {}
        # Whatever becomes of the action: who fires a trigger is not told
        self._fire(trigger, payload)
        return 202, {'activationId': uuid.uuid4().hex}

    def _tell_clock(self, feed, said):
        name = said['triggerName'].rpartition('/')[2]
        if said['authKey'] != self.api_key or name not in self.bound['triggers']:
            return 400, {'error': 'no such trigger, or not allowed'}
        if said['lifecycleEvent'] == 'DELETE':
            clock = self.clocks.pop(name, None)
            if not clock:
                return 404, {'error': 'no such alarm'}
            clock.cancel()
        elif feed == 'once':
            assert said['deleteAfterFire'] == 'rules'
            self._wind(name, said, said['date'], None)
        else:
            assert int(said['minutes']) == said['minutes'] >= 1
            self._wind(name, said, said['startDate'], said['minutes'] * self.minute)
        return 200, {'status': 'success'}

    def _wind(self, name, alarm, date, seconds):
        """Fires a trigger at its time, in ms since the epoch; and then every so many seconds."""

        def fire():
            if seconds:
                self._wind(name, alarm, date + seconds * 1000, seconds)
            else:
                self.clocks.pop(name)
            self._fire(alarm['triggerName'], alarm['trigger_payload'])
            if not seconds:
                for rule in [rule for rule, bound in self.bound['rules'].items() if bound['trigger'] == alarm['triggerName']]:
                    del self.bound['rules'][rule]
                del self.bound['triggers'][name]

        clock = threading.Timer(max(0.0, date / 1000 - time.time()), fire)
        clock.daemon = True
        self.clocks[name] = clock
        clock.start()

    def _fire(self, trigger, payload):
        """Invokes what rules bind to a trigger."""
        for bound in [*self.bound['rules'].values()]:
            if bound['trigger'] == trigger:
                package, _, action = bound['action'].split('/', 2)[2].partition('/')
                self.fired.append(self._invoke(package, action, {}, json.dumps(payload).encode()))

    def _package(self, method, name, query):
        if method == 'GET':
            return 200, [{'name': package} for package in sorted(self.packages)]
        if method == 'DELETE':
            self.packages.discard(name)
        elif name in self.packages and query.get('overwrite') != ['True']:
            return 409, {'error': 'resource already exists', 'code': uuid.uuid4().hex}
        else:
            self.packages.add(name)
        return 200, {'name': name}

    def _create(self, package, name, document):
        memory, timeout = document['limits']['memory'], document['limits']['timeout'] / 1000
        least, most = self.MEMORY
        if not least <= memory <= most:
            return 400, {'error': f'The request content was malformed: memory {memory} MB is not in {least} to {most}'}
        if timeout > self.TIMEOUT:
            return 400, {'error': f'The request content was malformed: timeout {timeout} s exceeds {self.TIMEOUT} s'}
        folder = self.folder / 'actions' / uuid.uuid4().hex[:8]
        with zipfile.ZipFile(io.BytesIO(base64.b64decode(document['exec']['code']))) as code:
            code.extractall(folder)
        self.actions[package, name] = Action(folder, memory, timeout)
        return 200, {'name': name}

    def _invoke(self, package, name, query, body):
        if len(body) > self.MAX_PAYLOAD:
            return 413, {'error': f'The request entity is larger than allowed: {len(body)} > {self.MAX_PAYLOAD} bytes.'}
        action = self.actions[package, name]
        activation = Activation(uuid.uuid4().hex, f'{package}/{name}', json.loads(body), time.time())
        with self._lock:
            if len(self.running) >= self.limit:
                self.refused += 1
                told = f'Too many concurrent requests in flight (count: {len(self.running)}, allowed: {self.limit}).'
                return 429, {'error': told, 'code': uuid.uuid4().hex}
            self.activations.append(activation)
            fate = self.fate(activation)
            if fate != 'drop':
                container = action.idle.popleft() if action.idle else None
                slot = container or object()
                self.running[slot] = activation
                self.peak = max(self.peak, len(self.running))
        if fate == 'drop':
            return 202, {'activationId': activation.id}
        if query.get('blocking') == ['true']:
            answer = self._run(action, slot, activation)
            return (200 if answer['success'] else 502), answer['result']
        threading.Thread(target=self._run, args=(action, slot, activation), daemon=True).start()
        if fate == 'twice':
            again = Activation(activation.id, activation.action, activation.value, time.time())
            threading.Thread(target=self._run, args=(action, object(), again), daemon=True).start()
        return 202, {'activationId': activation.id}

    def _run(self, action, slot, activation):
        self.cold(activation)
        container = slot if isinstance(slot, Container) else Container(self, action)
        with self._lock:
            self.running.pop(slot, None)
            self.running[container] = activation
        activation.began, activation.pid = time.time(), container.process.pid
        overtime = threading.Timer(action.timeout, container.kill)
        overtime.daemon = True
        overtime.start()
        answer = container.run(
            activation.value,
            {
                **{'__OW_ACTIVATION_ID': activation.id, '__OW_ACTION_NAME': f'/tests/{activation.action}'},
                **{'__OW_NAMESPACE': 'tests', '__OW_DEADLINE': str(int((time.time() + action.timeout) * 1000))},
            },
        )
        overtime.cancel()
        activation.ended = time.time()
        activation.result = json.dumps(answer['result']) if answer else 'its container was killed'
        with self._lock:
            self.running.pop(container, None)
            warm = answer is not None and len(action.idle) < self.WARM
            if warm:
                action.idle.append(container)
        if not warm:
            container.kill()
        return answer or {'success': False, 'result': {'error': activation.result}}

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def _answer(self):
                url = urlparse(self.path)  # Lithops' client sends the whole of it
                body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
                status, document = server.answer(self.command, url.path, parse_qs(url.query), self.headers, body)
                encoded = b'' if status == 204 else json.dumps(document).encode()
                self.send_response(status)
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            do_GET = do_PUT = do_POST = do_DELETE = _answer

            def log_message(self, *_):
                pass

        return Handler
