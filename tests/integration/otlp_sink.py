"""A collector: takes OTLP over HTTP, decodes it, and is down, silent or broken when it is told to be."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if TYPE_CHECKING:
    from types import TracebackType

HOST = "127.0.0.1"


class Received(NamedTuple):
    """A span as it came over the wire."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    resource: dict[str, Any]
    failed: bool


class Sink:
    """A collector on a port of its own, in threads of its own.

    Attributes:
        status: What it answers.
        answers: While this is clear, it says nothing.
        requests: How many exports of spans have come, answered or not.
        content: All bytes that came.
    """

    def __init__(self) -> None:
        self.status = 200
        self.answers = threading.Event()
        self.answers.set()
        self.requests = 0
        self.content = b""
        self.spans: list[Received] = []
        self.metrics: list[str] = []
        self._lock = threading.Lock()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def endpoint(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT is to be."""
        return f"http://{HOST}:{self._server.server_port}"

    @property
    def tree(self) -> list[tuple[str, str | None]]:
        """Each span's name, and its parent's."""
        names = {span.span_id: span.name for span in self.spans}
        return [
            (span.name, names.get(span.parent_id, "remote") if span.parent_id else None)
            for span in self.spans
        ]

    def take(self, path: str, body: bytes) -> int:
        """Takes an export; returns the status to answer."""
        with self._lock:
            self.content += body
            self.requests += path == "/v1/traces"
        self.answers.wait(60)
        with self._lock:
            if self.status == 200:
                self._read(path, body)
            return self.status

    def _read(self, path: str, body: bytes) -> None:
        if path == "/v1/traces":
            self.spans += _spans_of(ExportTraceServiceRequest.FromString(body))
            return
        metrics = ExportMetricsServiceRequest.FromString(body)
        for resource in metrics.resource_metrics:
            for scope in resource.scope_metrics:
                self.metrics += [metric.name for metric in scope.metrics]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.answers.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        super().__init__((HOST, 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away: it is expected to."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        assert isinstance(self.server, _Server)
        self.send_response(self.server.sink.take(self.path, body))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the standard library's
        """Quiet."""


def _spans_of(request: ExportTraceServiceRequest) -> list[Received]:
    return [
        Received(
            span.name,
            span.kind,
            span.trace_id.hex(),
            span.span_id.hex(),
            span.parent_span_id.hex(),
            _attributes(span.attributes),
            _attributes(resource.resource.attributes),
            span.status.code == 2,
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _attributes(pairs: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}
