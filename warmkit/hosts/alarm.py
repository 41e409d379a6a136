"""Ends a plain function whose time is up, where a signal can: in the main thread, if nobody else uses SIGALRM."""

from __future__ import annotations

import signal
import threading
from types import TracebackType

from warmkit.errors import DeadlineError
from warmkit.hosts.loop import is_kept_loop_driven

LONGEST = 1e9
"""Seconds that a timer of the kernel can be set to, by far."""

AGAIN = 0.01
"""Seconds after which it looks again, where it must not strike."""


class Alarm:
    """Raises `DeadlineError` in the block when its time is up, once.

    It interrupts what Python waits for (`time.sleep`, sockets). It does not interrupt C code that waits by itself, nor
    anything in another thread, and stays away where the user's own code has an alarm. While the block waits for the
    persistent loop it waits, too: an error there would hit whichever task has its turn, and that loop has to live on.
    What is served there has a deadline of its own.

    Args:
        seconds: The block's time.
        margin: Seconds between its time and the platform's, for the error.
    """

    def __init__(self, seconds: float, margin: float) -> None:
        self._seconds = min(max(seconds, 0.001), LONGEST)  # 0 would mean never
        self._margin = margin
        self._armed = False

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread() and _is_free():
            signal.signal(signal.SIGALRM, self._strike)
            self._armed = True
            signal.setitimer(signal.ITIMER_REAL, self._seconds)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._armed:
            self._disarm()

    def _strike(self, *_: object) -> None:
        if not self._armed:
            return
        if is_kept_loop_driven():
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
            return
        self._disarm()  # here: it may strike on the way into the block, or out of it
        raise DeadlineError(self._seconds, self._margin)

    def _disarm(self) -> None:
        self._armed = False  # first: from here on the signal does nothing
        if signal.getsignal(signal.SIGALRM) == self._strike:  # not the end of the environment's
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _is_free() -> bool:
    unset = signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    return unset and signal.getitimer(signal.ITIMER_REAL)[0] == 0
