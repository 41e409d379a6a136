"""The doctor says nothing of handlers that are as they should be."""

import re
from pathlib import Path

import pytest

from warmkit.local.doctor.examine import Order
from warmkit.local.doctor.run import run

ROOT = Path(__file__).parents[4]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
A_SLOW_MACHINE = 60_000.0  # how long an import may take is another test's business


def test_of_the_example_in_the_readme(project):
    example = BLOCK.search((ROOT / "README.md").read_text())[1]
    declarations, called, _ = example.partition("# AWS's runtime calls")
    assert called
    (project / "app.py").write_text(declarations)
    assert run(Order("app.handler", slow_ms=A_SLOW_MACHINE)).findings == ()


def test_of_the_handler_in_the_demo():
    report = run(Order("warmkit.local.demo.handlers.with_warmkit", slow_ms=A_SLOW_MACHINE))
    assert report.findings == ()
    assert "aiobotocore" in {cost.module for cost in report.costs}


def test_but_of_the_other_handler_in_the_demo_it_does():
    report = run(Order("warmkit.local.demo.handlers.without_warmkit", slow_ms=A_SLOW_MACHINE))
    assert [finding.code for finding in report.findings] == ["WK502"]


@pytest.mark.parametrize("name", ["handler", "synchronous", "brief"])
def test_of_handlers_that_the_tests_deploy(monkeypatch, name):
    monkeypatch.chdir(ROOT / "tests" / "integration" / "functions")
    report = run(Order(f"traced.{name}", slow_ms=None))
    assert not report.alarming
    assert {finding.code for finding in report.findings} == {
        "WK305"
    }  # of OpenTelemetry's own thread
