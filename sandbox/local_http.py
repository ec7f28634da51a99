"""A small HTTP/1.1 server on a free local port, for the stand-ins of the sandbox."""

import http.server
import socket
import threading


class Server(http.server.ThreadingHTTPServer):
    """It waits for the next connection without waking up: the tests have a hundred of these at a time."""

    daemon_threads = True

    def __init__(self, handler, tls=None):
        super().__init__(("127.0.0.1", 0), handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.closing = threading.Event()
        self.address = "127.0.0.1:%d" % self.server_address[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while not self.closing.is_set():
            self.handle_request()

    def verify_request(self, request, client_address):
        return not self.closing.is_set()

    def close(self):
        self.closing.set()
        # The connection that ends the wait.
        socket.create_connection(self.server_address).close()
        self._thread.join()
        self.server_close()

    def handle_error(self, request, client_address):
        """Prints nothing: a client that was stopped leaves broken connections."""


class StandIn:
    """A service that this process plays, until the end of a `with` block."""

    def __init__(self, handler):
        self._server = Server(handler)
        self.url = "http://" + self._server.address

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.close()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one write
    disable_nagle_algorithm = True

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def answer(self, status, body=b"", headers=None, length=None):
        """Sends an answer. `length` is a wrong Content-Length, for tests of cut-off answers."""
        self.send_response(status)
        headers = {"Content-Type": "application/json", **(headers or {})}
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        pass
