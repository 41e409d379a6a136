"""A TCP relay that stands in for the network in front of a server, and can break as networks do."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any, Self, TypeVar

from warmkit.local.processes import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from types import TracebackType

T = TypeVar("T")

_TIMEOUT_S = 10.0
_CHUNK = 65536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Relay:
    """Passes TCP connections on to a port of this machine, until it is told not to.

    It runs in a thread of its own. Its methods may be called from any thread, also from one with
    a running event loop, and return when what they ask for has happened.
    """

    def __init__(self, target_port: int) -> None:
        """Listen on a free port."""
        self.port = free_port()
        """The port to connect to, instead of the server's."""
        self.connections = 0
        """How many connections were accepted so far."""
        self.round_trips = 0
        """How often a client spoke and a server answered so far, the opening of connections included."""
        self._target = (HOST, target_port)
        self._links: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay")
        self._thread.start()
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

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_TIMEOUT_S)

    async def _set_flowing(self, *, flowing: bool) -> None:
        if flowing:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _refuse(self) -> None:
        if self._listening is not None:
            await _cancel(self._listening)
        self._listening = None

    async def _accept(self) -> None:
        if self._listening is None:
            listener = socket.create_server((HOST, self.port))
            listener.settimeout(0)
            self._listening = self._loop.create_task(self._listen(listener))

    async def _cut(self) -> int:
        links = list(self._links)
        await _cancel(*links)
        return len(links)

    async def _listen(self, listener: socket.socket) -> None:
        with listener:
            while True:
                client, _ = await self._loop.sock_accept(listener)
                self.connections += 1
                link = self._loop.create_task(self._link(client))
                self._links.add(link)
                link.add_done_callback(self._links.discard)

    async def _link(self, client: socket.socket) -> None:
        """Pass on both ways until both sides are done, or one of them breaks."""
        with client, socket.socket() as server:
            server.settimeout(0)
            try:
                await self._loop.sock_connect(server, self._target)
                spoken = asyncio.Event()  # by the client, and not answered yet
                async with asyncio.TaskGroup() as both_ways:
                    both_ways.create_task(self._pass_on(client, server, spoken.set))
                    both_ways.create_task(
                        self._pass_on(server, client, lambda: self._answer(spoken))
                    )
            except (OSError, ExceptionGroup, asyncio.CancelledError):
                for end in (client, server):
                    with contextlib.suppress(OSError):
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)

    def _answer(self, spoken: asyncio.Event) -> None:
        self.round_trips += spoken.is_set()
        spoken.clear()

    async def _pass_on(
        self, source: socket.socket, sink: socket.socket, note: Callable[[], None]
    ) -> None:
        while data := await self._loop.sock_recv(source, _CHUNK):
            await self._flowing.wait()
            note()
            await self._loop.sock_sendall(sink, data)
        await self._flowing.wait()
        sink.shutdown(socket.SHUT_WR)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
