"""What does an invocation see when the database's connections die, or the whole server does?

A handler with a pool and an S3 client, called as AWS's Python runtime calls it, against a real PostgreSQL and an S3
server. Beside it the same handler written by hand: module globals, an asyncpg pool and a client on one kept loop.
Each answer is compared with what it must be. The outage lasts ten real seconds (two in a hurry), with a call every half second.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import asyncpg
from aiobotocore.session import get_session

from benchmarks.harness.answer import Answer, Count, Finding, counted
from benchmarks.harness.run import Run
from warmkit import warm_handler
from warmkit.local.postgres_server import PostgresServer
from warmkit.local.s3_server import S3Server
from warmkit.resources import postgres_pool, s3_client

NOT_SHOWN = "Failovers of a managed database, where a name points elsewhere for a while; partitions that let a part of the packets through."

BUCKET = "survival"
START_TIMEOUT_S = 2.0
PAUSE_S = 0.5

Handler = Callable[[dict[str, int], object], object]


class Tally(NamedTuple):
    """What a run of calls came to."""

    calls: int
    wrong: int
    failed: int
    slowest_failure_s: float


def ask(run: Run) -> Answer:
    logging.disable()  # asyncpg tells at length what the table tells in a number
    outage = run.times(10, quick=2)
    with servers() as database:
        ours = scenarios(warm, database, outage, run.rounds(5, quick=5, doing="warmkit"))
        warm.close()
        hand = scenarios(by_hand, database, outage, run.rounds(5, quick=5, doing="by hand"))
        loop.run_until_complete(disconnect())
    columns = ["calls", "wrong", "failed", "slowest failure, s"]
    rows: dict[str, list[float | str]] = {
        f"{name}: {who}": [*map(float, tally[:3]), f"{tally[3]:.2f}" if tally.failed else ""]
        for name in ours
        for who, tally in (("warmkit", ours[name]), ("by hand", hand[name]))
    }
    return Answer(findings=list(findings(ours, hand)), counts=[Count("calls", columns, rows)])


def findings(ours: dict[str, Tally], hand: dict[str, Tally]) -> Iterator[Finding]:
    away = ours.pop("server away")
    failed_by_hand = sum(tally.failed for name, tally in hand.items() if name != "server away")
    assert failed_by_hand, "connections died, and code that does not look never noticed"
    assert away.failed == away.calls
    wrong = sum(tally.wrong for tally in [away, *ours.values()])
    failed = sum(tally.failed for tally in ours.values())
    yield Finding("wrong", "{} wrong results", counted(wrong), digits=0, at_most=0)
    yield Finding(
        "failed",
        f"connections cut and server restarted: {{}} of {sum(t.calls for t in ours.values())} invocations failed, {failed_by_hand} of the same by hand",
        counted(failed),
        digits=0,
        at_most=0,
        closing=True,
    )
    yield Finding(
        "slowest",
        f"while the server is away an invocation fails within {{}}, of a start deadline of {START_TIMEOUT_S:g}",
        counted(away.slowest_failure_s),
        "s",
        at_most=START_TIMEOUT_S + 0.5,
    )


@warm_handler(db=postgres_pool(start_timeout=START_TIMEOUT_S), s3=s3_client(bucket=BUCKET))
async def warm(event: dict[str, int], context: object, db: Any, s3: Any) -> tuple[int, bytes]:
    return await look_up(event["n"], db, s3)


loop = asyncio.new_event_loop()
kept: dict[str, Any] = {}


async def connect() -> None:
    kept["db"] = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=1, max_size=1)
    kept["s3"] = await get_session().create_client("s3").__aenter__()


async def disconnect() -> None:
    await kept["s3"].__aexit__(None, None, None)
    kept["db"].terminate()


def by_hand(event: dict[str, int], context: object) -> object:
    if not kept:
        loop.run_until_complete(connect())
    return loop.run_until_complete(look_up(event["n"], kept["db"], kept["s3"]))


async def look_up(n: int, db: Any, s3: Any) -> tuple[int, bytes]:
    total = await db.fetchval("SELECT $1::int * 2", n)
    answer = await s3.get_object(Bucket=BUCKET, Key=f"receipt-{n % 10}")
    async with answer["Body"] as body:
        return total, await body.read()


def call(handler: Handler, calls: Iterator[int]) -> Tally:
    count = wrong = failed = 0
    slowest = 0.0
    for n in calls:
        count += 1
        begun = time.monotonic()
        try:
            wrong += handler({"n": n}, None) != (2 * n, b"thank you, %d" % (n % 10))
        except Exception:
            failed += 1
            slowest = max(slowest, time.monotonic() - begun)
    return Tally(count, wrong, failed, slowest)


def with_a_blow_between(blow: Callable[[], object], calls: int = 20) -> Iterator[int]:
    """Yields numbers, and every fifth time strikes before the next call."""
    for n in range(calls):
        if n % 5 == 4:
            blow()
        yield n


def during(seconds: float) -> Iterator[int]:
    ends = time.monotonic() + seconds
    n = 0
    while time.monotonic() < ends:
        yield n
        n += 1
        time.sleep(PAUSE_S)


def scenarios(
    handler: Handler, database: Any, outage: float, steps: Iterator[int]
) -> dict[str, Tally]:
    blows = {
        "connections terminated, 4 times": database.terminate_backends,
        "server restarted, 4 times": database.restart,
    }
    next(steps)
    told = {"nothing happens": call(handler, iter(range(20)))}
    for name, blow in blows.items():
        next(steps)
        told[name] = call(handler, with_a_blow_between(blow))
    next(steps)
    database.stop()
    told["server away"] = call(handler, during(outage))
    database.start()
    next(steps)
    told["server back"] = call(handler, iter(range(20)))
    return told


@contextmanager
def servers() -> Iterator[PostgresServer]:
    with ExitStack() as stack:
        database = stack.enter_context(PostgresServer())
        s3 = stack.enter_context(S3Server())
        s3.put_objects(BUCKET, {f"receipt-{n}": b"thank you, %d" % n for n in range(10)})
        os.environ.update(s3.environment, DATABASE_URL=database.dsn)
        yield database
