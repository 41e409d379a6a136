"""The persistent loop: one event loop for the life of the process, for hosts that call synchronously.

It runs only while a call is being served. It knows nothing of environments but that they are closed before it is.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from typing import Any, TypeVar

from warmkit.hosts.runner import runner_of

T = TypeVar("T")
_log = logging.getLogger("warmkit")

LEFT = 0.25
"""Seconds for tasks that were left behind to note that the loop ends."""

_running_loop = asyncio._get_running_loop  # noqa: SLF001  for event loops' own use: it raises nothing

_CONTAINED = (KeyboardInterrupt, SystemExit, asyncio.CancelledError)

HEARING = 0.02
"""Seconds after which a loop that has not turned is taken to be held by somebody's blocking code."""


class PersistentLoop:
    """An event loop that outlives every call, driven by one of the threads that call.

    Safe for any number of threads: one drives, the others hand their work over and take the loop when the
    driver's own call is done.

    Attributes:
        driven_by: The thread that drives it at the moment; 0: it stands still.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop or asyncio.new_event_loop()
        self._runner = runner_of(self.loop)
        self._driver = threading.Lock()
        self._changed = threading.Condition()
        self._followers = 0
        self.driven_by = 0

    @property
    def is_driven(self) -> bool:
        """Whether a thread drives it, is about to, or has just done so."""
        return self._driver.locked()

    def run(self, work: Coroutine[Any, Any, T], *, context: Context | None = None) -> T:
        """Runs a coroutine to its end, with the context variables of the context, and returns its result."""
        if not self._driver.acquire(False):
            return self._follow(work if context is None else within(context, work))
        self.driven_by = threading.get_ident()
        try:
            return self._runner.run(work, context)
        finally:
            self._hand_over()

    def cancel(self) -> bool:
        """Cancels what is being run, from another thread; returns whether it has heard that."""
        cancelled: list[bool] = []
        given_up = threading.Event()

        def cancel_driven() -> None:
            task = self._runner.task
            if task is not None and not given_up.is_set():
                cancelled.append(task.cancel())

        if self.is_driven and heard_by(self.loop, cancel_driven):
            return bool(cancelled)
        given_up.set()  # when the loop turns again, it rolls back, or runs something else
        return False

    def step(self, function: Callable[[], T]) -> T:
        """Calls a function while the loop does nothing else: at once where it stands still, else on it."""
        if not self._take_the_wheel():
            return self._follow(called(function))
        try:
            return function()
        finally:
            self._hand_over()

    def _follow(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(contained(work), self.loop)
        future.add_done_callback(self._announce)
        with self._changed:
            self._followers += 1  # before the driver is looked at: see _hand_over
        try:
            while not future.done():
                with self._changed:
                    self._changed.wait_for(lambda: future.done() or not self._driver.locked())
                if not future.done() and self._take_the_wheel():
                    try:
                        self.loop.run_until_complete(_ended(future))
                    finally:
                        self._hand_over()
            result: T = opened(future.result())
        except BaseException:
            future.cancel()
            raise
        else:
            return result
        finally:
            with self._changed:
                self._followers -= 1

    def _take_the_wheel(self) -> bool:
        if not self._driver.acquire(blocking=False):
            return False
        self.driven_by = threading.get_ident()
        return True

    def _hand_over(self) -> None:
        """Lets another thread drive. One that is not counted yet will find the lock free by itself."""
        self.driven_by = 0
        self._driver.release()
        if self._followers:
            self._announce()

    def _announce(self, _: object = None) -> None:
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Closes the default environment, then the loop."""
        if self.loop.is_closed():
            return
        try:
            self._close_environment()
            self.run(_cancel_what_is_left())
            self.run(self.loop.shutdown_asyncgens())
        except Exception:  # noqa: BLE001  the interpreter is exiting: told, not raised
            _log.exception("the environment did not close in order")
        finally:
            self.loop.close()

    def _close_environment(self) -> None:
        module = sys.modules.get("warmkit.environment")  # who has not loaded it has none
        if module is not None:
            self.run(module.default_environment(self.loop).aclose())


def heard_by(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> bool:
    """Calls a function on a loop that runs in another thread, when that turns; returns whether it has done so at once."""
    heard = threading.Event()

    def calling() -> None:
        call()
        heard.set()

    try:
        loop.call_soon_threadsafe(calling)
    except RuntimeError:  # it is closed
        return False
    return heard.wait(HEARING)


async def contained(work: Coroutine[Any, Any, T]) -> T | BaseException:
    """An exit is for the thread that asked, not for the one that happens to drive the loop."""
    try:
        return await work
    except (KeyboardInterrupt, SystemExit) as error:
        return error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():  # the loop ends
            raise
        return error


def opened(result: Any) -> Any:
    """Returns what `contained` made of a result, or raises it."""
    if isinstance(result, _CONTAINED):
        raise result
    return result


async def _cancel_what_is_left() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=LEFT)


async def within(context: Context, work: Coroutine[Any, Any, T]) -> T:
    """Awaits with other context variables."""
    return await asyncio.create_task(work, context=context)


async def called(function: Callable[[], T]) -> T:
    """Calls a function on the loop."""
    return function()


async def _ended(future: Any) -> None:
    with suppress(BaseException):
        await asyncio.wrap_future(future)


_kept: list[PersistentLoop] = []
_inherited: list[PersistentLoop] = []
_making = threading.Lock()


def persistent_loop(
    make: Callable[[], asyncio.AbstractEventLoop] | None = None,
) -> PersistentLoop:
    """Returns this process's loop, made on first use and closed when the interpreter exits; `make` makes another than asyncio's."""
    if not _kept:
        with _making:
            if not _kept:
                _kept.append(PersistentLoop(make() if make is not None else None))
                atexit.register(_close_at_exit)
    return _kept[0]


def _close_at_exit() -> None:
    while _kept:
        _kept.pop().close()


def _start_anew_in_child() -> None:
    """A forked child keeps its parent's loop unused, unclosed and uncollected, and makes its own."""
    global _making  # noqa: PLW0603  another thread of the parent may hold it for ever
    _making = threading.Lock()
    _inherited.extend(_kept)
    _kept.clear()


os.register_at_fork(after_in_child=_start_anew_in_child)


def kept_loop() -> PersistentLoop | None:
    """Returns this process's loop, if it has been used."""
    return _kept[0] if _kept else None


def is_kept(loop: asyncio.AbstractEventLoop | None) -> bool:
    """Whether it is this process's persistent loop; another thread may have made that just now."""
    return bool(_kept) and _kept[0].loop is loop


def cancel_what_runs() -> bool:
    """Cancels what a synchronous call is waiting for, from another thread; returns whether that was heard."""
    return bool(_kept) and _kept[0].cancel()


def is_kept_loop_driven() -> bool:
    """Whether somebody drives the persistent loop, in whichever thread."""
    return bool(_kept) and _kept[0].is_driven


def is_inside_a_loop() -> bool:
    """Whether an event loop runs in this thread."""
    return _running_loop() is not None
