"""Many invocations at once, over real sockets: each gets its own answer, and only that."""

import asyncio
import contextvars
import random
import time

import pytest
from lambda_platform import Platform, event, until

from warmkit import Invocation, after_response, warm_handler
from warmkit.environment import default_environment
from warmkit.runtime import current
from warmkit.runtime.api import ApiGoneError, RuntimeApi
from warmkit.runtime.lines import LoopLine
from warmkit.runtime.protocol import Received
from warmkit.runtime.together import Pollers
from warmkit.testing import FakeResource


def serve(handler, *items, pollers=1, count=None, told=None):
    """Serves the items and stops; returns the posts in the order of their arrival."""
    count = len(items) if count is None else count

    async def main():
        async with Platform().listening() as platform:
            platform.put(*items)
            apis = [RuntimeApi(LoopLine(platform.address)) for _ in range(pollers)]
            server = Pollers(handler, apis, (told if told is not None else []).append)
            running = asyncio.create_task(server.run())
            posted = asyncio.create_task(platform.posted(count))
            await asyncio.wait({running, posted}, return_when=asyncio.FIRST_COMPLETED)
            server.stop()
            await running
            for api in apis:
                api.close()
            await default_environment(asyncio.get_running_loop()).aclose()
            return platform.posts()

    return asyncio.run(main())


async def echo(event, context):
    return [event, context.aws_request_id]


def plain(event, context):
    return [event, context.aws_request_id]


def plain_that_returns_a_coroutine(event, context):
    return echo(event, context)


class Callable:
    async def __call__(self, event, context):
        return [event, context.aws_request_id]


@warm_handler
async def warm(event, context):
    return [event, context.aws_request_id]


@warm_handler
def warm_plain(event, context):
    return [event, context.aws_request_id]


@pytest.mark.parametrize(
    "handler",
    [echo, plain, plain_that_returns_a_coroutine, Callable(), warm, warm_plain],
)
def test_handlers_of_every_colour_are_served(handler):
    posts = serve(handler, *[event(f"id-{n}", str(n).encode()) for n in range(3)])
    assert [(item.path.split("/")[-2], item.json) for item in posts] == [
        (f"id-{n}", [n, f"id-{n}"]) for n in range(3)
    ]
    assert {item.path.split("/")[-1] for item in posts} == {"response"}
    assert {item.headers["content-type"] for item in posts} == {"application/json"}


def failing(event, context):
    raise KeyError(event)


async def leaving(event, context):
    raise SystemExit(3)


async def cancelling(event, context):
    raise asyncio.CancelledError


async def unwritable(event, context):
    return {"a": [object()]}


@pytest.mark.parametrize(
    ("handler", "kind", "error_type"),
    [
        (failing, "Function.KeyError", "KeyError"),
        (leaving, "Function.SystemExit", "SystemExit"),
        (cancelling, "Function.CancelledError", "CancelledError"),
        (unwritable, "Runtime.MarshalError", "Runtime.MarshalError"),
    ],
)
def test_a_failure_is_reported_logged_and_survived(handler, kind, error_type):
    told = []
    posts = serve(handler, event("a"), event("b"), told=told)
    assert [item.path.split("/")[-2:] for item in posts] == [["a", "error"], ["b", "error"]]
    assert [item.headers["lambda-runtime-function-error-type"] for item in posts] == [kind] * 2
    assert [item.json["errorType"] for item in posts] == [error_type] * 2
    assert [failure.kind for failure in told] == [kind] * 2


def test_what_a_plain_function_returns_to_be_awaited_has_a_deadline():
    def handler(event, context):
        return asyncio.sleep(3600)

    (post,) = serve(handler, event("a", deadline_ms=int(time.time() * 1000) + 100))
    assert post.json["errorType"] == "DeadlineError"


def test_the_trace_begins_in_the_handler():
    (post,) = serve(failing, event("a"))
    assert "raise KeyError(event)" in post.json["stackTrace"][-1]
    assert not any("warmkit/runtime" in line.split("\n")[0] for line in post.json["stackTrace"])


