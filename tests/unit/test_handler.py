"""The front door: one invocation from its event to its outcome."""

import asyncio
import contextlib
import contextvars
import threading
from types import SimpleNamespace
from typing import Annotated

import pytest

from warmkit import (
    CloseError,
    DefinitionError,
    Environment,
    InsideLoopError,
    Invocation,
    Lazy,
    StartError,
    WarmHandler,
    resource,
    warm_handler,
)
from warmkit.testing import HANG, EventRecorder, FakeResource, FakeValue, run
from warmkit.testing.clock import EPOCH

# -- what it is called with, and what it returns


def test_event_and_context_go_through_and_the_result_comes_back(inside):
    @warm_handler
    async def handler(event, context):
        return event, context

    @inside
    async def scenario(environment):
        event, context = object(), object()
        assert await handler.invoke(event, context) == (event, context)
        assert await handler.invoke(event) == (event, None)


def test_a_handler_without_a_context_parameter(inside):
    db = FakeResource("db")

    @warm_handler
    async def handler(event, db: Annotated[FakeValue, db.resource]):
        return event, db.use()

    @inside
    async def scenario(environment):
        assert await handler.invoke("event", "context") == ("event", 1)


def test_a_handler_that_needs_nothing_is_served_too(inside, recorder):
    @warm_handler
    async def handler(event):
        return event

    @inside
    async def scenario(environment):
        assert await handler.invoke(1) == 1

    assert recorder.story == ["invocation 1 started", "invocation 1 finished"]


def test_it_looks_like_its_function():
    @warm_handler
    async def handler(event, context):
        """Does it."""

    assert isinstance(handler, WarmHandler)
    assert (handler.__name__, handler.__doc__) == ("handler", "Does it.")
    assert handler.__wrapped__.__qualname__ in repr(handler)


@pytest.mark.parametrize("function", [asyncio.sleep, None], ids=["coroutine function", "plain"])
def test_it_knows_whether_it_is_async(function):
    def plain(event, context): ...

    async def asynchronous(event, context): ...

    chosen, expected = (asynchronous, True) if function else (plain, False)
    assert warm_handler(chosen).is_async is expected


def test_a_plain_function_runs_in_a_thread_beside_the_loop_and_gets_async_resources(inside):
    db = FakeResource("db", starts=[1.0])

    @warm_handler(db=db.resource)
    def handler(event, context, db):
        return db.use(), threading.current_thread() is threading.main_thread()

    @inside
    async def scenario(environment):
        assert await handler.invoke({}) == (1, False)


def test_an_async_function_behind_a_synchronous_decorator_is_awaited(inside):
    def logged(function):
        def wrapper(*args, **options):
            return function(*args, **options)

        return wrapper

    async def handler(event, context, **resources):
        return resources["db"].use()

    db = FakeResource("db")
    wrapped = logged(handler)
    wrapped.__wrapped__ = handler
    served = warm_handler(db=db.resource)(wrapped)

    @inside
    async def scenario(environment):
        assert await served.invoke({}) == 1


# -- the facts


def test_the_facts_of_an_invocation(inside, clock):
    @warm_handler
    async def handler(event, context, facts: Invocation):
        clock.advance(1)
        return facts

    context = SimpleNamespace(aws_request_id="r-1", get_remaining_time_in_millis=lambda: 3000)

    @inside
    async def scenario(environment):
        first = await handler.invoke({})
        clock.freeze(60)
        second = await handler.invoke({}, context)
        assert [first, second] == [
            Invocation(environment.id, 1, True, 0.0, None, None),
            Invocation(environment.id, 2, False, 60.0, "r-1", EPOCH + 61 + 3),
        ]


# -- what lives for one invocation


def test_it_sees_the_outcome_and_ends_in_reverse_order(inside, recorder):
    log = []

    @resource(scope="invocation")
    async def outer():
        try:
            yield "outer"
        except ValueError as error:
            log.append(f"outer rolls back: {error}")
            raise
        else:
            log.append("outer commits")

    @resource(scope="invocation", outer=outer)
    def inner(outer):
        try:
            yield f"inner of {outer}"
        except ValueError as error:
            log.append(f"inner rolls back: {error}")
            raise
        else:
            log.append("inner commits")

    @warm_handler(inner=inner)
    async def handler(event, context, inner):
        log.append(f"handler with {inner}")
        if event == "bad":
            raise ValueError(event)

    @inside
    async def scenario(environment):
        await handler.invoke("good")
        with pytest.raises(ValueError, match="bad"):
            await handler.invoke("bad")

    assert log == [
        "handler with inner of outer",
        "inner commits",
        "outer commits",
        "handler with inner of outer",
        "inner rolls back: bad",
        "outer rolls back: bad",
    ]
    assert recorder.story == [
        "invocation 1 started",
        "started outer",
        "started inner",
        "closed inner",
        "closed outer",
        "invocation 1 finished",
        "invocation 2 started",
        "started outer",
        "started inner",
        "closed inner",
        "closed outer",
        "invocation 2 finished",
    ]


