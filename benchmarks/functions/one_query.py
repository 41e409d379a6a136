"""One function, with three ways to keep a pool between invocations. The two by hand keep one event loop, too."""

import asyncio
import os
from contextlib import suppress

import asyncpg

from warmkit import warm_handler
from warmkit.resources import postgres_pool

QUERY = "SELECT $1::int * 2"
PATIENCE = 1.0
"""Seconds for a statement, and for a ping: what `postgres_pool` takes for its check."""


@warm_handler(db=postgres_pool(command_timeout=PATIENCE))
async def warmkit(event, context, db):
    return await db.fetchval(QUERY, event["n"])


_loop = asyncio.new_event_loop()
_pool = None


async def _kept_pool():
    global _pool  # noqa: PLW0603  that is how it is written
    if _pool is None:
        dsn = os.environ["DATABASE_URL"]
        _pool = await asyncpg.create_pool(dsn, min_size=1, max_size=1, command_timeout=PATIENCE)
    return _pool


def bare_pool(event, context):
    return _loop.run_until_complete(_query(event))


async def _query(event):
    pool = await _kept_pool()
    return await pool.fetchval(QUERY, event["n"])


def pinging_pool(event, context):
    return _loop.run_until_complete(_ping_and_query(event))


async def _ping_and_query(event):
    pool = await _kept_pool()
    async with pool.acquire() as connection:
        if await _answers(connection):
            return await connection.fetchval(QUERY, event["n"])
    return await pool.fetchval(QUERY, event["n"])  # on a new connection


async def _answers(connection):
    try:
        await connection.execute("SELECT 1", timeout=PATIENCE)
    except Exception:
        with suppress(asyncpg.InterfaceError):  # the pool has taken it back already
            connection.terminate()
        return False
    return True
