"""What do many invocations at once cost, in one process and in one process for each?

AWS's emulator in its multi-concurrency mode (AWS_LAMBDA_MAX_CONCURRENCY = N) with a handler that awaits PostgreSQL: under
warmkit's runtime; the same handler, unchanged, under AWS's (awslambdaric, unmodified: N processes, each with a loop that
is kept and a pool of one connection); and under AWS's what a good engineer writes by hand, a kept loop and a connection in a
global. N invocations are always in flight, and each answer must be that of its question. One load is a query that takes
20 ms, the other one that takes none. In each round all contenders start, one after the other; then they take turns of half a
second.

And, at N = 16, a handler that computes for 10 ms and awaits nothing, for which one process is not meant. It wants an idle machine: where
others compete for the cores, sixteen processes are given more of them than one.
"""

import json
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import psutil

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Count, Finding, Row, counted
from benchmarks.harness.run import ROOT, Run, turns
from benchmarks.parts.lambdas import INVOKE, ManagedInstance
from benchmarks.parts.load import Load, load
from warmkit.local.postgres_server import PostgresServer

NOT_SHOWN = "More cores than two, of which sixteen processes make more than one process does; a handler that computes, but for the last table."

JUDGED = 16
OTHERS = (1, 4, 32)
TURN_S = 0.5
FUNCTIONS = ROOT / "benchmarks" / "functions"

Event = dict[str, Any]


class Contender(NamedTuple):
    runtime: str
    handler: str


OURS, SAME, BY_HAND = (
    "warmkit's runtime",
    "AWS's runtime, the same handler",
    "AWS's runtime, by hand",
)
WAITING = {
    OURS: Contender("warmkit.runtime", "waiting.handler"),
    SAME: Contender("awslambdaric", "waiting.handler"),
    BY_HAND: Contender("awslambdaric", "by_hand.handler"),
}
SLOW, QUICK = "queries of 20 ms", "quick queries"
WAITS: dict[str, Event] = {SLOW: {"seconds": 0.02}, QUICK: {"seconds": 0}}
COMPUTES = "computing for 10 ms"
COMPUTING = {
    "warmkit's runtime, async def": Contender("warmkit.runtime", "computing.asynchronous"),
    "warmkit's runtime, def": Contender("warmkit.runtime", "computing.handler"),
    "AWS's runtime": Contender("awslambdaric", "computing.handler"),
}


class Sample(NamedTuple):
    """What one environment did.

    Attributes:
        first_s: Seconds from the start of the emulator to the first answer.
        memory_mb: Proportional set size of the runtime's processes, when all have served.
        processes: How many they are.
        connections: To the database.
        loads: By the name of the load: one for each turn.
    """

    first_s: float
    memory_mb: float
    processes: int
    connections: int
    loads: dict[str, list[Load]]


Samples = dict[str, list[Sample]]


def ask(run: Run) -> Answer:
    with PostgresServer(max_connections=200) as server:
        contenders = [OURS, SAME] if run.quick else list(WAITING)
        judged: Samples = {name: [] for name in contenders}
        for number in run.rounds(5, quick=3, doing=f"{JUDGED} at once"):
            order = {name: WAITING[name] for name in turns(contenders, number)}
            found = round_of(order, JUDGED, WAITS, server, run.times(3, quick=1))
            for name, sample in found.items():
                judged[name].append(sample)
        counts = [table(f"{JUDGED} at once", judged, list(WAITS))]
        for number in run.rounds(len(OTHERS), quick=0, doing="at once"):
            once = round_of(WAITING, OTHERS[number], WAITS, server, 2)
            taken = {name: [sample] for name, sample in once.items()}
            counts.append(table(f"{OTHERS[number]} at once", taken, list(WAITS)))
        for _ in run.rounds(1, quick=0, doing="a handler that computes"):
            computing = {COMPUTES: {"steps": steps_for(10)}}
            once = round_of(COMPUTING, JUDGED, computing, server, 3)
            taken = {name: [sample] for name, sample in once.items()}
            counts.append(table(f"{JUDGED} at once that compute", taken, [COMPUTES]))
    comparisons = {item.name: item for item in compare(judged)}
    return Answer(list(comparisons.values()), list(findings(judged, comparisons)), counts)


