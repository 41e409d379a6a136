"""postgres_transaction against a real server: what is committed, what is rolled back, and what the connection is then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from warmkit import (
    CloseError,
    Environment,
    EventKind,
    Lazy,
    StartError,
    TimeLimitError,
    WarmHandler,
    warm_handler,
)
from warmkit.resources import (
    NotCommittedError,
    PoolExhaustedError,
    PostgresConnectError,
    postgres_pool,
    postgres_transaction,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import Really

    from warmkit.local.postgres_server import PostgresServer
    from warmkit.testing import EventRecorder, Relay

INSERT = "INSERT INTO orders VALUES ($1)"


@pytest.fixture(autouse=True)
def orders(postgres: PostgresServer) -> Iterator[None]:
    """A table in which a duplicate is found at the commit."""
    postgres.terminate_backends()
    postgres.execute("CREATE TABLE orders (id int UNIQUE DEFERRABLE INITIALLY DEFERRED)")
    postgres.forget_statements()
    yield
    postgres.execute("DROP TABLE orders")


@pytest.fixture
def way(
    postgres: PostgresServer, relay: Callable[[int], Relay], monkeypatch: pytest.MonkeyPatch
) -> Relay:
    way = relay(postgres.port)
    monkeypatch.setenv("DATABASE_URL", postgres.dsn.replace(f":{postgres.port}/", f":{way.port}/"))
    return way


def stored(postgres: PostgresServer) -> list[int]:
    return [int(line) for line in postgres.execute("SELECT id FROM orders ORDER BY id")]


def storing(db: Any, then: Callable[[Any], Any] | None = None, **options: Any) -> WarmHandler[Any]:
    """A handler that stores its event, then does something."""

    @warm_handler(tx=postgres_transaction(db, **options))
    async def handler(event: int, tx: asyncpg.Connection) -> Any:
        await tx.execute(INSERT, event)
        return await then(tx) if then is not None else event

    return handler


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came to be")


def idle_in_transaction(postgres: PostgresServer) -> list[str]:
    return postgres.execute(
        "SELECT pid FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"
    )


# -- the outcome


def test_it_is_committed_when_the_handler_returns(
    postgres: PostgresServer, really: Really, recorder: EventRecorder
) -> None:
    handler = storing(postgres_pool())

    @really
    async def _(_: Environment) -> None:
        assert [await handler.invoke(number) for number in (1, 2)] == [1, 2]
        assert stored(postgres) == [1, 2]

    assert postgres.statements() == ["BEGIN;", INSERT, "COMMIT;"] * 2
    assert len(recorder.of(EventKind.CLOSED)) == 3, "two transactions and the pool"


@pytest.mark.usefixtures("host")
def test_so_it_is_for_a_synchronous_host(postgres: PostgresServer) -> None:
    handler = storing(postgres_pool())
    assert handler(1, None) == 1
    assert stored(postgres) == [1]


def test_it_is_rolled_back_when_the_handler_raises(
    postgres: PostgresServer, really: Really
) -> None:
    async def break_off(_: Any) -> None:
        raise ValueError("no")

    db = postgres_pool()

    @really
    async def _(_: Environment) -> None:
        with pytest.raises(ValueError, match="no"):
            await storing(db, break_off).invoke(1)
        assert await storing(db).invoke(2) == 2

    assert stored(postgres) == [2]
    assert postgres.statements() == ["BEGIN;", INSERT, "ROLLBACK;", "BEGIN;", INSERT, "COMMIT;"]


@pytest.mark.parametrize("command_timeout", [None, 5])
def test_it_is_rolled_back_when_the_handler_is_cancelled_in_a_statement(
    postgres: PostgresServer, way: Relay, really: Really, command_timeout: float | None
) -> None:
    db = postgres_pool(command_timeout=command_timeout)
    sleeping = storing(db, lambda tx: tx.execute("SELECT pg_sleep(60)"))

    @really
    async def _(_: Environment) -> None:
        task = asyncio.create_task(sleeping.invoke(1))
        await until(lambda: "SELECT pg_sleep(60)" in postgres.statements())
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert idle_in_transaction(postgres) == []
        assert await storing(db).invoke(2) == 2

    assert stored(postgres) == [2]
    assert "ROLLBACK;" in postgres.statements(), "the connection was kept"


def test_it_is_rolled_back_when_the_time_is_up(postgres: PostgresServer, really: Really) -> None:
    db = postgres_pool()
    sleeping = storing(db, lambda tx: tx.execute("SELECT pg_sleep(60)"))

    @really
    async def _(_: Environment) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await sleeping.invoke(1)
        assert await storing(db).invoke(2) == 2

    assert stored(postgres) == [2]


def test_a_commit_that_fails_fails_the_invocation(
    postgres: PostgresServer, really: Really, recorder: EventRecorder
) -> None:
    handler = storing(postgres_pool())

    @really
    async def _(_: Environment) -> None:
        await handler.invoke(1)
        with pytest.raises(CloseError) as caught:
            await handler.invoke(1)
        assert isinstance(caught.value.__cause__, asyncpg.UniqueViolationError)
        assert await handler.invoke(2) == 2

    assert stored(postgres) == [1, 2]
    assert len(recorder.of(EventKind.CLOSE_FAILED)) == 1


def test_a_handler_that_goes_on_after_a_failed_statement_is_told(
    postgres: PostgresServer, really: Really
) -> None:
    """PostgreSQL answers such a COMMIT with ROLLBACK, and no error."""

    async def swallow(tx: Any) -> str:
        with pytest.raises(asyncpg.PostgresError):
            await tx.execute("SELECT nothing_there()")
        return "done"

    db = postgres_pool()

    @really
    async def _(_: Environment) -> None:
        with pytest.raises(CloseError) as caught:
            await storing(db, swallow).invoke(1)
        assert isinstance(caught.value.__cause__, NotCommittedError)
        assert "a statement in it had failed" in str(caught.value.__cause__)
        assert await storing(db).invoke(2) == 2

    assert stored(postgres) == [2]


def test_what_may_fail_goes_into_a_savepoint(postgres: PostgresServer, really: Really) -> None:
    async def in_savepoint(tx: Any) -> str:
        with pytest.raises(asyncpg.PostgresError):
            async with tx.transaction():
                await tx.execute("SELECT nothing_there()")
        return "done"

    @really
    async def _(_: Environment) -> None:
        assert await storing(postgres_pool(), in_savepoint).invoke(1) == "done"

    assert stored(postgres) == [1]


def test_a_commit_that_takes_too_long_fails_and_costs_the_connection(
    postgres: PostgresServer, way: Relay, really: Really
) -> None:
    async def silence(_: Any) -> None:
        way.hang()

    db = postgres_pool()

    @really
    async def _(_: Environment) -> None:
        with pytest.raises(CloseError) as caught:
            await storing(db, silence, close_timeout=0.1).invoke(1)
        assert isinstance(caught.value.__cause__, TimeLimitError)
        way.resume()
        assert await storing(db).invoke(2) == 2

    assert way.connections >= 2


def test_a_rollback_that_is_not_heard_is_given_up(
    postgres: PostgresServer, way: Relay, really: Really, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmkit.resources.postgres.transaction._ROLLBACK", 0.05)

    async def silence(_: Any) -> None:
        way.hang()
        raise ValueError("no")

    db = postgres_pool()

    @really
    async def _(_: Environment) -> None:
        with pytest.raises(ValueError, match="no") as caught:
            await storing(db, silence).invoke(1)
        assert getattr(caught.value, "__notes__", []) == [], "it ended before its close_timeout"
        way.resume()
        assert await storing(db).invoke(2) == 2

    assert stored(postgres) == [2]


def test_a_connection_cut_in_the_middle_is_the_handlers_error_and_the_next_gets_another(
    postgres: PostgresServer, way: Relay, really: Really
) -> None:
    async def be_cut(tx: Any) -> Any:
        way.cut()
        return await tx.fetchval("SELECT 1")

    db = postgres_pool()

    @really
    async def _(_: Environment) -> None:
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)) as caught:
            await storing(db, be_cut).invoke(1)
        assert getattr(caught.value, "__notes__", []) == []
        assert await storing(db).invoke(2) == 2

    assert stored(postgres) == [2]


def test_a_connection_cut_before_the_commit_fails_the_invocation(
    postgres: PostgresServer, way: Relay, really: Really
) -> None:
    async def be_cut(_: Any) -> None:
        way.cut()

    @really
    async def _(_: Environment) -> None:
        with pytest.raises(CloseError):
            await storing(postgres_pool(), be_cut).invoke(1)

    assert stored(postgres) == []


def test_a_server_that_is_away_is_named(postgres: PostgresServer, really: Really) -> None:
    handler = storing(postgres_pool())

    @really
    async def _(_: Environment) -> None:
        await handler.invoke(1)
        postgres.stop()
        with pytest.raises(StartError) as caught:
            await handler.invoke(2)
        postgres.start()
        assert isinstance(caught.value.__cause__, PostgresConnectError)
        assert await handler.invoke(3) == 3

    assert stored(postgres) == [1, 3]


# -- its kind


@pytest.mark.parametrize(
    ("options", "begin"),
    [
        ({}, "BEGIN;"),
        ({"isolation": "read_uncommitted"}, "BEGIN ISOLATION LEVEL READ UNCOMMITTED;"),
        ({"isolation": "read_committed"}, "BEGIN ISOLATION LEVEL READ COMMITTED;"),
        ({"isolation": "repeatable_read"}, "BEGIN ISOLATION LEVEL REPEATABLE READ;"),
        (
            {"isolation": "serializable", "readonly": True, "deferrable": True},
            "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE;",
        ),
    ],
)
def test_it_begins_as_it_was_declared(
    postgres: PostgresServer, really: Really, options: dict[str, Any], begin: str
) -> None:
    @warm_handler(tx=postgres_transaction(postgres_pool(), **options))
    async def handler(event: object, tx: asyncpg.Connection) -> Any:
        return await tx.fetchval("SELECT 1")

    @really
    async def _(_: Environment) -> None:
        assert await handler.invoke(None) == 1

    assert postgres.statements() == [begin, "SELECT 1", "COMMIT;"]


def test_a_serialization_failure_is_not_retried(postgres: PostgresServer, really: Really) -> None:
    postgres.execute("INSERT INTO orders VALUES (1)")
    together = asyncio.Barrier(2)

    @warm_handler(tx=postgres_transaction(postgres_pool(max_size=2), isolation="repeatable_read"))
    async def handler(event: int, tx: asyncpg.Connection) -> None:
        await tx.fetch("SELECT * FROM orders")
        await together.wait()
        await tx.execute("UPDATE orders SET id = $1", event)

    @really
    async def _(_: Environment) -> None:
        found = await asyncio.gather(handler.invoke(2), handler.invoke(3), return_exceptions=True)
        failed = [item for item in found if item is not None]
        assert [type(item) for item in failed] == [asyncpg.SerializationError]


# -- many at once


@pytest.mark.parametrize("max_size", [1, 4])
def test_a_hundred_at_once_are_isolated(
    postgres: PostgresServer, way: Relay, really: Really, max_size: int
) -> None:
    @warm_handler(tx=postgres_transaction(postgres_pool(max_size=max_size)))
    async def handler(event: int, tx: asyncpg.Connection) -> int:
        await tx.execute(INSERT, event)
        own = await tx.fetchval(
            "SELECT count(*) FROM orders WHERE xmin::text = pg_current_xact_id()::text"
        )
        if event % 10 == 0:
            raise ValueError(event)
        return own

    @really
    async def _(_: Environment) -> None:
        found = await asyncio.gather(
            *(handler.invoke(number) for number in range(100)), return_exceptions=True
        )
        assert [item for item in found if isinstance(item, int)] == [1] * 90
        assert way.connections == max_size

    assert stored(postgres) == [number for number in range(100) if number % 10]


def test_each_invocation_has_its_own_connection(postgres: PostgresServer, really: Really) -> None:
    together = asyncio.Barrier(3)

    @warm_handler(tx=postgres_transaction(postgres_pool(max_size=3)))
    async def handler(event: int, tx: asyncpg.Connection) -> list[Any]:
        await tx.execute(INSERT, event)
        await together.wait()
        seen = [row["id"] for row in await tx.fetch("SELECT id FROM orders")]
        await together.wait()
        return seen

    @really
    async def _(_: Environment) -> None:
        found = await asyncio.gather(*(handler.invoke(number) for number in range(3)))
        assert found == [[0], [1], [2]]


# -- only if it is asked for


def test_a_lazy_one_costs_nothing_until_it_is_awaited(
    postgres: PostgresServer, really: Really
) -> None:
    tx = postgres_transaction(postgres_pool(max_size=2))

    @warm_handler(tx=tx)
    async def handler(event: int | None, tx: Lazy[asyncpg.Connection]) -> None:
        if event is not None:
            await (await tx).execute(INSERT, event)
            await (await tx).execute(INSERT, event + 1)

    @really
    async def _(_: Environment) -> None:
        await handler.invoke(None)
        assert postgres.statements() == []
        await handler.invoke(1)

    assert postgres.statements() == ["BEGIN;", INSERT, INSERT, "COMMIT;"]
    assert stored(postgres) == [1, 2]


# -- a pool that has no connection left


def test_a_handler_that_waits_for_itself_is_told(postgres: PostgresServer, really: Really) -> None:
    db = postgres_pool(max_size=1, start_timeout=0.2, name="db")

    @warm_handler(db=db, tx=postgres_transaction(db))
    async def handler(event: str, db: asyncpg.Pool, tx: asyncpg.Connection) -> Any:
        if event == "acquire":
            return await db.acquire()
        return await db.fetchval("SELECT 1")

    @really
    async def _(_: Environment) -> None:
        for event in ("fetchval", "acquire"):
            with pytest.raises(PoolExhaustedError) as caught:
                await handler.invoke(event)
            assert caught.value.size == 1
            assert "no connection of 'db' became free within 0.18 s" in str(caught.value)
            assert "postgres_pool(max_size=2)" in str(caught.value)


def test_so_is_one_whose_transaction_waits_for_itself(
    postgres: PostgresServer, really: Really
) -> None:
    db = postgres_pool(max_size=1)
    tx = postgres_transaction(db, start_timeout=0.2)

    @warm_handler(db=db, tx=tx)
    async def handler(event: object, db: asyncpg.Pool, tx: Lazy[asyncpg.Connection]) -> Any:
        async with db.acquire():
            return await tx

    @really
    async def _(_: Environment) -> None:
        with pytest.raises(StartError) as caught:
            await handler.invoke(None)
        assert isinstance(caught.value.__cause__, PoolExhaustedError)


def test_a_pool_that_could_open_another_one_is_not_called_exhausted_when_the_server_hangs(
    postgres: PostgresServer,
    relay: Callable[[int], Relay],
    really: Really,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    way = relay(postgres.port)
    monkeypatch.setenv("DATABASE_URL", postgres.dsn.replace(f":{postgres.port}/", f":{way.port}/"))
    db = postgres_pool(max_size=3, start_timeout=0.5)
    tx = postgres_transaction(db, start_timeout=0.5)

    @warm_handler(db=db, tx=tx)
    async def handler(event: object, db: asyncpg.Pool, tx: Lazy[asyncpg.Connection]) -> Any:
        async with db.acquire():
            way.hang()
            return await tx

    @really
    async def _(_: Environment) -> None:
        with pytest.raises(StartError) as caught:
            await handler.invoke(None)
        assert not isinstance(caught.value.__cause__, PoolExhaustedError)
        way.resume()


def test_with_room_for_both_it_has_both(postgres: PostgresServer, really: Really) -> None:
    db = postgres_pool(max_size=2)

    @warm_handler(db=db, tx=postgres_transaction(db))
    async def handler(event: int, db: asyncpg.Pool, tx: asyncpg.Connection) -> Any:
        await tx.execute(INSERT, event)
        return await db.fetchval("SELECT count(*) FROM orders")

    @really
    async def _(_: Environment) -> None:
        assert [await handler.invoke(number) for number in range(3)] == [0, 1, 2]


def test_waiting_for_others_is_no_mistake(postgres: PostgresServer, really: Really) -> None:
    """Without a transaction, whoever waits does so as long as it takes."""
    db = postgres_pool(max_size=1, start_timeout=0.2)

    transaction = storing(db)

    @warm_handler(db=db)
    async def handler(event: object, db: asyncpg.Pool) -> Any:
        return await asyncio.gather(
            *(db.fetchval("SELECT 1 FROM pg_sleep(0.15)") for _ in range(3))
        )

    @really
    async def _(_: Environment) -> None:
        await transaction.invoke(1)  # it is over, and holds nothing any more
        assert await handler.invoke(None) == [1, 1, 1]


# -- tests of those who use it


def test_a_pool_of_asyncpgs_own_can_stand_in(postgres: PostgresServer, really: Really) -> None:
    db = postgres_pool("postgresql://nowhere.invalid/")
    handler = storing(db)

    @really
    async def _(environment: Environment) -> None:
        async with asyncpg.create_pool(postgres.dsn, min_size=1, max_size=1) as own:
            with environment.override(db, own):
                assert await handler.invoke(1) == 1

    assert stored(postgres) == [1]


# -- what it costs


def test_a_query_on_the_warm_path_is_one_round_trip(
    postgres: PostgresServer, way: Relay, really: Really
) -> None:
    db = postgres_pool()

    @warm_handler(db=db)
    async def plain(event: object, db: asyncpg.Pool) -> Any:
        return await db.fetchval("SELECT $1::int", 1)

    @warm_handler(db=db)
    async def in_transaction(event: object, db: asyncpg.Pool) -> Any:
        async with db.acquire() as connection, connection.transaction():
            return await connection.fetchval("SELECT $1::int", 1)

    @warm_handler(tx=postgres_transaction(db))
    async def injected(event: object, tx: asyncpg.Connection) -> Any:
        return await tx.fetchval("SELECT $1::int", 1)

    @really
    async def _(_: Environment) -> None:
        for handler, expected in ((plain, 1), (in_transaction, 3), (injected, 3)):
            await handler.invoke(None)  # the statement is prepared
            before = way.round_trips
            for _ in range(5):
                assert await handler.invoke(None) == 1
            assert way.round_trips - before == 5 * expected
