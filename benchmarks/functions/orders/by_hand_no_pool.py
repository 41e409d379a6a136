"""As by_hand, with one connection in the pool's place: nothing resets it after a use, and it is opened anew once it is closed."""

import asyncio
import os

import asyncpg
import pybreaker
from aiobotocore.session import get_session
from lookup import look_up
from opentelemetry import trace

breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)
tracer = trace.get_tracer("orders")
loop = asyncio.new_event_loop()


async def connect():
    return await asyncio.gather(
        asyncpg.connect(os.environ["DATABASE_URL"]),
        get_session().create_client("s3").__aenter__(),
    )


db, s3 = loop.run_until_complete(connect())


async def answer(event):
    global db  # noqa: PLW0603  that is how it is written
    if db.is_closed():
        db = await asyncpg.connect(os.environ["DATABASE_URL"])
    return await look_up(event, db, s3, breaker, tracer)


def handler(event, context):
    return loop.run_until_complete(answer(event))
