"""Sends what is kept before a freeze, within a budget that the SDK does not keep: in a thread of its own.

The SDK's `force_flush` ignores its timeout (https://github.com/open-telemetry/opentelemetry-python/issues/4568). This
module knows nothing of OpenTelemetry; it calls what it is given.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from queue import Empty, SimpleQueue

_log = logging.getLogger("warmkit")


class _Request:
    """Somebody waits until all that was kept when he came has been sent."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.answered = False
        self.done: asyncio.Future[None] = loop.create_future()
        self._loop = loop

    def answer(self) -> None:
        """Lets him go on; called in the thread."""
        self.answered = True
        with suppress(RuntimeError):  # his loop is closed
            self._loop.call_soon_threadsafe(self.done.set_result, None)


class _Worker:
    """A thread that flushes when asked. A daemon: it holds up no exit. Idle, it waits for ever.

    Attributes:
        left: The last request that nobody waits for any more: it was answered, or its time was up.
        process: A thread does not survive a fork.
    """

    def __init__(self, flush: Callable[[], None]) -> None:
        self.left: _Request | None = None
        self.process = os.getpid()
        self._flush = flush
        self._requests: SimpleQueue[_Request] = SimpleQueue()
        threading.Thread(target=self._serve, name="warmkit:flush", daemon=True).start()

    def ask(self, request: _Request) -> None:
        """Wakes the thread."""
        self._requests.put(request)

    def _serve(self) -> None:
        while True:
            requests = [self._requests.get(), *self._waiting()]
            self._flush()
            for request in requests:
                request.answer()

    def _waiting(self) -> Iterable[_Request]:
        with suppress(Empty):
            while True:
                yield self._requests.get_nowait()

    @property
    def hangs(self) -> bool:
        """Whether it is still at what somebody gave up waiting for."""
        return self.left is not None and not self.left.answered


class Flusher:
    """Flushes within a budget, and does not spend it again while an earlier flush hangs.

    Safe for any number of threads, loops and tasks, and in a forked child.

    Args:
        seconds: What one who waits has to wait at most.
        senders: Called in the thread for each flush; returns what sends. What one raises is noted for those who
            debug: who sends has logged it.
    """

    def __init__(
        self, seconds: float, senders: Callable[[], Iterable[Callable[[], object]]]
    ) -> None:
        self._seconds = seconds
        self._senders = senders
        self._worker: _Worker | None = None

    async def flush(self) -> None:
        """Returns when everything kept so far is sent, or the time is up, or at once if an earlier flush hangs."""
        worker = self._worker_here()
        if worker is None or worker.hangs:
            return
        request = _Request(asyncio.get_running_loop())
        worker.ask(request)
        try:
            await asyncio.wait([request.done], timeout=self._seconds)
        finally:
            worker.left = request

    def _worker_here(self) -> _Worker | None:
        if self._worker is None or self._worker.process != os.getpid():
            try:
                self._worker = _Worker(self._flush)
            except RuntimeError:  # the interpreter exits: no thread can be started any more
                return None
        return self._worker

    def _flush(self) -> None:
        for send in self._senders():
            try:
                send()
            except Exception:  # noqa: BLE001  who sends says so itself, and the others still have to
                _log.debug("telemetry was not flushed", exc_info=True)
