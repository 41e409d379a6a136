"""postgres_pool against a real server, through real handlers: what the server sees, and who fails."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest

from warmkit import (
    CheckError,
    CloseError,
    Environment,
    EventKind,
    Resource,
    StartError,
    TeardownError,
    TimeLimitError,
    WarmHandler,
    warm_handler,
)
from warmkit.resources import PostgresConnectError, postgres_pool
from warmkit.resources.postgres.connection import PooledConnection
from warmkit.testing import EventRecorder, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from conftest import Really

    from warmkit.local.postgres_server import PostgresServer
    from warmkit.testing import Relay

QUERY = "SELECT 40 + 2"
SENTINEL = "s3ntinel"


@pytest.fixture(autouse=True)
def alone(postgres: PostgresServer) -> None:
    """Begins when the connections that another test left behind have ended."""
    postgres.terminate_backends()


@pytest.fixture
def way(
    postgres: PostgresServer, relay: Callable[[int], Relay], monkeypatch: pytest.MonkeyPatch
) -> Relay:
    """The way that DATABASE_URL leads: it counts connections."""
    way = relay(postgres.port)
    monkeypatch.setenv("DATABASE_URL", through(way, postgres))
    return way


def through(way: Relay, postgres: PostgresServer) -> str:
    return postgres.dsn.replace(f":{postgres.port}/", f":{way.port}/")


def are_gone(postgres: PostgresServer) -> bool:
    """Whether all connections end: the server notices by itself, and soon."""
    return any(postgres.backends() == [] for _ in range(500))


def answering(db: Resource[Any]) -> WarmHandler[Any]:
    @warm_handler(db=db)
    async def handler(event: object, context: object, db: asyncpg.Pool) -> Any:
        return await db.fetchval(QUERY)

    return handler


async def fail(handler: WarmHandler[Any]) -> StartError:
    with pytest.raises(StartError) as caught:
        await handler.invoke({})
    return caught.value


# -- what the server sees


def test_the_server_sees_the_handlers_statements_and_none_of_ours(
    postgres: PostgresServer, way: Relay, really: Really, recorder: EventRecorder
) -> None:
    handler = answering(postgres_pool())

    @really
    async def _(_: Environment) -> None:
        assert [await handler.invoke({}) for _ in range(5)] == [42] * 5

    assert postgres.statements() == [QUERY] * 5
    assert way.connections == 1
    assert postgres.backends() == []
    assert recorder.story[-2:] == ["retired db", "closed db"]


@pytest.mark.usefixtures("host")
def test_so_it_is_for_a_synchronous_host(postgres: PostgresServer, way: Relay) -> None:
    handler = answering(postgres_pool())
    assert [handler({}, None) for _ in range(5)] == [42] * 5
    assert postgres.statements() == [QUERY] * 5
    assert way.connections == 1


def test_a_gap_costs_one_statement(
    postgres: PostgresServer,
    way: Relay,
    really: Really,
    clock: VirtualClock,
    recorder: EventRecorder,
) -> None:
    handler = answering(postgres_pool(check_after=1))

    @really
    async def _(_: Environment) -> None:
        await handler.invoke({})
        clock.freeze(1)
        await handler.invoke({})
        clock.freeze(1.001)
        await handler.invoke({})

    assert postgres.statements() == [QUERY, QUERY, "SELECT 1", QUERY]
    assert len(recorder.of(EventKind.CHECKED)) == 1
    assert way.connections == 1


def test_a_long_gap_replaces_the_connection_but_not_the_pool(
    postgres: PostgresServer, really: Really, clock: VirtualClock, recorder: EventRecorder
) -> None:
    db = postgres_pool()
    handler = answering(db)

    @really
    async def _(environment: Environment) -> None:
        await handler.invoke({})
        pool, backends = await environment.get(db), postgres.backends()
        clock.freeze(300.001)
        await handler.invoke({})
        assert await environment.get(db) is pool
        assert len(postgres.backends()) == 1
        assert postgres.backends() != backends

    assert postgres.statements() == [QUERY, QUERY]
    assert len(recorder.of(EventKind.REFRESHED)) == 1


def test_a_connection_that_lay_idle_too_long_is_replaced_though_the_pool_was_used(
    postgres: PostgresServer, really: Really, recorder: EventRecorder
) -> None:
    handler = answering(
        postgres_pool(max_gap=1e-9)
    )  # the clock stands: only the connection's own runs

    @really
    async def _(_: Environment) -> None:
        await handler.invoke({})
        backends = postgres.backends()
        await handler.invoke({})
        assert postgres.backends() != backends

    assert recorder.of(EventKind.CHECK_FAILED, EventKind.REFRESHED) == []


@pytest.mark.parametrize("max_size", [1, 4])
def test_a_hundred_invocations_share_the_pool(
    postgres: PostgresServer, way: Relay, really: Really, recorder: EventRecorder, max_size: int
) -> None:
    handler = answering(postgres_pool(max_size=max_size))

    @really
    async def _(_: Environment) -> None:
        results = await asyncio.gather(*(handler.invoke({}) for _ in range(100)))
        assert results == [42] * 100

    assert postgres.statements() == [QUERY] * 100
    assert way.connections == max_size
    assert len(recorder.of(EventKind.STARTED)) == 1


def test_as_many_connections_as_invocations_at_once(
    postgres: PostgresServer, really: Really, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_MAX_CONCURRENCY", "3")
    db = postgres_pool()

    @really
    async def _(environment: Environment) -> None:
        assert (await environment.get(db)).get_max_size() == 3
        assert len(postgres.backends()) == 1, "one shows at start what is wrong"


# -- what ends between two invocations


def test_a_connection_ended_by_the_server_fails_nobody(
    postgres: PostgresServer, really: Really, recorder: EventRecorder
) -> None:
    handler = answering(postgres_pool())

    @really
    async def _(_: Environment) -> None:
        await handler.invoke({})
        assert postgres.terminate_backends() == 1
        assert await handler.invoke({}) == 42

    assert len(recorder.of(EventKind.CHECKED)) == 1
    assert postgres.statements() == [QUERY, "SELECT 1", QUERY]


@pytest.mark.usefixtures("host")
def test_nor_where_the_loop_stood_still_meanwhile(postgres: PostgresServer) -> None:
    handler = answering(postgres_pool())
    assert handler({}, None) == 42
    assert postgres.terminate_backends() == 1
    assert handler({}, None) == 42


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_restart_fails_none_of_those_who_share_the_pool(
    postgres: PostgresServer, really: Really, recorder: EventRecorder, mode: Any
) -> None:
    together = asyncio.Barrier(4)

    @warm_handler(db=postgres_pool(max_size=4))
    async def handler(event: object, context: object, db: asyncpg.Pool) -> Any:
        async with db.acquire() as connection, together:
            return await connection.fetchval(QUERY)

    @really
    async def _(_: Environment) -> None:
        await asyncio.gather(*(handler.invoke({}) for _ in range(4)))
        assert len(postgres.backends()) == 4
        postgres.stop(mode)
        postgres.start()
        results = await asyncio.gather(*(handler.invoke({}) for _ in range(4)))
        assert results == [42] * 4

    assert recorder.of(EventKind.START_FAILED) == []


def test_an_outage_fails_only_the_invocations_meanwhile(
    postgres: PostgresServer, really: Really, recorder: EventRecorder
) -> None:
    handler = answering(postgres_pool())

    @really
    async def _(_: Environment) -> None:
        await handler.invoke({})
        postgres.stop()
        errors = [await fail(handler) for _ in range(3)]
        postgres.start()
        assert await handler.invoke({}) == 42
        for error in errors:
            cause = error.__cause__
            assert isinstance(cause, PostgresConnectError)
            assert error.resource == cause.resource == "db"
            assert error.seconds < 5, "its start_timeout"
            assert cause.server == f"127.0.0.1:{postgres.port}"
            assert cause.user == "postgres"
            assert "ConnectionRefusedError" in cause.reason
            assert postgres.password not in "".join(traceback.format_exception(error))

    assert len(recorder.of(EventKind.START_FAILED)) == 3
    assert len(recorder.of(EventKind.STARTED)) == 2


def test_a_server_that_goes_within_an_invocation_is_named_to_the_handler(
    postgres: PostgresServer, really: Really
) -> None:
    @warm_handler(db=postgres_pool())
    async def handler(event: object, context: object, db: asyncpg.Pool) -> str:
        postgres.stop()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await db.fetchval(QUERY)
        with pytest.raises(PostgresConnectError) as caught:
            await db.fetchval(QUERY)
        return "".join(traceback.format_exception(caught.value))

    @really
    async def _(_: Environment) -> None:
        shown = await handler.invoke({})
        assert f"'db' could not connect to PostgreSQL at 127.0.0.1:{postgres.port}" in shown
        assert postgres.password not in shown


def test_a_silent_connection_is_given_up_and_replaced_in_the_same_invocation(
    postgres: PostgresServer,
    relay: Callable[[int], Relay],
    really: Really,
    clock: VirtualClock,
    recorder: EventRecorder,
) -> None:
    first, second = relay(postgres.port), relay(postgres.port)
    dsns = iter([through(first, postgres), through(second, postgres)])
    handler = answering(postgres_pool(lambda: next(dsns), check_timeout=0.1))

    @really
    async def _(_: Environment) -> None:
        await handler.invoke({})
        first.hang()
        clock.freeze(10)
        assert await handler.invoke({}) == 42
        first.resume()  # else its end of the connection would wait for ever

    (failed,) = recorder.of(EventKind.CHECK_FAILED)
    assert isinstance(failed.error, CheckError)
    assert isinstance(failed.error.__cause__, TimeLimitError)
    assert failed.error.__cause__.option == "check_timeout"
    assert second.connections == 1


def test_a_silent_server_is_named_within_start_timeout(
    way: Relay, really: Really, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "warmkit.resources.postgres.pool._SHARE", 0.05
    )  # a busy machine needs more than a tenth to say it
    handler = answering(postgres_pool(start_timeout=10))

    @really
    async def _(_: Environment) -> None:
        way.hang()
        error = await fail(handler)
        cause = error.__cause__
        assert isinstance(cause, PostgresConnectError)
        assert cause.server == f"127.0.0.1:{way.port}"
        assert cause.reason == "no answer within 0.5 s"
        way.resume()
        assert await handler.invoke({}) == 42


# -- connections in use


def test_a_connection_in_use_is_not_judged(postgres: PostgresServer, really: Really) -> None:
    db = postgres_pool()

    @really
    async def _(environment: Environment) -> None:
        pool = await environment.get(db)
        alive = db.hooks.alive
        assert alive is not None
        async with pool.acquire() as connection:
            postgres.terminate_backends()
            assert alive(pool), "what has arrived is its user's to read"
            connection.terminate()
        assert not alive(pool), "a pool without a connection is to open one before the handler runs"


def test_a_check_does_not_wait_for_connections_in_use(
    postgres: PostgresServer,
    way: Relay,
    really: Really,
    clock: VirtualClock,
    recorder: EventRecorder,
) -> None:
    taken, go_on = asyncio.Event(), asyncio.Event()

    @warm_handler(db=postgres_pool(max_size=1, check_timeout=0.05))
    async def handler(event: str, context: object, db: asyncpg.Pool) -> Any:
        if event == "second":
            go_on.set()
            return await db.fetchval(QUERY)
        async with db.acquire() as connection:
            taken.set()
            await go_on.wait()
            return await connection.fetchval(QUERY)

    @really
    async def _(_: Environment) -> None:
        first = asyncio.create_task(handler.invoke("first"))
        await taken.wait()
        clock.freeze(10)
        assert await handler.invoke("second") == 42
        assert await first == 42

    assert postgres.statements() == [QUERY, QUERY]
    assert way.connections == 1
    assert recorder.of(EventKind.CHECK_FAILED, EventKind.REFRESH_FAILED) == []


# -- what one invocation leaves to the next

CHANGE = "SELECT set_config('work_mem', '7MB', false)"


async def copied(connection: Any) -> None:
    async def swallow(data: bytes) -> None:
        assert data == b"7MB\n"

    await connection.copy_from_query(CHANGE, output=swallow)


async def by_cursor(connection: Any) -> None:
    async with connection.transaction():
        async for _ in connection.cursor(CHANGE):
            pass


async def prepared(connection: Any) -> None:
    await (await connection.prepare(CHANGE)).fetch()


WAYS: dict[str, Callable[[Any], Awaitable[Any]]] = {
    "execute": lambda c: c.execute("SET work_mem = '7MB'"),
    "execute by keyword": lambda c: c.execute(query="SET work_mem = '7MB'"),
    "executemany": lambda c: c.executemany("SELECT set_config('work_mem', $1, false)", [["7MB"]]),
    "fetch": lambda c: c.fetch(CHANGE),
    "fetchval": lambda c: c.fetchval(CHANGE),
    "fetchrow": lambda c: c.fetchrow(CHANGE),
    "fetchmany": lambda c: c.fetchmany("SELECT set_config('work_mem', $1, false)", [["7MB"]]),
    "cursor": by_cursor,
    "prepare": prepared,
    "copy_from_query": copied,
}


def sharing(db: Resource[Any]) -> WarmHandler[Any]:
    """A handler that does what its event says, then tells the setting."""

    @warm_handler(db=db)
    async def handler(
        event: Callable[[Any], Awaitable[Any]] | None, context: object, db: asyncpg.Pool
    ) -> Any:
        async with db.acquire() as connection:
            if event is not None:
                await event(connection)
            return await connection.fetchval("SHOW work_mem")

    return handler


@pytest.mark.parametrize("way", WAYS)
def test_a_setting_does_not_leak_whichever_way_it_was_made(
    postgres: PostgresServer, really: Really, way: str
) -> None:
    handler = sharing(postgres_pool())

    @really
    async def _(_: Environment) -> None:
        before = await handler.invoke(None)
        assert await handler.invoke(WAYS[way]) == "7MB"
        assert await handler.invoke(None) == before != "7MB"

    resets = [statement for statement in postgres.statements() if "RESET ALL" in statement]
    assert len(resets) == 1, "only the invocation that changed the session pays"


def test_a_listener_and_a_lock_do_not_leak(postgres: PostgresServer, really: Really) -> None:
    async def listen_and_lock(connection: Any) -> None:
        await connection.add_listener("orders", print)
        await connection.remove_listener("orders", print)
        await connection.fetchval("SELECT pg_advisory_lock(7)")

    handler = sharing(postgres_pool())

    @really
    async def _(_: Environment) -> None:
        await handler.invoke(listen_and_lock)
        assert postgres.execute("SELECT pg_try_advisory_lock(7)") == ["t"]


def test_what_ends_with_its_transaction_needs_no_reset(
    postgres: PostgresServer, really: Really
) -> None:
    async def locally(connection: Any) -> None:
        async with connection.transaction():
            await connection.execute("SET LOCAL work_mem = '7MB'")

    handler = sharing(postgres_pool())

    @really
    async def _(_: Environment) -> None:
        assert await handler.invoke(locally) != "7MB"

    assert not [statement for statement in postgres.statements() if "RESET" in statement]


@pytest.mark.parametrize(("reset", "resets"), [("always", 3), ("never", 0)])
def test_resetting_can_be_forced_or_left_out(
    postgres: PostgresServer, really: Really, reset: Any, resets: int
) -> None:
    handler = sharing(postgres_pool(reset=reset))

    @really
    async def _(_: Environment) -> None:
        assert await handler.invoke(WAYS["execute"]) == "7MB"
        assert (await handler.invoke(None) == "7MB") is (reset == "never")

    # The connection that the start opened is released once, too.
    assert len([text for text in postgres.statements() if "RESET ALL" in text]) == resets


@pytest.mark.parametrize(("reset", "leaks"), [("auto", True), ("always", False)])
def test_a_function_that_changes_the_session_is_seen_by_always_only(
    postgres: PostgresServer, really: Really, reset: Any, *, leaks: bool
) -> None:
    postgres.execute(
        "CREATE OR REPLACE FUNCTION change() RETURNS text LANGUAGE sql"
        " AS $$ SELECT set_config('work_mem', '7MB', false) $$"
    )
    handler = sharing(postgres_pool(reset=reset))

    @really
    async def _(_: Environment) -> None:
        await handler.invoke(lambda connection: connection.fetchval("SELECT change()"))
        assert (await handler.invoke(None) == "7MB") is leaks


# -- what goes wrong at start


def shown_of(error: BaseException, caplog: pytest.LogCaptureFixture, *things: object) -> str:
    return "".join(traceback.format_exception(error)) + caplog.text + repr((error, *things))


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        (f"postgres:{SENTINEL}@{{host}}/postgres", ("InvalidPasswordError", "the password")),
        (f"nobody:{SENTINEL}@{{host}}/postgres", ("InvalidPasswordError", "the user")),
        ("postgres:{password}@{host}/missing", ("InvalidCatalogNameError", "Create the database")),
        ("postgres:{password}@host.invalid/postgres", ("gaierror", "host and port")),
        ("postgres:{password}@{host}/postgres?sslmode=nonsense", ("ClientConfigurationError", "")),
        (f"postgres@{{host}}/postgres?password=x&{SENTINEL}", ("ValueError", "")),
    ],
)
def test_a_start_that_fails_says_why_and_gives_no_secret_away(
    postgres: PostgresServer,
    really: Really,
    caplog: pytest.LogCaptureFixture,
    dsn: str,
    said: tuple[str, str],
) -> None:
    caplog.set_level("DEBUG")
    place = {"password": postgres.password, "host": f"127.0.0.1:{postgres.port}"}
    db = postgres_pool(f"postgresql://{dsn.format(**place)}")
    handler = answering(db)

    @really
    async def _(environment: Environment) -> None:
        error = await fail(handler)
        cause = error.__cause__
        assert isinstance(cause, PostgresConnectError)
        reason, advice = said
        assert cause.reason.startswith(reason)
        assert advice in cause.advice
        assert cause.__cause__ is None
        assert cause.__context__ is None
        shown = shown_of(error, caplog, db, db.factory, environment, environment.statistics)
        assert SENTINEL not in shown
        assert postgres.password not in shown


def test_a_started_pool_gives_no_secret_away(
    postgres: PostgresServer, really: Really, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    db = postgres_pool()

    @really
    async def _(environment: Environment) -> None:
        pool = await environment.get(db)
        async with pool.acquire() as connection:
            shown = repr((pool, connection, vars(db.factory))) + caplog.text
        assert postgres.password not in shown


def test_a_server_that_is_full_is_said_to_be(
    postgres: PostgresServer, really: Really, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmkit.resources.postgres.pool._SHARE", 0.05)
    postgres.execute("CREATE ROLE narrow LOGIN PASSWORD 'pw' CONNECTION LIMIT 0")
    try:
        dsn = f"postgresql://narrow:pw@127.0.0.1:{postgres.port}/postgres"

        @really
        async def _(_: Environment) -> None:
            db = postgres_pool(dsn, start_timeout=10)
            cause = (await fail(answering(db))).__cause__
            assert isinstance(cause, PostgresConnectError)
            assert "too many connections" in cause.reason
            assert "reserved concurrency" in cause.advice
    finally:
        postgres.execute("DROP ROLE narrow")


# -- options


def test_a_function_gives_the_dsn_of_every_new_connection(
    postgres: PostgresServer, really: Really
) -> None:
    postgres.execute("CREATE ROLE rotating LOGIN PASSWORD 'old'")
    passwords: list[str] = ["old"]

    async def secret() -> str:
        return f"postgresql://rotating:{passwords[-1]}@127.0.0.1:{postgres.port}/postgres"

    handler = answering(postgres_pool(secret))
    try:

        @really
        async def _(_: Environment) -> None:
            await handler.invoke({})
            postgres.execute("ALTER ROLE rotating PASSWORD 'new'")
            passwords.append("new")
            postgres.terminate_backends()
            assert await handler.invoke({}) == 42
    finally:
        postgres.execute("DROP ROLE rotating")


def test_options_reach_asyncpg(postgres: PostgresServer, really: Really) -> None:
    calls: list[str] = []

    class Row(asyncpg.Record):  # type: ignore[type-arg,misc,unused-ignore]
        pass

    async def init(connection: Any) -> None:
        calls.append("init")

    async def setup(connection: Any) -> None:
        calls.append("setup")

    db = postgres_pool(
        host="127.0.0.1",
        port=postgres.port,
        user="postgres",
        password=lambda: postgres.password,
        database="postgres",
        server_settings={"application_name": "orders"},
        init=init,
        setup=setup,
        record_class=Row,
    )

    @really
    async def _(environment: Environment) -> None:
        pool = await environment.get(db)
        assert type(await pool.fetchrow(QUERY)) is Row
        assert len(postgres.backends("orders")) == 1

    assert calls == ["init", "setup", "setup"]


def test_no_timer_decides_anything(postgres: PostgresServer, really: Really) -> None:
    @really
    async def _(environment: Environment) -> None:
        pool = await environment.get(postgres_pool())
        await pool.fetchval(QUERY)
        loop = asyncio.get_running_loop()
        assert [timer for timer in loop._scheduled if not timer.cancelled()] == []  # type: ignore[attr-defined]


# -- the end


def test_closing_leaves_no_connection_even_one_in_use(
    postgres: PostgresServer, clock: VirtualClock, recorder: EventRecorder
) -> None:
    async def main() -> None:
        async with Environment(clock=clock, observers=[recorder]) as environment:
            pool = await environment.get(postgres_pool(name="db", max_size=2, close_timeout=0.05))
            await pool.acquire()  # and never released
            assert await pool.fetchval(QUERY) == 42
            assert len(postgres.backends()) == 2

    with pytest.raises(TeardownError):
        asyncio.run(main())
    (failed,) = recorder.of(EventKind.CLOSE_FAILED)
    assert isinstance(failed.error, CloseError)
    assert isinstance(failed.error.__cause__, TimeLimitError)
    assert are_gone(postgres)


def test_a_farewell_that_is_not_heard_is_cut_short(way: Relay, recorder: EventRecorder) -> None:
    handler = answering(postgres_pool(close_timeout=0.05))

    async def main() -> None:
        async with Environment(observers=[recorder]):
            await handler.invoke({})
            way.hang()

    with pytest.raises(TeardownError) as caught:
        asyncio.run(main())
    (error,) = caught.value.exceptions
    assert isinstance(error.__cause__, TimeLimitError)
    assert recorder.story[-1] == "close failed db"


# -- what is taken for granted of asyncpg


def test_asyncpg_calls_the_connection_class_with_protocol_transport_and_loop_first() -> None:
    parameters = list(inspect.signature(asyncpg.Connection.__init__).parameters)
    assert parameters[:4] == ["self", "protocol", "transport", "loop"]


def test_every_documented_way_for_sql_is_watched() -> None:
    takes_sql = {
        name
        for name, member in inspect.getmembers(asyncpg.Connection, inspect.isfunction)
        if not name.startswith("_")
        and {"query", "command"} & set(inspect.signature(member).parameters)
    }
    assert takes_sql, "there are such methods"
    assert takes_sql <= set(vars(PooledConnection))


def test_a_clean_connection_is_given_back_without_a_turn_of_the_loop(
    postgres: PostgresServer, really: Really
) -> None:
    turns = 0

    async def spin() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    @really
    async def _(environment: Environment) -> None:
        pool = await environment.get(postgres_pool(max_size=2))
        spinning = asyncio.create_task(spin())
        connection = await pool.acquire()
        assert await connection.fetchval(QUERY) == 42
        before = turns
        await pool.release(connection)
        assert turns == before
        assert (pool.get_idle_size(), pool.get_size()) == (1, 1)
        with pytest.raises(asyncpg.InterfaceError, match="released back to the pool"):
            await connection.fetchval(QUERY)
        await pool.release(connection)  # again, as asyncpg allows
        assert pool.get_idle_size() == 1
        spinning.cancel()


def test_a_connection_of_another_pool_is_not_taken_back(
    postgres: PostgresServer, really: Really
) -> None:
    @really
    async def _(environment: Environment) -> None:
        one, other = [await environment.get(postgres_pool()) for _ in range(2)]
        async with one.acquire() as connection:
            for stranger in (connection, object()):
                with pytest.raises(asyncpg.InterfaceError, match="not a member of this pool"):
                    await other.release(stranger)  # type: ignore[arg-type]


async def change_a_setting(connection: Any) -> None:
    await connection.execute("SET work_mem = '7MB'")


async def leave_a_transaction_open(connection: Any) -> None:
    await connection.execute("BEGIN")
    await connection.execute("SET LOCAL work_mem = '7MB'")


async def give_up_a_statement(connection: Any) -> None:
    with pytest.raises(TimeoutError):
        await connection.execute("SELECT pg_sleep(3600)", timeout=0.01)


@pytest.mark.parametrize("leave", [change_a_setting, leave_a_transaction_open, give_up_a_statement])
def test_a_reset_survives_the_cancellation_of_who_gives_the_connection_back(
    postgres: PostgresServer, really: Really, leave: Callable[[Any], Awaitable[None]]
) -> None:
    @really
    async def _(environment: Environment) -> None:
        pool = await environment.get(postgres_pool())
        connection = await pool.acquire()
        await leave(connection)
        session = connection.get_server_pid()
        giving_back = asyncio.create_task(pool.release(connection))
        await asyncio.sleep(0)  # it has begun
        giving_back.cancel()
        with pytest.raises(asyncio.CancelledError):
            await giving_back
        async with pool.acquire() as again:
            assert await again.fetchval("SHOW work_mem") != "7MB"
            assert again.get_server_pid() == session, "it was not cut"


def test_who_leaves_a_listener_is_told(postgres: PostgresServer, really: Really) -> None:
    @really
    async def _(environment: Environment) -> None:
        pool = await environment.get(postgres_pool())
        connection = await pool.acquire()
        connection.add_log_listener(print)
        with pytest.warns(asyncpg.InterfaceWarning, match="1 active log listener"):
            await pool.release(connection)


# -- what connections are called


def test_a_connection_names_function_and_environment(
    postgres: PostgresServer, really: Really, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders-" + "x" * 60)
    monkeypatch.delenv("PGAPPNAME", raising=False)
    handler = answering(postgres_pool())

    @really
    async def _(environment: Environment) -> None:
        await handler.invoke({})
        name = f"orders-{'x' * 47}/{environment.id}"
        assert len(name) == 63
        assert len(postgres.backends(name)) == 1
        assert postgres.statements() == [QUERY], "the name costs no statement"


@pytest.mark.parametrize("where", ["variable", "dsn", "option"])
def test_a_name_of_the_users_own_goes_first(
    postgres: PostgresServer, really: Really, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.delenv("PGAPPNAME", raising=False)
    options: dict[str, Any] = {}
    dsn = postgres.dsn
    if where == "variable":
        monkeypatch.setenv("PGAPPNAME", "mine")
    elif where == "dsn":
        dsn += "?application_name=mine"
    else:
        options = {"server_settings": {"application_name": "mine"}}
    handler = answering(postgres_pool(dsn, **options))

    @really
    async def _(_: Environment) -> None:
        await handler.invoke({})
        assert len(postgres.backends("mine")) == 1
