"""The local Lambda does what Lambda does, with warmkit's runtime and with AWS's, unmodified."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]
import pytest
from children import gone, processes_below
from emulator import PYTHONPATH

from warmkit.local import BlockingLambda, LocalLambda, ThrottledError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from warmkit.local.sandbox.course import Moment

FUNCTIONS = Path(__file__).parent / "functions"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it stops processes by /proc")


@pytest.fixture(params=["warmkit", "aws"])
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def start(runtime: str) -> Iterator[Callable[..., BlockingLambda]]:
    """Starts a local Lambda with a function of `sandboxed`; it ends with the test."""
    started: list[BlockingLambda] = []

    def enter(handler: str, **options: Any) -> BlockingLambda:
        options = {"task_root": FUNCTIONS, "runtime": runtime, "timeout": 10} | options
        function = BlockingLambda(f"sandboxed.{handler}", **options).__enter__()
        started.append(function)
        return function

    yield enter
    for function in started:
        function.__exit__(None, None, None)


# -- invoke


def test_one_process_serves_one_invocation_after_the_other(start: Any) -> None:
    function = start("echo")
    answers = [function.invoke({"number": number}) for number in range(5)]
    assert [answer.payload["event"] for answer in answers] == [{"number": n} for n in range(5)]
    assert len({answer.payload["pid"] for answer in answers}) == 1
    assert [answer.report.init_ms is None for answer in answers] == [False, True, True, True, True]
    assert function.log.count("the event is") == 5


def test_the_log_has_lambdas_own_lines_around_what_the_function_printed(start: Any) -> None:
    answer = start("echo").invoke(7)
    first, printed, end, report = answer.log.splitlines()
    request_id = answer.report.request_id
    assert first == f"START RequestId: {request_id} Version: $LATEST"
    assert printed == "the event is 7"
    assert end == f"END RequestId: {request_id}"
    assert report.startswith(f"REPORT RequestId: {request_id}\tDuration: ")
    assert f"Init Duration: {answer.report.init_ms:.2f} ms" in report
    assert answer.report.peak_mb > 5


def test_the_report_tells_the_time_that_was_really_taken(start: Any, tmp_path: Path) -> None:
    slow = {"IMPORT_SECONDS": "0.3", "IMPORT_FLAG": str(tmp_path / "flag")}
    function = start("sleep", env=slow)
    first = function.invoke(0).report
    assert first.init_ms is not None
    assert first.init_ms >= 300
    assert first.billed_ms >= first.init_ms + first.duration_ms
    assert function.invoke(0.2).report.duration_ms >= 200


def test_the_function_sees_the_facts_of_its_invocation(start: Any) -> None:
    function = start("facts", name="orders", timeout=10)
    answer = function.invoke(
        {}, client_context={"custom": {"a": "b"}}, tenant_id="blue", trace_id="Root=1-2-3;Sampled=1"
    )
    seen = answer.payload
    assert seen["request_id"] == answer.report.request_id
    assert seen["arn"] == "arn:aws:lambda:us-east-1:123456789012:function:orders"
    assert 5000 < seen["left"] <= 10_000
    assert seen["custom"] == {"a": "b"}
    assert seen["tenant"] == "blue"
    assert seen["trace"] == "Root=1-2-3;Sampled=1"


def test_the_environment_is_lambdas_and_holds_no_profile_of_ours(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "private")
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "another")
    monkeypatch.setenv("SHELLS_OWN", "kept")
    function = start("facts", name="orders", memory=512, env={"MINE": "1", "_HIDDEN": "1"})
    seen = function.invoke({}).payload["environment"]
    assert "AWS_PROFILE" not in seen
    assert "_HIDDEN" not in seen
    expected = {
        "AWS_LAMBDA_FUNCTION_NAME": "orders",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/orders",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python3.{sys.version_info.minor}",
        "AWS_REGION": "us-east-1",
        "LAMBDA_TASK_ROOT": str(FUNCTIONS),
        "_HANDLER": "sandboxed.facts",
        "TZ": ":UTC",
        "MINE": "1",
        "SHELLS_OWN": "kept",
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert "AWS_LAMBDA_MAX_CONCURRENCY" not in seen


def test_a_wrapper_is_started_in_place_of_the_runtime_and_handed_its_command(
    start: Any, tmp_path: Path
) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text('#!/bin/sh\nexport FROM_THE_WRAPPER="$4"\nexec "$@"\n')
    wrapper.chmod(0o755)
    function = start("facts", env={"AWS_LAMBDA_EXEC_WRAPPER": str(wrapper)})
    seen = function.invoke({}).payload["environment"]
    assert seen["FROM_THE_WRAPPER"] == "sandboxed.facts"


def test_an_exception_is_an_answer_and_the_environment_lives_on(start: Any) -> None:
    function = start("fail")
    answers = [function.invoke({}) for _ in range(2)]
    assert all(answer.failed for answer in answers)
    assert (answers[0].payload["errorType"], answers[0].payload["errorMessage"]) == (
        "ValueError",
        "no luck",
    )
    assert [answer.report.status for answer in answers] == ["error"] * 2
    assert len(function.environments) == 1
    assert function.environments[0].invocations == 2


def test_a_response_over_6_mb_is_an_error_of_the_function(start: Any) -> None:
    function = start("large")
    assert len(function.invoke(6_000_000).payload) == 6_000_000
    answer = function.invoke(6_291_556 + 1)
    assert answer.failed
    assert answer.payload["errorType"].endswith("ResponseSizeTooLarge")


# -- time out, crash, init


def test_a_timeout_ends_the_processes_and_the_next_invocation_gets_new_ones(
    start: Any, runtime: str
) -> None:
    # warmkit's ends the handler before Lambda would end it: a tenth of the timeout before
    function = start("sleep", timeout=2 if runtime == "aws" else 5)
    before = function.invoke(0).payload
    answer = function.invoke(30)
    assert answer.failed
    if runtime == "aws":
        assert answer.payload["errorType"] == "Sandbox.Timedout"
        assert "Task timed out after 2.00 seconds" in answer.payload["errorMessage"]
        assert answer.report.status == "timeout"
        assert "Task timed out after 2.00 seconds" in answer.log
        assert gone([psutil.Process(before)] if psutil.pid_exists(before) else [])
        after = function.invoke(0)
        assert after.payload != before
        assert after.report.init_ms is None  # it was repeated within the invocation's own time
    else:
        assert answer.payload["errorType"] == "DeadlineError"
        assert function.invoke(0).payload == before
    assert len(function.environments) == 1


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (3, "Runtime exited with error: exit status 3"),
        (0, "Runtime exited without providing a reason"),
        (-signal.SIGKILL, "Runtime exited with error: signal: killed"),
    ],
)
def test_a_crash_is_told_and_the_runtime_replaced(start: Any, status: int, text: str) -> None:
    function = start("end")
    before = function.invoke(None).payload
    answer = function.invoke(status)
    assert answer.failed
    assert answer.payload == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {answer.report.request_id} Error: {text}",
    }
    assert function.invoke(None).payload != before
    assert len(function.environments) == 1


def test_an_environment_that_dies_while_frozen_is_never_used_again(start: Any) -> None:
    function = start("echo")
    first = function.invoke(1)
    function.freeze()
    os.kill(first.payload["pid"], signal.SIGKILL)
    while function.environments:
        pass  # it is noticed
    second = function.invoke(2)
    assert not second.failed
    assert second.report.environment != first.report.environment


@pytest.mark.parametrize("busy", [True, False])
def test_an_environment_whose_keeper_was_killed_is_replaced(busy: bool) -> None:  # noqa: FBT001
    async def main() -> None:
        options: Any = {"task_root": FUNCTIONS, "timeout": 20}
        async with LocalLambda("sandboxed.sleep", **options) as function:
            pid = (await function.invoke(0)).payload
            keeper = psutil.Process(pid).parent()
            assert keeper is not None
            if busy:
                under_way = asyncio.create_task(function.invoke(10))
                while not function.environments[0].busy:  # noqa: ASYNC110  it begins
                    await asyncio.sleep(0)
                keeper.kill()
                assert (await under_way).payload["errorType"] == "Runtime.ExitError"
            else:
                keeper.kill()
                while function.environments:  # noqa: ASYNC110  it is noticed
                    await asyncio.sleep(0.001)
            again = await function.invoke(0)
            assert not again.failed
            assert again.payload != pid

    asyncio.run(main())


def test_an_import_that_fails_shows_its_traceback_once(start: Any) -> None:
    function = start("echo", env={"IMPORT_ERROR": "no such thing"})
    answer = function.invoke({})
    assert answer.failed
    assert "no such thing" in answer.payload["errorMessage"]
    assert function.log.count("raise RuntimeError") == 1
    assert "INIT_REPORT" in function.log
    assert function.invoke({}).failed
    assert function.log.count("raise RuntimeError") == 1  # nothing new to say


@pytest.mark.parametrize(
    ("handler", "kind", "word"),
    [
        ("nowhere.handler", "Runtime.ImportModuleError", "nowhere"),
        ("sandboxed.nothing", "Runtime.HandlerNotFound", "nothing"),
    ],
)
def test_a_handler_that_is_not_there_is_named(
    runtime: Any, handler: str, kind: str, word: str
) -> None:
    with BlockingLambda(handler, task_root=FUNCTIONS, runtime=runtime) as function:
        answer = function.invoke({})
    assert answer.payload["errorType"] == kind
    assert word in answer.payload["errorMessage"]


def test_an_init_over_its_limit_is_cut_and_repeated_within_the_invocation(
    start: Any, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    function = start("echo", env={"IMPORT_AWAITS": str(flag)}, init_limit=0.5, timeout=60)
    with ThreadPoolExecutor(1) as caller:
        invoked = caller.submit(function.invoke, 1)
        while "Phase: init\tStatus: timeout" not in function.log:
            assert not invoked.done()
        flag.touch()
        answer = invoked.result()
    assert not answer.failed
    assert answer.report.init_ms is None


def test_an_import_that_never_ends_is_a_timeout(runtime: Any) -> None:
    options: Any = {"task_root": FUNCTIONS, "runtime": runtime, "init_limit": 0.3, "timeout": 0.5}
    with BlockingLambda("endless.handler", **options) as function:
        answer = function.invoke(1)
    assert answer.payload["errorType"] == "Sandbox.Timedout"
    assert answer.report.status == "timeout"


# -- the pool


def test_busy_environments_are_not_shared_and_the_most_recent_is_used_again() -> None:
    async def main() -> None:
        options: Any = {"task_root": FUNCTIONS, "timeout": 10}
        async with LocalLambda("sandboxed.sleep", **options) as function:
            pids = await asyncio.gather(*(function.invoke(0.3) for _ in range(3)))
            assert len({answer.payload for answer in pids}) == 3
            latest = function.environments[-1].name
            answer = await function.invoke(0)
            assert answer.report.environment == latest

    asyncio.run(main())


def test_more_than_the_limit_is_refused() -> None:
    async def main() -> None:
        async with LocalLambda("sandboxed.sleep", task_root=FUNCTIONS, limit=1) as function:
            busy = asyncio.create_task(function.invoke(0.5))
            while not function.environments:  # noqa: ASYNC110  the task has not begun yet
                await asyncio.sleep(0)
            with pytest.raises(ThrottledError, match="all 1 environments are busy"):
                await function.invoke(0)
            assert not (await busy).failed
            assert not (await function.invoke(0)).failed

    asyncio.run(main())


def test_an_idle_environment_ends_after_its_time() -> None:
    async def main() -> None:
        ended = asyncio.Event()

        def note(moment: Moment) -> None:
            if moment.what == "ended":
                ended.set()

        options: Any = {"task_root": FUNCTIONS, "idle_time": 0.05, "observe": note}
        async with LocalLambda("sandboxed.echo", **options) as function:
            pid = (await function.invoke(1)).payload["pid"]
            await ended.wait()
            assert function.environments == []
            assert not psutil.pid_exists(pid)

    asyncio.run(main())


def test_tenants_never_share_an_environment() -> None:
    async def main() -> None:
        async with LocalLambda("sandboxed.echo", task_root=FUNCTIONS) as function:
            names = [
                (await function.invoke(1, tenant_id=tenant)).report.environment
                for tenant in ("blue", "red", "blue", "")
            ]
            assert names[0] == names[2]
            assert len(set(names)) == 3

    asyncio.run(main())


def test_provisioned_environments_are_there_before_the_first_invocation() -> None:
    async def main() -> None:
        async with LocalLambda("sandboxed.facts", task_root=FUNCTIONS, provisioned=2) as function:
            await function.freeze()
            assert [one.frozen for one in function.environments] == [True, True]
            seen = (await function.invoke({})).payload["environment"]
            assert seen["AWS_LAMBDA_INITIALIZATION_TYPE"] == "provisioned-concurrency"
            assert len(function.environments) == 2

    asyncio.run(main())


def test_one_environment_serves_many_at_once_and_does_not_freeze(runtime: Any) -> None:
    async def main() -> None:
        options: Any = {"task_root": FUNCTIONS, "runtime": runtime, "concurrency": 4, "timeout": 10}
        async with LocalLambda("sandboxed.sleep", **options) as function:
            answers = await asyncio.gather(*(function.invoke(0.3) for _ in range(4)))
            assert not any(answer.failed for answer in answers)
            pids = {answer.payload for answer in answers}
            assert len(pids) == (1 if runtime == "warmkit" else 4)  # AWS's is a process for each
            assert len(function.environments) == 1
            await function.freeze()
            assert [one.frozen for one in function.environments] == [False]

    asyncio.run(main())


def test_with_many_at_once_a_timeout_is_told_and_the_others_go_on() -> None:
    async def main() -> None:
        options: Any = {
            "task_root": FUNCTIONS,
            "runtime": "aws",
            "concurrency": 2,
            "timeout": 0.5,
        }
        async with LocalLambda("sandboxed.sleep", **options) as function:
            slow, fast = await asyncio.gather(function.invoke(1), function.invoke(0.1))
            assert slow.payload["errorType"] == "Sandbox.Timedout"
            assert not fast.failed
            again = await function.invoke(0.1)
            assert again.report.environment == fast.report.environment

    asyncio.run(main())


@pytest.mark.parametrize("frozen", [True, False])
def test_a_snapshot_is_taken_after_init_and_restored_by_the_first_invocation(
    frozen: bool,  # noqa: FBT001
) -> None:
    async def main() -> None:
        options: Any = {"task_root": FUNCTIONS, "runtime": "aws", "initialization": "snap-start"}
        async with LocalLambda("restored.handler", **options, freeze=frozen) as function:
            first = (await function.invoke({})).payload
            assert first == ["imported", "before the snapshot", "after the restore", "invoked"]
            assert (await function.invoke({})).payload == [*first, "invoked"]

    asyncio.run(main())


# -- the end


def test_without_an_extension_the_end_comes_without_a_warning() -> None:
    ends: list[str] = []
    options: Any = {
        "task_root": FUNCTIONS,
        "runtime": "aws",
        "observe": lambda moment: ends.append(moment.detail) if moment.what == "exited" else None,
    }
    with BlockingLambda("sandboxed.echo", **options) as function:
        function.invoke(1)
    assert ends == ["runtime: signal: killed"]  # a warning would have ended it: terminated


@pytest.mark.parametrize("obeys", [True, False])
def test_an_internal_extension_brings_a_warning_and_half_a_second(
    tmp_path: Path, *, obeys: bool
) -> None:
    """Under AWS's runtime, whose main thread may sit in C code, the function's own handler does not end it."""
    signals = tmp_path / "signals"
    env = {"SIGNALS": str(signals), "INTERNAL": "mine"} | ({"OBEY": "1"} if obeys else {})
    moments: list[Moment] = []
    options: Any = {"task_root": FUNCTIONS, "env": env, "observe": moments.append}
    runtime: Any = "warmkit" if obeys else "aws"
    with BlockingLambda("sandboxed.echo", runtime=runtime, **options) as function:
        function.invoke(1)
        function.freeze()
    at = {moment.what: moment.at for moment in moments}
    how = next(moment.detail for moment in moments if moment.what == "exited")
    if obeys:
        noted = [json.loads(line)["signal"] for line in signals.read_text().splitlines()]
        assert (noted, how) == (["SIGTERM"], "runtime: exit status 0")
        assert at["exited"] - at["shutdown"] < 0.5
    else:
        assert how == "runtime: signal: killed"
        assert at["exited"] - at["shutdown"] >= 0.5


EXTENSION = """\
#!{python}
import json, os, sys, time, urllib.request
base = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2020-01-01/extension"
name = os.path.basename(sys.argv[0])
def ask(path, data=None, **headers):
    headers = {{key.replace("_", "-"): value for key, value in headers.items()}}
    return urllib.request.urlopen(urllib.request.Request(base + path, data, headers))
