"""The environment: one for each process and loop; overrides, statistics, its own end."""

import asyncio
import contextvars
import itertools

import pytest

from warmkit import (
    Environment,
    EnvironmentClosedError,
    ResourceStatistics,
    StartError,
    State,
    TeardownError,
    UsageError,
    WarmkitError,
    WrongLoopError,
    resource,
    warm_handler,
)
from warmkit.environment import current_environment, living_environments
from warmkit.testing import HANG, EventRecorder, FakeResource, run

# -- which one


def test_the_entered_environment_is_the_current_one_and_the_default_otherwise():
    async def scenario():
        default = current_environment()
        async with Environment() as outer:
            assert current_environment() is outer
            async with Environment() as inner:
                assert current_environment() is inner
            assert current_environment() is outer
        assert current_environment() is default

    run(scenario)


def test_each_loop_has_a_default_environment_of_its_own():
    async def scenario():
        return current_environment()

    first, second = run(scenario), run(scenario)
    assert first is not second
    assert first.id != second.id


def test_a_closed_default_environment_is_followed_by_another():
    async def scenario():
        first = current_environment()
        await first.aclose()
        assert current_environment() is not first

    run(scenario)


def test_an_environment_that_is_closed_says_so():
    db = FakeResource("db")

    async def scenario():
        async with Environment() as environment:
            pass
        for use in (
            environment.get(db.resource),
            environment.prewarm(db.resource),
            environment.__aenter__(),
        ):
            with pytest.raises(EnvironmentClosedError) as raised:
                await use
            assert str(raised.value) == (
                f"environment {environment.id} is closed.\n"
                "  Make another: async with Environment() as environment: ..."
            )
        assert environment.closed

    run(scenario)


def test_an_environment_of_another_loop_says_so():
    db = FakeResource("db")
    environment = Environment()

    async def first():
        await environment.get(db.resource)

    async def second():
        with pytest.raises(WrongLoopError) as raised:
            await environment.get(db.resource)
        assert str(raised.value) == (
            f"environment {environment.id} belongs to another event loop; its connections cannot be "
            "used in this one.\n"
            "  Make one in this loop: async with Environment() as environment: ..."
        )

    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(first())
        run(second)
        loop.run_until_complete(environment.aclose())
    finally:
        loop.close()
    assert db.log == ["start 1", "close 1"]


def test_an_environment_cannot_be_closed_from_another_loop_without_a_word():
    """`asyncio.run(handler.environment.aclose())`: nothing would be closed, and nobody would know."""
    db = FakeResource("db")
    environment = Environment()
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(environment.get(db.resource))
        with pytest.raises(WrongLoopError):
            run(environment.aclose())
        assert not environment.closed
        loop.run_until_complete(environment.aclose())
    finally:
        loop.close()
    assert db.open == []


def test_an_environment_can_be_left_in_another_task_than_it_was_entered_in():
    """As the fixtures of asynchronous test plugins do."""
    db = FakeResource("db")

    async def scenario():
        environment = Environment()

        async def enter():
            await environment.__aenter__()
            await environment.get(db.resource)

        await asyncio.create_task(enter())
        await asyncio.create_task(environment.__aexit__(None, None, None))

    run(scenario)
    assert db.log == ["start 1", "close 1"]


# -- get


def test_a_resource_of_invocation_scope_has_no_value_in_an_environment(inside):
    tx = FakeResource("tx", scope="invocation")

    @inside
    async def scenario(environment):
        with pytest.raises(UsageError) as raised:
            await environment.get(tx.resource)
        assert str(raised.value) == (
            "resource 'tx' ends with its invocation, so an environment has no value of it.\n"
            "  Take it as a parameter of the handler."
        )


def test_inside_an_invocation_the_value_is_held_until_that_ends(inside, clock):
    db = FakeResource("db", checks=[OSError("reset")])

    @warm_handler
    async def handler(event):
        value = await handler.environment.get(db.resource)
        await asyncio.sleep(100)
        return value.use()

    @inside
    async def scenario(environment):
        long = asyncio.create_task(handler.invoke({}))
        await asyncio.sleep(50)
        await environment.get(db.resource)
        assert db.open == [1, 2]
        assert await long == 1
        await asyncio.sleep(0)
        assert db.open == [2]


