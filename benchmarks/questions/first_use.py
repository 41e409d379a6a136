"""How near does a first invocation come to the least time that its resources can take to start?

Graphs of resources whose start waits 5 to 20 ms, and then has what it needs of others: a chain, a diamond, 30 that need nothing, and
graphs drawn at random. What is measured is the first invocation of a new environment in a warm process, divided by the graph's critical path,
the longest way through it. By hand: a task for each, which awaits the tasks of those it needs (the least there can be); one
`asyncio.gather` for each level of the graph, the best that people usually write; and one after the other. Then ten invocations at once as the
first use of all. Every value is asked what it was built on. Waits end up to a millisecond late, as the kernel is asked in whole ones.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from statistics import fmean, median
from typing import Any, NamedTuple, TypedDict

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Finding, Row, counted
from benchmarks.harness.run import Run, in_fresh_process, turns
from benchmarks.parts import graphs
from benchmarks.parts.graphs import Graph
from warmkit import Environment, Resource, WarmHandler, resource, warm_handler

NOT_SHOWN = (
    "Starts that compute rather than wait, such as imports and TLS handshakes: they do not run side by side. What is imported and run "
    "for the first time in a fresh process."
)

WARM, TEN = "warmkit", "warmkit, ten at once"
TASKS, AGAIN = "by hand, a task each", "by hand, a task each, again"
LEVELS, IN_TURN = "by hand, in levels", "by hand, one after the other"

GRAPHS = {
    "chain": ("a chain of 10", graphs.chain(graphs.durations(10, seed=1))),
    "diamond": ("a diamond", graphs.diamond(graphs.durations(4, seed=2))),
    "wide": ("30 that need nothing", graphs.wide(graphs.durations(30, seed=3))),
    "random": (
        "20 at random",
        graphs.scattered(graphs.durations(20, seed=4), most=2, seed=4),
    ),
    "dense": (
        "20 at random, of many needs",
        graphs.scattered(graphs.durations(20, seed=5), most=5, seed=5),
    ),
}

Value = frozenset[str]
"""What stands for a started resource: its name, and those of all that it was built on."""

Case = Callable[[], Awaitable[float]]
"""Starts a whole graph, and returns the seconds that took."""


class Taken(TypedDict):
    """What a process measured.

    Attributes:
        seconds: Of each graph, each case's samples.
        starts: The most that any resource was started by ten invocations at once.
    """

    seconds: dict[str, dict[str, list[float]]]
    starts: int


def ask(run: Run) -> Answer:
    names = [name for name in GRAPHS if not (run.quick and name == "dense")]
    taken = [
        in_fresh_process(trial, names, run.times(2, quick=1))
        for _ in run.rounds(10, quick=3, doing="a fresh process")
    ]
    comparisons = {name: compare(name, [of["seconds"][name] for of in taken]) for name in names}
    starts = max(of["starts"] for of in taken)
    return Answer(list(comparisons.values()), find(comparisons, starts))


def compare(name: str, taken: list[dict[str, list[float]]]) -> Comparison:
    title, graph = GRAPHS[name]
    least = graphs.critical_path(graph)
    rows = [
        Row(case, [[seconds / least for seconds in process[case]] for process in taken])
        for case in taken[0]
    ]
    return Comparison(
        name,
        f"first use of {title}, over the critical path of {1000 * least:.0f} ms",
        "x",
        rows,
        base=TASKS,
        again=AGAIN,
    )


def find(comparisons: Mapping[str, Comparison], starts: int) -> list[Finding]:
    over = [
        Finding(
            name,
            f"{GRAPHS[name][0]}: the first invocation takes {{}} times the critical path",
            figures.median(comparison.row(WARM)),
            at_most=2,
        )
        for name, comparison in comparisons.items()
    ]
    return [
        *over,
        Finding(
            "by_hand",
            "mean of the graphs: a first invocation takes {} times what a task for each resource takes, written by hand",
            figures.median_of(mean_ratios(list(comparisons.values()))),
            at_most=1.25,
            closing=True,
        ),
        Finding(
            "levels",
            "20 at random: started level by level, by hand, they take {} times the critical path",
            figures.median(comparisons["random"].row(LEVELS)),
        ),
        Finding(
            "shared",
            "ten invocations at once, as the first use, start a resource {} time",
            counted(starts),
            digits=0,
            at_most=1,
            at_least=1,
        ),
    ]


def mean_ratios(comparisons: Sequence[Comparison]) -> list[float]:
    """Returns each process's mean of how many times the base's warmkit's median is."""
    ratios = [
        [median(ours) / median(theirs) for ours, theirs in zip(*pair, strict=True)]
        for pair in ((of.row(WARM).processes, of.row(TASKS).processes) for of in comparisons)
    ]
    return [fmean(process) for process in zip(*ratios, strict=True)]


