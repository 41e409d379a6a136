"""Many invocations at once, on AWS's emulator in its multi-concurrency mode."""

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from children import gone
from gate import PATIENCE, Gate
from managed import UNAVAILABLE

FUNCTIONS = Path(__file__).parent / "functions"
OURS, AWS = "warmkit.runtime", "awslambdaric"
N = 16


@pytest.fixture
def callers():
    with ThreadPoolExecutor(N) as callers:
        yield callers


@pytest.fixture
def gate(callers):
    """It opens at the end of a test that failed: its callers end then."""
    with Gate() as gate:
        yield gate


@pytest.fixture
def start(managed_instance, gate):
    """Starts an instance with one of the functions, which know the gate."""

    def start(handler, concurrency=N, runtime=OURS, **variables):
        return managed_instance(
            f"crowd.{handler}",
            concurrency=concurrency,
            task_root=FUNCTIONS,
            runtime=runtime,
            env={"GATE": gate.address, **variables},
        )

    return start


def in_the_background(callers, instance, events):
    """Invokes with all of them at once; returns what will be the answers."""
    return [
        callers.submit(instance.patient_exchange, json.dumps(event).encode()) for event in events
    ]


def until_logged(text, function):
    """Reads the log until the text is there; the emulator passes on what it is given when it comes to it."""
    ends = time.monotonic() + PATIENCE
    while text not in function.log:
        assert time.monotonic() < ends, function.log


@pytest.mark.parametrize(("runtime", "processes"), [(OURS, 1), (AWS, 4)])
def test_invocations_run_at_the_same_time(start, gate, callers, runtime, processes):
    """Under AWS's runtime in processes of their own."""
    instance = start("meet", 4, runtime)
    answers = in_the_background(callers, instance, range(4))
    gate.await_arrivals(4)
    for n in range(4):
        until_logged(f"here comes {n}.", instance)
    gate.open()
    bodies = [answer.result().content for answer in answers]
    assert [body["event"] for body in bodies] == list(range(4))
    assert len({body["process"] for body in bodies}) == processes
    running = [psutil.Process(body["process"]) for body in bodies]
    instance.close()
    assert gone(running)


def surroundings():
    entries = {path.name for path in Path("/var").iterdir()}
    return entries, Path("/proc/self/mountinfo").read_text()


def test_a_function_sees_a_var_of_its_own_and_nobody_else_does(start):
    before = surroundings()
    seen = start("look", 1).patient_exchange(b"null").content
    assert set(seen["var"]) == before[0] | {"runtime", "task"}
    assert "crowd.py" in seen["task"]
    assert seen["directory"] == "/var/task"
    assert seen["can_read"]
    assert surroundings() == before


@pytest.mark.parametrize("runtime", [OURS, AWS])
def test_when_all_are_busy_the_next_one_is_refused(start, gate, callers, runtime):
    instance = start("meet", 3, runtime)
    answers = in_the_background(callers, instance, range(3))
    gate.await_arrivals(3)
    assert instance.exchange(b"3")[:2] == (400, UNAVAILABLE)
    gate.open()
    assert [answer.result().content["event"] for answer in answers] == [0, 1, 2]
    last = in_the_background(callers, instance, [4])
    gate.await_arrivals(1)
    gate.open()
    assert last[0].result().content["event"] == 4


def test_a_bad_one_harms_no_other(start, gate, callers):
    """One raises, one exits, one hangs until the platform has given it up, one returns what is no JSON."""
    instance = start("behave", AWS_LAMBDA_FUNCTION_TIMEOUT="5")
    bad = {1: "raise", 5: "exit", 9: "wait", 13: "unwritable"}
    events = [{"n": n, "how": bad.get(n, "well")} for n in range(N)]
    answers = [answer.result() for answer in in_the_background(callers, instance, events)]
    errors = {n: answers[n].error_type for n in bad}
    assert errors == {
        1: "Function.LookupError",
        5: "Function.SystemExit",
        9: "Sandbox.Timedout",
        13: "Runtime.MarshalError",
    }
    good = [answers[n].content for n in range(N) if n not in bad]
    assert good == [{"n": n, "id": True} for n in range(N) if n not in bad]

    gate.await_arrivals(1)
    gate.open()  # what hung answers now, too late: it costs nobody anything
    waiting = in_the_background(callers, instance, [{"n": n, "how": "wait"} for n in range(N)])
    gate.await_arrivals(N)
    gate.open()
    assert [answer.result().content["n"] for answer in waiting] == list(range(N))
    assert "was not taken: 410" in instance.log


def test_log_lines_stay_whole_and_say_whose_they_are(start, gate, callers):
    instance = start("speak")
    answers = in_the_background(callers, instance, range(N))
    gate.await_arrivals(N)
    gate.open()
    assert {answer.result().status for answer in answers} == {200}
    instance.close()
    lines = instance.log.splitlines()
    records = [json.loads(line) for line in lines if line.startswith("{")]
    said = [record for record in records if record.get("logger") == "crowd"]
    assert sorted(record["message"] for record in said) == sorted(
        f"{word} {n}" for word in ("come", "gone") for n in range(N)
    )
    assert all(record["requestId"] == record["own"] for record in said)
    printed = {line for line in lines if line.startswith("print")}
    assert printed == {f"print {record['own']} {'x' * 5000}" for record in said}


@pytest.mark.parametrize("runtime", [OURS, AWS])
def test_what_is_printed_is_in_the_log_at_once(start, emulator, gate, runtime):
    """Even half a line: the environment may be frozen now, and never thawed."""
    instance = start("half_a_line", 2, runtime)
    instance.patient_exchange(b'"many"')
    until_logged("a line of many", instance)
    function = emulator("crowd.half_a_line", task_root=FUNCTIONS, runtime=runtime)
    function.invoke("one")
    until_logged("a line of one\nhalf of one", function)


@pytest.mark.parametrize("runtime", [OURS, AWS])
def test_logs_need_no_socket_of_their_own(start, tmp_path, runtime):
    """Lambda offers one to workers that were forked; it takes the first process's output as it is, and ours is the first."""
    path = str(tmp_path / "logs")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        listener.settimeout(PATIENCE)
        instance = start("half_a_line", 1, runtime, _LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET=path)
        instance.patient_exchange(b'"one"')
        if runtime == AWS:
            with listener.accept()[0] as output, output.makefile() as lines:
                assert "a line of one\n" in lines
        else:
            until_logged("a line of one", instance)
            listener.settimeout(0)
            with pytest.raises(BlockingIOError):
                listener.accept()


def test_all_invocations_share_one_pool_which_closes_at_the_end(start, postgres):
    instance = start("ask", DATABASE_URL=postgres.dsn)
    for _ in range(5):
        answers = [answer.content for answer in instance.invoke_together(range(N))]
        assert answers == [{"number": 2 * n, "starts": 1} for n in range(N)]
    assert len(postgres.backends()) <= N
    instance.close()
    assert postgres.backends() == []
