"""Time as an argument: the only module that asks the operating system what time it is.

It knows readings, gaps and deadlines. What a gap means is decided in `freshness`.
"""

import asyncio
import time
from collections.abc import Iterable
from types import TracebackType
from typing import Any, NamedTuple, Protocol

from warmkit.errors import TimeLimitError


class Reading(NamedTuple):
    """One moment on three clocks, in seconds.

    A frozen execution environment stops some clocks and not others, and which is not documented; so
    all three are kept.

    Attributes:
        wall: Seconds since the Unix epoch.
        monotonic: Never goes back; may or may not stand still in a freeze.
        boot: Like `monotonic`, and counts the time suspended where the kernel knows of it.
    """

    wall: float
    monotonic: float
    boot: float


MARGIN = 0.05
"""Seconds of an invocation that waiting for resources leaves over, so that its failure can still be told."""

DEADLINE_MARGIN = 0.5
"""Seconds between the end of a handler and that of its environment: to roll back, to answer, to send spans."""

SHARE = 0.1
"""No more than this part of what is left is ever kept back."""

_new: Any = vars(tuple)[
    "__new__"
]  # twice on every invocation, at a third of the cost of calling Reading


class Clock(Protocol):
    """Where an `Environment` takes the time from."""

    def read(self) -> Reading:
        """Returns the present moment."""
        ...


class SystemClock:
    """The operating system's clocks."""

    __slots__ = ()

    if hasattr(time, "CLOCK_BOOTTIME"):

        def read(self) -> Reading:
            """Returns the present moment."""
            boot = time.clock_gettime(time.CLOCK_BOOTTIME)
            now: Reading = _new(Reading, (time.time(), time.monotonic(), boot))
            return now

    else:  # only Linux has a clock that is known to count suspended time

        def read(self) -> Reading:
            """Returns the present moment."""
            monotonic = time.monotonic()
            now: Reading = _new(Reading, (time.time(), monotonic, monotonic))
            return now


wall = time.time
"""Returns the seconds since the Unix epoch, where the other clocks are not asked for."""

monotonic = time.monotonic
"""Returns the seconds of a clock that never goes back, where the other clocks are not asked for."""


def gap(earlier: Reading, later: Reading) -> float:
    """Returns the seconds between two readings: the largest difference of any clock, never negative.

    The largest, because a clock that stood still in the freeze says too little; a wall clock that was
    set back says less than the others and is outvoted.
    """
    return max(later[0] - earlier[0], later[1] - earlier[1], later[2] - earlier[2], 0.0)


class Within:
    """A deadline around an `async with` block, which says what took too long.

    Args:
        limit: Seconds; None: no deadline.
        what: What is waited for, as the error names it.
        option: Where the limit comes from, as the error names it.

    Raises:
        TimeLimitError: The block was still waiting when the time was up.
    """

    __slots__ = ("_inside", "_limit", "_option", "_timeout", "_what")

    def __init__(self, limit: float | None, what: str, option: str) -> None:
        self._inside = False
        self._limit = limit
        self._what = what
        self._option = option
        self._timeout = asyncio.timeout(limit)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()
        self._inside = True

    def shorten(self, seconds: float, option: str) -> None:
        """Lets the block end within so many seconds from now, if it was to last longer."""
        ends = asyncio.get_running_loop().time() + seconds
        when = self._timeout.when()
        running = self._inside and not self._timeout.expired()
        if running and (when is None or ends < when):
            self._limit, self._option = seconds, option
            self._timeout.reschedule(ends)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._inside = False
        try:
            await self._timeout.__aexit__(kind, error, traceback)
        except TimeoutError:
            assert self._limit is not None
            raise TimeLimitError(self._what, self._limit, self._option) from None


async def outlast(
    tasks: Iterable[asyncio.Future[Any]], *, seconds: float | None = None
) -> asyncio.CancelledError | None:
    """Waits for tasks to end, also when cancelled; returns the cancellation that was kept back.

    Args:
        tasks: What to wait for.
        seconds: How long at most; None: until they end.
    """
    loop = asyncio.get_running_loop()
    ends = None if seconds is None else loop.time() + seconds
    waiting: set[asyncio.Future[Any]] = set(tasks)
    cancelled: asyncio.CancelledError | None = None
    while waiting:
        left = None if ends is None else max(0.0, ends - loop.time())
        try:
            done, waiting = await asyncio.wait(waiting, timeout=left)
        except asyncio.CancelledError as error:
            cancelled = error
            waiting = {task for task in waiting if not task.done()}
        else:
            if not done:
                break
    return cancelled


def own_time(left: float, margin: float) -> tuple[float, float]:
    """Returns the handler's own time, and the margin that follows it: never more than `SHARE` of what is left."""
    margin = min(margin, left * SHARE)
    return left - margin, margin
