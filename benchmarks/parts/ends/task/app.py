"""The function whose end is looked at: a pool, three neighbours, and one that hangs when it is closed, if it is told to."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from typing import Any

from warmkit import Resource, concurrency, resource, warm_handler
from warmkit.hosts import ending, loop
from warmkit.resources import postgres_pool

PATIENCE = float(os.environ.get("ENDS_PATIENCE", "1"))
ending.WINDOW *= PATIENCE  # a machine that is busy with tests is slower than it looks
ending.UNWIND *= PATIENCE
loop.HEARING *= PATIENCE
IN_INIT = os.environ.get("ENDS_IN_INIT", "")


def say(word: str) -> None:
    os.write(1, f"{word} {time.monotonic()}\n".encode())  # one piece, whoever else writes


def neighbour(word: str) -> Resource[str]:
    @resource(name=word, start="eager" if IN_INIT else "auto")
    async def neighbour() -> AsyncIterator[str]:
        yield word
        say(f"closed {word}")

    return neighbour


@resource(start="eager" if IN_INIT else "auto")
async def stuck() -> AsyncIterator[None]:
    yield
    if os.environ.get("ENDS_HANG"):
        await asyncio.get_running_loop().create_future()


db = postgres_pool(start="eager" if IN_INIT else "auto", close_timeout=0.25 * PATIENCE)
neighbours: dict[str, Any] = {word: neighbour(word) for word in ("one", "two", "three")}
everybody = asyncio.Barrier(concurrency())
takes = warm_handler(db=db, stuck=stuck, **neighbours)


@takes
async def handler(event: str, context: Any, *, db: Any, **others: Any) -> Any:
    if event == "wait":
        say("waits")
        return await db.fetchval("SELECT pg_sleep(3600)")
    async with db.acquire() as connection:
        await everybody.wait()  # so that there are as many connections as invocations
        return await connection.fetchval("SELECT 1")


if IN_INIT:
    say("waits")
    time.sleep(3600)
