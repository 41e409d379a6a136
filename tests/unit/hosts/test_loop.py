"""The persistent loop: synchronous callers, threads, forks, interrupts and the interpreter's exit."""

import asyncio
import gc
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Annotated

import pytest

from warmkit import Environment, Invocation, Lazy, StartError, resource, warm_handler
from warmkit import environment as environment_module
from warmkit.hosts import loop as host_loop
from warmkit.hosts import serving
from warmkit.hosts.loop import PersistentLoop
from warmkit.hosts.runner import Runner
from warmkit.testing import EventRecorder, FakeResource, FakeValue

pytestmark = pytest.mark.usefixtures("host")
PATIENCE = 20
"""Seconds after which a thread that never comes back is a failure and not a test run that hangs."""


# -- one caller


def test_resources_live_on_from_call_to_call():
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        return db.use(), asyncio.get_running_loop()

    first, second = handler(1), handler(2)
    assert first == second
    assert db.log == ["start 1"]
    handler.close()
    assert db.log == ["start 1", "close 1"]


def test_after_a_close_the_next_call_starts_anew():
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        return db.use()

    assert handler(1) == 1
    handler.close()
    assert handler(2) == 2
    handler.close()
    assert db.log == ["start 1", "close 1", "start 2", "close 2"]


def test_a_synchronous_handler_gets_the_value_of_an_async_resource():
    db = FakeResource("db", starts=[0.0])

    @warm_handler(db=db.resource)
    def handler(event, context, db):
        return db.use(), threading.current_thread() is threading.main_thread()

    assert handler(1) == handler(2) == (1, True)
    handler.close()


def test_a_synchronous_handler_may_run_a_loop_of_its_own():
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    def handler(event, context, db):
        async def own():
            await asyncio.sleep(0)
            return db.use()

        return asyncio.run(own())

    assert (handler(1), handler(2)) == (1, 1)
    handler.close()


def test_a_synchronous_handler_sees_its_facts_and_the_outcome_reaches_its_transaction():
    seen = []

    @resource(scope="invocation")
    async def tx():
        try:
            yield "tx"
        except ValueError as error:
            seen.append(f"roll back: {error}")
            raise
        else:
            seen.append("commit")

    @warm_handler(tx=tx)
    def handler(event, context, tx, facts: Invocation):
        if event == "bad":
            raise ValueError(event)
        return facts.number

    assert handler("good") == 1
    with pytest.raises(ValueError, match="bad"):
        handler("bad")
    assert seen == ["commit", "roll back: bad"]


def test_what_a_call_leaves_behind_begins_before_the_loop_stands_still():
    begun = []

    async def beginning(number):
        begun.append(number)

    @warm_handler
    async def handler(event):
        loop = asyncio.get_running_loop()
        loop.call_soon(begun.append, f"callback {event}")
        left.append(loop.create_task(beginning(event)))

    left = []
    for number in (1, 2):
        handler(number)
        assert begun[-2:] == [f"callback {number}", number]
    handler.close()


def test_a_call_that_is_cancelled_before_it_begins_ends():
    host = PersistentLoop()
    host._runner = Runner(host.loop)  # a loop on which calls begin with a turn
    host.loop.call_soon(lambda: [task.cancel() for task in asyncio.all_tasks(host.loop)])
    with pytest.raises(asyncio.CancelledError):
        host.run(asyncio.sleep(0))
    host.loop.close()


def test_a_call_that_was_given_up_does_not_stop_the_next_one():
    """It ignores its cancellation until nobody has patience with it, and ends while another call waits."""
    host = PersistentLoop()
    gone_on = host.loop.create_future()

    def interrupt():
        raise KeyboardInterrupt

    async def stubborn():
        host.loop.call_soon(interrupt)
        try:
            await host.loop.create_future()
        except asyncio.CancelledError:
            host.loop.call_soon(interrupt)
            with suppress(asyncio.CancelledError):
                await gone_on

    async def next_one():
        gone_on.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        return "whole"

    with pytest.raises(KeyboardInterrupt):
        host.run(stubborn())
    host.loop.call_soon(int)  # something that waits for its turn
    assert host.run(next_one()) == "whole"
    host.loop.close()


def test_a_failed_start_is_raised_and_tried_again_by_the_next_call():
    db = FakeResource("db", starts=[OSError("refused")])

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        return db.use()

    with pytest.raises(StartError):
        handler(1)
    assert handler(2) == 1
    handler.close()


def test_one_handler_may_call_another():
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    async def inner(event, context, db):
        return db.use()

    @warm_handler
    def outer(event):
        return inner(event)

    @warm_handler
    async def from_a_thread(event):
        return await asyncio.to_thread(inner, event)

    assert (outer(1), from_a_thread(1)) == (1, 1)
    inner.close()


