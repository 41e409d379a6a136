"""Do concurrent first uses share one start, and do independent resources start side by side?

Two resources whose start waits 100 ms each, one handler that needs both; then ten invocations at once as the first
use of all. Measured beside the same two waits one after the other, and side by side, written by hand.

    python -m benchmarks.first_use
"""

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable

from warmkit import Environment, Resource, resource, warm_handler

WAIT_S = 0.1
ROUNDS = 15


def slow() -> Resource[object]:
    async def start() -> object:
        await asyncio.sleep(WAIT_S)
        return object()

    return resource(start)


@warm_handler(a=slow(), b=slow())
async def handler(event: object, a: object, b: object) -> tuple[object, object]:
    return a, b


async def one_invocation() -> None:
    async with Environment():
        await handler.invoke(None)


async def ten_at_once() -> None:
    async with Environment() as environment:
        answers = await asyncio.gather(*(handler.invoke(None) for _ in range(10)))
        assert len(set(answers)) == 1
        assert [item.starts for item in environment.statistics.resources.values()] == [1, 1]


async def by_hand_in_turn() -> None:
    await asyncio.sleep(WAIT_S)
    await asyncio.sleep(WAIT_S)


async def by_hand_side_by_side() -> None:
    await asyncio.gather(asyncio.sleep(WAIT_S), asyncio.sleep(WAIT_S))


CASES: dict[str, Callable[[], Awaitable[None]]] = {
    "warmkit, one invocation": one_invocation,
    "warmkit, ten invocations at once": ten_at_once,
    "by hand, side by side": by_hand_side_by_side,
    "by hand, one after the other": by_hand_in_turn,
}


async def measure() -> dict[str, list[float]]:
    """Returns the milliseconds of each case, taken in turns."""
    samples: dict[str, list[float]] = {name: [] for name in CASES}
    for _ in range(ROUNDS):
        for name, case in CASES.items():
            begun = time.perf_counter()
            await case()
            samples[name].append((time.perf_counter() - begun) * 1000)
    return samples


def main() -> int:
    medians = {name: statistics.median(taken) for name, taken in asyncio.run(measure()).items()}
    print(f"two resources that take {WAIT_S * 1000:g} ms each to start, median of {ROUNDS} rounds:")
    for name, median in medians.items():
        print(f"  {name:34} {median:7.1f} ms")
    return 0 if medians["warmkit, ten invocations at once"] < 1.5 * WAIT_S * 1000 else 1


if __name__ == "__main__":
    sys.exit(main())
