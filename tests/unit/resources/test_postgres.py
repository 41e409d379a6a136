"""What of postgres_pool needs no server: which statements need a reset, what a DSN says, what is refused."""

import asyncio
import select
import socket
import sys
import traceback
from contextlib import closing
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmkit import DefinitionError, Environment, Resource, StartError
from warmkit.resources import DsnError, MissingPackageError, postgres_pool
from warmkit.resources.errors import needing
from warmkit.resources.postgres.dsn import Target, read_target, secrets
from warmkit.resources.postgres.members import Members
from warmkit.resources.postgres.session import may_change_session
from warmkit.resources.sockets import is_quiet

SENTINEL = "s3ntinel"

# -- which statements may leave something behind

HARMLESS = [
    "SELECT 1",
    "select * from orders where id = $1;",
    "INSERT INTO temperatures (celsius) VALUES ($1) RETURNING id",
    "UPDATE settings SET value = $1",
    "DELETE FROM orders",
    "MERGE INTO a USING b ON a.id = b.id WHEN MATCHED THEN DELETE",
    "VALUES (1), (2)",
    "WITH recent AS (SELECT 1) SELECT * FROM recent",
    "TABLE orders",
    "((SELECT 1) UNION (SELECT 2))",
    "SELECT nextval('orders_id_seq')",
    "SELECT pg_advisory_xact_lock(1)",
    "SELECT pg_try_advisory_xact_lock(1)",
    "SELECT temp FROM readings",
    "BEGIN;",
    "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY;",
    "START TRANSACTION",
    "COMMIT;",
    "ROLLBACK;",
    "SAVEPOINT a",
    "RELEASE SAVEPOINT a",
    "SET LOCAL work_mem = '8MB'",
    "set /* for row security */ local app.tenant = '1'",
    "SET TRANSACTION READ ONLY",
    "SET CONSTRAINTS ALL DEFERRED",
    "COPY orders TO STDOUT",
    "NOTIFY orders",
]
LEAVES_SOMETHING = [
    "",
    ";",
    "SET work_mem = '8MB'",
    "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
    "SET search_path TO local",
    "set\tlocality = 'here'",
    "RESET ALL",
    "DISCARD ALL",
    "LISTEN orders",
    "UNLISTEN *",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "CREATE TEMP TABLE t (id int)",
    "CREATE TABLE t (id int)",
    "DO $$ BEGIN PERFORM 1; END $$",
    "CALL something()",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "EXPLAIN ANALYZE SELECT 1",
    "LOAD 'auto_explain'",
    "SELECT set_config('work_mem', '8MB', false)",
    "SELECT pg_catalog.SET_CONFIG('work_mem', '8MB', false)",
    "WITH x AS (SELECT set_config('a.b', 'c', false)) SELECT 1",
    "SELECT set_limit(0.5)",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_try_advisory_lock_shared(1)",
    "SELECT pg_advisory_xact_lock(1), pg_advisory_lock(2)",
    "SELECT dblink_connect('other')",
    "SELECT 1 INTO TEMP t",
    "SELECT 1 INTO LOCAL TEMPORARY t",
    "SELECT U&\"set\\005fconfig\"('work_mem', '8MB', false)",
    "SELECT 1; SET work_mem = '8MB'",
    "SELECT 1;; LISTEN orders",
    "/* SELECT */ SET work_mem = '8MB'",
    "/* /* */ SELECT */ SET work_mem = '8MB'",
    "-- SELECT\nSET work_mem = '8MB'",
    "/* never ends SELECT 1",
    "selectively",
]


@pytest.mark.parametrize("query", HARMLESS)
def test_needs_no_reset(query: str) -> None:
    assert not may_change_session(query)


@pytest.mark.parametrize("query", LEAVES_SOMETHING)
def test_needs_a_reset(query: str) -> None:
    assert may_change_session(query)


