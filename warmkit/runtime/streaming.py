"""One invocation whose response is given in chunks, as the handler yields them.

It knows neither sockets nor signals. What a chunk looks like is said in `chunks`.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from contextvars import Context as Variables
from typing import Any

from warmkit.runtime.context import Context
from warmkit.runtime.failure import Failure, failure_of
from warmkit.runtime.invocation import Api, Streamed, outcome_of, read
from warmkit.runtime.kinds import in_time, is_warm, margin_of
from warmkit.runtime.logs import flush
from warmkit.runtime.protocol import Received


class Streaming:
    """Serves invocations with an async generator.

    Args:
        handler: A `WarmHandler` that streams, or an async generator function.
        serving: The tasks that serve at present.
    """

    def __init__(self, handler: Callable[..., Any], serving: set[asyncio.Task[Any]]) -> None:
        self._margin = margin_of(handler)
        self._chunks: Callable[[Any, Context], AsyncGenerator[Any, None]] = (
            handler.stream if is_warm(handler) else handler
        )
        self._serving = serving

    async def answer(self, api: Api, received: Received, variables: Variables) -> Failure | None:
        """Serves one, and returns what went wrong. When the platform goes away, the handler is cancelled."""
        response = api.stream(received)
        pump = asyncio.get_running_loop().create_task(
            self._pump(response, received), context=variables
        )
        self._serving.add(pump)
        try:
            first: set[asyncio.Future[Any]] = {pump, response.over}
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if not pump.done():
                pump.cancel()
                await asyncio.wait({pump})
        finally:
            self._serving.discard(pump)
        failure: Failure | None = outcome_of(pump)
        flush()
        await response.end(failure)
        return failure

    async def _pump(self, response: Streamed, received: Received) -> Failure | None:
        """The one place where what a handler raises becomes a value, an exit included: others are being served."""
        try:
            event, context = read(received)
            work = _send_all(self._chunks(event, context), response)
            if self._margin is not None:
                work = in_time(work, context, asyncio.get_running_loop(), self._margin)
            await work
        except BaseException as error:  # noqa: BLE001  see above
            return failure_of(error)
        return None


async def _send_all(chunks: AsyncGenerator[Any, None], response: Streamed) -> None:
    async with aclosing(chunks):
        async for chunk in chunks:
            await response.send(chunk)
