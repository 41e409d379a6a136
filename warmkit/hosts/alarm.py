"""Ends a plain function whose time is up, where a signal can: in the main thread, if nobody else uses SIGALRM."""

from __future__ import annotations

import signal
import threading
from types import TracebackType

from warmkit.errors import DeadlineError


class Alarm:
    """Raises `DeadlineError` in the block when its time is up.

    It interrupts what Python waits for (`time.sleep`, sockets). It does not interrupt C code that waits by itself, nor
    anything in another thread, and stays away where the user's own code has an alarm.

    Args:
        seconds: The block's time.
        margin: Seconds between its time and the platform's, for the error.
    """

    def __init__(self, seconds: float, margin: float) -> None:
        self._seconds = max(seconds, 0.001)  # 0 would mean never
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
        if not self._armed:
            return
        self._armed = False  # first: from here on the signal does nothing
        if signal.getsignal(signal.SIGALRM) == self._strike:  # not the end of the environment's
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)

    def _strike(self, *_: object) -> None:
        if self._armed:
            raise DeadlineError(self._seconds, self._margin)


def _is_free() -> bool:
    unset = signal.getsignal(signal.SIGALRM) is signal.SIG_DFL
    return unset and signal.getitimer(signal.ITIMER_REAL)[0] == 0
