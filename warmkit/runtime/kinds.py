"""What kind of function a handler is, and how long it may run. A WarmHandler sees to its own time, if it is called whole."""

import asyncio
import inspect
import sys
from collections.abc import Awaitable, Coroutine
from typing import TYPE_CHECKING, Any, TypeGuard, TypeVar

from warmkit.clock import DEADLINE_MARGIN, own_time
from warmkit.deadline import deadlines_of
from warmkit.runtime.context import Context

if TYPE_CHECKING:
    from warmkit.handler import WarmHandler

T = TypeVar("T")


def is_warm(handler: object) -> "TypeGuard[WarmHandler[Any]]":
    """Whether it is a `WarmHandler`. Loads nothing: whoever made one has loaded what it takes."""
    module = sys.modules.get("warmkit.handler")
    return module is not None and isinstance(handler, module.WarmHandler)


def is_async(handler: Any) -> bool:
    """Whether calling it gives a coroutine."""
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(handler.__call__)


def streams(handler: Any) -> bool:
    """Whether a handler gives its response in chunks."""
    if is_warm(handler):
        return handler.is_stream
    return inspect.isasyncgenfunction(handler) or inspect.isasyncgenfunction(handler.__call__)


def margin_of(handler: object) -> float | None:
    """Returns what a handler leaves of its time, in seconds; None: it may take all."""
    return handler.deadline_margin if is_warm(handler) else DEADLINE_MARGIN


def time_of(context: Context, margin: float = DEADLINE_MARGIN) -> tuple[float, float]:
    """Returns the handler's own time, and the margin that follows it, in seconds."""
    return own_time(context.get_remaining_time_in_millis() / 1000, margin)


def in_time(
    work: Awaitable[T],
    context: Context,
    loop: asyncio.AbstractEventLoop,
    margin: float = DEADLINE_MARGIN,
) -> Coroutine[Any, Any, T]:
    """Returns the work of an invocation as one that ends in its own time, with `DeadlineError`."""
    return deadlines_of(loop).within(*time_of(context, margin), work)