inside_comments = st.text(alphabet="abcSETselect '\"-\n ", max_size=20)
block_comments = st.recursive(
    inside_comments.map(lambda text: f"/*{text}*/"),
    lambda inner: st.tuples(inside_comments, inner).map(lambda parts: f"/*{parts[0]}{parts[1]}*/"),
)
line_comments = inside_comments.map(lambda text: "--" + text.replace("\n", "") + "\n")
blanks = st.lists(st.sampled_from(" \t\n\r\f") | block_comments | line_comments).map("".join)


@given(blank=blanks, query=st.sampled_from(HARMLESS), upper=st.booleans())
def test_what_stands_before_a_harmless_statement_changes_nothing(
    blank: str, query: str, *, upper: bool
) -> None:
    assert not may_change_session(blank + (query.upper() if upper else query.lower()))


@given(blank=blanks, query=st.sampled_from(LEAVES_SOMETHING), upper=st.booleans())
def test_nothing_before_a_statement_makes_it_harmless(
    blank: str, query: str, *, upper: bool
) -> None:
    assert may_change_session(blank + (query.upper() if upper else query.lower()))


@given(first=st.sampled_from(HARMLESS), second=st.sampled_from(LEAVES_SOMETHING[2:]))
def test_a_harmless_statement_hides_no_other(first: str, second: str) -> None:
    assert may_change_session(f"{first.rstrip(';')}; {second}")


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    may_change_session(text)


# -- DSN


@pytest.mark.parametrize(
    ("dsn", "options", "server", "user"),
    [
        ("postgresql://ada:pw@db:5433/app", {}, "db:5433", "ada"),
        ("postgres://ada:pw@db/app", {}, "db:5432", "ada"),
        ("postgresql://ada@db,other:5433/app", {}, "db:5432,other:5433", "ada"),
        ("postgresql://a%40b:p%40w@[::1]:5433/app", {}, "[::1]:5433", "a@b"),
        ("postgresql:///app?host=/run/pg&user=ada", {}, "/run/pg", "ada"),
        ("postgresql://db/app?user=a%40b&port=5434", {}, "db:5434", "a@b"),
        ("postgresql://ada:pw@db/app", {"user": "bob", "host": "other"}, "other:5432", "bob"),
        (None, {"host": ["a", "b"], "port": [1, 2], "user": "ada"}, "a:1,b:2", "ada"),
        (None, {"host": "a", "port": 1, "user": "ada"}, "a:1", "ada"),
    ],
)
def test_a_dsn_says_where_it_leads(
    dsn: str | None, options: dict[str, Any], server: str, user: str
) -> None:
    assert read_target(dsn, options) == (server, user)


def test_the_environment_says_what_the_dsn_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"PGHOST": "db", "PGPORT": "5433", "PGUSER": "ada"}.items():
        monkeypatch.setenv(name, value)
    assert read_target("postgresql:///app", {}) == ("db:5433", "ada")
    for name in ("PGHOST", "PGPORT", "PGUSER"):
        monkeypatch.delenv(name)
    assert read_target("postgresql:///app", {}) == ("localhost:5432", "(system user)")


UNREADABLE = [
    f"ada:{SENTINEL}@db/app",
    f"host=db password={SENTINEL}",
    f"postgresql+asyncpg://ada:{SENTINEL}@db/app",
    f"{SENTINEL}://ada@db/app",
    f"postgresql://ada:p@{SENTINEL}@db/app",
    f"postgresql://ada:p/{SENTINEL}@db/app",
    f"postgresql://ada:p?{SENTINEL}@db/app",
    f"postgresql://ada:12?{SENTINEL}=3@db/app",
    f"postgresql://ada:p#{SENTINEL}@db/app",
    f"postgresql://ada:p[{SENTINEL}@db/app",
    f"postgresql://ada:p\u2100{SENTINEL}@db/app",
    f"postgresql://ada:{SENTINEL}/app",
    f"postgresql://ada@db:{SENTINEL}/app",
]


