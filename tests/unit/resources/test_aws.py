"""What of aws_client and of the shared session needs no server."""

from __future__ import annotations

import asyncio
import gc
import pickle
import sys
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from warmkit import DefinitionError, Environment, Resource, StartError
from warmkit.resources import MissingPackageError, ServiceError, aws_client, s3_client
from warmkit.resources.aws.client import read_timeout
from warmkit.resources.aws.collector import uncollected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SENTINEL = "s3ntinel"
A_NAME = 'service must be a name such as "dynamodb", as boto3.client() takes it, not'


@pytest.fixture
def collecting() -> Iterator[None]:
    """The collector is on and nothing is frozen, and so it will be again."""
    gc.enable()
    gc.unfreeze()
    yield
    gc.enable()
    gc.unfreeze()


# -- what is refused


@pytest.mark.parametrize(
    ("service", "message"),
    [
        (None, f"{A_NAME} NoneType"),
        (s3_client, f"{A_NAME} function"),
        ("", f"{A_NAME} another text"),
        ("../../etc", f"{A_NAME} another text"),
        ("s3/2006-03-01", f"{A_NAME} another text"),
        (f"dynamodb {SENTINEL}", f"{A_NAME} another text"),
    ],
)
def test_what_is_no_name_of_a_service_is_refused_at_import(service: Any, message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        aws_client(service)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"region": 5}, "region must be a str, or None, not int"),
        ({"endpoint_url": ""}, "endpoint_url must be a str, or None, not an empty one"),
        ({"config": {}}, "config must be an AioConfig, not dict"),
        ({"max_gap": -1}, "max_gap must be a number of seconds, 0 or more, not -1"),
        ({"endpoint": "x"}, "aws_client takes no endpoint.\n  Did you mean 'endpoint_url'?"),
        ({"regio": "x"}, "aws_client takes no regio.\n  Did you mean 'region'?"),
        ({"region_name": "x"}, "aws_client takes no region_name.\n  Write region=."),
        (
            {"check_after": 30},
            (
                "aws_client takes no check_after.\n"
                "  Write it for s3_client, or a check for a resource of your own that takes the client."
            ),
        ),
    ],
)
def test_what_cannot_work_is_refused_at_import(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        aws_client("dynamodb", **arguments)
    assert str(caught.value) == message


def test_s3_client_refuses_the_same() -> None:
    with pytest.raises(
        DefinitionError, match=r"^s3_client takes no region_name.\n  Write region=.$"
    ):
        s3_client(region_name="eu-west-1")


# -- what a recipe is


def test_a_client_is_named_by_its_parameter_unless_it_has_a_name() -> None:
    client = aws_client("dynamodb")
    client.seal("orders")
    assert client.name == "orders"
    assert aws_client("dynamodb", name="table").name == "table"


def test_no_request_is_spent_on_freshness() -> None:
    limits = aws_client("dynamodb").limits
    assert (limits.can_check, limits.can_refresh, limits.max_gap) == (False, True, 5.0)
    assert aws_client("dynamodb", max_gap=60).limits.max_gap == 60


def test_clients_share_a_session() -> None:
    sessions = {
        aws_client("sqs").dependencies,
        aws_client("sns").dependencies,
        s3_client().dependencies,
    }
    assert len(sessions) == 1


def test_nothing_that_can_be_printed_shows_a_secret() -> None:
    client = aws_client(
        "sts",
        aws_access_key_id=SENTINEL,
        aws_secret_access_key=SENTINEL,
        aws_session_token=SENTINEL,
    )
    shown = [repr(client), repr(client.factory), repr(client.options), repr(client.hooks)]
    assert SENTINEL not in "".join(shown)


@pytest.mark.parametrize(
    ("service", "seconds"),
    [
        ("s3", 10),
        ("dynamodb", 10),
        ("sqs", 30),
        ("lambda", 910),
        ("stepfunctions", 310),
        ("ec2", 60),
    ],
)
def test_an_answer_is_waited_for_as_long_as_the_service_may_take(
    service: str, seconds: int
) -> None:
    assert read_timeout(service) == seconds


# -- errors


def test_a_service_error_names_those_that_are_almost_the_same() -> None:
    error = ServiceError("DynamoDb", ["dynamodb", "dynamodbstreams", "s3"])
    assert error.close == ["dynamodb", "dynamodbstreams"]
    assert str(error) == (
        "AWS has no service 'DynamoDb' among the 3 that botocore knows.\n"
        "  Did you mean 'dynamodb' or 'dynamodbstreams'?"
    )
    assert str(ServiceError("blockchain", ["s3"])) == (
        "AWS has no service 'blockchain' among the 1 that botocore knows.\n"
        "  Write the name that boto3.client() takes; for a newer service, update aiobotocore."
    )


def test_a_service_error_travels() -> None:
    error = ServiceError("sq", ["sqs", "sns"])
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


class Missing:
    """A finder that finds no aiobotocore."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name == "aiobotocore":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize("recipe", [s3_client, lambda: aws_client("sqs")])
def test_a_missing_package_is_named_with_what_to_install(
    recipe: Callable[[], Resource[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with Environment() as environment:
            await environment.get(recipe())

    for name in [name for name in sys.modules if name.partition(".")[0] == "aiobotocore"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Missing(), *sys.meta_path])
    with pytest.raises(StartError) as caught:
        asyncio.run(main())
    error = caught.value.__cause__
    assert isinstance(error, MissingPackageError)
    assert str(error) == (
        "the package aiobotocore is not installed.\n  Write: pip install 'warmkit[aws]'"
    )


# -- the garbage collector


@pytest.mark.usefixtures("collecting")
def test_nothing_is_collected_inside_and_everything_can_be_afterwards() -> None:
    class Node:
        pass

    collected: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        collected.append(phase)

    gc.collect()
    frozen = gc.get_freeze_count()  # CPython 3.12 has frozen objects of its own
    gc.callbacks.append(note)
    try:
        with uncollected():
            assert not gc.isenabled()
            assert sorted([3, 1, 2]) == [1, 2, 3]  # CPython 3.12 may still run what was due before
            collected.clear()
            kept = [Node() for _ in range(20_000)]
            node: Any = Node()
            node.itself = node
            garbage = weakref.ref(node)
            del node
            assert collected == []
    finally:
        gc.callbacks.remove(note)
    assert gc.isenabled()
    assert gc.get_freeze_count() == frozen
    assert not any(isinstance(item, Node) for item in gc.get_objects(generation=0))
    assert len(kept) == 20_000
    gc.collect()
    assert garbage() is None


@pytest.mark.usefixtures("collecting")
def test_the_collector_is_on_again_after_an_error() -> None:
    with pytest.raises(ValueError, match="lost"), uncollected():
        raise ValueError("lost")
    assert gc.isenabled()


@pytest.mark.usefixtures("collecting")
def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    with uncollected():
        assert not gc.isenabled()
    assert not gc.isenabled()


@pytest.mark.usefixtures("collecting")
def test_what_the_user_has_frozen_stays_frozen() -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    with uncollected():
        pass
    assert gc.get_freeze_count() >= frozen // 2 > 0
