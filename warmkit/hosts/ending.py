"""The end of the process: a signal is noticed wherever the main thread is, and answered inside the platform's window.

It knows neither event loops nor environments: it is told how to close what there is.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, ParamSpec, TypeVar

from warmkit.clock import SystemClock

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger("warmkit")
_clock = SystemClock()

WINDOW = 0.25
"""Seconds from the signal to the exit. Lambda grants 0.3 or 0.5 s before SIGKILL."""

FINISH = 0.05
"""Seconds for what is being served to finish."""

UNWIND = 0.05
"""Seconds for what was cut short to note that, and to roll back."""

LAST = 0.01
"""Seconds of the window for what comes last."""

HURRY = 0.0001
"""Seconds after which a thread that computes lets another one have its turn, once the end is announced.

Python's default is 50 times as long. The end changes threads a dozen times; where sixteen compute, that would use up the window. A
busy event loop is worse: it gives the GIL up at every look at its sockets, and has it back before the thread that waits for it
is awake, whose time begins anew.
"""

_LATE = b"warmkit: the time for an orderly end is over, and not everything was closed\n"


class EndedError(BaseException):
    """It is over. Not an `Exception`: no handler is to mistake it for a failure of its own."""


def _nothing() -> bool:
    return False


class Ending:
    """Lets calls under way finish or cuts them short, closes everything, and ends the process with status 0.

    The main thread may sit in C code (AWS's runtime waits there for invocations on Python 3.11 and in containers), where no
    Python signal handler runs. So a thread of its own waits for what the signal's C handler writes. A
    handler that somebody has set for the same signal, earlier or later, gets its turn.

    Args:
        close: Closes everything, within so many seconds.
        posting: Seconds for the host to send the answer of a call that has finished in time.

    Attributes:
        announced: A signal has come; whatever begins now, waits for the exit.
    """

    def __init__(self, close: Callable[[float], None], *, posting: float = 0.0) -> None:
        self.announced = False
        self._close = close
        self._posting = posting
        self._stop: Callable[[], object] = _nothing
        self._cut: Callable[[], bool] = _nothing
        self._main: int | None = threading.get_ident()
        self._depth = 0
        self._cut_short = self._interrupting = False
        self._idle = threading.Event()
        self._handler = self._on_signal  # one object, to be told from others'
        self._before: dict[int, Any] = {}
        self._their_turn = threading.Lock()  # taken once
        self._theirs_over = threading.Event()
        self._writing = self._elsewhere = -1

    def listen(self, *numbers: signal.Signals) -> None:
        """Takes over the signals, in the main thread.

        Raises:
            ValueError: This is another thread, or another interpreter than the first.
        """
        reading, self._writing = os.pipe()
        os.set_blocking(self._writing, False)
        try:
            self._elsewhere = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
        except ValueError:
            os.close(reading)
            os.close(self._writing)
            raise
        for number in numbers:
            self._before[number] = signal.signal(number, self._handler)
        threading.Thread(
            target=self._watch, args=(reading, numbers), name="warmkit-end", daemon=True
        ).start()
        _current.append(self)

    def when_announced(
        self, *, stop: Callable[[], object] = _nothing, cut: Callable[[], bool]
    ) -> None:
        """Says what to do. Both are called in another thread than the main one.

        Args:
            stop: Takes no more work.
            cut: Cancels what goes on; returns whether that was heard. If not, it is interrupted.
        """
        self._stop, self._cut = stop, cut

    def during(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Calls a function in the main thread, which the end lets finish, cancels, or interrupts with `EndedError`.

        If it begins too late, or fails as it was cut short, the thread stays here: whoever called must not go on.
        In another thread it just calls.
        """
        if threading.get_ident() != self._main:
            return call(*args, **kwargs)
        try:
            self._depth += 1
            try:
                if self.announced:
                    raise EndedError
                return call(*args, **kwargs)
            finally:
                self._depth -= 1
                self._stay_awake()
        except BaseException as error:
            if self._cut_short or isinstance(error, EndedError):
                wait_for_the_exit()
            raise

    def leave(self, status: int) -> NoReturn:
        """Ends the process in order for another reason, from the main thread."""
        if self.announced:
            wait_for_the_exit()
        self._close(WINDOW)
        _flush()
        os._exit(status)  # worker threads that still run a handler must not hold the process

    def forget(self) -> None:
        """In a forked child, which has none of its parent's threads: the signals are again whose they were."""
        self._main = None
        with suppress(ValueError):
            signal.set_wakeup_fd(-1)
            for number, before in self._before.items():
                if signal.getsignal(number) is self._handler:
                    signal.signal(number, signal.SIG_DFL if before is None else before)

    # -- in the main thread

    def _stay_awake(self) -> None:
        """Takes back what an event loop that handles signals may have taken, and passes on to it from now on."""
        if self.announced:
            if not self._depth:
                self._idle.set()
        elif self._writing >= 0:
            before = signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)
            if before != self._writing:
                self._elsewhere = before

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._interrupting and self._depth:
            self._interrupting = False  # what is rolled back now is not interrupted again
            raise EndedError
        sys.setswitchinterval(HURRY)  # the thread that watches may be waiting for its turn
        os.write(self._writing, bytes([number]))  # in case that the C handler writes elsewhere
        self._let_theirs(number, frame)

    def _let_theirs(self, number: int, frame: Any) -> None:
        """Calls the handler that was there before, in whichever thread gets there first."""
        theirs = self._before.get(number)
        if not callable(theirs) or theirs is signal.default_int_handler:
            self._theirs_over.set()
        elif self._their_turn.acquire(blocking=False):
            try:
                theirs(number, frame)
            finally:
                self._theirs_over.set()

    # -- in threads of its own

    def _watch(self, reading: int, numbers: tuple[signal.Signals, ...]) -> None:
        number = 0
        while number not in numbers:
            (number,) = os.read(reading, 1)
            with suppress(OSError):  # a loop that is gone, and has told nobody
                if self._elsewhere >= 0:
                    os.write(self._elsewhere, bytes([number]))
        self.announced = True
        sys.setswitchinterval(HURRY)  # the main thread may be where it hears of no signal
        ends = _clock.read().monotonic + WINDOW
        over = threading.Event()
        with suppress(RuntimeError):  # the interpreter exits already, and closes everything
            threading.Thread(
                target=self._end, args=(number, ends, over), name="warmkit-close", daemon=True
            ).start()
        if not over.wait(WINDOW):
            os.write(2, _LATE)
        os._exit(0)

    def _end(self, number: int, ends: float, over: threading.Event) -> None:
        try:
            self._stop()
            serving = self._depth > 0
            if serving and not self._idle.wait(FINISH):
                self._cut_off(number)
            self._close(_left(ends))
            self._wait_for_theirs(number, ends)
            if serving and not self._cut_short:
                threading.Event().wait(min(self._posting, _left(ends - LAST)))
            _flush()
        except BaseException as error:  # noqa: BLE001  the process ends, whatever happens
            _log.error("the environment did not end in order: %r", error)
        over.set()

    def _cut_off(self, number: int) -> None:
        self._cut_short = True
        if not self._cut():
            self._interrupt(number)
        self._idle.wait(UNWIND)

    def _interrupt(self, number: int) -> None:
        """Raises `EndedError` in the main thread, also where that waits in a system call.

        Only where nothing else helps: what it hits may be anything, a transport in the middle of a write included.
        """
        if self._main is not None and signal.getsignal(number) is self._handler:
            self._interrupting = True
            signal.pthread_kill(self._main, number)

    def _wait_for_theirs(self, number: int, ends: float) -> None:
        if signal.getsignal(number) is not self._handler:  # nobody knows when that one is done
            threading.Event().wait(_left(ends - LAST))
            return
        try:
            self._let_theirs(number, None)
        except SystemExit:
            pass  # we are about to
        except Exception:  # noqa: BLE001  a stranger's
            _log.exception("somebody's own handler of the signal failed")
        self._theirs_over.wait(_left(ends - LAST))


def _left(ends: float) -> float:
    return max(0.0, ends - _clock.read().monotonic)


def _flush() -> None:
    """Brings out what is still on its way, as no handler of the interpreter's exit will."""
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()


def wait_for_the_exit() -> NoReturn:
    """Waits in such a way that signals are noticed."""
    while True:
        threading.Event().wait()


_current: list[Ending] = []


def current() -> Ending | None:
    """Returns who ends this process, if somebody does."""
    return _current[0] if _current else None


def _forget_in_child() -> None:
    while _current:
        _current.pop().forget()


os.register_at_fork(after_in_child=_forget_in_child)
