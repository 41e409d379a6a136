"""Do environments that all start at once get through to a server that has room for fewer of them?

Thirty environments in one process ask a PostgreSQL with `max_connections=20` for a connection each, all at once; each
holds its own for a quarter of a second, and leaves. With warmkit; with warmkit whose patience is taken away, so that the first
refusal is the last; and with a bare asyncpg pool for each. Milliseconds are those until an environment knew whether it got through.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import asyncpg

from benchmarks.harness.answer import Answer, Comparison, Count, Finding, Row, counted
from benchmarks.harness.run import Run, turns
from warmkit import Environment, WarmHandler, warm_handler
from warmkit.local.postgres_server import PostgresServer
from warmkit.resources import postgres_pool
from warmkit.resources.postgres import crowd

NOT_SHOWN = "A crowd that never leaves: who holds connections for longer than the start deadline keeps others out, whatever they do."

PLACES = 20
ENVIRONMENTS = 30
HOLD_S = 0.25
WARM, IMPATIENT, BARE = "warmkit", "warmkit, without patience", "by hand, a bare pool"

Sample = tuple[bool, float]
"""Whether it got through, and after how many milliseconds it knew."""


def ask(run: Run) -> Answer:
    samples: dict[str, list[list[Sample]]] = {name: [] for name in CASES}
    with PostgresServer(max_connections=PLACES) as server:
        for number in run.rounds(10, quick=3):
            for name in turns(list(CASES), number):
                server.terminate_backends()
                samples[name].append(CASES[name](server.dsn))
    rows = [
        Row(name, [[ms for _, ms in crowd_] for crowd_ in crowds])
        for name, crowds in samples.items()
    ]
    shares = {name: share(crowds) for name, crowds in samples.items()}
    assert shares[BARE] < 1, "thirty got through where there is room for twenty"
    return Answer(
        [Comparison("wait", "until an environment knows", "ms", rows, base=WARM)],
        [
            Finding(
                "through",
                f"where thirty environments ask a server with room for twenty, {{}} get through, of bare pools {100 * shares[BARE]:.0f} %",
                counted(100 * shares[WARM]),
                "%",
                digits=0,
                at_least=100,
            )
        ],
        [
            Count(
                "got through",
                ["%"],
                {name: [round(100 * part, 1)] for name, part in shares.items()},
            )
        ],
    )


def share(crowds: list[list[Sample]]) -> float:
    through = [passed for crowd_ in crowds for passed, _ in crowd_]
    return sum(through) / len(through)


def new_handler(dsn: str) -> WarmHandler[Any]:
    @warm_handler(db=postgres_pool(dsn))
    async def handler(event: object, context: object, db: Any) -> Any:
        return await db.fetchval("SELECT 1")

    return handler


async def with_warmkit(dsn: str) -> Sample:
    begun = time.perf_counter()
    handler = new_handler(dsn)
    async with Environment():
        try:
            await handler.invoke({})
        except Exception:
            return False, 1000 * (time.perf_counter() - begun)
        sample = True, 1000 * (time.perf_counter() - begun)
        await asyncio.sleep(HOLD_S)
    return sample


async def bare(dsn: str) -> Sample:
    begun = time.perf_counter()
    try:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
            await pool.fetchval("SELECT 1")
            sample = True, 1000 * (time.perf_counter() - begun)
            await asyncio.sleep(HOLD_S)
    except Exception:
        return False, 1000 * (time.perf_counter() - begun)
    return sample


async def all_at_once(live: Any, dsn: str) -> list[Sample]:
    return list(await asyncio.gather(*(live(dsn) for _ in range(ENVIRONMENTS))))


def crowd_in(live: Any, dsn: str) -> list[Sample]:
    return asyncio.run(all_at_once(live, dsn))


def crowd_in_impatiently(dsn: str) -> list[Sample]:
    with no_patience():
        return crowd_in(with_warmkit, dsn)


@contextmanager
def no_patience() -> Iterator[None]:
    async def give_up(_: object) -> bool:
        return False

    usual = crowd.Patience.wait
    crowd.Patience.wait = give_up  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        crowd.Patience.wait = usual  # type: ignore[method-assign]


CASES: dict[str, Any] = {
    WARM: partial(crowd_in, with_warmkit),
    IMPATIENT: crowd_in_impatiently,
    BARE: partial(crowd_in, bare),
}
