"""The persistent loop: one event loop for the life of the process, for hosts that call synchronously.

It runs only while a call is being served. Which environment a synchronous call is for is decided here too.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import threading
from collections.abc import Callable, Coroutine, Sized
from concurrent import futures
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import Any, Protocol, TypeVar, cast

from warmkit.clock import SystemClock
from warmkit.environment import (
    Environment,
    current_environment,
    default_environment,
    entered_environment,
    living_environments,
    running_default,
)
from warmkit.errors import EnvironmentClosedError, InsideLoopError
from warmkit.hosts import ending

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
_log = logging.getLogger("warmkit")
_clock = SystemClock()

LEFT = 0.25
"""Seconds for tasks that were left behind to note that the loop ends."""

_running_loop = asyncio._get_running_loop  # noqa: SLF001  for event loops' own use: it raises nothing

HEARING = 0.02
"""Seconds after which a loop that has not turned is taken to be held by somebody's blocking code."""

LOOK = 0.1
"""Seconds after which a thread that waits for another one's loop looks whether that still exists."""


class Served(Protocol[R_co]):
    """What a host needs of a handler."""

    is_async: bool
    __name__: str

    def invoke_in(
        self, environment: Environment, event: object, context: object
    ) -> Coroutine[Any, Any, R_co]:
        """Serves one invocation in the environment's loop, which runs."""
        ...

    def call_beside(
        self, environment: Environment, event: object, context: object, host: Any
    ) -> R_co:
        """Serves one invocation of a plain `def`, while no loop runs."""
        ...


class PersistentLoop:
    """An event loop that outlives every call, driven by one of the threads that call.

    Safe for any number of threads: one drives, the others hand their work over and take the loop when the
    driver's own call is done.

    Attributes:
        driven_by: The thread that drives it at the moment; 0: it stands still.
    """

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._ready: Sized = getattr(self.loop, "_ready", "unknown")  # of asyncio's own loops
        self._driver = threading.Lock()
        self._changed = threading.Condition()
        self._followers = 0
        self._first: Coroutine[Any, Any, Any] | None = None
        self._driving: asyncio.Task[Any] | None = None
        self.driven_by = 0

    @property
    def is_driven(self) -> bool:
        """Whether a thread drives it, is about to, or has just done so."""
        return self._driver.locked()

    def run(self, work: Coroutine[Any, Any, T], *, context: Context | None = None) -> T:
        """Runs a coroutine to its end, with the context variables of the context, and returns its result."""
        if not self._driver.acquire(False):
            return self._follow(work if context is None else _within(context, work))
        self.driven_by = threading.get_ident()
        task: asyncio.Task[T] | None = None
        try:
            if self._ready:
                task = self._driving = self.loop.create_task(work, context=context)
                return self.loop.run_until_complete(task)
            task = self._driving = self.loop.create_task(self._stop_after(work), context=context)
            if len(self._ready) > 1:  # another thread was quicker
                return self.loop.run_until_complete(task)
            self._first = work
            return self._run_first(task)
        except BaseException:
            if task is not None:
                self._give_up(task)
            raise
        finally:
            self._driving = None
            self._hand_over()

    def _give_up(self, task: asyncio.Task[Any]) -> None:
        self._first = None
        if not task.done():  # Ctrl-C, from whatever the loop was running
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                self.loop.run_until_complete(task)
        elif not task.cancelled():
            task.exception()  # it is being raised: nobody is to be told that it was not

    def _run_first(self, task: asyncio.Task[T]) -> T:
        """Runs a task that stops the loop, as `run_until_complete` does, without a turn that nothing waits for.

        Nothing comes before its first step, so nothing can cancel it before it could stop the loop.
        """
        while not task.done():
            self.loop.run_forever()
        if self._ready:  # what it leaves behind begins: a connection closes, a task starts
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
        return task.result()

    async def _stop_after(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            return await work
        finally:
            if self._first is work:  # one that was given up does not
                self.loop.stop()

    def cancel(self) -> bool:
        """Cancels what is being run, from another thread; returns whether the loop has heard it."""
        task = self._driving
        return task is not None and heard_by(self.loop, task.cancel)

    def step(self, function: Callable[[], T]) -> T:
        """Calls a function while the loop does nothing else: at once where it stands still, else on it."""
        if not self._take_the_wheel():
            return self._follow(_call(function))
        try:
            return function()
        finally:
            self._hand_over()

    def _follow(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(_contained(work), self.loop)
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
            return _opened(future.result())
        except BaseException:
            future.cancel()
            raise
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
        self._first = None
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
            self.run(default_environment(self.loop).aclose())
            self.run(_cancel_what_is_left())
            self.run(self.loop.shutdown_asyncgens())
        except Exception:  # noqa: BLE001  the interpreter is exiting: told, not raised
            _log.exception("the environment did not close in order")
        finally:
            self.loop.close()


def heard_by(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> bool:
    """Calls a function on a loop that runs in another thread; returns whether it turns at all."""
    heard = threading.Event()

    def calling() -> None:
        call()
        heard.set()

    loop.call_soon_threadsafe(calling)
    return heard.wait(HEARING)


async def _contained(work: Coroutine[Any, Any, T]) -> T | BaseException:
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


def _opened(result: T | BaseException) -> T:
    if isinstance(result, KeyboardInterrupt | SystemExit | asyncio.CancelledError):
        raise result
    return cast("T", result)


async def _cancel_what_is_left() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=LEFT)


async def _within(context: Context, work: Coroutine[Any, Any, T]) -> T:
    return await asyncio.create_task(work, context=context)


async def _call(function: Callable[[], T]) -> T:
    return function()


async def _ended(future: Any) -> None:
    with suppress(BaseException):
        await asyncio.wrap_future(future)


_kept: list[PersistentLoop] = []
_inherited: list[PersistentLoop] = []
_making = threading.Lock()


def persistent_loop() -> PersistentLoop:
    """Returns this process's loop, made on first use and closed when the interpreter exits."""
    if not _kept:
        with _making:
            if not _kept:
                _kept.append(PersistentLoop())
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


class RemoteLoop:
    """The running loop of another thread, as a host for calls from this one.

    Args:
        environment: Whose loop it is.
        loop: That loop.
    """

    def __init__(self, environment: Environment, loop: asyncio.AbstractEventLoop) -> None:
        self._environment = environment
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T], *, context: Context | None = None) -> T:
        """Runs a coroutine on the loop and returns its result.

        Raises:
            EnvironmentClosedError: The loop ended first.
        """
        inner = work if context is None else _within(context, work)
        try:
            future = asyncio.run_coroutine_threadsafe(_contained(inner), self._loop)
        except RuntimeError as error:  # it is closed
            work.close()
            raise self._ended() from error
        while not futures.wait([future], timeout=LOOK).done:
            if self._loop.is_closed():  # what it had not begun yet, it will never begin
                raise self._ended()
        try:
            return _opened(future.result())
        except futures.CancelledError:  # by whoever ends the loop: nobody else has the task
            raise self._ended() from None

    def step(self, function: Callable[[], T]) -> T:
        """Calls a function on the loop."""
        return self.run(_call(function))

    def _ended(self) -> EnvironmentClosedError:
        reason = "ended with its event loop, while another thread was calling"
        return EnvironmentClosedError(self._environment.id, reason)


