"""postgres_pool(pooler=True) through a real pgbouncer in transaction mode: what works, and what the server sees."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any

import asyncpg
import pooler as pooler_module
import pytest

from warmkit import Environment, EventKind, StartError, UsageError, WarmHandler, warm_handler
from warmkit.local.processes import ServerError
from warmkit.resources import PostgresConnectError, postgres_pool, postgres_transaction

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from conftest import Really, StartPooler
    from pooler import Pooler

    from warmkit.local.postgres_server import PostgresServer
    from warmkit.testing import EventRecorder, Relay, VirtualClock

QUERY = "SELECT $1::int + 1"


@pytest.fixture(autouse=True)
def alone(postgres: PostgresServer) -> None:
    postgres.terminate_backends()


def adding(db: Any) -> WarmHandler[Any]:
    @warm_handler(db=db)
    async def handler(event: int, db: asyncpg.Pool) -> Any:
        return await db.fetchval(QUERY, event)

    return handler


def doing(db: Any) -> WarmHandler[Any]:
    @warm_handler(db=db)
    async def handler(event: Callable[[Any], Awaitable[Any]], db: asyncpg.Pool) -> Any:
        async with db.acquire() as connection:
            return await event(connection)

    return handler


def pools(pooler: Pooler, number: int = 2, **options: Any) -> list[Any]:
    """As many environments would have: each its own clients of one pooler."""
    return [postgres_pool(pooler.dsn("app"), pooler=True, **options) for _ in range(number)]


# -- the trap


def test_without_it_a_statement_is_looked_for_in_another_session(
    start_pooler: StartPooler, really: Really
) -> None:
    pooler = start_pooler(default_pool_size=2)
    first, second = (adding(postgres_pool(pooler.dsn("app"))) for _ in range(2))

    @warm_handler(db=postgres_pool(pooler.dsn("app")))
    async def holding(event: object, db: asyncpg.Pool) -> Any:
        async with db.acquire() as connection, connection.transaction():
            await connection.execute("SELECT 1")  # takes the session that the other has used
            return await first.invoke(1)

    @really
    async def _(_: Environment) -> None:
        assert await first.invoke(1) == 2
        assert await second.invoke(1) == 2
        with pytest.raises(asyncpg.InvalidSQLStatementNameError, match="pgbouncer"):
            await holding.invoke(None)


def test_with_it_every_statement_finds_its_session(
    start_pooler: StartPooler, really: Really
) -> None:
    first, second, third = pools(start_pooler(default_pool_size=2), 3)
    one, two = adding(first), adding(second)

    @warm_handler(db=third)
    async def holding(event: object, db: asyncpg.Pool) -> Any:
        async with db.acquire() as connection, connection.transaction():
            await connection.execute("SELECT 1")
            return await one.invoke(1), await connection.fetchval(QUERY, 2)

    @really
    async def _(_: Environment) -> None:
        assert await one.invoke(1) == await two.invoke(1) == 2
        assert await holding.invoke(None) == (2, 3)


# -- what the server sees


def test_two_clients_take_turns_on_one_session_and_nothing_but_their_statements_arrives(
    postgres: PostgresServer,
    start_pooler: StartPooler,
    really: Really,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders")
    one, two = (adding(db) for db in pools(start_pooler(default_pool_size=1)))

    @really
    async def _(_: Environment) -> None:
        for number in range(5):
            assert await one.invoke(number) == number + 1
            assert await two.invoke(number) == number + 1
        assert len(postgres.backends()) == 1

    name, *statements = postgres.statements()
    assert name == "SET application_name='orders';", "pgbouncer's own, once for each session"
    assert statements == [QUERY] * 10


def test_a_name_that_differs_costs_a_statement_of_the_poolers_at_each_turn(
    postgres: PostgresServer, start_pooler: StartPooler, really: Really
) -> None:
    """Why the environment's id is no part of the name behind a pooler."""
    pooler = start_pooler(default_pool_size=1)
    handlers = [
        adding(
            postgres_pool(
                pooler.dsn("app"), pooler=True, server_settings={"application_name": name}
            )
        )
        for name in ("a", "b")
    ]

    @really
    async def _(_: Environment) -> None:
        for _ in range(3):
            for handler in handlers:
                await handler.invoke(1)

    assert len([text for text in postgres.statements() if text.startswith("SET")]) == 6