def test_a_value_that_is_retired_during_a_call_is_closed_before_the_loop_stands_still():
    dead = set()
    db = FakeResource("db", alive=lambda value: value.number not in dead, closes=[0.01])

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        return db.use()

    handler(1)
    dead.add(1)
    assert handler(2) == 2
    assert db.open == [2]
    handler.close()


def test_an_override_holds_for_synchronous_calls():
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    def handler(event, context, db):
        return db

    with handler.environment.override(db.resource, "fake"):
        assert handler(1) == "fake"
    assert handler(2).use() == 1
    handler.close()


# -- interrupts


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("kind", ["async", "plain"])
def test_an_interrupt_in_a_handler_is_raised_and_the_environment_stays_warm(interrupt, kind):
    recorder = EventRecorder()
    db = FakeResource("db")
    tx = FakeResource("tx", scope="invocation")

    def work(event, db):
        if event == "stop":
            raise interrupt
        return db.use()

    if kind == "async":

        @warm_handler(db=db.resource, tx=tx.resource, observers=[recorder])
        async def handler(event, context, db, tx):
            return work(event, db)
    else:

        @warm_handler(db=db.resource, tx=tx.resource, observers=[recorder])
        def handler(event, context, db, tx):
            return work(event, db)

    with pytest.raises(interrupt):
        handler("stop")
    assert recorder.story == [
        "invocation 1 started",
        "started db",
        "started tx",
        "closed tx",
        "invocation 1 finished",
    ]
    assert handler("go") == 1
    handler.close()
    assert (db.log, tx.open) == (["start 1", "close 1"], [])


def test_an_interrupt_while_a_handler_waits_cancels_it_and_is_raised():
    db = FakeResource("db")
    ended = []

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        asyncio.get_running_loop().call_soon(_interrupt)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(db.use())

    with pytest.raises(KeyboardInterrupt):
        handler(1)
    assert ended == [1]
    handler.close()


def test_an_interrupt_is_raised_also_when_the_handler_turns_its_cancellation_into_an_error():
    @warm_handler
    async def handler(event):
        asyncio.get_running_loop().call_soon(_interrupt)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("in the middle of something") from None

    with pytest.raises(KeyboardInterrupt):
        handler(1)


def _interrupt():
    raise KeyboardInterrupt


# -- threads


def gathered(function, count):
    """Calls the function in so many threads at once; returns the results."""
    results = [Future() for _ in range(count)]

    def call(number):
        try:
            results[number].set_result(function(number))
        except BaseException as error:  # noqa: BLE001  raised again by result()
            results[number].set_exception(error)

    for number in range(count):  # daemons: one that is stuck fails its test and not the whole run
        threading.Thread(target=call, args=(number,), daemon=True).start()
    return [result.result(PATIENCE) for result in results]


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_threads_that_call_at_once_share_one_loop_and_one_value(kind):
    db = FakeResource("db", starts=[0.01])

    if kind == "async":

        @warm_handler(db=db.resource)
        async def handler(event, context, db):
            await asyncio.sleep(0.001)
            return event, db.use()
    else:

        @warm_handler(db=db.resource)
        def handler(event, context, db):
            return event, db.use()

    for _ in range(5):
        assert gathered(handler, 16) == [(number, 1) for number in range(16)]
    live = handler.environment.live
    live.dissolve()
    assert [slot.users for slot in live.current.values()] == [0]
    handler.close()
    assert db.log == ["start 1", "close 1"]


def test_threads_that_call_at_once_wait_for_each_other_inside_the_loop():
    """No hand-over may be lost: each invocation needs all others to be running."""
    count = 8
    waiting = []
    everybody = []

    @warm_handler
    async def handler(event):
        waiting.append(event)
        if not everybody:
            everybody.append(asyncio.Event())
        if len(waiting) == count:
            everybody[0].set()
        await everybody[0].wait()
        return event

    assert gathered(handler, count) == list(range(count))


def test_when_the_driver_is_done_first_another_thread_drives_on():
    order = []
    follows = threading.Event()

    @warm_handler
    async def handler(event):
        if event == "leader":
            # the loop turns until the other one's work is in it
            while not follows.is_set():  # noqa: ASYNC110  set by another thread
                await asyncio.sleep(0)
        else:
            follows.set()
            for _ in range(50):
                await asyncio.sleep(0.0001)
        order.append(event)
        return event

    def call(number):
        if number:
            while not handler.environment.loop.is_running():
                time.sleep(0)
            return handler("follower")
        return handler("leader")

    assert gathered(call, 2) == ["leader", "follower"]
    assert order == ["leader", "follower"]


def test_many_short_calls_from_many_threads_lose_no_wake_up():
    @warm_handler
    async def quick(event):
        return event

    @warm_handler
    async def slow(event):
        await asyncio.sleep(0.0005)
        return event

    def calls(number):
        return [(quick if (number + turn) % 2 else slow)(turn) for turn in range(60)]

    assert gathered(calls, 8) == [list(range(60))] * 8


