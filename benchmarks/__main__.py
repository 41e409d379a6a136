"""The benchmark suite: asks questions, one after the other, and tells what it found.

    python -m benchmarks                 all of them
    python -m benchmarks --quick         in less than three minutes; figures are rough
    python -m benchmarks cold warm       these
    python -m benchmarks --list          what there is

Tables on the terminal; every sample in a results file, and a report beside it (HTML, in one file). Exits with 1 if a question
failed or a figure is not what is wanted of it.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from benchmarks.harness import machine, terminal
from benchmarks.harness.answer import Results
from benchmarks.harness.ask import ask, describe
from benchmarks.harness.report import write_report
from benchmarks.harness.results import load, merged, save
from benchmarks.questions import NAMES, SECTIONS

WIDTH = 120  # columns, where nobody says how wide it is
RESULTS = Path(__file__).parent / "results" / "results.json"


@click.command(help=(__doc__ or "").replace("\n\n", "\n\n\b\n"))
@click.argument("names", nargs=-1, metavar="[QUESTION]...")
@click.option("--quick", is_flag=True, help="Fewer samples: less than three minutes for all.")
@click.option("--list", "listing", is_flag=True, help="Say what can be asked, and end.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    default=RESULTS,
    show_default="benchmarks/results/results.json",
    help="Results file; the report gets the same name with .html.",
)
@click.option(
    "--keep",
    is_flag=True,
    help="Keep the results file's other answers: replace those to the questions that are asked.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="For a question that takes some: its file says which.",
)
def main(
    names: Sequence[str],
    *,
    quick: bool,
    listing: bool,
    output: Path,
    keep: bool,
    options: Sequence[str],
) -> None:
    if listing:
        _list()
        return
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        raise click.UsageError(f"no question {unknown[0]!r}; there are: {', '.join(NAMES)}")
    before = load(output) if keep and output.exists() else None
    results = _ask(names or NAMES, quick, dict(map(_key_and_value, options)))
    results = merged(before, results)
    save(results, output)
    report = output.with_suffix(".html")
    write_report(results, report)
    click.echo(f"\nEvery sample: {output}\nReport: {report}")
    sys.exit(0 if results.held else 1)


def _key_and_value(option: str) -> tuple[str, str]:
    key, equals, value = option.partition("=")
    if not equals:
        raise click.BadParameter(f"expected KEY=VALUE, and got {option!r}", param_hint="--option")
    return key, value


def _ask(names: Sequence[str], quick: bool, options: dict[str, str]) -> Results:  # noqa: FBT001
    console = Console()
    if not console.is_terminal:
        console.width = WIDTH
    answers, facts = [], machine.facts()
    with terminal.Bars(console, len(names)) as bars:
        for name in names:
            bars.begin(name)
            answers.append(ask(name, bars, quick=quick, options=options))
            terminal.show(console, answers[-1])
            bars.end()
    return Results(facts, answers)


def _list() -> None:
    for section, names in SECTIONS.items():
        click.echo(section)
        for name in names:
            click.echo(f"  {name:20} {describe(name)[0]}")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks")
