"""The results on a terminal: how far they are, and then tables."""

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.harness.answer import Answered, Comparison, Count, Summary, shown
from benchmarks.harness.words import cells, number

MARKS = {True: "[green]✓[/]", False: "[red]✗[/]"}


class Bars:
    """One bar for the suite, one for the question that is being asked."""

    def __init__(self, console: Console, questions: int) -> None:
        self._bars = Progress(
            TextColumn("{task.description:32}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.fields[doing]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._suite = self._bars.add_task("the suite", total=questions, doing="")
        self._question = self._bars.add_task("", total=1, doing="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def begin(self, name: str) -> None:
        self._bars.reset(self._question, description=name, total=None, doing="")

    def advance(self, done: int, total: int, doing: str) -> None:
        self._bars.update(self._question, completed=done, total=total, doing=doing)

    def end(self) -> None:
        self._bars.advance(self._suite)


def show(console: Console, answered: Answered) -> None:
    console.print(
        f"\n[bold]{answered.question}[/]  [dim]{answered.name}, {answered.seconds:g} s[/]"
    )
    if answered.answer is None:
        console.print(answered.failure, style="red", markup=False, highlight=False)
        return
    for comparison in answered.answer.comparisons:
        console.print(_table(comparison, answered.summaries[comparison.name]))
    for count in answered.answer.counts:
        console.print(_counts(count))
    _show_findings(console, answered)


def _show_findings(console: Console, answered: Answered) -> None:
    for finding in answered.answer.findings if answered.answer else []:
        mark = MARKS[finding not in answered.missed] if finding.wanted else "·"
        aside = "; ".join(filter(None, [finding.interval, finding.wanted]))
        console.print(f" {mark} {finding.sentence}" + (f" [dim]({aside})[/]" if aside else ""))


def _table(comparison: Comparison, summaries: dict[str, Summary]) -> Table:
    unit = shown(comparison.unit)
    table = Table(title=f"{comparison.title}, {unit}", title_justify="left", box=None)
    table.add_column("")
    heads = ["median", "95 %", "p99"]
    if comparison.base is not None:
        heads += [f"x {comparison.base}", "95 %", ""]
    for head in heads:
        table.add_column(head, justify="right")
    for name, row in summaries.items():
        style = "dim" if name == comparison.again else ""
        table.add_row(name, *cells(row), style=style)
    return table


def _counts(count: Count) -> Table:
    table = Table(title=count.title, title_justify="left", box=None)
    table.add_column("")
    for head in count.columns:
        table.add_column(head, justify="right")
    for name, line in count.rows.items():
        table.add_row(name, *map(number, line))
    return table
