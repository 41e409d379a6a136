"""The timeline: plain text, colour where the terminal has it, and few lines for many invocations."""

import io

import pytest
from rich.console import Console

from warmkit.local.local_lambda import Answer
from warmkit.local.play import Played
from warmkit.local.sandbox.course import Moment
from warmkit.local.sandbox.report import Report
from warmkit.local.timeline import MANY, Timeline, summary


def shown(*, terminal, invocations, happen):
    file = io.StringIO()
    timeline = Timeline(
        invocations, Console(file=file, force_terminal=terminal, width=120, highlight=False)
    )
    happen(timeline)
    timeline.close()
    return file.getvalue()


def played(number, *, cold=False, outcome="ok", duration_ms=2.0):
    report = Report(
        request_id="r",
        environment="e",
        duration_ms=duration_ms,
        init_ms=100.0 if cold else None,
        memory_mb=128,
        peak_mb=20,
    )
    return Played(number, Answer(b"1", outcome != "ok", report, ""), outcome, outcome == "ok")


@pytest.mark.parametrize("terminal", [True, False])
def test_there_is_colour_on_a_terminal_only(terminal):
    text = shown(terminal=terminal, invocations=1, happen=lambda line: line.played(played(1)))
    assert "#1 ok in 2.0 ms: 1" in text
    assert ("\x1b[" in text) is terminal


def test_a_line_of_the_log_that_was_joined_for_lambda_is_several_lines():
    text = shown(terminal=False, invocations=1, happen=lambda line: line.printed("e", "a\rb"))
    assert [line.split()[-1] for line in text.splitlines()] == ["a", "b"]


def test_lambdas_own_lines_are_not_repeated():
    text = shown(
        terminal=False, invocations=1, happen=lambda line: line.printed("e", "END RequestId: x")
    )
    assert text == ""


def test_of_many_invocations_only_those_that_stand_out_have_a_line():
    def happen(timeline):
        timeline.happened(Moment(0.0, "e", "frozen"))
        timeline.played(played(1, cold=True))
        for number in range(2, MANY):
            timeline.played(played(number))
        timeline.played(played(MANY, outcome="error"))

    text = shown(terminal=False, invocations=MANY, happen=happen)
    assert len(text.splitlines()) == 2
    assert "#1 ok" in text
    assert f"#{MANY} error" in text


def test_the_figures_are_of_all_that_were_answered():
    throttled = Played(4, None, "throttled", expected=False)
    many = [played(1, cold=True, duration_ms=9.0), played(2), played(3), throttled]
    assert summary(many) == {
        "invocations": 4,
        "unexpected": 1,
        "cold": 1,
        "environments": 1,
        "median_ms": 2.0,
        "worst_ms": 9.0,
    }
    assert summary([throttled])["median_ms"] is None