def test_a_value_of_another_environment_is_not_held_by_the_invocation(inside):
    db = FakeResource("db")

    @warm_handler
    async def handler(other):
        return (await other.get(db.resource)).number

    @inside
    async def scenario(environment):
        async with Environment() as other:
            await other.get(db.resource)
            assert await handler.invoke(other) == 1
            assert other.live.current[db.resource].users == 0


# -- contextvars

request = contextvars.ContextVar("request", default="none")


def test_a_value_does_not_see_the_context_variables_of_the_invocation_that_started_it(clock):
    seen = []

    @resource(check_after=0)
    async def db():
        seen.append(request.get())
        yield "db"
        seen.append(request.get())

    @db.check
    async def check(value):
        seen.append(request.get())

    @warm_handler(db=db)
    async def handler(name, context, db):
        request.set(name)
        return db

    async def scenario():
        async with Environment(clock=clock):
            await handler.invoke("first")
            clock.advance(1)
            await asyncio.create_task(handler.invoke("second"))

    run(scenario, clock=clock)
    assert seen == ["none", "none", "none"]


def test_nor_those_that_were_set_around_the_first_invocation_of_a_default_environment():
    """A middleware sets the request's id, then calls the handler: the environment is made in there."""
    seen = []

    @resource
    async def db():
        seen.append(request.get())
        return "db"

    @warm_handler(db=db)
    async def handler(event, context, db):
        return db

    async def scenario():
        request.set("first")
        await handler.invoke({})

    run(scenario)
    assert seen == ["none"]


def test_inside_a_factory_the_current_environment_is_the_one_that_starts_it(inside):
    @resource
    async def where():
        return current_environment().id

    @inside
    async def scenario(environment):
        async with Environment() as other:
            assert await environment.get(where) == environment.id
            assert await other.get(where) == other.id


# -- prewarm and distrust


def test_prewarm_starts_what_is_asked_for_side_by_side_and_holds_nothing(inside):
    @inside
    async def scenario(environment):
        both = asyncio.Barrier(2)
        db, s3 = FakeResource("db", starts=[both.wait]), FakeResource("s3", starts=[both.wait])
        await environment.prewarm(db.resource, s3.resource)
        assert (db.open, s3.open) == ([1], [1])
        assert [slot.users for slot in environment.live.current.values()] == [0, 0]


def test_prewarm_without_arguments_proves_all_that_is_known(inside, clock):
    db = FakeResource("db", checks=[])

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.freeze(60)
        await environment.prewarm()

    assert db.log == ["start 1", "check 1", "close 1"]


def test_prewarm_raises_the_failure_and_keeps_what_started(inside):
    db, broken = FakeResource("db"), FakeResource("broken", starts=[OSError("refused")])

    @inside
    async def scenario(environment):
        with pytest.raises(StartError):
            await environment.prewarm(db.resource, broken.resource)
        assert db.open == [1]


def test_what_is_distrusted_is_proven_on_its_next_use_and_trusted_again(inside):
    db, model = FakeResource("db", checks=[]), FakeResource("model")

    @inside
    async def scenario(environment):
        await environment.prewarm(db.resource, model.resource)
        environment.distrust()
        await environment.prewarm()
        await environment.prewarm()

    assert (db.log, model.log) == (["start 1", "check 1", "close 1"], ["start 1", "close 1"])


def test_what_is_distrusted_by_name_is_rebuilt_where_it_cannot_be_checked(inside):
    db, model = FakeResource("db", checks=[]), FakeResource("model")

    @inside
    async def scenario(environment):
        await environment.prewarm(db.resource, model.resource)
        environment.distrust(model.resource)
        await environment.prewarm()
        await asyncio.sleep(0)
        assert (db.log, model.open) == (["start 1"], [2])


