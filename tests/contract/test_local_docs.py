"""The pages of `warmkit graph` and `warmkit doctor` show what the commands print, and name every code."""

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from warmkit.local.doctor.examine import Order
from warmkit.local.doctor.rules import RULES
from warmkit.local.doctor.run import run
from warmkit.local.doctor.screen import show
from warmkit.local.graph.picture import picture
from warmkit.local.graph.text import text
from warmkit.local.target import find

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
ROW = re.compile(r"^\| (WK\d+) \| (\w+) \| ([^|]+) \|", re.MULTILINE)


def block(page, kind):
    found = re.search(
        rf"^```{kind}\n(.*?)^```$", (HOW_TO / page).read_text(), re.MULTILINE | re.DOTALL
    )
    return found[1]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_the_drawing_is_what_the_command_prints(here):
    (here / "shop.py").write_text(block("graph.md", "python"))
    drawn = text(picture("shop.handler", find("shop.handler").handler))
    assert drawn + "\n" == block("graph.md", "text")


def test_the_findings_are_what_the_command_prints(here):
    (here / "app.py").write_text(block("doctor.md", "python"))
    report = run(Order("app.handler", event='{"name": "a.txt"}', slow_ms=None))
    output = StringIO()
    show(report, Console(file=output))
    shown = re.sub(r"(?m)^imports: .*\n", "", block("doctor.md", "text"))
    assert output.getvalue() == shown


def test_the_table_of_codes_is_complete():
    told = ROW.findall((HOW_TO / "doctor.md").read_text())
    assert told == [(rule.code, str(rule.severity), rule.title) for rule in RULES]


def test_the_changelog_counts_the_rules():
    changelog = (HOW_TO.parent / "changelog.md").read_text()
    assert f"`warmkit doctor app.handler`: tells by {len(RULES)} rules" in changelog
