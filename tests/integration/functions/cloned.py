"""A Lambda function that is snapshotted with a pool, a client and a model, and has hooks of its own."""

import os
import time

from snapshot_restore_py import register_after_restore, register_before_snapshot

from warmkit import Invocation, resource, warm_handler
from warmkit.resources import circuit_breaker, postgres_pool, s3_client

FAILS = os.environ.get("FAILS", "")


def say(*words):
    print(*words, flush=True)


@register_before_snapshot
def first():
    say("before: first", handler({"n": 1}, None)["total"])


@register_before_snapshot
def second():
    say("before: second")
    if FAILS == "before":
        raise ValueError("no snapshot today")
    if FAILS == "before exits":
        raise SystemExit(3)
    if FAILS == "before hangs":
        time.sleep(3600)


@register_after_restore
def third():
    say("after: third")
    if FAILS == "after":
        raise ValueError("no restore today")


@register_after_restore
def fourth():
    say("after: fourth", handler.environment.statistics.invocations)


@resource
def model():
    return [1.0, 2.0]


@warm_handler(db=postgres_pool(), s3=s3_client(), prices=circuit_breaker(), model=model)
async def handler(event, context, *, db, s3, prices, model, facts: Invocation):
    return {
        "total": await db.fetchval("SELECT $1::int * 2", event["n"]),
        "name": await db.fetchval("SELECT current_setting('application_name')"),
        "environment": facts.environment_id,
        "number": facts.number,
        "starts": {
            name: item.starts for name, item in handler.environment.statistics.resources.items()
        },
    }


say("environment", handler.environment.id)
