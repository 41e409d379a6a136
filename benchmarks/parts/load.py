"""Calls a function over kept connections, so many at a time, and checks that each answer belongs to its question."""

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

_UNAVAILABLE = b"error-type: runtime.unavailable"
_AGAIN_S = 0.001
"""A platform would not send what nobody can take; the emulator refuses it, and is asked again."""


class Load(NamedTuple):
    """What a load came to.

    Attributes:
        seconds: From the first question to the last answer.
        latencies_ms: Of each invocation, from its first attempt to its answer.
        refused: Attempts for which no poller was free.
    """

    seconds: float
    latencies_ms: list[float]
    refused: int

    @property
    def rate(self) -> float:
        """Invocations in a second."""
        return len(self.latencies_ms) / self.seconds


def load(
    address: tuple[str, int], path: str, *, in_flight: int, seconds: float, event: dict[str, Any]
) -> Load:
    """Calls with `event` and a number of its own, which must come back doubled, for so many seconds."""
    return asyncio.run(_load(address, path, in_flight, seconds, event))


async def _load(
    address: tuple[str, int], path: str, in_flight: int, seconds: float, event: dict[str, Any]
) -> Load:
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    numbers = itertools.count()
    head = "POST {} HTTP/1.1\r\nHost: {}:{}\r\nContent-Length: ".format(path, *address)
    callers = [_Caller(head, numbers, began + seconds, event) for _ in range(in_flight)]
    for caller in callers:
        await loop.create_connection(lambda caller=caller: caller, *address)  # type: ignore[misc]
    await asyncio.gather(*(caller.done for caller in callers))
    latencies = [latency for caller in callers for latency in caller.latencies_ms]
    return Load(time.perf_counter() - began, latencies, sum(caller.refused for caller in callers))


class _Caller(asyncio.Protocol):
    """One connection, with one invocation at a time."""

    def __init__(
        self, head: str, numbers: Iterator[int], ends: float, event: dict[str, Any]
    ) -> None:
        self.latencies_ms: list[float] = []
        self.refused = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = head
        self._numbers = numbers
        self._ends = ends
        self._event = event
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._next()

    def _next(self) -> None:
        self._asked = time.perf_counter()
        if self._asked > self._ends:
            self._transport.close()
            self.done.set_result(None)
            return
        self._number = next(self._numbers)
        body = json.dumps({**self._event, "n": self._number})
        self._question = f"{self._head}{len(body)}\r\n\r\n{body}".encode()
        self._ask()

    def _ask(self) -> None:
        self._transport.write(self._question)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found or len(body) < _length_of(head):
            return
        self._received = b""
        if _UNAVAILABLE in head.lower():
            self.refused += 1
            asyncio.get_running_loop().call_later(_AGAIN_S, self._ask)
            return
        self.latencies_ms.append((time.perf_counter() - self._asked) * 1000)
        if not head.startswith(b"HTTP/1.1 200") or body != b"%d" % (2 * self._number):
            self._fail(f"{self._number} was answered with {head!r} {body!r}")
            return
        self._next()

    def _fail(self, why: str) -> None:
        if not self.done.done():
            self.done.set_exception(AssertionError(why))
        self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError(f"the connection was lost: {exc}"))


def _length_of(head: bytes) -> int:
    _, _, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0])
