"""What do many invocations at once cost, in one process and in one process for each?

AWS's emulator in its multi-concurrency mode (AWS_LAMBDA_MAX_CONCURRENCY = N) with a handler that awaits PostgreSQL: under
warmkit's runtime; the same handler, unchanged, under AWS's (awslambdaric, unmodified: N processes, each with a loop that
is kept and a pool of one connection); and under AWS's what a good engineer writes by hand, a kept loop and a connection in a
global. N invocations are always in flight, and each answer must be that of its question. One load is a query that takes
20 ms, the other one that takes none. In each round all contenders start, one after the other; then they take turns of half a
second.

And, at N = 16, a handler that computes for 10 ms and awaits nothing, for which one process is not meant.

    python -m benchmarks.multi_concurrency [--quick]

Prints medians, and writes every sample to benchmarks/results/multi_concurrency.json. Exits with 1 if at N = 16 warmkit's
takes more than 1/8 of the memory of either of AWS's, or more connections than N, or if beside the same handler under AWS's it takes
more than 1/3 of the time from the start to the first answer, or answers fewer queries of either kind. It wants an idle machine: where others compete for the cores, sixteen processes are given
more of them than one.
"""

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from benchmarks.load import Load, load
from warmkit.local.postgres_server import PostgresServer

sys.path.append(str(Path(__file__).parents[1] / "tests" / "integration"))
from emulator import INVOKE
from managed import ManagedInstance

JUDGED = 16
CONCURRENCIES = (1, 4, JUDGED, 32)
MEMORY, FIRST_ANSWER = 1 / 8, 1 / 3
ROUNDS, TURNS, TURN_S = 3, 3, 0.5
FUNCTIONS = Path(__file__).parent / "functions"
RESULTS = Path(__file__).parent / "results" / "multi_concurrency.json"

Event = dict[str, Any]


class Contender(NamedTuple):
    runtime: str
    handler: str


