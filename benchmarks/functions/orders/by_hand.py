"""Clients in module globals on a loop that is kept, opened side by side while the function is loaded."""

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
        asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=1),
        get_session().create_client("s3").__aenter__(),
    )


db, s3 = loop.run_until_complete(connect())


def handler(event, context):
    return loop.run_until_complete(look_up(event, db, s3, breaker, tracer))
