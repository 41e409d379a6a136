"""HTTP messages as the Runtime API speaks them: requests as bytes, bytes as answers. Parsing is httptools'.

It opens nothing and waits for nothing: `lines` carries the bytes, and what an answer means is said in `protocol`.
"""

from collections.abc import Mapping
from typing import NamedTuple

import httptools

MAX_HEADERS, MAX_BODY = 1 << 20, 64 << 20
"""Bytes of an answer. Lambda's own limits are 1 MB and 6 MB."""
_NONE: Mapping[str, str] = {}


class Request:
    """What is sent: bytes, but for the host. It can be sent any number of times.

    Args:
        method: Such as "GET".
        path: From the first slash on.
        headers: Beside the host and the length of the body; Latin-1.
        body: The whole body; None: it follows in chunks.
    """

    __slots__ = ("_body", "_first", "_headers")

    def __init__(
        self, method: str, path: str, headers: Mapping[str, str] = _NONE, body: bytes | None = b""
    ) -> None:
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        if body is None:
            lines = f"{lines}Transfer-Encoding: chunked\r\n"
        elif body or method == "POST":
            lines = f"{lines}Content-Length: {len(body)}\r\n"
        self._first = f"{method} {path} HTTP/1.1\r\nHost: ".encode()
        self._headers = f"\r\n{lines}\r\n".encode("latin-1")
        self._body = body or b""

    def encode(self, host: bytes) -> bytes:
        """Returns the bytes to send to "host:port"."""
        return b"".join((self._first, host, self._headers, self._body))


class Answer(NamedTuple):
    """What came back.

    Attributes:
        status: The HTTP status.
        pairs: Names and values of the headers, as they came.
        body: The whole body.
    """

    status: int
    pairs: list[tuple[bytes, bytes]]
    body: bytes

    def headers(self) -> dict[bytes, bytes]:
        """Returns the headers by name in lower case; what was said twice is joined with a comma."""
        headers = {name.lower(): value for name, value in self.pairs}
        if len(headers) == len(self.pairs):
            return headers
        joined: dict[bytes, bytes] = {}
        for name, value in self.pairs:
            known = joined.get(name.lower())
            joined[name.lower()] = value if known is None else known + b", " + value
        return joined


class ExchangeError(ConnectionError):
    """No whole answer arrived: the peer closed, or spoke no HTTP."""


class Parser:
    """Makes answers of the bytes of one connection, one at a time.

    Attributes:
        keeps_alive: The connection can carry another exchange.
        has_more: Something came behind the answer, which nobody asked for.
    """

    def __init__(self) -> None:
        self.keeps_alive = True
        self.has_more = False
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Answer | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._received = 0

    def feed(self, data: bytes | memoryview) -> Answer | None:
        """Returns the answer, if it is whole with these bytes.

        Raises:
            ExchangeError: They are no answer that we take.
        """
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self.keeps_alive = False
            self.has_more = self._answer is not None
            if self._answer is None:
                why = error.__context__ or error
                raise ExchangeError(f"the answer is no HTTP that we take: {why}") from None
        answer, self._answer = self._answer, None
        if answer is None:
            self._limit(len(data))
        else:
            self._received = 0
        return answer

    def _limit(self, more: int) -> None:
        """Counts what came and made no whole answer."""
        self._received += more
        if not self._body and self._received > MAX_HEADERS:
            raise ExchangeError(f"the answer has more than {MAX_HEADERS} bytes of headers")
        if self._received > MAX_HEADERS + MAX_BODY:
            raise ExchangeError(f"the answer has more than {MAX_BODY} bytes of body")

    # -- what the parser calls

    def on_message_begin(self) -> None:
        if self._answer is not None:
            raise ExchangeError("the peer spoke unasked")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name, value))

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        status: int = self._parser.get_status_code()
        if status >= 200:  # noqa: PLR2004  1xx announces the answer
            self._answer = Answer(status, self._headers, b"".join(self._body))
            self.keeps_alive = self._parser.should_keep_alive()
        self._headers, self._body = [], []
