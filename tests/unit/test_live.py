"""The live set: how each resource comes to be live, option by option, and who shares what."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

import pytest

from warmkit import (
    EnvironmentClosedError,
    EventKind,
    Lazy,
    StartError,
    TimeLimitError,
    resource,
    warm_handler,
)
from warmkit.testing import HANG, FakeResource, FakeValue, VirtualClock, run
from warmkit.testing.clock import EPOCH


class TooMuchError(BaseException):
    """Ends what would go on for ever; nobody catches it by mistake."""


class FakeContext:
    """A host's context whose time runs out on a virtual clock."""

    aws_request_id = "r-1"

    def __init__(self, clock: VirtualClock, ends: float) -> None:
        self.clock, self.ends = clock, ends

    def get_remaining_time_in_millis(self) -> int:
        return int(1000 * (self.ends - self.clock.monotonic))


def story_of(recorder, name):
    return [event.kind.value for event in recorder.events if event.resource == name]


# -- reuse, check, refresh, rebuild


def test_within_check_after_a_value_is_trusted_and_beyond_it_is_checked(inside, clock):
    db = FakeResource("db", checks=[], check_after=10)

    @inside
    async def scenario(environment):
        for gap in (0, 10, 10.5, 10):
            clock.advance(gap)
            assert (await environment.get(db.resource)).number == 1

    assert db.log == ["start 1", "check 1", "close 1"]


@pytest.mark.parametrize("clocks", ["wall", "boot", "monotonic"])
def test_a_freeze_counts_as_a_gap_whichever_clock_went_on(clocks, inside, clock):
    db = FakeResource("db", checks=[], check_after=10)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.freeze(60, **{name: name == clocks for name in ("wall", "boot", "monotonic")})
        await environment.get(db.resource)

    assert db.log == ["start 1", "check 1", "close 1"]


def test_a_wall_clock_that_is_set_back_hides_no_gap(inside, clock):
    db = FakeResource("db", checks=[], check_after=10)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.advance(60)
        clock.set_wall(0)
        await environment.get(db.resource)

    assert db.log == ["start 1", "check 1", "close 1"]


def test_a_check_that_fails_rebuilds_inside_the_same_invocation(inside, recorder, clock):
    db = FakeResource("db", checks=[OSError("reset")])

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        return db.use()

    @inside
    async def scenario(environment):
        assert await handler.invoke({}) == 1
        clock.freeze(60)
        assert await handler.invoke({}) == 2
        await asyncio.sleep(0)

    assert recorder.story == [
        "invocation 1 started",
        "started db",
        "invocation 1 finished",
        "invocation 2 started",
        "check failed db",
        "retired db",
        "closed db",
        "started db",
        "invocation 2 finished",
        "retired db",
        "closed db",
    ]
    assert db.faults == []


def test_a_check_that_hangs_costs_its_timeout_and_a_rebuild(inside, clock):
    db = FakeResource("db", checks=[HANG], check_timeout=3)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.freeze(60)
        assert (await environment.get(db.resource)).number == 2
        assert clock.monotonic == 3

    assert db.log in (
        ["start 1", "check 1", "close 1", "start 2", "close 2"],
        ["start 1", "check 1", "start 2", "close 1", "close 2"],
    )


def test_beyond_max_gap_a_value_is_refreshed_rather_than_checked(inside, clock):
    db = FakeResource("db", checks=[], refreshes=[], max_gap=300)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.freeze(300)
        await environment.get(db.resource)
        clock.freeze(300.5)
        await environment.get(db.resource)

    assert db.log == ["start 1", "check 1", "refresh 1", "close 1"]


def test_beyond_max_gap_a_value_that_cannot_be_refreshed_is_rebuilt_unchecked(
    inside, recorder, clock
):
    db = FakeResource("db", checks=[], max_gap=300)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.freeze(301)
        assert (await environment.get(db.resource)).number == 2

    assert "check 1" not in db.log
    reasons = [event.reason for event in recorder.events if event.kind is EventKind.RETIRED]
    assert reasons == ["it could not be trusted any more", "the environment ends"]


