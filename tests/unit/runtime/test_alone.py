"""One invocation at a time: the loop runs only while one is served, and plain functions run where they always did."""

import asyncio
import contextvars
import gc
import os
import sys
import threading

import pytest

from warmkit import Invocation, after_response, warm_handler
from warmkit.environment import default_environment
from warmkit.hosts.ending import Ending
from warmkit.hosts.loop import PersistentLoop
from warmkit.hosts.serving import close_everything
from warmkit.runtime import current
from warmkit.runtime.alone import Turns
from warmkit.runtime.api import ApiGoneError
from warmkit.runtime.protocol import Received
from warmkit.testing import FakeResource

FAR = 4_000_000_000_000


class Told:
    """A platform that never makes anybody wait: invocations from a list, then it is gone."""

    def __init__(self, *received):
        self._left = list(received)
        self.story = []
        self.when_empty = ApiGoneError("no more")

    async def next(self):
        if not self._left:
            raise self.when_empty
        return self._left.pop(0)

    async def respond(self, received, body, content_type):
        self.story.append((received.request_id, body))

    async def fail(self, received, failure):
        self.story.append((received.request_id, failure.kind))


@pytest.fixture
def turns():
    """Serves invocations with a handler until there are no more; returns the story."""
    host = PersistentLoop()

    def serve(handler, *received, api=None):
        api = api or Told(*received)
        with pytest.raises(ApiGoneError):
            Turns(handler, api, api.story.append, host, Ending(close_everything)).run()
        return api.story

    serve.host = host
    yield serve
    host.run(default_environment(host.loop).aclose())
    host.loop.close()


def call(number, body=None, **said):
    return Received(f"id-{number}", FAR, body or str(number).encode(), **said)


async def echo(event, context):
    return [event, context.aws_request_id, current.request_id.get()]


def plain(event, context):
    assert threading.current_thread() is threading.main_thread()
    return asyncio.run(echo(event, context))  # no loop runs here: it may run its own


def plain_that_returns_a_coroutine(event, context):
    return echo(event, context)


class Callable:
    async def __call__(self, event, context):
        return await echo(event, context)


@warm_handler
async def warm(event, context):
    return await echo(event, context)


@warm_handler
def warm_plain(event, context):
    return plain(event, context)


@pytest.mark.parametrize(
    "handler", [echo, plain, plain_that_returns_a_coroutine, Callable(), warm, warm_plain]
)
def test_handlers_of_every_colour_are_served(turns, handler):
    expected = [(f"id-{n}", f'[{n}, "id-{n}", "id-{n}"]'.encode()) for n in range(3)]
    assert turns(handler, *[call(n) for n in range(3)]) == expected


def test_resources_live_from_invocation_to_invocation(turns):
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    async def handler(event, db, facts: Invocation):
        return [db.use(), facts.number]

    assert turns(handler, call(1), call(2)) == [("id-1", b"[1, 1]"), ("id-2", b"[1, 2]")]
    assert db.log == ["start 1"]


leaving = contextvars.ContextVar("leaving", default=0)


@pytest.mark.parametrize("is_async", [True, False])
def test_what_an_invocation_sets_ends_with_it(turns, is_async):
    async def asynchronous(event, context):
        leaving.set(leaving.get() + 1)
        return leaving.get()

    def plain(event, context):
        leaving.set(leaving.get() + 1)
        return leaving.get()

    handler = asynchronous if is_async else plain
    assert turns(handler, call(1), call(2)) == [("id-1", b"1"), ("id-2", b"1")]


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]
)
@pytest.mark.parametrize("is_async", [True, False])
def test_whatever_a_handler_raises_is_told_and_survived(turns, error, is_async):
    def plain(event, context):
        if event == 1:
            raise error
        return "fine"

    async def asynchronous(event, context):
        return plain(event, context)

    failed, told, fine = turns(asynchronous if is_async else plain, call(1), call(2))
    kind = f"Function.{type(error).__name__}"
    assert (told.kind, failed, fine) == (kind, ("id-1", kind), ("id-2", b'"fine"'))


def test_the_trace_variable_of_the_process_is_set_for_the_invocation(turns, monkeypatch):
    monkeypatch.delenv("_X_AMZN_TRACE_ID", raising=False)

    def handler(event, context):
        return os.environ.get("_X_AMZN_TRACE_ID")

    assert turns(handler, call(1, trace_id="Root=1"), call(2)) == [
        ("id-1", b'"Root=1"'),
        ("id-2", b"null"),
    ]


def test_what_keeps_an_invocation_s_variables_does_not_keep_its_event(turns):
    kept = []

    async def handler(event, context):
        kept.append(contextvars.copy_context())  # as each timer does, until the loop throws it away

    received = call(1, b'"large"')
    before = sys.getrefcount(received)
    turns(handler, received)
    assert kept
    gc.collect()  # the traceback of the end
    held = sys.getrefcount(received)
    assert held == before


def test_work_after_the_response_may_leave_more_and_what_comes_late_is_done_with_the_next(turns):
    api = Told(call(1), call(2))

    async def note(word):
        await asyncio.sleep(0)
        api.story.append(word)

    async def work():
        await note("work")
        after_response(note("its own"))

    async def too_late():
        await note("late")
        after_response(note("its work"))

    @warm_handler
    async def handler(event):
        if event == 1:
            after_response(work())
        else:
            handler.late = asyncio.create_task(too_late())

    assert turns(handler, api=api)[:3] == [("id-1", b"null"), "work", "its own"]
    turns.host.run(default_environment(turns.host.loop).aclose())
    assert api.story[3:] == [("id-2", b"null"), "late", "its work"]


def test_a_task_that_exits_after_the_response_ends_nobody(turns):
    async def leave():
        await asyncio.sleep(0.001)
        raise SystemExit(3)

    @warm_handler
    async def handler(event):
        after_response(asyncio.create_task(leave()))
        return event

    assert turns(handler, call(1), call(2)) == [("id-1", b"1"), ("id-2", b"2")]


def test_observers_settle_when_the_answer_has_been_posted(turns):
    api = Told(call(1), call(2))

    class Observer:
        def __call__(self, event):
            pass

        async def settle(self):
            api.story.append("settled")

    @warm_handler(observers=[Observer()])
    async def handler(event):
        return event

    assert turns(handler, api=api) == [("id-1", b"1"), "settled", ("id-2", b"2"), "settled"]
