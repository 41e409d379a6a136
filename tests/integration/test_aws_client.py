"""aws_client against moto's server, alone and behind a network that breaks."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.config import AioConfig
from aiohttp import ClientOSError, ClientPayloadError
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.exceptions import ReadTimeoutError as BotocoreReadTimeoutError

from warmkit import Environment, EventKind, Resource, StartError, WarmHandler, warm_handler
from warmkit.resources import ServiceError, aws_client, s3_client
from warmkit.testing import EventRecorder, VirtualClock

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from conftest import Really
    from keep_alive import KeepAlive

    from warmkit.local.s3_server import S3Server
    from warmkit.testing import Relay

    StartRelay = Callable[[int], Relay]

KEY, TOKEN = "AKIAS3NTINELKEY", "s3ntinel-token"
SECRET = "s3ntinel/secret"
ONCE = AioConfig(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=0.3)


@pytest.fixture
def line(s3: S3Server, bucket: str, relay: StartRelay) -> Relay:
    """The network in front of the server, where an object lies in the bucket."""
    s3.put_objects(bucket, {"key": b"value"})
    return relay(s3.port)


def through(line: Relay, service: str = "s3", **options: Any) -> Resource[Any]:
    return aws_client(
        service, endpoint_url=f"http://127.0.0.1:{line.port}", name=service, **options
    )


def reading(client: Resource[Any], bucket: str) -> WarmHandler[bytes]:
    @warm_handler(client=client)
    async def handler(key: str, context: object, client: Any) -> bytes:
        answer = await client.get_object(Bucket=bucket, Key=key)
        async with answer["Body"] as body:
            content: bytes = await body.read()
            return content

    return handler


async def arrival(line: Relay) -> None:
    while not line.open:  # noqa: ASYNC110  it arrives in the relay's thread
        await asyncio.sleep(0)


# -- many services, one session


def test_several_services_live_on_one_session(
    s3: S3Server, bucket: str, really: Really, recorder: EventRecorder
) -> None:
    s3.put_objects(bucket, {"key": b"value"})
    url = s3.endpoint_url

    @warm_handler(
        s3=s3_client(),
        dynamodb=aws_client("dynamodb", endpoint_url=url),
        sqs=aws_client("sqs", endpoint_url=url),
    )
    async def handler(event: object, context: object, s3: Any, dynamodb: Any, sqs: Any) -> Any:
        answer = await s3.get_object(Bucket=bucket, Key="key")
        async with answer["Body"] as body:
            value = (await body.read()).decode()
        await dynamodb.create_table(
            TableName=bucket,
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        await dynamodb.put_item(TableName=bucket, Item={"id": {"S": value}})
        queue = await sqs.create_queue(QueueName=bucket)
        await sqs.send_message(QueueUrl=queue["QueueUrl"], MessageBody=value)
        item = await dynamodb.get_item(TableName=bucket, Key={"id": {"S": value}})
        received = await sqs.receive_message(QueueUrl=queue["QueueUrl"])
        return item["Item"]["id"]["S"], received["Messages"][0]["Body"]

    @really
    async def _(_: Environment) -> None:
        assert await handler.invoke(None) == ("value", "value")

    started = [event.resource for event in recorder.of(EventKind.STARTED)]
    assert sorted(filter(None, started)) == ["aws_session", "dynamodb", "s3", "sqs"]
    assert len(s3.requests()) == 7  # the handler's own


FILES = """
import asyncio, json, os, sys

opened = []

def hook(event, arguments):
    if event == "open" and "botocore/data/" in str(arguments[0]).replace(os.sep, "/"):
        opened.append(str(arguments[0]).partition("botocore" + os.sep + "data" + os.sep)[2])

sys.addaudithook(hook)

from warmkit import Environment
from warmkit.resources import aws_client, s3_client

async def main():
    told = []
    async with Environment() as environment:
        for client in s3_client(), s3_client(), aws_client("s3", region="eu-west-1"), aws_client("sqs"):
            await environment.get(client)
            told.append(sorted(opened))
            opened.clear()
    print(json.dumps(told))