def test_a_refresh_that_fails_rebuilds(inside, clock):
    db = FakeResource("db", refreshes=[OSError("reset")], max_gap=300)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.freeze(301)
        assert (await environment.get(db.resource)).number == 2


def test_a_synchronous_check_works(inside, clock):
    checked = []
    db = resource(check=checked.append)(lambda: "db")

    @inside
    async def scenario(environment):
        await environment.get(db)
        clock.freeze(60)
        await environment.get(db)

    assert checked == ["db"]


def test_all_that_is_suspicious_is_checked_side_by_side(inside, clock):
    @inside
    async def scenario(environment):
        both = asyncio.Barrier(2)
        db = FakeResource("db", checks=[both.wait])
        s3 = FakeResource("s3", checks=[both.wait])

        @warm_handler(db=db.resource, s3=s3.resource)
        async def handler(event, context, db, s3):
            return db.number, s3.number

        await handler.invoke({})
        clock.freeze(60)
        assert await handler.invoke({}) == (1, 1)


def test_two_invocations_share_one_check(inside, clock):
    db = FakeResource("db", checks=[0.5])

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.freeze(60)
        await asyncio.gather(*(environment.get(db.resource) for _ in range(5)))

    assert db.log == ["start 1", "check 1", "close 1"]


# -- alive


def test_alive_is_asked_on_every_use_however_short_the_gap(inside):
    asked = []
    db = FakeResource("db", alive=lambda value: asked.append(value.number) or True)

    @inside
    async def scenario(environment):
        for _ in range(3):
            await environment.get(db.resource)

    assert set(asked) == {1}
    assert len(asked) >= 2
    assert db.log == ["start 1", "close 1"]


def test_a_value_that_is_not_alive_is_rebuilt_where_there_is_no_check(inside):
    dead = set()
    db = FakeResource("db", alive=lambda value: value.number not in dead)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        dead.add(1)
        assert (await environment.get(db.resource)).number == 2


def test_a_value_that_is_not_alive_is_checked_where_there_is_a_check(inside):
    answers = [True, True]
    db = FakeResource("db", alive=lambda value: answers[-1], checks=[])

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        answers.append(False)
        assert (await environment.get(db.resource)).number == 1

    assert db.log == ["start 1", "check 1", "close 1"]


def test_an_alive_that_raises_says_no(inside):
    """It looked at a value that is broken: `connection.transport.is_closing()` on None."""

    def alive(value):
        if value.number == 1:
            raise AttributeError("no transport")
        return True

    db = FakeResource("db", alive=alive)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        assert (await environment.get(db.resource)).number == 2


def test_an_alive_that_raises_leaves_the_count_of_users_right(inside):
    def alive(value):
        raise AttributeError("no transport")

    first = FakeResource("first")
    db = FakeResource("db", alive=alive)

    @warm_handler(first=first.resource, db=db.resource)
    async def handler(event, context, first, db):
        return None

    @inside
    async def scenario(environment):
        for _ in range(3):
            await asyncio.gather(handler.invoke({}), return_exceptions=True)
        assert [slot.users for slot in environment.live.current.values()] == [0, 0]


def test_an_alive_that_changes_its_mind_keeps_no_loop_busy(inside):
    asked = []

    def alive(value):
        asked.append(value)
        if len(asked) > 50:
            raise TooMuchError
        return len(asked) % 2 == 0

    db = FakeResource("db", alive=alive)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        await environment.get(db.resource)

    assert len(asked) < 10


# -- age and expiry


def test_beyond_max_age_the_new_value_is_there_before_the_old_one_goes(inside, clock):
    db = FakeResource("db", max_age=60)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.advance(59)
        assert (await environment.get(db.resource)).number == 1
        clock.advance(1)
        assert (await environment.get(db.resource)).number == 2
        await asyncio.sleep(0.1)
        assert db.open == [2]

    assert db.log == ["start 1", "start 2", "close 1", "close 2"]


