"""An event loop whose time jumps to the next timer when nothing else can happen.

It knows asyncio and `VirtualClock`; nothing of warmkit's resources.
"""

import asyncio
import selectors
from asyncio.coroutines import iscoroutine
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Executor
from typing import Any, TypeVar, TypeVarTuple, Unpack

from warmkit.testing.clock import VirtualClock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class DeadlockError(AssertionError):
    """Every task waits, no timer is set, and no thread is at work: nothing can ever happen again.

    Attributes:
        waiting: The tasks, and where each waits.
    """

    def __init__(self, waiting: list[str]) -> None:
        super().__init__(waiting)
        self.waiting = waiting

    def __str__(self) -> str:
        lines = "".join(f"\n  {line}" for line in self.waiting)
        return f"everything waits for ever, and no timer is set:{lines}"


class LoopWithThreads(asyncio.SelectorEventLoop):
    """An event loop that knows how many threads work for it; a base for loops that handle time themselves.

    Attributes:
        threads_at_work: How many; what they return is not foreseen by any timer.
    """

    threads_at_work = 0

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Runs a function in a thread, and counts it while it is at work.

        Args:
            executor: Where; None: the loop's own threads.
            func: The function.
            *args: Its arguments.
        """
        future = super().run_in_executor(executor, func, *args)
        self.threads_at_work += 1
        future.add_done_callback(self._thread_is_back)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109  asyncio's own signature
        """Waits, in real time, until the loop's threads have ended.

        Args:
            timeout: Ignored: what is left to do is no longer virtual.
        """
        self.threads_at_work += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self.threads_at_work -= 1

    def _thread_is_back(self, _: object) -> None:
        self.threads_at_work -= 1


class VirtualLoop(LoopWithThreads):
    """An asyncio event loop in virtual time.

    When nothing is ready it moves its clock to the next timer instead of sleeping. While a thread works for it
    (`asyncio.to_thread`, `loop.run_in_executor`) time stands still, and the wait is a real one. Real sockets are
    polled, but time does not wait for them.

    Args:
        clock: Whose monotonic clock is the loop's time.

    Raises:
        DeadlockError: From `run_until_complete`, when nothing can ever happen again.
    """

    def __init__(self, clock: VirtualClock | None = None) -> None:
        self.clock = clock or VirtualClock()
        super().__init__(_Selector(self._next_wait))

    def time(self) -> float:
        """Returns the virtual time in seconds."""
        return self.clock.monotonic

    def _next_wait(self, seconds: float | None) -> float | None:
        """Returns how long the selector is to wait really; moves time, or finds that nobody ever will."""
        if self.threads_at_work:
            return None
        if seconds is None:
            raise DeadlockError(_who_waits(self))
        if seconds > 0:
            self.clock.advance_to(min(self._timers()))
        return 0.0

    def _timers(self) -> list[float]:
        scheduled: list[asyncio.TimerHandle] = getattr(self, "_scheduled")  # noqa: B009  asyncio has no name for it
        return [timer.when() for timer in scheduled if not timer.cancelled()]


def run(
    main: Coroutine[Any, Any, T] | Callable[[], Coroutine[Any, Any, T]],
    *,
    clock: VirtualClock | None = None,
) -> T:
    """Runs a coroutine to its end in virtual time, as `asyncio.run` does in real time.

    ```python
    def test_a_start_that_hangs_is_given_up():
        clock = VirtualClock()

        async def scenario():
            async with Environment(clock=clock) as environment:
                with pytest.raises(StartError):
                    await environment.get(db)

        run(scenario, clock=clock)
        assert clock.monotonic == 5.0
    ```

    Args:
        main: A coroutine, or a function that makes one.
        clock: The loop's clock; give the same one to the environment.

    Raises:
        DeadlockError: Everything waits for ever.
        Exception: Whatever the coroutine raises.
    """
    work = main if iscoroutine(main) else main()
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(clock)) as runner:
        return runner.run(work)


class _Selector(selectors.BaseSelector):
    """A selector that asks how long to wait, after it has seen that nothing is ready."""

    def __init__(self, next_wait: Callable[[float | None], float | None]) -> None:
        self._real = selectors.DefaultSelector()
        self._next_wait = next_wait

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._real.select(0)
        if ready or timeout == 0:
            return ready
        return self._real.select(self._next_wait(timeout))

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._real.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._real.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._real.get_map()

    def close(self) -> None:
        self._real.close()


def _who_waits(loop: asyncio.AbstractEventLoop) -> list[str]:
    return sorted(_where(task) for task in asyncio.all_tasks(loop))


def _where(task: asyncio.Task[Any]) -> str:
    stack = task.get_stack()
    if not stack:
        return task.get_name()
    frame = stack[-1]
    return f"{task.get_name()}: {frame.f_code.co_qualname}, line {frame.f_lineno}"
