"""Writes figures into the documents, between marks that a reader doesn't see, so that nobody writes them by hand.

In Markdown, each of these is filled with what the published results say:

    <!-- bench:warm_path.added -->2.7 µs<!-- /bench -->           a finding's figure
    <!-- bench:warm_path.call/by hand -->6.6 µs<!-- /bench -->    a row's median
    <!-- bench:warm_path.call/by hand/ratio -->0.71<!-- /bench --> its ratio to the base
    <!-- bench:multi_concurrency:16 at once --> <!-- /bench -->   a comparison's or a count's table, by name or title
    <!-- bench:closing --> a table <!-- /bench -->                the findings that close the report
    <!-- bench:all --> tables <!-- /bench -->                     all of them
"""

import re
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness.answer import Answered, Comparison, Count, Finding, Results, Summary, shown
from benchmarks.harness.run import ROOT
from benchmarks.harness.words import cells, number

MARK = re.compile(r"(<!-- bench:(?P<what>[^>]+?) -->)(?P<text>.*?)(<!-- /bench -->)", re.DOTALL)
PUBLISHED = ROOT / "docs" / "benchmarks" / "results.json"
REPORT = ROOT / "docs" / "benchmarks" / "report.html"


class UnknownFigureError(LookupError):
    """A mark asks for what the results do not have."""


def documents() -> Iterator[Path]:
    """Yields the files that may have marks."""
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").rglob("*.md"))


def filled(text: str, results: Results) -> str:
    """Returns a document with these results' figures.

    Raises:
        UnknownFigureError: See there.
    """
    return MARK.sub(lambda mark: f"{mark[1]}{_figure(mark['what'], results)}{mark[4]}", text)


def _figure(what: str, results: Results) -> str:
    if what == "closing":
        return _block(_closing(results))
    if what == "all":
        return _block(_everything(results))
    try:
        return _table(what, results) if ":" in what else _one(what, results)
    except (StopIteration, KeyError):
        names = ", ".join(question.name for question in results.questions)
        raise UnknownFigureError(
            f"no figure {what!r} in the results; write question.finding, question.comparison/row or question:table, of: {names}"
        ) from None


def _one(what: str, results: Results) -> str:
    question, _, rest = what.partition(".")
    answered = results.question(question)
    if answered.answer is None:
        raise KeyError(question)
    name, *path = rest.split("/")
    if not path:
        finding = next(item for item in answered.answer.findings if item.name == name)
        return finding.figure
    summary = answered.summaries[name][path[0]]
    if path[1:] == ["ratio"] and summary.ratio is not None:
        return f"{summary.ratio.value:.2f}"
    comparison = next(item for item in answered.answer.comparisons if item.name == name)
    return f"{number(summary.median.value)} {shown(comparison.unit)}"


def _table(what: str, results: Results) -> str:
    question, _, which = what.partition(":")
    answered = results.question(question)
    if answered.answer is None:
        raise KeyError(question)
    for comparison in answered.answer.comparisons:
        if comparison.name == which:
            return _block(_comparison(comparison, answered.summaries[which]))
    return _block(_count(next(item for item in answered.answer.counts if item.title == which)))


def _block(lines: Iterator[str]) -> str:
    return "\n" + "\n".join(lines) + "\n"


def _closing(results: Results) -> Iterator[str]:
    yield "| found | 95 % | wanted | how to see it |"
    yield "|---|---|---|---|"
    for question in results.questions:
        for finding in question.answer.findings if question.answer else []:
            if finding.closing:
                yield _finding(question, finding)


def _finding(question: Answered, finding: Finding) -> str:
    command = f"`python -m benchmarks {question.name}`"
    return f"| {finding.sentence} | {finding.interval} | {finding.wanted} | {command} |"


def _everything(results: Results) -> Iterator[str]:
    for fact, value in results.machine.items():
        yield f"- {fact}: {value}"
    section = ""
    for question in results.questions:
        if question.section != section:
            section = question.section
            yield f"\n## {section}"
        yield from _question(question)


def _question(question: Answered) -> Iterator[str]:
    yield f"\n### {question.question}\n"
    yield f"`python -m benchmarks {question.name}`\n"
    yield f"{' '.join(question.method.split())}\n"
    assert question.answer is not None
    for finding in question.answer.findings:
        aside = "; ".join(filter(None, [finding.interval, finding.wanted]))
        yield f"- {finding.sentence}" + (f" ({aside})" if aside else "")
    for comparison in question.answer.comparisons:
        yield from _comparison(comparison, question.summaries[comparison.name])
    for count in question.answer.counts:
        yield from _count(count)
    yield f"\nWhat this does not show: {' '.join(question.not_shown.split())}"


def _comparison(comparison: Comparison, summaries: dict[str, Summary]) -> Iterator[str]:
    heads = [f"{comparison.title}, {shown(comparison.unit)}", "median", "95 %", "p99"]
    if comparison.base is not None:
        heads += [f"x {comparison.base}", "95 %", ""]
    yield f"\n| {' | '.join(heads)} |"
    yield "|---|" + "--:|" * (len(heads) - 1)
    for name, row in summaries.items():
        yield f"| {name} | {' | '.join(cells(row))} |"


def _count(count: Count) -> Iterator[str]:
    yield f"\n| {count.title} | {' | '.join(count.columns)} |"
    yield "|---|" + "--:|" * len(count.columns)
    for name, line in count.rows.items():
        yield f"| {name} | {' | '.join(map(number, line))} |"
