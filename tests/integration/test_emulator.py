"""The Lambda emulator runs unmodified functions with AWS's unmodified runtime."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import psutil  # type: ignore[import-untyped]
import pytest
from children import gone

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import StartEmulator


@pytest.fixture
def task_root(tmp_path: Path) -> Path:
    """A directory with a function that uses nothing but Python."""
    code = """
    import os, subprocess, sys, time

    def handler(event, context):
        print("the event is", event)
        return {"event": event, "pid": os.getpid()}

    def fail(event, context):
        raise ValueError("no luck")

    def environment(event, context):
        return dict(os.environ)

    def leave_behind(event, context):
        command = [sys.executable, "-c", "import time; time.sleep(600)"]
        return [os.getpid(), subprocess.Popen(command, process_group=0).pid]

    def slow(event, context):
        time.sleep(600)
    """
    (tmp_path / "app.py").write_text(textwrap.dedent(code))
    return tmp_path


def test_one_process_serves_all_invocations(emulator: StartEmulator, task_root: Path) -> None:
    environment = emulator("app.handler", task_root=task_root)
    answers = [environment.invoke({"number": number}) for number in range(5)]
    assert [status for status, _ in answers] == [200] * 5
    assert [body["event"] for _, body in answers] == [{"number": number} for number in range(5)]
    assert len({body["pid"] for _, body in answers}) == 1
    runtime = psutil.Process(answers[0][1]["pid"])
    environment.close()
    assert gone([runtime])
    assert environment.log.count("the event is") == 5


def test_errors_are_described(emulator: StartEmulator, task_root: Path) -> None:
    _, body = emulator("app.fail", task_root=task_root).invoke({})
    assert (body["errorType"], body["errorMessage"]) == ("ValueError", "no luck")


def test_a_timeout_is_reported(emulator: StartEmulator, task_root: Path) -> None:
    environment = emulator(
        "app.slow", task_root=task_root, env={"AWS_LAMBDA_FUNCTION_TIMEOUT": "1"}
    )
    _, body = environment.invoke({})
    assert "Task timed out after 1.00 seconds" in body


def test_the_environment_holds_nothing_of_the_users_aws(
    emulator: StartEmulator, task_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "private")
    own = {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"}
    _, body = emulator("app.environment", task_root=task_root, env=own).invoke({})
    assert "AWS_PROFILE" not in body
    assert body["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.12"


def test_close_ends_what_the_function_left_behind(emulator: StartEmulator, task_root: Path) -> None:
    environment = emulator("app.leave_behind", task_root=task_root)
    _, pids = environment.invoke({})
    processes = [psutil.Process(pid) for pid in pids]
    environment.close()
    assert gone(processes)