def test_each_of_two_invocations_at_once_has_its_own(inside):
    tx = FakeResource("tx", scope="invocation")

    @inside
    async def scenario(environment):
        both = asyncio.Barrier(2)

        @warm_handler(tx=tx.resource)
        async def handler(event, context, tx):
            await both.wait()
            return tx.use()

        assert await asyncio.gather(handler.invoke(1), handler.invoke(2)) == [1, 2]

    assert tx.open == []


def test_what_it_depends_on_is_held_for_the_invocation(inside, clock):
    db = FakeResource("db", checks=[OSError("reset")])
    tx = FakeResource("tx", needs={"db": db}, scope="invocation")

    @warm_handler(tx=tx.resource)
    async def handler(event, context, tx):
        await asyncio.sleep(event)
        return tx.use()

    @inside
    async def scenario(environment):
        long = asyncio.create_task(handler.invoke(100))
        await asyncio.sleep(50)
        assert await handler.invoke(0) == 2
        assert await long == 1

    assert (db.faults, tx.faults) == ([], [])


def test_all_of_one_invocation_gets_the_values_that_it_holds(inside):
    """The database is rebuilt by another invocation while this one's first transaction begins."""
    db = FakeResource("db", starts=[None, 4.0], checks=[OSError("reset")], check_after=0.1)
    slow = FakeResource("slow", needs={"db": db}, scope="invocation", starts=[1.0])
    quick = FakeResource("quick", needs={"db": db}, scope="invocation")

    @warm_handler(slow=slow.resource, quick=quick.resource, db=db.resource)
    async def handler(event, context, slow, quick, db):
        return slow.needs["db"], quick.needs["db"], db

    @inside
    async def scenario(environment):
        waiting = asyncio.create_task(handler.invoke({}))
        await asyncio.sleep(0.5)
        other = asyncio.create_task(environment.get(db.resource))
        assert await waiting == (db.values[0],) * 3
        await other


def test_a_commit_that_fails_fails_the_invocation_and_rolls_back_the_rest(inside, recorder):
    seen = []

    @resource(scope="invocation")
    async def outer():
        try:
            yield
        except BaseException as error:
            seen.append(str(error))
            raise

    @resource(scope="invocation", outer=outer)
    async def inner(outer):
        yield
        raise OSError("could not commit")

    @warm_handler(inner=inner)
    async def handler(event, context, inner):
        return "done"

    text = "resource 'inner' did not close after 0.000 s: OSError: could not commit"

    @inside
    async def scenario(environment):
        with pytest.raises(CloseError) as raised:
            await handler.invoke({})
        assert str(raised.value) == text

    assert seen == [text]
    assert recorder.story[-3:] == [
        "close failed inner",
        "closed outer",
        "invocation 1 finished",
    ]


def test_a_roll_back_that_fails_is_noted_on_the_handlers_error(inside):
    @resource(scope="invocation")
    async def tx():
        try:
            yield
        finally:
            raise OSError("could not roll back")

    @warm_handler(tx=tx)
    async def handler(event, context, tx):
        raise ValueError("mine")

    @inside
    async def scenario(environment):
        with pytest.raises(ValueError, match="mine") as raised:
            await handler.invoke({})
        assert raised.value.__notes__ == [
            "also: resource 'tx' did not close after 0.000 s: OSError: could not roll back"
        ]


def test_a_resource_that_swallows_the_handlers_error_does_not_hide_it(inside):
    @resource(scope="invocation")
    async def tx():
        with contextlib.suppress(ValueError):
            yield

    @warm_handler(tx=tx)
    async def handler(event, context, tx):
        raise ValueError("mine")

    @inside
    async def scenario(environment):
        with pytest.raises(ValueError, match="mine"):
            await handler.invoke({})


