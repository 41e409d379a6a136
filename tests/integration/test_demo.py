"""The demo holds what it promises, says so if not, and leaves nothing behind, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import io
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import asyncpg
import psutil  # type: ignore[import-untyped]
import pytest
from click.testing import CliRunner
from rich.console import Console

import warmkit
from warmkit import resource, warm_handler
from warmkit.hosts.loop import persistent_loop
from warmkit.local.demo import show
from warmkit.local.demo.command import demo
from warmkit.local.demo.handlers import BUCKET, find
from warmkit.local.demo.interrupts import Interrupted, Interrupts
from warmkit.local.demo.screen import Screen
from warmkit.local.demo.show import Versions
from warmkit.local.processes import HOST, ServerError
from warmkit.local.s3_server import S3Server
from warmkit.resources import postgres_pool, s3_client

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from types import TracebackType

    from warmkit import WarmHandler

_PACKAGE = Path(warmkit.__file__).parents[1]
_DEMO = [sys.executable, "-c", "from warmkit.local.cli import main; main()", "demo"]


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory for temporary files that PostgreSQL's user can enter; known to children."""
    directory = Path(tempfile.mkdtemp(prefix="demo-test-"))
    directory.chmod(0o755)
    monkeypatch.setenv("TMPDIR", str(directory))
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    yield directory
    shutil.rmtree(directory)


def processes_of(temporary: Path) -> list[str]:
    """Return what runs with that directory: below it, or told of it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            told = process.environ().get("TMPDIR") == str(temporary)
            inside = process.cwd().startswith(str(temporary))
            if (told or inside) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.name())
    return found


def listening_below(pid: int) -> set[int]:
    """Return the ports on which descendants of a process listen."""
    sockets = []
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # PostgreSQL's come and go
            sockets += process.net_connections("tcp")
    return {item.laddr.port for item in sockets if item.status == psutil.CONN_LISTEN}


def accepts(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection((HOST, port)).close()
        return True
    return False


class Demo:
    """The command in a process, and a process group, of its own."""

    def __init__(self, *arguments: str, **env: str) -> None:
        path = os.pathsep.join(filter(None, [str(_PACKAGE), os.environ.get("PYTHONPATH")]))
        self._child = subprocess.Popen(
            [*_DEMO, *arguments],
            env=os.environ | {"PYTHONPATH": path, "PYTHONUTF8": "1"} | env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._child.kill()
        self._child.wait()
        self.output.close()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def output(self) -> IO[str]:
        assert self._child.stdout is not None
        return self._child.stdout

    def wait_for(self, text: str) -> None:
        """Read lines until one has the text."""
        read = []
        for line in self.output:
            read.append(line)
            if text in line:
                return
        message = f"Expected {text!r}, but it ended after:\n{''.join(read)}"
        raise AssertionError(message)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal as a terminal does: to the whole process group."""
        os.killpg(self.pid, number)

    def end(self) -> tuple[int, str]:
        """Wait for its end; return its status and the rest of its output."""
        rest = self.output.read()
        return self._child.wait(), rest


# -- the command


def test_it_holds_and_leaves_nothing(temporary: Path) -> None:
    with Demo() as running:
        running.wait_for("  #1 ")  # of twenty: both servers run for a while yet
        ports = listening_below(running.pid)
        assert processes_of(temporary)
        status, output = running.end()
    assert (status, processes_of(temporary), list(temporary.iterdir())) == (0, [], [])
    assert len(ports) == 2
    assert not any(accepts(port) for port in ports)
    assert "@warm_handler(db=postgres_pool(), s3=s3_client(bucket=BUCKET))" in output
    assert "✓ No connection is left on the server (0 left)" in output
    assert "✗" not in output
    rows = {tuple(line.split()) for line in output.splitlines()}
    assert ("connections", "opened", "20", "2") in rows
    assert ("statements", "the", "server", "saw", "20", "22") in rows
    assert ("failed", "invocations", "0", "0") in rows


def test_what_leads_elsewhere_in_the_environment_does_no_harm(temporary: Path) -> None:
    elsewhere = {
        "AWS_PROFILE": "nobody",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "DATABASE_URL": "postgresql://127.0.0.1:9/nowhere",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "PGSSLMODE": "require",
        "PGPORT": "9",
    }
    with Demo("--invocations", "4", **elsewhere) as running:
        status, output = running.end()
    assert status == 0, output


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"]
)
@pytest.mark.parametrize("moment", ["Starting PostgreSQL", " is ready after", "  #3 "])
def test_a_signal_ends_it_and_leaves_nothing(
    temporary: Path, moment: str, number: signal.Signals, expected: int
) -> None:
    with Demo() as running:
        running.wait_for(moment)
        running.signal(number)
        status, rest = running.end()
    assert (status, processes_of(temporary), list(temporary.iterdir())) == (expected, [], [])
    assert rest.endswith("\nStopped: the servers are stopped, their files removed.\n")
    assert "Traceback" not in rest


def test_an_impatient_user_interrupts_nothing_but_the_demo(temporary: Path) -> None:
    with Demo() as running:
        running.wait_for("  #3 ")
        running.signal(signal.SIGINT)
        running.wait_for("")  # whatever it prints next
        running.signal(signal.SIGINT)
        status, rest = running.end()
    assert (status, processes_of(temporary), list(temporary.iterdir())) == (130, [], [])
    assert "Traceback" not in rest