def test_what_a_statement_costs(
    start_pooler: StartPooler, relay: Callable[[int], Relay], really: Really
) -> None:
    pooler = start_pooler()
    way = relay(pooler.port)
    dsn = pooler.dsn("app").replace(f":{pooler.port}/", f":{way.port}/")
    handler = doing(postgres_pool(dsn, pooler=True))

    @really
    async def _(_: Environment) -> None:
        for statement, expected in (
            (lambda c: c.fetchval(QUERY, 1), 2),
            (lambda c: c.fetchval("SELECT 2"), 2),
            (lambda c: c.execute("SELECT 2"), 1),
        ):
            await handler.invoke(statement)
            before = way.round_trips
            await handler.invoke(statement)
            assert way.round_trips - before == expected


async def by_transaction(connection: Any) -> Any:
    async with connection.transaction():
        return await connection.fetchval(QUERY, 41)


async def by_cursor(connection: Any) -> Any:
    async with connection.transaction():
        found = [row[0] async for row in connection.cursor("SELECT generate_series(1, 120)")]
        cursor = await connection.cursor("SELECT $1::int", 42)
        assert found == list(range(1, 121))
        return (
            await cursor.fetchval() if hasattr(cursor, "fetchval") else (await cursor.fetchrow())[0]
        )


async def by_prepare(connection: Any) -> Any:
    statement = await connection.prepare(QUERY)
    assert await connection.fetchval("SELECT 'between'") == "between"
    assert await statement.fetchval(1) == 2
    return await statement.fetchval(41)


async def by_executemany(connection: Any) -> Any:
    await connection.executemany(QUERY, [[1], [2]])
    return await connection.fetchval(QUERY, 41)


async def by_copy(connection: Any) -> Any:
    async with connection.transaction():
        await connection.execute("CREATE TEMP TABLE numbers (n int) ON COMMIT DROP")
        await connection.copy_records_to_table("numbers", records=[(40,), (2,)])
        return await connection.fetchval("SELECT sum(n)::int FROM numbers")


WAYS = [by_transaction, by_cursor, by_prepare, by_executemany, by_copy]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_no_way_to_the_server_leaves_anything_in_a_session(
    postgres: PostgresServer, start_pooler: StartPooler, really: Really, way: Any
) -> None:
    one, two = (doing(db) for db in pools(start_pooler(default_pool_size=1)))

    async def left(connection: Any) -> Any:
        return await connection.fetch("SELECT name FROM pg_prepared_statements")

    @really
    async def _(_: Environment) -> None:
        for _ in range(2):
            assert await one.invoke(way) == await two.invoke(way) == 42
        assert [name for (name,) in await two.invoke(left) if name] == []


# -- types that asyncpg has to ask for


@pytest.fixture
def menu(postgres: PostgresServer) -> Any:
    postgres.execute("CREATE TYPE mood AS ENUM ('glad', 'sad')")
    postgres.execute("CREATE TYPE point3 AS (x int, y int, label text)")
    postgres.execute("CREATE DOMAIN positive AS int CHECK (VALUE > 0)")
    postgres.execute(
        "CREATE TABLE menu (mood mood, moods mood[], tags text[], more jsonb, place point3,"
        " amount positive, day date, span int4range)"
    )
    yield
    postgres.execute("DROP TABLE menu; DROP TYPE mood; DROP TYPE point3; DROP DOMAIN positive")


ROW = (
    "glad",
    ["sad", "glad"],
    ["a", "b"],
    '{"a": 1}',
    (1, 2, "here"),
    7,
    dt.date(2026, 11, 20),
    asyncpg.Range(1, 5),
)


@pytest.mark.usefixtures("menu")
def test_types_are_learned_across_sessions(
    postgres: PostgresServer, start_pooler: StartPooler, really: Really
) -> None:
    one, two = (doing(db) for db in pools(start_pooler(default_pool_size=2)))

    async def store_and_read(connection: Any) -> Any:
        await connection.execute("INSERT INTO menu VALUES ($1, $2, $3, $4, $5, $6, $7, $8)", *ROW)
        return await connection.fetchrow("SELECT * FROM menu LIMIT 1")

    @really
    async def _(_: Environment) -> None:
        for _ in range(2):
            found = await asyncio.gather(*(item.invoke(store_and_read) for item in (one, two)))
            assert [tuple(row) for row in found] == [ROW, ROW]

    assert [text for text in postgres.statements() if "set_config" in text] == []