def test_what_is_distrusted_before_it_starts_is_not_rebuilt_after(inside):
    db = FakeResource("db", starts=[OSError("refused")], max_gap=300)

    @inside
    async def scenario(environment):
        with pytest.raises(StartError):
            await environment.get(db.resource)
        environment.distrust()
        await environment.get(db.resource)
        assert (await environment.get(db.resource)).number == 1


# -- override


def test_a_value_stands_in_for_a_resource_and_is_neither_checked_nor_closed(inside, clock):
    db = FakeResource("db", checks=[OSError("never")], alive=lambda value: value.use() and True)

    @inside
    async def scenario(environment):
        with environment.override(db.resource, "fake"):
            assert await environment.get(db.resource) == "fake"
            clock.freeze(3600)
            environment.distrust()
            assert await environment.get(db.resource) == "fake"

    assert db.log == []


def test_a_value_that_stands_in_does_not_grow_old(inside, clock):
    db = FakeResource("db", max_age=60)

    @inside
    async def scenario(environment):
        with environment.override(db.resource, "fake"):
            await environment.get(db.resource)
            clock.advance(61)
            await environment.get(db.resource)
            assert len(environment.live.alive()) == 1
        assert environment.live.alive() == []


def test_another_resource_stands_in_and_is_closed_afterwards(inside):
    db, fake = FakeResource("db"), FakeResource("fake")

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        with environment.override(db.resource, fake.resource):
            assert (await environment.get(db.resource)).name == "fake"
        original = await environment.get(db.resource)
        assert (original.name, original.number) == ("db", 1)
        await asyncio.sleep(0)
        assert (db.open, fake.log) == ([1], ["start 1", "close 1"])


def test_dependents_are_started_anew_with_the_replacement_and_the_originals_come_back(inside):
    db = FakeResource("db")
    api = FakeResource("api", needs={"db": db})
    top = FakeResource("top", needs={"api": api})

    @inside
    async def scenario(environment):
        before = await environment.get(top.resource)
        with environment.override(db.resource, "fake"):
            during = await environment.get(top.resource)
            assert during.needs["api"].needs["db"] == "fake"
        after = await environment.get(top.resource)
        assert after is before
        assert after.use() == 1
        await asyncio.sleep(0.1)
        assert (top.open, api.open, db.open) == ([1], [1], [1])


def test_overrides_nest(inside):
    db = FakeResource("db")

    @inside
    async def scenario(environment):
        seen = [(await environment.get(db.resource)).number]
        with environment.override(db.resource, "outer"):
            seen.append(await environment.get(db.resource))
            with environment.override(db.resource, "inner"):
                seen.append(await environment.get(db.resource))
            seen.append(await environment.get(db.resource))
        seen.append((await environment.get(db.resource)).number)
        assert seen == [1, "outer", "inner", "outer", 1]


def test_an_override_ends_when_its_body_raises(inside):
    db = FakeResource("db")

    @inside
    async def scenario(environment):
        with pytest.raises(ValueError, match="mine"), environment.override(db.resource, "fake"):
            raise ValueError("mine")
        assert (await environment.get(db.resource)).number == 1


def test_what_only_the_original_needs_is_not_started(inside):
    """A fake service, so that no database is needed."""
    db = FakeResource("db", starts=[OSError("no database here")])
    api = FakeResource("api", needs={"db": db})

    @warm_handler(api=api.resource)
    async def handler(event, context, api):
        return api

    @inside
    async def scenario(environment):
        with environment.override(api.resource, "fake"):
            assert await handler.invoke({}) == "fake"

    assert db.log == []


def test_what_only_the_original_transaction_needs_is_not_started(inside):
    db = FakeResource("db", starts=[OSError("no database here")])
    tx = FakeResource("tx", needs={"db": db}, scope="invocation")

    @warm_handler(tx=tx.resource)
    async def handler(event, context, tx):
        return tx

    @inside
    async def scenario(environment):
        with environment.override(tx.resource, "fake"):
            assert await handler.invoke({}) == "fake"

    assert db.log == []


