"""What does warmkit add to an invocation that gets an object from S3, when the client is warm?

A handler with `s3_client()` under `@warm_handler`, called as AWS's Python runtime calls it; and what a good
engineer writes by hand: one event loop that is kept, and the client in a module global. Both get the same object
from the same server (moto's, in a process of its own) with the same settings, and check it.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from typing import Any

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Finding, Row
from benchmarks.harness.run import Run, in_fresh_process
from benchmarks.harness.timing import interleave
from warmkit import warm_handler
from warmkit.local.s3_server import S3Server
from warmkit.resources import s3_client

NOT_SHOWN = "Amazon's S3: this server is on the same machine, written in Python, and most of the time that is measured is its own."

BUCKET, KEY, CONTENT = "warm", "key", b"three cups of tea"
EVENT = {"bucket": BUCKET, "key": KEY}
WARM, BY_HAND, AGAIN = "warmkit", "by hand", "warmkit, again"


def ask(run: Run) -> Answer:
    with S3Server() as server:
        server.put_objects(BUCKET, {KEY: CONTENT})
        env = {**os.environ, **server.environment}
        taken = [
            in_fresh_process(trial, run.times(100, quick=30), env=env)
            for _ in run.rounds(10, quick=3)
        ]
    rows = [Row(name, [samples[name] for samples in taken]) for name in taken[0]]
    comparison = Comparison(
        "get", "an invocation with a GetObject on a warm client", "us", rows, BY_HAND
    )
    return Answer(
        [comparison],
        [
            Finding(
                "ratio",
                "a GetObject on a warm client takes {} times that of a client by hand",
                figures.ratio(comparison.row(WARM), comparison.row(BY_HAND)),
                at_most=1.05,
            )
        ],
    )


async def get(client: Any, event: dict[str, str]) -> bytes:
    answer = await client.get_object(Bucket=event["bucket"], Key=event["key"])
    async with answer["Body"] as body:
        content: bytes = await body.read()
        return content


class ByHand:
    """A loop that is kept, and a client on it."""

    def __init__(self) -> None:
        from aiobotocore.config import AioConfig
        from aiobotocore.session import get_session

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


def trial(rounds: int) -> dict[str, list[float]]:
    @warm_handler(s3=s3_client())
    async def warm(event: dict[str, str], context: object, s3: Any) -> bytes:
        return await get(s3, event)

    by_hand = ByHand()

    def call_warm() -> None:
        assert warm(EVENT, None) == CONTENT

    def call_by_hand() -> None:
        assert by_hand() == CONTENT

    cases = {WARM: call_warm, BY_HAND: call_by_hand, AGAIN: call_warm}
    for call in list(cases.values()) * 20:
        call()
    samples = interleave(cases, rounds=rounds, block=1)
    assert warm.environment.statistics.resources["s3"].starts == 1
    warm.close()
    by_hand.close()
    return samples
