"""`warmkit serve`: an unmodified boto3, curl and a browser find a Lambda; what is wrong is said, and it lives on."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from children import accepts, gone
from served import COMMAND, FUNCTIONS, Served

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it stops processes by /proc")


@pytest.fixture(scope="module", params=["warmkit", "aws"])
def echo(request: pytest.FixtureRequest) -> Iterator[Served]:
    with Served("sandboxed.facts", "--runtime", request.param, "--name", "orders") as served:
        yield served


@pytest.fixture(scope="module")
def web() -> Iterator[Served]:
    with Served("url.handler") as served:
        yield served


def payload(answer: Any) -> Any:
    return json.loads(answer["Payload"])


# -- Invoke


def test_boto3_invokes_it(echo: Served) -> None:
    answer = echo.invoke(FunctionName="orders", Payload=b'{"a": 1}')
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    seen = payload(answer)
    assert seen["request_id"] == answer["ResponseMetadata"]["RequestId"]
    assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24};Parent=[0-9a-f]{16};Sampled=0", seen["trace"])  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "orders",
        "orders:prod",
        "123456789012:function:orders",
        "arn:aws:lambda:us-east-1:123456789012:function:orders",
        "arn:aws:lambda:us-east-1:123456789012:function:orders:7",
    ],
)
def test_a_function_has_many_names(echo: Served, name: str) -> None:
    assert echo.invoke(FunctionName=name)["StatusCode"] == 200


def test_the_client_context_arrives(echo: Served) -> None:
    context = base64.b64encode(b'{"custom": {"a":\n"b"}}').decode()
    answer = echo.invoke(FunctionName="orders", ClientContext=context)
    assert payload(answer)["custom"] == {"a": "b"}


def test_the_tail_of_the_log_comes_with_the_answer(echo: Served) -> None:
    answer = echo.invoke(FunctionName="orders", LogType="Tail")
    log = base64.b64decode(answer["LogResult"]).decode()
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert log.startswith(f"START RequestId: {request_id}")
    assert f"REPORT RequestId: {request_id}" in log


def test_a_dry_run_runs_nothing(echo: Served) -> None:
    answer = echo.invoke(FunctionName="orders", InvocationType="DryRun")
    assert (answer["StatusCode"], answer["Payload"]) == (204, b"")
    request_id = answer["ResponseMetadata"]["RequestId"]
    after = echo.invoke(FunctionName="orders")["ResponseMetadata"]["RequestId"]
    echo.wait_for(f"REPORT RequestId: {after}")
    assert not any(request_id in line for line in echo.lines)


def test_a_failure_of_the_function_is_marked() -> None:
    with Served("sandboxed.fail") as served:
        answer = served.invoke()
        assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
        assert payload(answer)["errorMessage"] == "no luck"


def test_an_event_that_fails_is_tried_again_twice_with_the_same_id() -> None:
    with Served("sandboxed.fail", "--retry-delays", "0.01,0.02") as served:
        answer = served.invoke(InvocationType="Event")
        assert answer["StatusCode"] == 202
        served.wait_for("failed 3 times and is given up")
        request_id = answer["ResponseMetadata"]["RequestId"]
        starts = [line for line in served.lines if f"START RequestId: {request_id}" in line]
        assert len(starts) == 3


def test_an_event_that_succeeds_is_carried_out_once(echo: Served) -> None:
    before = len(echo.lines)
    answer = echo.invoke(FunctionName="orders", InvocationType="Event")
    request_id = answer["ResponseMetadata"]["RequestId"]
    echo.wait_for(f"REPORT RequestId: {request_id}")
    echo.invoke(FunctionName="orders")
    assert sum(f"START RequestId: {request_id}" in line for line in echo.lines[before:]) == 1


# -- streaming


def test_a_stream_is_a_stream_for_boto3() -> None:
    with Served("streaming.words") as served:
        answer = served.client().invoke_with_response_stream(
            FunctionName="function", LogType="Tail"
        )
        events = list(answer["EventStream"])
        chunks = [event["PayloadChunk"]["Payload"] for event in events[:-1]]
        assert chunks == [b"one ", b"two ", b"three "]
        complete = events[-1]["InvokeComplete"]
        assert "ErrorCode" not in complete
        assert b"REPORT" in base64.b64decode(complete["LogResult"])
        whole = served.invoke()
        assert whole["Payload"] == b"one two three "


def test_a_stream_that_fails_says_so_at_its_end() -> None:
    with Served("streaming.breaks") as served:
        answer = served.client().invoke_with_response_stream(FunctionName="function")
        *chunks, last = list(answer["EventStream"])
        assert [event["PayloadChunk"]["Payload"] for event in chunks] == [b"one "]
        assert last["InvokeComplete"]["ErrorCode"] == "Unhandled"
        assert "no more" in last["InvokeComplete"]["ErrorDetails"]
        whole = served.invoke()
        assert whole["FunctionError"] == "Unhandled"


def test_what_does_not_stream_is_one_chunk(echo: Served) -> None:
    answer = echo.client().invoke_with_response_stream(FunctionName="orders")
    chunk, complete = list(answer["EventStream"])
    assert json.loads(chunk["PayloadChunk"]["Payload"])["request_id"]
    assert complete == {"InvokeComplete": {}}


# -- the URL


def test_a_request_is_an_event_of_version_2(web: Served) -> None:
    headers = {"Content-Type": "application/json", "Cookie": "a=1; b=2", "X-Twice": "1"}
    status, _, body = web.ask("PUT", "/echo?x=1&x=2&y=", b'{"k": 1}', headers)
    assert status == 200
    event = json.loads(body)
    assert (event["version"], event["routeKey"]) == ("2.0", "$default")
    assert (event["rawPath"], event["rawQueryString"]) == ("/echo", "x=1&x=2&y=")
    assert event["queryStringParameters"] == {"x": "1,2", "y": ""}
    assert event["cookies"] == ["a=1", "b=2"]
    assert event["headers"]["x-twice"] == "1"
    assert (event["body"], event["isBase64Encoded"]) == ('{"k": 1}', False)
    about = event["requestContext"]["http"]
    assert (about["method"], about["path"], about["sourceIp"]) == ("PUT", "/echo", "127.0.0.1")


def test_a_body_that_is_no_text_is_base64(web: Served) -> None:
    _, _, body = web.ask("POST", "/echo", b"\x00\xff", {"Content-Type": "image/png"})
    event = json.loads(body)
    assert event["isBase64Encoded"]
    assert base64.b64decode(event["body"]) == b"\x00\xff"


def test_a_result_is_an_answer(web: Served) -> None:
    status, headers, body = web.ask("GET", "/whole")
    assert (status, body) == (201, b"hello")
    assert (headers["x-mine"], headers["content-type"]) == ("yes", "text/plain")
    assert headers["set-cookie"] == "b=2; Secure"
    assert web.ask("GET", "/binary")[2] == bytes(range(256))
    status, headers, body = web.ask("GET", "/plain")
    assert (status, headers["content-type"], body) == (200, "application/json", b'"just a text"')


@pytest.mark.parametrize("path", ["/fail", "/wrong", "/nothing"])
def test_what_is_no_answer_is_502_and_the_reason_is_printed(web: Served, path: str) -> None:
    before = len(web.lines)
    status, _, body = web.ask("GET", path)
    assert (status, body) == (502, b"Internal Server Error")
    web.wait_for("the URL answered 502, because")
    assert web.ask("GET", "/plain")[0] == 200
    assert before < len(web.lines)


def test_a_page_is_streamed_with_its_head() -> None:
    with Served("streaming.page") as served:
        status, headers, body = served.ask("GET", "/there")
        assert (status, body) == (201, b"hello /there")
        assert (headers["x-mine"], headers["set-cookie"]) == ("yes", "a=1")


def test_a_stream_that_nobody_can_read_does_not_hold_the_function() -> None:
    with Served("streaming.headless", "--timeout", "20") as served:
        assert served.ask("GET", "/")[0] == 502
        served.wait_for("the URL answered 502, because statusCode is 7")
        served.wait_for("REPORT")
        assert not any("Status: timeout" in line for line in served.lines)


# -- what is wrong


@pytest.mark.parametrize(
    ("given", "status", "kind", "named"),
    [
        ({"FunctionName": "other"}, 404, "ResourceNotFoundException", "Function not found: other"),
        ({"Payload": b"{no"}, 400, "InvalidRequestContentException", "Could not parse"),
        ({"Payload": b'"\xff"'}, 400, "InvalidRequestContentException", "Could not parse"),
        ({"ClientContext": "%%%"}, 400, "InvalidRequestContentException", "Client context"),
        ({"ClientContext": "e30" * 1500}, 400, "InvalidRequestContentException", "3583 bytes"),
        ({"InvocationType": "Later"}, 400, "InvalidParameterValueException", "'Later' is none of"),
        ({"Payload": b'"' + b"x" * 6_291_456 + b'"'}, 413, "RequestTooLargeException", "6291456"),
        (
            {"Payload": b'"' + b"x" * 1_048_576 + b'"', "InvocationType": "Event"},
            413,
            "RequestTooLargeException",
            "1048576",
        ),
    ],
)
def test_a_wrong_request_has_its_own_error(
    web: Served, given: dict[str, Any], status: int, kind: str, named: str
) -> None:
    client = web.client(parameter_validation=False)
    with pytest.raises(ClientError, match=re.escape(named)) as caught:
        client.invoke(**{"FunctionName": "function"} | given)
    assert caught.value.response["Error"]["Code"] == kind
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert web.ask("GET", "/plain")[0] == 200  # it lives on


def test_more_than_the_limit_is_throttled() -> None:
    with Served("sandboxed.sleep", "--limit", "1", "--timeout", "10") as served:
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            busy = pool.submit(served.invoke, Payload=b"1.5")
            served.wait_for("START")
            with pytest.raises(ClientError) as caught:
                served.invoke(Payload=b"0")
            assert caught.value.response["Error"]["Code"] == "TooManyRequestsException"
            assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
            assert busy.result()["StatusCode"] == 200
        assert invoked_once_free(served)["StatusCode"] == 200


def invoked_once_free(served: Served) -> Any:
    """A caller has its answer before its environment asks for the next invocation."""
    for _ in range(1000):
        try:
            return served.invoke(Payload=b"0")
        except ClientError as error:
            if error.response["Error"]["Code"] != "TooManyRequestsException":
                raise
    raise AssertionError("the environment is busy for ever")


@pytest.mark.parametrize(
    ("handler", "kind", "timeout"),
    [
        ("nowhere.handler", "Runtime.ImportModuleError", "60"),
        ("sandboxed.nothing", "Runtime.HandlerNotFound", "60"),
        ("endless.handler", "Sandbox.Timedout", "0.5"),
    ],
)
def test_a_function_that_cannot_be_loaded_is_an_answer_and_the_server_lives_on(
    handler: str, kind: str, timeout: str
) -> None:
    more = ("--timeout", timeout, "--runtime", "aws")
    with Served(handler, *more) as served:
        for _ in range(1 if "endless" in handler else 2):
            answer = served.invoke()
            assert answer["FunctionError"] == "Unhandled"
            assert payload(answer)["errorType"] == kind


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        done = subprocess.run(
            [*COMMAND, "sandboxed.echo", "--port", port],
            cwd=FUNCTIONS,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
    assert done.returncode == 1
    assert done.stderr == f"Error: port {port} is in use. Choose another: --port, 0 for any.\n"


def test_other_operations_of_the_api_are_no_requests_to_the_function(web: Served) -> None:
    with pytest.raises(ClientError, match="only Invoke"):
        web.client().get_function(FunctionName="function")


def test_a_page_elsewhere_cannot_reach_it_through_a_name_of_its_own(web: Served) -> None:
    status, _, body = web.ask("GET", "/plain", headers={"Host": f"evil.example:{web.port}"})
    assert status == 403
    assert b"evil.example" in body
    for host in ("localhost", f"localhost:{web.port}", "[::1]:80", "127.0.0.1"):
        assert web.ask("GET", "/plain", headers={"Host": host})[0] == 200


# -- its life


def test_a_change_of_the_source_is_there_with_the_next_invocation(tmp_path: Path) -> None:
    source = tmp_path / "app.py"
    source.write_text("def handler(event, context): return 1")
    with Served("app.handler", "--reload", root=tmp_path) as served:
        assert payload(served.invoke()) == 1
        source.write_text("def handler(event, context): return 2  # changed")
        served.wait_for("app.py changed")
        assert payload(served.invoke()) == 2


@pytest.mark.parametrize(
    ("how", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_nothing_is_left_of_it(how: signal.Signals, status: int, tmp_path: Path) -> None:
    with Served("sandboxed.leave_behind") as served:
        files = {"here": str(tmp_path / "a"), "away": str(tmp_path / "b")}
        served.invoke(Payload=json.dumps(files).encode())
        below = served.processes()
        assert len(below) >= 4
        os.killpg(served.process.pid, how)
        assert served.process.wait(30) == status
        assert gone(below)
        assert not accepts(served.port)


def test_an_invocation_under_way_does_not_hold_its_end() -> None:
    with (
        Served("sandboxed.sleep", "--timeout", "60") as served,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        path = "/2015-03-31/functions/function/invocations"
        busy = pool.submit(served.ask, "POST", path, b"50")
        served.wait_for("START")
        below = served.processes()
        os.killpg(served.process.pid, signal.SIGINT)
        assert served.process.wait(30) == 130
        assert gone(below)
        assert busy.result()[0] == 500


def test_an_environment_that_is_being_started_does_not_hold_its_end() -> None:
    with (
        Served("endless.handler") as served,
        concurrent.futures.ThreadPoolExecutor(1) as pool,
    ):
        path = "/2015-03-31/functions/function/invocations"
        busy = pool.submit(served.ask, "POST", path, b"{}")
        while len(served.processes()) < 2:  # the keeper and the runtime
            pass
        below = served.processes()
        os.killpg(served.process.pid, signal.SIGINT)
        assert served.process.wait(30) == 130
        assert gone(below)
        assert busy.result()[0] == 500
        assert not any("Traceback" in line for line in served.lines)


def test_100_at_once_are_100_environments_and_none_after_the_idle_time(tmp_path: Path) -> None:
    more = ("--idle", "1", "--timeout", "180", "--runtime", "aws")
    go = tmp_path / "go"
    with Served("sandboxed.until", *more) as served:
        client = served.client(max_pool_connections=100)

        def invoke(_: int) -> int:
            answer = client.invoke(FunctionName="function", Payload=json.dumps(str(go)))
            return int(answer["Payload"].read())

        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            invoked = [pool.submit(invoke, n) for n in range(100)]
            served.wait_for("START", times=100)
            go.touch()
            assert len({future.result() for future in invoked}) == 100
        assert gone(served.processes())
        assert served.process.poll() is None


def test_100_at_once_with_a_limit_of_10_are_10_and_the_rest_throttled(tmp_path: Path) -> None:
    more = ("--limit", "10", "--timeout", "180", "--runtime", "aws")
    go = tmp_path / "go"
    with Served("sandboxed.until", *more) as served:
        client = served.client(max_pool_connections=100)

        def invoke(_: int) -> int | str:
            try:
                answer = client.invoke(FunctionName="function", Payload=json.dumps(str(go)))
            except ClientError as error:
                return str(error.response["Error"]["Code"])
            return int(answer["Payload"].read())

        with concurrent.futures.ThreadPoolExecutor(100) as pool:
            came = concurrent.futures.as_completed([pool.submit(invoke, n) for n in range(100)])
            assert {next(came).result() for _ in range(90)} == {"TooManyRequestsException"}
            go.touch()
            assert len({future.result() for future in came}) == 10