def test_an_event_that_is_no_json_is_a_failure_of_that_invocation_alone():
    posts = serve(echo, event("a", b"{", Content_Type="application/json"), event("b", b"1"))
    assert [item.path.split("/")[-1] for item in posts] == ["error", "response"]
    assert posts[0].json["errorType"] == "Runtime.UnmarshalError"


def test_resources_live_from_invocation_to_invocation_and_close_at_the_end():
    db = FakeResource("db")

    @warm_handler(db=db.resource)
    async def handler(event, context, db, facts: Invocation):
        return [db.use(), facts.number, facts.request_id, facts.deadline]

    posts = serve(handler, *[event(f"id-{n}") for n in (1, 2, 3)])
    assert [item.json[:3] for item in posts] == [[1, n, f"id-{n}"] for n in (1, 2, 3)]
    assert db.log == ["start 1", "close 1"]


def test_as_many_invocations_at_once_as_there_are_pollers():
    """Each waits for all the others: with one poller less nobody would ever answer."""
    count, seen = 8, []

    async def handler(event, context):
        seen.append(event)
        await until(lambda: len(seen) >= count)
        return event

    posts = serve(
        handler, *[event(f"id-{n}", str(n).encode()) for n in range(count)], pollers=count
    )
    assert sorted(item.json for item in posts) == list(range(count))


leak = contextvars.ContextVar("leak", default=None)


@pytest.mark.parametrize("pollers", [1, 4, 16])
def test_no_invocation_sees_anything_of_another(pollers):
    """Random waits, and whatever the platform said of an invocation is what its handler sees throughout."""
    wrong = []
    chance = random.Random(pollers)

    async def handler(event, context):
        if leak.get() is not None:
            wrong.append(("leaked", leak.get()))
        leak.set(event)
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)
            told = (context.aws_request_id, context.tenant_id, current.request_id.get())
            told += (current.tenant_id.get(), current.trace_id.get(), leak.get())
            if told != (
                f"id-{event}",
                f"t-{event}",
                f"id-{event}",
                f"t-{event}",
                f"x-{event}",
                event,
            ):
                wrong.append((event, told))
        return event

    items = [
        event(
            f"id-{n}",
            str(n).encode(),
            Lambda_Runtime_Aws_Tenant_Id=f"t-{n}",
            Lambda_Runtime_Trace_Id=f"x-{n}",
        )
        for n in range(500)
    ]
    posts = serve(handler, *items, pollers=pollers)
    assert wrong == []
    assert sorted((item.path.split("/")[-2], item.json) for item in posts) == sorted(
        (f"id-{n}", n) for n in range(500)
    )


def test_stopping_lets_an_invocation_under_way_finish():
    async def main():
        began, go_on = asyncio.Event(), asyncio.Event()

        async def handler(event, context):
            began.set()
            await go_on.wait()
            return "done"

        async with Platform().listening() as platform:
            platform.put(event("a"))
            api = RuntimeApi(LoopLine(platform.address))
            server = Pollers(handler, [api], print)
            running = asyncio.create_task(server.run())
            await began.wait()
            server.stop()
            go_on.set()
            await running
            api.close()
            return [item.json for item in platform.posts()]

    assert asyncio.run(main()) == ["done"]


def test_a_poller_that_lost_the_platform_does_not_stop_the_others(monkeypatch):
    class Gone:
        async def next(self):
            raise ApiGoneError("gone")

    class Once:
        def __init__(self):
            self.answers = []
            self.left = [1, 2]

        async def next(self):
            await asyncio.sleep(0)
            if not self.left:
                raise ApiGoneError("gone too")
            return Received(f"id-{self.left.pop()}", 1, b"{}")

        async def respond(self, received, body, content_type):
            self.answers.append(received.request_id)

    async def main():
        good = Once()
        with pytest.raises(ApiGoneError, match="gone"):
            await Pollers(echo, [Gone(), good], print).run()
        return good.answers

    assert asyncio.run(main()) == ["id-2", "id-1"]


