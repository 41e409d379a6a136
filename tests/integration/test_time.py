"""The deadline, work after the response, and streaming, under AWS's emulator: AWS's runtime in both its modes, and ours."""

from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parent / "functions"
OURS, AWS = "warmkit.runtime", "awslambdaric"
HOSTS = {
    "ours": (OURS, {}),
    "AWS's on 3.12 and later": (AWS, {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"}),
    "AWS's in containers": (AWS, {}),
}


@pytest.fixture(params=HOSTS.values(), ids=HOSTS)
def start(request, emulator, postgres):
    """Starts a handler of the function under each runtime, with a timeout of two seconds."""
    runtime, variables = request.param

    def start(handler):
        env = {"DATABASE_URL": postgres.dsn, "AWS_LAMBDA_FUNCTION_TIMEOUT": "2", **variables}
        return emulator(f"slow.{handler}", task_root=FUNCTIONS, env=env, runtime=runtime)

    return start


def survives(function):
    """A call that sleeps for an hour, between two that do not: all are answered by one process."""
    _, first = function.invoke("go")
    status, failed = function.invoke("sleep")
    _, last = function.invoke("go")
    assert (status, failed["errorType"]) == (200, "DeadlineError"), function.log
    assert "was ended 0." in failed["errorMessage"]
    assert first["process"] == last["process"]
    return first["number"], last["number"]


@pytest.mark.parametrize("handler", ["warm", "warm_plain"])
def test_a_handler_that_would_time_out_fails_alone(start, handler):
    function = start(handler)
    assert survives(function) == (1, 3)
    assert function.log.count("open") == 1


@pytest.mark.parametrize("handler", ["asynchronous", "plain"])
def test_our_runtime_ends_handlers_that_are_not_ours_too(emulator, handler):
    env = {"AWS_LAMBDA_FUNCTION_TIMEOUT": "2", "DATABASE_URL": "postgres://nowhere"}
    survives(emulator(f"slow.{handler}", task_root=FUNCTIONS, env=env, runtime=OURS))


def test_what_it_had_written_is_rolled_back(start, postgres):
    postgres.execute("DROP TABLE IF EXISTS slow_orders; CREATE TABLE slow_orders (id int)")
    function = start("writing")
    assert function.invoke("write") == (200, "written")
    assert function.invoke("sleep")[1]["errorType"] == "DeadlineError"
    assert function.invoke("count") == (200, 1)
    assert len(postgres.backends()) == 1


def test_a_streamed_response_arrives_whole_and_its_environment_serves_on(emulator):
    env = {"AWS_LAMBDA_FUNCTION_TIMEOUT": "2", "DATABASE_URL": "postgres://nowhere"}
    function = emulator("slow.chunks", task_root=FUNCTIONS, env=env, runtime=OURS)
    assert [function.invoke("go") for _ in range(3)] == [(200, "one connection")] * 3
    assert function.invoke("sleep") == (200, "one ")  # the emulator ignores trailers
    assert function.invoke("go") == (200, "one connection")
    assert function.log.count("open") == 1
    assert "DeadlineError" in function.log


def test_under_aws_s_runtime_a_streaming_handler_says_what_serves_it(emulator):
    env = {"DATABASE_URL": "postgres://nowhere"}
    function = emulator("slow.chunks", task_root=FUNCTIONS, env=env, runtime=AWS)
    _, body = function.invoke("go")
    assert body["errorType"] == "UsageError"
    assert "python -m warmkit.runtime" in body["errorMessage"]


def test_work_after_the_response_is_done_before_the_next_invocation(start):
    function = start("afterwards")
    assert [function.invoke(n) for n in (1, 2)] == [(200, 1), (200, 2)]
    function.close()
    words = [line for line in function.log.splitlines() if line.startswith(("answered", "later"))]
    assert words == ["answered 1", "later 1", "answered 2", "later 2"]
