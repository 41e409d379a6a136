"""Figures in documents: between marks, and only what the results have."""

import msgspec
import pytest
from made import answered, results

from benchmarks.harness.documents import UnknownFigureError, filled


@pytest.mark.parametrize(
    ("what", "text"),
    [
        ("warm_path.added", "2.5 µs"),
        ("warm_path.call/by hand", "4.80 µs"),
        ("warm_path.call/by hand/ratio", "2.00"),
    ],
)
def test_a_figure_is_written_between_its_marks(what, text):
    document = f"It takes <!-- bench:{what} -->nothing<!-- /bench -->, we say."
    assert (
        filled(document, results())
        == f"It takes <!-- bench:{what} -->{text}<!-- /bench -->, we say."
    )


def test_what_is_filled_already_stays_and_so_does_what_has_no_marks():
    document = "3 µs\n<!-- bench:closing -->\n<!-- /bench -->\n<!-- bench:all --><!-- /bench -->"
    once = filled(document, results())
    assert once.startswith("3 µs\n")
    assert filled(once, results()) == once


def test_the_closing_table_has_what_is_found_wanted_and_how_to_see_it():
    text = filled("<!-- bench:closing --><!-- /bench -->", results())
    assert (
        "| it adds 2.5 µs to a call | 2.0 to 3.0 | at most 10 µs | `python -m benchmarks warm_path` |"
        in text
    )


@pytest.mark.parametrize(
    ("what", "line"), [("call", "| by hand | 4.80 |"), ("calls", "| warmkit | 0 |")]
)
def test_a_table_is_written_by_its_name_or_title(what, line):
    text = filled(f"<!-- bench:warm_path:{what} --><!-- /bench -->", results())
    assert line.rstrip("|") in text
    assert "| x warmkit |" in text or what == "calls"


def test_everything_has_every_row_every_count_and_what_is_not_shown():
    text = filled("<!-- bench:all --><!-- /bench -->", results())
    for part in ("What of warm_path?", "| by hand |", "3 of 4", "The rest.", "x warmkit"):
        assert part in text


@pytest.mark.parametrize(
    "what", ["nope.added", "warm_path.nope", "warm_path.call/nope", "warm_path", "warm_path:nope"]
)
def test_a_figure_that_is_not_there_is_an_error_that_says_what_is(what):
    with pytest.raises(
        UnknownFigureError, match=r"write question\.finding, .* of: warm_path, other"
    ):
        filled(f"<!-- bench:{what} --><!-- /bench -->", results(answered(), answered("other")))


def test_a_question_without_an_answer_has_no_figures():
    failed = msgspec.structs.replace(answered(), answer=None, failure="it broke")
    with pytest.raises(UnknownFigureError):
        filled("<!-- bench:warm_path.added --><!-- /bench -->", results(failed))
