"""How long from the spawn of a process to the first byte of its first response, and where does the time go?

The function looks up an order: PostgreSQL behind a circuit breaker, S3, a tracer. It is written in three styles: naive (connects in the
handler), by hand (globals that are opened side by side while the module loads, and a loop that is kept), with warmkit. The first
two run under AWS's runtime (awslambdaric, unmodified), the third under AWS's and under warmkit's. Each in the local Lambda and in AWS's emulator, whose
REPORT lines are not asked.

A sample is an environment of its own. Its clock begins in the process that becomes the runtime, right before it does so
(`AWS_LAMBDA_EXEC_WRAPPER`: a shell that notes the time), and ends at the caller when the response begins. So what the platform takes before
is not in it: Lambda's micro virtual machine, the local Lambda's keeper, the emulator's own start. The parts:

- interpreter: until Python can run code;
- runtime: until the first line of the function, all imports of the runtime among them;
- imports: what the function's modules import, at their top or later, while something starts;
- starts: everything else until the handler has what it needs, and with it the platform's handing over of the invocation;
- first use: from the first line of the lookup to the caller.

They are noted by a module around the function (`functions/cold`), the same for all styles, and add up to the sample. Every answer is checked.
Beside it: the processor time of the process, which other work on the machine disturbs less; an environment that is provisioned, where resources start before
somebody calls, and warm invocations of it. The contenders take turns; "by hand" has two in each round.
"""

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from msgspec.structs import replace

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Count, Estimate, Finding, Row
from benchmarks.harness.run import ROOT, Run, turns
from benchmarks.parts.caller import BY_HAND, NAIVE, WARM, WARM_RUNTIME, Contender
from benchmarks.parts.lambdas import Emulator
from benchmarks.parts.orders import ROOT as ORDERS
from benchmarks.parts.orders import Network, Servers, answer
from warmkit.local import BlockingLambda

NOT_SHOWN = (
    "What Lambda takes before the process is there (a micro virtual machine, the download of the code), slower processors and disks "
    "(a function of 128 MB has a fourteenth of a core), and a network that loses packets. The packages lie in the page cache, compiled. A function of "
    "3538 MB or more has two cores, which warmkit uses for its imports: not here. S3 answers without TLS. aiobotocore imports httpx where it is installed, "
    "as it is here."
)

FUNCTION = ROOT / "benchmarks" / "functions" / "cold"
SPAWNED = FUNCTION / "spawned"
ONE_CORE_MB = 1769
TIMEOUT_S = 30
SLOWER = 1.25
"""The ratio of times above which warmkit is slower, on a machine with other work, too."""
FIRST, READY, LATER = "cold", "the first, provisioned", "warm"
PARTS = ("interpreter", "runtime", "imports", "starts", "first use")


AGAIN = Contender("by hand, again", "by_hand")
MODULES = {"aws": "awslambdaric", "warmkit": "warmkit.runtime"}

Call = Callable[[object], tuple[float, Any]]
"""Invokes the function; returns when the response began, on the monotonic clock, and what it says."""


@contextmanager
def locally(contender: Contender, env: Mapping[str, str], provisioned: int = 0) -> Iterator[Call]:
    """Serves the function in the local Lambda. What is provisioned has been initialized, and is frozen."""
    replied: list[float] = []
    with BlockingLambda(
        "app.handler",
        task_root=FUNCTION,
        runtime=contender.runtime,
        env={**env, "AWS_LAMBDA_EXEC_WRAPPER": str(SPAWNED)},
        memory=ONE_CORE_MB,
        timeout=TIMEOUT_S,
        provisioned=provisioned,
        observe=lambda moment: replied.append(moment.at) if moment.what == "replied" else None,
    ) as function:
        function.freeze()

        def call(event: object) -> tuple[float, Any]:
            said = function.invoke(event)
            return replied[-1], said.payload

        yield call


@contextmanager
def emulated(contender: Contender, env: Mapping[str, str]) -> Iterator[Call]:
    """Serves the function in AWS's emulator, which starts it when it is invoked."""
    own = {
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(ONE_CORE_MB),
        "AWS_LAMBDA_FUNCTION_TIMEOUT": str(TIMEOUT_S),
    }
    command: list[str | Path] = [
        SPAWNED,
        sys.executable,
        "-m",
        MODULES[contender.runtime],
        "app.handler",
    ]
    with Emulator(
        "app.handler", task_root=FUNCTION, env={**env, **own}, command=command
    ) as emulator:

        def call(event: object) -> tuple[float, Any]:
            _, said = emulator.invoke(event)
            return time.monotonic(), said

        yield call


class Place(NamedTuple):
    """Where functions are served.

    Attributes:
        serve: Does it.
        starts_on_demand: The first caller waits for the process.
    """

    serve: Callable[[Contender, Mapping[str, str]], AbstractContextManager[Call]]
    starts_on_demand: bool = True


LOCAL, EMULATOR = Place(locally), Place(emulated)
PROVISIONED = Place(partial(locally, provisioned=1), starts_on_demand=False)


