"""Work for after the response: what nobody waits for, done before the environment may be frozen.

It knows awaitables and seconds, not invocations. Loaded with the first such work.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
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
        let_go: Called when it is over; None: nobody waits for that.
    """

    awaitable: Awaitable[object]
    limit: float
    seconds_left: Callable[[], float | None]
    variables: Context
    let_go: Callable[[], None] | None = None


class Afterwards:
    """What one invocation leaves to be done once its response is given.

    Args:
        seconds_left: Returns what is left of the invocation; None: no limit.

    Attributes:
        over: It has been done. What is left now is the environment's to do.
    """

    def __init__(self, seconds_left: Callable[[], float | None]) -> None:
        self.seconds_left = seconds_left
        self.works: list[Work] = []
        self.over = False


afterwards: ContextVar[Afterwards | None] = ContextVar("warmkit_afterwards", default=None)
"""Set by a host that answers before it settles; elsewhere the environment keeps what is to be done."""


async def finish(works: list[Work], *, seconds: float | None = None) -> None:
    """Awaits all of it side by side, each no longer than its limit, and then what that has left. What goes wrong is logged.

    Args:
        works: What is to be done; none is left.
        seconds: For all of it; None: what each may take.

    Raises:
        asyncio.CancelledError: It was cancelled, and with it all work.
    """
    now = asyncio.get_running_loop().time
    ends = None if seconds is None else now() + seconds
    while works and (ends is None or now() < ends):
        running = [_begin(work, None if ends is None else ends - now()) for work in works]
        works.clear()
        try:
            await asyncio.wait(running)
        except asyncio.CancelledError:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            raise
    for work in works:
        _log.error("no time was left for work after the response: %r", work.awaitable)
        if inspect.iscoroutine(work.awaitable):
            work.awaitable.close()
    works.clear()


def _begin(work: Work, seconds: float | None) -> asyncio.Task[None]:
    task = asyncio.create_task(_finish(work, seconds), context=work.variables)
    let_go = work.let_go
    if let_go is not None:
        task.add_done_callback(lambda _: let_go())
    return task


async def _finish(work: Work, seconds: float | None) -> None:
    """The one place where what work raises is only logged, an exit included: the answer is given."""
    limit = min(item for item in (work.limit, work.seconds_left(), seconds) if item is not None)
    timeout = asyncio.timeout(limit)
    try:
        async with timeout:
            await work.awaitable
    except (Exception, SystemExit, asyncio.CancelledError) as error:  # noqa: BLE001  see above
        if timeout.expired():
            _log.error("work after the response was ended after %.3f s: %r", limit, work.awaitable)
        else:
            _log.error("work after the response failed: %r", error, exc_info=error)
