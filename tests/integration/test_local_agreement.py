"""The local Lambda agrees with AWS's emulator, case by case, or it is known why it does not."""

from __future__ import annotations

import contextlib
import http.client
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from agreement import CASES, DIFFERENCES, Came, Case
from emulator import Emulator
from served import FUNCTIONS, Served

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="both are for Linux")

INVOKE = "/2015-03-31/functions/function/invocations"
ENV = {"AWS_LAMBDA_FUNCTION_TIMEOUT": "5", "AWS_LAMBDA_FUNCTION_NAME": "function", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512"}  # fmt: skip


class Lambda(Protocol):
    """One of the two."""

    def invoke(self, event: Any, headers: dict[str, str]) -> Came: ...


class Theirs(Emulator):
    """AWS's emulator, of which the headers are seen, too."""

    def invoke(self, event: Any, headers: dict[str, str]) -> Came:  # type: ignore[override]
        with contextlib.closing(self.connect()) as connection:
            connection.request("POST", INVOKE, json.dumps(event), headers)
            answer = connection.getresponse()
            return Came(answer.status, _lowered(answer), answer.read())


class Ours(Served):
    """The local Lambda."""

    def invoke(self, event: Any, headers: dict[str, str]) -> Came:  # type: ignore[override]
        # With the tail of the log an answer comes when the environment is done, as the emulator's does.
        tail = {"X-Amz-Log-Type": "Tail"}
        return Came(*self.ask("POST", INVOKE, json.dumps(event).encode(), headers | tail))


def _lowered(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.getheaders()}


@contextlib.contextmanager
def both(handler: str, env: dict[str, str]) -> Iterator[tuple[Lambda, Lambda]]:
    version = f"AWS_Lambda_python3.{sys.version_info.minor}"  # AWS's runtime looks at it
    env = ENV | env | {"AWS_LAMBDA_FUNCTION_HANDLER": handler, "AWS_EXECUTION_ENV": version}
    options = [
        "--runtime",
        "aws",
        "--timeout",
        env["AWS_LAMBDA_FUNCTION_TIMEOUT"],
        "--memory",
        "512",
    ]
    for name, value in env.items():
        options += ["--env", f"{name}={value}"]
    with Theirs(handler, task_root=FUNCTIONS, env=env) as theirs, Ours(handler, *options) as ours:
        yield theirs, ours


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Lambda, Lambda]]:
    """Both, for the cases that change nothing."""
    with both("probe.handler", {}) as pair:
        yield pair


@pytest.mark.parametrize("name", CASES)
def test_both_do_the_same_or_it_is_known_why_not(name: str, shared: tuple[Lambda, Lambda]) -> None:
    case = CASES[name]
    if case.shared:
        theirs, ours = (played(case, one) for one in shared)
    else:
        with both(case.handler, case.env) as pair:
            theirs, ours = (played(case, one) for one in pair)
    if name in DIFFERENCES:
        assert theirs != ours, "it is no difference any more"
    else:
        assert ours == theirs


def played(case: Case, place: Lambda) -> list[Any]:
    return case.seen([place.invoke(event, case.headers) for event in case.events])


def test_the_table_has_at_least_100_cases_and_names_no_other() -> None:
    assert len(CASES) >= 100
    assert set(DIFFERENCES) <= set(CASES)


def test_the_reference_tells_how_many_agree_and_names_every_difference() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/local-agreement.md").read_text()
    assert f"{len(CASES)} protocol cases" in page
    assert f"**{len(CASES) - len(DIFFERENCES)} agree**" in page
    assert [f"| {name} | {why} |" for name, why in DIFFERENCES.items() if f"| {name} | {why} |" not in page] == []  # fmt: skip
