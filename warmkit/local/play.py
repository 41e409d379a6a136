"""Plays a scenario on a local Lambda, and tells what came of it."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, NamedTuple, Protocol

from warmkit.local.fleet import ThrottledError
from warmkit.local.scenario import Cut, Freeze, Invoke, Kill, Shutdown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from warmkit.local.local_lambda import Answer, LocalLambda
    from warmkit.local.sandbox.course import Moment
    from warmkit.local.scenario import Step


class Played(NamedTuple):
    """One invocation of a scenario.

    Attributes:
        number: Which one, from 1.
        answer: What came of it; None if it was throttled.
        outcome: "ok", "error", "timeout" or "throttled".
        expected: Whether that is what the scenario wanted.
    """

    number: int
    answer: Answer | None
    outcome: str
    expected: bool


class Stage(Protocol):
    """Who is told what happens, while it happens."""

    def printed(self, environment: str, line: str) -> None:
        """A line of an environment's log."""
        ...

    def happened(self, moment: Moment) -> None:
        """Something that happened to an environment."""
        ...

    def played(self, played: Played) -> None:
        """An invocation that is over."""
        ...

    def note(self, text: str) -> None:
        """Something that the scenario does."""
        ...


async def play(function: LocalLambda, steps: Sequence[Step], stage: Stage) -> list[Played]:
    """Play a scenario; return its invocations in the order in which they were begun."""
    numbers = itertools.count(1)
    played: list[Played] = []
    for step in steps:
        if isinstance(step, Invoke):
            played += await _invoke(function, step, stage, numbers)
        else:
            await _happen(function, step, stage)
    return played


async def _happen(function: LocalLambda, step: Step, stage: Stage) -> None:
    await function.freeze()
    match step:
        case Freeze(seconds):
            stage.note(f"nothing for {seconds:g} s")
            await asyncio.sleep(seconds)
        case Cut():
            stage.note(f"TCP connections cut: {function.cut()}")
        case Kill():
            stage.note("all environments vanish")
            await function.kill()
        case Shutdown():
            stage.note("all environments end in order")
            await function.shut_down()
        case Invoke():
            raise AssertionError


async def _invoke(
    function: LocalLambda, step: Invoke, stage: Stage, numbers: Iterator[int]
) -> list[Played]:
    todo = [next(numbers) for _ in range(step.times)]
    played: dict[int, Played] = {}

    async def work() -> None:
        while todo:
            number = todo.pop(0)
            played[number] = await _once(function, step, number)
            stage.played(played[number])

    async with asyncio.TaskGroup() as group:
        for _ in range(min(step.concurrent, step.times)):
            group.create_task(work())
    return [played[number] for number in sorted(played)]


async def _once(function: LocalLambda, step: Invoke, number: int) -> Played:
    try:
        answer = await function.invoke(step.event)
    except ThrottledError:
        return Played(number, None, "throttled", step.expect == "any")
    outcome = "error" if answer.failed else "ok"
    if answer.report.status == "timeout":
        outcome = "timeout"
    return Played(number, answer, outcome, step.expect in {outcome, "any"})
