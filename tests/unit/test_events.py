"""The story, and those who listen to it."""

import logging

from warmkit import Event, EventKind, warm_handler
from warmkit.events import tell
from warmkit.testing import EventRecorder, FakeResource

EVENT = Event(EventKind.STARTED, "0badcafe", 1, "db")


def test_each_observer_is_told_in_turn():
    told = []
    tell((lambda event: told.append(("a", event)), lambda event: told.append(("b", event))), EVENT)
    assert told == [("a", EVENT), ("b", EVENT)]


def test_an_observer_that_raises_is_logged_and_the_next_is_told(caplog):
    told = []

    def broken(event):
        raise ValueError("broken")

    with caplog.at_level(logging.ERROR, "warmkit"):
        tell((broken, told.append), EVENT)
    assert told == [EVENT]
    assert [record.message.split(" at 0x")[0] for record in caplog.records] == [
        f"the observer {broken!r}".split(" at 0x", maxsplit=1)[0]
    ]


def test_an_observer_that_raises_harms_no_invocation(inside, recorder, caplog):
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        return db.use()

    def broken(event):
        raise ValueError("broken")

    @inside
    async def scenario(environment):
        environment.observe(broken)
        assert await handler.invoke({}) == 1

    assert recorder.story == [
        "invocation 1 started",
        "started db",
        "invocation 1 finished",
        "retired db",
        "closed db",
    ]
    assert len(caplog.records) == len(recorder.story)


def test_an_observer_can_be_stopped(inside):
    db = FakeResource("db")
    late = EventRecorder()

    @inside
    async def scenario(environment):
        stop = environment.observe(late)
        await environment.get(db.resource)
        stop()
        await environment.get(db.resource)

    assert late.story == ["started db"]


def test_a_handlers_observer_hears_each_event_once_however_often_it_is_called(inside):
    told = EventRecorder()

    @warm_handler(observers=[told])
    async def handler(event):
        return event

    @inside
    async def scenario(environment):
        await handler.invoke(1)
        await handler.invoke(2)

    assert told.story == [
        "invocation 1 started",
        "invocation 1 finished",
        "invocation 2 started",
        "invocation 2 finished",
    ]


def test_an_event_carries_when_how_long_and_why(inside, recorder, clock):
    db = FakeResource("db", starts=[0.5], checks=[0.25], check_after=1)

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        clock.advance(2)

    @inside
    async def scenario(environment):
        await handler.invoke({})
        clock.freeze(60)
        await handler.invoke({})
        environment_id = environment.id
        recorder.events[:] = [
            event._replace(environment_id=event.environment_id == environment_id, call=None)
            for event in recorder.events
        ]

    assert recorder.events[:6] == [
        Event(EventKind.INVOCATION_STARTED, True, 1),
        Event(EventKind.STARTED, True, 1, "db", seconds=0.5, reason="first use"),
        Event(EventKind.INVOCATION_FINISHED, True, 1, seconds=2.5),
        Event(EventKind.INVOCATION_STARTED, True, 2, gap=60.0),
        Event(EventKind.CHECKED, True, 2, "db", seconds=0.25, gap=60.0),
        Event(EventKind.INVOCATION_FINISHED, True, 2, seconds=2.25),
    ]


def test_what_happens_outside_of_any_invocation_carries_no_number(inside, recorder):
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        return None

    @inside
    async def scenario(environment):
        await handler.invoke({})

    assert [(event.kind, event.invocation) for event in recorder.events[-2:]] == [
        (EventKind.RETIRED, None),
        (EventKind.CLOSED, None),
    ]