asyncio.run(main())
"""


def test_what_clients_have_in_common_is_loaded_once_and_no_more_than_is_needed(
    s3: S3Server, program: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    done = program(FILES, **s3.environment)
    assert done.stderr == ""
    assert json.loads(done.stdout) == [
        [
            "endpoints.json",
            "partitions.json",
            "s3/2006-03-01/endpoint-rule-set-1.json.gz",
            "s3/2006-03-01/service-2.json.gz",
            "s3/2006-03-01/service-2.sdk-extras.json",
            "sdk-default-configuration.json",
        ],
        [],
        [],
        ["sqs/2012-11-05/endpoint-rule-set-1.json.gz", "sqs/2012-11-05/service-2.json.gz"],
    ]


def test_one_hundred_requests_at_once_are_each_answered(
    s3: S3Server, bucket: str, really: Really
) -> None:
    s3.put_objects(bucket, {str(number): str(number).encode() for number in range(100)})
    handler = reading(aws_client("s3"), bucket)

    @really
    async def _(_: Environment) -> None:
        answers = await asyncio.gather(*(handler.invoke(str(number)) for number in range(100)))
        assert answers == [str(number).encode() for number in range(100)]

    assert len(s3.requests()) == 100


def test_one_hundred_requests_at_once_share_ten_connections(
    keep_alive: KeepAlive, really: Really
) -> None:
    handler = reading(aws_client("s3"), "bucket")

    @really
    async def _(_: Environment) -> None:
        answers = await asyncio.gather(*(handler.invoke("key") for _ in range(100)))
        assert answers == [b"hello"] * 100

    assert len(keep_alive.requests) == 100
    assert 1 < len(keep_alive.connections) <= 10


# -- names


@pytest.mark.parametrize(
    ("service", "advice"),
    [
        ("DynamoDB", "Did you mean 'dynamodb' or 'dynamodbstreams'?"),
        ("step-functions", "Did you mean 'stepfunctions'?"),
        (
            "qqq",
            "Write the name that boto3.client() takes; for a newer service, update aiobotocore.",
        ),
    ],
)
def test_a_wrong_service_is_named_with_those_that_are_almost_the_same(
    s3: S3Server, really: Really, service: str, advice: str
) -> None:
    client = aws_client(service)

    @really
    async def _(environment: Environment) -> None:
        with pytest.raises(StartError) as caught:
            await environment.get(client)
        error = caught.value.__cause__
        assert isinstance(error, ServiceError)
        assert error.service == service
        first, _, last = str(error).partition("\n  ")
        assert first.startswith(f"AWS has no service {service!r} among the ")
        assert last == advice


def test_a_name_that_botocore_translates_is_taken(s3: S3Server, really: Really) -> None:
    client = aws_client("runtime.sagemaker")

    @really
    async def _(environment: Environment) -> None:
        value = await environment.get(client)
        assert value.meta.service_model.service_name == "sagemaker-runtime"


# -- options


def test_limits_fit_the_service_and_the_users_go_first(s3: S3Server, really: Really) -> None:
    sqs = aws_client("sqs")
    mine = aws_client("sqs", config=AioConfig(read_timeout=5, connector_args={"force_close": True}))

    @really
    async def _(environment: Environment) -> None:
        config = (await environment.get(sqs)).meta.config
        assert (config.connect_timeout, config.read_timeout) == (2, 30)
        assert config.retries == {"mode": "standard", "total_max_attempts": 3}
        config = (await environment.get(mine)).meta.config
        assert (config.connect_timeout, config.read_timeout) == (2, 5)
        assert config.connector_args["force_close"] is True


# -- idle sockets


@pytest.mark.parametrize("region", ["us-east-1", "fips-us-gov-west-1"])
def test_idle_sockets_are_dropped_after_a_gap_and_the_client_stays(
    keep_alive: KeepAlive, really: Really, clock: VirtualClock, region: str
) -> None:
    """For a FIPS region botocore makes a configuration of its own out of ours."""
    client = aws_client("s3", name="s3", region=region)
    handler = reading(client, "bucket")

    @really
    async def _(environment: Environment) -> None:
        await handler.invoke("key")
        value = await environment.get(client)
        clock.freeze(5)
        await handler.invoke("key")
        assert len(keep_alive.connections) == 1
        clock.freeze(5.001)
        await handler.invoke("key")
        assert len(keep_alive.connections) == 2
        assert await environment.get(client) is value
        statistics = environment.statistics.resources["s3"]
        assert (statistics.refreshes, statistics.rebuilds) == (1, 0)

    assert keep_alive.requests == ["GET /bucket/key"] * 3  # the handler's own


def test_the_gap_can_be_said(keep_alive: KeepAlive, really: Really, clock: VirtualClock) -> None:
    handler = reading(aws_client("s3", max_gap=60), "bucket")

    @really
    async def _(_: Environment) -> None:
        await handler.invoke("key")
        clock.freeze(60)
        await handler.invoke("key")
        assert len(keep_alive.connections) == 1


def test_what_aws_has_closed_is_noticed_before_the_handler_runs(
    keep_alive: KeepAlive, really: Really
) -> None:
    handler = reading(aws_client("s3", name="s3", config=ONCE), "bucket")

    @really
    async def _(environment: Environment) -> None:
        await handler.invoke("key")
        keep_alive.close_connections()
        assert await handler.invoke("key") == b"hello"
        assert len(keep_alive.connections) == 2
        statistics = environment.statistics.resources["s3"]
        assert (statistics.refreshes, statistics.rebuilds) == (1, 0)


# -- a network that breaks


def test_a_connection_cut_in_the_middle_is_the_requests_failure_and_nobody_elses(
    keep_alive: KeepAlive, relay: StartRelay, really: Really
) -> None:
    line = relay(keep_alive.server_port)
    begun = asyncio.Event()

    @warm_handler(s3=through(line))
    async def handler(key: str, context: object, s3: Any) -> bytes:
        answer = await s3.get_object(Bucket="bucket", Key=key)
        begun.set()
        async with answer["Body"] as body:
            content: bytes = await body.read()
            return content

    @really
    async def _(environment: Environment) -> None:
        waiting = asyncio.create_task(handler.invoke("slow"))
        await begun.wait()  # the first half of the answer
        assert line.cut() == 1
        with pytest.raises((ClientPayloadError, ClientOSError)):
            await waiting
        assert await handler.invoke("key") == b"hello"
        assert environment.statistics.resources["s3"].starts == 1


def test_a_cut_request_is_sent_again_by_default(bucket: str, line: Relay, really: Really) -> None:
    handler = reading(through(line), bucket)

    @really
    async def _(_: Environment) -> None:
        line.hang()
        waiting = asyncio.create_task(handler.invoke("key"))
        await arrival(line)
        line.cut()
        line.resume()
        assert await waiting == b"value"


def test_a_server_that_hangs_is_given_up_after_the_read_timeout(
    bucket: str, line: Relay, really: Really
) -> None:
    handler = reading(through(line, config=ONCE), bucket)

    @really
    async def _(_: Environment) -> None:
        line.hang()
        with pytest.raises(BotocoreReadTimeoutError):
            await handler.invoke("key")
        line.resume()
        assert await handler.invoke("key") == b"value"


def test_a_server_that_is_slow_is_waited_for(bucket: str, line: Relay, really: Really) -> None:
    handler = reading(through(line), bucket)

    @really
    async def _(_: Environment) -> None:
        line.hang()
        waiting = asyncio.create_task(handler.invoke("key"))
        await asyncio.sleep(0.2)
        line.resume()
        assert await waiting == b"value"
        assert line.connections == 1


def test_a_server_that_refuses_fails_the_request_and_not_the_client(
    bucket: str, line: Relay, really: Really
) -> None:
    handler = reading(through(line, config=ONCE), bucket)

    @really
    async def _(environment: Environment) -> None:
        line.refuse()
        with pytest.raises(EndpointConnectionError):
            await handler.invoke("key")
        line.accept()
        assert await handler.invoke("key") == b"value"
        assert environment.statistics.resources["s3"].starts == 1


# -- secrets


@pytest.mark.parametrize("given", ["options", "environment"])
def test_no_secret_is_in_an_event_an_error_a_log_or_a_repr(  # noqa: PLR0917  fixtures
    bucket: str,
    line: Relay,
    really: Really,
    clock: VirtualClock,
    recorder: EventRecorder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    given: str,
) -> None:
    caplog.set_level(logging.DEBUG, logger="warmkit")
    caplog.set_level(logging.DEBUG, logger="asyncio")
    credentials: dict[str, Any] = {}
    if given == "options":
        credentials = {
            "aws_access_key_id": KEY,
            "aws_secret_access_key": SECRET,
            "aws_session_token": TOKEN,
        }
    else:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    client = through(line, config=ONCE, **credentials)
    wrong = aws_client("dynamoodb", name="wrong", **credentials)
    missing = s3_client(bucket="missing", name="missing", **credentials)
    nowhere = aws_client("s3", name="nowhere", region="not a region", **credentials)
    handler = reading(client, bucket)
    seen: list[str] = [repr(item) for item in (client, wrong, client.factory, client.options)]

    @really
    async def _(environment: Environment) -> None:
        await handler.invoke("key")
        clock.freeze(10)
        line.refuse()
        for failing in (
            handler.invoke("key"),
            *(environment.get(resource) for resource in (wrong, missing, nowhere)),
        ):
            with pytest.raises((StartError, EndpointConnectionError)) as caught:
                await failing
            seen.append("".join(traceback.format_exception(caught.value)))
        line.accept()
        with pytest.raises(ClientError) as refused:
            await handler.invoke("no such key")
        seen.append("".join(traceback.format_exception(refused.value)))
        seen.extend((repr(environment), repr(environment.statistics), repr(handler)))

    seen.extend(f"{event} {event.error!r} {event.error}" for event in recorder.events)
    seen.append(caplog.text)
    assert len(recorder.events) > 10
    shown = "\n".join(seen)
    assert [secret for secret in (KEY, SECRET, TOKEN) if secret in shown] == []


def test_credentials_are_looked_up_by_the_default_chain_and_kept_by_nobody_of_ours(
    s3: S3Server, really: Really, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = aws_client("sts", max_age=60)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)

    @really
    async def _(environment: Environment) -> None:
        await environment.get(client)

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")

    @really
    async def _(environment: Environment) -> None:
        value = await environment.get(client)
        found = await value._request_signer._credentials.get_frozen_credentials()
        assert found.access_key == "another"

    assert KEY not in repr(vars(client.factory))
