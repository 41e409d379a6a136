"""SnapStart under AWS's runtime and under warmkit's: the same hooks, the same failures, and no connection in a snapshot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from snapshot_platform import PATIENCE, SnapshotPlatform

FUNCTIONS = Path(__file__).parent / "functions"
RUNTIMES = ["awslambdaric", "warmkit.runtime"]
ONCE, TWICE = {"model": 1, "prices": 1, "aws_session": 1}, {"db": 2, "s3": 2}


@pytest.fixture
def platform():
    with SnapshotPlatform() as platform:
        yield platform


@pytest.fixture
def function(platform, postgres, s3):
    """Starts a runtime with the function; it ends with the test."""
    started = []

    def start(runtime, **variables):
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        env |= {
            "AWS_LAMBDA_RUNTIME_API": platform.address,
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            "AWS_LAMBDA_FUNCTION_NAME": "cloned",
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",  # there is no SnapStart before 3.12
            "PYTHONPATH": os.pathsep.join([str(FUNCTIONS.parents[2]), str(FUNCTIONS)]),
            "DATABASE_URL": postgres.dsn,
            **s3.environment,
            **variables,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", runtime, "cloned.handler"],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_snapshot_holds_no_connection_and_the_copy_serves(
    function, platform, postgres, runtime
):
    process = function(runtime)
    platform.wait_for("restore/next")
    assert postgres.peak_connections == 1  # all was started, and used by a hook
    assert postgres.backends() == []
    platform.restore()
    platform.wait_for("invocation/next")
    kind, _, body = platform.invoke(b'{"n": 21}')
    answer = json.loads(body)
    assert (kind, answer["total"], answer["number"]) == ("invocation/id-1/response", 42, 1)
    assert answer["starts"] == ONCE | TWICE
    assert answer["name"] == f"cloned/{answer['environment']}"
    platform.wait_for("invocation/next")
    again = json.loads(platform.invoke(b'{"n": 1}')[2])
    assert (again["number"], again["starts"]) == (2, ONCE | TWICE)
    assert len(postgres.backends()) == 1
    assert platform.faults == []
    process.terminate()
    output, _ = process.communicate(timeout=PATIENCE)
    snapshot, *hooks = output.splitlines()
    assert snapshot.startswith("environment ")
    assert snapshot != f"environment {answer['environment']}"
    assert hooks == ["before: second", "before: first 2", "after: third", "after: fourth 0"]


FAILURES = {
    "before": ("init/error", "Runtime.BeforeSnapshotError", "ValueError", 64),
    "before exits": ("init/error", "Runtime.BeforeSnapshotError", "SystemExit", 64),
    "after": ("restore/error", "Runtime.AfterRestoreError", "ValueError", 65),
}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("where", FAILURES)
def test_a_hook_that_fails_is_told_and_ends_the_process(function, platform, runtime, where):
    process = function(runtime, FAILS=where)
    if where == "after":
        platform.wait_for("restore/next")
        platform.restore()
    path, kind, error_type, status = FAILURES[where]
    posted, header, body = platform.posted.get(timeout=PATIENCE)
    report = json.loads(body)
    assert (posted, header, report["errorType"]) == (path, kind, error_type)
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == status
    assert "Traceback" in output
    assert f"[ERROR] {error_type}: {report['errorMessage']}" in output.replace("\r", "\n")
    assert platform.faults == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_platform_that_takes_no_snapshots_is_told_so(function, platform, runtime):
    platform.refuses = True
    process = function(runtime)
    posted, header, body = platform.posted.get(timeout=PATIENCE)
    assert (posted, header) == ("init/error", "Runtime.BeforeSnapshotError")
    assert "404" in json.loads(body)["errorMessage"]
    assert process.wait(PATIENCE) == 64


def test_sigterm_in_the_snapshot_ends_the_process_in_order(function, platform):
    process = function("warmkit.runtime")
    platform.wait_for("restore/next")
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert platform.posted.empty()


def test_sigterm_in_a_hook_is_no_failure_of_the_hook_s(function, platform, postgres):
    process = function("warmkit.runtime", FAILS="before hangs")
    while "before: second" not in (line := process.stdout.readline()):
        assert line
    assert len(postgres.backends()) == 1
    process.terminate()
    assert process.wait(PATIENCE) == 0
    assert platform.posted.empty()
    assert postgres.backends() == []


COPIES = """
import ctypes, json, os, random, sys, uuid

import cloned
from awslambdaric.lambda_runtime_hooks_runner import run_after_restore, run_before_snapshot

run_before_snapshot()
print(json.dumps(cloned.handler.environment.id), flush=True)
for _ in range(2):
    # The C library's fork, of which Python hears nothing: the child is what its memory says, as after a restore.
    child = ctypes.PyDLL(None).fork()
    if not child:
        run_after_restore()
        from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
        answer = cloned.handler({"n": 1}, None)
        print(json.dumps({
            "environment": answer["environment"],
            "application": answer["name"],
            "random": random.random(),
            "trace": RandomIdGenerator().generate_trace_id(),
            "uuid4": uuid.uuid4().hex,
            "number": answer["number"],
        }), flush=True)
        cloned.handler.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
os._exit(0)
"""


def test_two_copies_of_one_snapshot_share_nothing_that_has_to_differ(postgres, s3, tmp_path):
    script = tmp_path / "copies.py"
    script.write_text(COPIES)
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        env={
            **os.environ,
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
            "AWS_LAMBDA_FUNCTION_NAME": "cloned",
            "PYTHONPATH": os.pathsep.join([str(FUNCTIONS.parents[2]), str(FUNCTIONS)]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stderr, done.returncode) == ("", 0)
    original, *copies = [json.loads(line) for line in done.stdout.splitlines() if line[0] in '"{']
    assert [copy.pop("number") for copy in copies] == [1, 1]
    for name in ("environment", "application", "random", "trace", "uuid4"):
        assert copies[0][name] != copies[1][name], name
    assert original not in [copy["environment"] for copy in copies]
    assert postgres.backends() == []