@pytest.mark.parametrize(
    "moment", [EPOCH + 60, datetime.fromtimestamp(EPOCH + 60, UTC)], ids=["seconds", "datetime"]
)
def test_a_value_that_expires_is_rebuilt_in_time(moment, inside, clock):
    db = FakeResource("db", expires_at=lambda value: moment if value.number == 1 else None)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.advance(59)
        assert (await environment.get(db.resource)).number == 1
        clock.freeze(1)
        assert (await environment.get(db.resource)).number == 2
        clock.freeze(1e6)
        assert (await environment.get(db.resource)).number == 2


def test_a_successor_that_does_not_start_keeps_the_old_value_until_one_does(inside, clock):
    db = FakeResource("db", starts=[None, OSError("refused")], max_age=60)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.advance(60)
        with pytest.raises(StartError):
            await environment.get(db.resource)
        assert db.open == [1]
        assert (await environment.get(db.resource)).number == 2
        await asyncio.sleep(0.1)
        assert db.open == [2]


def test_an_old_value_goes_though_a_freeze_interrupted_the_start_of_its_successor(inside, clock):
    db = FakeResource("db", starts=[None, HANG], max_age=60)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.advance(60)
        waiting = asyncio.create_task(environment.get(db.resource))
        await asyncio.sleep(1)
        clock.freeze(600)
        assert (await environment.get(db.resource)).number == 2
        await waiting
        await asyncio.sleep(0.1)
        assert db.open == [2]


# -- starts


def test_a_start_that_hangs_fails_in_time_and_says_so(inside, clock):
    db = FakeResource("db", starts=[HANG], start_timeout=3)

    @inside
    async def scenario(environment):
        with pytest.raises(StartError) as raised:
            await environment.get(db.resource)
        assert str(raised.value) == (
            "resource 'db' did not start after 3.000 s: "
            "TimeLimitError: the start took longer than start_timeout = 3 s"
        )
        assert clock.monotonic == 3


def test_a_failed_start_is_not_remembered(inside, recorder):
    db = FakeResource("db", starts=[OSError("refused"), OSError("refused")])

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        return db.number

    @inside
    async def scenario(environment):
        for _ in range(2):
            with pytest.raises(StartError):
                await handler.invoke({})
        assert await handler.invoke({}) == 1

    assert story_of(recorder, "db") == [
        "start failed",
        "start failed",
        "started",
        "retired",
        "closed",
    ]


def test_every_waiter_is_told_of_a_failed_start_by_an_error_of_its_own(inside):
    cause = OSError("refused")
    db = FakeResource("db", starts=[lambda: asyncio.sleep(1), None])
    refused = FakeResource("refused", starts=[cause], needs={"db": db})

    @inside
    async def scenario(environment):
        results = await asyncio.gather(
            *(environment.get(refused.resource) for _ in range(3)), return_exceptions=True
        )
        assert [type(result) for result in results] == [StartError] * 3
        assert len({id(result) for result in results}) == 3
        assert {result.__cause__ for result in results} == {cause}

    assert refused.log == ["start 1"]


def test_several_failures_are_told_in_one_error(inside):
    db = FakeResource("db", starts=[OSError("refused")])
    s3 = FakeResource("s3", starts=[OSError("denied")])

    @warm_handler(db=db.resource, s3=s3.resource)
    async def handler(event, context, db, s3):
        return None

    @inside
    async def scenario(environment):
        with pytest.raises(StartError) as raised:
            await handler.invoke({})
        assert str(raised.value) == "resource 'db' did not start after 0.000 s: OSError: refused"
        assert raised.value.__notes__ == [
            "also: resource 's3' did not start after 0.000 s: OSError: denied"
        ]


def test_a_waiter_that_is_cancelled_leaves_the_start_to_the_others(inside):
    db = FakeResource("db", starts=[2.0])

    @inside
    async def scenario(environment):
        first = asyncio.create_task(environment.get(db.resource))
        second = asyncio.create_task(environment.get(db.resource))
        await asyncio.sleep(1)
        first.cancel()
        assert (await second).number == 1

    assert db.log == ["start 1", "close 1"]


