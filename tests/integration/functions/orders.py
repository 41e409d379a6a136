"""A Lambda function as a user would write it, and what it tells about the process that serves it."""

import asyncio
import os

from warmkit import resource, warm_handler
from warmkit.resources import postgres_pool, s3_client

BUCKET = os.environ["BUCKET"]

db = postgres_pool(check_after=60)
s3 = s3_client(bucket=BUCKET, check_after=60, max_gap=60)


@resource
async def one_loop():
    """The event loop in which the environment's resources were started."""
    return id(asyncio.get_running_loop())


@warm_handler(db=db, s3=s3, one_loop=one_loop)
async def handler(event, context, db, s3, one_loop):
    total = await db.fetchval("SELECT $1::int * 2", event["n"])
    receipt = await s3.get_object(Bucket=BUCKET, Key=f"receipt-{event['n'] % 10}")
    async with receipt["Body"] as body:
        text = await body.read()
    return {
        "total": total,
        "receipt": text.decode(),
        "process": os.getpid(),
        "same_loop": one_loop == id(asyncio.get_running_loop()),
        "starts": {
            name: item.starts for name, item in handler.environment.statistics.resources.items()
        },
    }


@warm_handler(db=db)
def synchronous(event, context, db):
    """A plain `def` on the same pool: it gets the value, and runs while no loop does."""
    return {
        "size": db.get_size(),
        "starts": synchronous.environment.statistics.resources["db"].starts,
    }
