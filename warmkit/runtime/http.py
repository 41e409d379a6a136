"""One keep-alive HTTP connection that carries one exchange at a time. Parsing is httptools'.

It knows bytes and messages and nothing of Lambda: what an answer means is said in `protocol`.
"""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple, cast

import httptools

MAX_HEADERS, MAX_BODY = 1 << 20, 64 << 20
"""Bytes of an answer. Lambda's own limits are 1 MB and 6 MB."""


class Request(NamedTuple):
    """What is sent.

    Attributes:
        method: Such as "GET".
        path: From the first slash on.
        headers: Beside the host and the length of the body.
        body: The whole body.
    """

    method: str
    path: str
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: The HTTP status.
        headers: By name in lower case.
        body: The whole body.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class ExchangeError(ConnectionError):
    """No whole answer arrived: the peer closed, or spoke no HTTP."""


class Line:
    """A connection to one peer, opened on use and opened anew when it is gone.

    For one task at a time. Cancelling an exchange drops the connection.

    Args:
        address: "host:port".
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._host, self._port = host, int(port)
        self._address = address
        self._wire: _Wire | None = None

    async def exchange(self, request: Request) -> Answer:
        """Sends a request and returns its answer, however long that takes.

        Raises:
            OSError: The peer cannot be reached.
            ExchangeError: No whole answer arrived. Whether the request did is not known.
        """
        wire = await self._open()
        return await wire.exchange(_encoded(request, self._address))

    async def _open(self) -> "_Wire":
        if self._wire is None or self._wire.is_over:
            loop = asyncio.get_running_loop()
            _, wire = await loop.create_connection(_Wire, self._host, self._port)
            self._wire = wire
        return self._wire

    def close(self) -> None:
        """Drops the connection."""
        if self._wire is not None:
            self._wire.drop("it was closed by us")
            self._wire = None


class _Wire(asyncio.Protocol):
    """One connection: feeds the parser, and gathers one answer."""

    def __init__(self) -> None:
        self.is_over = False
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: asyncio.Future[Answer] | None = None
        self._forget()

    async def exchange(self, message: bytes) -> Answer:
        assert self._transport is not None
        assert self._answer is None, "one exchange at a time"
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(message)
        try:
            return await self._answer
        finally:
            if not self._answer.done() or self._answer.cancelled():
                self.drop("the exchange was cancelled")
            self._answer = None

    def drop(self, reason: str) -> None:
        """Ends it at once; an exchange that waits fails with the reason."""
        self.is_over = True
        if self._transport is not None:
            self._transport.abort()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ExchangeError(reason))

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done():
            self.drop("the peer spoke unasked")
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.drop(f"the answer is no HTTP that we take: {error.__context__ or error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.drop(f"the connection was lost: {exc or 'closed by the peer'}")

    # -- what the parser calls

    def on_message_begin(self) -> None:
        if self._answer is None or self._answer.done():  # in one piece with the answer before
            raise ExchangeError("the peer spoke unasked")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADERS:
            raise ExchangeError(f"more than {MAX_HEADERS} bytes of headers")
        self._headers[name.decode("latin-1").lower()] = value.decode("utf-8", "replace")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > MAX_BODY:
            raise ExchangeError(f"more than {MAX_BODY} bytes of body")
        self._body.append(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        answer = Answer(status, self._headers, b"".join(self._body))
        self._forget()
        if status < 200:  # noqa: PLR2004  1xx announces the answer
            return
        if not self._parser.should_keep_alive():
            self.is_over = True
            assert self._transport is not None
            self._transport.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)

    def _forget(self) -> None:
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._header_bytes = self._body_bytes = 0


def _encoded(request: Request, address: str) -> bytes:
    lines = [f"{request.method} {request.path} HTTP/1.1", f"Host: {address}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    if request.body or request.method == "POST":
        lines.append(f"Content-Length: {len(request.body)}")
    return "\r\n".join([*lines, "", ""]).encode() + request.body
