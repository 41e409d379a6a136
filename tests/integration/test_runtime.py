"""warmkit's runtime under AWS's emulator; beside AWS's own it is in test_runtime_compatibility."""

from pathlib import Path

import pytest

FUNCTIONS = Path(__file__).parent / "functions"
OURS = "warmkit.runtime"


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
