"""A proxy before an S3 server, that lets happen what happens to requests in a network, and in a service that is busy."""

import contextlib
import http.client
import random
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

#: The chance of each fault of a request
CHANCES = {
    # Nothing arrives, and there is no answer
    'refused': 0.01,
    # The server is asked, and its answer is lost: a write has been done
    'answer lost': 0.02,
    # … or says that it failed
    'lied': 0.01,
    # The server is busy
    'slow down': 0.015,
    'internal error': 0.01,
    # The answer begins, and ends in the midst of the object
    'cut': 0.02,
    # It arrives twice, and the second answer is given
    'twice': 0.02,
    'late': 0.02,
}
#: Seconds that a late request takes at the most
LATEST = 3.0

_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>{0}</Code><Message>{0}</Message></Error>'
_OF_A_CONNECTION = ('connection', 'keep-alive', 'transfer-encoding', 'content-length', 'date', 'server')


@contextlib.contextmanager
def faulty_proxy(endpoint, seed, chances=CHANCES):
    """
    Yields the address of a proxy before the server at ``endpoint``, and how often each fault was injected so far.

    :param seed: decides which fault a request has, by its number
    :param chances: of each fault
    """
    server = ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
    server.daemon_threads = True
    server.target = endpoint.removeprefix('http://')
    server.chances, server.injected = chances, Counter()
    server.random, server.lock = random.Random(seed), threading.Lock()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f'http://127.0.0.1:{server.server_address[1]}', server.injected
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    # An answer is written in two parts, and must not wait for the acknowledgment of the first
    disable_nagle_algorithm = True

    def handle_request(self):
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        fault = self._fault()
        if fault == 'refused':
            self._hang_up()
        elif fault == 'slow down':
            self._answer(503, {}, _ERROR.format('SlowDown').encode())
        else:
            if fault == 'late':
                time.sleep(self.server.random.uniform(0, LATEST))
            if fault == 'twice':
                self._ask(body)
            status, headers, found = self._ask(body)
            if fault == 'answer lost':
                self._hang_up()
            elif fault in ('lied', 'internal error'):
                self._answer(500, {}, _ERROR.format('InternalError').encode())
            else:
                self._answer(status, headers, found, cut=fault == 'cut')

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_request

    def _fault(self):
        """What happens to this request; '' for nothing."""
        with self.server.lock:
            drawn = self.server.random.random()
            for fault, chance in self.server.chances.items():
                drawn -= chance
                if drawn < 0:
                    # Only an object can be cut, and only a write be lied about
                    if (fault == 'cut' and self.command != 'GET') or (fault == 'lied' and self.command == 'GET'):
                        return ''
                    self.server.injected[fault] += 1
                    return fault
        return ''

    def _ask(self, body):
        # With the address that the client has signed
        connection = http.client.HTTPConnection(self.server.target, timeout=60)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in ('connection', 'expect'):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, status, headers, body, cut=False):
        self.send_response_only(status)
        told = {name: value for name, value in dict(headers).items() if name.lower() not in _OF_A_CONNECTION}
        length = len(body)
        if self.command == 'HEAD':
            length = dict(headers).get('Content-Length', 0)
        for name, value in {**told, 'Content-Length': length}.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self._hang_up()

    def _hang_up(self):
        self.close_connection = True

    def handle(self):
        # A client that was killed has hung up by itself
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, *_):
        pass
