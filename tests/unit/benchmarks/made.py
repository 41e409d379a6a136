"""Results that are small enough to read."""

from benchmarks.harness import figures
from benchmarks.harness.answer import (
    Answer,
    Answered,
    Comparison,
    Count,
    Estimate,
    Finding,
    Results,
    Row,
)

MACHINE = {"processor": "one", "cores": "2", "system": "Linux", "python": "CPython 3.11"}


def comparison(*, ours=2.0, base=4.0, noise=2.0):
    rows = [
        Row("warmkit", [[ours, ours * 1.1], [ours * 1.2], [ours * 1.3]]),
        Row("by hand", [[base, base * 1.1], [base * 1.2], [base * 1.3]]),
        Row("warmkit, again", [[noise, noise * 1.1], [noise * 1.2], [noise * 1.3]]),
    ]
    return Comparison("call", "one call", "us", rows, base="warmkit", again="warmkit, again")


def answered(name="warm_path", *, value=2.5, at_most=10.0, quick=False, rows=None):
    rows = rows or comparison()
    finding = Finding(
        "added",
        "it adds {} to a call",
        Estimate(value, value - 0.5, value + 0.5),
        "us",
        digits=1,
        at_most=at_most,
        closing=True,
    )
    count = Count("calls", ["wrong"], {"warmkit": [0], "by hand": ["3 of 4"]})
    return Answered(
        name=name,
        section="What the library adds",
        question=f"What of {name}?",
        method="In turns.\n\nOf `calls`.",
        not_shown="The rest.",
        begun="2026-11-27T12:00:00+00:00",
        commit="abc1234",
        quick=quick,
        seconds=1.5,
        answer=Answer([rows], [finding], [count]),
        summaries={"call": figures.summarize(rows)},
    )


def results(*questions, **facts):
    return Results({**MACHINE, **facts}, list(questions or [answered()]))
