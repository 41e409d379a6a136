"""The first step without a turn: all is as in a turn of the loop, and nobody on it is kept waiting."""

import asyncio
import contextvars
import gc
import logging
import socket
import sys
import threading
import weakref
from contextlib import closing, suppress

import pytest

from warmkit.hosts import loop as host_loop
from warmkit.hosts import runner
from warmkit.hosts.loop import PersistentLoop
from warmkit.hosts.runner import CATCH_UP, PromptRunner, Runner, runner_of
from warmkit.runtime.selector import loop_of_many

PATIENCE = 20


@pytest.fixture
def host():
    host = PersistentLoop()
    yield host
    if not host.loop.is_closed():
        host.loop.run_until_complete(host.loop.shutdown_asyncgens())
        host.loop.close()


@pytest.fixture(params=["at once", "in turns"])
def both(request, host):
    """A host that takes first steps at once, and one that does not: both have to behave alike."""
    if request.param == "in turns":
        host._runner = Runner(host.loop)
    return host


def turns_of(host, monkeypatch):
    """Returns where each turn of the loop leaves a mark."""
    turns, run_once = [], host.loop._run_once

    def counted():
        turns.append(1)
        run_once()

    monkeypatch.setattr(host.loop, "_run_once", counted)
    return turns


async def nothing():
    return "done"


def test_what_never_waits_takes_no_turn(host, monkeypatch):
    turns = turns_of(host, monkeypatch)
    assert host.run(nothing()) == "done"
    assert turns == []
    assert host.run(asyncio.sleep(0, "late")) == "late"
    assert turns != []


def test_the_first_step_finds_what_it_finds_on_a_loop_that_runs(both):
    async def look():
        loop = asyncio.get_running_loop()
        hooks = sys.get_asyncgen_hooks()
        task = asyncio.current_task()
        found = (
            loop is both.loop,
            loop.is_running(),
            hooks.firstiter == loop._asyncgen_firstiter_hook,
            hooks.finalizer == loop._asyncgen_finalizer_hook,
            task in asyncio.all_tasks(),
            task.get_name(),
        )
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            child = group.create_task(nothing())
        assert asyncio.current_task() is task
        return found, child.result()

    before = sys.get_asyncgen_hooks()
    assert both.run(look()) == ((True, True, True, True, True, "warmkit:call"), "done")
    assert sys.get_asyncgen_hooks() == before
    assert asyncio._get_running_loop() is None
    assert not both.loop.is_running()
    assert not asyncio.all_tasks(both.loop)


def test_the_hooks_that_were_there_come_back(both):
    def of_somebody(agen): ...

    before = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=of_somebody, finalizer=of_somebody)
    try:
        assert both.run(nothing()) == "done"
        assert sys.get_asyncgen_hooks() == (of_somebody, of_somebody)
    finally:
        sys.set_asyncgen_hooks(*before)


def arrange_callback(loop, note):
    loop.call_soon(note)


def arrange_timer(loop, note):
    loop.call_at(loop.time(), note)


def arrange_socket(loop, note):
    ours, theirs = socket.socketpair()
    theirs.send(b"x")

    def read():
        note()
        loop.remove_reader(ours)
        ours.close()
        theirs.close()

    loop.add_reader(ours, read)


def arrange_thread(loop, note):
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(note,))
    thread.start()
    thread.join()


@pytest.mark.parametrize(
    "arrange", [arrange_callback, arrange_timer, arrange_socket, arrange_thread]
)
def test_what_waits_has_its_turn_first(host, arrange):
    order = []
    arrange(host.loop, lambda: order.append("what waited"))

    async def call():
        order.append("the first step")

    host.run(call())
    assert order == ["what waited", "the first step"]