def test_a_cancelled_invocation_is_rolled_back_and_stays_cancelled(inside, recorder):
    seen = []

    @resource(scope="invocation")
    async def tx():
        try:
            yield
        except BaseException as error:
            seen.append(type(error))
            raise

    @warm_handler(tx=tx)
    async def handler(event, context, tx):
        await HANG()

    @inside
    async def scenario(environment):
        task = asyncio.create_task(handler.invoke({}))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert seen == [asyncio.CancelledError]
    assert recorder.story[-2:] == ["closed tx", "invocation 1 finished"]


@pytest.mark.parametrize("cancellations", [1, 2, 3])
def test_cancelled_while_it_ends_it_ends_nevertheless_and_holds_nothing(
    cancellations, inside, recorder
):
    db = FakeResource("db")
    first = FakeResource("first", needs={"db": db}, scope="invocation")
    second = FakeResource(
        "second", needs={"db": db}, scope="invocation", closes=[10.0], close_timeout=60
    )

    @warm_handler(first=first.resource, second=second.resource)
    async def handler(event, context, first, second):
        return "done"

    @inside
    async def scenario(environment):
        task = asyncio.create_task(handler.invoke({}))
        for _ in range(cancellations):
            await asyncio.sleep(1)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (first.open, second.open) == ([], [])
        assert environment.live.current[db.resource].users == 0
        assert recorder.story[-1] == "invocation 1 finished"


def test_a_second_cancellation_does_not_stop_the_roll_back(inside):
    db = FakeResource("db")
    ended = []

    @resource(scope="invocation", close_timeout=60)
    async def slow():
        try:
            yield
        finally:
            await asyncio.sleep(10)

    @resource(scope="invocation")
    async def first():
        try:
            yield
        finally:
            ended.append("first")

    @warm_handler(db=db.resource, first=first, slow=slow)
    async def handler(event, context, db, first, slow):
        await HANG()

    @inside
    async def scenario(environment):
        task = asyncio.create_task(handler.invoke({}))
        for _ in range(2):
            await asyncio.sleep(1)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended == ["first"]
        assert environment.live.current[db.resource].users == 0


def test_a_start_that_fails_ends_what_had_started_for_the_invocation(inside, recorder):
    tx = FakeResource("tx", scope="invocation")
    broken = FakeResource("broken", scope="invocation", starts=[OSError("refused")])

    @warm_handler(tx=tx.resource, broken=broken.resource)
    async def handler(event, context, tx, broken):
        raise AssertionError("never runs")

    @inside
    async def scenario(environment):
        with pytest.raises(StartError):
            await handler.invoke({})

    assert recorder.story == [
        "invocation 1 started",
        "started tx",
        "start failed broken",
        "closed tx",
        "invocation 1 finished",
    ]
    assert tx.open == []


def test_a_close_that_hangs_costs_its_timeout_and_fails_the_invocation(inside, clock):
    tx = FakeResource("tx", scope="invocation", closes=[HANG], close_timeout=2)

    @warm_handler(tx=tx.resource)
    async def handler(event, context, tx):
        return "done"

    @inside
    async def scenario(environment):
        with pytest.raises(CloseError) as raised:
            await handler.invoke({})
        assert str(raised.value) == (
            "resource 'tx' did not close after 2.000 s: "
            "TimeLimitError: the close took longer than close_timeout = 2 s"
        )
        assert clock.monotonic == 2


def test_it_can_take_the_facts_of_its_invocation(inside):
    @resource(scope="invocation")
    async def numbered(facts: Invocation):
        return facts.number

    @warm_handler(number=numbered)
    async def handler(event, context, number):
        return number

    @inside
    async def scenario(environment):
        assert [await handler.invoke({}), await handler.invoke({})] == [1, 2]


active = contextvars.ContextVar("active", default="nothing")


@resource(scope="invocation")
async def activated():
    token = active.set("span")
    yield
    active.reset(token)


def test_a_context_variable_that_it_sets_is_seen_by_the_handler(inside):
    @warm_handler(span=activated)
    async def handler(event, context, span):
        return active.get()

    @inside
    async def scenario(environment):
        assert await handler.invoke({}) == "span"


def test_a_context_variable_that_it_sets_is_seen_by_a_synchronous_handler_too(host):
    @warm_handler(span=activated)
    def handler(event, context, span):
        return active.get()

    assert handler({}) == "span"


def test_an_override_of_it_is_used_and_not_finished(inside):
    tx = FakeResource("tx", scope="invocation")

    @warm_handler(tx=tx.resource)
    async def handler(event, context, tx):
        return tx

    @inside
    async def scenario(environment):
        with environment.override(tx.resource, "fake"):
            assert await handler.invoke({}) == "fake"

    assert tx.log == []


# -- the handler's own failure


