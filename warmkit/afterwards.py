"""Work for after the response: what nobody waits for, done before the environment may be frozen.

It knows awaitables and seconds, not invocations. Loaded with the first such work.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextvars import Context, ContextVar
from typing import NamedTuple

_log = logging.getLogger("warmkit")


class Work(NamedTuple):
    """Something to be awaited once the response is given.

    Attributes:
        awaitable: What is awaited.
        limit: Seconds that it may take.
        seconds_left: Returns what is left of its invocation; None: no limit.
        variables: The context variables of its invocation.
    """

    awaitable: Awaitable[object]
    limit: float
    seconds_left: Callable[[], float | None]
    variables: Context


class Afterwards:
    """What one invocation leaves to be done once its response is given.

    Args:
        seconds_left: Returns what is left of the invocation; None: no limit.
    """

    def __init__(self, seconds_left: Callable[[], float | None]) -> None:
        self.seconds_left = seconds_left
        self.works: list[Work] = []


afterwards: ContextVar[Afterwards | None] = ContextVar("warmkit_afterwards", default=None)
"""Set by a host that answers before it settles; elsewhere the environment keeps what is to be done."""


async def finish(works: Iterable[Work], *, seconds: float | None = None) -> None:
    """Awaits all of it side by side, each no longer than its limit. What goes wrong is logged.

    Args:
        works: What is to be done.
        seconds: For all of it; None: what each may take.
    """
    running = [
        asyncio.create_task(_finish(work, seconds), context=work.variables) for work in works
    ]
    if running:
        await asyncio.wait(running)


async def _finish(work: Work, seconds: float | None) -> None:
    limit = min(item for item in (work.limit, work.seconds_left(), seconds) if item is not None)
    timeout = asyncio.timeout(limit)
    try:
        async with timeout:
            await work.awaitable
    except Exception as error:  # noqa: BLE001  the answer is given: nobody is left to raise it to
        if timeout.expired():
            _log.error("work after the response was ended after %.3f s: %r", limit, work.awaitable)
        else:
            _log.error("work after the response failed: %r", error, exc_info=error)
