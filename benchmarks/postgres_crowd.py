"""Do environments that all start at once get through to a server that has room for fewer of them?

Thirty environments in one process ask a PostgreSQL with `max_connections=20` for a connection each, all at once; each
holds its own for a moment, and leaves. With warmkit; with warmkit whose patience is taken away, so that the first
refusal is the last; and with a bare asyncpg pool for each.

    python -m benchmarks.postgres_crowd

Writes every sample to benchmarks/results/postgres_crowd.json. Exits with 1 if one of warmkit's environments did not get
through.
"""

import asyncio
import json
import math
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from warmkit import Environment, WarmHandler, warm_handler
from warmkit.local.postgres_server import PostgresServer
from warmkit.resources import postgres_pool
from warmkit.resources.postgres import crowd

PLACES = 20
ENVIRONMENTS = 30
HOLD_S = 0.25
ROUNDS = 10
RESULTS = Path(__file__).parent / "results" / "postgres_crowd.json"

Sample = tuple[bool, float]
"""Whether it got through, and after how many seconds it knew."""


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
            return False, time.perf_counter() - begun
        sample = True, time.perf_counter() - begun
        await asyncio.sleep(HOLD_S)
    return sample


async def bare(dsn: str) -> Sample:
    begun = time.perf_counter()
    try:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=1) as pool:
            await pool.fetchval("SELECT 1")
            sample = True, time.perf_counter() - begun
            await asyncio.sleep(HOLD_S)
    except Exception:
        return False, time.perf_counter() - begun
    return sample


@contextmanager
def patience() -> Iterator[None]:
    yield


@contextmanager
def no_patience() -> Iterator[None]:
    async def give_up(_: object) -> bool:
        return False

    usual = crowd.Patience.wait
    crowd.Patience.wait = give_up  # type: ignore[method-assign]
    try:
        yield
    finally:
        crowd.Patience.wait = usual  # type: ignore[method-assign]


CASES: dict[str, tuple[Any, Any]] = {
    "warmkit": (with_warmkit, patience),
    "warmkit without patience": (with_warmkit, no_patience),
    "by hand, a bare asyncpg pool": (bare, patience),
}


async def crowd_in(live: Any, dsn: str) -> list[Sample]:
    return list(await asyncio.gather(*(live(dsn) for _ in range(ENVIRONMENTS))))


def measure(server: PostgresServer) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = {name: [] for name in CASES}
    for _ in range(ROUNDS):
        for name, (live, manner) in CASES.items():
            server.terminate_backends()
            with manner():
                samples[name] += asyncio.run(crowd_in(live, server.dsn))
    return samples


def main() -> int:
    with PostgresServer(max_connections=PLACES) as server:
        samples = measure(server)
    save(samples)
    print(
        f"{ENVIRONMENTS} environments at once, room for {PLACES}, each holds for {HOLD_S * 1000:g} ms; {ROUNDS} rounds:"
    )
    for name, taken in samples.items():
        report(name, taken)
    return 0 if all(through for through, _ in samples["warmkit"]) else 1


def report(name: str, taken: list[Sample]) -> None:
    waits = sorted(seconds * 1000 for through, seconds in taken if through)
    share = 100 * len(waits) / len(taken)
    tail = "  ".join(f"p{part} {quantile(waits, part):5.0f} ms" for part in (50, 95, 100))
    print(f"  {name:30} {share:5.1f} % got through   {tail}")


def quantile(ordered: list[float], part: int) -> float:
    return ordered[max(0, math.ceil(len(ordered) * part / 100) - 1)]


def save(samples: dict[str, list[Sample]]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    content: dict[str, Any] = {
        "question": (__doc__ or "").partition("\n")[0],
        "machine": {"python": sys.version, "platform": platform.platform()},
        "samples_through_and_seconds": samples,
    }
    RESULTS.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    sys.exit(main())