@pytest.mark.usefixtures("menu")
def test_without_it_a_look_at_the_types_changes_a_setting_of_the_session(
    postgres: PostgresServer, really: Really
) -> None:
    @really
    async def _(_: Environment) -> None:
        await doing(postgres_pool()).invoke(lambda c: c.fetch("SELECT * FROM menu"))

    assert any("set_config('jit'" in text for text in postgres.statements())


# -- what would keep a session from the others


async def wrong_argument(connection: Any) -> Any:
    return await connection.fetchval(QUERY, "no number")


async def wrong_statement(connection: Any) -> Any:
    return await connection.fetchval("SELECT nothing_there($1)", 1)


async def never_run(connection: Any) -> Any:
    await connection.prepare(QUERY)
    raise ValueError


async def left_open(connection: Any) -> Any:
    await connection.execute("BEGIN")
    raise ValueError


async def left_failed(connection: Any) -> Any:
    await connection.execute("BEGIN")
    await wrong_statement(connection)


@pytest.mark.parametrize(
    "way",
    [wrong_argument, wrong_statement, never_run, left_open, left_failed],
    ids=lambda way: way.__name__,
)
def test_a_failed_invocation_gives_the_session_back(
    start_pooler: StartPooler, really: Really, way: Any
) -> None:
    one, two = pools(start_pooler(default_pool_size=1), command_timeout=5)

    @really
    async def _(_: Environment) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # asyncpg's word on BEGIN
        with pytest.raises((ValueError, asyncpg.DataError, asyncpg.UndefinedFunctionError)):
            await doing(one).invoke(way)
        assert await adding(two).invoke(1) == 2


def test_a_cancelled_invocation_gives_the_session_back(
    postgres: PostgresServer, start_pooler: StartPooler, really: Really
) -> None:
    one, two = pools(start_pooler(default_pool_size=1), command_timeout=5)

    @really
    async def _(_: Environment) -> None:
        sleeping = asyncio.create_task(
            doing(one).invoke(lambda connection: connection.fetchval("SELECT pg_sleep($1)", 60))
        )
        await until(lambda: "SELECT pg_sleep($1)" in postgres.statements())
        sleeping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sleeping
        assert await adding(two).invoke(1) == 2


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to be")


# -- what cannot work


def test_a_listener_is_refused(start_pooler: StartPooler, really: Really) -> None:
    (db,) = pools(start_pooler(), 1)

    @really
    async def _(_: Environment) -> None:
        with pytest.raises(UsageError, match="no notification arrives through a pooler"):
            await doing(db).invoke(lambda c: c.add_listener("orders", print))
        with pytest.raises(UsageError, match="stays in one of the server's sessions"):
            await doing(db).invoke(lambda c: c.prepare(QUERY, name="mine"))


# -- transactions


def test_a_transaction_stays_in_one_session(
    postgres: PostgresServer, start_pooler: StartPooler, really: Really
) -> None:
    postgres.execute("CREATE TABLE visits (who int)")
    together = asyncio.Barrier(3)

    def counting(db: Any) -> WarmHandler[Any]:
        @warm_handler(tx=postgres_transaction(db))
        async def handler(event: int, tx: asyncpg.Connection) -> Any:
            await tx.execute("INSERT INTO visits VALUES ($1)", event)
            await together.wait()
            seen = await tx.fetchval("SELECT count(*) FROM visits")
            await together.wait()
            return seen

        return handler

    handlers = [counting(db) for db in pools(start_pooler(default_pool_size=3), 3)]
    try:

        @really
        async def _(_: Environment) -> None:
            found = await asyncio.gather(*(item.invoke(n) for n, item in enumerate(handlers)))
            assert found == [1, 1, 1], "none sees what the others have not committed"
            assert postgres.execute("SELECT count(*) FROM visits") == ["3"]
    finally:
        postgres.execute("DROP TABLE visits")


# -- faults


def test_a_pooler_that_restarts_between_invocations_fails_nobody(
    start_pooler: StartPooler, really: Really, recorder: EventRecorder
) -> None:
    pooler = start_pooler(default_pool_size=1)
    handler = adding(postgres_pool(pooler.dsn("app"), pooler=True))

    @really
    async def _(_: Environment) -> None:
        assert await handler.invoke(1) == 2
        pooler.restart()
        assert await handler.invoke(1) == 2

    assert recorder.of(EventKind.START_FAILED) == []


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_restarts_behind_the_pooler_fails_nobody_after_a_gap(
    postgres: PostgresServer,
    start_pooler: StartPooler,
    really: Really,
    clock: VirtualClock,
    mode: Any,
) -> None:
    pooler = start_pooler(default_pool_size=1)
    handler = adding(postgres_pool(pooler.dsn("app"), pooler=True, check_timeout=5))

    @really
    async def _(_: Environment) -> None:
        assert await handler.invoke(1) == 2
        postgres.stop(mode)
        postgres.start()
        clock.freeze(2)
        assert await handler.invoke(1) == 2


