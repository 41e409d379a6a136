"""A TCP relay that stands in for the network in front of a server, and can break as networks do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

HOST = "127.0.0.1"
_TIMEOUT_S = 10.0
_CHUNK = 65536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)

T = TypeVar("T")
_Stream: TypeAlias = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Relay:
    """Passes TCP connections on to a port of this machine, until it is told not to.

    It runs in a thread of its own. Its methods may be called from any thread, also from one with
    a running event loop, and return when what they ask for has happened.
    """

    def __init__(self, target_port: int) -> None:
        """Listen on a free port."""
        self.connections = 0
        """How many connections were accepted so far."""
        self._target_port = target_port
        self._links: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")
        self._thread.start()
        self.port = 0
        """The port to connect to, instead of the server's."""
        self.accept()

    def __enter__(self) -> Self:
        """Return the relay, which listens already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close everything."""
        self.close()

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return len(self._links)

    def cut(self) -> int:
        """Reset all open connections, on both sides, and return how many there were."""
        return self._call(self._cut())

    def hang(self) -> None:
        """Keep connections open and accept new ones, but pass on nothing."""
        self._call(self._set_flowing(flowing=False))

    def resume(self) -> None:
        """Pass on again, beginning with what arrived during the `hang`."""
        self._call(self._set_flowing(flowing=True))

    def refuse(self) -> None:
        """Refuse new connections. Open ones stay."""
        self._call(self._refuse())

    def accept(self) -> None:
        """Accept new connections again, on the same port."""
        self._call(self._accept())

    def close(self) -> None:
        """Close everything. Does nothing the second time."""
        if self._loop.is_closed():
            return
        self.refuse()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_TIMEOUT_S)

    async def _set_flowing(self, *, flowing: bool) -> None:
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _refuse(self) -> None:
        if self._server is not None:
            self._server.close()
        self._server = None

    async def _accept(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, HOST, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> int:
        links = list(self._links)
        for link in links:
            link.cancel()
        await asyncio.gather(*links, return_exceptions=True)
        return len(links)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = asyncio.current_task()
        assert link is not None
        self.connections += 1
        self._links.add(link)
        try:
            await self._link((reader, writer))
        finally:
            self._links.discard(link)

    async def _link(self, client: _Stream) -> None:
        """Pass on both ways until both sides are done, or one of them breaks."""
        ends = [client]
        try:
            ends.append(await asyncio.open_connection(HOST, self._target_port))
            (from_client, to_client), (from_server, to_server) = ends
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(self._pass_on(from_client, to_server))
                both_ways.create_task(self._pass_on(from_server, to_client))
        except (OSError, ExceptionGroup, asyncio.CancelledError):
            # Swallows the cancellation on purpose: `cut` cancels, and wants nothing more.
            for _, writer in ends:
                _reset(writer)
        finally:
            for _, writer in ends:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            data = await reader.read(_CHUNK)
            await self._flowing.wait()
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()
