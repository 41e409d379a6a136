"""What is leased together again and again: a group, which nobody notices but the clock."""

import asyncio
import gc
import itertools
import weakref

import pytest

from warmkit import Environment, EnvironmentClosedError, resource, warm_handler
from warmkit.lease import Lease
from warmkit.live import GROUPS
from warmkit.testing import FakeResource


def test_handlers_made_anew_for_each_invocation_are_not_kept(inside):
    db = FakeResource("db")

    def made():
        @warm_handler(db=db.resource)
        async def handler(event, db):
            return db.use()

        return handler

    @inside
    async def scenario(environment):
        kept = weakref.WeakSet()
        for _ in range(2 * GROUPS):
            handler = made()
            kept.add(handler)
            for _ in range(3):
                await handler.invoke(1)
        del handler
        gc.collect()
        live = environment.live
        slot = live.current[db.resource]
        counted = slot.users
        live.dissolve()
        return len(kept) <= GROUPS, counted <= GROUPS, slot.users, environment.statistics

    few, counted, users, statistics = scenario
    assert (few, counted, users) == (True, True, 0)
    assert statistics.resources["db"].reuses == 2 * GROUPS * 3 - 1


@pytest.mark.parametrize("end", ["end", "abandon"])
def test_nothing_is_leased_once_the_end_has_begun(end, inside):
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    async def handler(event, db):
        return db.use()

    @inside
    async def scenario(environment):
        live = environment.live
        for _ in range(3):
            await handler.invoke(1)
        order, now = [db.resource], environment.clock.read()
        before = live.lease(handler, order, Lease(live), now)
        getattr(live, end)("is over")
        after = live.lease(handler, order, Lease(live), now)
        live.ended = ""  # or it would not be closed
        return before, after

    assert scenario == (True, False)
    assert db.log == ["start 1", "close 1"]


def test_a_host_whose_environment_was_closed_meanwhile_serves_with_the_next_one():
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    async def handler(event, db):
        return db.use()

    async def main():
        closed = handler.environment
        first = await handler.invoke(1)
        await closed.aclose()
        second = await handler.invoke_in(closed, 1, None)
        await handler.environment.aclose()
        async with Environment() as entered:
            await entered.aclose()
            with pytest.raises(EnvironmentClosedError):
                await handler.invoke_in(entered, 1, None)
        return first, second

    assert asyncio.run(main()) == (1, 2)
    assert db.log == ["start 1", "close 1", "start 2", "close 2"]


def test_an_invocation_with_resources_of_its_own_leaves_the_groups_alone(inside):
    db = FakeResource("db")

    @resource(scope="invocation", db=db.resource)
    async def transaction(db):
        yield db.use()

    @warm_handler(transaction=transaction)
    async def writing(event, transaction):
        return transaction

    @warm_handler(db=db.resource)
    async def reading(event, db):
        return db.use()

    @inside
    async def scenario(environment):
        for _ in range(2):
            await reading.invoke(1)
            await writing.invoke(1)
        groups = dict(environment.live._groups)
        results = [await writing.invoke(1), await reading.invoke(1)]
        return groups == environment.live._groups, len(groups), results, environment.statistics

    kept, count, results, statistics = scenario
    assert (kept, count, results) == (True, 2, [1, 1])
    assert (statistics.resources["db"].starts, statistics.resources["db"].reuses) == (1, 5)


@pytest.mark.parametrize("which", ["itself", "another"])
@pytest.mark.parametrize("calls", [1, 3])  # the third time it is leased as a group
def test_what_a_probe_distrusts_is_proven_in_the_same_use(which, calls, inside):
    rotated = []
    model = FakeResource("model", checks=itertools.repeat(0.01), alive=lambda value: True)

    def rotate(value):
        if rotated:
            rotated.pop()
            environments[0].distrust(db.resource if which == "itself" else model.resource)
        return True

    db = FakeResource("db", checks=itertools.repeat(0.01), alive=rotate)
    environments = []

    @warm_handler(model=model.resource, db=db.resource)
    async def handler(event, model, db):
        return model.use(), db.use()

    @inside
    async def scenario(environment):
        environments.append(environment)
        for _ in range(calls):
            await handler.invoke(1)
        rotated.append(True)
        await handler.invoke(1)
        environment.live.dissolve()
        checks = [environment.statistics.resources[name].checks for name in ("model", "db")]
        return checks, [slot.users for slot in environment.live.alive()]

    checks, users = scenario
    assert checks == ([0, 1] if which == "itself" else [1, 0])
    assert users == [0, 0]
