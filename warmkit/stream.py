"""A response that is given piece by piece: one invocation of an async generator, from its first chunk to its outcome.

It knows invocations, not who takes the chunks. Loaded with the first such handler that is served.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from warmkit.environment import current_lease
from warmkit.visit import Visit

T = TypeVar("T")


class HttpPrelude(NamedTuple):
    """What an HTTP client is told before the body: yield it first where a function URL or API Gateway streams.

    ```python
    @warm_handler
    async def handler(event, context):
        yield HttpPrelude(200, {"content-type": "text/plain"})
        yield "hello, "
        yield "world"
    ```

    Attributes:
        status: The HTTP status.
        headers: By name.
        cookies: Each as it stands in a set-cookie header.
    """

    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    cookies: Sequence[str] = ()


async def stream(
    begin: Callable[[], Visit],
    arguments_for: Callable[[Visit], Awaitable[dict[str, Any]]],
    function: Callable[..., AsyncGenerator[Any, None]],
) -> AsyncGenerator[Any, None]:
    """Serves one invocation and yields its chunks. One that is not read to its end has failed: it is rolled back.

    Args:
        begin: Makes the invocation.
        arguments_for: Returns what is injected.
        function: The handler, with event and context.
    """
    visit = begin()
    chunks: AsyncGenerator[Any, None] | None = None
    try:
        chunks = function(**await _held(visit, arguments_for(visit)))
        while True:
            try:
                chunk = await _held(visit, anext(chunks))
            except StopAsyncIteration:
                break
            yield chunk
    except BaseException as error:
        await _end(visit, chunks, error)
        raise
    await visit.end(None)


async def _held(visit: Visit, work: Awaitable[T]) -> T:
    """Awaits as part of the invocation, which whoever reads the chunks is not."""
    token = current_lease.set(visit)
    try:
        return await work
    finally:
        current_lease.reset(token)


async def _end(
    visit: Visit, chunks: AsyncGenerator[Any, None] | None, error: BaseException
) -> None:
    try:
        if chunks is not None:
            await _held(visit, chunks.aclose())
    finally:
        await visit.end(error)
