"""Runs what a recipe says: its factory from the call to the value and on to its end, its check, its refresh.

It knows the four shapes a factory can have, and neither deadlines nor states: `slot` has those.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, NamedTuple, TypeGuard

from warmkit.errors import YieldError
from warmkit.recipe import Resource, Work

Finish = Callable[[BaseException | None], Awaitable[None]]
"""Ends a life with its outcome: the exception that ended the use, or None."""


class Life(NamedTuple):
    """A started value.

    Attributes:
        value: What the factory made.
        finish: How it ends; None: there is nothing to close.
        expires: When the value expires, in Unix seconds; None: never.
    """

    value: Any
    finish: Finish | None = None
    expires: float | None = None


async def begin(resource: Resource[Any], arguments: Mapping[str, object]) -> Life:
    """Calls the factory and returns the started value.

    When it raises or is cancelled, nothing has been started that is not closed again: what is half-way
    closes itself as its own code says, and is never closed by us.

    Raises:
        YieldError: The factory is a generator and ended before its yield.
        Exception: Whatever the factory, or the `expires_at` of the recipe, raises.
    """
    life = await _begin(resource, arguments)
    try:
        return life._replace(expires=_unix_seconds(resource, life.value))
    except BaseException as error:
        if life.finish is not None:
            await life.finish(error)
        raise


async def look_after(work: Work[Any], value: object) -> None:
    """Calls a check or a refresh, and awaits it if it is to be awaited."""
    result = work(value)
    if inspect.isawaitable(result):
        await result


async def _begin(resource: Resource[Any], arguments: Mapping[str, object]) -> Life:
    made: object = resource.factory(**arguments)
    if inspect.isasyncgen(made):
        return await _begin_async_generator(resource, made)
    if inspect.isgenerator(made):
        return _begin_generator(resource, made)
    if inspect.iscoroutine(made):
        made = await made
    if not resource.options.enter:
        return Life(made)
    if is_async_context(made):
        return await _begin_async_context(made)
    if is_context(made):
        return _begin_context(made)
    return Life(made)


def is_async_context(item: object) -> TypeGuard[AbstractAsyncContextManager[Any, Any]]:
    """Whether it can stand in `async with`."""
    return isinstance(item, AbstractAsyncContextManager)


def is_context(item: object) -> TypeGuard[AbstractContextManager[Any, Any]]:
    """Whether it can stand in `with`."""
    return isinstance(item, AbstractContextManager)


async def _begin_async_generator(resource: Resource[Any], generator: Any) -> Life:
    try:
        value = await anext(generator)
    except StopAsyncIteration:
        raise YieldError(resource.name, times="never") from None

    async def finish(error: BaseException | None) -> None:
        try:
            await (anext(generator) if error is None else generator.athrow(error))
        except StopAsyncIteration:
            return
        except BaseException as raised:
            if raised is error:
                return
            raise
        await generator.aclose()
        raise YieldError(resource.name, times="more than once")

    return Life(value, finish)


def _begin_generator(resource: Resource[Any], generator: Any) -> Life:
    try:
        value = next(generator)
    except StopIteration:
        raise YieldError(resource.name, times="never") from None

    async def finish(error: BaseException | None) -> None:
        try:
            next(generator) if error is None else generator.throw(error)
        except StopIteration:
            return
        except BaseException as raised:
            if raised is error:
                return
            raise
        generator.close()
        raise YieldError(resource.name, times="more than once")

    return Life(value, finish)


async def _begin_async_context(manager: AbstractAsyncContextManager[Any, Any]) -> Life:
    value = await manager.__aenter__()

    async def finish(error: BaseException | None) -> None:
        try:
            await manager.__aexit__(*_as_triple(error))
        except BaseException as raised:
            if raised is not error:
                raise

    return Life(value, finish)


def _begin_context(manager: AbstractContextManager[Any, Any]) -> Life:
    value = manager.__enter__()

    async def finish(error: BaseException | None) -> None:
        try:
            manager.__exit__(*_as_triple(error))
        except BaseException as raised:
            if raised is not error:
                raise

    return Life(value, finish)


def _as_triple(error: BaseException | None) -> tuple[Any, Any, Any]:
    return (None, None, None) if error is None else (type(error), error, error.__traceback__)


def _unix_seconds(resource: Resource[Any], value: object) -> float | None:
    expires_at = resource.hooks.expires_at
    expires = expires_at(value) if expires_at is not None else None
    if expires is None or isinstance(expires, int | float):
        return expires
    if getattr(expires, "tzinfo", None) is None:
        found = type(expires).__name__
        raise TypeError(
            f"expires_at returned a {found}"
            f"{' without a time zone' if hasattr(expires, 'timestamp') else ''}; "
            "return Unix seconds, an aware datetime, or None"
        )
    return expires.timestamp()
