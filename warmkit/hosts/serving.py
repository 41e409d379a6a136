"""Synchronous calls: which environment one is for, and on whose loop that is served and closed."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from concurrent import futures
from contextvars import Context
from functools import partial
from typing import Any, Protocol, TypeVar

from warmkit.clock import SystemClock
from warmkit.environment import (
    Environment,
    current_environment,
    default_environment,
    environment_elsewhere,
    living_environments,
)
from warmkit.errors import EnvironmentClosedError, InsideLoopError
from warmkit.hosts import ending
from warmkit.hosts.loop import (
    called,
    contained,
    is_inside_a_loop,
    is_kept,
    kept_loop,
    opened,
    persistent_loop,
    within,
)

T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)
_log = logging.getLogger("warmkit")
_clock = SystemClock()

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


class RemoteLoop:
    """The running loop of another thread, as a host for calls from this one.

    Args:
        environment: Whose loop it is.
    """

    def __init__(self, environment: Environment) -> None:
        assert environment.loop is not None, "it lives since a loop used it"
        self._environment = environment
        self._loop = environment.loop

    def run(self, work: Coroutine[Any, Any, T], *, context: Context | None = None) -> T:
        """Runs a coroutine on the loop and returns its result.

        Raises:
            EnvironmentClosedError: The loop ended first.
        """
        inner = work if context is None else within(context, work)
        try:
            future = asyncio.run_coroutine_threadsafe(contained(inner), self._loop)
        except RuntimeError as error:  # it is closed
            work.close()
            raise self._ended() from error
        while not futures.wait([future], timeout=LOOK).done:
            if self._loop.is_closed():  # what it had not begun yet, it will never begin
                raise self._ended()
        try:
            result: T = opened(future.result())
        except futures.CancelledError:  # by whoever ends the loop: nobody else has the task
            raise self._ended() from None
        return result

    def step(self, function: Callable[[], T]) -> T:
        """Calls a function on the loop."""
        return self.run(called(function))

    def _ended(self) -> EnvironmentClosedError:
        reason = "ended with its event loop, while another thread was calling"
        return EnvironmentClosedError(self._environment.id, reason)


def serve(handler: Served[T], event: object, context: object) -> T:
    """Serves one invocation for a synchronous caller.

    Raises:
        InsideLoopError: An event loop runs in this thread.
    """
    if is_inside_a_loop():
        raise InsideLoopError(handler.__name__)
    host = kept_loop()
    elsewhere = environment_elsewhere(None if host is None else host.loop)
    if elsewhere is not None and not is_kept(elsewhere.loop):
        return _serve_elsewhere(elsewhere, handler, event, context)
    host = host or persistent_loop()
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


def _serve_elsewhere(
    environment: Environment, handler: Served[T], event: object, context: object
) -> T:
    host = RemoteLoop(environment)
    try:
        if handler.is_async:
            return host.run(handler.invoke_in(environment, event, context))
        return handler.call_beside(environment, event, context, host)
    finally:
        if environment.live.works and not environment.closed:
            from warmkit.settle import finish_works

            host.run(finish_works(environment.live))


def close_from_outside(handler: Served[object], budget: float) -> None:
    """Closes the environment that synchronous calls from here are served by.

    Raises:
        InsideLoopError: An event loop runs in this thread.
        TeardownError: Some resources did not close.
    """
    if is_inside_a_loop():
        raise InsideLoopError(handler.__name__)
    environment = _environment_elsewhere()
    if environment is not None:
        RemoteLoop(environment).run(environment.aclose(budget))
        return
    host = persistent_loop()
    host.run(default_environment(host.loop).aclose(budget))


def environment_here() -> Environment:
    """Returns the environment that an invocation from here is served by."""
    if is_inside_a_loop():
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
    host = kept_loop()
    if host is not None and loop is host.loop:
        host.run(closing)
    elif loop.is_running():
        RemoteLoop(environment).run(closing)
    else:  # a synchronous caller's own, who is elsewhere
        loop.run_until_complete(closing)


def _is_running(environment: Environment) -> bool:
    return environment.loop is not None and environment.loop.is_running()


def server() -> Callable[..., Any]:
    """Returns what serves synchronous calls in this process: where the end is announced, it can cut them short."""
    end = ending.current()
    call: Callable[..., Any] = serve
    return call if end is None else partial(end.during, call)


def _environment_elsewhere() -> Environment | None:
    kept = kept_loop()
    found = environment_elsewhere(None if kept is None else kept.loop)
    return None if found is None or is_kept(found.loop) else found
