"""A keep-alive connection that carries one exchange at a time: on the event loop, or where no loop runs.

Both are opened on use, and opened anew when they are gone. An exchange that is cut short drops its connection, so
that no answer is taken for the next one's.
"""

import asyncio
import logging
import select
import socket
import struct
import threading
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol, TypeVar, cast

from warmkit.clock import monotonic
from warmkit.runtime.http import Answer, ExchangeError, Parser, Request

T = TypeVar("T")

_log = logging.getLogger("warmkit")
_CHUNK = 1 << 14

REST = 30.0
"""Seconds for the rest of an answer that has begun: its beginning may take for ever, as `next` does, but not its middle."""


class Line(Protocol):
    """A way to one peer."""

    def exchange(
        self, request: Request, *, limit: float | None = None
    ) -> Coroutine[Any, Any, Answer]:
        """Sends a request and returns its answer, to be awaited. On the event loop it is sent at once, if the line is open.

        Args:
            request: What is sent.
            limit: Seconds; None: however long it takes to begin.

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


def _too_late(limit: float) -> TimeoutError:
    return TimeoutError(f"no answer within {limit:g} s")


def _note_unasked() -> None:
    _log.warning(
        "the platform spoke unasked: nothing of it is taken, and the connection is opened anew"
    )


# -- where no loop runs


class BlockingLine:
    """A line for a thread that has nothing else to do. Its coroutines never suspend: see `at_once`."""

    def __init__(self, address: str) -> None:
        self._address = split(address)
        self._host = address.encode()
        self._pipe: _Pipe | None = None

    async def exchange(self, request: Request, *, limit: float | None = None) -> Answer:
        """Sends a request and returns its answer. Errors are those of every line."""
        pipe = self._open(limit)
        try:
            answer = pipe.exchange(request.encode(self._host), limit)
        except BaseException:
            self.close()
            raise
        if not pipe.keeps_alive():
            self.close()
        return answer

    def _open(self, limit: float | None) -> "_Pipe":
        if self._pipe is not None and self._pipe.is_over():
            self.close()
        if self._pipe is None:
            self._pipe = _Pipe(socket.create_connection(self._address, limit))
        return self._pipe

    async def pause(self, seconds: float) -> None:
        """Waits, in such a way that a signal is noticed."""
        threading.Event().wait(seconds)

    def close(self) -> None:
        """Drops the connection."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None


