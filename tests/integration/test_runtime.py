"""warmkit's runtime under AWS's emulator, beside AWS's own runtime."""

from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parent / "functions"
OURS, AWS = "warmkit.runtime", "awslambdaric"
EVENTS = [
    {"n": 1},
    [],
    "text",
    3.5,
    None,
    True,
    {"text": "café \u2028 \U0001f600"},
    {"deep": [[[{}]]]},
]


@pytest.fixture
def variables(postgres, s3, bucket):
    s3.put_objects(bucket, {f"receipt-{n}": f"thank you, {n}".encode() for n in range(10)})
    return {"DATABASE_URL": postgres.dsn, "BUCKET": bucket, **s3.environment}


def test_200_invocations_share_one_loop_and_its_resources_which_close_at_the_end(
    variables, emulator, postgres
):
    function = emulator("orders.handler", task_root=FUNCTIONS, env=variables, runtime=OURS)
    bodies = [function.invoke({"n": n})[1] for n in range(200)]
    assert [(body["total"], body["receipt"]) for body in bodies] == [
        (2 * n, f"thank you, {n % 10}") for n in range(200)
    ]
    assert len({body["process"] for body in bodies}) == 1
    assert all(body["same_loop"] for body in bodies)
    assert bodies[-1]["starts"] == {"db": 1, "aws_session": 1, "s3": 1, "one_loop": 1}
    assert postgres.peak_connections == 1
    assert len(postgres.backends()) == 1
    function.close()
    assert postgres.backends() == []
    assert "Traceback" not in function.log


def test_a_plain_handler_gets_asynchronous_resources(variables, emulator):
    function = emulator("orders.synchronous", task_root=FUNCTIONS, env=variables, runtime=OURS)
    assert [function.invoke({}) for _ in range(3)] == [(200, {"size": 1, "starts": 1})] * 3


def outcomes(emulator, handler, runtime, events):
    """What the caller gets of each event, without what must differ; and the log."""
    function = emulator(f"shapes.{handler}", task_root=FUNCTIONS, runtime=runtime)
    answers = [function.invoke(event) for event in events]
    function.close()
    for _, body in answers:
        if isinstance(body, dict):
            body.pop("requestId", None)
            assert "warmkit/runtime" not in "".join(body.get("stackTrace", []))
    return answers, function.log


@pytest.mark.parametrize("handler", ["answer", "fail"])
def test_callers_get_what_aws_gives_them(emulator, handler):
    ours, _ = outcomes(emulator, handler, OURS, EVENTS)
    assert ours == outcomes(emulator, handler, AWS, EVENTS)[0]


def test_a_result_that_json_cannot_say_has_aws_s_type_and_says_where(emulator):
    ((status, ours),), _ = outcomes(emulator, "unwritable", OURS, [{}])
    ((aws_status, aws),), _ = outcomes(emulator, "unwritable", AWS, [{}])
    assert (status, ours["errorType"]) == (aws_status, aws["errorType"])
    assert ours["errorMessage"].startswith(
        "Unable to marshal response: response['when'] is of type set"
    )


def test_an_async_def_is_served_which_aws_does_not(emulator):
    assert outcomes(emulator, "asynchronous", OURS, [1])[0] == [(200, {"event": 1})]
    ((_, aws),), _ = outcomes(emulator, "asynchronous", AWS, [1])
    assert aws["errorType"] == "Runtime.MarshalError"


def test_a_log_line_looks_as_aws_writes_it(emulator):
    def line(runtime):
        log = outcomes(emulator, "speak", runtime, [{"n": 7}])[1]
        (found,) = [line for line in log.splitlines() if "order 7" in line]
        level, moment, request_id, message = found.split("\t")
        return level, len(moment), len(request_id), message

    assert line(OURS) == line(AWS) == ("[WARNING]", 24, 36, "order 7")


@pytest.mark.parametrize(
    "handler",
    ["broken.handler", "malformed.handler", "absent.handler", "whole.absent", "whole", "sys.exit"],
)
def test_what_cannot_be_loaded_is_reported_as_aws_reports_it(emulator, handler, tmp_path):
    (tmp_path / "broken.py").write_text("raise ValueError('not today')\n")
    (tmp_path / "malformed.py").write_text("def handler(event, context)\n")
    (tmp_path / "whole.py").write_text("def handler(event, context): ...\n")

    def report(runtime):
        function = emulator(handler, task_root=tmp_path, runtime=runtime)
        status, body = function.invoke({})
        return status, body["errorType"]

    assert report(OURS) == report(AWS)
