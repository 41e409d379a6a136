"""The public helpers for tests: virtual time, a recorder, a scripted resource."""

import asyncio
import threading
import time

import pytest

from warmkit import Environment, Event, EventKind, StartError, TeardownError
from warmkit.clock import Reading
from warmkit.testing import (
    HANG,
    DeadlockError,
    EventRecorder,
    FakeResource,
    VirtualClock,
    VirtualLoop,
    run,
    then,
)

# -- time


def test_time_passes_on_all_clocks_and_stands_still_on_those_that_freeze():
    clock = VirtualClock(wall=1000)
    clock.advance(1)
    assert clock.read() == Reading(1001, 1, 1)
    clock.freeze(10)
    assert clock.read() == Reading(1011, 1, 11)
    clock.freeze(100, wall=False, boot=False, monotonic=True)
    assert clock.read() == Reading(1011, 101, 11)
    clock.set_wall(5)
    assert clock.read() == Reading(5, 101, 11)
    clock.advance_to(100)
    assert clock.read() == Reading(5, 101, 11)
    clock.advance_to(101.5)
    assert clock.read() == Reading(5.5, 101.5, 11.5)


def test_an_hour_takes_no_time():
    clock = VirtualClock()

    async def scenario():
        order = []

        async def sleeper(seconds):
            await asyncio.sleep(seconds)
            order.append((seconds, asyncio.get_running_loop().time()))

        await asyncio.gather(sleeper(3600), sleeper(0.1), sleeper(60))
        return order

    begun = time.thread_time()
    assert run(scenario, clock=clock) == [(0.1, 0.1), (60, 60), (3600, 3600)]
    assert time.thread_time() - begun < 60  # CPU time: it did not spin through the hour either


def test_timers_fire_at_their_time_to_the_last_bit():
    """0.1 + 0.2 is not 0.3: a timer that is nearly due would be waited for again and again."""
    clock = VirtualClock()

    async def scenario():
        for _ in range(1000):
            await asyncio.sleep(0.1)

    run(scenario, clock=clock)
    assert clock.monotonic == pytest.approx(100)


def test_timers_that_were_due_in_a_freeze_fire_on_thaw():
    clock = VirtualClock()

    async def scenario():
        task = asyncio.create_task(asyncio.sleep(10))
        await asyncio.sleep(0)
        clock.freeze(60, monotonic=True)
        await task
        return asyncio.get_running_loop().time()

    assert run(scenario, clock=clock) == 60


def test_what_waits_for_ever_is_an_error_that_names_who_waits_and_where():
    async def scenario():
        task = asyncio.create_task(HANG(), name="stuck")
        await task

    with pytest.raises(DeadlockError) as raised:
        run(scenario)
    first, main, stuck = str(raised.value).splitlines()
    assert first == "everything waits for ever, and no timer is set:"
    assert main.startswith("  Task-")
    assert f": {scenario.__qualname__}, line " in main
    assert stuck.startswith("  stuck: HANG, line ")


def test_time_stands_still_while_a_thread_works():
    clock = VirtualClock()
    go = threading.Event()

    async def scenario():
        timer = asyncio.create_task(asyncio.sleep(1))
        work = asyncio.create_task(asyncio.to_thread(go.wait, 20))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not timer.done()
        go.set()
        assert await work is True
        assert clock.monotonic == 0
        await timer
        assert clock.monotonic == 1

    run(scenario, clock=clock)


def test_run_takes_a_coroutine_or_a_function_and_returns_or_raises():
    async def scenario():
        return "result"

    async def fails():
        raise ValueError("mine")

    assert (run(scenario), run(scenario())) == ("result", "result")
    with pytest.raises(ValueError, match="mine"):
        run(fails)


def test_run_cancels_what_was_left_behind():
    ended = []

    async def left_behind():
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("cancelled")

    async def scenario():
        scenario.task = asyncio.create_task(left_behind())
        await asyncio.sleep(0)

    run(scenario)
    assert ended == ["cancelled"]


def test_a_loop_has_a_clock_of_its_own_if_none_is_given():
    loop = VirtualLoop()
    try:
        loop.run_until_complete(asyncio.sleep(5))
        assert loop.time() == loop.clock.monotonic == 5
    finally:
        loop.close()


# -- the recorder


def test_the_story_is_told_in_words():
    recorder = EventRecorder()
    events = [
        Event(EventKind.INVOCATION_STARTED, "0badcafe", 7),
        Event(EventKind.STARTED, "0badcafe", 7, "db"),
        Event(EventKind.CHECK_FAILED, "0badcafe", 7, "db"),
        Event(EventKind.INVOCATION_FINISHED, "0badcafe", 7),
    ]
    for event in events:
        recorder(event)
    assert recorder.events == events
    assert recorder.story == [
        "invocation 7 started",
        "started db",
        "check failed db",
        "invocation 7 finished",
    ]
    assert recorder.of(EventKind.STARTED) == [events[1]]
    recorder.clear()
    assert recorder.story == []


# -- the scripted resource


def test_a_fake_goes_by_its_script_and_then_succeeds():
    clock = VirtualClock()
    error = OSError("refused")
    db = FakeResource("db", starts=[error, 2.0, then(1.0, error)])

    async def scenario():
        outcomes = []
        for _ in range(4):
            async with Environment(clock=clock) as environment:
                try:
                    outcomes.append((await environment.get(db.resource)).number)
                except StartError as failed:
                    outcomes.append(failed.__cause__)
            outcomes.append(clock.monotonic)
        return outcomes

    assert run(scenario, clock=clock) == [error, 0, 1, 2, error, 3, 2, 3]
    assert db.log == ["start 1", "start 2", "close 1", "start 3", "start 4", "close 2"]


def test_a_fake_knows_which_values_are_open():
    db = FakeResource("db")

    async def scenario():
        async with Environment() as environment:
            await environment.get(db.resource)
            assert db.open == [1]

    run(scenario)
    assert db.open == []


def test_a_use_after_the_close_is_a_fault_that_nobody_can_swallow():
    db = FakeResource("db")
    api = FakeResource("api", needs={"db": db})

    async def scenario():
        async with Environment() as environment:
            return await environment.get(api.resource)

    value = run(scenario)
    with pytest.raises(AssertionError, match="api 1 was used after its close"):
        value.use()
    assert api.faults == ["api 1 was used after its close"]


def test_closing_twice_is_a_fault():
    db = FakeResource("db")

    async def scenario():
        async with Environment() as environment:
            value = await environment.get(db.resource)
            value.closed = True

    with pytest.raises(TeardownError):
        run(scenario)
    assert db.faults == ["db 1 was used after its close"]


def test_a_dependency_that_closed_too_early_is_a_fault():
    db = FakeResource("db")
    api = FakeResource("api", needs={"db": db})

    async def scenario():
        async with Environment() as environment:
            value = await environment.get(api.resource)
            value.needs["db"].closed = True

    with pytest.raises(TeardownError):
        run(scenario)
    assert "db 1 was used after its close" in db.faults