def test_an_error_in_one_thread_is_raised_there_only():
    @warm_handler
    async def handler(event):
        await asyncio.sleep(0)
        if event % 2:
            raise ValueError(event)
        return event

    def call(number):
        try:
            return handler(number)
        except ValueError as error:
            return str(error)

    assert gathered(call, 8) == [0, "1", 2, "3", 4, "5", 6, "7"]


def test_an_exit_in_one_threads_handler_ends_no_other_invocation():
    leading = threading.Event()
    release = []

    @warm_handler
    async def handler(event):
        if event == "leader":
            release.append(asyncio.Event())
            leading.set()
            await release[0].wait()
            return "led"
        asyncio.get_running_loop().call_later(0.05, release[0].set)
        raise SystemExit(3)

    def call(number):
        try:
            if number == 0:
                return handler("leader")
            leading.wait(PATIENCE)
            return handler("exits")
        except BaseException as error:  # noqa: BLE001  an exit is what is looked for
            return repr(error)

    assert gathered(call, 2) == ["led", "SystemExit(3)"]


def test_two_threads_that_are_first_share_one_environment(monkeypatch):
    both = threading.Barrier(2)

    class Slow(Environment):
        def __init__(self, **options):
            with suppress(threading.BrokenBarrierError):
                both.wait(0.2)  # both are in here at once, unless somebody sees to it
            super().__init__(**options)

    monkeypatch.setattr(environment_module, "Environment", Slow)

    @warm_handler
    async def handler(event, facts: Invocation):
        return facts.environment_id

    first, second = gathered(handler, 2)
    assert first == second


def test_a_value_is_not_closed_between_the_look_and_the_hold_of_another_thread():
    """A thread finds the value fresh; before it holds it, the loop in the other thread retires it."""
    db = FakeResource("db")
    looked, go_on = threading.Event(), threading.Event()

    @warm_handler(db=db.resource)
    def uses(event, context, db):
        return db.use()

    @warm_handler
    async def retires(event):
        live = handler_environment.live
        live.retire(live.current[db.resource], "a test")
        for _ in range(5):
            await asyncio.sleep(0)

    uses(0)
    handler_environment = uses.environment

    def pause(event):
        if event.kind == "reused" and not looked.is_set():
            looked.set()
            go_on.wait(0.3)

    stop = handler_environment.observe(pause)

    def call(number):
        if number == 0:
            return uses(1)
        looked.wait(PATIENCE)
        retires(2)
        go_on.set()
        return None

    results = gathered(call, 2)
    stop()
    uses.close()
    assert results[0] in {1, 2}
    assert db.faults == []


def test_a_call_from_a_worker_thread_is_handed_to_the_loop_that_runs_elsewhere():
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        return asyncio.get_running_loop(), db.use()

    async def main():
        here = asyncio.get_running_loop()
        assert await handler.invoke(1) == (here, 1)
        assert await asyncio.to_thread(handler, 2) == (here, 1)
        thread = threading.Thread(target=lambda: results.append(handler(3)))
        thread.start()
        while thread.is_alive():  # noqa: ASYNC110  a thread has no event of this loop
            await asyncio.sleep(0.001)
        assert results == [(here, 1)]

    results = []
    asyncio.run(main())
    assert db.log == ["start 1", "close 1"]
    assert host_loop._kept == []


def test_a_call_from_a_worker_thread_is_handed_to_the_entered_environment():
    @warm_handler
    async def handler(event, facts: Invocation):
        return facts.environment_id

    async def main():
        async with Environment() as environment:
            assert await asyncio.to_thread(handler, 1) == environment.id

    asyncio.run(main())


def test_a_retired_value_in_use_delays_no_call():
    """Another thread holds the old value: nobody else is to wait for its close."""
    alive = [True]
    db = FakeResource("db", alive=lambda value: value.number > 1 or alive[0])
    holding, done = threading.Event(), threading.Event()
    waited = []

    @warm_handler(db=db.resource)
    async def handler(event, context, db):
        if event == "long":
            holding.set()
            while not done.is_set():  # noqa: ASYNC110  set by another thread
                await asyncio.sleep(0.001)
        return db.use()

    def call(number):
        if number == 0:
            return handler("long")
        holding.wait(PATIENCE)
        alive[0] = False
        handler("short")
        waited.extend(handler.environment.live.take_closing())
        done.set()
        return None

    handler("first")
    assert gathered(call, 2) == [1, None]
    handler.close()
    assert waited == []


# -- whose environment is meant


