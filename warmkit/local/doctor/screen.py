"""A report as a person reads it, and as a program does."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from warmkit.local.doctor.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warmkit.local.doctor.finding import Finding, Report

_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
_TOP = 5
"""How many imports are told of."""
_WORTH_TELLING_MS = 10.0
_LABELS = 11
_WIDTH = 100


def show(report: Report, console: Console | None = None) -> None:
    """Print a report: coloured on a terminal, plain elsewhere."""
    console = console or Console(highlight=False)
    for line in _lines(report):
        console.print(line, soft_wrap=True)


def as_json(report: Report) -> str:
    """Return a report for programs."""
    facts = {
        "handler": report.handler,
        "findings": [_facts(finding) for finding in report.findings],
        "imports": [cost._asdict() for cost in report.costs],
        "calls": report.calls,
    }
    return json.dumps(facts, indent=2)


def _facts(finding: Finding) -> dict[str, object]:
    facts = {**finding._asdict(), **finding.place._asdict()}
    del facts["place"]
    return facts


def _lines(report: Report) -> Iterator[Text]:
    for finding in report.findings:
        yield from _finding(finding)
        yield Text()
    if costs := [cost for cost in report.costs if cost.ms >= _WORTH_TELLING_MS][:_TOP]:
        told = ", ".join(
            f"{cost.module}{' itself' if cost.own else ''} {cost.ms:.0f} ms" for cost in costs
        )
        yield Text(f"imports: {told}", "dim")
    yield Text(_summary(report), "bold" if report.alarming else "green")


def _finding(finding: Finding) -> Iterator[Text]:
    style = _STYLES[finding.severity]
    what, *more = finding.what.splitlines()
    head = Text().append(f"{finding.code} {finding.severity}", style).append("  ")
    if str(finding.place):
        head.append(f"{finding.place}  ", "dim")
    yield head.append(what, "bold")
    yield from (Text(f"  {line}") for line in more)
    for label, text in (("on Lambda:", finding.happens), ("write:", finding.write)):
        for number, line in enumerate(textwrap.wrap(text, _WIDTH, break_long_words=False)):
            start = label if number == 0 else ""
            yield Text(f"  {start:<{_LABELS}}", "dim").append(line)


def _summary(report: Report) -> str:
    counts = Counter(finding.severity for finding in report.findings)
    parts = [
        f"{counts[severity]} {severity}{'s' if counts[severity] != 1 else ''}"
        for severity in Severity
        if counts[severity]
    ]
    calls = f", called {report.calls} time{'s' if report.calls != 1 else ''}"
    called = calls if report.calls else ", not called"
    return f"{report.handler}: {', '.join(parts) or 'nothing found'}{called}"