def test_an_outage_behind_the_pooler_fails_in_time_and_heals(
    postgres: PostgresServer, start_pooler: StartPooler, really: Really, clock: VirtualClock
) -> None:
    pooler = start_pooler(default_pool_size=1)
    (db,) = pools(pooler, 1, command_timeout=0.3, check_timeout=0.3, start_timeout=0.5)
    handler = adding(db)

    @really
    async def _(_: Environment) -> None:
        assert await handler.invoke(1) == 2
        postgres.stop()
        for _ in range(3):
            clock.freeze(2)
            with pytest.raises((StartError, TimeoutError, asyncpg.PostgresError)):
                await handler.invoke(1)
        postgres.start()
        clock.freeze(2)
        assert await until_it_answers(handler) == 2


async def until_it_answers(handler: WarmHandler[Any]) -> Any:
    """pgbouncer itself tries the server again only after a while."""
    for _ in range(50):
        with contextlib.suppress(StartError, TimeoutError, asyncpg.PostgresError):
            return await handler.invoke(1)
        await asyncio.sleep(0.02)
    raise AssertionError("it never healed")


def test_a_silent_pooler_is_named(
    start_pooler: StartPooler, relay: Callable[[int], Relay], really: Really
) -> None:
    pooler = start_pooler()
    way = relay(pooler.port)
    dsn = pooler.dsn("app").replace(f":{pooler.port}/", f":{way.port}/")
    handler = adding(postgres_pool(dsn, pooler=True, start_timeout=0.3, command_timeout=0.2))

    @really
    async def _(_: Environment) -> None:
        way.hang()
        with pytest.raises(Exception, match="did not start") as caught:
            await handler.invoke(1)
        cause = caught.value.__cause__
        assert isinstance(cause, PostgresConnectError)
        assert cause.server == f"127.0.0.1:{way.port}"
        way.resume()
        assert await handler.invoke(1) == 2
        way.cut()
        assert await handler.invoke(1) == 2


def test_a_full_pooler_is_asked_again(start_pooler: StartPooler, really: Really) -> None:
    pooler = start_pooler(max_client_conn=1)
    (db,) = pools(pooler, 1)
    handler = adding(db)

    @really
    async def _(_: Environment) -> None:
        other = await asyncpg.connect(pooler.dsn("app"))
        asyncio.get_running_loop().call_later(0.2, other.terminate)
        assert await handler.invoke(1) == 2


def test_a_pooler_that_stays_full_is_said_to_be(start_pooler: StartPooler, really: Really) -> None:
    pooler = start_pooler(max_client_conn=1)
    (db,) = pools(pooler, 1, start_timeout=0.5)

    @really
    async def _(_: Environment) -> None:
        other = await asyncpg.connect(pooler.dsn("app"))
        with pytest.raises(Exception, match="did not start") as caught:
            await adding(db).invoke(1)
        cause = caught.value.__cause__
        assert isinstance(cause, PostgresConnectError)
        assert "no more connections allowed" in cause.reason
        assert "or the pooler's" in cause.advice
        assert cause.tries > 1
        await other.close()


def test_a_hundred_invocations_share_a_session(
    postgres: PostgresServer, start_pooler: StartPooler, really: Really
) -> None:
    handlers = [adding(db) for db in pools(start_pooler(default_pool_size=1), 5, max_size=2)]

    @really
    async def _(_: Environment) -> None:
        found = await asyncio.gather(*(handlers[n % 5].invoke(n) for n in range(100)))
        assert found == list(range(1, 101))
        assert len(postgres.backends()) == 1


# -- the pooler of these tests


def test_it_says_what_to_install_where_it_cannot_be_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pooler_module, "_CACHE", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match=r"(?s)Expected pgbouncer.*apt-get install pgbouncer"):
        pooler_module.pgbouncer_installation()


def test_a_failed_download_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pooler_module, "_CACHE", tmp_path)
    monkeypatch.setattr(pooler_module, "_download", lambda directory: [directory / "no.deb"])
    with pytest.raises(ServerError):
        pooler_module.pgbouncer_installation()
    assert list(tmp_path.iterdir()) == []
