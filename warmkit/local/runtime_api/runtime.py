"""The Runtime API as rules: which call of the runtime is right when, and what comes of it.

It knows no HTTP. One object serves one runtime process, from its first call to its end.
"""

from __future__ import annotations

import asyncio
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING

from warmkit.local.runtime_api.values import Failure, Invocation, RefusedError, Reply

if TYPE_CHECKING:
    from collections.abc import Callable


class State(Enum):
    """What a runtime that serves one invocation at a time is doing, in Lambda's words."""

    STARTED = "Started"
    RESTORE_READY = "RestoreReady"
    READY = "Ready"
    RUNNING = "Running"
    RESPONDING = "InvocationResponse"
    RESPONSE_SENT = "ResponseSent"
    INIT_ERROR = "InitError"


class Exchange:
    """One invocation from the moment it is handed out.

    Attributes:
        invocation: What was asked.
        replied: The reply, as soon as it begins.
        finished: Done when the runtime asks for more after it.
    """

    def __init__(self, invocation: Invocation) -> None:
        loop = asyncio.get_running_loop()
        self.invocation = invocation
        self.replied: asyncio.Future[Reply] = loop.create_future()
        self.finished: asyncio.Future[None] = loop.create_future()
        self.answered = False

    def reply(self, reply: Reply) -> None:
        """Let the caller have its reply."""
        if not self.replied.done():
            self.replied.set_result(reply)

    def finish(self) -> None:
        """Note that nothing of it runs any more."""
        if not self.finished.done():
            self.finished.set_result(None)


class Runtime:
    """One runtime process, seen from the platform.

    Args:
        concurrency: How many invocations it may have open at once.
        changed: Called when it became ready or failed to.
    """

    def __init__(self, concurrency: int, changed: Callable[[], None]) -> None:
        self._concurrency = concurrency
        self._changed = changed
        self._waiting: deque[asyncio.Future[Exchange]] = deque()
        self._open: dict[str, Exchange] = {}
        self._late: set[str] = set()
        self.state = State.STARTED
        self.init_failure: Failure | None = None
        self.restored = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether it has asked for an invocation."""
        return bool(self._waiting)

    @property
    def restoring(self) -> bool:
        """Whether it waits for its snapshot to be restored."""
        return self.state is State.RESTORE_READY

    # -- the platform's side

    def give(self, invocation: Invocation) -> Exchange:
        """Hand an invocation to the poller that waits longest."""
        exchange = Exchange(invocation)
        self._open[invocation.request_id] = exchange
        self._waiting.popleft().set_result(exchange)
        if self._concurrency == 1:
            self.state = State.RUNNING
        return exchange

    def abandon(self, exchange: Exchange) -> None:
        """Take no answer to an invocation any more, because its time is up."""
        if self._open.pop(exchange.invocation.request_id, None) is not None:
            self._late.add(exchange.invocation.request_id)

    # -- the runtime's side

    async def next(self) -> Invocation:
        """Wait for an invocation.

        Raises:
            RefusedError: It reported before that it cannot be served.
        """
        if self.state is State.INIT_ERROR:
            raise self._wrong_state("Ready")
        if self.state is State.RUNNING:
            return next(iter(self._open.values())).invocation  # it asked again: the same one again
        self._finish_answered()
        waiter: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if self._concurrency == 1:
            self.state = State.READY
        self._changed()
        try:
            exchange = await waiter
        except asyncio.CancelledError:
            if waiter in self._waiting:
                self._waiting.remove(waiter)
            raise
        return exchange.invocation

    async def restore(self) -> None:
        """Wait until the snapshot that is taken now is restored."""
        if self.state is not State.STARTED:
            raise self._wrong_state("RestoreReady")
        self.state = State.RESTORE_READY
        self._changed()
        await self.restored.wait()

    def fail_init(self, failure: Failure) -> None:
        """Take note that the function cannot be served.

        Raises:
            RefusedError: It said so before, or has served already.
        """
        if self.state not in {State.STARTED, State.RESTORE_READY} or self.ready:
            raise self._wrong_state("InitError")
        self.state = State.INIT_ERROR
        self.init_failure = failure
        self._changed()

    def check_id(self, request_id: str, nonce: str) -> Exchange:
        """Return the open invocation of that id.

        Raises:
            RefusedError: There is none, or time is up.
        """
        exchange = self._open.get(request_id)
        if exchange is None:
            if request_id in self._late:
                raise RefusedError(410, "InvokeTimeout", "Invoke timeout")
            raise RefusedError(400, "InvalidRequestID", "Invalid request ID")
        if nonce and nonce != exchange.invocation.nonce:
            raise RefusedError(410, "InvokeTimeout", "Invoke timeout")
        return exchange

    def begin_answer(self, exchange: Exchange, *, failed: bool) -> None:
        """Take note that an answer arrives.

        Raises:
            RefusedError: There was one already.
        """
        if exchange.answered and self._concurrency > 1:
            raise RefusedError(400, "InvalidRequestID", "Invalid request ID")
        if exchange.answered:
            raise self._wrong_state("InvocationErrorResponse" if failed else State.RESPONDING.value)
        exchange.answered = True
        if self._concurrency == 1:
            self.state = State.RESPONDING

    def end_answer(self, exchange: Exchange) -> None:
        """Take note that an answer has arrived."""
        if self._concurrency == 1 and self.state is State.RESPONDING:
            self.state = State.RESPONSE_SENT
        elif self._concurrency > 1:
            self._open.pop(exchange.invocation.request_id, None)
            exchange.finish()

    def _finish_answered(self) -> None:
        for request_id, exchange in list(self._open.items()):
            if exchange.answered:
                del self._open[request_id]
                exchange.finish()

    def _wrong_state(self, wanted: str) -> RefusedError:
        message = (
            f"State transition from {self.state.value} to {wanted} failed for runtime. "
            "Error: State transition is not allowed"
        )
        return RefusedError(403, "InvalidStateTransition", message)
