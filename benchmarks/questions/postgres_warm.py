"""What does an invocation with one query cost on the warm path, beside the same written by hand?

A query through `postgres_pool` under `@warm_handler`, called as AWS's Python runtime calls it; by hand, on one kept
loop, with a module-global asyncpg pool of one connection; and with a bare connection, the least there can be. Then a
transaction: `postgres_transaction`, beside `pool.acquire()` and `connection.transaction()` by hand, and beside the
bare connection's. Against one real PostgreSQL on this machine, where a round trip takes some 60 microseconds; and with 1 ms of
wire. Round trips are counted by a relay.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Count, Finding, Row, counted
from benchmarks.harness.run import Run, in_fresh_process
from benchmarks.harness.timing import interleave, time_block
from benchmarks.parts.wire import Wire
from warmkit import warm_handler
from warmkit.local.postgres_server import PostgresServer
from warmkit.local.processes import HOST
from warmkit.resources import postgres_pool, postgres_transaction

NOT_SHOWN = "A crowd of environments at one server, and poolers between them; a handler that leaves something in the session, which a pool's reset would clear away."

QUERY = "SELECT $1::int"
WARM, POOL, BARE = "warmkit", "by hand, pool", "by hand, connection"
AGAIN = "by hand, pool, again"
KINDS = ("query", "transaction")
WIRES = {"0 ms": 0.0, "1 ms": 0.001}

Call = Callable[[], object]
Cases = dict[str, Call]


def ask(run: Run) -> Answer:
    found: dict[str, list[dict[str, dict[str, list[float]]]]] = {wire: [] for wire in WIRES}
    trips: dict[str, dict[str, float]] = {}
    with PostgresServer() as server:
        for _ in run.rounds(10, quick=3):
            found["0 ms"].append(in_fresh_process(trial, server.dsn, run.times(20, quick=8), 20))
            with Wire((HOST, server.port), round_trip=0.001) as wire:
                far = through(wire, server)
                found["1 ms"].append(in_fresh_process(trial, far, run.times(30, quick=8), 1))
        with Wire((HOST, server.port)) as counting:
            trips = count(through(counting, server), counting)
    comparisons = [
        Comparison(
            f"{kind}_{wire.replace(' ', '')}",
            f"one {kind}, {wire} of wire",
            "us",
            [Row(name, [item[kind][name] for item in taken]) for name in taken[0][kind]],
            base=POOL,
            again=AGAIN,
        )
        for kind in KINDS
        for wire, taken in found.items()
    ]
    columns = list(trips["query"])
    counts = Count(
        "round trips of one invocation",
        columns,
        {kind: list(trips[kind].values()) for kind in KINDS},
    )
    return Answer(comparisons, list(findings(comparisons, trips)), [counts])


def through(wire: Wire, server: PostgresServer) -> str:
    return server.dsn.replace(f":{server.port}/", f":{wire.port}/")


def findings(comparisons: list[Comparison], trips: dict[str, dict[str, float]]) -> Any:
    most = {"query_0ms": 1.0, "query_1ms": 1.0, "transaction_0ms": 1.15, "transaction_1ms": 1.0}
    for comparison in comparisons:
        ratio = figures.ratio(comparison.row(WARM), comparison.row(POOL))
        yield Finding(
            comparison.name,
            f"{comparison.title}: {{}} times what asyncpg's pool takes by hand",
            ratio,
            at_most=most[comparison.name],
        )
    yield Finding(
        "trips",
        f"a query takes {{}} round trip, where asyncpg's pool takes {trips['query'][POOL]:g}",
        counted(trips["query"][WARM]),
        digits=0,
        at_most=trips["query"][BARE],
        closing=True,
    )
    yield Finding(
        "transaction_trips",
        f"a transaction takes {{}} round trips, where asyncpg's pool takes {trips['transaction'][POOL]:g}",
        counted(trips["transaction"][WARM]),
        digits=0,
        at_most=trips["transaction"][BARE],
    )


class ByHand:
    """Module globals as a good engineer keeps them: one loop, one pool, one connection."""

    def __init__(self, dsn: str) -> None:
        self.loop = asyncio.new_event_loop()
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


class Contenders:
    """All that take turns."""

    def __init__(self, dsn: str) -> None:
        @warm_handler(db=postgres_pool(dsn, check_after=3600))
        async def query(event: int, context: object, db: Any) -> Any:
            return await db.fetchval(QUERY, event)

        @warm_handler(tx=postgres_transaction(postgres_pool(dsn, check_after=3600)))
        async def transaction(event: int, context: object, tx: Any) -> Any:
            return await tx.fetchval(QUERY, event)

        self._query, self._transaction, self._hand = query, transaction, ByHand(dsn)

    def cases(self) -> dict[str, Cases]:
        query, transaction, hand = self._query, self._transaction, self._hand
        return {
            "query": {
                WARM: lambda: query(1, None),
                POOL: lambda: hand.run(hand.pooled(1)),
                BARE: lambda: hand.run(hand.bare(1)),
                AGAIN: lambda: hand.run(hand.pooled(1)),
            },
            "transaction": {
                WARM: lambda: transaction(1, None),
                POOL: lambda: hand.run(hand.in_transaction(1)),
                BARE: lambda: hand.run(hand.bare_transaction(1)),
                AGAIN: lambda: hand.run(hand.in_transaction(1)),
            },
        }

    def close(self) -> None:
        self._query.close()
        self._transaction.close()
        self._hand.close()


def trial(dsn: str, rounds: int, block: int) -> dict[str, dict[str, list[float]]]:
    contenders = Contenders(dsn)
    found = {}
    for kind, cases in contenders.cases().items():
        for call in cases.values():  # connections, prepared statements, the interpreter's warm-up
            time_block(call, 20)
            assert call() == 1
        found[kind] = interleave(cases, rounds=rounds, block=block)
    contenders.close()
    return found


def count(dsn: str, wire: Wire) -> dict[str, dict[str, float]]:
    contenders, calls = Contenders(dsn), 20
    found: dict[str, dict[str, float]] = {}
    for kind, cases in contenders.cases().items():
        found[kind] = {}
        for name, call in cases.items():
            call()
            before = wire.seen().round_trips
            for _ in range(calls):
                call()
            found[kind][name] = (wire.seen().round_trips - before) / calls
        del found[kind][AGAIN]
    contenders.close()
    return found
