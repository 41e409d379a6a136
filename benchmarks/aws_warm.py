"""What does warmkit add to an invocation that gets an object from S3, when the client is warm?

A is a handler with `s3_client()` under `@warm_handler`, called as AWS's Python runtime calls it. B is what a good
engineer writes by hand: one event loop that is kept, and the client in a module global. Both get the same object
from the same server (moto's, in a process of its own) with the same settings. A and B take turns, call by call, in one
process; "A against A" is the same with A on both sides, and shows what the noise alone makes.

    python -m benchmarks.aws_warm

Prints medians and writes every sample to benchmarks/results/aws_warm.json. Exits with 1 if A takes more than 1.05
of the time of B.
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
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from warmkit import warm_handler
from warmkit.local.s3_server import S3Server
from warmkit.resources import s3_client

LIMIT = 1.05
ROUNDS = 600
BUCKET, KEY, CONTENT = "warm", "key", b"three cups of tea"
EVENT = {"bucket": BUCKET, "key": KEY}
RESULTS = Path(__file__).parent / "results" / "aws_warm.json"

Call = Callable[[], object]


async def get(client: Any, event: dict[str, str]) -> bytes:
    answer = await client.get_object(Bucket=event["bucket"], Key=event["key"])
    async with answer["Body"] as body:
        content: bytes = await body.read()
        return content


@warm_handler(s3=s3_client())
async def warm(event: dict[str, str], context: object, s3: Any) -> bytes:
    return await get(s3, event)


class ByHand:
    """A loop that is kept, and a client on it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._stack = AsyncExitStack()
        config = AioConfig(
            connect_timeout=2,
            read_timeout=10,
            retries={"mode": "standard", "total_max_attempts": 3},
        )
        creation = get_session().create_client("s3", config=config)
        self._client = self._loop.run_until_complete(self._stack.enter_async_context(creation))

    def __call__(self) -> bytes:
        return self._loop.run_until_complete(get(self._client, EVENT))

    def close(self) -> None:
        self._loop.run_until_complete(self._stack.aclose())
        self._loop.close()


def call_warm() -> bytes:
    return warm(EVENT, None)


def time_call(call: Call) -> float:
    """Returns the microseconds of one call."""
    begun = time.perf_counter_ns()
    answer = call()
    taken = (time.perf_counter_ns() - begun) / 1000
    assert answer == CONTENT
    return taken


def interleave(a: Call, b: Call) -> tuple[list[float], list[float]]:
    """Returns the samples of A and of B, taken in turns; who begins alternates."""
    samples: tuple[list[float], list[float]] = ([], [])
    for round_ in range(ROUNDS):
        first = round_ % 2
        samples[first].append(time_call((a, b)[first]))
        samples[1 - first].append(time_call((a, b)[1 - first]))
    return samples


def measure(by_hand: ByHand) -> dict[str, list[float]]:
    for call in (call_warm, by_hand) * 20:  # cold start, and the interpreter's own warm-up
        time_call(call)
    gc.collect()
    gc.freeze()
    warm_us, by_hand_us = interleave(call_warm, by_hand)
    again_us, once_more_us = interleave(call_warm, call_warm)
    return {"warmkit": warm_us, "by_hand": by_hand_us, "a": again_us, "a_again": once_more_us}


def medians(samples: dict[str, list[float]]) -> dict[str, float]:
    pairs = list(zip(samples["warmkit"], samples["by_hand"], strict=True))
    noise = zip(samples["a"], samples["a_again"], strict=True)
    return {
        "warmkit_us": statistics.median(samples["warmkit"]),
        "by_hand_us": statistics.median(samples["by_hand"]),
        "ratio": statistics.median(a / b for a, b in pairs),
        "added_us": statistics.median(a - b for a, b in pairs),
        "a_against_a_us": statistics.median(a - b for a, b in noise),
    }


def main() -> int:
    with S3Server() as server:
        server.put_objects(BUCKET, {KEY: CONTENT})
        os.environ.update(server.environment)
        by_hand = ByHand()
        samples = measure(by_hand)
        by_hand.close()
        assert warm.environment.statistics.resources["s3"].starts == 1
    figures = medians(samples)
    save(figures, samples)
    report(figures)
    return 0 if figures["ratio"] <= LIMIT else 1


def save(figures: dict[str, float], samples: dict[str, list[float]]) -> None:
    content: dict[str, Any] = {
        "question": (__doc__ or "").partition("\n")[0],
        "machine": {"python": sys.version, "platform": platform.platform()},
        "rounds": ROUNDS,
        "medians": figures,
        "samples_us": samples,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(content) + "\n")


def report(figures: dict[str, float]) -> None:
    print(f"an invocation with a GetObject on a warm client, median of {ROUNDS} calls each:")
    print(f"  warmkit                       {figures['warmkit_us']:9.1f} us")
    print(f"  by hand, on a kept loop       {figures['by_hand_us']:9.1f} us")
    print(f"  added by warmkit              {figures['added_us']:9.1f} us")
    print(f"  ratio                         {figures['ratio']:9.3f}      (at most {LIMIT})")
    print(f"  A against A (noise)           {figures['a_against_a_us']:9.1f} us")


if __name__ == "__main__":
    sys.exit(main())
