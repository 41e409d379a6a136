"""One guarded call, from its admission to its verdict. Knows neither states nor clocks: the breaker has those."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Self


def _block() -> None:
    """Stands for a block of code where pybreaker's listeners expect a function."""


class Call:
    """The `with` block around one call. Entering it asks for admission, leaving it gives the outcome.

    It holds no lock and never waits, so an `await` may stand in the block. For one call at a time.

    Args:
        owner: The breaker.
        admit: Lets it in, or raises.
        judge: Takes the outcome: the exception that ended it, or None.
        function: What is called, for listeners.
        args: Its arguments.
        kwargs: Its arguments by name.

    Attributes:
        outer: The unfinished call that this one is made in, of whatever breaker.
        state: In which state it began; each change of state makes another object.
        done: Whether it is over, or has not begun.
        counted: A failure that a call inside this one has been counted for.
    """

    __slots__ = (
        "_admit",
        "_judge",
        "args",
        "counted",
        "done",
        "function",
        "kwargs",
        "outer",
        "owner",
        "state",
    )

    def __init__(
        self,
        owner: object,
        admit: "Callable[[Call], None]",
        judge: "Callable[[Call, BaseException | None], None]",
        *,
        function: Callable[..., object] = _block,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self.owner = owner
        self.function = function
        self.args = args
        self.kwargs = kwargs or {}
        self.state: Any = None
        self.done = True
        self.counted: BaseException | None = None
        self._admit = admit
        self._judge = judge
        self.outer: Call | None = None

    def __enter__(self) -> Self:
        """Begins, if it is let in."""
        outer = _inside.get()
        self.outer = outer if outer is None else _unfinished(outer)
        self._admit(self)
        self.done = False
        _inside.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Ends. Hides no exception."""
        self.done = True
        if _inside.get() is self:  # else left in another context than entered
            _inside.set(self.outer)
        try:
            self._judge(self, error)
        finally:
            self.counted = None

    def around(self) -> "list[Call]":
        """Returns the unfinished calls of the same breaker that this one is made in, innermost first."""
        found: list[Call] = []
        call = self.outer
        while call is not None:
            if call.owner is self.owner and not call.done:
                found.append(call)
            call = call.outer
        return found


_inside: ContextVar[Call | None] = ContextVar("warmkit_guarded_call", default=None)
"""The innermost call, in this task or the one that started it."""


def innermost(owner: object) -> Call | None:
    """Returns the unfinished call of a breaker that the running code is in."""
    call = _inside.get()
    while call is not None and (call.done or call.owner is not owner):
        call = call.outer
    return call


def _unfinished(call: Call | None) -> Call | None:
    """Skips calls that are over, so that none is kept for longer than its task needs it."""
    while call is not None and call.done:
        call = call.outer
    return call