class Sample(NamedTuple):
    """One environment's life, in milliseconds.

    Attributes:
        cold: From the spawn to the first response; where the process is there already, how long the first caller waits.
        warm: How long the next callers wait.
        parts: Of `cold`.
        processor: How long the process was on a core until it had answered.
        round_trips: To the servers, in the invocation and before it.
    """

    cold: float
    warm: list[float]
    parts: dict[str, float]
    processor: float
    round_trips: int


class Cell:
    """Contenders that are measured side by side.

    Args:
        name: One word.
        title: What a sample is of.
        place: Where the function is served.
        network: The way to the servers.
        contenders: The contenders.
        calls: How many more invocations follow the first.
    """

    def __init__(
        self,
        name: str,
        title: str,
        place: Place,
        network: Network,
        contenders: list[Contender],
        *,
        calls: int = 0,
    ) -> None:
        self.name, self.title = name, title
        self._place, self._network, self._contenders, self._calls = (
            place,
            network,
            contenders,
            calls,
        )
        self.samples: dict[str, list[Sample]] = {contender.name: [] for contender in contenders}

    def measure(self, number: int) -> None:
        for contender in turns(self._contenders, number):
            self.samples[contender.name].append(self.sample(contender))

    def sample(self, contender: Contender) -> Sample:
        with tempfile.TemporaryDirectory() as folder:
            noted = Path(folder) / "moments"
            env = {
                **self._network.environment,
                "PYTHONPATH": os.pathsep.join(map(str, (FUNCTION, ORDERS, ROOT))),
                "PYTHONDONTWRITEBYTECODE": "",
                "STYLE": contender.style,
                "MOMENTS": str(noted),
            }
            before = self._round_trips()
            with self._place.serve(contender, env) as call:
                waited, arrived = _timed(call, 0)
                round_trips = self._round_trips() - before
                warm = [_timed(call, order)[0] for order in range(1, 1 + self._calls)]
            at = _read(noted)
        parts = parts_of(at, arrived) if self._place.starts_on_demand else {}
        cold = sum(parts.values()) or waited
        return Sample(cold, warm, parts, at["on a core"] * 1000, round_trips)

    def _round_trips(self) -> int:
        return sum(seen.round_trips for seen in self._network.seen())

    def compared(self) -> Comparison:
        rows = [Row(name, [[one.cold] for one in taken]) for name, taken in self.samples.items()]
        again = AGAIN.name if AGAIN.name in self.samples else None
        return Comparison(self.name, self.title, "ms", rows, base=BY_HAND.name, again=again)

    def share(self, contender: Contender, *parts: str) -> Estimate:
        """Returns the percentage of a cold start that some parts of it are."""
        taken = self.samples[contender.name]
        return figures.median_of(
            [100 * sum(one.parts[part] for part in parts) / one.cold for one in taken]
        )

    def divided(self) -> Count:
        """Returns the medians of the parts."""
        rows: dict[str, list[float | str]] = {}
        for name, taken in self.samples.items():
            parts = [statistics.median(one.parts[part] for one in taken) for part in PARTS]
            trips = statistics.median(one.round_trips for one in taken)
            rows[name] = [*(round(part, 1) for part in parts), trips]
        title = f"{self.title}: where it goes, median milliseconds of each part"
        return Count(title, [*PARTS, "round trips"], rows)


def ask(run: Run) -> Answer:
    with Servers() as servers, servers.network(0) as near, servers.network(0.001) as far:
        cells = _cells(near, far, quick=run.quick)
        provisioned = Cell("", "", PROVISIONED, near, [WARM], calls=run.times(10, quick=5))
        for contender in (
            BY_HAND,
            WARM_RUNTIME,
        ):  # whatever is not compiled, or not in the page cache
            cells[0].sample(contender)
        for number in run.rounds(12, quick=3, doing="an environment for each sample"):
            for cell in (*cells, provisioned):
                cell.measure(number)
    processor, callers = _processor(cells[0]), _callers(cells[0], provisioned)
    compared = [cell.compared() for cell in cells]
    return Answer(
        [*compared, processor, callers],
        [
            *_beside_by_hand({item.name: item for item in compared}, processor),
            *_between_runtimes(compared[0], processor),
            *_shares(cells[0]),
            *_of_callers(callers),
        ],
        [cell.divided() for cell in cells],
    )


def _cells(near: Network, far: Network, *, quick: bool) -> list[Cell]:
    """Returns what is measured: in a hurry as much of it as the findings need."""
    local, emulator = "spawn to first response, local Lambda", "spawn to first response, emulator"
    far_local, far_emulator = f"{local}, 1 ms on the wire", f"{emulator}, 1 ms on the wire"
    if quick:
        return [
            Cell("local", local, LOCAL, near, [BY_HAND, WARM, WARM_RUNTIME]),
            Cell("local_1ms", far_local, LOCAL, far, [BY_HAND, WARM]),
            Cell("emulator", emulator, EMULATOR, near, [BY_HAND, WARM]),
        ]
    contenders = [BY_HAND, WARM, WARM_RUNTIME]
    return [
        Cell("local", local, LOCAL, near, [NAIVE, *contenders, AGAIN]),
        Cell("local_1ms", far_local, LOCAL, far, [NAIVE, *contenders]),
        Cell("emulator", emulator, EMULATOR, near, [NAIVE, *contenders]),
        Cell("emulator_1ms", far_emulator, EMULATOR, far, contenders),
    ]


