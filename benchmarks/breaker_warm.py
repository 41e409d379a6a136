"""What does a closed circuit breaker add to a call that succeeds?

The call is an `await` of a coroutine that does nothing. Around it: `async with breaker:` of warmkit; the counting that a
good engineer writes by hand; purgatory; aiobreaker. All take turns, a block of calls each, in one process and on
one loop; what each adds is against the bare call. pybreaker is not among them: around an `async def` it counts nothing.

    python -m benchmarks.breaker_warm

Prints medians and writes every sample to benchmarks/results/breaker_warm.json. Exits with 1 if warmkit's adds more than
5 microseconds.
"""

import asyncio
import gc
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiobreaker
import purgatory

from warmkit.resources import CircuitBreaker

LIMIT_US = 5.0
ROUNDS = 300
BLOCK = 100
RESULTS = Path(__file__).parent / "results" / "breaker_warm.json"

Call = Callable[[], Awaitable[int]]


async def service() -> int:
    return 42


class ByHand:
    """What a good engineer writes: right as long as nothing is concurrent."""

    def __init__(self) -> None:
        self.failures = 0
        self.opened = 0.0

    async def call(self) -> int:
        if self.failures >= 5 and time.monotonic() - self.opened < 30:
            raise ConnectionError("open")
        try:
            answer = await service()
        except Exception:
            self.failures += 1
            self.opened = time.monotonic()
            raise
        self.failures = 0
        return answer


async def contenders() -> dict[str, Call]:
    ours = CircuitBreaker(name="prices")
    aio = aiobreaker.CircuitBreaker()
    context = await purgatory.AsyncCircuitBreakerFactory().get_breaker("prices")

    async def by_block() -> int:
        async with ours:
            return await service()

    async def by_call() -> int:
        return await ours.call(service)

    async def by_purgatory() -> int:
        async with context:
            return await service()

    async def by_aiobreaker() -> int:
        answer: Any = await aio.call_async(service)
        return answer

    return {
        "bare": service,
        "warmkit, async with": by_block,
        "warmkit, call": by_call,
        "by hand": ByHand().call,
        "purgatory": by_purgatory,
        "aiobreaker": by_aiobreaker,
    }


async def time_block(call: Call) -> float:
    """Returns the microseconds of one call, over a block of them."""
    begun = time.perf_counter_ns()
    for _ in range(BLOCK):
        await call()
    return (time.perf_counter_ns() - begun) / BLOCK / 1000


async def measure() -> dict[str, list[float]]:
    """Returns the samples of each, taken in turns; who begins changes each round."""
    calls = await contenders()
    for call in calls.values():
        assert await call() == 42
        await time_block(call)
    gc.collect()
    gc.freeze()
    names = list(calls)
    samples: dict[str, list[float]] = {name: [] for name in names}
    for round_ in range(ROUNDS):
        first = round_ % len(names)
        for name in names[first:] + names[:first]:
            samples[name].append(await time_block(calls[name]))
    return samples


def main() -> int:
    samples = asyncio.run(measure())
    added = {
        name: statistics.median(a - b for a, b in zip(taken, samples["bare"], strict=True))
        for name, taken in samples.items()
    }
    RESULTS.parent.mkdir(exist_ok=True)
    content = {"question": (__doc__ or "").partition("\n")[0], "added_us": added, "us": samples}
    RESULTS.write_text(json.dumps(content) + "\n")
    print(f"added to a call that succeeds, median of {ROUNDS} blocks of {BLOCK} calls each:")
    for name, microseconds in added.items():
        print(f"  {name:22} {microseconds:7.2f} us")
    return 0 if added["warmkit, async with"] <= LIMIT_US else 1


if __name__ == "__main__":
    sys.exit(main())