def trial(names: list[str], rounds: int) -> Taken:
    return asyncio.run(measure(names, rounds))


async def measure(names: list[str], rounds: int) -> Taken:
    for case in cases(graphs.diamond([0.001] * 4)).values():  # the interpreter's own warm-up
        await case()
    gc.collect()
    gc.freeze()  # else what the suite itself has imported is searched for garbage in the middle of a sample
    return {
        "seconds": {name: await take_turns(GRAPHS[name][1], rounds) for name in names},
        "starts": (await use_first(GRAPHS["random"][1], 10)).starts,
    }


async def take_turns(graph: Graph, rounds: int) -> dict[str, list[float]]:
    of = cases(graph)
    taken: dict[str, list[float]] = {case: [] for case in of}
    for number in range(rounds):
        for case in turns(list(of), number):
            taken[case].append(await of[case]())
    return taken


def cases(graph: Graph) -> dict[str, Case]:
    return {
        WARM: lambda: timed_first_use(graph, 1),
        TEN: lambda: timed_first_use(graph, 10),
        TASKS: lambda: timed(graph, a_task_each),
        LEVELS: lambda: timed(graph, in_levels),
        IN_TURN: lambda: timed(graph, in_turn),
        AGAIN: lambda: timed(graph, a_task_each),
    }


async def start(graph: Graph, name: str, needs: Mapping[str, Value]) -> Value:
    assert needs.keys() == set(graph.needs[name])
    await asyncio.sleep(graph.seconds[name])
    return frozenset({name}).union(*needs.values())


# -- warmkit


def declare(graph: Graph) -> WarmHandler[Any]:
    made: dict[str, Any] = {}
    for name, needs in graph.needs.items():
        made[name] = declare_one(graph, name, {need: made[need] for need in needs})

    @warm_handler(**made)
    async def handler(event: object, **resources: Value) -> dict[str, Value]:
        return resources

    return handler


def declare_one(graph: Graph, name: str, needs: Mapping[str, Any]) -> Resource[Value]:
    async def factory(**values: Value) -> Value:
        return await start(graph, name, values)

    declared: Resource[Value] = resource(**needs)(factory)
    return declared


class FirstUse(NamedTuple):
    """How a first use went.

    Attributes:
        seconds: How long it took.
        starts: The most that any resource was started.
    """

    seconds: float
    starts: int


async def use_first(graph: Graph, invocations: int) -> FirstUse:
    """Invokes a handler so many times at once, in a new environment."""
    handler = declare(graph)
    async with Environment() as environment:
        begun = time.perf_counter()
        answers = await asyncio.gather(*(handler.invoke(None) for _ in range(invocations)))
        ended = time.perf_counter()
        found = environment.statistics.resources
    for answer in answers:
        check(graph, answer)
    assert len(found) == len(graph.needs)
    return FirstUse(ended - begun, max(item.starts for item in found.values()))


async def timed_first_use(graph: Graph, invocations: int) -> float:
    return (await use_first(graph, invocations)).seconds


# -- by hand


async def timed(graph: Graph, by_hand: Callable[[Graph], Awaitable[dict[str, Value]]]) -> float:
    begun = time.perf_counter()
    values = await by_hand(graph)
    ended = time.perf_counter()
    check(graph, values)
    return ended - begun


async def a_task_each(graph: Graph) -> dict[str, Value]:
    tasks: dict[str, asyncio.Task[Value]] = {}

    async def when_ready(name: str) -> Value:
        return await start(graph, name, {need: await tasks[need] for need in graph.needs[name]})

    for name in graph.needs:
        tasks[name] = asyncio.create_task(when_ready(name))
    return {name: await task for name, task in tasks.items()}


async def in_levels(graph: Graph) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for level in graphs.levels(graph):
        started = await asyncio.gather(*(start_on(graph, name, values) for name in level))
        values.update(zip(level, started, strict=True))
    return values


async def in_turn(graph: Graph) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for name in graph.needs:
        values[name] = await start_on(graph, name, values)
    return values


async def start_on(graph: Graph, name: str, values: Mapping[str, Value]) -> Value:
    return await start(graph, name, {need: values[need] for need in graph.needs[name]})


def check(graph: Graph, values: Mapping[str, Value]) -> None:
    """Asserts that everything was started, and each built on all that it needs."""
    assert values.keys() == graph.needs.keys()
    for name, needs in graph.needs.items():
        assert values[name] == frozenset({name}).union(*(values[need] for need in needs))
