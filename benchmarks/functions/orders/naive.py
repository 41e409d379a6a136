"""Connects in the handler: each invocation opens what it needs, and closes it."""

import asyncio
import os

import asyncpg
import pybreaker
from aiobotocore.session import get_session
from lookup import look_up
from opentelemetry import trace

breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=30)
tracer = trace.get_tracer("orders")


async def answer(event):
    db = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        async with get_session().create_client("s3") as s3:
            return await look_up(event, db, s3, breaker, tracer)
    finally:
        await db.close()


def handler(event, context):
    return asyncio.run(answer(event))