def test_the_handlers_error_is_raised_as_it_is_and_nothing_is_tried_again(inside, recorder):
    calls = []
    error = ValueError("mine")
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        calls.append(event)
        raise error

    @inside
    async def scenario(environment):
        with pytest.raises(ValueError, match="mine") as raised:
            await handler.invoke(1)
        assert raised.value is error
        assert environment.live.current[db.resource].users == 0

    assert calls == [1]
    assert [event.error for event in recorder.events if event.kind == "invocation finished"] == [
        error
    ]


def test_a_synchronous_handler_that_is_cancelled_holds_its_values_until_its_thread_is_done(inside):
    """A thread cannot be cancelled: what it uses must stay open until it returns."""
    db = FakeResource("db")
    go, at_work = threading.Event(), threading.Event()
    used = []

    @warm_handler(db=db.resource)
    def handler(event, context, db):
        at_work.set()
        go.wait(10)
        used.append(db.closed)

    @inside
    async def scenario(environment):
        task = asyncio.create_task(handler.invoke({}))
        await asyncio.to_thread(at_work.wait, 10)
        task.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        environment.live.retire(environment.live.current[db.resource], "a test")
        for _ in range(10):
            await asyncio.sleep(0)
        go.set()
        await asyncio.gather(task, return_exceptions=True)
        while not used:
            await asyncio.to_thread(lambda: None)

    assert used == [False]


# -- declarations that can never work


@pytest.mark.parametrize(
    ("decorate", "text"),
    [
        (
            lambda: warm_handler(resource(name="db")(lambda: 0)),
            (
                "<Resource 'db'> was passed to warm_handler by position.\n"
                "  Name it: @warm_handler(name=resource)"
            ),
        ),
        (lambda: warm_handler("handler"), "a handler must be a function, not str"),
        (
            lambda: warm_handler(db="postgres://")(lambda event, context, db: db),
            (
                "db=... (str) is not a resource.\n"
                "  Make one: @resource on the function that creates the value, or resource(lambda: value)."
            ),
        ),
    ],
)
def test_what_can_never_work_is_an_error_at_import(decorate, text):
    with pytest.raises(DefinitionError) as raised:
        decorate()
    assert str(raised.value) == text


def test_a_plain_handler_that_yields_is_an_error_at_import():
    def handler(event, context):
        yield 1

    with pytest.raises(DefinitionError) as raised:
        warm_handler(handler)
    assert str(raised.value) == (
        f"handler {handler.__qualname__} yields, and is no async def.\n"
        "  Return the response; or stream it, from an async def that yields, with warmkit's runtime."
    )


def test_a_handler_that_is_decorated_twice_is_an_error_at_import():
    db = resource(lambda: "db")

    @warm_handler(db=db)
    async def handler(event, context, db):
        return db

    with pytest.raises(DefinitionError):
        warm_handler(handler)


def test_a_synchronous_call_inside_a_running_loop_is_an_error(inside):
    @warm_handler
    async def handler(event, context):
        return None

    @inside
    async def scenario(environment):
        with pytest.raises(InsideLoopError) as raised:
            handler({})
        assert str(raised.value) == (
            "handler was called synchronously inside a running event loop, which it would block for ever.\n"
            "  Write: await handler.invoke(event, context)"
        )


# -- where it is served


def test_two_handlers_that_name_the_same_resource_share_it(inside):
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    async def first(event, context, db):
        return db

    @warm_handler
    async def second(event, context, pool: Annotated[FakeValue, db.resource]):
        return pool

    @inside
    async def scenario(environment):
        assert await first.invoke({}) is await second.invoke({})


def test_it_is_served_by_the_current_environment(inside):
    @warm_handler
    async def handler(event, context, facts: Invocation):
        return facts.environment_id

    @inside
    async def scenario(environment):
        assert handler.environment is environment
        assert await handler.invoke({}) == environment.id
        async with Environment() as other:
            assert handler.environment is other
            assert await handler.invoke({}) == other.id


def test_its_observers_hear_every_environment_that_serves_it():
    recorder = EventRecorder()

    @warm_handler(observers=[recorder])
    async def handler(event):
        return None

    for _ in range(2):
        run(handler.invoke({}))
    assert recorder.story == ["invocation 1 started", "invocation 1 finished"] * 2


def test_a_lazy_keyword_resource_is_an_accessor(inside):
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    async def handler(event, context, db: Lazy[FakeValue]):
        return isinstance(db, Lazy), (await db).use()

    @inside
    async def scenario(environment):
        assert await handler.invoke({}) == (True, 1)