def test_a_timer_that_was_cancelled_keeps_nobody_waiting(host):
    seen = []
    host.loop.call_at(host.loop.time(), int).cancel()
    host.loop.call_at(host.loop.time(), seen.append, "due")
    host.loop.call_later(3600, int)
    results = []
    thread = threading.Thread(target=lambda: results.append(host.run(nothing())), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert (results, seen) == (["done"], ["due"])


def test_timers_are_looked_at_where_they_are(host, monkeypatch):
    """asyncio makes another list of them where many were cancelled."""
    timers = [host.loop.call_at(host.loop.time(), int) for _ in range(200)]
    for timer in timers:
        timer.cancel()
    host.run(asyncio.sleep(0))
    turns, seen = turns_of(host, monkeypatch), []
    assert host.run(nothing()) == "done"
    assert turns == []
    host.loop.call_at(host.loop.time(), seen.append, "due")
    assert host.run(nothing()) == "done"
    assert seen == ["due"]


def test_a_task_that_is_always_ready_keeps_nobody_waiting_for_ever(host):
    turns = []

    async def restless():
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    async def begin():
        return asyncio.create_task(restless())

    task = host.run(begin())
    turns.clear()
    assert host.run(nothing()) == "done"
    assert 0 < len(turns) <= CATCH_UP + 1
    task.cancel()


def test_what_is_interrupted_before_it_begins_never_does(host):
    def interrupt():
        raise KeyboardInterrupt

    host.loop.call_soon(interrupt)
    with pytest.raises(KeyboardInterrupt):  # and no warning of a coroutine that nobody awaited
        host.run(nothing())
    assert host.run(nothing()) == "done"


def test_what_is_not_due_yet_is_left_where_it_is(host, monkeypatch):
    turns = turns_of(host, monkeypatch)
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        host.loop.add_reader(ours, int)
        timer = host.loop.call_later(3600, int)
        assert host.run(nothing()) == "done"
        assert turns == []
        timer.cancel()
        host.loop.remove_reader(ours)


def test_what_it_leaves_behind_begins(both):
    begun = []

    async def left_behind():
        begun.append("task")

    async def call():
        asyncio.get_running_loop().call_soon(begun.append, "callback")
        return asyncio.create_task(left_behind())

    assert both.run(call()).done()
    assert begun == ["callback", "task"]


def test_its_context_is_the_one_given_else_a_copy(both):
    variable = contextvars.ContextVar("variable", default="before")
    given = contextvars.copy_context()

    async def change(value):
        variable.set(value)
        await asyncio.sleep(0)
        return variable.get()

    assert both.run(change("inside")) == "inside"
    assert variable.get() == "before"
    assert both.run(change("inside"), context=given) == "inside"
    assert (variable.get(), given[variable]) == ("before", "inside")


def test_nothing_of_a_call_is_kept(both):
    class Large:
        pass

    variable, large = contextvars.ContextVar("variable"), Large()
    context = contextvars.copy_context()
    context.run(variable.set, large)
    seen = weakref.ref(large)
    both.run(nothing(), context=context)
    del large, context
    gc.collect()
    assert seen() is None


def test_a_generator_that_it_leaves_open_is_known_to_the_loop(both):
    closed = []

    async def numbers():
        try:
            yield 1
        finally:
            closed.append("closed")

    kept = numbers()

    async def call():
        return await anext(kept)

    assert both.run(call()) == 1
    both.loop.run_until_complete(both.loop.shutdown_asyncgens())
    assert closed == ["closed"]


@pytest.mark.parametrize("steps", [0, 1])
@pytest.mark.parametrize("exit_", [KeyboardInterrupt, SystemExit, ValueError, GeneratorExit])
def test_what_it_raises_is_raised_and_told_to_nobody_else(both, caplog, exit_, steps):
    async def call():
        for _ in range(steps):
            await asyncio.sleep(0)
        raise exit_("asked for")

    with caplog.at_level(logging.DEBUG, "asyncio"), pytest.raises(exit_, match="asked for"):
        both.run(call())
    assert both.run(nothing()) == "done"
    assert caplog.records == []


def test_one_that_stops_the_loop_stops_nothing_else(host):
    async def call():
        asyncio.get_running_loop().stop()
        return "done"

    assert host.run(call()) == "done"
    assert host.loop.run_until_complete(asyncio.sleep(0, "late")) == "late"


def test_one_that_stops_the_loop_and_waits_makes_it_wait_too(host, monkeypatch):
    plain, timeouts = host.loop._selector.select, []

    def select(timeout=None):
        timeouts.append(timeout)
        return plain(timeout)

    async def call():
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)

    monkeypatch.setattr(host.loop._selector, "select", select)
    host.run(call())
    assert max(timeouts) > 0


