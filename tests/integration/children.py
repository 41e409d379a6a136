"""Child processes of tests: what runs below them, and whether it is gone."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psutil  # type: ignore[import-untyped]
from emulator import PYTHONPATH

from warmkit.local.processes import HOST

if TYPE_CHECKING:
    import signal
    from types import TracebackType

_PATIENCE_S = 15.0
_SERVERS = """
import signal, sys, time
from warmkit.local.postgres_server import PostgresServer
from warmkit.local.s3_server import S3Server

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with PostgresServer() as postgres, S3Server() as s3:
    print(postgres.home, postgres.port, s3.home, s3.port, flush=True)
    while True:
        time.sleep(0.1)
"""


def processes_below(pid: int) -> list[psutil.Process]:
    """Return the descendants of a process."""
    return list(psutil.Process(pid).children(recursive=True))


def gone(processes: list[psutil.Process]) -> bool:
    """Wait until processes have ended, if they do."""
    deadline = time.monotonic() + _PATIENCE_S
    while any(_runs(process) for process in processes) and time.monotonic() < deadline:
        time.sleep(0.005)
    return not any(_runs(process) for process in processes)


def _runs(process: psutil.Process) -> bool:
    # Containers often have no init process that would reap orphans.
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


def accepts(port: int) -> bool:
    """Tell whether somebody listens on a port."""
    with contextlib.suppress(ConnectionRefusedError):
        socket.create_connection((HOST, port)).close()
        return True
    return False


class ServersInChild:
    """A child process, in a process group of its own, that starts PostgreSQL and S3."""

    def __enter__(self) -> Self:
        """Start it."""
        self._child = subprocess.Popen(
            [sys.executable, "-c", _SERVERS],
            env=os.environ | {"PYTHONPATH": PYTHONPATH},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End it, if it still runs."""
        self._child.kill()
        self._child.communicate()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    def wait_for_servers(self) -> tuple[list[Path], list[int]]:
        """Wait until both servers run; return their directories and ports."""
        assert self._child.stdout is not None
        words = self._child.stdout.readline().split()
        return [Path(home) for home in words[::2]], [int(port) for port in words[1::2]]

    def wait_for_process(self, name: str) -> psutil.Process:
        """Wait until a program runs somewhere below."""
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            for process in processes_below(self.pid):
                with contextlib.suppress(psutil.NoSuchProcess):
                    # It has its name before its words.
                    if process.name() == name and process.cmdline():
                        return process
        message = f"Expected {name} to start, but only found {processes_below(self.pid)}"
        raise AssertionError(message)

    def signal_group(self, number: signal.Signals) -> None:
        """Send a signal as a terminal does: to the whole process group."""
        os.killpg(self.pid, number)

    def wait(self) -> None:
        """Wait until it ended."""
        self._child.wait(_PATIENCE_S)
