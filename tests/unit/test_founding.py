"""The four mistakes of good code that this library exists not to make."""

import asyncio

import pytest

from warmkit import Environment, StartError, warm_handler
from warmkit.testing import FakeResource, run


def test_two_tasks_first_using_one_resource_get_the_same_object_built_once(inside):
    db = FakeResource("db", starts=[1.0])

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        return db

    @inside
    async def scenario(environment):
        first, second = await asyncio.gather(handler.invoke(1), handler.invoke(2))
        assert first is second

    assert db.log == ["start 1", "close 1"]


def test_a_resource_whose_start_fails_is_never_closed_and_its_neighbours_are_once(inside, recorder):
    db, broken, cache = (
        FakeResource("db"),
        FakeResource("broken", starts=[OSError("refused")]),
        FakeResource("cache"),
    )

    @warm_handler(db=db.resource, broken=broken.resource, cache=cache.resource)
    async def handler(event, context, db, broken, cache):
        raise AssertionError("never runs")

    @inside
    async def scenario(environment):
        with pytest.raises(StartError, match="'broken' did not start"):
            await handler.invoke({})

    assert recorder.story[:-4] == [
        "invocation 1 started",
        "started db",
        "start failed broken",
        "started cache",
        "invocation 1 finished",
    ]
    assert sorted(recorder.story[-4:]) == [  # side by side: in whatever order
        "closed cache",
        "closed db",
        "retired cache",
        "retired db",
    ]
    assert (db.log, broken.log, cache.log) == (
        ["start 1", "close 1"],
        ["start 1"],
        ["start 1", "close 1"],
    )


def test_independent_resources_start_concurrently(inside):
    """Each start waits for the other to have begun: one after the other they would wait for ever."""

    @inside
    async def scenario(environment):
        both = asyncio.Barrier(2)
        db = FakeResource("db", starts=[both.wait])
        s3 = FakeResource("s3", starts=[both.wait])

        @warm_handler(db=db.resource, s3=s3.resource)
        async def handler(event, context, db, s3):
            return db.number, s3.number

        assert await handler.invoke({}) == (1, 1)


def test_cancelling_teardown_half_way_still_runs_every_closer_and_is_raised_again(clock):
    base = FakeResource("base")
    middle = FakeResource("middle", closes=[0.05], needs={"base": base})
    top = FakeResource("top", needs={"middle": middle})

    async def scenario():
        environment = Environment(clock=clock)
        await environment.get(top.resource)
        closing = asyncio.create_task(environment.aclose())
        await asyncio.sleep(0.02)
        assert (top.open, middle.log, base.open) == ([], ["start 1", "close 1"], [1])
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert (top.open, middle.open, base.open) == ([], [], [])
        assert clock.monotonic == pytest.approx(0.05)

    run(scenario, clock=clock)
    assert [fake.log for fake in (base, middle, top)] == [["start 1", "close 1"]] * 3