def test_a_start_goes_on_though_all_who_waited_for_it_were_cancelled(inside):
    db = FakeResource("db", starts=[2.0])

    @inside
    async def scenario(environment):
        waiting = asyncio.create_task(environment.get(db.resource))
        await asyncio.sleep(1)
        waiting.cancel()
        await asyncio.sleep(2)
        await environment.get(db.resource)

    assert db.log == ["start 1", "close 1"]


def test_a_start_that_a_freeze_interrupted_is_begun_anew(inside, clock, recorder):
    db = FakeResource("db", starts=[HANG])

    @inside
    async def scenario(environment):
        waiting = asyncio.create_task(environment.get(db.resource))
        await asyncio.sleep(1)
        clock.freeze(600, monotonic=True)
        assert (await environment.get(db.resource)).number == 1
        assert (await waiting).number == 1

    assert db.log == ["start 1", "start 2", "close 1"]


def test_waiting_is_bounded_by_what_is_left_of_the_invocation(inside, clock):
    db = FakeResource("db", starts=[HANG])

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        raise AssertionError("never runs")

    @inside
    async def scenario(environment):
        with pytest.raises(TimeLimitError) as raised:
            await handler.invoke({}, FakeContext(clock, ends=2.0))
        assert str(raised.value) == "waiting for db took longer than the time left = 1.95 s"
        assert clock.monotonic == 1.95


def test_waiting_for_what_lives_for_the_invocation_alone_is_bounded_too(inside, clock):
    tx = FakeResource("tx", starts=[HANG], scope="invocation")

    @warm_handler(tx=tx.resource)
    async def handler(event, context, tx):
        raise AssertionError("never runs")

    @inside
    async def scenario(environment):
        with pytest.raises((TimeLimitError, StartError)):
            await handler.invoke({}, FakeContext(clock, ends=2.0))
        assert clock.monotonic <= 2.0


# -- what depends on what


def test_each_starts_as_soon_as_what_it_needs_is_there(inside):
    @inside
    async def scenario(environment):
        both = asyncio.Barrier(2)
        slow = FakeResource("slow", starts=[both.wait])
        quick = FakeResource("quick")
        on_quick = FakeResource("on_quick", starts=[both.wait], needs={"quick": quick})

        @warm_handler(slow=slow.resource, on_quick=on_quick.resource)
        async def handler(event, context, slow, on_quick):
            return slow.number, on_quick.number

        assert await handler.invoke({}) == (1, 1)


def test_dependents_are_rebuilt_with_what_they_depend_on(inside, clock, recorder):
    db = FakeResource("db", checks=[OSError("reset")])
    api = FakeResource("api", needs={"db": db})

    @inside
    async def scenario(environment):
        first = await environment.get(api.resource)
        clock.freeze(60)
        second = await environment.get(api.resource)
        assert (first.number, second.number) == (1, 2)
        assert second.needs["db"].number == 2

    assert (db.faults, api.faults) == ([], [])
    retired = [event for event in recorder.events if event.kind is EventKind.RETIRED][:2]
    assert [(event.resource, event.reason) for event in retired] == [
        ("api", "db: check failed"),
        ("db", "check failed"),
    ]


def test_the_close_of_a_dependent_is_no_use_of_what_it_was_built_on(inside, clock):
    db, s3 = FakeResource("db", checks=[]), FakeResource("s3", checks=[])
    top = FakeResource("top", needs={"db": db, "s3": s3})

    @inside
    async def scenario(environment):
        await environment.get(top.resource)
        clock.freeze(600)
        await environment.get(db.resource)  # too old: another one, and `top` is closed
        assert top.log == ["start 1", "close 1"]
        await environment.get(s3.resource)
        assert s3.log == ["start 1", "close 1", "start 2"]


