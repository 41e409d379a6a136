"""What does a closed circuit breaker add to a call that succeeds?

The call is an `await` of a coroutine that does nothing. Around it: `async with breaker:` and `breaker.call` of warmkit; the counting
that a good engineer writes by hand, right as long as nothing is concurrent; purgatory; aiobreaker. pybreaker is not among them:
around an `async def` it counts nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiobreaker
import purgatory

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Finding, Row
from benchmarks.harness.run import Run, in_fresh_process
from benchmarks.harness.timing import interleave
from warmkit.resources import CircuitBreaker

NOT_SHOWN = "What a breaker does right or wrong when calls are concurrent, fail or are cancelled: a table in docs/explanation/breakers.md does."

CALLS = 100
BLOCK, CALL, AGAIN = "warmkit, async with", "warmkit, call", "warmkit, again"
BARE, BY_HAND = "no breaker", "by hand"


def ask(run: Run) -> Answer:
    taken = [in_fresh_process(trial, run.times(80, quick=30)) for _ in run.rounds(10, quick=3)]
    peers = ("purgatory", "aiobreaker")
    rows = [Row(name, [item[name] for item in taken], peer=name in peers) for name in taken[0]]
    comparison = Comparison(
        "call", "one call through a closed circuit", "us", rows, base=BLOCK, again=AGAIN
    )
    ours, bare = comparison.row(BLOCK), comparison.row(BARE)
    by_hand = figures.difference(ours, comparison.row(BY_HAND))
    return Answer(
        [comparison],
        [
            Finding(
                "added",
                "a closed circuit adds {} to a call",
                figures.difference(ours, bare),
                "us",
                at_most=5,
            ),
            Finding("by_hand", "that is {} more than the counting by hand", by_hand, "us"),
            *(
                Finding(
                    peer,
                    f"a call through {peer} takes {{}} times as long",
                    figures.ratio(comparison.row(peer), ours),
                )
                for peer in peers
            ),
        ],
    )


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


async def contenders() -> dict[str, Callable[[], Awaitable[int]]]:
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
        BLOCK: by_block,
        CALL: by_call,
        BARE: service,
        BY_HAND: ByHand().call,
        "purgatory": by_purgatory,
        "aiobreaker": by_aiobreaker,
        AGAIN: by_block,
    }


async def repeat(call: Callable[[], Awaitable[int]]) -> None:
    for _ in range(CALLS):
        assert await call() == 42


def trial(rounds: int) -> dict[str, list[float]]:
    loop = asyncio.new_event_loop()
    cases = {
        name: partial(lambda call: loop.run_until_complete(repeat(call)), call)
        for name, call in loop.run_until_complete(contenders()).items()
    }
    for case in list(cases.values()) * 5:
        case()
    return interleave(cases, rounds=rounds, block=1, calls=CALLS)
