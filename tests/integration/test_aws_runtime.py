"""Under AWS's own runtime and emulator, unmodified: one loop, one start, one connection for all invocations."""

from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parent / "functions"
MODES = {
    "on Python 3.12 and later": {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.12"},
    "in containers and on 3.11": {},
}


@pytest.fixture(params=MODES.values(), ids=MODES)
def lambda_environment(request, postgres, s3, bucket):
    """The function's variables, with its receipts in the bucket."""
    s3.put_objects(bucket, {f"receipt-{n}": f"thank you, {n}".encode() for n in range(10)})
    return {"DATABASE_URL": postgres.dsn, "BUCKET": bucket, **s3.environment, **request.param}


def expected(n):
    return 2 * n, f"thank you, {n % 10}"


def invoke(function, n):
    status, body = function.invoke({"n": n})
    assert status == 200, function.log
    assert "errorMessage" not in body, (body, function.log)
    return body


def test_200_invocations_start_each_resource_once_and_hold_one_connection(
    lambda_environment, emulator, postgres
):
    """The database sees the handler's own statements, and after the start none of ours."""
    function = emulator("orders.handler", task_root=FUNCTIONS, env=lambda_environment)
    bodies = [invoke(function, n) for n in range(200)]
    assert [(body["total"], body["receipt"]) for body in bodies] == [
        expected(n) for n in range(200)
    ]
    assert len({body["process"] for body in bodies}) == 1
    assert all(body["same_loop"] for body in bodies)
    assert bodies[-1]["starts"] == {"db": 1, "aws_session": 1, "s3": 1, "one_loop": 1}
    statements = postgres.statements()
    first_own = statements.index("SELECT $1::int * 2")
    assert statements[first_own:] == ["SELECT $1::int * 2"] * 200
    assert postgres.peak_connections == 1
    assert len(postgres.backends()) == 1


def test_connections_that_die_between_invocations_fail_none(lambda_environment, emulator, postgres):
    """Terminated right after the last use, where no check is due; and by a restart of the server."""
    function = emulator("orders.handler", task_root=FUNCTIONS, env=lambda_environment)
    results = []
    for n in range(30):
        body = invoke(function, n)
        results.append((body["total"], body["receipt"]))
        if n % 10 == 4:
            assert postgres.terminate_backends() == 1
        if n % 10 == 9:
            postgres.restart()
    assert results == [expected(n) for n in range(30)]
    assert body["starts"]["s3"] == 1


def test_a_synchronous_handler_gets_an_asynchronous_resource(lambda_environment, emulator):
    function = emulator("orders.synchronous", task_root=FUNCTIONS, env=lambda_environment)
    assert [function.invoke({}) for _ in range(3)] == [(200, {"size": 1, "starts": 1})] * 3
