"""Ctrl-C and SIGTERM, taken note of at once and obeyed where nothing is half done.

They never raise where they strike: that could be between a process's start and its noting down, in
a destructor, which swallows it, or in compiled code that expects no exception and crashes.
"""

from __future__ import annotations

import signal
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future
    from types import FrameType, TracebackType

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):  # noqa: N818 - not an error
    """Somebody wants the demo to end."""


class Interrupts:
    """Takes over both signals inside its `with` block.

    Attributes:
        status: The exit status that the first signal asks for; None while there was none.
    """

    def __init__(self) -> None:
        """Take over nothing yet."""
        self.status: int | None = None
        self._news: SimpleQueue[Future[Any] | None] = SimpleQueue()  # safe in a signal handler
        self._before: list[Any] = []

    def __enter__(self) -> Self:
        """Take over the signals."""
        self._before = [signal.signal(number, self._come) for number in _SIGNALS]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the signals back."""
        for number, handler in zip(_SIGNALS, self._before, strict=True):
            signal.signal(number, handler)

    def obey(self) -> None:
        """Go on if no signal came.

        Raises:
            Interrupted: One did.
        """
        if self.status is not None:
            raise Interrupted

    def as_completed(self, jobs: Iterable[Future[T]]) -> Iterator[Future[T]]:
        """Yield each job when it is done.

        Raises:
            Interrupted: A signal came meanwhile, or earlier.
        """
        waiting = set(jobs)
        for job in waiting:
            job.add_done_callback(self._news.put)
        while waiting:
            self.obey()
            self._news.get()
            for job in [job for job in waiting if job.done()]:
                waiting.remove(job)
                yield job

    def _come(self, number: int, frame: FrameType | None) -> None:
        self.status = self.status or 128 + number
        self._news.put(None)
