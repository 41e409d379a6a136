"""Frozen means frozen: nothing of an idle environment runs, and what broke meanwhile is broken on thaw."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil  # type: ignore[import-untyped]
import pytest

from warmkit.local import BlockingLambda, LocalLambda

if TYPE_CHECKING:
    from conftest import StartEmulator

    from warmkit.local.postgres_server import PostgresServer

FUNCTIONS = Path(__file__).parent / "functions"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it stops processes by /proc")


def spend(seconds: float = 0.2) -> None:
    """Let time pass that others could use."""
    me = psutil.Process()
    until = sum(me.cpu_times()[:2]) + seconds
    while sum(me.cpu_times()[:2]) < until:
        pass


def ticks(file: Path) -> int:
    """Count what the thread in the background writes meanwhile."""
    before = file.stat().st_size
    spend()
    return file.stat().st_size - before


@pytest.mark.parametrize("runtime", ["warmkit", "aws"])
def test_a_thread_in_the_background_never_ticks_while_idle(runtime: Any, tmp_path: Path) -> None:
    file = tmp_path / "ticks"
    options: Any = {"task_root": FUNCTIONS, "runtime": runtime}
    with BlockingLambda("sandboxed.tick", **options) as function:
        function.invoke(str(file))
        function.freeze()
        assert ticks(file) == 0
        function.thaw()
        assert ticks(file) > 10  # it was not dead


def test_on_awss_emulator_it_does(emulator: StartEmulator, tmp_path: Path) -> None:
    file = tmp_path / "ticks"
    emulator("sandboxed.tick", task_root=FUNCTIONS).invoke(str(file))
    assert ticks(file) > 10


def test_without_the_freeze_it_does(tmp_path: Path) -> None:
    file = tmp_path / "ticks"
    with BlockingLambda("sandboxed.tick", task_root=FUNCTIONS, freeze=False) as function:
        function.invoke(str(file))
        function.freeze()
        assert ticks(file) > 10


def test_every_process_of_the_environment_stands_still_even_one_that_left_its_session(
    tmp_path: Path,
) -> None:
    files = {"here": str(tmp_path / "a"), "away": str(tmp_path / "b")}
    with BlockingLambda("sandboxed.leave_behind", task_root=FUNCTIONS) as function:
        runtime = function.invoke(files).payload
        function.freeze()
        pids = [int(Path(path).read_text().split()[0]) for path in files.values()]
        assert {psutil.Process(pid).status() for pid in (runtime, *pids)} == {"stopped"}
        seen = [Path(path).stat().st_size for path in files.values()]
        spend()
        assert [Path(path).stat().st_size for path in files.values()] == seen
        function.thaw()
        while [Path(path).stat().st_size for path in files.values()] == seen:
            pass


# -- connections


def test_a_socket_that_its_peer_closed_meanwhile_is_dead_on_thaw() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        BlockingLambda("connected.handler", task_root=FUNCTIONS) as function,
    ):
        function.invoke({"connect": server.getsockname()[1]})
        peer, _ = server.accept()
        peer.sendall(b"alive")
        assert function.invoke({}).payload == "alive"
        function.freeze()
        peer.close()
        answer = function.invoke({})
        assert answer.payload == ""  # the end of the stream


def test_cut_ends_the_functions_connections_behind_its_back() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        BlockingLambda("connected.handler", task_root=FUNCTIONS) as function,
    ):
        function.invoke({"connect": server.getsockname()[1]})
        peer, _ = server.accept()
        with peer:
            function.freeze()
            assert function.cut() == 1  # and not the one to the Runtime API
            assert peer.recv(10) == b""
            assert function.invoke({}).payload == ""


@pytest.mark.parametrize("runtime", ["warmkit", "aws"])
@pytest.mark.parametrize("how", ["terminated", "cut"])
def test_a_pool_whose_connection_died_in_the_freeze_is_healed_before_the_handler_runs(
    postgres: PostgresServer, runtime: Any, how: str
) -> None:
    options: Any = {"task_root": FUNCTIONS, "runtime": runtime, "timeout": 20}
    with BlockingLambda("orders_total.handler", **options) as function:
        first, second = (function.invoke({}).payload for _ in range(2))
        assert first == second  # one connection
        function.freeze()
        if how == "cut":
            assert function.cut() == 1
        else:
            assert postgres.terminate_backends() == 1
        answer = function.invoke({})
        assert not answer.failed
        assert answer.payload != first
        assert answer.payload == function.invoke({}).payload


def test_a_connection_by_hand_fails_after_the_same_freeze(postgres: PostgresServer) -> None:
    """What the test above would be worth if nothing had died."""
    options: Any = {"task_root": FUNCTIONS, "runtime": "aws", "timeout": 20}
    with BlockingLambda("orders_total.by_hand", **options) as function:
        assert not function.invoke({}).failed
        function.freeze()
        postgres.terminate_backends()
        answer = function.invoke({})
        assert answer.failed
        assert "Connection" in answer.payload["errorType"] + answer.payload["errorMessage"]


def test_a_frozen_environment_is_thawed_for_its_end() -> None:
    async def main() -> None:
        ends: list[str] = []
        options: Any = {
            "task_root": FUNCTIONS,
            "observe": lambda moment: (
                ends.append(moment.detail) if moment.what == "exited" else None
            ),
        }
        async with LocalLambda("sandboxed.echo", **options) as function:
            await function.invoke(1)
            await function.freeze()
            assert function.environments[0].frozen
        assert ends == ["runtime: exit status 0"]  # warmkit's runtime ends in order

    asyncio.run(main())
