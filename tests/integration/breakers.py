"""Circuit breakers of five kinds behind one face, each used as its own documentation says."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol

import aiobreaker
import aiobreaker.circuitbreaker
import aiobreaker.state
import purgatory
import purgatory.domain.model
import pybreaker

from warmkit.resources import CircuitBreaker, CircuitOpenError
from warmkit.testing import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest

FAIL_MAX = 3
RESET = 60.0


class Contender(Protocol):
    """One breaker, closed, with `FAIL_MAX` and `RESET`."""

    rejections: tuple[type[BaseException], ...]

    async def call(self, function: Callable[[], Awaitable[Any]]) -> Any:
        """Calls an `async def` through it."""

    def call_in_thread(self, function: Callable[[], Any]) -> Any:
        """Calls a plain function through it."""

    def state(self) -> str:
        """Returns "closed", "open" or "half-open"."""

    def pass_time(self, seconds: float) -> None:
        """Lets time pass, on all clocks."""

    def set_back(self, seconds: float) -> None:
        """Sets the wall clock back, and no other."""


class Warmkit:
    rejections = (CircuitOpenError,)

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._clock = VirtualClock()
        self._breaker = CircuitBreaker(FAIL_MAX, RESET, clock=self._clock)

    async def call(self, function):
        async with self._breaker:
            return await function()

    def call_in_thread(self, function):
        return self._breaker(function)()

    def state(self):
        return self._breaker.current_state

    def pass_time(self, seconds):
        self._clock.advance(seconds)

    def set_back(self, seconds):
        self._clock.set_wall(self._clock.read().wall - seconds)


class OnTheWallClock:
    """Those that know the wall clock only: here it is moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._offset = 0.0
        offset = self._now

        class Shifted(datetime):
            @classmethod
            def now(cls, tz=None):
                return datetime.fromtimestamp(offset(), tz)

            @classmethod
            def utcnow(cls):
                return datetime.fromtimestamp(offset(), UTC).replace(tzinfo=None)

        for module in (pybreaker, aiobreaker.state, aiobreaker.circuitbreaker):
            monkeypatch.setattr(module, "datetime", Shifted)
        monkeypatch.setattr(purgatory.domain.model, "time", SimpleNamespace(time=self._now))

    def _now(self):
        return time.time() + self._offset

    def pass_time(self, seconds):
        self._offset += seconds

    def set_back(self, seconds):
        self._offset -= seconds


class PybreakerDecorated(OnTheWallClock):
    rejections = (pybreaker.CircuitBreakerError,)

    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self._breaker = pybreaker.CircuitBreaker(FAIL_MAX, RESET)

    async def call(self, function):
        return await self._breaker(function)()

    def call_in_thread(self, function):
        return self._breaker(function)()

    def state(self):
        return self._breaker.current_state


class PybreakerCalling(PybreakerDecorated):
    async def call(self, function):
        with self._breaker.calling():
            return await function()

    def call_in_thread(self, function):
        with self._breaker.calling():
            return function()


class Aiobreaker(OnTheWallClock):
    rejections = (aiobreaker.CircuitBreakerError,)

    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        reset = aiobreaker.circuitbreaker.timedelta(seconds=RESET)
        self._breaker = aiobreaker.CircuitBreaker(FAIL_MAX, reset)

    async def call(self, function):
        return await self._breaker.call_async(function)

    def call_in_thread(self, function):
        return self._breaker.call(function)

    def state(self):
        return self._breaker.current_state.name.lower().replace("_", "-")


class Purgatory(OnTheWallClock):
    rejections = (purgatory.domain.model.OpenedState,)

    def __init__(self, monkeypatch):
        super().__init__(monkeypatch)
        self._factory = purgatory.AsyncCircuitBreakerFactory(FAIL_MAX, RESET)
        self._threads = purgatory.SyncCircuitBreakerFactory(FAIL_MAX, RESET)
        self._state = "closed"

    async def call(self, function):
        breaker = await self._factory.get_breaker("service")
        try:
            async with breaker:
                return await function()
        finally:
            self._state = breaker.context.state

    def call_in_thread(self, function):
        with self._threads.get_breaker("service"):
            return function()

    def state(self):
        return self._state.replace("opened", "open")


CONTENDERS: dict[str, type[Any]] = {
    "warmkit": Warmkit,
    "pybreaker, `@breaker`": PybreakerDecorated,
    "pybreaker, `with calling()`": PybreakerCalling,
    "aiobreaker": Aiobreaker,
    "purgatory": Purgatory,
}


async def turn() -> None:
    """Lets every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)
