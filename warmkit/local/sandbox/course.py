"""What is told of an environment: a moment of its life, an invocation's way through it, why it broke."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from warmkit.local.runtime_api.values import Failure, Reply
    from warmkit.local.sandbox.report import Report


class Moment(NamedTuple):
    """Something that happened to an environment.

    Attributes:
        at: The monotonic clock's seconds.
        environment: Which environment.
        what: "started", "ready", "invoked", "replied", "frozen", "thawed", "reset", "ended" ...
        detail: More of it, for people.
    """

    at: float
    environment: str
    what: str
    detail: str = ""


class Course(NamedTuple):
    """One invocation's way through an environment.

    Attributes:
        replied: The reply, as soon as it begins.
        reported: The facts, when the environment is done with it.
        tail: The end of its log; complete when it is reported.
    """

    replied: asyncio.Future[Reply]
    reported: asyncio.Future[Report]
    tail: Callable[[], bytes]


class BrokenError(Exception):
    """An environment cannot go on as it is.

    Attributes:
        failure: Why, as the caller is told.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.kind)
        self.failure = failure
