"""What does each style of one and the same function cost its caller, once it is warm?

The function reads a row from PostgreSQL through a circuit breaker, fetches an object from S3, and has a span around both; what
differs is who owns the clients. *naive* connects in the handler, and disconnects. *by hand* is the best that people write: clients in module
globals, on an event loop that is kept; once with asyncpg's pool, and once with a connection and *no pool*, which serves one
invocation at a time. warmkit's is a `@warm_handler`, under AWS's runtime, as the others, and under warmkit's own. And
clients in module globals with `asyncio.run` for each invocation, as tutorials have it, which must fail.

Each style has an environment of the local Lambda, which does not freeze here, and they take turns, one invocation each. A
sample is what the caller waits; it compares every answer in that time. The servers are real (PostgreSQL, and moto's S3 with connections
that are kept open), at the end of a wire that adds 0, 1 and 5 ms to a round trip, and one more to the opening of a connection. In each
round all environments are new. Every second or third invocation of *naive* takes twice as long as the others: what making a client leaves behind sets off
Python's full garbage collection. So an environment of it counts as the mean of its invocations, and is compared with the mean of others.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Count, Finding, Row, counted
from benchmarks.harness.run import Run, turns
from benchmarks.parts.caller import (
    AGAIN,
    BY_HAND,
    NAIVE,
    NO_POOL,
    WARM,
    WARM_RUNTIME,
    Contender,
    wait_for,
)
from benchmarks.parts.orders import Network, Servers, answer
from warmkit.local import LocalLambda

NOT_SHOWN = (
    "TLS, which makes connecting dearer still; a Lambda's own processor, which is slower than most; "
    "and what the freeze between two invocations does to connections, which is another question."
)

ASYNCIO_RUN = Contender("asyncio.run", "asyncio_run")
CONTENDERS = [WARM, AGAIN, WARM_RUNTIME, BY_HAND, NO_POOL, NAIVE]
WIRES_MS = 0, 1, 5
Samples = dict[tuple[int, str], list[list[float]]]
Trips = dict[str, list[float | str]]


def ask(run: Run) -> Answer:
    return asyncio.run(_ask(run))


async def _ask(run: Run) -> Answer:
    wires = WIRES_MS[: run.times(len(WIRES_MS), quick=2)]
    samples: Samples = {(ms, item.name): [] for ms in wires for item in CONTENDERS}
    trips: Trips = {}
    with Servers() as servers, servers.network(0.0) as network:
        told = await fail(network)
        for number in run.rounds(8, quick=3, doing="new environments"):
            async with AsyncExitStack() as stack:
                functions = await serve(network, stack)
                for ms in wires:
                    network.delay(ms / 1000)
                    for name, taken in (await measure(functions, number, run)).items():
                        samples[ms, name].append(taken)
                network.delay(0)
                trips = trips or await count(functions, network)
    return conclude(samples, trips, told, wires)


async def serve(network: Network, stack: AsyncExitStack) -> dict[str, LocalLambda]:
    """Returns a new environment of each, which is warm."""
    network.delay(0)
    functions = {}
    for item in CONTENDERS:
        function = item.serve(network.environment, freeze=False)
        functions[item.name] = await stack.enter_async_context(function)
    await asyncio.gather(*(warm_up(function) for function in functions.values()))
    return functions


async def warm_up(function: LocalLambda) -> None:
    for order in range(5):
        await wait_for(function, order)


async def measure(
    functions: dict[str, LocalLambda], number: int, run: Run
) -> dict[str, list[float]]:
    """Returns the samples of each: of the one that connects, which takes long, half of the others'."""
    samples: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(run.times(30, quick=4)):
        for name in turns(list(functions), 100 * number + turn):
            if name != NAIVE.name or turn % 2 == 0:
                samples[name].append(await wait_for(functions[name], turn))
    return samples


async def count(functions: dict[str, LocalLambda], network: Network) -> Trips:
    """Returns what one invocation of each sends over the wires; each sends the same every time."""
    sent: Trips = {}
    for name, function in functions.items():
        await wait_for(function, 0)  # so that it is warm, and its connections are trusted
        before = network.seen()
        for order in range(5):
            await wait_for(function, order)
        sent[name] = [
            (now - earlier) / 5
            for after, once in zip(network.seen(), before, strict=True)
            for now, earlier in zip(after, once, strict=True)
        ]
    return sent


async def fail(network: Network) -> list[str]:
    """Returns what came of the first three invocations of the style that must fail."""
    async with ASYNCIO_RUN.serve(network.environment, freeze=False, timeout=2) as function:
        told = []
        for order in range(3):
            payload = (await function.invoke({"order": order})).payload
            told.append("right" if payload == answer(order) else payload["errorType"])
    assert told == ["right", "InterfaceError", "Sandbox.Timedout"], told
    return told


def conclude(samples: Samples, trips: Trips, told: list[str], wires: Sequence[int]) -> Answer:
    comparisons = [
        Comparison(
            f"wire_{ms}",
            f"one warm invocation, with {ms} ms on the wire",
            "ms",
            [Row(item.name, samples[ms, item.name], mean=item is NAIVE) for item in CONTENDERS],
            base=WARM.name,
            again=AGAIN.name,
        )
        for ms in wires
    ]
    return Answer(
        comparisons,
        [
            *(_naive(comparison, ms) for comparison, ms in zip(comparisons, wires, strict=True)),
            *(_by_hand(comparison, ms) for comparison, ms in zip(comparisons, wires, strict=True)),
            Finding(
                "no_pool",
                "warmkit takes {} of the time of one connection by hand without a pool, with 1 ms on the wire",
                figures.ratio(comparisons[1].row(WARM.name), comparisons[1].row(NO_POOL.name)),
                at_most=1.1,
            ),
            Finding(
                "round_trips",
                "warmkit adds {} round trips to the query's and the request's own",
                counted(_extra(trips[WARM.name])),
                digits=0,
                at_most=0,
            ),
            Finding(
                "by_hand_round_trips",
                "asyncpg's pool by hand adds {}: it resets the connection after each use",
                counted(_extra(trips[BY_HAND.name])),
                digits=0,
            ),
            Finding(
                "asyncio_run",
                "clients in globals and `asyncio.run` for each call answer {} of 3 invocations; naive is the nearest that works",
                counted(told.count("right")),
                digits=0,
                at_most=1,
            ),
        ],
        [
            Count(
                "sent over the wire by one warm invocation",
                ["connections to PostgreSQL", "round trips", "connections to S3", "round trips"],
                trips,
            ),
            Count(
                "clients in globals, `asyncio.run` for each call",
                ["first invocation", "second", "third"],
                {ASYNCIO_RUN.name: [*told]},
            ),
        ],
    )


def _naive(comparison: Comparison, ms: int) -> Finding:
    return Finding(
        f"naive_{ms}",
        f"connecting in the handler takes {{}} times as long as warmkit, with {ms} ms on the wire",
        figures.ratio(comparison.row(NAIVE.name), comparison.row(WARM.name)),
        digits=1,
        at_least=4,
        closing=ms < 5,
    )


def _by_hand(comparison: Comparison, ms: int) -> Finding:
    return Finding(
        f"by_hand_{ms}",
        f"warmkit takes {{}} of the time of a pool and a client by hand on a kept loop, with {ms} ms on the wire",
        figures.ratio(comparison.row(WARM.name), comparison.row(BY_HAND.name)),
        at_most=1.1 if ms else 1.2,
        closing=ms == 1,
    )


def _extra(sent: list[float | str]) -> float:
    """Returns what an invocation sends over more than one round trip to either server."""
    return sum(float(item) for item in sent) - 2
