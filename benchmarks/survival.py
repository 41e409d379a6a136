"""What does an invocation see when the database's connections die, or the whole server does?

A handler with a pool and an S3 client, called as AWS's Python runtime calls it, against a real PostgreSQL and an S3
server. Beside it the same handler written by hand: module globals, an asyncpg pool and a client on one kept loop.
Each answer is compared with what it must be. The outage lasts ten real seconds, with a call every half second.

    python -m benchmarks.survival

Exits with 1 if warmkit gave a wrong result, failed an invocation outside the outage, or took longer to fail
in it than its start deadline.
"""

import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import asyncpg
from aiobotocore.session import get_session

from warmkit import warm_handler
from warmkit.local.postgres_server import PostgresServer
from warmkit.local.s3_server import S3Server
from warmkit.resources import postgres_pool, s3_client

BUCKET = "survival"
START_TIMEOUT_S = 2.0
OUTAGE_S = 10.0
PAUSE_S = 0.5

Handler = Callable[[dict[str, int], object], object]


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


class Tally(NamedTuple):
    """What a run of calls came to."""

    calls: int
    wrong: int
    failed: int
    slowest_failure_s: float


def run(handler: Handler, calls: Iterator[int]) -> Tally:
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


def scenarios(handler: Handler, database: PostgresServer) -> dict[str, Tally]:
    told = {
        "nothing happens": run(handler, iter(range(20))),
        "connections terminated, 4 times": run(
            handler, with_a_blow_between(database.terminate_backends)
        ),
        "server restarted, 4 times": run(handler, with_a_blow_between(database.restart)),
    }
    database.stop()
    told[f"server away for {OUTAGE_S:g} s"] = run(handler, during(OUTAGE_S))
    database.start()
    told["server back"] = run(handler, iter(range(20)))
    return told


@contextmanager
def servers() -> Iterator[PostgresServer]:
    with ExitStack() as stack:
        database = stack.enter_context(PostgresServer())
        s3 = stack.enter_context(S3Server())
        s3.put_objects(BUCKET, {f"receipt-{n}": b"thank you, %d" % n for n in range(10)})
        os.environ.update(s3.environment, DATABASE_URL=database.dsn)
        yield database


def held(told: dict[str, Tally]) -> bool:
    """Whether nothing was wrong, and nothing failed but in the outage, there within the deadline."""
    away = [tally for name, tally in told.items() if "away" in name]
    here = [tally for name, tally in told.items() if "away" not in name]
    return (
        all(tally.wrong == 0 for tally in told.values())
        and all(tally.failed == 0 for tally in here)
        and all(tally.failed == tally.calls for tally in away)
        and all(tally.slowest_failure_s <= START_TIMEOUT_S + 0.5 for tally in away)
    )


def main() -> int:
    logging.disable()  # asyncpg tells at length what the table tells in a number
    with servers() as database:
        told = {"warmkit": scenarios(warm, database)}
        warm.close()
        told["by hand"] = scenarios(by_hand, database)
        loop.run_until_complete(disconnect())
    print(f"{'':34}{'':10}{'calls':>7}{'wrong':>7}{'failed':>8}{'slowest failure':>17}")
    for name in told["warmkit"]:
        for who, tallies in told.items():
            calls, wrong, failed, slowest = tallies[name]
            late = f"{slowest:15.2f} s" if failed else ""
            print(f"{name:34}{who:10}{calls:7}{wrong:7}{failed:8}{late}")
    return 0 if held(told["warmkit"]) else 1


if __name__ == "__main__":
    sys.exit(main())