def test_a_replacement_brings_its_own_dependencies(inside):
    db, other = FakeResource("db"), FakeResource("other")
    api = FakeResource("api", needs={"db": db})
    instead = FakeResource("instead", needs={"other": other})

    @warm_handler(api=api.resource)
    async def handler(event, context, api):
        return api.needs["other"].number

    @inside
    async def scenario(environment):
        with environment.override(api.resource, instead.resource):
            assert await handler.invoke({}) == 1

    assert other.log == ["start 1", "close 1"]


def test_a_replacement_of_invocation_scope_brings_its_own_dependencies(inside):
    db, other = FakeResource("db"), FakeResource("other")
    tx = FakeResource("tx", needs={"db": db}, scope="invocation")
    instead = FakeResource("instead", needs={"other": other}, scope="invocation")

    @warm_handler(tx=tx.resource)
    async def handler(event, context, tx):
        return tx.needs["other"].number

    @inside
    async def scenario(environment):
        with environment.override(tx.resource, instead.resource):
            assert await handler.invoke({}) == 1

    assert instead.log == ["start 1", "close 1"]


def test_a_replacement_that_wraps_the_original_is_refused_or_works(inside):
    """`override(db, counting(db))`: anything but a RecursionError."""
    db = FakeResource("db")
    wrapper = FakeResource("wrapper", needs={"db": db})

    @inside
    async def scenario(environment):
        try:
            with environment.override(db.resource, wrapper.resource):
                assert (await environment.get(db.resource)).needs["db"].name == "db"
        except WarmkitError:
            pass


def test_a_replacement_that_ends_with_the_invocation_is_refused_for_one_that_does_not(inside):
    db = FakeResource("db")
    tx = FakeResource("tx", scope="invocation")

    @inside
    async def scenario(environment):
        with pytest.raises(WarmkitError), environment.override(db.resource, tx.resource):
            await environment.get(db.resource)


def test_an_override_that_begins_while_dependents_start_breaks_nothing(inside):
    db, slow = FakeResource("db"), FakeResource("slow", starts=[1.0])
    api = FakeResource("api", needs={"db": db, "slow": slow})

    @inside
    async def scenario(environment):
        waiting = asyncio.create_task(environment.get(api.resource))
        await asyncio.sleep(0.5)
        with environment.override(db.resource, "fake"):
            assert (await waiting).needs["db"] in {"fake", *db.values}
        assert (await environment.get(api.resource)).needs["db"].name == "db"


def test_an_override_that_ends_while_its_value_is_in_use_harms_nobody(inside):
    db, fake = FakeResource("db"), FakeResource("fake")

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        await asyncio.sleep(10)
        return db.use()

    @inside
    async def scenario(environment):
        with environment.override(db.resource, fake.resource):
            long = asyncio.create_task(handler.invoke({}))
            await asyncio.sleep(5)
        assert fake.open == [1]
        assert await long == 1
        await asyncio.sleep(0)
        assert fake.open == []


def test_what_went_bad_while_it_was_overridden_does_not_come_back(inside, clock):
    """The cache below the service is rebuilt meanwhile: the service that was set aside is built on a dead one."""
    db = FakeResource("db")
    cache = FakeResource("cache", checks=[OSError("reset")])
    api = FakeResource("api", needs={"db": db, "cache": cache})

    @inside
    async def scenario(environment):
        await environment.get(api.resource)
        with environment.override(db.resource, "fake"):
            clock.freeze(60)
            await environment.get(cache.resource)
        after = await environment.get(api.resource)
        assert (after.number, after.needs["cache"].number) == (2, 2)
        assert after.use() == 2


# -- statistics