answer = ask("/register", b'{{"events": ["INVOKE", "SHUTDOWN"]}}', Lambda_Extension_Name=name)
identifier = answer.headers["Lambda-Extension-Identifier"]
def say(*words):  # at once: the function prints, too
    os.write(1, " ".join(map(str, ["<extension", *words, "end>\\n"])).encode())
say("registered", json.load(answer)["handler"], "_HANDLER" in os.environ)
while True:
    event = json.load(ask("/event/next", Lambda_Extension_Identifier=identifier))
    say("got", event["eventType"], event.get("shutdownReason"))
    if event["eventType"] == "SHUTDOWN":
        say("budget", event["deadlineMs"] - time.time() * 1000)
        break
"""


def test_an_external_extension_is_started_told_of_invocations_and_of_the_end(
    tmp_path: Path,
) -> None:
    program = tmp_path / "watcher"
    program.write_text(EXTENSION.format(python=sys.executable))
    program.chmod(0o755)
    options: Any = {"task_root": FUNCTIONS, "extensions": (program,), "timeout": 10}
    with BlockingLambda("sandboxed.echo", **options) as function:
        function.invoke(1)
        function.freeze()
        function.invoke(2)
    *said, budget = re.findall("<extension (.*?) end>", function.log)
    assert said == [
        "registered sandboxed.echo False",
        "got INVOKE None",
        "got INVOKE None",
        "got SHUTDOWN spindown",
    ]
    assert 500 < float(budget.removeprefix("budget ")) <= 2000


# -- nothing is left


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_when_the_process_that_started_it_ends(
    how: signal.Signals, tmp_path: Path
) -> None:
    program = f"""
    import asyncio, sys
    from pathlib import Path
    from warmkit.local import LocalLambda
    async def main():
        async with LocalLambda("sandboxed.leave_behind", task_root=Path({str(FUNCTIONS)!r})) as function:
            await function.invoke({{"here": {str(tmp_path / "a")!r}, "away": {str(tmp_path / "b")!r}}})
            await function.freeze()
            print("frozen", flush=True)
            await asyncio.Event().wait()
    asyncio.run(main())
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=os.environ | {"PYTHONPATH": PYTHONPATH},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"frozen\n"
        below = processes_below(owner.pid)
        assert len(below) >= 4  # the keeper, the runtime, the two that it left behind
        os.killpg(owner.pid, how)
        owner.wait(20)
        assert gone(below)


def test_nothing_is_left_after_a_with_block(start: Any, tmp_path: Path) -> None:
    before = set(processes_below(os.getpid()))
    with BlockingLambda("sandboxed.leave_behind", task_root=FUNCTIONS) as function:
        function.invoke({"here": str(tmp_path / "a"), "away": str(tmp_path / "b")})
        started = set(processes_below(os.getpid())) - before
        assert len(started) >= 4
    assert not any(process.is_running() for process in started)
