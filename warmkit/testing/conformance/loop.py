"""An event loop in real time that is patient with a busy machine, and skips waits for a server that is silent.

It knows asyncio only.
"""

import selectors
import time
from typing import Any

from warmkit.testing.loop import LoopWithThreads

SLOWER = 4.0
"""How many real seconds a second of the loop takes: a busy machine is no reason for a deadline to run out."""

IDLE = 0.03
"""Real seconds in which nothing happened, after which a loop in a hurry goes on to its next timer."""


class PacedLoop(LoopWithThreads):
    """A loop for real sockets, whose deadlines neither flake nor cost what they say.

    Its time passes more slowly than the machine's. In a hurry, which is right while nothing can arrive anyway, it
    does not wait for its timers at all: a deadline of five seconds costs `IDLE`.

    Attributes:
        hurried: Whether it is in a hurry.
    """

    def __init__(self) -> None:
        self.hurried = False
        self._begun = time.monotonic()
        self._skipped = 0.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        """Returns the loop's time in seconds."""
        return (time.monotonic() - self._begun) / SLOWER + self._skipped

    def skip(self, seconds: float) -> None:
        """Lets time pass at once.

        Args:
            seconds: How much of it.
        """
        self._skipped += seconds


class _Selector(selectors.DefaultSelector):
    """A selector that waits in real time, and reports to its loop what it did not wait for."""

    def __init__(self, loop: PacedLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if not timeout:  # no timer, or no time
            return super().select(timeout)
        if not self._loop.hurried or self._loop.threads_at_work:
            return super().select(timeout * SLOWER)
        ready = super().select(min(timeout * SLOWER, IDLE))
        if not ready:
            self._loop.skip(timeout)
        return ready
