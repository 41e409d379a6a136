"""Observers that are more than a function: they see the call, are sometimes absent, and settle before a freeze."""

import asyncio
import logging
import weakref
from contextvars import ContextVar, copy_context

import pytest

from warmkit import Environment, EventKind, State, warm_handler
from warmkit.testing import FakeResource, run

seen_by = ContextVar("seen_by", default=())


class Settling:
    """Notes when it is settled, and what it was told by then."""

    def __init__(self, *, fails=False, hangs=False):
        self.told = []
        self.settled = []
        self.fails = fails
        self.hangs = hangs

    def __call__(self, event):
        self.told.append(event.kind)

    async def settle(self):
        await asyncio.sleep(0)
        self.settled.append(self.told[-1])
        if self.fails:
            raise OSError("the collector is down")
        if self.hangs:
            await asyncio.get_running_loop().create_future()


def handlers(observers, **resources):
    """The same handler in each colour."""

    @warm_handler(observers=observers, **resources)
    async def asynchronous(event, context, **values):
        return seen_by.get()

    @warm_handler(observers=observers, **resources)
    def plain(event, context, **values):
        return seen_by.get()

    return {"async": asynchronous, "plain": plain}


def test_an_observer_sees_what_the_handler_was_called_with_and_its_repr_tells_nothing():
    told = []
    event, context = {"password": "hunter2"}, object()
    db = FakeResource("db")

    @warm_handler(observers=[told.append], db=db.resource)
    async def handler(event, context, db):
        return None

    async def main():
        async with Environment():
            await handler.invoke(event, context)

    asyncio.run(main())
    calls = [(item.kind, item.call) for item in told if item.call is not None]
    assert [kind for kind, _ in calls] == [
        EventKind.INVOCATION_STARTED,
        EventKind.INVOCATION_FINISHED,
    ]
    assert [(call.event, call.context) for _, call in calls] == [(event, context)] * 2
    assert "hunter2" not in repr(told)


class Asked(Settling):
    """Listens from the given invocation on, and notes when it is asked; `at` is for the test to set."""

    def __init__(self, *, from_=None):
        super().__init__()
        self.asked = []
        self.from_ = from_
        self.at = 1

    def listens(self):
        self.asked.append(self.at)
        return self.from_ is not None and self.at >= self.from_


async def invoke_each(handler, observer, numbers):
    for observer.at in numbers:
        await handler.invoke(1)


def test_what_a_handler_was_called_with_is_not_kept_by_a_timer_that_it_has_set():
    class Event(dict):
        pass

    kept = []

    @warm_handler(observers=[lambda event: None])
    async def handler(event):
        kept.append(copy_context())  # as each timer does, until the loop throws it away

    async def main():
        event = Event()
        gone = weakref.ref(event)
        async with Environment():
            await handler.invoke(event)
        del event
        assert gone() is None

    run(main)


def test_an_observer_that_does_not_listen_is_asked_at_the_first_invocations_and_then_at_few():
    observer = Asked()

    async def main():
        for _ in range(2):  # in each environment
            async with Environment():
                await invoke_each(handlers([observer])["async"], observer, range(1, 300))

    asyncio.run(main())
    assert observer.asked == [*range(1, 17), 116, 216] * 2


def test_an_observer_that_listens_later_is_told_from_then_on_and_not_asked_again():
    observer = Asked(from_=100)

    async def main():
        async with Environment():
            await invoke_each(handlers([observer])["async"], observer, range(1, 121))

    asyncio.run(main())
    assert observer.asked == [*range(1, 17), 116]
    assert observer.told == [EventKind.INVOCATION_STARTED, EventKind.INVOCATION_FINISHED] * 5


def test_the_observers_of_another_handler_are_asked_whenever_it_is_called():
    observer = Asked()
    bare, watched = handlers([])["async"], handlers([observer])["async"]

    async def main():
        async with Environment():
            await invoke_each(bare, observer, range(1, 51))
            await invoke_each(watched, observer, range(51, 60))
            await invoke_each(bare, observer, range(60, 70))
            await invoke_each(watched, observer, range(70, 80))

    asyncio.run(main())
    assert observer.asked == [51, 70]


def test_while_another_listens_an_observer_is_asked_at_each_invocation():
    observer = Asked()
    handler = handlers([observer])["async"]

    async def main():
        async with Environment() as environment:
            await invoke_each(handler, observer, range(1, 31))
            stop = environment.observe(lambda event: None)
            await invoke_each(handler, observer, range(31, 34))
            stop()
            await invoke_each(handler, observer, range(34, 40))

    asyncio.run(main())
    assert observer.asked == [*range(1, 17), 31, 32, 33, 34]


def test_one_that_starts_to_observe_late_is_told_of_the_next_invocation():
    told = []
    handler = handlers([Asked()])["async"]

    async def main():
        async with Environment() as environment:
            for _ in range(30):
                await handler.invoke(1)
            environment.observe(lambda event: told.append((event.kind, event.invocation)))
            await handler.invoke(1)

    asyncio.run(main())
    assert told == [(EventKind.INVOCATION_STARTED, 31), (EventKind.INVOCATION_FINISHED, 31)]


