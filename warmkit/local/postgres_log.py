"""Reads from PostgreSQL's own log what its clients did: their statements and connections.

A log entry begins with a process id, a tab, the client's application_name, a tab. Inside an entry
every newline is followed by a tab, and PostgreSQL replaces tabs in application names, so entries
cannot be confused with what they quote. Entries are written by the process that serves the
client, before it answers: whoever has the answer finds the entry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from warmkit.local.processes import Output

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = "%p\t%a\t"
"""The log_line_prefix that this module understands."""

READY = "database system is ready to accept connections"
"""The message of a server that finished its start."""

_ENTRY = re.compile(r"^(\d+)\t([^\t\n]*)\t(LOG|FATAL):  (.*(?:\n\t.*)*)", re.MULTILINE)
_STATEMENT = re.compile(r"(?:statement|execute (?!fetch from ).*?): (.*)", re.DOTALL)
_CONNECTED = re.compile(r"connection authorized: (?:.* application_name=(.*))?")


@dataclass(frozen=True, slots=True)
class Entry:
    """One log entry: what was done, or why a session ended.

    Attributes:
        pid: The process that serves the client.
        application_name: The client's; may be empty.
        fatal: The session ends with it.
        message: The text.
    """

    pid: int
    application_name: str
    fatal: bool
    message: str

    @property
    def statement(self) -> str | None:
        """The SQL text, if a client executed a statement."""
        match = _STATEMENT.fullmatch(self.message)
        return match[1] if match else None


def entries(log: str) -> Iterator[Entry]:
    """Yield the entries of a log that say what was done, and why sessions ended."""
    for pid, application_name, level, message in _ENTRY.findall(log):
        text = message.replace("\n\t", "\n")
        yield Entry(int(pid), application_name, level == "FATAL", text)


class ClientLog:
    """What a server's clients did since a moment that can be moved to now."""

    def __init__(self, path: Path, *, ignore: str) -> None:
        """Begin at the start of the log.

        Args:
            path: The log.
            ignore: The application_name of clients that do not count.
        """
        self._ignore = ignore
        self._recent = Output(path)
        self._unfollowed = Output(path)
        self._open: set[int] = set()
        self._peak = 0

    def forget(self) -> None:
        """Forget the statements, and restart the peak from the connections open now."""
        self._follow()
        self._recent.skip()
        self._peak = len(self._open)

    def statements(self, application_name: str | None = None) -> list[str]:
        """Return the statements that clients executed, or those of clients with that name."""
        return [
            entry.statement
            for entry in entries(self._recent.text())
            if entry.statement is not None
            and entry.application_name != self._ignore
            and application_name in (None, entry.application_name)
        ]

    def peak_connections(self) -> int:
        """Return the most connections that were open at a time."""
        self._follow()
        return self._peak

    def _follow(self) -> None:
        for entry in entries(self._unfollowed.skip()):
            self._apply(entry)
            self._peak = max(self._peak, len(self._open))

    def _apply(self, entry: Entry) -> None:
        if entry.fatal or entry.message.startswith("disconnection: "):
            self._open.discard(entry.pid)
        elif entry.message == READY:
            self._open.clear()  # a server that died did not log its disconnections
        elif (client := _CONNECTED.match(entry.message)) and client[1] != self._ignore:
            self._open.add(entry.pid)
