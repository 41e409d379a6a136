"""SIGTERM and SIGINT, where no loop runs most of the time: noticed at once while idle, and soon in a call.

For the main thread, which a signal interrupts in the middle of whatever it does.
"""

import signal
from typing import Self

FINISH = 0.05
"""Seconds for the invocation under way to finish, once the end has been announced."""


class EndedError(BaseException):
    """It is over. Not an `Exception`: no handler is to mistake it for a failure of its own."""


class Ending:
    """Turns the first signal into `EndedError`, at once or after a grace; ignores the others.

    Attributes:
        announced: A signal has come.
    """

    def __init__(self) -> None:
        self.announced = False
        self._at_once = True

    def listen(self) -> None:
        """Takes over the signals."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._announce)

    def grace(self) -> None:
        """From now on what is under way may finish first."""
        self._at_once = False

    def at_once(self) -> Self:
        """While the `with` block that this is for runs, nothing is under way."""
        return self

    def __enter__(self) -> None:
        self._at_once = True
        if self.announced:
            raise EndedError

    def __exit__(self, *_: object) -> None:
        self._at_once = False

    def over(self) -> None:
        """Nothing interrupts any more: what comes now is the close."""
        self.announced = True
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _announce(self, *_: object) -> None:
        if self.announced:
            return
        self.announced = True
        if self._at_once:
            raise EndedError
        signal.signal(signal.SIGALRM, self._time_is_up)
        signal.setitimer(signal.ITIMER_REAL, FINISH)

    def _time_is_up(self, *_: object) -> None:
        raise EndedError
