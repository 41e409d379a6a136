"""Work for after the response: done once the answer is there, before a freeze, and nobody's failure."""

import asyncio
import logging
from contextvars import ContextVar

import pytest

from warmkit import Environment, UsageError, after_response, warm_handler
from warmkit.testing import HANG, FakeResource

name = ContextVar("name", default="")


class Context:
    aws_request_id = "r-1"

    def __init__(self, seconds):
        self.seconds = seconds

    def get_remaining_time_in_millis(self):
        return int(1000 * self.seconds)


class Settling:
    def __init__(self, story):
        self.story = story

    def __call__(self, event):
        pass

    async def settle(self):
        self.story.append("spans sent")


async def note(story, word):
    await asyncio.sleep(0)
    story.append(word)


@pytest.mark.parametrize("colour", ["async", "plain"])
def test_a_synchronous_host_has_it_done_before_it_says_that_the_invocation_is_over(host, colour):
    story = []

    @warm_handler(observers=[Settling(story)])
    async def asynchronous(event):
        after_response(note(story, f"work {event}"))
        story.append(f"answer {event}")

    @warm_handler(observers=[Settling(story)])
    def plain(event):
        after_response(note(story, f"work {event}"))
        story.append(f"answer {event}")

    handler = asynchronous if colour == "async" else plain
    handler(1)
    assert story == ["answer 1", "work 1", "spans sent"]
    handler(2)
    assert story[3:] == ["answer 2", "work 2", "spans sent"]


@pytest.mark.parametrize("colour", ["async", "plain"])
def test_a_synchronous_call_from_another_thread_has_it_done_in_the_running_loop(colour):
    story = []

    @warm_handler
    async def asynchronous(event):
        after_response(note(story, "work"))

    @warm_handler
    def plain(event):
        after_response(note(story, "work"))

    async def main():
        async with Environment():
            await asyncio.to_thread(asynchronous if colour == "async" else plain, None)
            assert story == ["work"]

    asyncio.run(main())


def test_in_a_running_loop_it_waits_for_whoever_settles(inside):
    story = []

    @warm_handler
    async def handler(event):
        after_response(note(story, "work"))

    @inside
    async def scenario(environment):
        await handler.invoke(None)
        assert story == []
        await environment.settle()
        await environment.settle()
        assert story == ["work"]


def test_all_of_it_runs_side_by_side_with_the_variables_of_its_invocation(inside, clock):
    story = []

    async def work(number):
        await asyncio.sleep(0.5)
        story.append((name.get(), number))

    @warm_handler
    async def handler(event):
        name.set(event)
        after_response(work(1))
        after_response(asyncio.create_task(work(2)))

    @inside
    async def scenario(environment):
        begun = clock.monotonic
        for event in ("a", "b"):
            await asyncio.create_task(handler.invoke(event))
        await environment.settle()
        assert clock.monotonic - begun == 0.5
        assert sorted(story) == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


@pytest.mark.parametrize("case", [(2, 60, 2), (2, 1, 0.95), (0.1, 60, 0.1)])
def test_it_is_ended_at_its_limit_or_with_the_invocation_s_time(inside, clock, caplog, case):
    limit, left, took = case
    cancelled = []

    async def work():
        try:
            await HANG()
        finally:
            cancelled.append(True)

    @warm_handler
    async def handler(event, context):
        after_response(work(), limit=limit)

    @inside
    async def scenario(environment):
        await handler.invoke(None, Context(left))
        begun = clock.monotonic
        await environment.settle()
        assert clock.monotonic - begun == pytest.approx(took)

    assert cancelled == [True]
    assert [(item.levelno, item.message[:35]) for item in caplog.records] == [
        (logging.ERROR, "work after the response was ended a")
    ]


def test_a_failure_is_logged_and_keeps_nothing_else_from_being_done(inside, caplog):
    story = []

    async def fail():
        raise OSError("no route")

    @warm_handler
    async def handler(event):
        after_response(fail())
        after_response(note(story, "work"))
        raise LookupError(event)

    @inside
    async def scenario(environment):
        with pytest.raises(LookupError):
            await handler.invoke("x")
        await environment.settle()

    assert story == ["work"]
    assert ["no route" in item.message for item in caplog.records] == [True]


