"""Shows how a scenario is played: as a timeline for people, or as JSON, a line for each thing, for programs."""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warmkit.local.play import Played
    from warmkit.local.sandbox.course import Moment

_SHOWN_MOMENTS = {"ready", "init failed", "frozen", "thawed", "reset", "exited", "ended"}
_PAYLOAD_CHARACTERS = 60
MANY = 40
"""From so many invocations on, only those that stand out have a line of their own."""


class Timeline:
    """For people: a line for whatever happens, colour on terminals only."""

    def __init__(self, invocations: int, console: Console | None = None) -> None:
        """Say how many invocations there will be."""
        self._console = console or Console(highlight=False)
        self._keeps_lines = not self._console.is_terminal
        self._begun = time.monotonic()
        self._names: dict[str, int] = {}
        self._all = invocations
        self._folds = invocations >= MANY
        self._done = 0
        self._progress = self._console.status("") if self._folds else None
        if self._progress is not None and self._console.is_terminal:
            self._progress.start()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._progress is not None:
            self._progress.stop()

    def printed(self, environment: str, line: str) -> None:
        """Show a line of the function's log, but for Lambda's own: the timeline says the same."""
        platform = ("START RequestId", "END RequestId", "REPORT RequestId")
        if not line.startswith(platform) and not self._folds:
            for part in line.replace("\r", "\n").split("\n"):
                self._line(environment, part, "dim")

    def happened(self, moment: Moment) -> None:
        """Show what happened to an environment."""
        if moment.what in _SHOWN_MOMENTS and not self._folds:
            style = "red" if moment.what in {"reset", "init failed"} else "cyan"
            self._line(moment.environment, f"{moment.what} {moment.detail}".rstrip(), style)

    def played(self, played: Played) -> None:
        """Show an invocation."""
        self._done += 1
        if self._progress is not None:
            self._progress.update(f"{self._done} of {self._all} invocations")
        cold = played.answer is not None and played.answer.report.init_ms is not None
        if self._folds and played.expected and not cold:
            return
        environment = played.answer.report.environment if played.answer else ""
        style = "bold green" if played.expected else "bold red"
        self._line(environment, _described(played), style)

    def note(self, text: str) -> None:
        """Show what the scenario does."""
        self._line("", f"-- {text}", "magenta")

    def conclude(self, played: Sequence[Played]) -> None:
        """Show the figures of all."""
        self.close()
        figures = summary(played)
        parts = [
            f"{figures['invocations']} invocations",
            f"{figures['unexpected']} not as expected",
        ]
        parts.append(f"{figures['cold']} cold starts")
        if figures["median_ms"] is not None:
            parts.append(
                f"median {figures['median_ms']:.1f} ms, worst {figures['worst_ms']:.1f} ms"
            )
        self._console.print(Text(", ".join(parts), "bold"), soft_wrap=self._keeps_lines)

    def _line(self, environment: str, text: str, style: str) -> None:
        number = self._names.setdefault(environment, len(self._names) + 1) if environment else 0
        line = Text(f"{time.monotonic() - self._begun:8.3f} s  ", "dim")
        line.append(f"{f'environment {number}' if number else '':<15} ", "dim")
        line.append(text, style)
        self._console.print(line, soft_wrap=self._keeps_lines)


class JsonLines:
    """For programs: one JSON object a line."""

    def close(self) -> None:
        """Nothing is open."""

    def printed(self, environment: str, line: str) -> None:
        """Show a line of the log."""
        self._say(what="log", environment=environment, line=line)

    def happened(self, moment: Moment) -> None:
        """Show what happened to an environment."""
        self._say(
            what="moment",
            environment=moment.environment,
            at=round(moment.at, 6),
            moment=moment.what,
            detail=moment.detail,
        )

    def played(self, played: Played) -> None:
        """Show an invocation."""
        facts: dict[str, Any] = {
            "what": "invocation",
            "number": played.number,
            "outcome": played.outcome,
            "expected": played.expected,
        }
        if played.answer is not None:
            report = played.answer.report
            facts |= {
                "request_id": report.request_id,
                "environment": report.environment,
                "cold": report.init_ms is not None,
                "init_ms": report.init_ms,
                "duration_ms": report.duration_ms,
                "memory_mb": report.peak_mb,
                "payload": _payload(played.answer.body),
            }
        self._say(**facts)

    def note(self, text: str) -> None:
        """Show what the scenario does."""
        self._say(what="step", step=text)

    def conclude(self, played: Sequence[Played]) -> None:
        """Show the figures of all."""
        self._say(what="summary", **summary(played))

    def _say(self, **facts: Any) -> None:
        sys.stdout.write(json.dumps(facts) + "\n")
        sys.stdout.flush()


def summary(played: Sequence[Played]) -> dict[str, Any]:
    """Return the figures of a whole scenario."""
    answers = [one.answer for one in played if one.answer is not None]
    durations = [answer.report.duration_ms for answer in answers]
    return {
        "invocations": len(played),
        "unexpected": sum(not one.expected for one in played),
        "cold": sum(answer.report.init_ms is not None for answer in answers),
        "environments": len({answer.report.environment for answer in answers}),
        "median_ms": statistics.median(durations) if durations else None,
        "worst_ms": max(durations) if durations else None,
    }


def _described(played: Played) -> str:
    text = f"#{played.number} {played.outcome}"
    if played.answer is None:
        return text
    report = played.answer.report
    text += f" in {report.duration_ms:.1f} ms"
    text += f" after {report.init_ms:.0f} ms of init" if report.init_ms is not None else ""
    body = played.answer.body.decode(errors="replace")
    shown = body if len(body) <= _PAYLOAD_CHARACTERS else body[: _PAYLOAD_CHARACTERS - 3] + "..."
    return f"{text}: {shown}"


def _payload(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode(errors="replace")
