"""WK2xx: what calls leave behind, found by calling the handler with an event."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from warmkit.local.doctor.finding import Found, Place, Severity
from warmkit.local.doctor.rule import nothing, rule
from warmkit.local.doctor.source import is_own
from warmkit.local.target import short_traceback, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warmkit.local.doctor.subject import Subject


@rule(
    "WK201",
    Severity.ERROR,
    "grows with each call",
    happens="the environment serves many calls: each one sees what the ones before it left, other people's "
    "data among it, and memory grows until the environment is killed",
    write="make it inside the handler; or bound it (functools.lru_cache(maxsize=...), deque(maxlen=...))",
)
def grows(subject: Subject) -> Iterator[Found]:
    """See globals, defaults and class attributes that are larger after each call than before it."""
    for held, sizes in subject.calls.growths:
        kind = type(held.value).__name__.strip("_")
        sizes_told = ", ".join(str(size) for size in sizes)
        what = f"{held.path} ({kind}) grows with each call: {sizes_told} items"
        yield Found(held.place, what)


@rule(
    "WK202",
    Severity.ERROR,
    "a task outlives its call",
    happens="it stands still with the freeze and goes on in somebody else's call, or never",
    write="await it (asyncio.TaskGroup), or hand it to after_response() from warmkit",
)
def unfinished(subject: Subject) -> Iterator[Found]:
    """See tasks of the user's code that are not done when the call is."""
    for name, place in dict.fromkeys(subject.calls.unfinished):
        yield Found(place, f"a task that runs {name} is not done when the call is")


@rule(
    "WK203",
    Severity.ERROR,
    "a call fails",
    happens="the caller gets an error; what else a call leaves behind could not be looked at",
    write="an event that the handler can serve, and the environment variables that it needs",
)
def fails(subject: Subject) -> Iterator[Found]:
    """See the exception that ended the last call."""
    error = subject.calls.failed
    if error is not None:
        what = f"call {subject.calls.number} failed\n{short_traceback(error)}"
        yield Found(_raised(error), what)


never_returns = rule(
    "WK204",
    Severity.ERROR,
    "a call never ends",
    happens="at the function's timeout Lambda kills the environment, with every connection in it",
    write="deadlines for all that waits: asyncio.timeout, the client's own timeouts",
)(nothing)
"""Seen from outside: the process that calls is stuck."""


def _raised(error: BaseException) -> Place:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_own(frame.filename)]
    return Place(shown(own[-1].filename), own[-1].lineno or 0) if own else Place()
