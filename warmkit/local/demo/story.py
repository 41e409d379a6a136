"""Tells in words what warmkit's events say about one invocation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from warmkit import Event, EventKind

if TYPE_CHECKING:
    from collections.abc import Iterable

_WORDS = {
    EventKind.START_FAILED: "start failed",
    EventKind.REUSED: "reused",
    EventKind.CHECKED: "checked",
    EventKind.CHECK_FAILED: "checked: dead",
    EventKind.REFRESHED: "refreshed",
    EventKind.REFRESH_FAILED: "refresh failed",
    EventKind.CLOSED: "closed",
    EventKind.CLOSE_FAILED: "close failed",
}
_CONSEQUENCES = {EventKind.REUSED, EventKind.CLOSED, EventKind.CLOSE_FAILED}
_SHOWN_MS = 0.05


class _Step(NamedTuple):
    """What happened to one resource, and how long it took."""

    words: tuple[str, ...]
    name: str
    seconds: float


def tell(events: Iterable[Event], *, opened: int = 0) -> str:
    """Return one line, such as "started db (31 ms), s3 (12 ms)" or "reused db, s3".

    Args:
        events: What happened during one invocation, or at the environment's end.
        opened: How many connections the database server saw being opened meanwhile.
    """
    groups: dict[tuple[str, ...], list[_Step]] = {}
    for step in _steps(events):
        groups.setdefault(step.words, []).append(step)
    phrases = [_phrase(words, steps) for words, steps in groups.items()]
    return "; ".join([*phrases, connections(opened)] if opened else phrases)


def connections(count: int) -> str:
    """Return "1 new connection" or "2 new connections"."""
    return f"{count} new connection{'' if count == 1 else 's'}"


def _steps(events: Iterable[Event]) -> Iterable[_Step]:
    """Yield what happened to each resource, in the order in which they first appear."""
    told: dict[str, list[Event]] = {}
    for event in events:
        if event.resource is not None and _word(event):
            told.setdefault(event.resource, []).append(event)
    for name, story in told.items():
        steps = _news(story)
        words = tuple(_word(event) for event in steps)
        yield _Step(words, name, sum(event.seconds for event in steps))


def _news(story: list[Event]) -> list[Event]:
    """Leave out what follows from the rest: the end of what was replaced, the use of what was proven."""
    return [event for event in story if event.kind not in _CONSEQUENCES] or story


def _word(event: Event) -> str:
    if event.kind is EventKind.STARTED:
        return "rebuilt" if event.reason == "rebuild" else "started"
    return _WORDS.get(event.kind, "")


def _phrase(words: tuple[str, ...], steps: list[_Step]) -> str:
    names = ", ".join(f"{step.name}{_duration(step.seconds)}" for step in steps)
    if len(words) == 1:
        return f"{words[0]} {names}"
    return f"{names} {' -> '.join(words)}"


def _duration(seconds: float) -> str:
    ms = seconds * 1000
    if ms < _SHOWN_MS:
        return ""
    return f" ({ms:.0f} ms)" if ms >= 10 else f" ({ms:.1f} ms)"  # noqa: PLR2004 - two digits
