"""Ctrl-C and SIGTERM, let through only where nothing is half started or half closed."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType, TracebackType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """The user, or whoever may, wants the demo to end."""


class Interrupts:
    """Takes over both signals inside its `with` block.

    A signal that comes outside of `allowed` is kept until the next `allowed`. Only the first one
    is raised: what cleans up after it cannot be interrupted.

    Attributes:
        status: The exit status that the first signal asks for; None while there was none.
    """

    def __init__(self) -> None:
        """Take over nothing yet."""
        self.status: int | None = None
        self._open = False
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

    @contextmanager
    def allowed(self) -> Generator[None]:
        """Let a signal end what runs inside.

        Raises:
            Interrupted: A signal came, now or earlier.
        """
        self._open = True
        try:
            if self.status is not None:
                raise Interrupted
            yield
        finally:
            self._open = False

    def _come(self, number: int, frame: FrameType | None) -> None:
        self.status = self.status or 128 + number
        if self._open:
            self._open = False
            raise Interrupted
