"""A pool behind a breaker, on a real server whose network breaks in every way; time is the test's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from warmkit import Resource, StartError, TimeLimitError, resource, warm_handler
from warmkit.resources import (
    CircuitBreaker,
    CircuitOpenError,
    PostgresConnectError,
    circuit_breaker,
    postgres_pool,
)
from warmkit.testing import VirtualClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from warmkit.local.postgres_server import PostgresServer
    from warmkit.testing import Relay

FAIL_MAX = 2
RESET = 30.0
START_TIMEOUT = 0.3


@pytest.fixture
def way(
    postgres: PostgresServer, relay: Callable[[int], Relay], monkeypatch: pytest.MonkeyPatch
) -> Relay:
    """The way that DATABASE_URL leads."""
    postgres.terminate_backends()
    way = relay(postgres.port)
    monkeypatch.setenv("DATABASE_URL", postgres.dsn.replace(f":{postgres.port}/", f":{way.port}/"))
    return way


@pytest.fixture
def breaker(clock: VirtualClock) -> Resource[CircuitBreaker]:
    return circuit_breaker(fail_max=FAIL_MAX, reset_timeout=RESET, name="database", clock=clock)


@pytest.fixture
def handler(breaker: Resource[CircuitBreaker]) -> Any:
    @warm_handler(db=postgres_pool(start_timeout=START_TIMEOUT, max_size=2, breaker=breaker))
    async def handler(event: Any, context: object, db: asyncpg.Pool) -> Any:
        return await db.fetchval("SELECT 40 + 2")

    return handler


async def failure(handler: Any, context: object = None) -> BaseException:
    """The cause of an invocation's failure."""
    with pytest.raises(StartError) as caught:
        await handler.invoke({}, context)
    assert caught.value.__cause__ is not None
    return caught.value.__cause__


@pytest.mark.parametrize(
    ("breaks", "heals"), [("refuse", "accept"), ("hang", "resume")], ids=["refused", "hanging"]
)
def test_a_server_out_of_reach_opens_the_circuit_until_a_trial_passes(  # noqa: PLR0917  fixtures
    breaks, heals, way, handler, breaker, clock, really
):
    @really
    async def _(environment):
        state = await environment.get(breaker)
        getattr(way, breaks)()
        for _ in range(FAIL_MAX):
            assert state.current_state == "closed"
            assert isinstance(await failure(handler), PostgresConnectError)
        assert state.current_state == "open"

        seen = way.connections
        for _ in range(5):
            rejection = await failure(handler)
            assert isinstance(rejection, CircuitOpenError)
            assert "PostgresConnectError: 'db' could not connect" in str(rejection)
            assert rejection.retry_in == RESET
        assert way.connections == seen  # nobody knocked

        clock.freeze(RESET)
        assert isinstance(await failure(handler), PostgresConnectError)  # the trial
        assert isinstance(await failure(handler), CircuitOpenError)

        getattr(way, heals)()
        clock.freeze(RESET)
        assert await handler.invoke({}) == 42
        assert (state.current_state, state.fail_counter) == ("closed", 0)


def test_a_live_pool_that_is_cut_off_opens_the_circuit_and_heals(
    way, handler, breaker, clock, really
):
    @really
    async def _(environment):
        assert await handler.invoke({}) == 42
        way.refuse()
        way.cut()
        await failure(handler)  # the check fails to connect, and so does the start after it
        assert isinstance(await failure(handler), CircuitOpenError)
        way.accept()
        clock.freeze(RESET)
        assert await handler.invoke({}) == 42
        assert (await environment.get(breaker)).current_state == "closed"


def test_a_slow_server_is_no_dead_one(way, handler, breaker, really):
    @really
    async def _(environment):
        way.hang()
        asyncio.get_running_loop().call_later(START_TIMEOUT / 3, way.resume)
        assert await handler.invoke({}) == 42
        assert (await environment.get(breaker)).fail_counter == 0


def test_connections_that_the_pool_opens_later_are_guarded_too(way, breaker, really):
    db = postgres_pool(max_size=2, breaker=breaker, name="db")

    @really
    async def _(environment):
        pool = await environment.get(db)
        async with pool.acquire():
            way.refuse()
            for _ in range(FAIL_MAX):
                with pytest.raises(PostgresConnectError):
                    await pool.fetchval("SELECT 1")
            with pytest.raises(CircuitOpenError):
                await pool.fetchval("SELECT 1")


class HardlyAnyTime:
    def get_remaining_time_in_millis(self):
        return 150  # of which 50 are for telling the failure


def test_a_start_that_a_freeze_cut_short_counts_when_its_time_is_over(way, breaker, clock, really):
    """A function with less time than `start_timeout`: no timer of the start's ever fires."""

    @warm_handler(db=postgres_pool(start_timeout=60, breaker=breaker))
    async def handler(event, context, db):
        raise AssertionError

    async def run_out_of_time():
        with pytest.raises((StartError, TimeLimitError)):
            await handler.invoke({}, HardlyAnyTime())

    @really
    async def _(environment):
        state = await environment.get(breaker)
        way.hang()
        await run_out_of_time()
        for count in range(FAIL_MAX):
            assert state.fail_counter == count
            clock.freeze(60)
            await run_out_of_time()
        assert state.current_state == "open"
        assert isinstance(await failure(handler, HardlyAnyTime()), CircuitOpenError)


def test_a_failure_to_connect_inside_a_guarded_query_counts_once(way, breaker, clock, really):
    db = postgres_pool(breaker=breaker, name="db")

    @really
    async def _(environment):
        pool, state = await environment.get(db), await environment.get(breaker)
        way.refuse()
        way.cut()
        with pytest.raises((PostgresConnectError, asyncpg.PostgresError, OSError)):
            await state.call(pool.fetchval, "SELECT 1")  # its connection has died
        state.close()
        with pytest.raises(PostgresConnectError):
            await state.call(pool.fetchval, "SELECT 1")
        assert state.fail_counter == 1

        state.half_open()
        way.accept()
        assert await state.call(pool.fetchval, "SELECT 1") == 1  # the trial connects
        assert state.current_state == "closed"


def test_a_resource_of_the_users_own_is_guarded_the_same_way(way, breaker, clock, really):
    @resource(start_timeout=5, breaker=breaker)
    async def link(breaker):
        reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
        try:
            async with breaker, asyncio.timeout(0.1):
                writer.write(b"\0\0\0\x08\x04\xd2\x16\x2f")  # may we speak TLS?
                answer = await reader.read(1)
            yield answer
        finally:
            writer.close()
            await writer.wait_closed()

    @warm_handler(link=link)
    async def handler(event, context, link):
        return link

    @really
    async def _(environment):
        way.hang()
        for _ in range(FAIL_MAX):
            assert isinstance(await failure(handler), TimeoutError)
        assert isinstance(await failure(handler), CircuitOpenError)
        way.resume()
        clock.freeze(RESET)
        assert await handler.invoke({}) in {b"N", b"S"}