def test_a_closed_loop_says_so(both):
    both.loop.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        both.run(nothing())


def test_inside_another_loop_it_is_refused_and_the_other_runs_on(both):
    async def other():
        with pytest.raises(RuntimeError, match="while another loop is running"):
            both.run(nothing())
        return await asyncio.sleep(0, asyncio.get_running_loop())

    loop = asyncio.new_event_loop()
    with closing(loop):
        assert loop.run_until_complete(other()) is loop


def test_a_loop_that_another_thread_runs_is_refused(both):
    begun = threading.Event()
    both.loop.call_soon(begun.set)
    thread = threading.Thread(target=both.loop.run_forever)
    thread.start()
    assert begun.wait(PATIENCE)
    with pytest.raises(RuntimeError, match="already running"):
        both.run(nothing())
    both.loop.call_soon_threadsafe(both.loop.stop)
    thread.join()


@pytest.mark.parametrize("how", ["debug", "factory"])
def test_a_loop_that_is_watched_makes_its_tasks_in_its_own_way(host, how):
    made = []

    def factory(loop, work, **options):
        made.append(work)
        return asyncio.Task(work, loop=loop, **options)

    if how == "factory":
        host.loop.set_task_factory(factory)
    else:
        host.loop.set_debug(True)
    assert host.run(nothing()) == "done"
    assert len(made) == (how == "factory")


def test_only_loops_that_are_known_take_first_steps():
    class Other(asyncio.SelectorEventLoop):
        pass

    for make, known in (
        (asyncio.SelectorEventLoop, True),
        (Other, False),
        (loop_of_many, False),  # a look at its selector takes what it finds
    ):
        with closing(make()) as loop:
            assert isinstance(runner_of(loop), PromptRunner) is known
            host = PersistentLoop(loop)
            assert host.run(nothing()) == "done"


# -- what comes in between


def test_what_a_finalizer_asks_of_the_loop_while_a_task_is_made_is_done(both):
    """The collector runs whenever it likes, and closes what was left open: transports, generators, tasks of theirs."""
    asked, done = [], []

    async def late(number):
        done.append(number)

    class Owner:
        def __init__(self):
            self.itself = self

        def __del__(self):
            number = len(asked)
            loop = both.loop
            ways = [
                lambda: loop.call_soon(done.append, number),
                lambda: tasks.append(loop.create_task(late(number))),
                lambda: loop.call_soon(done.append, number, context=contextvars.Context()),
            ]
            asked.append(number)
            ways[number % 3]()

    tasks = []
    before = gc.get_threshold()
    try:
        for number in range(300):
            gc.disable()
            Owner()
            gc.enable()
            gc.set_threshold(1 + number % 40)
            assert both.run(nothing()) == "done"
    finally:
        gc.set_threshold(*before)
    gc.collect()
    both.run(asyncio.sleep(0))
    both.run(asyncio.sleep(0))
    assert len(asked) == 300
    assert sorted(done) == asked


def test_a_loop_whose_call_soon_is_somebodys_keeps_it(both):
    seen = []
    plain = both.loop.call_soon

    def watched(callback, *args, context=None):
        seen.append(callback)
        return plain(callback, *args, context=context)

    both.loop.call_soon = watched
    assert both.run(nothing()) == "done"
    assert both.run(asyncio.sleep(0, "late")) == "late"
    assert both.loop.call_soon is watched
    assert seen


@pytest.mark.parametrize("name", ["_set_hooks", "_set_running_loop", "_this_thread"])
def test_an_interrupt_before_anything_has_begun_leaves_the_loop_as_it_was(host, monkeypatch, name):
    plain, interrupted = getattr(runner, name), []

    def once(*args):
        result = plain(*args)
        if not interrupted:
            interrupted.append(1)
            raise KeyboardInterrupt
        return result

    before = sys.get_asyncgen_hooks()
    monkeypatch.setattr(runner, name, once)
    with pytest.raises(KeyboardInterrupt):
        host.run(nothing())
    assert asyncio._get_running_loop() is None
    assert sys.get_asyncgen_hooks() == before
    assert host.run(nothing()) == "done"