OURS, SAME, BY_HAND = "warmkit's", "AWS's, the same handler", "AWS's, by hand"
WAITING = {
    OURS: Contender("warmkit.runtime", "waiting.handler"),
    SAME: Contender("awslambdaric", "waiting.handler"),
    BY_HAND: Contender("awslambdaric", "by_hand.handler"),
}
WAITS: dict[str, Event] = {"20 ms": {"seconds": 0.02}, "no time": {"seconds": 0}}
COMPUTING = {
    "warmkit's, async def": Contender("warmkit.runtime", "computing.asynchronous"),
    "warmkit's, def": Contender("warmkit.runtime", "computing.handler"),
    "AWS's": Contender("awslambdaric", "computing.handler"),
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

    def rate(self, load: str) -> float:
        turns = self.loads[load]
        return sum(len(t.latencies_ms) for t in turns) / sum(t.seconds for t in turns)

    def p99(self, load: str) -> float:
        return statistics.quantiles(
            [ms for turn in self.loads[load] for ms in turn.latencies_ms], n=100
        )[-1]


class Crew:
    """A contender's environment, and what it does."""

    def __init__(self, instance: ManagedInstance, concurrency: int, database_port: int) -> None:
        self._instance = instance
        self._concurrency = concurrency
        self._database_port = database_port

    def serve(self, event: Event, seconds: float = TURN_S) -> Load:
        port = self._instance.port
        return load(port, INVOKE, in_flight=self._concurrency, seconds=seconds, event=event)

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
    turns: int,
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
        for _ in range(turns):
            for load_name, event in events.items():
                for name, crew in crews.items():
                    loads[name][load_name].append(crew.serve(event))
        return {name: crew.sample(first_s[name], loads[name]) for name, crew in crews.items()}


Samples = dict[str, list[Sample]]


def measure(
    contenders: dict[str, Contender],
    concurrency: int,
    events: dict[str, Event],
    server: PostgresServer,
    *,
    rounds: int,
    turns: int,
) -> Samples:
    taken: Samples = {name: [] for name in contenders}
    names = list(contenders)
    for n in range(rounds):
        order = {name: contenders[name] for name in names[n % 3 :] + names[: n % 3]}
        for name, sample in round_of(order, concurrency, events, server, turns).items():
            taken[name].append(sample)
    return taken


def middle(samples: list[Sample], of: Any) -> float:
    return statistics.median(of(sample) for sample in samples)


def report(title: str, taken: Samples, loads: dict[str, Event]) -> None:
    print(f"\n{title}; medians of {len(next(iter(taken.values())))}:")
    heads = "".join(f"{f'{load}: 1/s':>14} {'p99':>9}" for load in loads)
    print(
        f"  {'':23} {'memory':>9} {'processes':>9} {'connections':>11} {'first answer':>12}{heads}"
    )
    for name, samples in taken.items():
        counts = (
            middle(samples, lambda s: s.processes),
            middle(samples, lambda s: s.connections),
        )
        served = "".join(
            f"{middle(samples, lambda s: s.rate(load)):14.0f} {middle(samples, lambda s: s.p99(load)):6.1f} ms"  # noqa: B023  called at once
            for load in loads
        )
        print(
            f"  {name:23} {middle(samples, lambda s: s.memory_mb):6.1f} MB {counts[0]:9.0f} {counts[1]:11.0f}"
            f" {middle(samples, lambda s: s.first_s):10.2f} s{served}"
        )


def judge(taken: Samples) -> list[str]:
    """Returns what is not as it must be at N = 16."""
    memory = {name: middle(samples, lambda s: s.memory_mb) for name, samples in taken.items()}
    first = {name: middle(samples, lambda s: s.first_s) for name, samples in taken.items()}
    problems = {
        "memory": memory[OURS] > MEMORY * min(memory[SAME], memory[BY_HAND]),
        "connections": max(s.connections for s in taken[OURS]) > JUDGED,
        "time to the first answer": first[OURS] > FIRST_ANSWER * first[SAME],
        "20 ms queries": ratio(taken, "20 ms", SAME) < 1,
        "quick queries": ratio(taken, "no time", SAME) < 1,
    }
    for to in (SAME, BY_HAND):
        rates = ", ".join(f"{ratio(taken, load, to):.2f} of the {load} queries" for load in WAITS)
        print(
            f"  beside {to}: {memory[OURS] / memory[to]:.3f} of the memory, {first[OURS] / first[to]:.2f} of the time to the first answer, {rates}"
        )
    return [problem for problem, is_there in problems.items() if is_there]


def ratio(taken: Samples, load: str, to: str) -> float:
    """Returns the median over all turns of what ours served in its turn beside the other in the next."""
    return statistics.median(
        ours.rate / theirs.rate
        for our_sample, their_sample in zip(taken[OURS], taken[to], strict=True)
        for ours, theirs in zip(our_sample.loads[load], their_sample.loads[load], strict=True)
    )


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


def main() -> int:
    quick = "--quick" in sys.argv[1:]
    results: dict[str, Samples] = {}
    turns = 2 if quick else TURNS
    with PostgresServer(max_connections=200) as server:
        for n in (JUDGED,) if quick else CONCURRENCIES:
            rounds = ROUNDS if n == JUDGED and not quick else 1
            taken = measure(WAITING, n, WAITS, server, rounds=rounds, turns=turns)
            results[f"waiting, N = {n}"] = taken
            report(f"N = {n}, a handler that awaits the database", taken, WAITS)
        problems = judge(results[f"waiting, N = {JUDGED}"])
        computing = {"10 ms": {"steps": steps_for(10)}}
        taken = measure(COMPUTING, JUDGED, computing, server, rounds=1, turns=turns)
        results[f"computing, N = {JUDGED}"] = taken
        report(f"N = {JUDGED}, a handler that computes", taken, computing)
    save(results)
    for problem in problems:
        print(f"missed at N = {JUDGED}: {problem}")
    return 1 if problems else 0


def save(results: dict[str, Samples]) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    cores, python = os.cpu_count(), sys.version
    content = {
        "question": (__doc__ or "").partition("\n")[0],
        "machine": {"python": python, "platform": platform.platform(), "cores": cores},
        "samples": {
            what: {name: [s._asdict() for s in samples] for name, samples in taken.items()}
            for what, taken in results.items()
        },
    }
    RESULTS.write_text(json.dumps(content) + "\n")


if __name__ == "__main__":
    sys.exit(main())