@pytest.mark.parametrize("dsn", UNREADABLE)
def test_a_dsn_that_cannot_be_read_is_not_quoted(dsn: str) -> None:
    with pytest.raises(DsnError) as caught:
        read_target(dsn, {})
    shown = "".join(traceback.format_exception(caught.value))
    assert SENTINEL not in shown
    assert caught.value.__context__ is None
    assert "postgresql://user:password@host:port/database" in str(caught.value)


def target_of(dsn: str) -> Target | None:
    try:
        return read_target(dsn, {})
    except DsnError:
        return None


@given(password=st.text() | st.text(alphabet="a1:/?#[]@,&=% "))
def test_no_piece_of_a_password_passes_for_a_host_or_a_user(password: str) -> None:
    assert target_of(f"postgresql://ada:{password}@db:5433/app") in (None, ("db:5433", "ada"))


@given(password=st.text())
def test_an_escaped_password_is_always_readable(password: str) -> None:
    escaped = quote(password, safe="")
    assert target_of(f"postgresql://ada:{escaped}@db:5433/app") == ("db:5433", "ada")


def test_secrets_are_found_wherever_they_may_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "five")
    dsn = "postgresql://ada:o%20ne@db/app?password=two&sslpassword=three"
    assert secrets(dsn, {"password": "four"}) == {"o%20ne", "o ne", "two", "three", "four", "five"}


# -- sockets


class Transport:
    def __init__(self, sock: object) -> None:
        self.socket = sock

    def get_extra_info(self, name: str) -> object:
        return self.socket if name == "socket" else None


def test_an_idle_socket_is_quiet_until_something_arrives() -> None:
    here, there = socket.socketpair()
    with closing(here), closing(there):
        assert is_quiet(Transport(here))
        there.send(b"E")
        assert not is_quiet(Transport(here))
        assert here.recv(1) == b"E"
        assert is_quiet(Transport(here))
        there.close()
        assert not is_quiet(Transport(here))
    assert not is_quiet(Transport(here)), "a closed one is not quiet"


def test_where_nothing_can_be_asked_nothing_speaks_against_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert is_quiet(Transport(None))
    here, there = socket.socketpair()
    with closing(here):
        there.close()
        monkeypatch.delattr(select, "poll")
        assert is_quiet(Transport(here))


# -- the members of a pool


class Member:
    def __init__(self, *, idle: bool = True, doubtful: bool = False) -> None:
        self.is_idle = idle
        self.idle_for = 301.0 if doubtful else 299.0
        self.transport = Transport(None)
        self.closed = False

    def is_closed(self) -> bool:
        return self.closed

    def terminate(self) -> None:
        self.closed = True


def members(*connections: Member) -> Members:
    found = Members(max_idle=300)
    for connection in connections:
        found.add(connection)  # type: ignore[arg-type]
    return found


def test_a_pool_without_a_connection_is_not_sound_unless_one_is_on_its_way() -> None:
    pool = members()
    assert (pool.are_sound(), pool.need_proof()) == (False, True)
    pool.opening = 1
    assert (pool.are_sound(), pool.need_proof()) == (True, False)


def test_one_doubtful_connection_makes_the_pool_doubtful() -> None:
    assert members(Member(), Member()).are_sound()
    assert not members(Member(), Member(doubtful=True)).are_sound()


def test_one_socket_that_is_not_quiet_makes_the_pool_doubtful() -> None:
    pool = members(Member(), spoken_to := Member(), in_use := Member(idle=False))
    here, there = socket.socketpair()
    with closing(here), closing(there):
        there.send(b"E")
        in_use.transport = Transport(here)
        assert pool.are_sound()
        spoken_to.transport = Transport(here)
        assert not pool.are_sound()
        pool.drop_doubtful()
    assert spoken_to.closed
    assert pool.are_sound()


def test_a_pool_that_is_all_in_use_needs_no_proof() -> None:
    assert not members(Member(idle=False)).need_proof()
    assert members(Member(idle=False), Member()).need_proof()


