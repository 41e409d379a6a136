"""The same function as it is often written first: every invocation opens its connection, and closes it."""

import asyncio
import os

import asyncpg

QUERY = "SELECT $1::int * 2 FROM pg_sleep($2)"


async def _answer(event):
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        return await connection.fetchval(QUERY, event["n"], event["seconds"])
    finally:
        await connection.close()


def handler(event, context):
    return asyncio.run(_answer(event))
