"""The end: in order, inside a budget, whatever one closer does."""

import asyncio

import pytest

from warmkit import CloseError, Environment, StartError, TeardownError, resource
from warmkit.teardown import outlast
from warmkit.testing import HANG, FakeResource, run


def test_what_depends_closes_before_what_it_depends_on_and_each_level_side_by_side(inside):
    @inside
    async def scenario(environment):
        both = asyncio.Barrier(2)
        base = FakeResource("base")
        left = FakeResource("left", closes=[both.wait], needs={"base": base})
        right = FakeResource("right", closes=[both.wait], needs={"base": base})
        top = FakeResource("top", needs={"left": left, "right": right})
        await environment.get(top.resource)
        closed = []
        environment.observe(
            lambda event: closed.append(event.resource) if event.kind == "closed" else None
        )
        await environment.aclose()
        assert (closed[0], set(closed[1:3]), closed[3:]) == ("top", {"left", "right"}, ["base"])
        assert [fake.faults for fake in (base, left, right, top)] == [[], [], [], []]


def test_one_that_hangs_costs_only_its_share_and_the_others_close(clock):
    base = FakeResource("base")
    stuck = FakeResource("stuck", closes=[HANG], needs={"base": base}, close_timeout=60)
    beside = FakeResource("beside", closes=[0.01], needs={"base": base})

    async def scenario():
        environment = Environment(clock=clock)
        await environment.get(stuck.resource)
        await environment.get(beside.resource)
        with pytest.raises(TeardownError) as raised:
            await environment.aclose(budget=1.0)
        assert [str(error) for error in raised.value.exceptions] == [
            (
                "resource 'stuck' did not close after 0.480 s: "
                "TimeLimitError: the close took longer than its share of the budget = 0.48 s"
            )
        ]
        assert str(raised.value) == "these resources did not close: stuck (1 sub-exception)"
        assert clock.monotonic == pytest.approx(0.48)

    run(scenario, clock=clock)
    assert (base.log, beside.log) == (["start 1", "close 1"], ["start 1", "close 1"])


def test_one_that_ignores_its_cancellation_is_left_behind_in_time(clock):
    async def deaf():
        while not free.is_set():
            try:
                await free.wait()
            except asyncio.CancelledError:
                asyncio.current_task().uncancel()

    free = asyncio.Event()
    base = FakeResource("base")
    stuck = FakeResource("stuck", closes=[deaf], needs={"base": base})

    async def scenario():
        environment = Environment(clock=clock)
        await environment.get(stuck.resource)
        with pytest.raises(TeardownError) as raised:
            await environment.aclose(budget=1.0)
        assert clock.monotonic <= 1.0
        assert [str(error) for error in raised.value.exceptions] == [
            (
                "resource 'stuck' did not close after 0.500 s: "
                "TimeLimitError: the close took longer than its share of the budget = 0.5 s\n"
                "  It goes on although it was cancelled."
            )
        ]
        assert base.open == []
        free.set()

    run(scenario, clock=clock)


def test_one_that_raises_does_not_keep_the_others_open(inside):
    base = FakeResource("base")
    broken = FakeResource("broken", closes=[OSError("reset")], needs={"base": base})

    async def scenario():
        environment = Environment()
        await environment.get(broken.resource)
        with pytest.raises(TeardownError) as raised:
            await environment.aclose()
        (error,) = raised.value.exceptions
        assert isinstance(error, CloseError)
        assert isinstance(error.__cause__, OSError)

    run(scenario)
    assert base.log == ["start 1", "close 1"]


def test_a_value_that_was_closing_already_is_held_to_the_budget_too(clock):
    """Retired a moment ago with a minute to close: the end gives it its share of 0.3 s, as any other."""
    db = FakeResource("db", closes=[HANG], close_timeout=60, max_age=10)

    async def scenario():
        environment = Environment(clock=clock)
        await environment.get(db.resource)
        clock.advance(11)
        await environment.get(db.resource)
        await asyncio.sleep(0)
        begun = clock.monotonic
        with pytest.raises(TeardownError):
            await environment.aclose(budget=0.3)
        await asyncio.sleep(0.05)
        assert clock.monotonic - begun <= 0.4
        return [task.get_name() for task in asyncio.all_tasks() if "warmkit" in task.get_name()]

    assert run(scenario, clock=clock) == []


