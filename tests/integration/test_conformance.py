"""The rules of the kit, tried on real clients of real servers: warmkit's own resources, and two that are not in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from warmkit import resource
from warmkit.local.processes import HOST
from warmkit.resources import is_quiet, postgres_pool, s3_client
from warmkit.testing import RULES, ConformanceError, Standing, check_resource

if TYPE_CHECKING:
    from http_server import HttpServer
    from valkey_server import ValkeyServer

    from warmkit import Resource
    from warmkit.local.postgres_server import PostgresServer
    from warmkit.local.s3_server import S3Server
    from warmkit.testing import Address, Rule

# -- warmkit's own


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_postgres_pool(rule: Rule, postgres: PostgresServer) -> None:
    dsn = postgres.dsn
    check_resource(
        lambda address: postgres_pool(dsn.replace(f"{HOST}:{postgres.port}", str(address))),
        use=lambda pool: pool.fetchval("SELECT 1"),
        server=(HOST, postgres.port),
        secrets=[dsn.partition(":")[2].partition(":")[2].partition("@")[0]],
        only=rule,
    )


@pytest.mark.parametrize("check_after", [None, 1], ids=["plain", "checked"])
def test_s3_client(check_after: float | None, s3: S3Server, bucket: str) -> None:
    s3.put_objects(bucket, {"key": b"hello"})
    options: dict[str, Any] = {"bucket": bucket, "check_after": 1} if check_after else {}

    async def use(client: Any) -> int:
        answer = await client.head_object(Bucket=bucket, Key="key")
        return answer["ContentLength"]

    check_resource(
        lambda address: s3_client(endpoint_url=f"http://{address}", **options),
        use=use,
        server=(HOST, s3.port),
    )


# -- others


def search(address: Address) -> Resource[httpx.AsyncClient]:
    @resource(max_gap=60)
    async def search():
        timeout = httpx.Timeout(5, connect=2)
        async with httpx.AsyncClient(base_url=f"http://{address}", timeout=timeout) as client:
            yield client

    return search


def test_an_httpx_client(http_server: HttpServer) -> None:
    async def use(client: httpx.AsyncClient) -> str:
        answer = await client.get("/")
        return answer.raise_for_status().text

    check_resource(search, use=use, server=(HOST, http_server.port))


def cache(address: Address, password: str, **options: Any) -> Resource[redis.asyncio.Redis]:
    @resource
    async def cache():
        url = f"redis://:{password}@{address}/0"
        client = redis.asyncio.Redis.from_url(url, socket_timeout=2, **options)
        try:
            await client.ping()
            yield client
        finally:
            await client.aclose()

    @cache.check
    async def _(client: redis.asyncio.Redis) -> None:
        await client.connection_pool.disconnect(inuse_connections=False)
        await client.ping()

    return cache


def with_alive(made: Resource[redis.asyncio.Redis]) -> Resource[redis.asyncio.Redis]:
    @made.alive
    def _(client: redis.asyncio.Redis) -> bool:
        idle = client.connection_pool._available_connections
        return all(is_quiet(connection._writer) for connection in idle if connection.is_connected)

    return made


async def ask(client: redis.asyncio.Redis) -> Any:
    return await client.echo("hello")


def test_a_redis_client(valkey_server: ValkeyServer) -> None:
    password = valkey_server.password
    check_resource(
        lambda address: with_alive(cache(address, password)),
        use=ask,
        server=(HOST, valkey_server.port),
        secrets=[password],
    )


def test_a_redis_client_from_a_url_neither_looks_nor_tries_again(
    valkey_server: ValkeyServer,
) -> None:
    """redis-py 8.1: `Redis()` retries, `Redis.from_url()` does not. Found by the kit."""
    for rule in ("survives resets", "survives farewells"):
        with pytest.raises(ConformanceError, match="just after use, with its connections"):
            check_resource(
                lambda address: cache(address, valkey_server.password),
                use=ask,
                server=(HOST, valkey_server.port),
                only=rule,
            )


def test_a_redis_client_that_tries_again(valkey_server: ValkeyServer) -> None:
    """Farewells only: from Python 3.12 on, what it raises after a reset is no error that redis-py tries again on."""
    check_resource(
        lambda address: cache(address, valkey_server.password, retry=Retry(NoBackoff(), 1)),
        use=ask,
        server=(HOST, valkey_server.port),
        only="survives farewells",
    )


# -- without a server


def test_a_model_in_memory() -> None:
    report = check_resource(lambda: resource(lambda: [0.5, 0.5], name="model"), use=sum)
    assert [outcome.rule for outcome in report.of(Standing.OBEYED)] == [
        "starts",
        "starts once",
        "starts on another loop",
        "shares nothing",
        "sleeps well",
        "closes",
        "gives up a start",
    ]
    assert {outcome.came for outcome in report.of(Standing.NOT_APPLICABLE)} == {
        "there is no server",
        "the resource has no check",
        "no secrets were given",
    }
