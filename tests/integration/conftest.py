"""The servers that integration tests run against: started once, handed to each test as if new."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import uuid
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from emulator import Emulator
from http_server import HttpServer
from keep_alive import KeepAlive
from managed import ManagedInstance
from pooler import Pooler
from valkey_server import ValkeyServer

from warmkit import Environment
from warmkit.local.postgres_server import PostgresServer
from warmkit.local.processes import HOST
from warmkit.local.s3_server import S3Server
from warmkit.testing import Relay

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
    from pathlib import Path

    from warmkit.testing import EventRecorder, VirtualClock

    Really = Callable[[Callable[[Environment], Coroutine[Any, Any, None]]], None]


class StartEmulator(Protocol):
    """Starts an emulator that ends with the test."""

    def __call__(
        self,
        handler: str,
        *,
        task_root: Path,
        env: Mapping[str, str] | None = None,
        runtime: str = "awslambdaric",
        command: Sequence[str | Path] | None = None,
        extension: Path | None = None,
    ) -> Emulator: ...


class StartInstance(Protocol):
    """Starts a managed instance that ends with the test."""

    def __call__(
        self,
        handler: str,
        *,
        concurrency: int,
        task_root: Path,
        env: Mapping[str, str] | None = None,
        runtime: str = "awslambdaric",
    ) -> ManagedInstance: ...


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """PostgreSQL, shared by all tests."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """S3, shared by all tests."""
    with S3Server() as server:
        yield server


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[ValkeyServer]:
    """A Redis, shared by all tests."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture(scope="session")
def http_server() -> Iterator[HttpServer]:
    """An HTTP server, shared by all tests."""
    with HttpServer() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> PostgresServer:
    """PostgreSQL, running and with nothing in its records; DATABASE_URL leads to it."""
    postgres_server.start()
    postgres_server.forget_statements()
    monkeypatch.setenv("DATABASE_URL", postgres_server.dsn)
    return postgres_server


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """S3, running and with nothing in its records; the environment leads AWS clients to it."""
    s3_server.start()
    s3_server.forget_requests()
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture
def bucket(s3: S3Server) -> str:
    """A new, empty bucket's name."""
    name = f"bucket-{uuid.uuid4().hex}"
    s3.put_objects(name, {})
    return name


@pytest.fixture
def keep_alive(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeepAlive]:
    """A server that keeps connections open as S3 does; the environment leads S3 clients to it."""
    with KeepAlive() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
        yield server


@pytest.fixture
def relay() -> Iterator[Callable[[int], Relay]]:
    """Starts relays to a port; they end with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda target_port: stack.enter_context(Relay((HOST, target_port)))


class StartPooler(Protocol):
    """Starts a pooler in front of PostgreSQL; it ends with the test."""

    def __call__(self, users: Mapping[str, str] | None = None, **settings: object) -> Pooler: ...


@pytest.fixture
def start_pooler(postgres: PostgresServer) -> Iterator[StartPooler]:
    """Starts pgbouncer in transaction mode, with the settings given; the user is "app" if no other is."""
    login = {"user": "postgres", "password": postgres.password}
    with contextlib.ExitStack() as stack:

        def start(
            users: Mapping[str, str] | None = None,
            files: Mapping[str, str] | None = None,
            **settings: object,
        ) -> Pooler:
            pooler = Pooler(
                postgres.port,
                login=login,
                users=users or {"app": f"pw-{uuid.uuid4().hex}"},
                settings=settings,
                files=files or {},
            )
            return stack.enter_context(pooler)

        yield start
        stack.close()
        postgres.terminate_backends()


@pytest.fixture
def really(clock: VirtualClock, recorder: EventRecorder) -> Really:
    """Decorator: runs a scenario at once, in an environment of its own.

    The loop is a real one; the environment's clock stands still unless the scenario moves it.
    """

    def drive(scenario: Callable[[Environment], Coroutine[Any, Any, None]]) -> None:
        async def main() -> None:
            async with Environment(clock=clock, observers=[recorder]) as environment:
                await scenario(environment)

        asyncio.run(main())

    return drive


@pytest.fixture
def emulator() -> Iterator[StartEmulator]:
    """Starts AWS's Lambda emulator with a function; it ends with the test."""
    if sys.platform != "linux":
        pytest.skip("AWS's emulator runs on Linux only")
    with contextlib.ExitStack() as stack:

        def start(
            handler: str,
            *,
            task_root: Path,
            env: Mapping[str, str] | None = None,
            runtime: str = "awslambdaric",
            command: Sequence[str | Path] | None = None,
            extension: Path | None = None,
        ) -> Emulator:
            return stack.enter_context(
                Emulator(
                    handler,
                    task_root=task_root,
                    env=env,
                    runtime=runtime,
                    command=command,
                    extension=extension,
                )
            )

        yield start


@pytest.fixture
def managed_instance() -> Iterator[StartInstance]:
    """Starts AWS's Lambda emulator in its multi-concurrency mode; it ends with the test."""
    if sys.platform != "linux":
        pytest.skip("AWS's emulator runs on Linux only")
    with contextlib.ExitStack() as stack:

        def start(
            handler: str,
            *,
            concurrency: int,
            task_root: Path,
            env: Mapping[str, str] | None = None,
            runtime: str = "awslambdaric",
        ) -> ManagedInstance:
            instance = ManagedInstance(
                handler, concurrency=concurrency, task_root=task_root, env=env, runtime=runtime
            )
            return stack.enter_context(instance)

        yield start
