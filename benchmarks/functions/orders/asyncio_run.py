"""Clients in module globals, and a loop for each invocation: the second one meets clients of a loop that is closed."""

import asyncio
import os

import asyncpg
import pybreaker
from aiobotocore.session import get_session
from lookup import look_up
from opentelemetry import trace

breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)
tracer = trace.get_tracer("orders")
db = s3 = None


async def connect():
    global db, s3  # noqa: PLW0603  that is how it is written
    db = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=1)
    s3 = await get_session().create_client("s3").__aenter__()


async def answer(event):
    if s3 is None:
        await connect()
    return await look_up(event, db, s3, breaker, tracer)


def handler(event, context):
    return asyncio.run(answer(event))
