"""What does an invocation with one query cost on the warm path, beside the same written by hand?

A query through `postgres_pool` under `@warm_handler`, called as AWS's Python runtime calls it; by hand, on one kept
loop, with a module-global asyncpg pool of one connection; and with a bare connection, the least there can be. Then a
transaction: `postgres_transaction`, beside `pool.acquire()` and `connection.transaction()` by hand, and beside the
bare connection's. All take turns, a block of calls each, in one process, against one real PostgreSQL on this machine,
where a round trip takes some 60 microseconds; in a network it takes ten times that. Afterwards each is called through
a relay that counts round trips.

    python -m benchmarks.postgres_warm

Writes every sample to benchmarks/results/postgres_warm.json. Exits with 1 if warmkit takes more round trips than the
bare connection, if its query takes longer than that of a pool by hand, or if its transaction takes more than 1.15 of
one by hand, on a network that costs nothing: its round trip less is worth more on every other.
"""

import asyncio
import gc
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg

from warmkit import WarmHandler, warm_handler
from warmkit.local.postgres_server import PostgresServer
from warmkit.resources import postgres_pool, postgres_transaction
from warmkit.testing import Relay

ROUNDS = 150
BLOCK = 20
MOST = 1.15
QUERY = "SELECT $1::int"
RESULTS = Path(__file__).parent / "results" / "postgres_warm.json"

Call = Callable[[], object]


def warm_query() -> WarmHandler[Any]:
    @warm_handler(db=postgres_pool(check_after=3600))
    async def handler(event: int, context: object, db: Any) -> Any:
        return await db.fetchval(QUERY, event)

    return handler


def warm_transaction() -> WarmHandler[Any]:
    @warm_handler(tx=postgres_transaction(postgres_pool(check_after=3600)))
    async def handler(event: int, context: object, tx: Any) -> Any:
        return await tx.fetchval(QUERY, event)

    return handler


class ByHand:
    """Module globals as a good engineer keeps them: one loop, one pool, one connection."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        dsn = os.environ["DATABASE_URL"]
        self.connection: Any = self.run(asyncpg.connect(dsn))
        self.pool: Any = self.run(self.open_pool(dsn))

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    async def open_pool(self, dsn: str) -> Any:
        return await asyncpg.create_pool(dsn, min_size=1, max_size=1)

    async def bare(self, event: int) -> Any:
        return await self.connection.fetchval(QUERY, event)

    async def pooled(self, event: int) -> Any:
        return await self.pool.fetchval(QUERY, event)

    async def bare_transaction(self, event: int) -> Any:
        async with self.connection.transaction():
            return await self.connection.fetchval(QUERY, event)

    async def in_transaction(self, event: int) -> Any:
        async with self.pool.acquire() as connection, connection.transaction():
            return await connection.fetchval(QUERY, event)

    def close(self) -> None:
        self.pool.terminate()
        self.connection.terminate()
        self.run(asyncio.sleep(0))
        self.loop.close()


def calls(query: WarmHandler[Any], transaction: WarmHandler[Any], hand: ByHand) -> dict[str, Call]:
    return {
        "query: warmkit": lambda: query(1, None),
        "query: by hand, pool": lambda: hand.run(hand.pooled(1)),
        "query: by hand, bare connection": lambda: hand.run(hand.bare(1)),
        "transaction: warmkit": lambda: transaction(1, None),
        "transaction: by hand, pool": lambda: hand.run(hand.in_transaction(1)),
        "transaction: by hand, bare connection": lambda: hand.run(hand.bare_transaction(1)),
    }


def time_block(call: Call) -> float:
    """Returns the microseconds of one call, over a block of them."""
    begun = time.perf_counter_ns()
    for _ in range(BLOCK):
        call()
    return (time.perf_counter_ns() - begun) / BLOCK / 1000


def interleave(cases: dict[str, Call]) -> dict[str, list[float]]:
    """Returns each case's samples, taken in turns; who begins moves on."""
    names = list(cases)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(ROUNDS):
        first = round_ % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(time_block(cases[name]))
    return samples


def measure() -> dict[str, list[float]]:
    query, transaction, hand = warm_query(), warm_transaction(), ByHand()
    cases = calls(query, transaction, hand)
    for call in cases.values():  # cold start, prepared statements, the interpreter's own warm-up
        time_block(call)
        assert call() == 1
    gc.collect()
    gc.freeze()
    samples = interleave(cases)
    query.close()
    hand.close()
    return samples


def count_round_trips(server: PostgresServer) -> dict[str, float]:
    with Relay(("127.0.0.1", server.port)) as relay:
        os.environ["DATABASE_URL"] = server.dsn.replace(f":{server.port}/", f":{relay.port}/")
        query, transaction, hand = warm_query(), warm_transaction(), ByHand()
        found: dict[str, float] = {}
        for name, call in calls(query, transaction, hand).items():
            call()
            before = relay.round_trips
            for _ in range(BLOCK):
                call()
            found[name] = (relay.round_trips - before) / BLOCK
        query.close()
        hand.close()
        return found


def main() -> int:
    with PostgresServer() as server:
        os.environ["DATABASE_URL"] = server.dsn
        samples = measure()
        trips = count_round_trips(server)
    medians = {name: statistics.median(taken) for name, taken in samples.items()}
    save(medians, trips, samples)
    report(medians, trips)
    return verdict(medians, trips)


def verdict(medians: dict[str, float], trips: dict[str, float]) -> int:
    kinds = ("query", "transaction")
    bare = {kind: f"{kind}: by hand, bare connection" for kind in kinds}
    good = (
        all(trips[f"{kind}: warmkit"] == trips[bare[kind]] for kind in kinds)
        and medians["query: warmkit"] <= medians["query: by hand, pool"]
        and medians["transaction: warmkit"] <= MOST * medians["transaction: by hand, pool"]
    )
    return 0 if good else 1


def report(medians: dict[str, float], trips: dict[str, float]) -> None:
    print(f"one invocation, median of {ROUNDS} blocks of {BLOCK} calls each:")
    for name, median in medians.items():
        base = medians[f"{name.partition(':')[0]}: warmkit"]
        print(f"  {name:37} {median:7.1f} us  {median / base:5.2f} x  {trips[name]:g} round trips")


def save(
    medians: dict[str, float], trips: dict[str, float], samples: dict[str, list[float]]
) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    content: dict[str, Any] = {
        "question": (__doc__ or "").partition("\n")[0],
        "machine": {"python": sys.version, "platform": platform.platform()},
        "rounds": ROUNDS,
        "calls_per_sample": BLOCK,
        "medians": medians,
        "round_trips": trips,
        "samples_us_per_call": samples,
    }
    RESULTS.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    sys.exit(main())
