"""What does warmkit add to an invocation when every resource is fresh?

A is a handler with five resources under `@warm_handler`, called as AWS's Python runtime calls it. B is what a
good engineer writes by hand: module globals, and one event loop that is kept. Both handlers do nothing, so all
that is measured is the way there. A and B take turns, a block of calls each, in one process; "A against A"
is the same with A on both sides, and shows what the noise alone makes.

    python -m benchmarks.warm_path

Prints medians and writes every sample to benchmarks/results/warm_path.json. Exits with 1 if A costs more than
10 microseconds more than B.
"""

import asyncio
import gc
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from warmkit import Resource, resource, warm_handler

LIMIT_US = 10.0
ROUNDS = 400
BLOCK = 50
RESULTS = Path(__file__).parent / "results" / "warm_path.json"

Call = Callable[[], object]


class Context:
    """As much of the runtime's context as anybody reads."""

    aws_request_id = "8f5b9e6e-6a3c-4d9b-9f0e-2f1d3f0c7a11"

    def get_remaining_time_in_millis(self) -> int:
        return 3000


CONTEXT = Context()
EVENT = {"id": 1}


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
    return event["id"]


resources = {name: make_resource() for name in ("db", "s3", "pricing", "trace", "config")}
warm = warm_handler(**resources)(handler)
without_deadline = warm_handler(deadline_margin=None, **resources)(handler)
loop = asyncio.new_event_loop()
db, s3, pricing, trace, config = (object() for _ in range(5))


async def by_hand(event: dict[str, int], context: object) -> int:
    assert db and s3 and pricing and trace and config
    return event["id"]


def call_warm() -> object:
    return warm(EVENT, CONTEXT)


def call_without_deadline() -> object:
    return without_deadline(EVENT, CONTEXT)


def call_by_hand() -> object:
    return loop.run_until_complete(by_hand(EVENT, CONTEXT))


def time_block(call: Call) -> float:
    """Returns the microseconds of one call, over a block of them."""
    begun = time.perf_counter_ns()
    for _ in range(BLOCK):
        call()
    return (time.perf_counter_ns() - begun) / BLOCK / 1000


def interleave(a: Call, b: Call) -> tuple[list[float], list[float]]:
    """Returns the samples of A and of B, taken in turns; who begins alternates."""
    samples: tuple[list[float], list[float]] = ([], [])
    for round_ in range(ROUNDS):
        first = round_ % 2
        samples[first].append(time_block((a, b)[first]))
        samples[1 - first].append(time_block((a, b)[1 - first]))
    return samples


def main() -> int:
    for call in (
        call_warm,
        call_without_deadline,
        call_by_hand,
    ):  # cold start, and the interpreter's own warm-up
        time_block(call)
        assert call() == 1
    gc.collect()
    gc.freeze()
    warm_us, by_hand_us = interleave(call_warm, call_by_hand)
    guarded_us, unguarded_us = interleave(call_warm, call_without_deadline)
    again_us, once_more_us = interleave(call_warm, call_warm)
    added = [a - b for a, b in zip(warm_us, by_hand_us, strict=True)]
    deadline = [a - b for a, b in zip(guarded_us, unguarded_us, strict=True)]
    noise = [a - b for a, b in zip(again_us, once_more_us, strict=True)]
    figures = {
        "warmkit_us": statistics.median(warm_us),
        "by_hand_us": statistics.median(by_hand_us),
        "added_us": statistics.median(added),
        "deadline_us": statistics.median(deadline),
        "a_against_a_us": statistics.median(noise),
    }
    save(
        figures,
        {
            "warmkit": warm_us,
            "by_hand": by_hand_us,
            "warmkit_guarded": guarded_us,
            "warmkit_unguarded": unguarded_us,
            "a": again_us,
            "a_again": once_more_us,
        },
    )
    report(figures)
    statistics_ = warm.environment.statistics.resources
    assert all(item.starts == 1 and item.checks == 0 for item in statistics_.values())
    return 0 if figures["added_us"] <= LIMIT_US else 1


def save(figures: dict[str, float], samples: dict[str, list[float]]) -> None:
    machine = {
        "python": sys.version,
        "platform": platform.platform(),
        "machine": platform.machine(),
    }
    RESULTS.parent.mkdir(exist_ok=True)
    content: dict[str, Any] = {
        "question": (__doc__ or "").partition("\n")[0],
        "machine": machine,
        "rounds": ROUNDS,
        "calls_per_sample": BLOCK,
        "medians": figures,
        "samples_us_per_call": samples,
    }
    RESULTS.write_text(json.dumps(content) + "\n")


def report(figures: dict[str, float]) -> None:
    print(
        f"an invocation with five fresh resources, median of {ROUNDS} blocks of {BLOCK} calls each:"
    )
    print(f"  warmkit                       {figures['warmkit_us']:7.2f} us")
    print(f"  by hand, on a kept loop       {figures['by_hand_us']:7.2f} us")
    print(f"  added by warmkit              {figures['added_us']:7.2f} us   (at most {LIMIT_US:g})")
    print(f"  of this, the deadline         {figures['deadline_us']:7.2f} us")
    print(f"  A against A (noise)           {figures['a_against_a_us']:7.2f} us")


if __name__ == "__main__":
    sys.exit(main())
