"""A Lambda function for tests of what a hostile platform does: it says which event it got."""

import hashlib


async def handler(event, context):
    if isinstance(event, dict) and "large" in event:
        return {"id": context.aws_request_id, "bytes": len(event["large"])}
    if event == "fail":
        raise ValueError(f"{context.aws_request_id} \u2028 caf\u00e9 \ud800")
    digest = hashlib.sha256(repr(event).encode("utf-8", "surrogatepass")).hexdigest()
    return {"id": context.aws_request_id, "digest": digest}


async def large(event, context):
    return "x" * (6 << 20)
