"""How long does a caller wait for a warm function, when callers come one after the other, and when they come as they please?

The function reads a row from PostgreSQL through a circuit breaker and fetches an object from S3, each a millisecond away. It runs in the local Lambda,
whose environments stand still between invocations as Lambda's do, and in one that never freezes. Every answer is checked.

*Closed*: the next invocation comes as soon as the last one is answered. *Open*: they come at random (Poisson), at a rate that keeps one
environment busy for a quarter of the time; four are warm, for those that come at the same moment. A wait begins when an invocation
is due, and not when somebody has time to send it. All contenders meet the same arrivals. The environments of a full run are made
anew three times, those of a quick run are the same throughout.

*Growing*, in a full run only: from one warm environment on, at a rate that keeps more than one busy. As the two cores of a small machine
are slow to start many, the servers are 100 ms away here: invocations wait more than they compute. It still shows
the machine's starts more than Lambda's.
"""

import asyncio
import statistics
from contextlib import AsyncExitStack

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Count, Finding, Row
from benchmarks.harness.run import Run, turns
from benchmarks.parts.caller import (
    AGAIN,
    BY_HAND,
    WARM,
    WARM_RUNTIME,
    closed_pattern,
    open_pattern,
    poisson,
    wait_for,
)
from benchmarks.parts.orders import Network, Servers
from warmkit.local import LocalLambda

NOT_SHOWN = (
    "A fleet on more than one machine: here all environments, both servers and the caller share its cores. "
    "And TLS, which only makes what is opened anew dearer."
)

AWAKE = "warmkit, never frozen"
CONTENDERS = {item.name: item for item in (WARM, AGAIN, WARM_RUNTIME, BY_HAND)} | {AWAKE: WARM}
GROWING = [WARM, BY_HAND]
NEAR_S, FAR_S = 0.001, 0.1
ENVIRONMENTS = 4
SHARE = 0.25
PIECE = 5
GROWING_RATE, GROWING_COUNT = 5.0, 20
Samples = dict[str, list[list[float]]]


def ask(run: Run) -> Answer:
    return asyncio.run(_ask(run))


async def _ask(run: Run) -> Answer:
    closed: Samples = {name: [] for name in CONTENDERS}
    opened: Samples = {name: [] for name in CONTENDERS}
    with Servers() as servers, servers.network(NEAR_S) as network:
        for number in run.rounds(3, quick=1, doing="new environments"):
            async with AsyncExitStack() as stack:
                functions = await serve(network, stack, run.times(ENVIRONMENTS, quick=2))
                for turn in range(3):
                    await measure(functions, 3 * number + turn, run, closed, opened)
        grown = None if run.quick else await grow(network, run)
    return conclude(closed, opened, grown)


async def serve(
    network: Network, stack: AsyncExitStack, environments: int
) -> dict[str, LocalLambda]:
    """Returns each contender with its environments, which are warm."""
    functions = {}
    for name, item in CONTENDERS.items():
        function = item.serve(network.environment, freeze=name != AWAKE)
        functions[name] = await stack.enter_async_context(function)
        await warm_up(function, environments)
    return functions


async def warm_up(function: LocalLambda, environments: int) -> None:
    while len(function.environments) < environments:
        await asyncio.gather(*(wait_for(function, order) for order in range(environments)))
    await closed_pattern(function, 5)


async def measure(
    functions: dict[str, LocalLambda], number: int, run: Run, closed: Samples, opened: Samples
) -> None:
    """Adds a sample list to each: of pieces in turns, so that a bad moment of the machine is one for all."""
    for samples in closed, opened:
        for taken in samples.values():
            taken.append([])
    pieces = [100 * number + piece for piece in range(run.times(4, quick=2))]
    for piece in pieces:
        for name in turns(list(functions), piece):
            closed[name][-1] += await closed_pattern(functions[name], PIECE)
    rate = SHARE * 1000 / statistics.median(closed[BY_HAND.name][-1])
    for piece in pieces:
        arrivals = poisson(rate, PIECE, seed=piece)
        for name in turns(list(functions), piece):
            opened[name][-1] += await open_pattern(functions[name], arrivals)


class Grown:
    """What came of pools that had to grow.

    Attributes:
        waits: Of each contender, by name.
        environments: How many each had at the end.
    """

    def __init__(self) -> None:
        self.waits: Samples = {item.name: [] for item in GROWING}
        self.environments: dict[str, list[float]] = {item.name: [] for item in GROWING}


async def grow(network: Network, run: Run) -> Grown:
    grown = Grown()
    network.delay(FAR_S)
    for number in run.rounds(3, quick=3, doing="a pool that grows"):
        arrivals = poisson(GROWING_RATE, GROWING_COUNT, seed=number)
        for item in turns(GROWING, number):
            async with item.serve(network.environment, freeze=True) as function:
                await warm_up(function, 1)
                grown.waits[item.name].append(await open_pattern(function, arrivals))
                grown.environments[item.name].append(len(function.environments))
    return grown


def conclude(closed: Samples, opened: Samples, grown: Grown | None) -> Answer:
    comparisons = [
        _comparison("closed", "a wait, each caller after the other", closed),
        _comparison(
            "open", "a wait, callers at random, a quarter of what one environment can do", opened
        ),
    ]
    findings = [
        _by_hand(comparisons[0], "when callers come one after the other"),
        _by_hand(comparisons[1], "when they come as they please"),
        _freeze(comparisons[1]),
    ]
    counts = []
    if grown:
        comparisons.append(
            Comparison(
                "growing",
                f"a wait, {GROWING_RATE:g} callers a second at random, from one environment on",
                "ms",
                [Row(name, samples) for name, samples in grown.waits.items()],
                base=WARM.name,
            )
        )
        counts.append(
            Count(
                "environments at the end, from one on",
                [f"run {number}" for number in (1, 2, 3)],
                {name: [*ends] for name, ends in grown.environments.items()},
            )
        )
    return Answer(comparisons, findings, counts)


def _comparison(name: str, title: str, samples: Samples) -> Comparison:
    rows = [Row(row, taken) for row, taken in samples.items()]
    return Comparison(name, title, "ms", rows, base=WARM.name, again=AGAIN.name)


def _by_hand(comparison: Comparison, when: str) -> Finding:
    return Finding(
        f"by_hand_{comparison.name}",
        f"a caller of warmkit waits {{}} of the time that one of a pool and a client by hand on a kept loop does, {when}",
        figures.ratio(comparison.row(WARM.name), comparison.row(BY_HAND.name)),
        at_most=1.25,
    )


def _freeze(comparison: Comparison) -> Finding:
    return Finding(
        "freeze",
        "the local Lambda's freeze and thaw are {} of a wait",
        figures.difference(comparison.row(WARM.name), comparison.row(AWAKE)),
        "ms",
    )