def test_dependents_are_rebuilt_when_what_they_depend_on_is_too_old(inside, clock):
    db = FakeResource("db", max_age=60)
    api = FakeResource("api", needs={"db": db})

    @inside
    async def scenario(environment):
        await environment.get(api.resource)
        clock.advance(60)
        second = await environment.get(api.resource)
        assert (second.number, second.needs["db"].number) == (2, 2)
        await asyncio.sleep(0.1)
        assert (db.open, api.open) == ([2], [2])

    assert (db.faults, api.faults) == ([], [])


def test_what_is_in_use_elsewhere_closes_when_its_last_user_is_done(inside, clock):
    db = FakeResource("db", checks=[OSError("reset")])

    @warm_handler(db=db.resource)
    async def handler(seconds, context, db):
        await asyncio.sleep(seconds)
        return db.use()

    @inside
    async def scenario(environment):
        long = asyncio.create_task(handler.invoke(100))
        await asyncio.sleep(50)
        assert await handler.invoke(0) == 2
        assert db.open == [1, 2]
        assert await long == 1
        await asyncio.sleep(0)
        assert db.open == [2]

    assert db.faults == []


def test_a_resource_is_not_waited_for_once_for_each_path_that_leads_to_it(inside):
    """Six layers of three: 18 resources and 45 links, but more than a thousand paths."""
    layers = [[FakeResource(f"r0_{number}") for number in range(3)]]
    for depth in range(1, 6):
        below = {fake.name: fake for fake in layers[-1]}
        layers.append([FakeResource(f"r{depth}_{number}", needs=below) for number in range(3)])
    made = []

    def counting(loop, work, **options):
        made.append(work)
        return asyncio.Task(work, loop=loop, **options)

    @inside
    async def scenario(environment):
        asyncio.get_running_loop().set_task_factory(counting)
        await environment.get(layers[-1][0].resource)
        asyncio.get_running_loop().set_task_factory(None)

    assert len(made) <= 100


# -- lazily


def test_a_lazy_resource_is_not_started_unless_it_is_awaited(inside, recorder):
    db = FakeResource("db")

    @warm_handler
    async def handler(wanted, context, db: Annotated[Lazy[FakeValue], db.resource]):
        return (await db).use() if wanted else None

    @inside
    async def scenario(environment):
        assert await handler.invoke(False) is None
        assert db.log == []
        assert await handler.invoke(True) == 1
        assert await handler.invoke(True) == 1

    assert recorder.story[:9] == [
        "invocation 1 started",
        "invocation 1 finished",
        "invocation 2 started",
        "started db",
        "invocation 2 finished",
        "invocation 3 started",
        "reused db",
        "invocation 3 finished",
        "retired db",
    ]


def test_a_lazy_value_is_held_until_its_invocation_ends(inside, clock):
    db = FakeResource("db", checks=[OSError("reset")])

    @warm_handler
    async def handler(event, context, db: Annotated[Lazy[FakeValue], db.resource]):
        value = await db
        await asyncio.sleep(100)
        return value.use()

    @inside
    async def scenario(environment):
        long = asyncio.create_task(handler.invoke({}))
        await asyncio.sleep(50)
        await environment.get(db.resource)
        assert await long == 1

    assert db.faults == []


def test_a_lazy_dependency_of_a_resource_is_started_when_that_asks(inside):
    db = FakeResource("db")

    @resource
    async def api(db: Annotated[Lazy[FakeValue], db.resource]):
        return db

    @inside
    async def scenario(environment):
        lazy = await environment.get(api)
        assert db.log == []
        assert (await lazy).number == 1


def test_a_lazy_resource_of_invocation_scope_is_started_once_and_finished_with_it(inside):
    tx = FakeResource("tx", scope="invocation")

    @warm_handler
    async def handler(event, context, tx: Annotated[Lazy[FakeValue], tx.resource]):
        first, second = await asyncio.gather(tx, tx)
        return first.number, second.number

    @inside
    async def scenario(environment):
        assert await handler.invoke({}) == (1, 1)
        assert tx.open == []
        assert await handler.invoke({}) == (2, 2)

    assert tx.log == ["start 1", "close 1", "start 2", "close 2"]


