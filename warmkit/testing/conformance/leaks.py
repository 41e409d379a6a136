"""What a resource can leave behind: tasks, sockets, threads, open files, and complaints of the interpreter.

It asks the process and the event loop. It knows nothing of resources.
"""

import asyncio
import gc
import logging
import os
import socket
import stat
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

SETTLE = 1.0
"""Real seconds for what has been told to go to be gone. Only a leak costs them."""

_STEP = 0.005  # real seconds between two looks


class Ledger(logging.Handler):
    """What the process held when it was opened, and what is complained of while it is open.

    Attributes:
        complaints: Warnings about what was not closed or not awaited, what the event loop's exception handler was
            told, and what was raised where nobody could catch it.
        logs: Every line that was logged.
    """

    def __init__(self) -> None:
        super().__init__()
        self.complaints: list[str] = []
        self.logs: list[str] = []
        self._files: dict[int, tuple[int, int]] = {}
        self._threads: set[threading.Thread] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Opens it."""
        self._warned = self._stack.enter_context(warnings.catch_warnings(record=True))
        warnings.simplefilter("always")
        self._stack.callback(setattr, sys, "unraisablehook", sys.unraisablehook)
        sys.unraisablehook = self._unraisable
        logging.getLogger().addHandler(self)
        self._stack.callback(logging.getLogger().removeHandler, self)
        self._files, self._threads = open_files(), set(threading.enumerate())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes it; warnings that are no complaints are given once more."""
        self._stack.close()
        for warned in self._warned or ():
            if not _is_complaint(warned.message):
                warnings.warn_explicit(
                    warned.message, warned.category, warned.filename, warned.lineno
                )

    def emit(self, record: logging.LogRecord) -> None:
        """Notes a line."""
        self.logs.append(record.getMessage())

    def told_by_loop(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Notes what an event loop's exception handler is told; it is that handler."""
        error = context.get("exception")
        what = f" ({type(error).__name__}: {error})" if error is not None else ""
        self.complaints.append(f"the event loop was told: {context['message']}{what}")

    def know(self, descriptors: Iterable[int]) -> None:
        """Notes files that have been found already.

        Args:
            descriptors: Theirs.
        """
        files = open_files()
        self._files.update({key: files[key] for key in descriptors if key in files})

    def left_behind(self) -> list[str]:
        """Returns what was not there before and stays, with all complaints."""
        gc.collect()
        left = settled(lambda: [*self._new_threads(), *self._new_files()], time.sleep)
        warned = [str(item.message) for item in self._warned or () if _is_complaint(item.message)]
        return [*left, *self.complaints, *(f"a warning: {text}" for text in warned)]

    def _new_threads(self) -> list[str]:
        new = set(threading.enumerate()) - self._threads - {threading.current_thread()}
        return [f"the thread {thread.name!r} runs" for thread in new]

    def _new_files(self) -> list[str]:
        new = dict(open_files().items() - self._files.items())
        return [f"{_what_is_open(descriptor)} is open" for descriptor in new]

    def _unraisable(self, raised: "sys.UnraisableHookArgs") -> None:
        error = raised.exc_value
        self.complaints.append(f"nobody could catch {type(error).__name__}: {error}")


def settled(look: Callable[[], list[str]], sleep: Callable[[float], object]) -> list[str]:
    """Returns what `look` finds, as soon as that is nothing, or when the time to settle is up."""
    ends = time.monotonic() + SETTLE
    while (found := look()) and time.monotonic() < ends:
        sleep(_STEP)
    return found


async def settled_on_loop(
    look: Callable[[], list[str]], *, seconds: float | None = None
) -> list[str]:
    """Returns what `look` finds, as `settled` does, while the loop runs.

    Args:
        look: Looks.
        seconds: Real seconds to settle in; default: `SETTLE`.
    """
    ends = time.monotonic() + (SETTLE if seconds is None else seconds)
    while (found := look()) and time.monotonic() < ends:  # noqa: ASYNC110  nothing tells that a file is closed
        await asyncio.sleep(0)
    return found


def tasks_left(known: Iterable[asyncio.Task[Any]]) -> list[str]:
    """Returns the tasks of the running loop that are not among the known ones."""
    left = asyncio.all_tasks() - set(known)
    return [f"the task {task.get_name()!r} ({_called(task)}) runs" for task in left]


def sockets_to(address: tuple[str, int]) -> list[int]:
    """Returns the descriptors of this process's sockets that are connected to an address."""
    return [descriptor for descriptor in open_files() if _peer(descriptor) == address]


def open_files() -> dict[int, tuple[int, int]]:
    """Returns what is behind each file descriptor of this process; nothing where that cannot be asked."""
    found: dict[int, tuple[int, int]] = {}
    with suppress(OSError):
        for name in os.listdir("/dev/fd"):  # noqa: PTH208  names are all it needs
            with suppress(OSError):  # the listing's own
                status = os.fstat(int(name))
                found[int(name)] = (status.st_dev, status.st_ino)
    return found


def _peer(descriptor: int) -> tuple[str, int] | None:
    """Returns what a descriptor is connected to; None: it is no socket, or not connected."""
    with suppress(OSError):
        if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            with socket.socket(fileno=os.dup(descriptor)) as own:
                peer: tuple[str, int] = own.getpeername()
                return peer
    return None


def _what_is_open(descriptor: int) -> str:
    peer = _peer(descriptor)
    if peer is not None:
        return f"a connection to {peer[0]}:{peer[1]}"
    with suppress(OSError):
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    return f"file descriptor {descriptor}"


def _called(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    return str(getattr(coroutine, "__qualname__", coroutine))


def _is_complaint(warning: Warning | str) -> bool:
    if isinstance(warning, RuntimeWarning):
        return "never awaited" in str(warning)
    return isinstance(warning, ResourceWarning)