def test_only_what_is_doubtful_is_dropped() -> None:
    good, bad, busy = Member(), Member(doubtful=True), Member(idle=False)
    pool = members(good, bad, busy)
    pool.drop_doubtful()
    assert pool.open() == [good, busy]
    pool.drop_idle()
    assert pool.open() == [busy]


# -- definition


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dsn": 5}, "dsn must be a str, a function that returns one, or None, not int"),
        ({"max_size": 0}, "max_size must be a whole number from 1, or None, not 0"),
        ({"max_size": True}, "max_size must be a whole number from 1, or None, not bool"),
        ({"reset": SENTINEL}, "reset must be 'auto' or 'always' or 'never'"),
        ({"max_size": SENTINEL}, "max_size must be a whole number from 1, or None, not str"),
        ({"timeout": 5}, "postgres_pool takes no timeout: use start_timeout"),
        ({"min_size": 5}, "postgres_pool takes no min_size: one connection is opened at start"),
        ({"check_after": -1}, "check_after must be a number of seconds, 0 or more, not -1"),
    ],
)
def test_what_cannot_work_is_refused_at_import(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        postgres_pool(**arguments)
    assert str(caught.value) == message


def test_it_is_named_by_its_parameter_unless_it_has_a_name() -> None:
    pool = postgres_pool()
    pool.seal("db")
    assert pool.name == "db"
    assert postgres_pool(name="orders").name == "orders"


def test_nothing_that_can_be_printed_shows_the_dsn() -> None:
    pool = postgres_pool(f"postgresql://ada:{SENTINEL}@db/app", password=SENTINEL)
    shown = [repr(pool), repr(pool.factory), repr(pool.options), repr(pool.hooks)]
    assert SENTINEL not in "".join(shown)


# -- starts that need no server


def failure_of(resource: Resource[Any]) -> BaseException:
    async def main() -> None:
        async with Environment() as environment:
            await environment.get(resource)

    with pytest.raises(StartError) as caught:
        asyncio.run(main())
    assert caught.value.__cause__ is not None
    return caught.value.__cause__


@pytest.mark.parametrize("value", [None, ""])
def test_without_a_dsn_it_says_what_to_set(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    if value is None:
        monkeypatch.delenv("DATABASE_URL", raising=False)
    else:
        monkeypatch.setenv("DATABASE_URL", value)
    error = failure_of(postgres_pool())
    assert isinstance(error, DsnError)
    assert str(error) == (
        "there is no DSN.\n  Set the environment variable "
        "DATABASE_URL=postgresql://user:password@host:port/database, or write postgres_pool(dsn=...)."
    )


def test_a_function_that_returns_no_dsn_is_told_what_to_return() -> None:
    error = failure_of(postgres_pool(lambda: None))  # type: ignore[arg-type,return-value]
    assert str(error).startswith("the function given as dsn returned NoneType, not a str.")


@pytest.mark.parametrize("dsn", UNREADABLE)
def test_a_start_with_an_unreadable_dsn_shows_nothing_of_it(
    dsn: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    error = failure_of(postgres_pool(dsn))
    assert isinstance(error, DsnError)
    shown = "".join(traceback.format_exception(error)) + caplog.text + repr(error)
    assert SENTINEL not in shown


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    monkeypatch.delitem(sys.modules, "warmkit.resources.postgres.connection", raising=False)
    error = failure_of(postgres_pool("postgresql://ada@db/app"))
    assert isinstance(error, MissingPackageError)
    assert str(error) == (
        "the package asyncpg is not installed.\n  Write: pip install 'warmkit[postgres]'"
    )


def test_what_else_is_missing_is_not_blamed_on_the_package() -> None:
    missing = ModuleNotFoundError(name="asyncpg.pool")
    with pytest.raises(ModuleNotFoundError) as caught, needing("asyncpg", extra="postgres"):
        raise missing
    assert caught.value is missing