def test_a_lazy_resource_of_invocation_scope_is_not_started_when_the_invocation_is_over(inside):
    tx = FakeResource("tx", scope="invocation")
    kept = []

    @warm_handler
    async def handler(event, context, tx: Annotated[Lazy[FakeValue], tx.resource]):
        kept.append(tx)

    @inside
    async def scenario(environment):
        await handler.invoke({})
        await asyncio.gather(_await(kept[0]), return_exceptions=True)
        assert tx.open == []


async def _await(lazy):
    return await lazy


# -- leases, and those who outlive them


@pytest.mark.parametrize("starts", [[], [1.0]], ids=["at once", "after the end"])
def test_a_background_task_that_outlives_its_invocation_holds_nothing(starts, inside):
    db = FakeResource("db", starts=starts)
    tasks = []

    @warm_handler
    async def handler(event):
        tasks.append(asyncio.create_task(handler.environment.get(db.resource)))
        await asyncio.sleep(0)

    @inside
    async def scenario(environment):
        await handler.invoke({})
        assert (await tasks[0]).use() == 1
        assert [slot.users for slot in environment.live.current.values()] == [0]


def test_a_lazy_value_that_comes_after_the_end_is_held_by_nobody(inside):
    db = FakeResource("db", starts=[1.0])
    tasks = []

    @warm_handler
    async def handler(event, context, db: Annotated[Lazy[FakeValue], db.resource]):
        tasks.append(asyncio.create_task(_await(db)))
        await asyncio.sleep(0.5)

    @inside
    async def scenario(environment):
        await handler.invoke({})
        await tasks[0]
        assert [slot.users for slot in environment.live.current.values()] == [0]


def test_what_waits_while_the_environment_closes_starts_nothing_anew(inside):
    db = FakeResource("db", starts=[1.0])

    @inside
    async def scenario(environment):
        waiting = asyncio.create_task(environment.get(db.resource))
        await asyncio.sleep(0.5)
        await environment.aclose()
        with pytest.raises(EnvironmentClosedError):
            await waiting

    assert db.log == ["start 1"]


def test_a_lazy_resource_cannot_be_started_in_a_closed_environment(inside):
    db = FakeResource("db")
    kept = []

    @warm_handler
    async def handler(event, context, db: Annotated[Lazy[FakeValue], db.resource]):
        kept.append(db)

    @inside
    async def scenario(environment):
        await handler.invoke({})
        await environment.aclose()
        with pytest.raises(EnvironmentClosedError):
            await kept[0]

    assert db.log == []


def test_a_value_that_the_end_has_closed_is_not_handed_out_again(inside):
    """Not even to the invocation that holds it: it would be given None."""
    db = FakeResource("db")

    @warm_handler
    async def handler(event, context, db: Annotated[Lazy[FakeValue], db.resource]):
        await db
        await handler.environment.aclose()
        return await db

    @inside
    async def scenario(environment):
        with pytest.raises(EnvironmentClosedError):
            await handler.invoke({})


def test_retired_slots_are_forgotten(inside, clock):
    db = FakeResource("db", max_age=1)

    @inside
    async def scenario(environment):
        for _ in range(50):
            clock.advance(1)
            await environment.get(db.resource)
            await asyncio.sleep(0)
        return len(environment.live.retired)

    assert scenario < 10


def test_one_name_for_two_resources_is_told_apart(inside, recorder):
    first, second = FakeResource("db"), FakeResource("db")

    @inside
    async def scenario(environment):
        await environment.get(first.resource)
        await environment.get(second.resource)
        return sorted(environment.statistics.resources)

    assert scenario == ["db", "db#2"]
    assert recorder.story[:2] == ["started db", "started db#2"]


def test_an_interrupt_in_a_factory_goes_on_its_way():
    db = FakeResource("db", starts=[KeyboardInterrupt()])

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        return None

    with pytest.raises(KeyboardInterrupt):
        run(handler.invoke({}))
