"""A caller of the function in `functions/orders`, in the local Lambda: how long it waits for an answer, which must be right.

The local Lambda runs in the caller's own process, so that nothing lies between them but function calls: it is what adds the
least to an invocation beside a Runtime API that is nothing else, and the same to every contender.
"""

import asyncio
import json
import random
import time
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Literal, NamedTuple

from benchmarks.parts import orders
from warmkit.local import LocalLambda


class Contender(NamedTuple):
    """A style of the function, under a runtime."""

    name: str
    style: str
    runtime: Literal["aws", "warmkit"] = "aws"

    def serve(self, env: Mapping[str, str], *, freeze: bool, timeout: float = 10) -> LocalLambda:
        """Returns a local Lambda with it, which has no environment yet."""
        return LocalLambda(
            f"{self.style}.handler",
            task_root=orders.ROOT,
            runtime=self.runtime,
            env=env,
            freeze=freeze,
            timeout=timeout,
        )


WARM = Contender("warmkit", "warm")
AGAIN = Contender("warmkit, again", "warm")
WARM_RUNTIME = Contender("warmkit, on warmkit's runtime", "warm", "warmkit")
BY_HAND = Contender("by hand", "by_hand")
NO_POOL = Contender("by hand, no pool", "by_hand_no_pool")
NAIVE = Contender("naive", "naive")


async def wait_for(function: LocalLambda, order: int, since: float | None = None) -> float:
    """Invokes a function, and returns when its environment is done.

    Args:
        function: It is invoked.
        order: What it is asked for.
        since: The moment from which the caller waits, if it is not this one.

    Returns:
        The milliseconds that the caller waited for the whole answer.
    """
    begun = time.perf_counter() if since is None else since
    event = json.dumps({"order": order}).encode()
    course = await function.fleet.invoke(function.invocation(event))
    body = await (await course.replied).read()
    answer = json.loads(body)
    taken = time.perf_counter() - begun
    assert answer == orders.answer(order), answer
    await course.reported
    return taken * 1000


async def closed_pattern(function: LocalLambda, count: int) -> list[float]:
    """Invokes a function again as soon as it has answered; returns the milliseconds of each wait."""
    return [await wait_for(function, order) for order in range(count)]


async def open_pattern(function: LocalLambda, arrivals: Sequence[float]) -> list[float]:
    """Invokes a function when it is time to, whatever became of the invocations before.

    Returns:
        The milliseconds from the moment at which each was to arrive to its answer: a caller that is late does not
        make them fewer.
    """
    begun, waits = time.perf_counter(), []
    for order, arrival in enumerate(arrivals):
        due = begun + arrival
        await _until(due)
        waits.append(asyncio.create_task(wait_for(function, order, since=due)))
    return list(await asyncio.gather(*waits))


def poisson(rate: float, count: int, *, seed: int) -> list[float]:
    """Returns the seconds at which independent callers arrive, of whom there are `rate` a second on average."""
    chance = random.Random(seed)
    return list(accumulate(chance.expovariate(rate) for _ in range(count)))


async def _until(due: float) -> None:
    # A sleep ends up to a millisecond late: it is cut short, and the rest is spent on turns of the loop.
    await asyncio.sleep(max(0.0, due - 0.002 - time.perf_counter()))
    while time.perf_counter() < due:  # noqa: ASYNC110  nothing happens that could be waited for
        await asyncio.sleep(0)
