"""A Lambda function whose handlers answer in every shape, and fail in every way."""

import asyncio
import decimal
import logging

TOTAL = decimal.Decimal("10.50")


def answer(event, context):
    return {
        "event": event,
        "function": context.function_name,
        "version": context.function_version,
        "memory": context.memory_limit_in_mb,
        "arn": context.invoked_function_arn,
        "tenant": context.tenant_id,
        "client": context.client_context,
        "identity": context.identity.cognito_identity_id,
        "has_time": 0 < context.get_remaining_time_in_millis() <= 300_000,
        "has_id": len(context.aws_request_id) == 36,
        "total": TOTAL,
    }


def fail(event, context):
    raise LookupError(f"no order {event}")


def unwritable(event, context):
    return {"when": {1, 2}}


def speak(event, context):
    logging.getLogger("app").warning("order %s", event["n"])


async def asynchronous(event, context):
    await asyncio.sleep(0)
    return {"event": event}
