"""`warmkit invoke`: a timeline for people, JSON for programs, a status for scripts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from emulator import PYTHONPATH

FUNCTIONS = Path(__file__).parent / "functions"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it stops processes by /proc")


def invoke(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command to its end, in the directory of the functions."""
    command = [sys.executable, "-c", "from warmkit.local.cli import main; main()", "invoke"]
    return subprocess.run(
        [*command, *arguments],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        cwd=FUNCTIONS,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def facts(done: subprocess.CompletedProcess[str], what: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [line for line in lines if line["what"] == what]


@pytest.mark.parametrize("runtime", ["warmkit", "aws"])
def test_it_shows_what_happened_line_by_line(runtime: str) -> None:
    done = invoke("sandboxed.echo", "--times", "2", "--gap", "0.2", "--runtime", runtime)
    assert (done.returncode, done.stderr) == (0, "")
    texts = [line[28:] for line in done.stdout.splitlines()]  # after the time and the environment
    story = [re.sub(r"[\d.]+ (ms|s)\b|\d+}", "N", text) for text in texts]
    assert [line for line in story if not line.startswith(("exited", "ended"))][:8] == [
        "ready init N",
        "the event is {}",
        '#1 ok in N after N of init: {"event": {}, "pid": N',
        "frozen",
        "-- nothing for N",
        "thawed",
        "the event is {}",
        '#2 ok in N: {"event": {}, "pid": N',
    ]
    assert "\x1b" not in done.stdout  # no terminal, no colour
    assert "2 invocations, 0 not as expected, 1 cold starts" in done.stdout


def test_json_is_one_object_a_line() -> None:
    done = invoke("sandboxed.echo", "--json", "--times", "3", "--event", '{"a": 1}')
    assert (done.returncode, done.stderr) == (0, "")
    played = facts(done, "invocation")
    assert [one["number"] for one in played] == [1, 2, 3]
    assert [one["cold"] for one in played] == [True, False, False]
    assert [one["payload"]["event"] for one in played] == [{"a": 1}] * 3
    (summary,) = facts(done, "summary")
    assert (summary["invocations"], summary["unexpected"], summary["cold"]) == (3, 0, 1)


def test_invocations_at_once_have_environments_of_their_own() -> None:
    done = invoke(
        "sandboxed.sleep", "--event", "0.5", "--times", "3", "--concurrent", "3", "--json"
    )
    assert len({one["environment"] for one in facts(done, "invocation")}) == 3


def test_killed_in_between_each_is_cold() -> None:
    done = invoke("sandboxed.echo", "--times", "2", "--kill", "--json")
    assert [one["cold"] for one in facts(done, "invocation")] == [True, True]
    whats = [one["moment"] for one in facts(done, "moment")]
    assert whats.count("shutdown") == 1  # only the second ended in order


def test_a_failed_invocation_is_status_1() -> None:
    done = invoke("sandboxed.fail", "--json")
    assert done.returncode == 1
    (played,) = facts(done, "invocation")
    assert (played["outcome"], played["expected"]) == ("error", False)
    assert played["payload"]["errorMessage"] == "no luck"


SCENARIO = """
[[step]]
invoke = 0

[[step]]
invoke = 0.3
times = 3
concurrent = 3

[[step]]
freeze = 0.1

[[step]]
cut = true

[[step]]
invoke = 30
expect = "{timeout}"

[[step]]
shutdown = true

[[step]]
invoke = 0
"""


@pytest.mark.parametrize(("runtime", "timeout"), [("aws", "timeout"), ("warmkit", "error")])
def test_a_scenario_tells_a_whole_life(tmp_path: Path, runtime: str, timeout: str) -> None:
    path = tmp_path / "life.toml"
    path.write_text(SCENARIO.replace("{timeout}", timeout))
    more = ("--runtime", runtime, "--timeout", "1", "--json")
    done = invoke("sandboxed.sleep", "--scenario", str(path), *more)
    played = facts(done, "invocation")
    outcomes = {one["number"]: one["outcome"] for one in played}
    assert [outcomes[number] for number in range(1, 7)] == ["ok"] * 4 + [timeout, "ok"]
    assert next(one for one in played if one["number"] == 6)["cold"]
    assert done.returncode == 0


def test_an_event_comes_from_a_file_or_from_the_standard_input(tmp_path: Path) -> None:
    (tmp_path / "event.json").write_text('{"from": "file"}')
    done = invoke("sandboxed.echo", "--json", "--event", f"@{tmp_path / 'event.json'}")
    assert facts(done, "invocation")[0]["payload"]["event"] == {"from": "file"}
    done = invoke("sandboxed.echo", "--json", "--event", "-", stdin='{"from": "stdin"}')
    assert facts(done, "invocation")[0]["payload"]["event"] == {"from": "stdin"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("sandboxed",), "'sandboxed' names no function. Write: module.function"),
        (("a.b", "--event", "{"), "it is no JSON"),
        (("a.b", "--event", "@nowhere.json"), "nowhere.json"),
        (("a.b", "--env", "X"), "'X' has no value. Write: --env NAME=VALUE"),
        (("a.b", "--task-root", "/nowhere"), "'/nowhere' does not exist"),
    ],
)
def test_what_is_wrong_on_the_command_line_is_named(arguments: tuple[str, ...], named: str) -> None:
    done = invoke(*arguments)
    assert done.returncode == 2
    assert named in done.stderr
    assert "Traceback" not in done.stderr
