"""Cancels what would run until the platform ends the environment: an invocation's own time is up shortly before that.

It knows tasks and seconds, not handlers. Loaded with the first invocation that has a deadline.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
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
        self._guards: set[_Guard] = set()
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
        return await self._awaitable(seconds, margin, work.__await__(), lambda: seconds)

    def guarded(
        self,
        seconds: float,
        margin: float,
        steps: Generator[Any, Any, T],
        running_for: Callable[[], float],
    ) -> Generator[Any, Any, T]:
        """Takes the steps of something that is awaited, as `within` does.

        Args:
            seconds: Its time from now on.
            margin: Seconds between its time and the platform's, for the error.
            steps: Its steps.
            running_for: Returns the seconds that it has had in all, for the error.
        """
        guard = self._begin(seconds)
        try:
            return (yield from steps)
        except asyncio.CancelledError as error:
            if guard.struck and guard.task.cancelling() <= guard.cancelled_before + 1:
                raise DeadlineError(running_for(), margin) from error
            raise
        finally:
            self._guards.discard(guard)
            if guard.struck:
                guard.task.uncancel()

    _awaitable = coroutine(guarded)

    def _begin(self, seconds: float) -> "_Guard":
        task = asyncio.current_task(self._loop)
        assert task is not None
        guard = _Guard(task, self._loop.time() + seconds)
        self._guards.add(guard)
        if self._timer is None or guard.ends < self._timer.when():
            self._set(guard.ends)
        return guard

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


class _Guard:
    __slots__ = ("cancelled_before", "ends", "struck", "task")

    def __init__(self, task: "asyncio.Task[Any]", ends: float) -> None:
        self.task = task
        self.ends = ends
        self.struck = False
        self.cancelled_before = task.cancelling()