def test_a_reader_that_goes_away_leaves_nothing(temporary: Path) -> None:
    with Demo() as running:
        running.wait_for("  #3 ")
        running.output.close()
        assert running._child.wait() == 1
    assert (processes_of(temporary), list(temporary.iterdir())) == ([], [])


# -- its Python function, with signals and handlers of the test's own


class Prompter(Screen):
    """A screen that sends this process a signal as soon as a text is printed."""

    def __init__(self, cue: str) -> None:
        super().__init__(Console(file=io.StringIO()))
        self._cue = cue

    def say(self, text: str, style: str = "") -> None:
        if self._cue in text:
            signal.raise_signal(signal.SIGINT)
        super().say(text, style)


@pytest.mark.parametrize("cue", ["This is the whole handler", "PostgreSQL ends", "As if Lambda"])
def test_ctrl_c_among_the_invocations_with_warmkit(temporary: Path, cue: str) -> None:
    before, children = dict(os.environ), psutil.Process().children()
    with Interrupts() as interrupts, pytest.raises(Interrupted):
        show.run(8, screen=Prompter(cue), interrupts=interrupts)
    assert list(temporary.iterdir()) == []
    assert psutil.Process().children() == children
    assert dict(os.environ) == before


def looking_up_with(lookup: Callable[[int, Any, Any], Awaitable[Any]]) -> WarmHandler[Any]:
    """Return a handler like the demo's own, with another lookup."""

    @warm_handler(db=postgres_pool(), s3=s3_client(bucket=BUCKET))
    async def handler(event: Any, context: Any, db: Any, s3: Any) -> Any:
        return await lookup(event["id"], db, s3)

    return handler


def run_command(monkeypatch: pytest.MonkeyPatch, versions: Versions) -> tuple[int, list[str]]:
    """Run the command with other handlers; return its status and the failed checks."""
    monkeypatch.setattr(show, "run", functools.partial(show.run, versions=versions))
    done = CliRunner().invoke(demo, ["--invocations", "4"])
    assert "Side by side" in done.output, done.output
    return done.exit_code, [line[4:] for line in done.output.splitlines() if "✗" in line]


async def wrong(number: int, db: Any, s3: Any) -> dict[str, Any]:
    return {**await find(number, db, s3), "total_bill": "0.00"}


async def failing(number: int, db: Any, s3: Any) -> dict[str, Any]:
    if number == 3:
        raise LookupError(number)
    return await find(number, db, s3)


@pytest.mark.usefixtures("temporary")
def test_a_wrong_total_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    status, failed = run_command(monkeypatch, Versions(with_=looking_up_with(wrong)))
    assert (status, failed) == (1, ["Every answer is what the CSV file says (4 of 8)"])


@pytest.mark.usefixtures("temporary")
def test_a_failed_invocation_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    status, failed = run_command(monkeypatch, Versions(with_=looking_up_with(failing)))
    assert status == 1
    assert failed == [
        "Every answer is what the CSV file says (7 of 8)",
        "No invocation failed (1 of 8)",
    ]


@pytest.fixture
def kept() -> Iterator[list[asyncpg.Connection]]:
    """Connections that a handler forgets; gone after the test."""
    connections: list[asyncpg.Connection] = []
    yield connections
    for connection in connections:
        connection.terminate()
    persistent_loop().run(asyncio.sleep(0))  # their transports close on the loop's next turn


@pytest.mark.usefixtures("temporary")
def test_a_connection_that_is_left_fails_it(
    monkeypatch: pytest.MonkeyPatch, kept: list[asyncpg.Connection]
) -> None:
    async def forgetful(number: int, db: Any, s3: Any) -> dict[str, Any]:
        if number == 4:
            kept.append(await asyncpg.connect(os.environ["DATABASE_URL"]))
        return await find(number, db, s3)

    status, failed = run_command(monkeypatch, Versions(with_=looking_up_with(forgetful)))
    assert status == 1
    assert failed == [
        "warmkit replaced the ended connection, and opened no other (1 ended, 3 opened)",
        "No connection is left on the server (1 left)",
    ]


@pytest.mark.usefixtures("temporary")
def test_a_resource_that_does_not_close_fails_it(monkeypatch: pytest.MonkeyPatch) -> None:
    @resource
    async def stubborn() -> AsyncIterator[None]:
        yield
        raise OSError("no")

    @warm_handler(db=postgres_pool(), s3=s3_client(bucket=BUCKET), stubborn=stubborn)
    async def handler(event: Any, context: Any, db: Any, s3: Any, stubborn: None) -> Any:
        return await find(event["id"], db, s3)

    status, failed = run_command(monkeypatch, Versions(with_=handler))
    assert status == 1
    assert [line.partition(" (")[0] for line in failed] == ["The environment closed in order"]
    assert "stubborn" in failed[0]


@pytest.mark.usefixtures("temporary")
def test_a_server_that_does_not_start_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(server: S3Server) -> None:
        raise ServerError("Expected S3 to start, but it did not.")

    monkeypatch.setattr(S3Server, "start", refuse)
    children = psutil.Process().children()
    done = CliRunner().invoke(demo)
    assert done.exit_code == 1
    assert done.output.splitlines()[-1] == "Expected S3 to start, but it did not."
    assert psutil.Process().children() == children
