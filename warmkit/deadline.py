"""Cancels what would run until the platform ends the environment: an invocation's own time is up shortly before that.

It knows tasks and seconds, not handlers. Loaded with the first invocation that has a deadline.
"""

import asyncio
from collections.abc import Awaitable, Generator
from types import coroutine
from typing import Any, TypeVar

from warmkit.errors import DeadlineError

T = TypeVar("T")


class Deadlines:
    """The deadlines of one event loop, with one timer for all: a warm invocation sets none.

    Args:
        loop: That loop.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._guards: set[Guard] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, seconds: float, margin: float, work: Awaitable[T]) -> T:
        """Awaits something in the calling task, and cancels it when its time is up.

        One that catches the cancellation and returns is taken at its word.

        Args:
            seconds: Its time.
            margin: Seconds between its time and the platform's, for the error.
            work: What is awaited.

        Raises:
            DeadlineError: It was cancelled.
        """
        return await self._awaitable(self.guard(seconds, margin), work.__await__())

    def guard(self, seconds: float, margin: float, spent: float = 0.0) -> "Guard":
        """Begins the deadline of the task that runs; `guarded` ends it.

        Args:
            seconds: Its time.
            margin: Seconds between its time and the platform's, for the error.
            spent: Seconds of its time that it has had already.
        """
        task = asyncio.current_task(self._loop)
        assert task is not None
        guard = Guard(task, self._loop.time() + seconds - spent, seconds, margin)
        self._guards.add(guard)
        if self._timer is None or guard.ends < self._timer.when():
            self._set(guard.ends)
        return guard

    def guarded(self, guard: "Guard", steps: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
        """Takes the steps of something that is awaited, as `within` does."""
        try:
            return (yield from steps)
        except asyncio.CancelledError as error:
            if guard.struck and guard.task.cancelling() <= guard.cancelled_before + 1:
                raise DeadlineError(guard.seconds, guard.margin) from error
            raise
        finally:
            self._guards.discard(guard)
            if guard.struck:
                guard.task.uncancel()

    _awaitable = coroutine(guarded)

    def _set(self, ends: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(ends, self._look)

    def _look(self) -> None:
        """Strikes those whose time is up. What was frozen meanwhile is early, never late."""
        self._timer = None
        now = self._loop.time()
        waiting = [guard for guard in self._guards if not guard.struck]
        for guard in waiting:
            if guard.ends <= now:
                guard.struck = True
                guard.task.cancel()
        left = [guard.ends for guard in waiting if not guard.struck]
        if left:
            self._set(min(left))


_by_loop: dict[asyncio.AbstractEventLoop, Deadlines] = {}


def deadlines_of(loop: asyncio.AbstractEventLoop) -> Deadlines:
    """Returns a loop's deadlines, made on first use."""
    found = _by_loop.get(loop)
    if found is None:
        for other in list(_by_loop):
            if other.is_closed():  # a weak dictionary would keep it: a loop's timer knows the loop
                _by_loop.pop(other, None)
        found = _by_loop.setdefault(loop, Deadlines(loop))
    return found


class Guard:
    """One deadline, of one task.

    Args:
        task: That task.
        ends: When its time is up, by the loop's clock.
        seconds: Its time.
        margin: Seconds between its time and the platform's.

    Attributes:
        struck: Its time is up, and it was cancelled.
        cancelled_before: How often it had been when this began.
    """

    __slots__ = ("cancelled_before", "ends", "margin", "seconds", "struck", "task")

    def __init__(
        self, task: "asyncio.Task[Any]", ends: float, seconds: float, margin: float
    ) -> None:
        self.task = task
        self.ends = ends
        self.seconds = seconds
        self.margin = margin
        self.struck = False
        self.cancelled_before = task.cancelling()