def test_observers_settle_after_the_answer_is_posted():
    order = []

    class Observer:
        def __call__(self, event):
            pass

        async def settle(self):
            order.append("settled")

    @warm_handler(observers=[Observer()])
    async def handler(event):
        order.append("handled")

    serve(handler, event("a"), event("b"))
    assert order[:3] == ["handled", "settled", "handled"]


def test_work_after_the_response_is_done_even_if_nobody_took_the_response(caplog):
    done = []

    async def work():
        done.append("work")

    async def handler(event, context):
        after_response(work())

    class Unwilling:
        def __init__(self):
            self.left = [Received("id-1", 4_000_000_000_000, b"{}")]

        async def next(self):
            if not self.left:
                raise ApiGoneError("no more")
            return self.left.pop()

        async def respond(self, received, body, content_type):
            raise RuntimeError("not mine")

    with pytest.raises(ApiGoneError):
        asyncio.run(Pollers(handler, [Unwilling()], print).run())
    assert done == ["work"]
    assert ["was not answered" in item.message for item in caplog.records if item.exc_info] == [
        True
    ]


def test_when_time_is_up_work_after_the_response_is_cut_short_too():
    story = []

    async def work():
        story.append("begun")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            story.append("rolled back")

    async def handler(event, context):
        after_response(work(), limit=3600)

    async def main():
        async with Platform().listening() as platform:
            platform.put(event("a"))
            api = RuntimeApi(LoopLine(platform.address))
            server = Pollers(handler, [api], print)
            running = asyncio.create_task(server.run())
            await until(lambda: story)
            server.stop()
            server.cut_short()
            await running
            api.close()

    asyncio.run(main())
    assert story == ["begun", "rolled back"]


def test_serving_that_is_cancelled_ends_though_a_handler_swallows_the_cancellation():
    story = []

    async def handler(event, context):
        story.append("begun")
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            story.append("cancelled")
            return "all the same"

    async def main():
        async with Platform().listening() as platform:
            platform.put(event("a"), event("b"))
            api = RuntimeApi(LoopLine(platform.address))
            running = asyncio.create_task(Pollers(handler, [api], print).run())
            await until(lambda: story)
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
            api.close()
            return [item.json for item in platform.posts()]

    assert asyncio.run(main()) == ["all the same"]
    assert story == ["begun", "cancelled"]


@pytest.mark.parametrize("pollers", [1, 2])
def test_a_handler_that_cancels_its_own_task_with_its_last_breath_is_answered_once(pollers):
    async def handler(event, context):
        asyncio.current_task().cancel()
        return event

    posts = serve(handler, event("a", b"1"), event("b", b"2"), event("c", b"3"), pollers=pollers)
    assert sorted(item.json for item in posts) == [1, 2, 3]


def test_an_answer_is_sent_before_the_loop_turns_to_others():
    """Sixteen that end in one turn of the loop: the first is not kept until the last has computed."""
    sent = []

    class Told(RuntimeApi):
        def respond(self, received, body, content_type):
            sent.append(("sent", received.request_id))
            return super().respond(received, body, content_type)

    async def main():
        together = asyncio.Event()
        waiting = []

        async def handler(event, context):
            waiting.append(event)
            if len(waiting) == 16:
                together.set()
            await together.wait()
            sent.append(("computed", context.aws_request_id))

        async with Platform().listening() as platform:
            platform.put(*[event(f"id-{n}") for n in range(16)])
            apis = [Told(LoopLine(platform.address)) for _ in range(16)]
            server = Pollers(handler, apis, print)
            running = asyncio.create_task(server.run())
            await platform.posted(16)
            server.stop()
            await running
            for api in apis:
                api.close()

    asyncio.run(main())
    assert [what for what, _ in sent] == ["computed", "sent"] * 16
    assert [told for _, told in sent[::2]] == [told for _, told in sent[1::2]]
