"""A keep-alive connection that carries one exchange at a time: on the event loop, or where no loop runs.

Both are opened on use, and opened anew when they are gone. An exchange that is cut short drops its connection, so
that no answer is taken for the next one's.
"""

import asyncio
import select
import socket
import threading
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar, cast

from warmkit.clock import SystemClock
from warmkit.runtime.http import Answer, ExchangeError, Parser, Request

T = TypeVar("T")

_clock = SystemClock()
_CHUNK = 1 << 16


class Line(Protocol):
    """A way to one peer."""

    async def exchange(self, request: Request, *, limit: float | None = None) -> Answer:
        """Sends a request and returns its answer.

        Args:
            request: What is sent.
            limit: Seconds; None: however long it takes.

        Raises:
            OSError: The peer cannot be reached, or time is up (`TimeoutError`).
            ExchangeError: No whole answer arrived. Whether the request did is not known.
        """
        ...

    async def pause(self, seconds: float) -> None:
        """Waits."""
        ...

    def close(self) -> None:
        """Drops the connection."""
        ...


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine that never suspends, as everything on a `BlockingLine`, where no loop runs."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    raise AssertionError("it suspended")


def split(address: str) -> tuple[str, int]:
    """Returns host and port of "host:port"."""
    host, _, port = address.rpartition(":")
    return host, int(port)


# -- where no loop runs


class BlockingLine:
    """A line for a thread that has nothing else to do. Its coroutines never suspend: see `at_once`."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._socket: socket.socket | None = None
        self._parser = Parser()

    async def exchange(self, request: Request, *, limit: float | None = None) -> Answer:
        """Sends a request and returns its answer. Errors are those of every line."""
        ends = None if limit is None else _clock.read().monotonic + limit
        connection = self._open(limit)
        try:
            connection.settimeout(limit)
            connection.sendall(request.encode(self._address))
            answer = self._read(connection, ends)
        except BaseException:
            self.close()
            raise
        if not self._parser.keeps_alive:
            self.close()
        return answer

    def _open(self, limit: float | None) -> socket.socket:
        if self._socket is not None and _speaks_unasked(self._socket):
            self.close()
        if self._socket is None:
            self._socket = socket.create_connection(split(self._address), limit)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._parser = Parser()
        return self._socket

    def _read(self, connection: socket.socket, ends: float | None) -> Answer:
        while True:
            data = connection.recv(_CHUNK)
            if not data:
                raise ExchangeError("the connection was lost: closed by the peer")
            answer = self._parser.feed(data)
            if answer is not None:
                return answer
            if ends is not None:
                connection.settimeout(max(0.001, ends - _clock.read().monotonic))

    async def pause(self, seconds: float) -> None:
        """Waits, in such a way that a signal is noticed."""
        threading.Event().wait(seconds)

    def close(self) -> None:
        """Drops the connection."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _speaks_unasked(connection: socket.socket) -> bool:
    """Whether anything has arrived, an end included, on a connection that awaits nothing."""
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    return bool(poll.poll(0))


# -- on the event loop


class LoopLine:
    """A line for one task of the running loop. Cancelling an exchange drops the connection."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._wire: _Wire | None = None

    async def exchange(self, request: Request, *, limit: float | None = None) -> Answer:
        """Sends a request and returns its answer. Errors are those of every line."""
        if limit is None:
            return await (await self._open()).exchange(request.encode(self._address))
        async with asyncio.timeout(limit):
            return await (await self._open()).exchange(request.encode(self._address))

    async def _open(self) -> "_Wire":
        if self._wire is None or self._wire.is_over:
            loop = asyncio.get_running_loop()
            _, self._wire = await loop.create_connection(_Wire, *split(self._address))
        return self._wire

    async def pause(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)

    def close(self) -> None:
        """Drops the connection."""
        if self._wire is not None:
            self._wire.drop("it was closed by us")
            self._wire = None


class _Wire(asyncio.Protocol):
    """One connection of a `LoopLine`."""

    def __init__(self) -> None:
        self.is_over = False
        self._transport: asyncio.Transport | None = None
        self._parser = Parser()
        self._answer: asyncio.Future[Answer] | None = None

    def send(self, message: bytes) -> None:
        assert self._transport is not None
        self._transport.write(message)

    async def exchange(self, message: bytes) -> Answer:
        assert self._answer is None, "one exchange at a time"
        self._answer = asyncio.get_running_loop().create_future()
        self.send(message)
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
            answer = self._parser.feed(data)
        except ExchangeError as error:
            self.drop(str(error))
            return
        if answer is not None:
            self._answer.set_result(answer)
            if not self._parser.keeps_alive:
                self.drop("the peer ends it")

    def connection_lost(self, exc: Exception | None) -> None:
        self.drop(f"the connection was lost: {exc or 'closed by the peer'}")
