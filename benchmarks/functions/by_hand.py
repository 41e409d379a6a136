"""The same function as a good engineer writes it for AWS's runtime: a loop that is kept, and a connection in a global."""

import asyncio
import os

import asyncpg

QUERY = "SELECT $1::int * 2 FROM pg_sleep($2)"

_loop = asyncio.new_event_loop()
_connection = None


async def _answer(event):
    global _connection  # noqa: PLW0603  that is how it is written
    if _connection is None or _connection.is_closed():
        _connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    return await _connection.fetchval(QUERY, event["n"], event["seconds"])


def handler(event, context):
    return _loop.run_until_complete(_answer(event))
