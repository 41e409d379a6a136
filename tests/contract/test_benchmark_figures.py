"""The figures in README and docs are those of the published results, and these are of the suite as it is."""

import re

import pytest

from benchmarks.harness.ask import describe
from benchmarks.harness.documents import MARK, PUBLISHED, REPORT, documents, filled
from benchmarks.harness.report.page import digest
from benchmarks.harness.results import load
from benchmarks.harness.run import ROOT
from benchmarks.publish import faults
from benchmarks.questions import NAMES

COMMAND = re.compile(r"python -m benchmarks((?: [a-z_]+)+)")


@pytest.fixture(scope="module")
def results():
    return load(PUBLISHED)


def test_the_published_results_may_be_published(results):
    assert faults(results) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_published_answer_is_to_the_question_as_it_is_asked_today(name, results):
    answered = results.question(name)
    assert (answered.question, answered.method, answered.not_shown) == describe(name)


@pytest.mark.parametrize("path", [*documents()], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_has_the_figures_of_the_published_results(path, results):
    text = path.read_text()
    assert text == filled(text, results), "run python -m benchmarks.publish"


def test_the_report_is_that_of_the_published_results(results):
    assert f'<meta name="results" content="{digest(results)}">' in REPORT.read_text()


def test_the_readme_closes_with_the_suites_table():
    assert "closing" in [mark["what"] for mark in MARK.finditer((ROOT / "README.md").read_text())]


@pytest.mark.parametrize("path", [*documents()], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_document_names_questions_that_there_are(path):
    named = {name for found in COMMAND.findall(path.read_text()) for name in found.split()}
    assert named <= set(NAMES)
