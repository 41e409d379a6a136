"""Says what a local server is: a home directory, a port, and a process that comes and goes."""

from __future__ import annotations

import shutil
import signal
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Self

from warmkit.local.processes import ChildProcess, PortTakenError, ServerError, free_port

if TYPE_CHECKING:
    from types import TracebackType

_PORT_ATTEMPTS = 5


class Server(ABC):
    """A server on 127.0.0.1 that lives in a temporary directory and dies with this process.

    As a context manager it runs inside the `with` block and leaves nothing behind after it.
    Between `start` and `close` it can be stopped and started again, on the same port.
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self._home: Path | None = None
        self._port: int | None = None
        self._process: ChildProcess | None = None

    def __enter__(self) -> Self:
        """Start the server."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop the server and remove its files."""
        self.close()

    @property
    def home(self) -> Path:
        """The temporary directory of the server."""
        if self._home is None:
            raise self._not_started(what="home directory")
        return self._home

    @property
    def port(self) -> int:
        """The TCP port, the same for the whole life of the server."""
        if self._port is None:
            raise self._not_started(what="port")
        return self._port

    @property
    def process(self) -> ChildProcess:
        """The process that currently runs the server."""
        if self._process is None:
            raise self._not_started(what="process")
        return self._process

    @property
    def running(self) -> bool:
        """Whether the server's process is there."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start the server and wait until it accepts connections. Does nothing if it runs.

        Raises:
            ServerError: It did not start.
        """
        if self.running:
            return
        self.stop()
        if self._home is None:
            self._home = self._make_home()
            self._prepare()
        if self._port is None:
            self._start_on_free_port()
        else:
            self._launch()

    def stop(self) -> None:
        """Stop the server. It keeps its port and files. Does nothing if it does not run."""
        self._stop(self._last_signal)

    def restart(self) -> None:
        """Stop the server and start it again on the same port."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the server and remove its files."""
        self._stop(self._last_signal)
        if self._home is not None:
            shutil.rmtree(self._home)
        self._home = self._port = None

    _last_signal = signal.SIGTERM
    """The signal that ends the server fastest without leaving anything behind."""

    def _make_home(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="warmkit-"))

    @abstractmethod
    def _prepare(self) -> None:
        """Create the files that the server needs, once."""

    @abstractmethod
    def _spawn(self) -> ChildProcess:
        """Start the process."""

    @abstractmethod
    def _is_ready(self, output: str) -> bool:
        """Tell from what the process printed whether it accepts connections."""

    def _start_on_free_port(self) -> None:
        for _ in range(_PORT_ATTEMPTS - 1):
            self._port = free_port()
            try:
                self._launch()
            except PortTakenError:
                continue
            return
        self._port = free_port()
        self._launch()

    def _launch(self) -> None:
        process = self._process = self._spawn()
        process.wait_until(lambda: self._is_ready(process.output))

    def _stop(self, stop_signal: signal.Signals) -> None:
        if self._process is not None:
            self._process.stop(stop_signal)
        self._process = None

    def _not_started(self, *, what: str) -> ServerError:
        name = type(self).__name__
        return ServerError(
            f"Expected {name} to be started, but it has no {what} yet. "
            f"Use it in a with block, or call start() first."
        )