def _processor(local: Cell) -> Comparison:
    rows = [Row(name, [[one.processor] for one in taken]) for name, taken in local.samples.items()]
    title = "processor time of the process until then, local Lambda"
    return replace(local.compared(), name="processor", title=title, rows=rows)


def _callers(local: Cell, provisioned: Cell) -> Comparison:
    """Compares what the first caller waits for with what the others do, under AWS's runtime."""
    begun, ready = local.samples[WARM.name], provisioned.samples[WARM.name]
    rows = [
        Row(FIRST, [[one.cold] for one in begun]),
        Row(READY, [[one.cold] for one in ready]),
        Row(LATER, [one.warm for one in ready]),
    ]
    return Comparison("callers", "what a caller waits for, warmkit", "ms", rows, base=FIRST)


def _beside_by_hand(compared: Mapping[str, Comparison], processor: Comparison) -> list[Finding]:
    def ratio(comparison: Comparison) -> Estimate:
        return figures.ratio(comparison.row(WARM.name), comparison.row(BY_HAND.name))

    cold, far, emulator = (compared[name] for name in ("local", "local_1ms", "emulator"))
    begin = "a cold start with warmkit takes {} of"
    places = figures.ratio(cold.row(BY_HAND.name), emulator.row(BY_HAND.name))
    return [
        Finding(
            "by_hand",
            f"{begin} the time of one that is written by hand, both under AWS's runtime",
            ratio(cold),
            at_most=SLOWER,
            closing=True,
        ),
        Finding("processor", f"{begin} its processor time", ratio(processor), at_most=1.1),
        Finding("far", f"{begin} its time with 1 ms on the wire", ratio(far), at_most=SLOWER),
        Finding("emulator", f"{begin} its time in AWS's emulator", ratio(emulator), at_most=SLOWER),
        Finding(
            "places",
            "by hand takes {} of its time in the emulator when in the local Lambda",
            places,
        ),
    ]


def _between_runtimes(cold: Comparison, processor: Comparison) -> list[Finding]:
    def ratio(comparison: Comparison) -> Estimate:
        return figures.ratio(comparison.row(WARM_RUNTIME.name), comparison.row(WARM.name))

    begin = "under warmkit's runtime the same handler takes {} of its"
    return [
        Finding("runtime", f"{begin} time under AWS's", ratio(cold)),
        Finding("runtime_processor", f"{begin} processor time", ratio(processor), at_most=1.2),
    ]


def _shares(local: Cell) -> list[Finding]:
    imports = local.share(WARM, "interpreter", "runtime", "imports")
    return [
        Finding(
            "imports",
            "of a cold start with warmkit, {} is the interpreter and imports",
            imports,
            "%",
            0,
        ),
        Finding(
            "starts", "of it, {} is the start of resources", local.share(WARM, "starts"), "%", 0
        ),
        Finding(
            "first_use", "of it, {} is their first use", local.share(WARM, "first use"), "%", 0
        ),
    ]


def _of_callers(callers: Comparison) -> list[Finding]:
    cold, ready, warm = (callers.row(name) for name in (FIRST, READY, LATER))
    return [
        Finding(
            "warm",
            "with warmkit, a cold start takes {} times as long as a warm invocation",
            figures.ratio(cold, warm),
            digits=0,
            at_least=5,
            closing=True,
        ),
        Finding(
            "provisioned",
            "with provisioned concurrency, the first caller waits for {} of a cold start",
            figures.ratio(ready, cold),
            at_most=0.5,
        ),
    ]


def _timed(call: Call, order: int) -> tuple[float, float]:
    """Returns for how many milliseconds the caller waits, and until when."""
    began = time.monotonic()
    arrived, said = call({"order": order})
    assert said == answer(order), said
    return (arrived - began) * 1000, arrived


def _read(noted: Path) -> dict[str, float]:
    """Returns what `moments` has written, in seconds."""
    lines = (line.rpartition(" ") for line in noted.read_text().splitlines())
    return {name: float(seconds) for name, _, seconds in lines}


def parts_of(at: Mapping[str, float], arrived: float) -> dict[str, float]:
    """Divides the time until a response, in milliseconds: what is imported late is no start, and what starts early no import.

    Args:
        at: What `moments` has noted.
        arrived: When the response did.
    """
    late, early = at.get("importing late", 0.0), at.get("starting", 0.0)
    seconds = (
        at["python"] - at["spawned"],
        at["function"] - at["python"],
        at["loaded"] - at["function"] - early + late,
        at["at hand"] - at["loaded"] + early - late,
        arrived - at["at hand"],
    )
    return {part: taken * 1000 for part, taken in zip(PARTS, seconds, strict=True)}
