"""What a hostile review found: each failed before it was mended."""

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Annotated
from unittest.mock import MagicMock

import pytest

from warmkit import (
    CloseError,
    DefinitionError,
    Environment,
    EnvironmentClosedError,
    EventKind,
    InsideLoopError,
    Invocation,
    Lazy,
    StartError,
    TimeLimitError,
    UnknownDependencyError,
    UsageError,
    resource,
    warm_handler,
)
from warmkit.environment import _registry
from warmkit.resources import postgres_pool, s3_client
from warmkit.testing import FakeResource, FakeValue, run

PATIENCE = 20


def test_two_lazy_values_awaited_side_by_side_are_held_once_each(inside):
    """The transaction needs the database too: both awaits hold it, and one release lets go of both."""
    broken = set()
    db = FakeResource("db", alive=lambda value: value.number not in broken)
    tx = FakeResource("tx", needs={"db": db}, scope="invocation")

    @warm_handler
    async def handler(
        event,
        db: Annotated[Lazy[FakeValue], db.resource],
        tx: Annotated[Lazy[FakeValue], tx.resource],
    ):
        pool, _ = await asyncio.gather(db, tx)
        broken.add(pool.number)

    @inside
    async def scenario(environment):
        for _ in range(5):
            await handler.invoke({})
        await asyncio.sleep(0)
        assert db.open == [5]
        assert [slot.users for slot in environment.live.alive()] == [0]


def test_a_task_group_that_spans_the_yield_takes_only_its_own_resource_down(inside, recorder):
    go = asyncio.Event()

    async def pump():
        await go.wait()
        go.clear()
        raise OSError("pump broke")

    @resource
    async def client() -> AsyncIterator[str]:
        async with asyncio.TaskGroup() as group:
            pumping = group.create_task(pump())
            yield "client"
            pumping.cancel()

    db = FakeResource("db")

    @warm_handler(client=client, db=db.resource)
    async def handler(event, client, db):
        return db.use()

    @inside
    async def scenario(environment):
        await handler.invoke({})
        go.set()
        await asyncio.sleep(0.1)
        assert await handler.invoke({}) == 1

    assert recorder.story.count("started client") == 2
    (failed, *_) = [event.error for event in recorder.events if event.kind == "close failed"]
    assert isinstance(failed, CloseError)
    assert [str(item) for item in failed.__cause__.exceptions] == ["pump broke"]


def test_a_value_that_never_lasts_is_an_error_and_not_an_endless_loop(inside):
    async def break_at_once():
        raise OSError("pump broke")

    @resource
    async def client():
        async with asyncio.TaskGroup() as group:
            group.create_task(break_at_once())
            yield "client"

    @inside
    async def scenario(environment):
        with pytest.raises(StartError, match="again and again"):
            await environment.get(client)


def test_plain_functions_that_call_each_other_from_worker_threads_do_not_wait_for_a_thread():
    """Each outer holds a thread of the executor: the inner one must not need another."""

    @warm_handler
    def inner(event):
        return event

    @warm_handler
    def outer(event):
        return inner(event)

    async def main():
        async with Environment():
            return await asyncio.wait_for(
                asyncio.gather(*(outer.invoke(number) for number in range(60))), PATIENCE
            )

    assert asyncio.run(main()) == list(range(60))


def test_a_thread_that_calls_a_loop_that_ends_is_told():
    @warm_handler
    async def handler(event):
        called.set()
        await asyncio.Event().wait()

    called = threading.Event()
    told = []

    def call():
        try:
            handler(0)
        except BaseException as error:  # noqa: BLE001  whatever it is, it must come
            told.append(error)

    async def main():
        thread = threading.Thread(target=call, daemon=True)
        handler.environment  # noqa: B018  made in this loop
        thread.start()
        await asyncio.to_thread(called.wait, PATIENCE)
        return thread

    asyncio.run(main()).join(PATIENCE)
    assert [type(error) for error in told] == [EnvironmentClosedError]


def test_a_plain_function_may_raise_stop_iteration(inside):
    @warm_handler
    def handler(event):
        return next(iter([]))

    @inside
    async def scenario(environment):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await handler.invoke({})


def test_a_lazy_transaction_that_opens_when_its_invocation_is_over_is_rolled_back(inside):
    seen = []

    @resource(scope="invocation")
    async def tx():
        await asyncio.sleep(1)
        try:
            yield "tx"
        except BaseException as error:
            seen.append(type(error))
            raise
        seen.append("committed")

    tasks = []

    @warm_handler
    async def handler(event, tx: Annotated[Lazy[str], tx]):
        async def use():
            return await tx

        tasks.append(asyncio.create_task(use()))
        await asyncio.sleep(0.1)
        return "done"

    @inside
    async def scenario(environment):
        assert await handler.invoke({}) == "done"
        with pytest.raises(UsageError):
            await tasks[0]

    assert seen == [UsageError]


def test_a_lazy_resource_may_await_another_lazy_one(inside):
    b = FakeResource("b", scope="invocation")

    @resource(scope="invocation")
    async def a(b: Annotated[Lazy[FakeValue], b.resource]):
        yield (await b).use()

    @warm_handler
    async def handler(event, a: Annotated[Lazy[int], a]):
        return await a

    @inside
    async def scenario(environment):
        assert await handler.invoke({}) == 1