def compare(taken: Samples) -> Iterator[Comparison]:
    """Yields a comparison for each thing that is measured, of the environments that are judged."""

    def rows(of: Any) -> list[Row]:
        return [Row(name, [of(sample) for sample in samples]) for name, samples in taken.items()]

    at_once = f"{JUDGED} at once"
    yield Comparison("memory", f"memory, {at_once}", "MB", rows(lambda s: [s.memory_mb]), OURS)
    yield Comparison(
        "first",
        f"from the start to the first answer, {at_once}",
        "s",
        rows(lambda s: [s.first_s]),
        OURS,
    )
    for name, which in (("slow", SLOW), ("quick", QUICK)):
        yield Comparison(
            f"{name}_rate",
            f"{which} in a second, {at_once}",
            "/s",
            rows(lambda s: [turn.rate for turn in s.loads[which]]),  # noqa: B023  called at once
            OURS,
            better="more",
        )
        yield Comparison(
            f"{name}_latency",
            f"latency of {which}, {at_once}",
            "ms",
            rows(lambda s: [ms for turn in s.loads[which] for ms in turn.latencies_ms]),  # noqa: B023
            OURS,
        )


def findings(taken: Samples, comparisons: dict[str, Comparison]) -> Iterator[Finding]:
    by_hand = BY_HAND in taken  # not in a hurry

    def beside(name: str, other: str) -> Any:
        comparison = comparisons[name]
        return figures.ratio(comparison.row(OURS), comparison.row(other))

    yield Finding(
        "memory",
        "sixteen at once in one process take {} of the memory of AWS's sixteen processes",
        beside("memory", SAME),
        digits=3,
        at_most=1 / 8,
        closing=True,
    )
    if by_hand:
        yield Finding(
            "memory_by_hand",
            "{} of the memory of what is written by hand for AWS's",
            beside("memory", BY_HAND),
            digits=3,
            at_most=1 / 8,
        )
    yield Finding(
        "first",
        "the first answer comes in {} of the time",
        beside("first", SAME),
        at_most=1 / 3,
        closing=True,
    )
    if by_hand:
        yield Finding("first_by_hand", "by hand: in {} of it", beside("first", BY_HAND))
    yield Finding(
        "connections",
        "they have {} connections to the database, in one pool",
        counted(max(sample.connections for sample in taken[OURS])),
        digits=0,
        at_most=JUDGED,
    )
    for name, which in (("slow", SLOW), ("quick", QUICK)):
        yield Finding(
            name,
            f"{which}: {{}} times as many in a second as the same handler under AWS's",
            beside(f"{name}_rate", SAME),
            at_least=1,
        )
        if by_hand:
            yield Finding(
                f"{name}_by_hand",
                f"{which}: {{}} times as many as by hand",
                beside(f"{name}_rate", BY_HAND),
            )


def table(title: str, taken: Samples, loads: list[str]) -> Count:
    heads = ["memory, MB", "processes", "connections", "first answer, s"]
    for which in loads:
        heads += [f"{which}: /s", "p99, ms"]
    return Count(title, heads, {name: line(samples, loads) for name, samples in taken.items()})


def line(samples: list[Sample], loads: list[str]) -> list[float | str]:
    cells = [
        round(statistics.median(values), 2)
        for values in zip(*(sample[1:4] for sample in samples), strict=True)
    ]
    cells.append(round(statistics.median(sample.first_s for sample in samples), 2))
    for which in loads:
        served = [turn for sample in samples for turn in sample.loads[which]]
        latencies = [ms for turn in served for ms in turn.latencies_ms]
        cells.append(round(statistics.median(turn.rate for turn in served)))
        cells.append(round(statistics.quantiles(latencies, n=100)[-1], 1))
    return [*cells]


