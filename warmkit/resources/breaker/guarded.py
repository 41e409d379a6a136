"""Which functions a breaker can guard: those of whose calls it sees the outcome."""

import inspect
from collections.abc import Callable
from typing import Any

from warmkit import UsageError

_NO_GENERATOR = (
    "a breaker guards no generators: how long a call of one lasts is its consumer's decision.\n"
    "  Guard what fetches, inside the generator: async with breaker: ..."
)
_NO_AWAITABLE = (
    "a plain function returned an awaitable, whose outcome the breaker would not see.\n"
    "  Decorate an async def, or write: await breaker.call(function, ...)"
)


def is_async(function: Callable[..., Any]) -> bool:
    """Whether its calls are to be awaited: an `async def`, or an object whose `__call__` is one.

    Raises:
        UsageError: It is a generator.
    """
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(_NO_GENERATOR)
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  whether it can be called is known
    )


def refuse_generator(result: object) -> None:
    """Refuses what a function returned if it is a generator: nothing has happened yet.

    Raises:
        UsageError: It is one.
    """
    if inspect.isgenerator(result) or inspect.isasyncgen(result):
        raise UsageError(_NO_GENERATOR)


def refuse_unfinished(result: object) -> None:
    """Refuses what a plain function returned if its outcome is still to come.

    Raises:
        UsageError: It is a generator, or is to be awaited.
    """
    refuse_generator(result)
    if inspect.isawaitable(result):
        if inspect.iscoroutine(result):
            result.close()  # else it would warn that nobody awaited it
        raise UsageError(_NO_AWAITABLE)
