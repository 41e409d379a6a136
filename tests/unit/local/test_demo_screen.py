"""What the demo prints: whole lines, plain where there is no terminal."""

import io

import pytest
from rich.console import Console

from warmkit.local.demo.figures import Figures, Measured
from warmkit.local.demo.screen import Check, Screen


class Printed(io.TextIOWrapper):
    """A stream that is no terminal."""

    def __init__(self, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, write_through=True)

    @property
    def text(self) -> str:
        return self.buffer.getvalue().decode(self.encoding)


@pytest.fixture(autouse=True)
def _no_wishes(monkeypatch):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "NO_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)


def screen(printed: Printed, **options) -> Screen:
    return Screen(Console(file=printed, highlight=False, **options))


def test_an_invocation_is_one_line_however_long():
    printed = Printed()
    story = "started " + ", ".join(f"resource_{number} (10 ms)" for number in range(20))
    screen(printed).invocation(Measured(1, 48.24), story)
    assert printed.text == f"  #1      48.2 ms   {story}\n"


def test_a_problem_stands_in_the_invocations_line():
    printed = Printed()
    screen(printed).invocation(Measured(12, 1.0, "failed: OSError: [x]", failed=True), "reused db")
    assert printed.text == "  #12      1.0 ms   reused db   failed: OSError: [x]\n"


def test_checks_are_marked():
    printed = Printed()
    screen(printed).checks([Check(True, "Fine", "1 of 1"), Check(False, "Broken")])
    assert printed.text == "  ✓ Fine (1 of 1)\n  ✗ Broken\n"


def test_checks_are_marked_where_only_ascii_can_be_printed():
    printed = Printed("ascii")
    screen(printed).checks([Check(True, "Fine"), Check(False, "Broken")])
    assert printed.text == "  ok Fine\n  NO Broken\n"


def test_a_terminal_gets_colour_unless_no_color_is_set(monkeypatch):
    coloured, plain = Printed(), Printed()
    screen(coloured, force_terminal=True, color_system="standard").say("text", "red")
    monkeypatch.setenv("NO_COLOR", "1")
    screen(plain, force_terminal=True, color_system="standard").say("text", "red")
    assert coloured.text == "\x1b[31mtext\x1b[0m\n"
    assert plain.text == "text\n"


def test_the_table_compares_the_figures():
    printed = Printed()
    without = Figures([Measured(n, ms) for n, ms in enumerate([50, 40, 60], 1)], 3, ["SELECT"] * 3)
    calls = [Measured(1, 45), Measured(2, 1), Measured(3, 2, "failed", failed=True)]
    screen(printed).compare(without, Figures(calls, 2, ["SELECT", "SELECT 1"]))
    rows = [line.split() for line in printed.text.splitlines()]
    assert ["median", "50.0", "ms", "2.0", "ms"] in rows
    assert ["worst", "after", "the", "first", "60.0", "ms", "2.0", "ms"] in rows
    assert ["worst", "of", "all", "60.0", "ms", "45.0", "ms"] in rows
    assert ["first", "50.0", "ms", "45.0", "ms"] in rows
    assert ["connections", "opened", "3", "2"] in rows
    assert ["statements", "the", "server", "saw", "3", "2"] in rows
    assert ["...", "of", "these,", "checks", "0", "1"] in rows
    assert ["failed", "invocations", "0", "1"] in rows
