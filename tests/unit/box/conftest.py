"""A tiny web server that does what the path of a request says."""

import itertools
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

FILE = bytes(range(256)) * 1024  # 256 KiB


class Pages(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    every_other = itertools.cycle((True, False))

    def do_GET(self) -> None:
        if self.path == "/every-other" and not next(self.every_other):
            self.close_connection = True
            return
        body = FILE if self.path in ("/file", "/cut-file") else b"It works!"
        self.send_response(503 if self.path == "/busy" else 200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/every-other":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body[:-5] if self.path.startswith("/cut") else body)
        # /idle: closed without a reply, as a stopping server closes its idle connections
        self.close_connection |= self.path.startswith(("/cut", "/idle"))

    def log_message(self, format: str, *args: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that disconnects is no fault of the server."""


@pytest.fixture(scope="session")
def port() -> Iterator[int]:
    with Server(("127.0.0.1", 0), Pages) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield server.server_address[1]
        server.shutdown()
