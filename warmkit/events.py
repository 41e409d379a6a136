"""The story of an environment as values: states, counters and events, and those who listen to them.

An observer is a plain function; with none registered no event is made. This module knows names and
numbers only.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeAlias, TypeGuard

_log = logging.getLogger("warmkit")


class State(StrEnum):
    """Where a slot is in its life."""

    COLD = "cold"
    STARTING = "starting"
    WARM = "warm"
    CHECKING = "checking"
    RETIRING = "retiring"
    CLOSED = "closed"


MOVES: Mapping[State, frozenset[State]] = {
    State.COLD: frozenset({State.STARTING, State.CLOSED}),
    State.STARTING: frozenset({State.COLD, State.WARM, State.RETIRING}),
    State.WARM: frozenset({State.CHECKING, State.RETIRING}),
    State.CHECKING: frozenset({State.WARM, State.RETIRING}),
    State.RETIRING: frozenset({State.CLOSED}),
    State.CLOSED: frozenset(),
}
"""Which state may follow which."""


class Counters:
    """What one resource did in one environment, over all its slots."""

    __slots__ = (
        "check_failures",
        "checks",
        "closes",
        "rebuilds",
        "refreshes",
        "reuses",
        "seconds",
        "start_failures",
        "starts",
    )

    def __init__(self) -> None:
        self.starts = self.start_failures = self.rebuilds = self.closes = 0
        self.checks = self.check_failures = self.refreshes = self.reuses = 0
        self.seconds = 0.0


class EventKind(StrEnum):
    """What happened."""

    INVOCATION_STARTED = "invocation started"
    INVOCATION_FINISHED = "invocation finished"
    STARTED = "started"
    START_FAILED = "start failed"
    REUSED = "reused"
    CHECKED = "checked"
    CHECK_FAILED = "check failed"
    REFRESHED = "refreshed"
    REFRESH_FAILED = "refresh failed"
    RETIRED = "retired"
    CLOSED = "closed"
    CLOSE_FAILED = "close failed"


class Call:
    """What a handler was called with. Its repr shows nothing of it.

    Attributes:
        event: The event, as the host passed it.
        context: The host's context; None: it passed none.
    """

    __slots__ = ("context", "event")

    def __init__(self, event: object, context: object) -> None:
        self.event = event
        self.context = context


class Event(NamedTuple):
    """One thing that happened, told when it is over.

    Attributes:
        kind: What happened.
        environment_id: In which environment.
        invocation: The invocation's number in its environment, from 1; None outside of any.
        resource: The resource's name; None for events of the invocation itself.
        seconds: How long it took.
        gap: Seconds since the resource (or environment) was last used; 0 the first time.
        reason: Why: the verdict's or retirement's reason; "rebuild" for a start that replaces a value.
        error: What failed, if it did.
        call: What the handler was called with, in events of the invocation itself.
    """

    kind: EventKind
    environment_id: str
    invocation: int | None = None
    resource: str | None = None
    seconds: float = 0.0
    gap: float = 0.0
    reason: str = ""
    error: BaseException | None = None
    call: Call | None = None


Observer: TypeAlias = Callable[[Event], None]
"""Called with each event, in the thread and task in which it happens.

It may have two methods more: those of `Listener` and of `Settler`.
"""


class Listener(Protocol):
    """An observer that is sometimes not there: asked now and then, until it says yes."""

    def listens(self) -> bool:
        """Whether it wants events. Asked at an environment's first invocations, and later at every hundredth."""
        ...


class Settler(Protocol):
    """An observer that keeps something which a freeze must not catch."""

    def settle(self) -> Awaitable[object]:
        """Lets go of it; awaited before the environment may be frozen, and when it has closed everything."""
        ...


def listens(observer: Observer) -> bool:
    """Whether an observer wants events; a plain function does."""
    asked: Any = getattr(observer, "listens", None)
    return asked is None or bool(asked())


def is_settler(observer: object) -> TypeGuard[Settler]:
    """Whether an observer has something to let go of before a freeze."""
    return callable(getattr(observer, "settle", None))


def tell(observers: tuple[Observer, ...], event: Event) -> None:
    """Hands an event to each observer. One that raises is logged and harms nobody."""
    for observer in observers:
        try:
            observer(event)
        except Exception:  # noqa: BLE001  an observer's failure is never the invocation's
            _log.exception("the observer %r failed on %s", observer, event.kind)
