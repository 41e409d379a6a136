"""Two Lambda functions that ask PostgreSQL which of its processes serves them: with warmkit, and by hand."""

import asyncio
import os

import asyncpg

from warmkit import warm_handler
from warmkit.resources import postgres_pool

BACKEND = "SELECT pg_backend_pid()"


@warm_handler(db=postgres_pool())
async def handler(event, context, db):
    return await db.fetchval(BACKEND)


loop = asyncio.new_event_loop()
connection = None


def by_hand(event, context):
    return loop.run_until_complete(_by_hand())


async def _by_hand():
    global connection  # noqa: PLW0603
    if connection is None:
        connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    return await connection.fetchval(BACKEND)
