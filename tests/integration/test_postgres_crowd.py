"""A real server that has room for few: connections wait for a place, in time, and say how long they did."""

from __future__ import annotations

import asyncio
import pickle
import socket
import traceback
from contextlib import asynccontextmanager
from itertools import chain, repeat
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from warmkit import Environment, StartError, WarmHandler, warm_handler
from warmkit.local.postgres_server import PostgresServer
from warmkit.resources import PostgresConnectError, postgres_pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from conftest import Really

    from warmkit.testing import EventRecorder

PLACES = 4


@pytest.fixture(scope="module")
def small_server() -> Iterator[PostgresServer]:
    """PostgreSQL with few places, of which two are reserved for superusers."""
    with PostgresServer(max_connections=PLACES) as server:
        server.execute("CREATE ROLE app LOGIN PASSWORD 'pw'")
        yield server


@pytest.fixture
def small(small_server: PostgresServer) -> PostgresServer:
    small_server.terminate_backends()
    small_server.forget_statements()
    return small_server


def answering(server: PostgresServer, **options: Any) -> WarmHandler[Any]:
    @warm_handler(db=postgres_pool(server.dsn, **options))
    async def handler(event: object, db: asyncpg.Pool) -> Any:
        return await db.fetchval("SELECT 42")

    return handler


@asynccontextmanager
async def full(server: PostgresServer) -> AsyncIterator[list[Any]]:
    """All places are taken; whatever happens, they are free again afterwards."""
    taken: list[Any] = []
    try:
        for _ in range(PLACES):
            taken.append(await asyncpg.connect(server.dsn))  # noqa: PERF401  those that came are closed
        yield taken
    finally:
        for connection in taken:
            await connection.close()


def test_a_place_that_becomes_free_is_taken(
    small: PostgresServer, really: Really, recorder: EventRecorder
) -> None:
    @really
    async def _(_: Environment) -> None:
        async with full(small) as taken:
            asyncio.get_running_loop().call_later(0.2, taken.pop().terminate)
            assert await answering(small).invoke({}) == 42

    assert [line for line in recorder.story if "failed" in line] == []


def test_a_server_that_stays_full_is_said_to_be_in_time(
    small: PostgresServer, really: Really, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "warmkit.resources.postgres.pool._SHARE", 0.1
    )  # a busy machine needs more than a tenth to say it

    @really
    async def _(_: Environment) -> None:
        async with full(small):
            with pytest.raises(StartError) as caught:
                await answering(small, start_timeout=10).invoke({})
        error = caught.value.__cause__
        assert isinstance(error, PostgresConnectError)
        assert error.reason.startswith("TooManyConnectionsError: sorry, too many clients already")
        assert "reserved concurrency" in error.advice
        assert error.tries > 2
        assert error.seconds < 10
        assert f"(tried {error.tries} times in " in str(error)
        assert str(pickle.loads(pickle.dumps(error))) == str(error)
        shown = "".join(traceback.format_exception(caught.value)) + repr(error.args)
        assert small.password not in shown
        assert await answering(small).invoke({}) == 42


def test_a_last_try_without_an_answer_does_not_hide_that_the_server_was_full(
    small: PostgresServer, really: Really, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmkit.resources.postgres.pool._SHARE", 0.1)

    @really
    async def _(_: Environment) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            silence = small.dsn.replace(f":{small.port}/", f":{silent.getsockname()[1]}/")
            dsns = chain([small.dsn], repeat(silence))

            @warm_handler(db=postgres_pool(lambda: next(dsns), start_timeout=10))
            async def handler(event: object, db: asyncpg.Pool) -> None: ...

            async with full(small):
                with pytest.raises(StartError) as caught:
                    await handler.invoke({})
        error = caught.value.__cause__
        assert isinstance(error, PostgresConnectError)
        assert error.reason.startswith("TooManyConnectionsError: sorry, too many clients already")
        assert error.tries == 2


def test_what_is_wrong_in_another_way_is_not_tried_again(
    small: PostgresServer, really: Really
) -> None:
    @really
    async def _(_: Environment) -> None:
        db = postgres_pool(small.dsn.replace(small.password, "wrong"))

        @warm_handler(db=db)
        async def handler(event: object, db: asyncpg.Pool) -> None: ...

        with pytest.raises(StartError) as caught:
            await handler.invoke({})
        assert isinstance(caught.value.__cause__, PostgresConnectError)
        assert caught.value.__cause__.tries == 1
        assert "tried" not in str(caught.value.__cause__)


def test_a_crowd_gets_through(small: PostgresServer) -> None:
    """Three times as many environments as places, each of which holds its connection for a moment."""
    handler_of = [answering(small) for _ in range(3 * PLACES)]

    async def live(handler: WarmHandler[Any]) -> Any:
        async with Environment():
            answer = await handler.invoke({})
            await asyncio.sleep(0.02)
            return answer

    async def main() -> list[Any]:
        return await asyncio.gather(*(live(handler) for handler in handler_of))

    assert asyncio.run(main()) == [42] * 3 * PLACES
    assert small.peak_connections <= PLACES


def test_the_deadline_of_the_invocation_goes_first(small: PostgresServer, really: Really) -> None:
    class Context:
        aws_request_id = "1"

        def get_remaining_time_in_millis(self) -> int:
            return 300

    @really
    async def _(_: Environment) -> None:
        async with full(small):
            with pytest.raises(TimeoutError, match="the time left"):
                await answering(small).invoke({}, Context())
