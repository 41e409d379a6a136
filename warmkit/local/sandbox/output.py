"""Collects what the processes of one environment print, line by line."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TAIL_BYTES = 4096
"""How much of an invocation's log Lambda returns to a caller that asks for it."""

_LINE_BYTES = 256 * 1024
"""What is longer is broken, as a process may print without ever ending a line."""


class Output:
    """The log of one environment: both what its processes print and what the platform says.

    Args:
        say: Called with each line, without its end.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._rest = b""
        self._tail = b""
        self._held: list[str] | None = None
        self._read_end, self.write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._read_end, self.drain)

    def close_write_end(self) -> None:
        """Leave the write end to the processes that inherited it."""
        os.close(self.write_end)

    def drain(self) -> None:
        """Take everything that was printed up to now."""
        while self._read_end >= 0:
            try:
                data = os.read(self._read_end, 1 << 16)
            except BlockingIOError:
                return
            if not data:
                self._close()
                return
            self._take(data)

    def platform(self, text: str) -> None:
        """Add a line of the platform's own, after what the processes printed before."""
        self.drain()
        self._flush()
        self._line(text)

    def begin(self) -> None:
        """Begin a new invocation's tail."""
        self._tail = b""

    def tail(self) -> bytes:
        """Return the end of the log since `begin`."""
        return self._tail

    def hold(self) -> None:
        """Keep lines back until it is known whether they are worth showing."""
        self._held = []

    def release(self, *, show: bool) -> None:
        """Show or forget what was held back."""
        self.drain()
        self._flush()
        held, self._held = self._held or [], None
        for line in held if show else ():
            self._line(line)

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line.decode(errors="replace"))
        if len(self._rest) > _LINE_BYTES:
            self._flush()

    def _flush(self) -> None:
        rest, self._rest = self._rest, b""
        if rest:
            self._line(rest.decode(errors="replace"))

    def _line(self, line: str) -> None:
        if self._held is not None:
            self._held.append(line)
            return
        self._tail = (self._tail + line.encode() + b"\n")[-TAIL_BYTES:]
        self._say(line)

    def _close(self) -> None:
        self._flush()
        self._loop.remove_reader(self._read_end)
        os.close(self._read_end)
        self._read_end = -1
