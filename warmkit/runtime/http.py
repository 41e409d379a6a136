"""HTTP messages as the Runtime API speaks them: requests as bytes, bytes as answers. Parsing is httptools'.

It opens nothing and waits for nothing: `lines` carries the bytes, and what an answer means is said in `protocol`.
"""

from collections.abc import Mapping
from typing import NamedTuple

import httptools

MAX_HEADERS, MAX_BODY = 1 << 20, 64 << 20
"""Bytes of an answer. Lambda's own limits are 1 MB and 6 MB."""


class Request(NamedTuple):
    """What is sent.

    Attributes:
        method: Such as "GET".
        path: From the first slash on.
        headers: Beside the host and the length of the body.
        body: The whole body; None: it follows in chunks.
    """

    method: str
    path: str
    headers: Mapping[str, str] = {}
    body: bytes | None = b""

    def encode(self, address: str) -> bytes:
        """Returns the bytes to send to "host:port"."""
        lines = [f"{self.method} {self.path} HTTP/1.1", f"Host: {address}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body is None:
            lines.append("Transfer-Encoding: chunked")
        elif self.body or self.method == "POST":
            lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join([*lines, "", ""]).encode() + (self.body or b"")


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


class Parser:
    """Makes answers of the bytes of one connection, one at a time.

    Attributes:
        keeps_alive: The connection can carry another exchange.
    """

    def __init__(self) -> None:
        self.keeps_alive = True
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Answer | None = None
        self._forget()

    def feed(self, data: bytes) -> Answer | None:
        """Returns the answer, if it is whole with these bytes.

        Raises:
            ExchangeError: They are no answer that we take.
        """
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.keeps_alive = False
            if self._answer is None:
                why = error.__context__ or error
                raise ExchangeError(f"the answer is no HTTP that we take: {why}") from None
        answer, self._answer = self._answer, None
        return answer

    # -- what the parser calls

    def on_message_begin(self) -> None:
        if self._answer is not None:
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
        if status >= 200:  # noqa: PLR2004  1xx announces the answer
            self._answer = Answer(status, self._headers, b"".join(self._body))
            self.keeps_alive = self._parser.should_keep_alive()
        self._forget()

    def _forget(self) -> None:
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._header_bytes = self._body_bytes = 0