def test_prewarm_refuses_what_ends_with_an_invocation(inside):
    tx = FakeResource("tx", scope="invocation")

    @inside
    async def scenario(environment):
        with pytest.raises(UsageError):
            await environment.prewarm(tx.resource)

    assert tx.log == []


def test_environments_are_forgotten_with_their_loops():
    @warm_handler
    async def handler(event):
        return event

    for number in range(20):
        asyncio.run(handler.invoke(number))
    assert len(_registry.living) <= 2


def test_a_mock_for_a_context_sets_no_deadline(inside):
    db = FakeResource("db", starts=[0.5])

    @warm_handler(db=db.resource)
    async def handler(event, context, db, facts: Invocation):
        return facts.deadline, facts.request_id

    @inside
    async def scenario(environment):
        assert await handler.invoke({}, MagicMock()) == (None, None)


def test_what_is_being_started_on_an_outlived_value_is_served_once(inside, recorder):
    db = FakeResource("db", max_age=1)
    api = FakeResource("api", needs={"db": db}, starts=[3.0])

    @warm_handler(api=api.resource)
    async def handler(event, api):
        return api.number

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        waiting = asyncio.create_task(handler.invoke({}))
        await asyncio.sleep(2)
        await environment.get(db.resource)
        assert await waiting == 1
        assert await handler.invoke({}) == 2

    assert "start failed api" not in recorder.story
    assert (api.faults, db.faults) == ([], [])


def test_a_cancellation_of_a_resources_own_making_is_its_failure(inside):
    @resource(scope="invocation")
    async def tx():
        task = asyncio.create_task(asyncio.sleep(10))
        await asyncio.sleep(0)
        task.cancel()
        await task
        yield

    @warm_handler(tx=tx)
    async def handler(event, tx):
        return tx

    @inside
    async def scenario(environment):
        with pytest.raises(StartError) as raised:
            await handler.invoke({})
        assert isinstance(raised.value.__cause__, asyncio.CancelledError)


def test_an_observer_that_calls_a_handler_is_told_that_it_cannot(host):
    told = []

    @warm_handler
    def inner(event):
        return event

    def meddle(event):
        if event.kind is EventKind.INVOCATION_STARTED and not told:
            try:
                inner({})
            except InsideLoopError as error:
                told.append(error)

    @warm_handler(observers=[meddle])
    def outer(event):
        return "done"

    assert outer({}) == "done"
    assert len(told) == 1


def test_a_method_is_refused_at_import_and_a_bound_one_is_not():
    class App:
        def handle(self, event):
            return event

    with pytest.raises(DefinitionError, match="is a method, and nobody passes its self"):
        warm_handler(App.handle)
    assert warm_handler(App().handle)("event") == "event"


def test_a_resource_that_nobody_registered_does_not_pass_for_the_context():
    with pytest.raises(UnknownDependencyError, match="parameter 'db' names no resource"):

        @warm_handler
        async def handler(event, db: str):
            return db


@pytest.mark.parametrize("name", ["context", "ctx", "_", "_unused", "lambda_context"])
def test_the_context_is_known_by_its_name(name):
    handler = warm_handler(eval(f"lambda event, {name}: {name}"))
    assert handler({}, "the context") == "the context"


def test_what_is_to_be_replaced_must_be_a_resource(inside):
    @inside
    async def scenario(environment):
        with pytest.raises(UsageError), environment.override("db", "fake"):
            pass
        with pytest.raises(UsageError):
            await environment.get("db")
        with pytest.raises(UsageError):
            environment.distrust("db")


@pytest.mark.parametrize(
    ("declare", "meant"),
    [
        (lambda: resource(check_timout=3), "check_timeout"),
        (lambda: warm_handler(observer=[print])(lambda event: event), "observers"),
        (lambda: warm_handler(observers=print)(lambda event: event), "observers="),
        (lambda: postgres_pool(maxsize=3), "max_size"),
        (lambda: s3_client(buket="x"), "bucket"),
        (lambda: warm_handler(db=postgres_pool)(lambda event, db: db), "postgres_pool()"),
    ],
)
def test_a_misspelt_option_is_asked_after(declare, meant):
    with pytest.raises(DefinitionError) as raised:
        declare()(lambda: None)
    assert meant in str(raised.value)


def test_the_end_names_the_share_of_the_budget_and_not_the_option(clock):
    hang = FakeResource("hang", closes=[60.0], close_timeout=5)

    async def scenario():
        environment = Environment(clock=clock)
        await environment.get(hang.resource)
        with pytest.raises(ExceptionGroup) as raised:
            await environment.aclose(budget=0.3)
        (error,) = raised.value.exceptions
        assert isinstance(error.__cause__, TimeLimitError)
        assert error.__cause__.option == "its share of the budget"

    run(scenario, clock=clock)


def test_a_slow_close_is_waited_for_once(inside):
    """The host waits for it before the loop stands still, after one call and not after every one."""
    db = FakeResource("db", closes=[0.1])

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        environment.live.retire(environment.live.current[db.resource], "a test")
        assert len(environment.live.take_closing()) == 1
        assert environment.live.take_closing() == []


def test_an_expiry_without_a_time_zone_is_an_error_that_says_so(inside):
    import datetime as dt

    clients = resource(expires_at=lambda value: dt.datetime(2030, 1, 1))(lambda: "client")  # noqa: DTZ001

    @inside
    async def scenario(environment):
        with pytest.raises(StartError, match="without a time zone"):
            await environment.get(clients)
