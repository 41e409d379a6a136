"""What does warmkit add to an invocation when every resource is fresh?

A handler with five resources under `@warm_handler`, called as AWS's Python runtime calls it; and what a good engineer writes by
hand: module globals, and one event loop that is kept. The handlers do nothing, so all that is measured is the way there. Another one waits for a turn of the
loop, and so has a deadline: with and without the guard of it, and by hand with and without `asyncio.timeout`.
"""

import asyncio
from typing import Any

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Finding, Row
from benchmarks.harness.run import Run, in_fresh_process
from benchmarks.harness.timing import Call, interleave, time_block
from benchmarks.parts.context import Context
from warmkit import Resource, resource, warm_handler

NOT_SHOWN = "What a runtime adds around the handler, and what the handler itself does: beside a query of a millisecond, all of this is nothing."

BLOCK = 50
WARM, UNGUARDED, BY_HAND = "warmkit", "warmkit, no deadline", "by hand"
TIMEOUT = "by hand, asyncio.timeout"
AGAIN = "warmkit, again"


Samples = dict[str, list[float]]


def make_resource() -> Resource[object]:
    """One with everything that the warm path asks: a probe, a check, limits."""

    async def check(value: object) -> None:
        raise AssertionError("it is fresh, so nobody checks it")

    def alive(value: object) -> bool:
        return True

    return resource(check=check, check_after=60.0, alive=alive)(object)


async def handler(  # noqa: PLR0917  a handler with five resources
    event: dict[str, int],
    context: object,
    db: object,
    s3: object,
    pricing: object,
    trace: object,
    config: object,
) -> int:
    for _ in range(event["turns"]):
        await asyncio.sleep(0)
    return event["id"]


async def by_hand(event: dict[str, int], context: object) -> int:
    assert db and s3 and pricing and trace and config
    for _ in range(event["turns"]):
        await asyncio.sleep(0)
    return event["id"]


async def by_hand_in_time(event: dict[str, int], context: object) -> int:
    async with asyncio.timeout(2.7):
        return await by_hand(event, context)


db, s3, pricing, trace, config = (object() for _ in range(5))


def ask(run: Run) -> Answer:
    taken: dict[int, list[Samples]] = {0: [], 1: []}
    for _ in run.rounds(10, quick=3, doing="a fresh process"):
        for turns, samples in taken.items():
            samples.append(in_fresh_process(trial, turns, run.times(60, quick=20)))
    still = comparison("call", "one invocation with five fresh resources", taken[0])
    waiting = comparison("waiting", "one that waits once", taken[1])
    added = figures.difference(still.row(WARM), still.row(BY_HAND))
    guard = figures.difference(waiting.row(WARM), waiting.row(UNGUARDED))
    timeout = figures.difference(waiting.row(TIMEOUT), waiting.row(BY_HAND))
    return Answer(
        [still, waiting],
        [
            Finding(
                "added",
                "five fresh resources add {} to an invocation, beside a hand-written handler on a kept loop",
                added,
                "us",
                digits=1,
                at_most=10,
                closing=True,
            ),
            Finding("deadline", "where it waits, its deadline adds {} more", guard, "us", digits=1),
            Finding("timeout", "by hand, `asyncio.timeout` adds {}", timeout, "us", digits=1),
        ],
    )


def comparison(name: str, title: str, taken: list[Samples]) -> Comparison:
    rows = [Row(contender, [samples[contender] for samples in taken]) for contender in taken[0]]
    return Comparison(name, title, "us", rows, base=WARM, again=AGAIN)


def trial(turns: int, rounds: int) -> Samples:
    """Returns each contender's samples: the microseconds of one invocation, which waits for so many turns of the loop."""
    event, context, loop = {"id": 1, "turns": turns}, Context(), asyncio.new_event_loop()
    resources: dict[str, Any] = {
        name: make_resource() for name in ("db", "s3", "pricing", "trace", "config")
    }
    warm = warm_handler(**resources)(handler)
    unguarded = warm_handler(deadline_margin=None, **resources)(handler)
    cases: dict[str, Call] = {
        WARM: lambda: warm(event, context),
        UNGUARDED: lambda: unguarded(event, context),
        BY_HAND: lambda: loop.run_until_complete(by_hand(event, context)),
        TIMEOUT: lambda: loop.run_until_complete(by_hand_in_time(event, context)),
        AGAIN: lambda: warm(event, context),
    }
    for call in cases.values():  # cold start, and the interpreter's own warm-up
        time_block(call, 20 * BLOCK)
        assert call() == 1
    samples = interleave(cases, rounds=rounds, block=BLOCK)
    found = warm.environment.statistics.resources
    assert all(item.starts == 1 and item.checks == 0 for item in found.values())
    return samples