def test_statistics_are_a_snapshot_of_what_happened(inside, clock):
    db = FakeResource(
        "db", starts=[OSError("refused"), 2.0], checks=[0.5, OSError("reset")], refreshes=[]
    )

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        return None

    @inside
    async def scenario(environment):
        with pytest.raises(StartError):
            await handler.invoke({})
        for gap in (0, 0, 60, 60, 600):
            clock.freeze(gap)
            await handler.invoke({})
        before = environment.statistics
        await environment.aclose()
        return environment.id, before, environment.statistics.resources["db"]

    environment_id, before, after = scenario
    counted = ResourceStatistics(
        state=State.WARM,
        starts=2,
        start_failures=1,
        rebuilds=1,
        reuses=1,
        checks=2,
        refreshes=1,
        check_failures=1,
        closes=1,
        seconds=2.5,
    )
    assert before == (environment_id, 6, {"db": counted})
    assert after == counted._replace(state=State.CLOSED, closes=2)


# -- the end


def test_leaving_closes_in_dependency_order(inside, recorder):
    db = FakeResource("db")
    api = FakeResource("api", needs={"db": db})

    @inside
    async def scenario(environment):
        await environment.get(api.resource)

    assert recorder.story == [
        "started db",
        "started api",
        "retired api",
        "closed api",
        "retired db",
        "closed db",
    ]


def test_the_end_of_asyncio_run_closes_in_dependency_order():
    db = FakeResource("db")
    api = FakeResource("api", needs={"db": db}, closes=[0.01])
    recorder = EventRecorder()

    @warm_handler(api=api.resource, observers=[recorder])
    async def handler(event, context, api):
        return api.use()

    assert asyncio.run(handler.invoke({})) == 1
    assert recorder.story == [
        "invocation 1 started",
        "started db",
        "started api",
        "invocation 1 finished",
        "retired api",
        "closed api",
        "retired db",
        "closed db",
    ]
    assert (db.faults, api.faults) == ([], [])


def test_the_end_of_the_loop_closes_also_what_was_being_checked_or_started(clock):
    warm = FakeResource("warm", checks=[HANG], check_after=0)
    cold = FakeResource("cold", starts=[HANG])

    async def scenario():
        environment = Environment(clock=clock)
        await environment.get(warm.resource)
        clock.advance(1)
        for fake in (warm, cold):
            scenario.tasks.append(asyncio.create_task(environment.get(fake.resource)))
        await asyncio.sleep(0.1)

    scenario.tasks = []
    run(scenario, clock=clock)
    assert (warm.log, cold.log) == (["start 1", "check 1", "close 1"], ["start 1"])


def test_an_environment_lives_until_it_is_closed_and_not_only_until_somebody_begins_to():
    """Whoever ends the process meanwhile has to wait for it."""
    db = FakeResource("db")

    async def scenario():
        environment = Environment()
        assert environment not in living_environments()  # nobody has used it
        await environment.get(db.resource)
        closing = asyncio.create_task(environment.aclose())
        await asyncio.sleep(0)
        assert (environment.closed, environment in living_environments()) == (True, True)
        await closing
        assert environment not in living_environments()

    run(scenario)


def test_closing_an_environment_that_was_never_used_is_nothing():
    async def scenario():
        environment = Environment()
        await environment.aclose()
        await environment.aclose()
        assert environment.closed

    run(scenario)


def test_a_budget_of_nothing_still_asks_everybody_to_close(clock):
    db = FakeResource("db", closes=[1.0])

    async def scenario():
        environment = Environment(clock=clock)
        await environment.get(db.resource)
        with pytest.raises(TeardownError):
            await environment.aclose(budget=0)

    run(scenario, clock=clock)
    assert db.log == ["start 1", "close 1"]


def test_what_is_distrusted_while_it_is_overridden_is_proven_when_it_comes_back(inside):
    db = FakeResource("db", checks=itertools.repeat(None))
    stand_in = FakeResource("stand in", checks=itertools.repeat(None))

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        return db.name

    @inside
    async def scenario(environment):
        names = [await handler.invoke(1)]
        with environment.override(db.resource, stand_in.resource):
            names += [await handler.invoke(1)]
            environment.distrust(db.resource)
            names += [await handler.invoke(1)]
        names += [await handler.invoke(1)]
        return names

    assert scenario == ["db", "stand in", "stand in", "db"]
    assert [line for line in db.log if line.startswith("check")] == ["check 1"]
    assert [line for line in stand_in.log if line.startswith("check")] == ["check 1"]
