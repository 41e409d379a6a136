"""The service, the same in every style: an order from PostgreSQL behind a circuit breaker, and its receipt from S3."""

import os

QUERY = "SELECT total FROM orders WHERE number = $1"
BUCKET = os.environ["BUCKET"]


async def look_up(event, db, s3, breaker, tracer):
    number = event["order"]
    with tracer.start_as_current_span("look up an order"):
        with breaker.calling():
            total = await db.fetchval(QUERY, number)
        answer = await s3.get_object(Bucket=BUCKET, Key=f"receipts/{number}")
        async with answer["Body"] as body:
            receipt = (await body.read()).decode()
        return {"order": number, "total": total, "receipt": receipt}
