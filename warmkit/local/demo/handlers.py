"""The demo's order lookup, twice: as it is often written first, and with warmkit."""

# pyright: reportUnknownMemberType=false
# The stubs name the client of every AWS service, of which only that of S3 is installed.

import asyncio
import os
from typing import TYPE_CHECKING, Any

import asyncpg
from aiobotocore.session import get_session

from warmkit import warm_handler
from warmkit.resources import postgres_pool, s3_client

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

QUERY = "SELECT id, total_bill, tip FROM orders WHERE id = $1"
BUCKET = "restaurant"


async def find(number: int, db: Any, s3: "S3Client") -> dict[str, Any]:
    """Find an order and its receipt: one query, one object. Both versions do this."""
    order = await db.fetchrow(QUERY, number)
    receipt = await s3.get_object(Bucket=BUCKET, Key=f"receipts/{number}.txt")
    text = (await receipt["Body"].read()).decode()
    amounts = {"total_bill": str(order["total_bill"]), "tip": str(order["tip"])}
    return {"id": order["id"], **amounts, "receipt": text}


# Without warmkit: every invocation opens what it needs, and closes it.


def without_warmkit(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Return the order and its receipt; the runtime calls this."""
    return asyncio.run(open_and_find(event["id"]))


async def open_and_find(number: int) -> dict[str, Any]:
    """Open what the lookup needs, and close it in any case."""
    db = await asyncpg.connect(os.environ["DATABASE_URL"])
    try:
        async with get_session().create_client("s3") as s3:
            return await find(number, db, s3)
    finally:
        await db.close()


# With warmkit: what it needs is there, alive, and outlives the invocation.


@warm_handler(db=postgres_pool(), s3=s3_client(bucket=BUCKET))
async def with_warmkit(
    event: dict[str, Any], context: object, db: asyncpg.Pool, s3: "S3Client"
) -> dict[str, Any]:
    """Return the order and its receipt; the runtime calls this."""
    return await find(event["id"], db, s3)
