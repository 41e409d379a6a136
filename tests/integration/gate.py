"""A gate at which functions wait, whoever serves them, until a test lets them go on."""

from __future__ import annotations

import socket
from typing import Self

from warmkit.local.processes import HOST

PATIENCE = 30.0  # seconds: only a hang takes that long


class Gate:
    """A function waits by connecting to `address` and reading until the end."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOST, 0), backlog=64)
        self._listener.settimeout(PATIENCE)
        self._waiting: list[socket.socket] = []
        self.address = f"{HOST}:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.open()

    def await_arrivals(self, number: int) -> None:
        """Return when so many more have come."""
        self._waiting += [self._listener.accept()[0] for _ in range(number)]

    def open(self) -> None:
        """Let all go on that have come."""
        for connection in self._waiting:
            connection.close()
        self._waiting.clear()