def test_an_interrupt_just_after_the_first_step_ends_what_waits_in_order(host, monkeypatch):
    ended, begun = [], PromptRunner._begun

    def interrupted(self, work, context):
        begun(self, work, context)
        raise KeyboardInterrupt

    async def call():
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            await asyncio.sleep(0)
            ended.append("in order")

    monkeypatch.setattr(PromptRunner, "_begun", interrupted)
    with pytest.raises(KeyboardInterrupt):
        host.run(call())
    assert ended == ["in order"]
    assert not asyncio.all_tasks(host.loop)


@pytest.mark.parametrize("exit_", [KeyboardInterrupt(), SystemExit(3)])
def test_an_exit_that_is_returned_is_a_result(both, exit_):
    async def call():
        return exit_

    assert both.run(call()) is exit_


def test_the_debug_mode_that_a_handler_turns_on_ends_with_its_call(both):
    async def call():
        asyncio.get_running_loop().set_debug(True)

    both.run(call())
    assert sys.get_coroutine_origin_tracking_depth() == 0


# -- cancelled from another thread


def in_its_first_step(host, then):
    """Runs a call that another thread cancels while it computes; returns what that thread was told, and the outcome."""
    inside, told, heard = threading.Event(), threading.Event(), []

    def cancel():
        inside.wait(PATIENCE)
        heard.append(host.cancel())
        told.set()

    async def call():
        inside.set()
        return await then(told)

    thread = threading.Thread(target=cancel)
    thread.start()
    try:
        outcome = host.run(call())
    except asyncio.CancelledError:
        outcome = "cancelled"
    thread.join()
    return heard, outcome


def test_one_that_waits_after_its_first_step_is_cancelled(both, monkeypatch):
    monkeypatch.setattr(host_loop, "HEARING", PATIENCE)

    async def wait(told):
        await asyncio.sleep(PATIENCE)
        return "whole"

    assert in_its_first_step(both, wait) == ([True], "cancelled")


def test_one_that_only_computes_does_not_hear_it_and_nobody_later_does(both):
    async def compute(told):
        told.wait(PATIENCE)
        return "whole"

    assert in_its_first_step(both, compute) == ([False], "whole")
    assert both.run(asyncio.sleep(0, "next")) == "next"


def test_one_that_does_not_hear_it_in_time_is_not_cancelled_later(both):
    async def compute_and_wait(told):
        told.wait(PATIENCE)
        return await asyncio.sleep(0, "whole")  # as a rollback does

    assert in_its_first_step(both, compute_and_wait) == ([False], "whole")


def test_where_the_loop_runs_for_somebody_else_nothing_is_cancelled(both):
    thread = threading.Thread(target=both.loop.run_forever)
    with both._driver:
        thread.start()
        assert not both.cancel()
        both.loop.call_soon_threadsafe(both.loop.stop)
        thread.join()


def test_while_nothing_runs_there_is_nothing_to_cancel(both):
    assert both.run(nothing()) == "done"
    assert not both.cancel()
    assert not both.loop._ready
    assert both.run(asyncio.sleep(0, "next")) == "next"


def test_many_threads_each_get_their_own(both):
    barrier, results = threading.Barrier(8), {}

    async def call(number, turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        return number

    def many(number):
        barrier.wait(PATIENCE)
        results[number] = [both.run(call(number, turns % 3)) for turns in range(200)]

    threads = [threading.Thread(target=many, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert results == {number: [number] * 200 for number in range(8)}


def test_what_is_interrupted_later_is_given_up(both):
    ended = []

    def interrupt():
        raise KeyboardInterrupt

    async def call():
        both.loop.call_soon(interrupt)
        try:
            await asyncio.sleep(PATIENCE)
        finally:
            ended.append("ended")

    with suppress(KeyboardInterrupt):
        both.run(call())
    assert ended == ["ended"]
    assert both.run(nothing()) == "done"
