"""warmkit's runtime beside AWS's own on AWS's emulator, case by case: the table of docs/reference/runtime-compatibility.md.

    WRITE_TABLE=1 python -m pytest tests/integration/test_runtime_compatibility.py

writes it anew.
"""

from __future__ import annotations

import json
import os
import re
import sys
from functools import cache
from pathlib import Path

import pytest
from compatibility import AWS, MANY, MODES, OURS, Case, Outcome, outcomes
from compatibility_cases import CHAPTERS

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="AWS's emulator runs on Linux only"),
    pytest.mark.xdist_group("compatibility"),  # what was tried once is kept in the process
]

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "runtime-compatibility.md"
BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"
WIDTH = 80


@cache
def tried(chapter: str, mode: str, runtime: str) -> dict[str, Outcome]:
    return outcomes(mode, runtime, CHAPTERS[chapter])


def differing(chapter: str, mode: str) -> dict[str, tuple[Outcome, Outcome]]:
    """What callers, or the log, are told otherwise: by case, AWS's and ours."""
    theirs, ours = tried(chapter, mode, AWS), tried(chapter, mode, OURS)
    return {
        name: (theirs[name], ours[name])
        for name in theirs
        if theirs[name].of_the_caller() != ours[name].of_the_caller()
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_callers_get_what_aws_s_runtime_gives_them_or_what_has_a_reason(
    chapter: str, mode: str
) -> None:
    with_a_reason = {case.name for case in CHAPTERS[chapter] if mode in case.better}
    found = differing(chapter, mode)
    assert {name: pair for name, pair in found.items() if name not in with_a_reason} == {}
    assert set(found) == with_a_reason


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_platform_is_told_the_type_of_each_failure(chapter: str) -> None:
    """AWS's runtime tells it of none: "Runtime.Unknown" is what its platform makes of that."""
    types = {outcome.error_type for outcome in tried(chapter, MANY, OURS).values()}
    assert not {"Runtime.Unknown", "Function.Unknown"} & types


# -- the page


def test_the_page_says_so() -> None:
    table = "".join(lines_of_the_page())
    before, _, rest = PAGE.read_text().partition(BEGIN)
    found, _, after = rest.partition(END)
    if os.environ.get("WRITE_TABLE"):
        PAGE.write_text(before + BEGIN + table + END + after)
        return
    assert found == table


def lines_of_the_page() -> list[str]:
    lines = []
    for chapter, cases in CHAPTERS.items():
        same = [case.name for case in cases if not case.better]
        lines += [f"\n### {chapter}\n\nThe same: {'; '.join(same)}.\n\n"]
        rows = [row for case in cases if case.better for row in rows_of(chapter, case)]
        lines += ["| | where | AWS's | warmkit's | why |\n", "| --- | --- | --- | --- | --- |\n"]
        lines += [f"| {' | '.join(row)} |\n" for row in rows]
    return lines


def rows_of(chapter: str, case: Case) -> list[tuple[str, ...]]:
    """One row for both modes, if both say the same."""
    by_mode = {}
    for mode in case.better:
        theirs, ours = differing(chapter, mode)[case.name]
        by_mode[mode] = (case.name, *told(theirs, ours), case.better[mode])
    if len(set(by_mode.values())) == 1:
        ((name, *cells),) = set(by_mode.values())
        return [(name, "both" if len(by_mode) > 1 else next(iter(by_mode)), *cells)]
    return [(name, mode, *cells) for mode, (name, *cells) in by_mode.items()]


def told(theirs: Outcome, ours: Outcome) -> tuple[str, str]:
    if theirs[:2] != ours[:2]:
        return brief(theirs), brief(ours)
    more = [line for line in theirs.log if line not in ours.log]
    less = [line for line in ours.log if line not in theirs.log]
    return shortened("\n".join(more) or "-"), shortened("\n".join(less) or "-")


def brief(outcome: Outcome) -> str:
    body = outcome.body
    if isinstance(body, dict) and "errorType" in body:
        kind, message = body["errorType"], body.get("errorMessage", "").partition("\n")[0]
        message = message.removeprefix("Unable to marshal response: ")
        message = re.sub("(?<=recursion depth exceeded).*", "", message)  # each Python adds its own
        message = re.sub(r"\d+\.\d{3} s", "<n> s", message)
        return shortened(f"{kind}: {message}" if message else kind)
    if isinstance(body, dict) and "trace" in body:
        return shortened(f"os.environ: {body['trace']}")
    return shortened(body if isinstance(body, str) else json.dumps(body))


def shortened(text: str) -> str:
    if not text:
        return "nothing"
    text = ascii(text)[1:-1].replace("\\'", "'").replace("|", "\\|")
    return f"`{text if len(text) <= WIDTH else text[: WIDTH - 3] + '...'}`"