def serve(handler: Served[T], event: object, context: object) -> T:
    """Serves one invocation for a synchronous caller.

    Raises:
        InsideLoopError: An event loop runs in this thread.
    """
    if _running_loop() is not None:
        raise InsideLoopError(handler.__name__)
    elsewhere = _environment_elsewhere()
    if elsewhere is not None and elsewhere.loop is not None:
        remote = RemoteLoop(elsewhere, elsewhere.loop)
        try:
            if handler.is_async:
                return remote.run(handler.invoke_in(elsewhere, event, context))
            return handler.call_beside(elsewhere, event, context, remote)
        finally:
            if elsewhere.live.works and not elsewhere.closed:
                from warmkit.settle import finish_works

                remote.run(finish_works(elsewhere.live))
    host = persistent_loop()
    if host.driven_by == threading.get_ident():  # an observer, or a probe
        raise InsideLoopError(handler.__name__)
    environment = default_environment(host.loop)
    try:
        if handler.is_async:
            return host.run(handler.invoke_in(environment, event, context))
        return handler.call_beside(environment, event, context, host)
    finally:
        if environment.live.unsettled:
            host.run(environment.settle())


def close_from_outside(handler: Served[object], budget: float) -> None:
    """Closes the environment that synchronous calls from here are served by.

    Raises:
        InsideLoopError: An event loop runs in this thread.
        TeardownError: Some resources did not close.
    """
    if _running_loop() is not None:
        raise InsideLoopError(handler.__name__)
    environment = _environment_elsewhere()
    if environment is not None and environment.loop is not None:
        RemoteLoop(environment, environment.loop).run(environment.aclose(budget))
        return
    host = persistent_loop()
    host.run(default_environment(host.loop).aclose(budget))


def is_inside_a_loop() -> bool:
    """Whether an event loop runs in this thread."""
    return _running_loop() is not None


def environment_here() -> Environment:
    """Returns the environment that an invocation from here is served by."""
    if _running_loop() is not None:
        return current_environment()
    return _environment_elsewhere() or default_environment(persistent_loop().loop)


def close_everything(seconds: float) -> None:
    """Closes every environment of this process, from a thread that runs no loop, whoever runs theirs.

    What goes wrong is logged: whoever calls this has to go on.

    Args:
        seconds: For all of them.
    """
    ends = _clock.read().monotonic + seconds
    left = sorted(living_environments(), key=_is_running)  # one that does not turn keeps us waiting
    for number, environment in enumerate(left):
        share = (ends - _clock.read().monotonic) / (len(left) - number)
        try:
            _close_where_it_lives(environment, max(0.0, share))
        except Exception as error:  # noqa: BLE001  see above
            _log.error("the environment did not close in order: %s", error)


def _close_where_it_lives(environment: Environment, seconds: float) -> None:
    loop = environment.loop
    assert loop is not None, "it lives since a loop used it"
    closing = environment.aclose(seconds)
    if _kept and loop is _kept[0].loop:
        _kept[0].run(closing)
    elif loop.is_running():
        RemoteLoop(environment, loop).run(closing)
    else:  # a synchronous caller's own, who is elsewhere
        loop.run_until_complete(closing)


def _is_running(environment: Environment) -> bool:
    return environment.loop is not None and environment.loop.is_running()


def cancel_what_runs() -> bool:
    """Cancels what a synchronous call is waiting for, from another thread; returns whether that was heard."""
    return bool(_kept) and _kept[0].cancel()


def is_kept_loop_driven() -> bool:
    """Whether somebody drives the persistent loop, in whichever thread."""
    return bool(_kept) and _kept[0].is_driven


def server() -> Callable[..., Any]:
    """Returns what serves synchronous calls in this process: where the end is announced, it can cut them short."""
    end = ending.current()
    call: Callable[..., Any] = serve
    return call if end is None else partial(end.during, call)


def _environment_elsewhere() -> Environment | None:
    """Returns the environment of a loop that runs in another thread, if one is meant."""
    environment = entered_environment() or running_default()
    if environment is None or environment.loop is None or not environment.loop.is_running():
        return None
    return None if _kept and environment.loop is _kept[0].loop else environment
