"""Runs coroutines on an event loop that stands still in between, one after the other.

On asyncio's own loops without the turns that nothing needs. A turn costs more than all else that is done for an invocation which
finds its resources warm and never waits. So what a turn would do is looked at (callbacks that are ready, timers that are due,
sockets on which something has arrived), and done; then the first step is taken at once, and it is often the last.

asyncio offers nothing of that kind to code outside of a loop: `PromptRunner` does what `run_forever` does, with the same parts.
"""

import asyncio
import select
import selectors
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

NAME = "warmkit:call"
"""What a task is called. A name of asyncio's own is a number, and to write it takes as long as to ask a clock."""

CATCH_UP = 5
"""How many turns of the loop come before a first step, as long as there is something to do in each.

The end of a connection takes two, of one with TLS four; where a task is always ready, there is no end of it.
"""

_call_soon: Any = asyncio.SelectorEventLoop.call_soon
_running_loop = asyncio._get_running_loop
_set_running_loop = asyncio._set_running_loop
_this_thread = threading.get_ident
_hooks, _set_hooks = sys.get_asyncgen_hooks, sys.set_asyncgen_hooks


class Runner:
    """Runs coroutines on any event loop.

    Args:
        loop: That loop.

    Attributes:
        task: What is being run; None before it has begun.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.task: asyncio.Task[Any] | None = None

    def run(self, work: Coroutine[Any, Any, T], context: Context | None) -> T:
        """Runs a coroutine to its end and returns its result. What it leaves ready, has begun by then.

        Args:
            work: What is run.
            context: The context variables; default: a copy of those here.
        """
        try:
            result = self._run(work, context)
        except BaseException:
            self._give_up(work)
            raise
        else:
            return result
        finally:
            self.task = None

    def _run(self, work: Coroutine[Any, Any, T], context: Context | None) -> T:
        task = self._loop.create_task(work, context=context, name=NAME)
        self.task = task
        return self._loop.run_until_complete(task)

    def _give_up(self, work: Coroutine[Any, Any, Any]) -> None:
        task = self.task
        if task is None:
            work.close()  # it has not begun
        elif not task.done():  # Ctrl-C, from whatever the loop was running
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                self._loop.run_until_complete(task)
        elif not task.cancelled():
            task.exception()  # it is being raised: nobody is to be told that it was not


class PromptRunner(Runner):
    """Runs coroutines on a loop of asyncio's own, on the selector that it chooses by itself.

    Args:
        loop: That loop.
    """

    def __init__(self, loop: Any) -> None:
        super().__init__(loop)
        self._its: Any = loop
        self._arrived = _look_of(loop._selector)
        self._loops_hooks = (loop._asyncgen_firstiter_hook, loop._asyncgen_finalizer_hook)

    def _run(self, work: Coroutine[Any, Any, T], context: Context | None) -> T:
        loop = self._its
        if (
            loop._debug  # somebody watches how it runs, or makes its tasks
            or loop._task_factory is not None
            or getattr(loop.call_soon, "__func__", None) is not _call_soon
            or loop._closed  # asyncio refuses this and what follows, and says why
            or loop._thread_id is not None
            or _running_loop() is not None
        ):
            return super()._run(work, context)
        before = _hooks()
        try:
            loop._thread_id = _this_thread()
            _set_hooks(*self._loops_hooks)
            _set_running_loop(loop)
            if self._something_waits():
                self._catch_up()
            task = self._begun(work, context)
            while not task.done():
                loop._run_once()
                loop._stopping = False
            if loop._ready:  # a connection closes, a task starts
                loop._run_once()
        finally:
            if loop._debug:  # since now
                loop._set_coroutine_origin_tracking(False)
            loop._stopping = False
            loop._thread_id = None
            _set_running_loop(None)
            _set_hooks(*before)
        return task.result()

    def _something_waits(self) -> bool:
        """Whether a turn of the loop would do anything."""
        loop = self._its
        if loop._ready or self._arrived():
            return True
        timers = loop._scheduled
        return bool(timers) and timers[0]._when <= loop.time()

    def _catch_up(self) -> None:
        """Does what has come up while the loop stood still: a connection closed in a freeze knows it by its next use."""
        for _ in range(CATCH_UP):
            self._its._stopping = True  # waits for nothing: a timer that is due may be cancelled
            self._its._run_once()
            self._its._stopping = False
            if not self._something_waits():
                break

    if sys.version_info >= (3, 12):

        def _begun(self, work: Coroutine[Any, Any, T], context: Context | None) -> asyncio.Task[T]:
            work = self._known(work)
            return asyncio.Task(work, loop=self._its, context=context, name=NAME, eager_start=True)

        async def _known(self, work: Coroutine[Any, Any, T]) -> T:
            """One that is interrupted in its first step is seen by nobody else."""
            self.task = asyncio.current_task()
            return await work

    else:
        _begins: object = None

        def _begun(self, work: Coroutine[Any, Any, T], context: Context | None) -> asyncio.Task[T]:
            """Takes the step which a new task asks its loop for."""
            loop, self._begins = self._its, work
            loop.call_soon = self._call_soon
            try:
                task = asyncio.Task(work, loop=loop, context=context, name=NAME)
            finally:
                del loop.call_soon
            self.task = task
            self._variables.run(self._step)
            del self._step, self._variables
            return task

        def _call_soon(
            self, callback: Any, *args: Any, context: Context | None = None
        ) -> asyncio.Handle | None:
            """Keeps the step of the task that is being made. What else is asked for meanwhile comes from finalizers."""
            try:
                is_its_step = callback.__self__.get_coro() is self._begins
            except AttributeError:
                is_its_step = False
            if is_its_step:
                assert context is not None  # a task says which
                self._step, self._variables = callback, context
                return None
            handle: asyncio.Handle = _call_soon(self._its, callback, *args, context=context)
            return handle


def runner_of(loop: Any) -> Runner:
    """Returns what runs coroutines on a loop."""
    of_asyncio = loop.__class__ is asyncio.SelectorEventLoop
    prompt = of_asyncio and loop._selector.__class__ is selectors.DefaultSelector
    return PromptRunner(loop) if prompt else Runner(loop)


def _look_of(selector: Any) -> Callable[[], object]:
    """Returns what looks whether something has arrived for a selector, and takes nothing of it."""
    if hasattr(select, "epoll"):
        return partial(selector._selector.poll, 0, 1)  # at half the cost
    return partial(selector.select, 0)
