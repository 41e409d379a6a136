"""A server that sends back lines, a client for it, and the resource that a careful author makes of them."""

from __future__ import annotations

import asyncio
import contextlib
import socketserver
import threading
from typing import TYPE_CHECKING

from warmkit import resource
from warmkit.resources import is_quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warmkit import Resource
    from warmkit.testing import Address


class _Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            for line in self.rfile:
                self.wfile.write(line)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 64


@contextlib.contextmanager
def line_server() -> Iterator[tuple[str, int]]:
    """The address of a server in this process."""
    with _Server(("127.0.0.1", 0), _Echo) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield ("127.0.0.1", server.server_address[1])
        server.shutdown()
        thread.join()


class Lines:
    """A connection; one question at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer
        self._turn = asyncio.Lock()

    @classmethod
    async def connect(cls, address: Address) -> Lines:
        return cls(*await asyncio.open_connection(*address))

    async def ask(self, question: str = "hello") -> str:
        async with self._turn, asyncio.timeout(2):
            self.writer.write(question.encode() + b"\n")
            answer = await self._reader.readline()
            if not answer:
                raise ConnectionError("the server has gone")
            return answer.decode().strip()

    def abort(self) -> None:
        self.writer.transport.abort()


def careful(address: Address) -> Resource[Lines]:
    @resource
    async def lines():
        client = await Lines.connect(address)
        try:
            await client.ask("welcome")
            yield client
        finally:
            client.abort()

    @lines.alive
    def _(client: Lines) -> bool:
        return is_quiet(client.writer.transport)

    @lines.check
    async def _(client: Lines) -> None:
        await client.ask("ping")

    return lines
