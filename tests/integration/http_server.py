"""Runs a real HTTP server that keeps connections alive, on 127.0.0.1, in a process of its own.

`python http_server.py 8000` serves on that port until it is ended.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from warmkit.local.processes import HOST, ChildProcess
from warmkit.local.server import Server

BODY = b"hello"
READY = "Serving"


class HttpServer(Server):
    """An HTTP/1.1 server that answers every GET with the same text."""

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def _prepare(self) -> None:
        """It needs no files."""

    def _spawn(self) -> ChildProcess:
        command = [sys.executable, "-u", __file__, str(self.port)]
        return ChildProcess(command, home=self.home, last_signal=self._last_signal)

    def _is_ready(self, output: str) -> bool:
        return READY in output


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps the connection alive

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the standard library's name
        """Says nothing."""


class _Serving(ThreadingHTTPServer):
    request_queue_size = (
        64  # of ten clients at once, the standard library's five would let some wait for a second
    )


if __name__ == "__main__":
    with _Serving((HOST, int(sys.argv[1])), _Answer) as server:
        print(READY)
        server.serve_forever()
