"""The local PostgreSQL is real, keeps its data, and reports exactly what its clients did."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, Literal

import asyncpg
import pytest
from children import accepts

from warmkit.local.postgres_server import PostgresServer
from warmkit.local.processes import ServerError
from warmkit.local.s3_server import S3Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def with_connection(
    dsn: str, use: Callable[[asyncpg.Connection], Awaitable[Any]], *, name: str = "test"
) -> Any:
    """Run `use` with a connection of its own."""

    async def main() -> Any:
        connection = await asyncpg.connect(dsn, server_settings={"application_name": name})
        try:
            return await use(connection)
        finally:
            await connection.close()

    return asyncio.run(main())


# -- PostgreSQL: its life


def test_postgres_answers(postgres: PostgresServer) -> None:
    assert os.environ["DATABASE_URL"] == postgres.dsn
    assert with_connection(postgres.dsn, lambda c: c.fetchval("SELECT 40 + 2")) == 42


def test_postgres_refuses_a_wrong_password(postgres: PostgresServer) -> None:
    wrong = postgres.dsn.replace(postgres.password, "wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        with_connection(wrong, lambda c: c.fetchval("SELECT 1"))


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_postgres_comes_back_with_its_port_and_data(
    postgres: PostgresServer, mode: Literal["fast", "immediate"]
) -> None:
    port = postgres.port
    postgres.execute("CREATE TABLE kept AS SELECT 7 AS number")
    try:
        postgres.stop(mode)
        assert not accepts(port)
        postgres.start()
        assert postgres.port == port
        assert with_connection(postgres.dsn, lambda c: c.fetchval("SELECT number FROM kept")) == 7
    finally:
        postgres.start()
        postgres.execute("DROP TABLE kept")


def test_starting_and_stopping_twice_does_nothing(postgres: PostgresServer) -> None:
    process = postgres.process
    postgres.start()
    assert postgres.process is process
    postgres.stop()
    postgres.stop()
    assert not postgres.running


def test_postgres_limits_connections() -> None:
    async def exhaust(_: asyncpg.Connection) -> None:
        await asyncpg.connect(server.dsn)

    with (
        PostgresServer(max_connections=1) as server,
        pytest.raises(asyncpg.TooManyConnectionsError),
    ):
        with_connection(server.dsn, exhaust)


def test_errors_name_the_statement_and_the_answer(postgres: PostgresServer) -> None:
    with pytest.raises(ServerError, match=r"'SELECT nonsense'.*column \"nonsense\" does not exist"):
        postgres.execute("SELECT nonsense")


def test_a_server_that_was_not_started_says_so() -> None:
    postgres, s3 = PostgresServer(), S3Server()
    uses: list[Callable[[], object]] = [
        lambda: postgres.dsn,
        lambda: postgres.home,
        lambda: postgres.process,
        postgres.statements,
        postgres.backends,
        lambda: s3.endpoint_url,
        s3.requests,
    ]
    for use in uses:
        with pytest.raises(ServerError, match="Use it in a with block"):
            use()


# -- PostgreSQL: what it says about its clients


def test_statements_are_counted_exactly(postgres: PostgresServer) -> None:
    async def use(connection: asyncpg.Connection) -> None:
        await connection.execute("SELECT 1")
        prepared = await connection.prepare("SELECT $1::int")
        for number in range(3):
            await prepared.fetchval(number)
        await connection.execute("SELECT ': two\n\tlines', 'execute x: y'")
        assert await connection.fetchval("SELECT 'café'") == "café"

    with_connection(postgres.dsn, use)
    assert postgres.statements() == [
        "SELECT 1",
        *["SELECT $1::int"] * 3,
        "SELECT ': two\n\tlines', 'execute x: y'",
        "SELECT 'café'",
    ]


def test_a_statement_is_counted_before_its_answer_arrives(postgres: PostgresServer) -> None:
    clients, rounds = 8, 10
    # Longer than a pipe's or a page's atomic write: long entries must not mix either.
    sql = "SELECT 1 /*" + "long\n" * 2000 + "*/"

    async def client(number: int) -> None:
        settings = {"application_name": f"client {number}"}
        connection = await asyncpg.connect(postgres.dsn, server_settings=settings)
        for done in range(1, rounds + 1):
            await connection.fetchval(sql)
            assert postgres.statements(f"client {number}") == [sql] * done
        await connection.close()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                group.create_task(client(number))

    asyncio.run(main())
    assert postgres.statements() == [sql] * clients * rounds


def test_fetching_more_of_a_cursor_is_no_new_statement(postgres: PostgresServer) -> None:
    async def use(connection: asyncpg.Connection) -> list[int]:
        async with connection.transaction():
            rows = connection.cursor("SELECT * FROM generate_series(1, 5)", prefetch=2)
            return [row[0] async for row in rows]

    assert with_connection(postgres.dsn, use) == [1, 2, 3, 4, 5]
    assert postgres.statements() == ["BEGIN;", "SELECT * FROM generate_series(1, 5)", "COMMIT;"]


def test_statements_can_be_told_apart_and_forgotten(postgres: PostgresServer) -> None:
    with_connection(postgres.dsn, lambda c: c.execute("SELECT 'a'"), name="a")
    with_connection(postgres.dsn, lambda c: c.execute("SELECT 'b'"), name="b")
    postgres.execute("SELECT 'administrator'")
    assert postgres.statements("a") == ["SELECT 'a'"]
    assert postgres.statements("b") == ["SELECT 'b'"]
    assert postgres.statements() == ["SELECT 'a'", "SELECT 'b'"]
    postgres.forget_statements()
    assert postgres.statements() == []


def test_a_connection_that_was_refused_is_not_counted_as_open(postgres: PostgresServer) -> None:
    """The server authorizes it, refuses it for another reason, and logs no disconnection."""
    elsewhere = postgres.dsn.rpartition("/")[0] + "/no_such_database"
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        with_connection(elsewhere, lambda c: c.execute("SELECT 1"))
    postgres.forget_statements()
    assert postgres.peak_connections == 0
    with_connection(postgres.dsn, lambda c: c.execute("SELECT 1"))
    assert postgres.peak_connections == 1


def test_backends_can_be_listed_and_terminated(postgres: PostgresServer) -> None:
    ended = (
        asyncpg.PostgresError,
        asyncpg.InterfaceError,
        asyncpg.InternalClientError,  # the end has arrived, but asyncpg has not handled it yet
        OSError,
    )

    async def main() -> None:
        names = ["it's", "it's", "other"]
        clients = [
            await asyncpg.connect(postgres.dsn, server_settings={"application_name": name})
            for name in names
        ]
        pids = [client.get_server_pid() for client in clients]
        assert sorted(postgres.backends()) == sorted(pids)
        assert sorted(postgres.backends("it's")) == sorted(pids[:2])
        assert postgres.terminate_backends() == 3
        assert postgres.backends() == []
        for client in clients:
            with pytest.raises(ended):
                await client.fetchval("SELECT 1")
            await client.close()

    asyncio.run(main())
    assert postgres.terminate_backends() == 0


def test_peak_connections(postgres: PostgresServer) -> None:
    async def open_together(count: int) -> None:
        clients = [await asyncpg.connect(postgres.dsn) for _ in range(count)]
        assert postgres.peak_connections == max(count, 3)
        for client in clients:
            await client.close()

    postgres.restart()
    assert postgres.peak_connections == 0
    asyncio.run(open_together(3))
    wait_for_no_backends(postgres)
    asyncio.run(open_together(2))
    wait_for_no_backends(postgres)
    assert postgres.peak_connections == 3
    postgres.forget_statements()
    assert postgres.execute("SELECT 'the administrator does not count'")
    assert postgres.peak_connections == 0


def test_connections_that_a_crash_ended_no_longer_count(postgres: PostgresServer) -> None:
    async def use(connection: asyncpg.Connection) -> None:
        postgres.stop("immediate")
        postgres.start()
        postgres.forget_statements()
        assert postgres.peak_connections == 0
        connection.terminate()

    with_connection(postgres.dsn, use)


def test_the_lock_of_a_killed_server_does_not_matter(postgres: PostgresServer) -> None:
    with PostgresServer() as other:
        its_lock = (other.home / "data/postmaster.pid").read_text()
        postgres.stop()
        (postgres.home / "data/postmaster.pid").write_text(its_lock)
        postgres.start()
    assert postgres.execute("SELECT 1") == ["1"]


def test_connections_open_when_the_peak_is_forgotten_still_count(postgres: PostgresServer) -> None:
    async def use(_: asyncpg.Connection) -> None:
        postgres.forget_statements()
        assert postgres.peak_connections == 1
        second = await asyncpg.connect(postgres.dsn)
        await second.close()
        assert postgres.peak_connections == 2

    postgres.restart()
    with_connection(postgres.dsn, use)


def wait_for_no_backends(postgres: PostgresServer) -> None:
    """Wait until the server has noticed that its clients left."""
    deadline = time.monotonic() + 10
    while postgres.backends():
        assert time.monotonic() < deadline