def test_what_is_left_when_the_environment_ends_is_done_before_its_resources_close(inside):
    db = FakeResource("db")
    uses = []

    async def use(value):
        await asyncio.sleep(0)
        uses.append(value.use())

    @warm_handler(db=db.resource)
    async def handler(event, db):
        after_response(use(db))

    @inside
    async def scenario(environment):
        await handler.invoke(None)
        await environment.aclose()

    assert (uses, db.log) == ([1], ["start 1", "close 1"])


def test_work_may_leave_more_to_be_done(inside, host):
    story = []

    async def work(word):
        await note(story, word)
        after_response(note(story, f"after {word}"))

    @warm_handler
    async def handler(event):
        after_response(work(event))

    @inside
    async def scenario(environment):
        await handler.invoke("one")
        await environment.settle()
        assert story == ["one", "after one"]
        await handler.invoke("two")
        await environment.aclose()
        assert story[2:] == ["two", "after two"]

    handler("three")
    assert story[4:] == ["three", "after three"]


def test_work_that_always_leaves_more_does_not_hold_up_the_end(inside, clock, caplog):
    begun = []

    async def work():
        begun.append(clock.monotonic)
        after_response(work())
        await asyncio.sleep(0.04)

    @warm_handler
    async def handler(event):
        after_response(work())

    @inside
    async def scenario(environment):
        await handler.invoke(None)
        begins = clock.monotonic
        await environment.aclose(0.3)
        assert clock.monotonic - begins <= 0.3
        assert len(begun) > 1
        assert "no time was left for work" in caplog.messages[-1]


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
def test_what_would_end_the_process_ends_the_work(host, error, caplog):
    async def work():
        raise error

    @warm_handler
    async def handler(event):
        after_response(work())
        return "answer"

    assert handler(None) == "answer"
    assert [repr(error) in item.message for item in caplog.records] == [True]


def test_whoever_stops_waiting_ends_the_work(inside, caplog):
    story = []

    async def work():
        try:
            await HANG()
        finally:
            await asyncio.sleep(0)
            story.append("rolled back")

    @warm_handler
    async def handler(event):
        after_response(work())

    @inside
    async def scenario(environment):
        await handler.invoke(None)
        settling = asyncio.create_task(environment.settle())
        await asyncio.sleep(0.1)
        settling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await settling
        assert story == ["rolled back"]


def test_what_the_invocation_held_stays_open_until_the_work_is_done(inside):
    db = FakeResource("db", max_age=1)
    uses = []

    async def use(value):
        await asyncio.sleep(0.5)
        uses.append(value.use())

    @warm_handler(db=db.resource)
    async def handler(event, db):
        if event:
            after_response(use(db))
        return db.use()

    @inside
    async def scenario(environment):
        await handler.invoke("work")
        await asyncio.sleep(2)  # meanwhile it grows old, and another invocation has a new one made
        assert await handler.invoke(None) == 2
        await asyncio.sleep(0)
        assert db.open == [1, 2]
        await environment.settle()
        await asyncio.sleep(0)
        assert (uses, db.open) == ([1], [2])


def test_outside_of_an_invocation_there_is_no_response_to_wait_for():
    with pytest.raises(UsageError, match="outside of an invocation"):
        after_response(note([], "work"))


@pytest.mark.parametrize(
    ("work", "limit", "says"),
    [
        (note, 1, r"something to await, not function.\n  Write: after_response\(note\(\)\)"),
        (None, 1, "something to await, not NoneType"),
        ("coroutine", 0, "limit must be a number of seconds above 0, not 0"),
        ("coroutine", float("inf"), "limit must be a number"),
        ("coroutine", "1", "limit must be a number"),
        ("coroutine", True, "limit must be a number"),
    ],
)
def test_what_can_never_work_is_refused(inside, work, limit, says):
    @warm_handler
    async def handler(event):
        after_response(note([], "x") if work == "coroutine" else work, limit=limit)

    @inside
    async def scenario(environment):
        with pytest.raises(UsageError, match=says):
            await handler.invoke(None)
