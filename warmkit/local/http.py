"""Serves HTTP on 127.0.0.1 with uvicorn: what every server of the local Lambda is made of.

uvicorn's protocol is used without its server, which would take over signals and wake up ten times
a second for each of a hundred environments.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

    App = Callable[["Request"], Awaitable[None]]

_NEVER_S = 10 * 365 * 86_400
"""An idle connection is never closed by us: its owner may be frozen."""

_CLOSE_S = 0.5


class DisconnectedError(Exception):
    """The peer left before its request was read, or answered."""


class Request:
    """One request, and the way to answer it once.

    Attributes:
        method: In capitals.
        path: Decoded, without the query.
        headers: By name in small letters; of several with one name the last. Those after the body
            are added when it has been read.
    """

    def __init__(self, scope: Any, receive: Any, send: Any) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.scope = scope
        self._receive = receive
        self._send = send
        self.headers = _headers(scope)
        self.begun = False

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body.

        Raises:
            DisconnectedError: It does not arrive whole.
        """
        while True:
            message = await self._receive()
            if message["type"] != "http.request":
                raise DisconnectedError
            if message["body"]:
                yield message["body"]
            if not message["more_body"]:
                # uvicorn's parser puts the trailers where the headers are; a test holds that.
                self.headers = _headers(self.scope)
                return

    async def body(self, most: int) -> bytes | None:
        """Return the body; None if it is longer than `most` bytes, of which the rest is not kept.

        Raises:
            DisconnectedError: It does not arrive whole.
        """
        parts: list[bytes] = []
        size = 0
        async for chunk in self.chunks():
            size += len(chunk)
            if size <= most:
                parts.append(chunk)
        return b"".join(parts) if size <= most else None

    async def disconnected(self) -> None:
        """Wait until the peer leaves. The body must have been read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def answer(
        self,
        status: int,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        cookies: Sequence[str] = (),
    ) -> None:
        """Answer."""
        way: _Way = self.scope["state"]["way"]
        way.hold()
        await self.begin(status, headers, cookies, length=len(body))
        await self._send({"type": "http.response.body", "body": body})
        way.release()

    async def begin(
        self,
        status: int,
        headers: Mapping[str, str] | None = None,
        cookies: Sequence[str] = (),
        *,
        length: int | None = None,
    ) -> None:
        """Begin an answer of which the body follows."""
        pairs = [*(headers or {}).items(), *(("set-cookie", cookie) for cookie in cookies)]
        encoded = [(name.encode(), value.encode("latin-1", "replace")) for name, value in pairs]
        if length is not None:
            encoded.append((b"content-length", b"%d" % length))
        self.begun = True
        await self._send({"type": "http.response.start", "status": status, "headers": encoded})

    async def send(self, chunk: bytes, *, more: bool = True) -> None:
        """Send a piece of the body."""
        await self._send({"type": "http.response.body", "body": chunk, "more_body": more})


def _headers(scope: Any) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


class _Way:
    """A transport that can hold back the head of an answer until its body is there.

    uvicorn writes them one after the other, and the peer would be woken twice.
    """

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._held: list[bytes] | None = None

    def of(self, transport: asyncio.Transport) -> _Way:
        """Become the way to a peer."""
        self._transport = transport
        return self

    def hold(self) -> None:
        """Hold back what is written from now on."""
        self._held = []

    def release(self) -> None:
        """Write what was held back."""
        held, self._held = self._held, None
        if held:
            self._transport.write(b"".join(held))

    def write(self, data: bytes) -> None:
        """Write, or hold back."""
        if self._held is None:
            self._transport.write(data)
        else:
            self._held.append(data)

    def close(self) -> None:
        """Close, after what was held back."""
        self.release()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Protocol(HttpToolsProtocol):
    """uvicorn's protocol, with such a transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        way: _Way = self.app_state["way"]
        super().connection_made(cast("asyncio.Transport", way.of(transport)))


class HttpServer:
    """A server on a port of its own."""

    def __init__(self, server: asyncio.Server, state: ServerState) -> None:
        self._server = server
        self._state = state
        self.host, self.port = server.sockets[0].getsockname()[:2]

    @property
    def address(self) -> str:
        """Host and port."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    async def aclose(self) -> None:
        """Close the port and all connections."""
        self._server.close()
        for task in list(self._state.tasks):
            task.cancel()
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=_CLOSE_S)
        for connection in list(self._state.connections):
            with contextlib.suppress(AttributeError):  # not made yet
                connection.transport.close()


async def serve(app: App, host: str = "127.0.0.1", port: int = 0) -> HttpServer:
    """Serve an app.

    Args:
        app: Answers one request.
        host: The address to listen on.
        port: 0 means any free one.

    Raises:
        OSError: The port is in use.
    """
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # what matters is said by the app

    async def run(scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive, send)
        with contextlib.suppress(DisconnectedError):
            await app(request)

    config = Config(
        run,
        http=HttpToolsProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=_NEVER_S,
    )
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Protocol(config=config, server_state=state, app_state={"way": _Way()}),
        host,
        port,
    )
    return HttpServer(server, state)