@pytest.fixture
def running_elsewhere():
    """Event loops that run in threads of their own."""
    loops = [asyncio.new_event_loop() for _ in range(2)]
    threads = [threading.Thread(target=loop.run_forever) for loop in loops]
    for thread in threads:
        thread.start()
    yield loops
    for loop, thread in zip(loops, threads, strict=True):
        if loop.is_running():
            loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(environment_module.default_environment(loop).aclose())
        loop.close()


@warm_handler
async def where(event):
    return asyncio.get_running_loop()


def invoked_in(loop):
    return asyncio.run_coroutine_threadsafe(where.invoke(None), loop).result(PATIENCE)


def test_the_only_loop_that_runs_elsewhere_is_meant_and_of_two_neither(running_elsewhere):
    first, second = running_elsewhere
    assert invoked_in(first) is first
    assert where(None) is first
    assert invoked_in(second) is second
    own = where(None)
    assert own not in running_elsewhere
    assert own is host_loop.kept_loop().loop


def test_the_loop_of_synchronous_calls_is_shared_and_not_reached_from_elsewhere(
    running_elsewhere, monkeypatch
):
    loop = running_elsewhere[0]
    assert invoked_in(loop) is loop
    loop.call_soon_threadsafe(loop.stop)  # it is known, and stands still
    inside, go_on = threading.Event(), threading.Event()

    @warm_handler
    async def holds(event):
        inside.set()
        go_on.wait(PATIENCE)

    thread = threading.Thread(target=holds, args=(None,))
    while loop.is_running():
        time.sleep(0.001)
    thread.start()
    assert inside.wait(PATIENCE)
    monkeypatch.setattr(serving, "RemoteLoop", None)
    call = threading.Thread(target=lambda: loops.append(where(None)))
    loops = []
    call.start()
    go_on.set()
    thread.join()
    call.join(PATIENCE)
    assert loops == [host_loop.kept_loop().loop]


def test_a_loop_that_another_thread_makes_meanwhile_is_followed_and_not_taken_for_elsewhere(
    monkeypatch,
):
    """Of two first calls at once, one may look while the other makes the loop and drives it."""
    looked, driving, plain = threading.Event(), threading.Event(), serving.environment_elsewhere

    def slow(apart_from):
        if threading.current_thread() is late:
            looked.set()
            assert driving.wait(PATIENCE)
        return plain(apart_from)

    @warm_handler
    async def handler(event):
        if event == "drives":
            driving.set()
        for _ in range(100):  # for as long as the other one may look
            await asyncio.sleep(0.001)
        return event

    results = []
    late = threading.Thread(target=lambda: results.append(handler("follows")), daemon=True)
    monkeypatch.setattr(serving, "environment_elsewhere", slow)
    monkeypatch.setattr(serving, "RemoteLoop", None)
    late.start()
    assert looked.wait(PATIENCE)
    assert handler("drives") == "drives"
    late.join(PATIENCE)
    assert results == ["follows"]


def test_an_entered_environment_of_a_loop_that_is_not_asked_for_is_not_meant(running_elsewhere):
    loop = running_elsewhere[0]
    assert invoked_in(loop) is loop
    environment = environment_module.default_environment(loop)
    token = environment_module._current.set(environment)
    try:
        assert environment_module.environment_elsewhere(None) is environment
        assert environment_module.environment_elsewhere(loop) is None
    finally:
        environment_module._current.reset(token)


def test_an_entered_environment_whose_loop_stands_still_is_not_meant():
    loop = asyncio.new_event_loop()
    environment = Environment()
    loop.run_until_complete(environment.__aenter__())
    token = environment_module._current.set(environment)
    try:
        assert where(None) is not loop
    finally:
        environment_module._current.reset(token)
        loop.run_until_complete(environment.aclose())
        loop.close()


# -- the loop by itself


def test_a_closed_loop_is_closed_once():
    loop = PersistentLoop()
    loop.close()
    loop.close()
    assert loop.loop.is_closed()


def test_what_a_handler_left_running_is_cancelled_at_the_end():
    """As `asyncio.run` does: else its `finally` never runs, and the interpreter complains of a pending task."""
    ended = []

    async def left_behind():
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    tasks = []

    @warm_handler
    async def handler(event):
        tasks.append(asyncio.create_task(left_behind()))
        await asyncio.sleep(0)

    handler(1)
    host_loop._kept.pop().close()
    for task in tasks:  # so that a failure is told by the assertion, not by the collector
        task._log_destroy_pending = False
    tasks.clear()
    before = list(ended)
    gc.collect()
    assert before == ["cancelled"]


def test_a_lazy_value_in_a_synchronous_handler_can_be_awaited_through_a_coroutine():
    db = FakeResource("db")

    async def work(db):
        return (await db).use()

    @warm_handler
    def handler(event, context, db: Annotated[Lazy[FakeValue], db.resource]):
        return work(db)

    assert handler(1) == 1
    handler.close()
