"""A server whose connections a test can count and close: moto's keeps none open."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class KeepAlive(ThreadingHTTPServer):
    """A server that keeps connections open as S3 does, and closes the idle ones when told to.

    Attributes:
        requests: Those served so far: "GET /bucket/key".
        connections: The connections accepted so far.
        status: What HEAD and the list of buckets are answered with.
        release: Lets the second half of /bucket/slow go.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.requests: list[str] = []
        self.connections: list[socket.socket] = []
        self.status = 200
        self.release = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def close_connections(self) -> None:
        """Sends the end of every connection, and returns when the clients' kernel has it."""
        for connection in self.connections:
            connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self.shutdown()
        self._thread.join()
        self.server_close()


class Answer(BaseHTTPRequestHandler):
    """Answers "hello" to every GET."""

    protocol_version = "HTTP/1.1"
    server: KeepAlive

    def setup(self) -> None:
        super().setup()
        self.server.connections.append(self.connection)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  its name
        pass

    def do_HEAD(self) -> None:
        self._begin(self.server.status, b"")

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        body = b"hello" if path != "/" else b"<ListAllMyBucketsResult/>"
        self._begin(self.server.status if path == "/" else 200, body)
        self.wfile.write(body[:2])
        self.wfile.flush()
        if path == "/bucket/slow":
            self.server.release.wait(30)
        self.wfile.write(body[2:])

    def _begin(self, status: int, body: bytes) -> None:
        self.server.requests.append(f"{self.command} {self.path.partition('?')[0]}")
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
