"""What the demo prints: plain text, and colour where the terminal has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warmkit.local.demo.figures import Figures, Measured


class Check(NamedTuple):
    """Something that the demo promises.

    Attributes:
        held: Whether it did hold.
        promise: What, as a short sentence.
        found: What was found; shown behind the promise.
    """

    held: bool
    promise: str
    found: str = ""


class Screen:
    """Prints line by line, each as soon as it is known."""

    def __init__(self, console: Console | None = None) -> None:
        """Print to the standard output, or to another console."""
        self._console = console or Console(highlight=False)
        # A terminal breaks between words; in a file a line stays a line.
        self._keeps_lines = not self._console.is_terminal

    def say(self, text: str, style: str = "") -> None:
        """Print a text."""
        self._console.print(Text(text, style), soft_wrap=self._keeps_lines)

    def title(self, text: str) -> None:
        """Print the title of what follows."""
        self.say(f"\n{text}\n", "bold")

    def happens(self, text: str) -> None:
        """Print what is done to the handler from outside."""
        self.say(f"  -- {text}", "magenta")

    def complain(self, text: str) -> None:
        """Print what went wrong."""
        self.say(text, "bold red")

    def invocation(self, measured: Measured, story: str) -> None:
        """Print the line of one invocation."""
        line = Text().append(f"  {f'#{measured.number}':<5}", "dim")
        line.append(f"{measured.ms:7.1f} ms", "bold")
        line.append(f"   {story}", "" if story.startswith("reused") else "cyan")
        if measured.problem:
            line.append(f"   {measured.problem}", "bold red")
        self._console.print(line, soft_wrap=self._keeps_lines)

    def compare(self, without: Figures, with_: Figures) -> None:
        """Print the closing table."""
        table = Table(box=None, padding=(0, 3, 0, 2))
        table.add_column("")
        for name, style in (("without warmkit", ""), ("with warmkit", "bold")):
            table.add_column(name, justify="right", style=style)
        for row in _rows(without, with_):
            table.add_row(*row)
        self._console.print(table)

    def checks(self, checks: Iterable[Check]) -> None:
        """Print which promises held."""
        for held, promise, found in checks:
            line = Text().append(f"  {self._mark(held=held)} ", "green" if held else "bold red")
            line.append(promise, "" if held else "bold red")
            line.append(f" ({found})" if found else "", "dim" if held else "bold red")
            self._console.print(line, soft_wrap=self._keeps_lines)

    def _mark(self, *, held: bool) -> str:
        if self._console.encoding.startswith("utf"):
            return "✓" if held else "✗"
        return "ok" if held else "NO"


def _rows(*both: Figures) -> Iterable[tuple[str, ...]]:
    yield "first", *(f"{item.first_ms:.1f} ms" for item in both)
    yield "median", *(f"{item.median_ms:.1f} ms" for item in both)
    yield "worst after the first", *(f"{item.worst_later_ms:.1f} ms" for item in both)
    yield "worst of all", *(f"{item.worst_ms:.1f} ms" for item in both)
    yield "connections opened", *(str(item.connections) for item in both)
    yield "statements the server saw", *(str(len(item.statements)) for item in both)
    yield "... of these, checks", *(str(item.checks) for item in both)
    yield "failed invocations", *(str(item.failed) for item in both)