class Crew:
    """A contender's environment, and what it does."""

    def __init__(self, instance: ManagedInstance, concurrency: int, database_port: int) -> None:
        self._instance = instance
        self._concurrency = concurrency
        self._database_port = database_port

    def serve(self, event: Event, seconds: float = TURN_S) -> Load:
        address, in_flight = self._instance.address, self._concurrency
        return load(address, INVOKE, in_flight=in_flight, seconds=seconds, event=event)

    def answer_first(self, event: Event) -> float:
        """Returns the seconds from the start to the first answer."""
        answer = self._instance.patient_exchange(json.dumps({**event, "n": 7}).encode())
        seconds = time.perf_counter() - self._instance.began
        assert answer.content == 14, (answer, self._instance.log)
        return seconds

    def warm_up(self, event: Event) -> None:
        """Serves until every process does: none is to start while others are measured."""
        for _ in range(60):
            self.serve(event)
            idle = [p for p in self.processes() if sum(p.cpu_times()[:2]) < 0.05]
            if len(idle) <= 1:  # AWS's first process only waits for the others
                return
        raise AssertionError(f"not all processes serve: {self._instance.log}")

    def processes(self) -> list[psutil.Process]:
        """Returns the runtime's processes, and none of the emulator's."""
        tree = psutil.Process(self._instance.pid).children(recursive=True)
        return [p for p in tree if {"warmkit.runtime", "awslambdaric"} & set(p.cmdline())]

    def sample(self, first_s: float, loads: dict[str, list[Load]]) -> Sample:
        processes = self.processes()
        memory = sum(process.memory_full_info().pss for process in processes) / 2**20
        connections = [c.raddr for p in processes for c in p.net_connections() if c.raddr]
        to_database = sum(address.port == self._database_port for address in connections)
        return Sample(first_s, memory, len(processes), to_database, loads)


@contextmanager
def environment(
    contender: Contender, concurrency: int, server: PostgresServer
) -> Iterator[ManagedInstance]:
    instance = ManagedInstance(
        contender.handler,
        concurrency=concurrency,
        task_root=FUNCTIONS,
        runtime=contender.runtime,
        env={"DATABASE_URL": server.dsn, "LOG_LEVEL": "error"},
    )
    with instance:
        yield instance


def round_of(
    contenders: dict[str, Contender],
    concurrency: int,
    events: dict[str, Event],
    server: PostgresServer,
    times: int,
) -> dict[str, Sample]:
    """Starts all contenders, lets them take turns, and ends them."""
    loads: dict[str, dict[str, list[Load]]] = {c: {name: [] for name in events} for c in contenders}
    first_s: dict[str, float] = {}
    crews: dict[str, Crew] = {}
    with ExitStack() as stack:
        for name, contender in contenders.items():
            instance = stack.enter_context(environment(contender, concurrency, server))
            crews[name] = Crew(instance, concurrency, server.port)
            first_s[name] = crews[name].answer_first(next(iter(events.values())))
            crews[name].warm_up(next(iter(events.values())))
        for number in range(times):
            for load_name, event in events.items():
                for name in turns(list(crews), number):
                    loads[name][load_name].append(crews[name].serve(event))
        return {name: crew.sample(first_s[name], loads[name]) for name, crew in crews.items()}


def steps_for(milliseconds: float) -> int:
    """Returns how often a loop must turn here to take so long."""
    sys.path.append(str(FUNCTIONS))
    from computing import compute  # type: ignore[import-not-found]  # of the function's folder

    steps, times = 200_000, []
    for _ in range(5):
        began = time.perf_counter()
        compute({"steps": steps, "n": 1})
        times.append(time.perf_counter() - began)
    return int(steps * milliseconds / 1000 / min(times))