class _Pipe:
    """One connection of a `BlockingLine`: as few system calls as can be.

    The time limit is the kernel's, and stays set for the next exchange; one that has no limit begins again when it passes.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(None)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connection
        self._parser = Parser()
        self._is_cut = False
        self._limit = 0.0  # which the kernel takes for none
        self._unasked = select.poll()
        self._unasked.register(connection, select.POLLIN)

    def keeps_alive(self) -> bool:
        """Whether it can carry another exchange."""
        if self._parser.has_more:
            _note_unasked()
        return self._parser.keeps_alive and not self._is_cut

    def is_over(self) -> bool:
        """Whether anything has arrived while nothing is awaited: the end, or what nobody asked for."""
        if not self._unasked.poll(0):
            return False
        with suppress(OSError):
            if self._socket.recv(1, socket.MSG_DONTWAIT):
                _note_unasked()
        return True

    def exchange(self, message: bytes, limit: float | None) -> Answer:
        ends = None
        if limit is not None:
            ends = monotonic() + limit
            self._let_wait(limit)
        try:
            return self._exchange(message, ends)
        except (BlockingIOError, _TimeIsUpError):
            if limit is not None:
                raise _too_late(limit) from None
            raise TimeoutError("the answer stopped in the middle") from None

    def _exchange(self, message: bytes, ends: float | None) -> Answer:
        try:
            self.send(message, ends)
        except (BrokenPipeError, ConnectionResetError):
            self._is_cut = True  # the peer wants no more of it, and may have said why
        answer = self._parser.feed(self._received(ends))
        if answer is None and ends is None:
            ends = monotonic() + REST
        while answer is None:
            self._let_wait_until(ends)
            answer = self._parser.feed(self._received(ends))
        return answer

    def _received(self, ends: float | None) -> bytes:
        while True:
            try:
                data = self._socket.recv(_CHUNK)
            except BlockingIOError:
                if ends is None:
                    continue
                raise
            if not data:
                raise ExchangeError("the connection was lost: closed by the peer")
            return data

    def send(self, message: bytes, ends: float | None = None) -> None:
        sent = self._socket.send(message)
        while sent < len(message):  # a signal came, or it waited for the peer as long as it may
            self._let_wait_until(ends)
            sent += self._socket.send(memoryview(message)[sent:])

    def close(self) -> None:
        self._socket.close()

    def _let_wait_until(self, ends: float | None) -> None:
        if ends is not None:
            left = ends - monotonic()
            if left <= 0:
                raise _TimeIsUpError
            self._let_wait(left)

    def _let_wait(self, seconds: float) -> None:
        if seconds != self._limit:
            self._limit = seconds
            timeval = struct.pack("@ll", int(seconds), max(1, int(seconds % 1 * 1e6)))
            for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                self._socket.setsockopt(socket.SOL_SOCKET, option, timeval)


class _TimeIsUpError(Exception):
    """An exchange took as long as it may."""


# -- on the event loop


class LoopLine:
    """A line for one task of the running loop. Cancelling an exchange drops the connection."""

    def __init__(self, address: str) -> None:
        self._address = split(address)
        self._host = address.encode()
        self._wire: _Wire | None = None

    def exchange(
        self, request: Request, *, limit: float | None = None
    ) -> Coroutine[Any, Any, Answer]:
        """Sends a request and returns its answer, to be awaited. Errors are those of every line."""
        if self._wire is None or self._wire.is_over:
            return self._exchange_anew(request, limit)
        return self._wire.exchange(request.encode(self._host), limit)

    async def _exchange_anew(self, request: Request, limit: float | None) -> Answer:
        try:
            async with asyncio.timeout(limit):
                wire = await self._open()
                return await wire.exchange(request.encode(self._host), None)
        except TimeoutError:
            if limit is None:  # the kernel's
                raise
            raise _too_late(limit) from None

    async def _open(self) -> "_Wire":
        if self._wire is None or self._wire.is_over:
            loop = asyncio.get_running_loop()
            _, self._wire = await loop.create_connection(_Wire, *self._address)
        return self._wire

    async def upload(self, request: Request) -> "Upload":
        """Begins a request whose body follows in pieces.

        Raises:
            OSError: The peer cannot be reached.
        """
        wire = await self._open()
        return Upload(wire, wire.begin(request.encode(self._host)))

    async def pause(self, seconds: float) -> None:
        """Waits."""
        await asyncio.sleep(seconds)

    def close(self) -> None:
        """Drops the connection."""
        if self._wire is not None:
            self._wire.drop(ExchangeError("it was closed by us"))
            self._wire = None


class Upload:
    """A request whose body is sent in pieces, over a connection that ends with it.

    Args:
        wire: The connection.
        answer: What becomes of it. It may come before the end of the body: then the rest is not wanted.

    Attributes:
        answer: The same.
    """

    def __init__(self, wire: "_Wire", answer: "asyncio.Future[Answer]") -> None:
        self._wire = wire
        self.answer = answer

    async def send(self, data: bytes) -> None:
        """Sends a piece, and waits while the peer is slow to take it.

        Raises:
            ExchangeError: The connection is lost.
        """
        self._wire.send(data)
        await self._wire.drained()

    async def end(self, data: bytes, *, limit: float) -> Answer:
        """Sends the last piece and returns the answer; waits for it no longer than so many seconds.

        Raises:
            OSError: No answer came.
        """
        try:
            if not self.answer.done():
                self._wire.send(data)
            async with asyncio.timeout(limit):
                return await self.answer
        except TimeoutError:
            raise _too_late(limit) from None
        finally:
            self._wire.drop(ExchangeError("the upload is over"))


class _Wire(asyncio.BufferedProtocol):
    """One connection of a `LoopLine`. Its buffer is kept: asyncio's own would be mapped and unmapped at each answer."""

    def __init__(self) -> None:
        self.is_over = False
        self._loop = asyncio.get_running_loop()
        self._buffer = memoryview(bytearray(_CHUNK))
        self._room: asyncio.Future[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._parser = Parser()
        self._answer: asyncio.Future[Answer] | None = None
        self._patience: asyncio.TimerHandle | None = None

    def send(self, message: bytes) -> None:
        assert self._transport is not None
        self._transport.write(message)

    def begin(self, message: bytes) -> "asyncio.Future[Answer]":
        """Sends a request, or its head; the answer is for whoever awaits it."""
        assert self._answer is None, "one exchange at a time"
        if self.is_over:
            raise ExchangeError("the connection was lost")
        self._answer = self._loop.create_future()
        self.send(message)
        return self._answer

    async def drained(self) -> None:
        """Waits while the peer is slow to take what was sent."""
        while self._room is not None and not self.is_over:
            await asyncio.wait({self._room})
        if self.is_over:
            raise ExchangeError("the connection was lost")

    def exchange(self, message: bytes, limit: float | None) -> Coroutine[Any, Any, Answer]:
        """Sends a request; what it returns awaits the answer."""
        answer = self.begin(message)
        if limit is not None:
            self._patience = self._loop.call_later(limit, self._give_up, limit)
        return self._answered(answer)

    async def _answered(self, answer: "asyncio.Future[Answer]") -> Answer:
        try:
            return await answer
        finally:
            if not answer.done() or answer.cancelled():
                self.drop(ExchangeError("the exchange was cancelled"))
            self._answer = None

    def drop(self, error: OSError) -> None:
        """Ends it at once; an exchange that waits fails with the error."""
        self.is_over = True
        self._stop_waiting()
        self.resume_writing()
        if self._transport is not None:
            self._transport.abort()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # -- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._answer is None or self._answer.done():
            if not self.is_over and (self._answer is None or not self._answer.cancelled()):
                _note_unasked()
            self.drop(ExchangeError("the peer spoke unasked"))
            return
        try:
            answer = self._parser.feed(self._buffer[:nbytes])
        except ExchangeError as error:
            self.drop(error)
            return
        if answer is None:
            if self._patience is None:
                self._patience = self._loop.call_later(REST, self._give_up, None)
            return
        self._answer.set_result(answer)
        self._stop_waiting()
        assert self._transport is not None
        if self._parser.has_more:
            _note_unasked()
        if not self._parser.keeps_alive or self._transport.get_write_buffer_size():
            self.drop(ExchangeError("the peer wants no more of it"))

    def _give_up(self, limit: float | None) -> None:
        stopped = ExchangeError("the answer stopped in the middle")
        self.drop(stopped if limit is None else _too_late(limit))

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def pause_writing(self) -> None:
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:
        if self._room is not None:
            self._room.set_result(None)
            self._room = None

    def connection_lost(self, exc: Exception | None) -> None:
        self.drop(ExchangeError(f"the connection was lost: {exc or 'closed by the peer'}"))
