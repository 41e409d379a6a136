"""s3_client against a real server, and against one whose connections a test can count and close."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.httpsession import AIOHTTPSession
from aiohttp import TCPConnector

from warmkit import (
    CheckError,
    Environment,
    EventKind,
    Resource,
    StartError,
    WarmHandler,
    warm_handler,
)
from warmkit.resources import BucketError, s3_client
from warmkit.testing import EventRecorder, VirtualClock

if TYPE_CHECKING:
    from conftest import Really
    from keep_alive import KeepAlive

    from warmkit.local.s3_server import S3Server

SENTINEL = "s3ntinel"
ONCE = AioConfig(retries={"mode": "standard", "total_max_attempts": 1})


def reading(s3: Resource[Any], bucket: str = "bucket") -> WarmHandler[bytes]:
    """A handler that returns the object whose key is the event."""

    @warm_handler(s3=s3)
    async def handler(event: str, context: object, s3: Any) -> bytes:
        answer = await s3.get_object(Bucket=bucket, Key=event)
        async with answer["Body"] as body:
            content: bytes = await body.read()
            return content

    return handler


async def fail(handler: WarmHandler[Any]) -> StartError:
    with pytest.raises(StartError) as caught:
        await handler.invoke("key")
    return caught.value


def about_s3(recorder: EventRecorder) -> list[str]:
    return [line for line in recorder.story if line.endswith(" s3")]


# -- a real server


def test_a_client_is_started_once_and_no_request_is_ours(
    s3: S3Server, bucket: str, really: Really, recorder: EventRecorder
) -> None:
    s3.put_objects(bucket, {"key": b"value"})
    handler = reading(s3_client(), bucket)

    @really
    async def _(_: Environment) -> None:
        assert [await handler.invoke("key") for _ in range(3)] == [b"value"] * 3

    assert s3.requests() == [f"GET /{bucket}/key"] * 3
    assert about_s3(recorder) == ["started s3", "reused s3", "reused s3", "retired s3", "closed s3"]


@pytest.mark.usefixtures("host")
def test_so_it_is_for_a_synchronous_host(s3: S3Server, bucket: str) -> None:
    s3.put_objects(bucket, {"key": b"value"})
    handler = reading(s3_client(), bucket)
    assert [handler("key", None) for _ in range(3)] == [b"value"] * 3
    assert s3.requests() == [f"GET /{bucket}/key"] * 3


def test_a_bucket_is_asked_for_at_start(s3: S3Server, bucket: str, really: Really) -> None:
    client = s3_client(bucket=bucket)

    @really
    async def _(environment: Environment) -> None:
        await environment.get(client)
        await environment.get(client)

    assert s3.requests() == [f"HEAD /{bucket}"]


def test_a_bucket_that_is_not_there_is_named(
    s3: S3Server, really: Really, caplog: pytest.LogCaptureFixture
) -> None:
    client = s3_client(bucket="missing", aws_access_key_id="id", aws_secret_access_key=SENTINEL)

    @really
    async def _(environment: Environment) -> None:
        error = await fail(reading(client))
        cause = error.__cause__
        assert isinstance(cause, BucketError)
        assert (cause.bucket, cause.region, cause.status) == ("missing", "us-east-1", 404)
        shown = "".join(traceback.format_exception(error)) + caplog.text
        assert SENTINEL not in shown + repr((error, environment, vars(client.factory)["_bucket"]))


def test_a_restart_fails_nobody(s3: S3Server, bucket: str, really: Really) -> None:
    s3.put_objects(bucket, {"key": b"value"})
    handler = reading(s3_client(), bucket)

    @really
    async def _(_: Environment) -> None:
        await handler.invoke("key")
        s3.restart()
        s3.put_objects(bucket, {"key": b"another"})
        assert await handler.invoke("key") == b"another"


def test_an_outage_shows_at_start_where_a_bucket_is_asked_for(
    s3: S3Server, bucket: str, really: Really
) -> None:
    handler = reading(s3_client(bucket=bucket, config=ONCE), bucket)

    @really
    async def _(_: Environment) -> None:
        s3.stop()
        error = await fail(handler)
        assert error.resource == "s3"
        assert s3.endpoint_url in str(error)
        s3.start()
        s3.put_objects(bucket, {"key": b"value"})
        assert await handler.invoke("key") == b"value"


def test_clients_of_an_environment_share_a_session(
    s3: S3Server, really: Really, recorder: EventRecorder
) -> None:
    @warm_handler(one=s3_client(), other=s3_client())
    async def handler(event: object, context: object, one: Any, other: Any) -> bool:
        return one is not other

    @really
    async def _(_: Environment) -> None:
        assert await handler.invoke({})

    assert [event.resource for event in recorder.of(EventKind.STARTED)].count("aws_session") == 1


# -- idle connections


def test_a_connection_is_kept_within_the_gap_and_dropped_after_it(
    keep_alive: KeepAlive, really: Really, clock: VirtualClock, recorder: EventRecorder
) -> None:
    handler = reading(s3_client())

    @really
    async def _(_: Environment) -> None:
        await handler.invoke("key")
        clock.freeze(5)
        await handler.invoke("key")
        assert len(keep_alive.connections) == 1
        clock.freeze(5.001)
        await handler.invoke("key")
        assert len(keep_alive.connections) == 2

    assert keep_alive.requests == ["GET /bucket/key"] * 3
    assert about_s3(recorder)[:3] == ["started s3", "reused s3", "refreshed s3"]


def test_a_connection_that_the_server_closed_is_dropped_however_short_the_gap(
    keep_alive: KeepAlive, really: Really, recorder: EventRecorder
) -> None:
    handler = reading(s3_client(config=ONCE))

    @really
    async def _(_: Environment) -> None:
        await handler.invoke("key")
        keep_alive.close_connections()
        assert await handler.invoke("key") == b"hello"

    assert keep_alive.requests == ["GET /bucket/key"] * 2
    assert about_s3(recorder)[:2] == ["started s3", "refreshed s3"]


@pytest.mark.usefixtures("host")
def test_so_it_is_where_the_loop_stood_still_meanwhile(keep_alive: KeepAlive) -> None:
    handler = reading(s3_client(config=ONCE))
    assert handler("key", None) == b"hello"
    keep_alive.close_connections()
    assert handler("key", None) == b"hello"
    assert len(keep_alive.connections) == 2


def test_requests_in_flight_are_left_alone(
    keep_alive: KeepAlive, really: Really, clock: VirtualClock, recorder: EventRecorder
) -> None:
    begun = asyncio.Event()

    @warm_handler(s3=s3_client(config=ONCE))
    async def handler(event: str, context: object, s3: Any) -> bytes:
        answer = await s3.get_object(Bucket="bucket", Key=event)
        begun.set()
        async with answer["Body"] as body:
            content: bytes = await body.read()
            return content

    @really
    async def _(_: Environment) -> None:
        await handler.invoke("key")
        begun.clear()
        slow = asyncio.create_task(handler.invoke("slow"))
        await begun.wait()
        clock.freeze(10)
        assert await handler.invoke("key") == b"hello"
        keep_alive.release.set()
        assert await slow == b"hello"

    assert "refreshed s3" in recorder.story


def test_distrust_drops_connections_and_sends_no_request(
    keep_alive: KeepAlive, really: Really
) -> None:
    client = s3_client(bucket="bucket")

    @really
    async def _(environment: Environment) -> None:
        await environment.get(client)
        environment.distrust()
        await environment.get(client)

    assert keep_alive.requests == ["HEAD /bucket"]


def test_addresses_are_looked_up_anew(
    keep_alive: KeepAlive, really: Really, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[TCPConnector] = []

    def clear(connector: TCPConnector) -> None:
        cleared.append(connector)

    monkeypatch.setattr(TCPConnector, "clear_dns_cache", clear)
    client = s3_client(bucket="bucket")

    @really
    async def _(environment: Environment) -> None:
        await environment.get(client)
        clock.freeze(10)
        await environment.get(client)
        assert len(cleared) == 1


# -- proofs, for who wants them


@pytest.mark.parametrize("ask", [("bucket", "HEAD /bucket"), (None, "GET /")])
@pytest.mark.parametrize("status", [200, 403])
def test_with_check_after_a_gap_costs_a_request(
    keep_alive: KeepAlive,
    really: Really,
    clock: VirtualClock,
    ask: tuple[str | None, str],
    status: int,
) -> None:
    bucket, request = ask
    client = s3_client(bucket=bucket, check_after=1)
    keep_alive.status = status

    @really
    async def _(environment: Environment) -> None:
        value = await environment.get(client)
        keep_alive.requests.clear()
        clock.freeze(1)
        await environment.get(client)
        assert keep_alive.requests == []
        clock.freeze(1.001)
        assert await environment.get(client) is value
        assert keep_alive.requests == [request]
        clock.freeze(1000)
        assert await environment.get(client) is value
        assert keep_alive.requests == [request] * 2


@pytest.mark.parametrize("case", [("bucket", 404), ("bucket", 500), (None, 500)])
def test_a_client_that_is_not_answered_as_it_should_be_is_replaced(
    keep_alive: KeepAlive,
    really: Really,
    clock: VirtualClock,
    recorder: EventRecorder,
    case: tuple[str | None, int],
) -> None:
    bucket, status = case
    client = s3_client(bucket=bucket, check_after=1, config=ONCE)

    @really
    async def _(environment: Environment) -> None:
        value = await environment.get(client)
        keep_alive.status = status
        clock.freeze(2)
        if bucket is None:  # a start asks for nothing
            assert await environment.get(client) is not value
        else:
            with pytest.raises(StartError):
                await environment.get(client)

    (failed,) = recorder.of(EventKind.CHECK_FAILED)
    assert isinstance(failed.error, CheckError)
    assert str(status) in str(failed.error)


# -- options


def test_limits_fit_a_function_and_the_users_go_first(
    s3: S3Server, really: Really, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_MAX_CONCURRENCY", "32")
    plain = s3_client(name="plain")
    mine = s3_client(
        name="mine",
        region="eu-west-1",
        config=AioConfig(
            read_timeout=60, max_pool_connections=3, connector_args={"keepalive_timeout": 3}
        ),
    )

    @really
    async def _(environment: Environment) -> None:
        config = (await environment.get(plain)).meta.config
        assert (config.connect_timeout, config.read_timeout) == (2, 10)
        assert config.retries == {"mode": "standard", "total_max_attempts": 3}
        assert config.max_pool_connections == 32
        client = await environment.get(mine)
        config = client.meta.config
        assert client.meta.region_name == "eu-west-1"
        assert (config.connect_timeout, config.read_timeout) == (2, 60)
        assert config.max_pool_connections == 3
        assert config.connector_args["keepalive_timeout"] == 3


def test_no_fewer_than_ten_connections(s3: S3Server, really: Really) -> None:
    client = s3_client()

    @really
    async def _(environment: Environment) -> None:
        assert (await environment.get(client)).meta.config.max_pool_connections == 10


# -- what is taken for granted of aiobotocore and aiohttp


def test_idle_connections_are_where_they_are_looked_for() -> None:
    async def main() -> None:
        assert "_sessions" in vars(AIOHTTPSession())
        async with TCPConnector() as connector:
            assert connector._conns == {}

    asyncio.run(main())
