"""Owns child processes: starts them, waits until they are ready, and never leaves one behind."""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

from warmkit.local import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

HOST = "127.0.0.1"
PATIENCE_S = 5.0
"""How long a process may take to follow a signal that it cannot have misunderstood."""

# Below the range from which Linux and macOS take the local ports of outgoing connections: nobody
# can be given a server's port by chance while the server is away for a moment.
_PORTS = range(20_000, 32_000)
_POLL_S = 0.005
_LOG_TAIL_LINES = 15


class ServerError(RuntimeError):
    """A local server did not do what it was asked to."""


class PortTakenError(ServerError):
    """Another process took the port between its choice and its use."""


def free_port() -> int:
    """Return a port on 127.0.0.1 that nobody listens on at the moment."""
    for _ in range(100):
        port = secrets.choice(_PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            return port
    message = (
        f"Expected a free port in {_PORTS.start}-{_PORTS.stop - 1} on {HOST}, but 100 random ones "
        "were all taken. End some of the programs that listen there."
    )
    raise ServerError(message)


class ChildProcess:
    """A process that ends when it is stopped, or when the process that started it dies.

    Both are true even if this process is killed with SIGKILL: a guard (`warmkit.local.guard`)
    sits in between and notices. The child has its own session, so Ctrl-C in the terminal reaches
    this process only, which can then stop its children in order.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        home: Path,
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        last_signal: signal.Signals = signal.SIGTERM,
        cwd: Path | None = None,
    ) -> None:
        """Start the command.

        Args:
            command: The program, by full path, and its arguments.
            home: The directory in which the file "log" collects what children print; removed if
                this process dies without stopping the child.
            env: The child's environment; None means this process's.
            user: The user to run as, if this process is root; None means no change.
            last_signal: What ends the child at once; sent if this process dies, or as the last
                warning before SIGKILL.
            cwd: The child's working directory; None means `home`.
        """
        self.name = Path(command[0]).name
        self._last_signal = last_signal
        guarded = [sys.executable, "-I", "-S", guard.__file__]
        guarded += [str(int(last_signal)), str(home), user or "", *map(str, command)]
        # Every descendant inherits the pipe's other end, so that it ends with the last of them.
        alive, inherited = os.pipe()
        self._alive = os.fdopen(alive, "rb", buffering=0)
        with (home / "log").open("ab") as output, os.fdopen(inherited, "wb", buffering=0):
            self._output = Output(home / "log", start=output.tell())
            self._guard = subprocess.Popen(  # noqa: S603 - callers choose the command
                guarded,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                pass_fds=[inherited],
                cwd=cwd or home,
                env=env,
                bufsize=0,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The guard's process id, which is also the id of the child's session."""
        return self._guard.pid

    @property
    def running(self) -> bool:
        """Whether the process is still there."""
        return self._guard.poll() is None

    @property
    def output(self) -> str:
        """What the process printed so far."""
        return self._output.text()

    def wait(self, *, timeout: float = 30.0) -> None:
        """Wait for the process to end by itself, successfully.

        Raises:
            ServerError: It failed, or did not end in time and was killed.
        """
        try:
            ended = self._ends_within(timeout)
        finally:
            self._release()
        if not ended:
            raise self._failure(expected="finish", came=f"it still ran after {timeout:g} s")
        if self._guard.returncode != 0:
            came = f"it exited with status {self._guard.returncode}"
            raise self._failure(expected="finish", came=came)

    def wait_until(self, ready: Callable[[], bool], *, timeout: float = 30.0) -> None:
        """Wait until `ready()` is true. If that fails, the process is killed.

        Raises:
            PortTakenError: The process ended because its port was in use.
            ServerError: The process ended, or was not ready in time.
        """
        try:
            self._poll(ready, time.monotonic() + timeout)
        except BaseException:
            self._release()
            raise

    def _poll(self, ready: Callable[[], bool], deadline: float) -> None:
        while not ready():
            if not self.running:
                came = f"it exited with status {self._guard.returncode}"
                raise self._failure(expected="become ready", came=came)
            if time.monotonic() > deadline:
                raise self._failure(expected="become ready", came="its time is up and it is not")
            self._ends_within(_POLL_S)

    def _failure(self, *, expected: str, came: str) -> ServerError:
        kind = PortTakenError if "address already in use" in self.output.lower() else ServerError
        end = "\n".join(self.output.splitlines()[-_LOG_TAIL_LINES:]) or "(nothing)"
        return kind(
            f"Expected {self.name} to {expected}, but {came}. "
            f"The last lines that it printed should say what to mend:\n{end}"
        )

    def stop(self, stop_signal: signal.Signals = signal.SIGTERM, *, timeout: float = 10.0) -> None:
        """Send a signal, wait for the process to end, and kill it if it takes too long.

        Its descendants are waited for, too. Does nothing if the process was stopped before.
        """
        if self._alive.closed:
            return
        # A broken pipe means that the guard is gone; a child that remains is then killed.
        with contextlib.suppress(BrokenPipeError):
            self._orders.write(bytes([stop_signal]))
            if self._guard_ends_within(timeout) and self._guard.wait() >= 0:
                self._ends_within(PATIENCE_S)
        self._release()

    def _release(self) -> None:
        """Make sure that nothing of this process is left."""
        for urgent in (self._last_signal, signal.SIGKILL):
            if self._ends_within(0):
                break
            # The group includes the child, even if somebody killed the guard.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._guard.pid, urgent)
            self._ends_within(PATIENCE_S)
        self._guard.wait()
        self._orders.close()
        self._alive.close()

    def _ends_within(self, seconds: float) -> bool:
        """Wait until the guard, the child and all of its descendants have ended."""
        poll = select.poll()
        poll.register(self._alive, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def _guard_ends_within(self, seconds: float) -> bool:
        """Wait until the guard has ended, whatever became of the others."""
        poll = select.poll()
        poll.register(self._alive, select.POLLIN)
        poll.register(self._orders, 0)  # its hang-up is always reported
        return bool(poll.poll(seconds * 1000))

    @property
    def _orders(self) -> IO[bytes]:
        assert self._guard.stdin is not None
        return self._guard.stdin


class Output:
    """What a process printed, in a file to which others may have written before."""

    def __init__(self, path: Path, *, start: int = 0) -> None:
        """Begin at a byte position."""
        self._path = path
        self._start = start

    def text(self) -> str:
        """Return all whole lines after the start."""
        return self._read().decode(errors="replace")

    def skip(self) -> str:
        """Return all whole lines after the start, and make their end the new start."""
        lines = self._read()
        self._start += len(lines)
        return lines.decode(errors="replace")

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            file.seek(self._start)
            lines, newline, _ = file.read().rpartition(b"\n")
        return lines + newline
