"""A TCP relay that stands in for the network in front of a server, and breaks as networks do.

It knows sockets only: no protocol, and nothing of warmkit.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

T = TypeVar("T")

HOST = "127.0.0.1"
_TIMEOUT = 10.0  # seconds for the relay's thread to do what it is told: only a bug takes that long
_CHUNK = 65536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Address(NamedTuple):
    """Where a server listens. In an f-string it reads `host:port`.

    Attributes:
        host: A name or an IPv4 address.
        port: The TCP port.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


class Relay:
    """Passes TCP connections on to a server, until it is told not to.

    It runs in a thread of its own. Its methods may be called from any thread, also from one with a running event
    loop, and return when what they ask for has happened. Its port is its own until `close`, also while it refuses.

    ```python
    with Relay(("127.0.0.1", 5432)) as relay:
        connection = await connect(relay.address)
        relay.cut()
    ```

    Args:
        server: Host and port to pass on to.

    Attributes:
        address: Where to connect to, instead of the server's.
        connections: How many connections were accepted so far.
        round_trips: How often a client spoke and the server answered so far, the opening of connections included.
        holding: How many pieces of data it holds back at the moment, in a `hang`.
    """

    def __init__(self, server: tuple[str, int]) -> None:
        self._name = _socket_on(0)  # never listens: it keeps the port while nobody else does
        self.address = Address(HOST, self._name.getsockname()[1])
        self.connections = 0
        self.round_trips = 0
        self.holding = 0
        self._server = server
        self._links: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Task[None] | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pieces_left: int | None = None
        self._reset = True
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._thread.start()
        self.accept()

    def __enter__(self) -> Self:
        """Returns the relay, which listens already."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes everything."""
        self.close()

    @property
    def port(self) -> int:
        """The port to connect to, instead of the server's."""
        return self.address.port

    @property
    def open(self) -> int:
        """How many connections are open now."""
        return len(self._links)

    def cut(self, *, reset: bool = True) -> int:
        """Ends all open connections, on both sides, and returns how many there were.

        Args:
            reset: With a reset (RST), as after a crash; else with a farewell (FIN), as a server does in order.
        """
        return self._call(self._cut(reset))

    def hang(self, *, after: int = 0) -> None:
        """Keeps connections open and accepts new ones, but passes on nothing.

        Args:
            after: How many pieces of data the server may still send first.
        """
        self._call(self._hang(after))

    def resume(self) -> None:
        """Passes on again, beginning with what arrived during the `hang`."""
        self._call(self._resume())

    def refuse(self) -> None:
        """Refuses new connections. Open ones stay."""
        self._call(self._refuse())

    def accept(self) -> None:
        """Accepts new connections again, on the same port."""
        self._call(self._accept())

    def close(self) -> None:
        """Closes everything. Does nothing the second time."""
        if self._loop.is_closed():
            return
        self.refuse()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._name.close()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_TIMEOUT)

    # -- in the relay's thread

    async def _hang(self, after: int) -> None:
        self._pieces_left = after
        if not after:
            self._flowing.clear()

    async def _resume(self) -> None:
        self._pieces_left = None
        self._flowing.set()

    async def _refuse(self) -> None:
        if self._listening is not None:
            await _cancel(self._listening)
        self._listening = None

    async def _accept(self) -> None:
        if self._listening is None:
            listener = _socket_on(self.port)
            listener.listen()
            listener.settimeout(0)
            self._listening = self._loop.create_task(self._listen(listener))

    async def _cut(self, reset: bool) -> int:  # noqa: FBT001  the keyword of `cut`
        links, self._reset = list(self._links), reset
        await _cancel(*links)
        self._reset = True
        return len(links)

    async def _listen(self, listener: socket.socket) -> None:
        with listener:
            while True:
                client, _ = await self._loop.sock_accept(listener)
                self.connections += 1
                link = self._loop.create_task(self._link(client))
                self._links.add(link)
                link.add_done_callback(partial(self._unlink, client))

    def _unlink(self, client: socket.socket, link: asyncio.Task[None]) -> None:
        """Closes the client's end, also if the link was cancelled before its first step."""
        self._links.discard(link)
        if self._reset:
            _reset_on_close(client)
        client.close()

    async def _link(self, client: socket.socket) -> None:
        """Passes on both ways until both sides are done, or one of them breaks."""
        with client, socket.socket() as server:
            server.settimeout(0)
            try:
                await self._loop.sock_connect(server, self._server)
                spoken = asyncio.Event()  # by the client, and not answered yet
                answered = partial(self._answered, spoken)
                async with asyncio.TaskGroup() as both_ways:
                    both_ways.create_task(self._pass_on(client, server, spoken.set))
                    both_ways.create_task(self._pass_on(server, client, answered))
            except (OSError, ExceptionGroup, asyncio.CancelledError):
                if self._reset:
                    _reset_on_close(client, server)

    async def _pass_on(
        self, source: socket.socket, sink: socket.socket, note: Callable[[], None]
    ) -> None:
        while data := await self._loop.sock_recv(source, _CHUNK):
            await self._let_flow()
            note()
            await self._loop.sock_sendall(sink, data)
        await self._let_flow()
        sink.shutdown(socket.SHUT_WR)

    def _answered(self, spoken: asyncio.Event) -> None:
        self.round_trips += spoken.is_set()
        spoken.clear()
        if self._pieces_left is not None:
            self._pieces_left -= 1
            if not self._pieces_left:
                self._flowing.clear()

    async def _let_flow(self) -> None:
        self.holding += 1
        try:
            await self._flowing.wait()
        finally:
            self.holding -= 1


def _socket_on(port: int) -> socket.socket:
    """Returns a socket that is bound to a port, together with others of this user."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.bind((HOST, port))
    return bound


def _reset_on_close(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