def test_an_observer_that_does_not_listen_yet_is_asked_again_at_the_next_invocation():
    class Sometimes(Settling):
        answers = iter([False, False, True])

        def listens(self):
            return next(self.answers)

    observer = Sometimes()
    handler = handlers([observer])["async"]

    async def main():
        async with Environment() as environment:
            for _ in range(4):
                await handler.invoke(1)
            await environment.settle()

    asyncio.run(main())
    assert observer.told == [EventKind.INVOCATION_STARTED, EventKind.INVOCATION_FINISHED] * 2
    assert len(observer.settled) == 2  # by us, and at the end


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("kind", ["async", "plain"])
def test_a_synchronous_call_settles_before_it_returns(kind):
    observer = Settling()
    handler = handlers([observer])[kind]
    for count in (1, 2):
        handler(1, None)
        assert observer.settled == [EventKind.INVOCATION_FINISHED] * count


@pytest.mark.usefixtures("host")
def test_a_call_that_fails_settles_too():
    observer = Settling()

    @warm_handler(observers=[observer])
    async def handler(event):
        raise ValueError(event)

    with pytest.raises(ValueError, match="1"):
        handler(1, None)
    assert observer.settled == [EventKind.INVOCATION_FINISHED]


def test_the_end_settles_after_the_last_close():
    observer = Settling()
    db = FakeResource("db")

    async def main():
        async with Environment(observers=[observer]) as environment:
            await environment.get(db.resource)

    asyncio.run(main())
    assert observer.settled == [EventKind.CLOSED]


def test_an_observer_that_hangs_costs_the_end_no_more_than_its_budget(clock):
    observer = Settling(hangs=True)
    db = FakeResource("db", closes=[0.2])

    async def main():
        environment = Environment(observers=[observer], clock=clock)
        async with environment:
            await environment.get(db.resource)
            began = asyncio.get_running_loop().time()
            await environment.aclose(0.5)
        return asyncio.get_running_loop().time() - began

    assert run(main, clock=clock) == pytest.approx(0.5)


def test_an_observer_that_fails_to_settle_is_logged_and_harms_nobody(caplog):
    observers = [Settling(fails=True), Settling()]
    handler = handlers(observers)["async"]

    async def main():
        async with Environment() as environment:
            await handler.invoke(1)
            await environment.settle()
            return observers[1].settled

    assert asyncio.run(main())[0] == EventKind.INVOCATION_FINISHED
    assert [(record.levelno, record.exc_info[0]) for record in caplog.records] == [
        (logging.ERROR, OSError)
    ] * 2


def test_one_that_stops_observing_is_settled_no_more():
    observer = Settling()

    async def main():
        async with Environment() as environment:
            stop = environment.observe(observer)
            stop()
            await environment.settle()

    asyncio.run(main())
    assert observer.settled == []


def test_settling_lets_retired_values_close(inside, clock):
    db = FakeResource("db", max_age=5, closes=[0.1])

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.advance(6)
        await environment.get(db.resource)
        states = [[slot.state for slot in environment.live.alive()]]
        await environment.settle()
        return [*states, [slot.state for slot in environment.live.alive()]]

    assert scenario == [[State.RETIRING, State.WARM], [State.WARM]]


def test_an_observer_settles_when_it_has_been_told_what_closed(clock):
    observer = Settling()
    db = FakeResource("db", max_age=5, closes=[0.1])

    async def main():
        async with Environment(observers=[observer], clock=clock) as environment:
            await environment.get(db.resource)
            clock.advance(6)
            await environment.get(db.resource)
            await environment.settle()
            return list(observer.settled)

    assert run(main, clock=clock) == [EventKind.CLOSED]


def test_settling_does_not_wait_long_for_a_value_that_closes_slowly(inside, clock):
    db = FakeResource("db", max_age=5, closes=[0.5], close_timeout=60.0)

    @inside
    async def scenario(environment):
        await environment.get(db.resource)
        clock.advance(6)
        await environment.get(db.resource)
        began = asyncio.get_running_loop().time()
        await environment.settle()
        return asyncio.get_running_loop().time() - began

    assert scenario == pytest.approx(0.25)


def mark(event):
    if event.kind is EventKind.INVOCATION_STARTED:
        seen_by.set((*seen_by.get(), event.invocation))


@pytest.mark.usefixtures("host")
@pytest.mark.parametrize("kind", ["async", "plain"])
def test_a_handler_sees_the_context_variables_of_its_observers_and_the_next_one_does_not(kind):
    handler = handlers([mark])[kind]
    assert [handler(1, None) for _ in range(3)] == [(1,), (2,), (3,)]
    assert seen_by.get() == ()


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_so_it_is_where_a_loop_runs(kind):
    handler = handlers([mark])[kind]

    async def main():
        async with Environment():
            tasks = [asyncio.create_task(handler.invoke(1)) for _ in range(3)]
            return await asyncio.gather(*tasks)

    assert asyncio.run(main()) == [(1,), (2,), (3,)]
