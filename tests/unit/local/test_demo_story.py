"""One line tells an invocation's events."""

import pytest

from warmkit import Event, EventKind
from warmkit.local.demo.story import connections, tell


def event(kind: EventKind, resource: str | None = "db", ms: float = 0.0, reason: str = "") -> Event:
    return Event(kind, "e", 1, resource, ms / 1000, reason=reason)


STARTED, REUSED, CHECKED = EventKind.STARTED, EventKind.REUSED, EventKind.CHECKED
REPLACED = [
    event(EventKind.CHECK_FAILED, ms=4),
    event(EventKind.RETIRED, reason="it could not be trusted any more"),
    event(EventKind.CLOSED, ms=1),
    event(STARTED, ms=31, reason="rebuild"),
]


@pytest.mark.parametrize(
    ("events", "line"),
    [
        ([], ""),
        ([event(STARTED, ms=31), event(STARTED, "s3", 9.94)], "started db (31 ms), s3 (9.9 ms)"),
        ([event(REUSED), event(REUSED, "s3")], "reused db, s3"),
        ([event(CHECKED, ms=1.26), event(REUSED, "s3")], "checked db (1.3 ms); reused s3"),
        ([*REPLACED, event(REUSED, "s3")], "db (35 ms) checked: dead -> rebuilt; reused s3"),
        ([event(EventKind.RETIRED), event(STARTED, ms=20, reason="rebuild")], "rebuilt db (20 ms)"),
        ([event(EventKind.START_FAILED, ms=20)], "start failed db (20 ms)"),
        ([event(EventKind.REFRESHED, ms=0.01), event(REUSED)], "refreshed db"),
        ([event(EventKind.CLOSED, "s3", 2), event(EventKind.CLOSED)], "closed s3 (2.0 ms), db"),
        ([event(EventKind.CLOSE_FAILED)], "close failed db"),
    ],
)
def test_events_in_words(events, line):
    assert tell(events) == line


def test_the_invocations_own_events_are_not_told():
    own = [EventKind.INVOCATION_STARTED, EventKind.INVOCATION_FINISHED]
    assert tell([event(kind, None) for kind in own]) == ""


def test_every_kind_of_event_of_a_resource_has_words():
    silent = {EventKind.INVOCATION_STARTED, EventKind.INVOCATION_FINISHED, EventKind.RETIRED}
    assert {kind for kind in EventKind if not tell([event(kind)])} == silent


def test_connections_that_the_server_saw_are_added():
    assert tell([event(CHECKED)], opened=1) == "checked db; 1 new connection"
    assert connections(2) == "2 new connections"
