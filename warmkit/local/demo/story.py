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
_AFTERMATH = {EventKind.CLOSED, EventKind.CLOSE_FAILED}


class _Step(NamedTuple):
    """What happened to one resource, and how long it took."""

    words: tuple[str, ...]
    name: str
    seconds: float


def tell(events: Iterable[Event]) -> str:
    """Return one line, such as "started db (31 ms), s3 (12 ms)" or "reused db, s3".

    Args:
        events: What happened during one invocation, or at the environment's end.
    """
    groups: dict[tuple[str, ...], list[_Step]] = {}
    for step in _steps(events):
        groups.setdefault(step.words, []).append(step)
    return "; ".join(_phrase(words, steps) for words, steps in groups.items())


def _steps(events: Iterable[Event]) -> Iterable[_Step]:
    """Yield what happened to each resource, in the order in which they first appear."""
    told: dict[str, list[Event]] = {}
    for event in events:
        if event.resource is not None and _word(event):
            told.setdefault(event.resource, []).append(event)
    for name, story in told.items():
        steps = _without_aftermath(story)
        words = tuple(_word(event) for event in steps)
        yield _Step(words, name, sum(event.seconds for event in steps))


def _without_aftermath(story: list[Event]) -> list[Event]:
    """Leave out the end of a value that was replaced: what replaced it is the news."""
    news = [event for event in story if event.kind not in _AFTERMATH]
    return news or story


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
    if not seconds:
        return ""
    ms = seconds * 1000
    return f" ({ms:.0f} ms)" if ms >= 10 else f" ({ms:.1f} ms)"  # noqa: PLR2004 - two digits
