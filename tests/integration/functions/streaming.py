"""Lambda functions that stream, for warmkit's runtime."""

import asyncio

from warmkit import HttpPrelude


async def words(event, context):
    for word in ("one", "two", "three"):
        yield f"{word} "
        await asyncio.sleep(0.01)


async def breaks(event, context):
    yield "one "
    raise ValueError("no more")


async def page(event, context):
    yield HttpPrelude(
        status=201, headers={"x-mine": "yes", "content-type": "text/plain"}, cookies=["a=1"]
    )
    yield "hello "
    yield event["rawPath"]


async def headless(event, context):
    """More chunks than anybody keeps, after a beginning that is no head."""
    yield HttpPrelude(status=7)
    for _ in range(200):
        yield "x" * 100_000
