"""Sees what an import does to the world outside: sockets, processes, files, threads.

By Python's audit events, so that it needs no knowledge of who does it; only threads, of which Python 3.11
tells nothing, are noted where they start. An audit hook cannot be taken away again: only a process of its own
should watch.

Source: https://docs.python.org/3/library/audit_events.html
"""

from __future__ import annotations

import inspect
import os
import signal
import socket
import sys
import tempfile
import threading
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from warmkit.local.doctor.finding import Place
from warmkit.local.doctor.source import is_own
from warmkit.local.target import shown

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread
    from types import FrameType, TracebackType

_PROCESSES = {"subprocess.Popen", "os.system", "os.fork", "os.posix_spawn", "os.forkpty", "os.exec"}
_CHANGES = {
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
}
_TELLING = {*_PROCESSES, *_CHANGES, "open", "socket.connect", "socket.getaddrinfo"}
_FREE = tuple(
    f"{os.path.realpath(path)}{os.sep}"
    for path in (tempfile.gettempdir(), "/tmp", "/dev", "/proc")  # noqa: S108
)
"""What can be written on Lambda, or is no file."""
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class Sight(NamedTuple):
    """One thing that was seen.

    Attributes:
        kind: "network", "process" or "file".
        what: To whom, or which.
        place: The user's line that led to it.
    """

    kind: str
    what: str
    place: Place


class Starter(NamedTuple):
    """Who started a thread.

    Attributes:
        place: The user's line that led to it.
        own: The line itself starts it, and not a library that it calls.
    """

    place: Place
    own: bool


class Watch:
    """Watches while its `with` block runs.

    Attributes:
        sights: What was seen, each thing at each place once.
        threads: Those that were started and still run.
        signals: The user's handlers, by signal.
        timer: Whether a timer was left running that ends in SIGALRM.
    """

    def __init__(self) -> None:
        """See nothing yet."""
        self.sights: dict[Sight, None] = {}
        self.threads: dict[Thread, Starter] = {}
        self.signals: dict[signal.Signals, Any] = {}
        self.timer = False
        self._open = False
        self._looking = threading.local()

    def __enter__(self) -> Self:
        """Begin."""
        self._start = threading.Thread.start
        _set_start(self._noting(self._start))
        self._open = True
        sys.addaudithook(self._hear)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End: from here on nothing counts."""
        self._open = False
        _set_start(self._start)
        self.threads = {item: by for item, by in self.threads.items() if item.is_alive()}
        for number in (signal.SIGTERM, signal.SIGALRM):
            if (handler := signal.getsignal(number)) is not signal.SIG_DFL:
                self.signals[number] = handler
        self.timer = signal.getitimer(signal.ITIMER_REAL)[0] > 0

    def _noting(self, start: Callable[[Thread], None]) -> Callable[[Thread], None]:
        def noted(thread: Thread) -> None:
            start(thread)
            frame = inspect.currentframe()
            caller = frame.f_back if frame else None
            own = caller is not None and is_own(caller.f_code.co_filename)
            self.threads[thread] = Starter(_users_line(caller), own=own)

        return noted

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._open or event not in _TELLING or getattr(self._looking, "now", False):
            return
        self._looking.now = True  # what looking itself does is not the user's
        with suppress(Exception):  # whoever is watched must not notice
            kind, what = _meaning(event, arguments)
            if kind:
                place = _users_line(inspect.currentframe())
                self.sights.setdefault(Sight(kind, what, place))
        self._looking.now = False


def _set_start(start: Callable[[Thread], None]) -> None:
    kind: Any = threading.Thread
    kind.start = start


def _meaning(event: str, arguments: tuple[Any, ...]) -> tuple[str, str]:
    if event == "socket.connect":
        return _connection(*arguments)
    if event == "socket.getaddrinfo":
        return _lookup(arguments[0])
    if event in _PROCESSES:
        return "process", _program(arguments)
    if event == "open" and _writes(*arguments):
        return _file(arguments[0])
    return _file(arguments[0]) if event in _CHANGES else ("", "")


def _connection(connection: socket.socket, address: Any) -> tuple[str, str]:
    stream = connection.type == socket.SOCK_STREAM  # a datagram socket sends nothing yet
    if connection.family not in (socket.AF_INET, socket.AF_INET6) or not stream:
        return "", ""
    return "network", f"a connection to {address[0]}:{address[1]}"


def _lookup(host: Any) -> tuple[str, str]:
    name = host.decode() if isinstance(host, bytes) else host
    with suppress(ValueError):
        ip_address(name or "127.0.0.1")
        return "", ""  # nobody has to be asked
    return ("", "") if name == "localhost" else ("network", f"a lookup of {name}")


def _program(arguments: tuple[Any, ...]) -> str:
    program = arguments[0] if arguments else "a copy of itself"
    return os.path.basename(os.fsdecode(program or "a program"))  # noqa: PTH119 - bytes as well


def _writes(path: Any, mode: str | None, flags: int) -> bool:
    return bool(set(mode or "") & set("wax+")) or bool(mode is None and flags & _WRITING)


def _file(path: Any) -> tuple[str, str]:
    if isinstance(path, int):
        return "", ""  # open already
    full = os.path.realpath(os.fsdecode(path))
    here = os.getcwd() + os.sep  # noqa: PTH109 - text
    within = full + os.sep
    if within.startswith(_FREE) and not within.startswith(here):
        return "", ""
    return "file", shown(full)


def _users_line(frame: FrameType | None) -> Place:
    while frame is not None:
        if is_own(frame.f_code.co_filename):
            return Place(shown(frame.f_code.co_filename), frame.f_lineno)
        frame = frame.f_back
    return Place()
