"""Asks the local Lambda: what a function's invocations take there, and what becomes of a trace in real time."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.parts.fleet.simulation import Cold, Times
from warmkit.local import LocalLambda
from warmkit.local.sandbox.report import Report

MEMORY_MB = 512
MEMORY_GB = MEMORY_MB / 1024


@dataclass(frozen=True)
class Function:
    """A function under AWS's runtime, and what it must say.

    Attributes:
        handler: "module.function".
        root: The directory with its code.
        env: Its environment variables.
        event: What it is asked.
        answer: What it must answer.
    """

    handler: str
    root: Path
    env: Mapping[str, str]
    event: dict[str, Any]
    answer: object

    def start(self) -> LocalLambda:
        return LocalLambda(
            self.handler,
            task_root=self.root,
            runtime="aws",
            env=self.env,
            memory=MEMORY_MB,
            timeout=60,
        )

    async def invoke(self, there: LocalLambda) -> Report:
        answer = await there.invoke(self.event)
        assert not answer.failed, answer.log
        assert answer.payload == self.answer, answer.payload
        return answer.report


class Measured(NamedTuple):
    """One environment's times."""

    cold: Cold
    warm: list[float]


class Replay(NamedTuple):
    """What became of a trace in real time.

    Attributes:
        arrived: When each invocation really came.
        reports: What the local Lambda said of it.
    """

    arrived: list[float]
    reports: list[Report]

    @property
    def environments(self) -> int:
        return len({report.environment for report in self.reports})

    @property
    def cold_starts(self) -> int:
        return sum(report.init_ms is not None for report in self.reports)

    @property
    def gb_seconds(self) -> float:
        return sum(report.billed_ms for report in self.reports) / 1000 * MEMORY_GB

    @property
    def times(self) -> Times:
        cold = [_cold(report) for report in self.reports if report.init_ms is not None]
        warm = [_seconds(report) for report in self.reports if report.init_ms is None]
        return Times(cold, warm)


def measure(function: Function, warm: int) -> Measured:
    """Starts an environment that has the machine to itself, and invokes it so often more, after a freeze each time."""

    async def main() -> Measured:
        async with function.start() as there:
            cold = _cold(await function.invoke(there))
            seconds = []
            for _ in range(warm):
                await there.freeze()
                seconds.append(_seconds(await function.invoke(there)))
            return Measured(cold, seconds)

    return asyncio.run(main())


def replay(function: Function, trace: Sequence[float]) -> Replay:
    """Lets a trace arrive in real time, whoever has been answered by then."""

    async def main() -> Replay:
        loop = asyncio.get_running_loop()
        async with function.start() as there:
            begun = loop.time()

            async def arrive(due: float) -> tuple[float, Report]:
                await asyncio.sleep(begun + due - loop.time())
                arrived = loop.time() - begun
                return arrived, await function.invoke(there)

            served = await asyncio.gather(*map(arrive, trace))
        served.sort(key=lambda one: one[0])
        return Replay([arrived for arrived, _ in served], [report for _, report in served])

    return asyncio.run(main())


def _cold(report: Report) -> Cold:
    assert report.init_ms is not None, "the first invocation of an environment has its init phase"
    return Cold(report.init_ms / 1000, _seconds(report))


def _seconds(report: Report) -> float:
    return report.duration_ms / 1000