def test_a_start_in_progress_is_cancelled_and_what_it_needs_is_closed(inside):
    base = FakeResource("base")
    slow = FakeResource("slow", starts=[HANG], needs={"base": base})

    @inside
    async def scenario(environment):
        waiting = asyncio.create_task(environment.get(slow.resource))
        await asyncio.sleep(1)
        await environment.aclose()
        assert base.open == []
        await asyncio.gather(waiting, return_exceptions=True)

    assert (slow.log, base.log) == (["start 1"], ["start 1", "close 1"])


def test_a_start_that_was_cancelled_before_its_first_step_ends_too(inside):
    db = FakeResource("db")

    @inside
    async def scenario(environment):
        waiting = asyncio.create_task(environment.get(db.resource))
        await asyncio.sleep(0)  # the start is a task now, which has not run yet
        await environment.aclose()
        await asyncio.gather(waiting, return_exceptions=True)
        assert environment.live.alive() == []

    assert db.open == []


def test_a_second_close_waits_for_the_first(clock):
    db = FakeResource("db", closes=[0.1])

    async def scenario():
        environment = Environment(clock=clock)
        await environment.get(db.resource)
        first = asyncio.create_task(environment.aclose())
        await asyncio.sleep(0.05)
        await environment.aclose()
        assert first.done()
        assert clock.monotonic == pytest.approx(0.1)
        await first

    run(scenario, clock=clock)
    assert db.log == ["start 1", "close 1"]


def test_cancelled_again_and_again_it_closes_everything(clock):
    base = FakeResource("base", closes=[0.05])
    top = FakeResource("top", closes=[0.05], needs={"base": base})

    async def scenario():
        environment = Environment(clock=clock)
        await environment.get(top.resource)
        closing = asyncio.create_task(environment.aclose())
        for _ in range(8):
            await asyncio.sleep(0.01)
            closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing

    run(scenario, clock=clock)
    assert (top.open, base.open) == ([], [])


def test_what_never_started_is_no_failure_to_close():
    db = FakeResource("db", starts=[OSError("refused")])

    async def scenario():
        environment = Environment()
        with pytest.raises(StartError):
            await environment.get(db.resource)
        await environment.aclose()

    run(scenario)
    assert db.log == ["start 1"]


def test_an_error_of_the_body_is_not_hidden_by_the_errors_of_the_end():
    db = FakeResource("db", closes=[OSError("reset")])

    async def scenario():
        async with Environment() as environment:
            await environment.get(db.resource)
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as raised:
        run(scenario)
    assert raised.value.__notes__ == ["also: these resources did not close: db (1 sub-exception)"]


def test_a_check_is_over_before_its_value_closes(clock):
    """A check that is cancelled may still have to give something back."""
    log = []

    @resource(check_after=0)
    async def db():
        yield "value"
        log.append("closed")

    @db.check
    async def check(value):
        try:
            await HANG()
        finally:
            await asyncio.sleep(0.01)
            log.append("check left")

    async def scenario():
        environment = Environment(clock=clock)
        await environment.get(db)
        clock.advance(1)
        waiting = asyncio.create_task(environment.get(db))
        await asyncio.sleep(0.1)
        await environment.aclose()
        await asyncio.gather(waiting, return_exceptions=True)

    run(scenario, clock=clock)
    assert log == ["check left", "closed"]


def test_outlast_waits_though_it_is_cancelled_and_says_so():
    async def scenario():
        work = asyncio.create_task(asyncio.sleep(1))
        waiting = asyncio.create_task(outlast([work]))
        await asyncio.sleep(0.5)
        waiting.cancel("enough")
        kept = await waiting
        assert work.done()
        return kept

    assert run(scenario).args == ("enough",)


def test_outlast_gives_up_in_time(clock):
    async def scenario():
        work = asyncio.create_task(HANG())
        assert await outlast([work], seconds=2) is None
        assert not work.done()
        work.cancel()

    run(scenario, clock=clock)
    assert clock.monotonic == 2
