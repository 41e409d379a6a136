"""A streamed response, over real sockets: chunk by chunk, with what goes wrong in the middle."""

import asyncio
import json
import logging
import time
from base64 import b64decode
from contextlib import asynccontextmanager

import pytest
from lambda_platform import Cut, Platform, answer, event, until

from warmkit import HttpPrelude, after_response, resource, warm_handler
from warmkit.environment import default_environment
from warmkit.runtime import current
from warmkit.runtime.api import ApiGoneError, RuntimeApi
from warmkit.runtime.lines import LoopLine
from warmkit.runtime.together import Pollers

HTTP = "application/vnd.awslambda.http-integration-response"
RESPONSE = "/2018-06-01/runtime/invocation/{}/response"


def now_ms():
    return int(time.time() * 1000)


@asynccontextmanager
async def serving(handler, *items, pollers=1, told=None):
    async with Platform().listening() as platform:
        platform.put(*items)
        apis = [RuntimeApi(LoopLine(platform.address)) for _ in range(pollers)]
        server = Pollers(handler, apis, (told if told is not None else []).append)
        running = asyncio.create_task(server.run())
        try:
            yield platform, running
        finally:
            server.stop()
            server.cut_short()
            await asyncio.gather(running, return_exceptions=True)
            for api in apis:
                api.close()
            await default_environment(asyncio.get_running_loop()).aclose()


def streamed(handler, *items, told=None):
    """Serves the items to their end; returns the posts."""

    async def main():
        async with serving(handler, *items, told=told) as (platform, _):
            await until(
                lambda: sum(item.path.endswith("next") for item in platform.asked) > len(items)
            )
            return platform.posts()

    return asyncio.run(main())


def test_chunks_are_sent_as_they_are_yielded():
    async def main():
        go_on = asyncio.Event()

        async def handler(event, context):
            yield b"one"
            await go_on.wait()
            yield "zwei \u00e9"
            yield bytearray(b"three")

        async with serving(handler, event("a", Lambda_Runtime_Invocation_Id="nonce")) as (
            platform,
            _,
        ):
            await until(lambda: any(item.chunks for item in platform.posts()))
            (post,) = platform.posts()
            assert (post.chunks, post.trailers) == ([b"one"], None)
            go_on.set()
            await until(lambda: post.trailers is not None)
            assert post.path == RESPONSE.format("a")
            assert post.body == "onezwei \u00e9three".encode()
            assert post.trailers == {}
            assert post.headers["lambda-runtime-function-response-mode"] == "streaming"
            assert post.headers["trailer"] == (
                "Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body"
            )
            assert post.headers["content-type"] == "application/octet-stream"
            assert post.headers["lambda-runtime-invocation-id"] == "nonce"
            assert "content-length" not in post.headers

    asyncio.run(main())


def test_a_prelude_tells_an_http_client_status_headers_and_cookies():
    @warm_handler
    async def handler(event):
        yield HttpPrelude(404, {"content-type": "text/plain"}, ["a=b"])
        yield "not here"

    (post,) = streamed(handler, event("a"))
    prelude, end, body = post.body.partition(bytes(8))
    assert json.loads(prelude) == {
        "statusCode": 404,
        "headers": {"content-type": "text/plain"},
        "cookies": ["a=b"],
    }
    assert (end, body) == (bytes(8), b"not here")
    assert post.headers["content-type"] == HTTP


def test_an_empty_chunk_does_not_end_the_response():
    async def handler(event, context):
        yield ""
        yield b"a"
        yield b""
        yield b"b"

    (post,) = streamed(handler, event("a"))
    assert post.body == b"ab"


def test_an_object_whose_call_yields_streams_too():
    class Callable:
        async def __call__(self, event, context):
            yield b"a"
            yield b"b"

    (post,) = streamed(Callable(), event("a"))
    assert post.chunks == [b"a", b"b"]


def test_one_that_yields_nothing_has_an_empty_response():
    async def handler(event, context):
        return
        yield

    posts = streamed(handler, event("a"), event("b"))
    assert [(item.body, item.trailers) for item in posts] == [(b"", {})] * 2


async def fails_before(event, context):
    raise LookupError("no")
    yield


async def fails_after(event, context):
    yield b"half"
    raise LookupError("no")


def test_a_failure_before_the_first_chunk_is_an_ordinary_one():
    told = []
    (post,) = streamed(fails_before, event("a"), told=told)
    assert post.path.endswith("/a/error")
    assert post.json["errorType"] == "LookupError"
    assert [item.kind for item in told] == ["Function.LookupError"]


def test_a_failure_in_the_middle_is_told_in_the_trailers():
    told = []
    first, second = streamed(fails_after, event("a"), event("b"), told=told)
    assert first.body == second.body == b"half"
    assert first.trailers["lambda-runtime-function-error-type"] == "Function.LookupError"
    body = json.loads(b64decode(first.trailers["lambda-runtime-function-error-body"]))
    assert (body["errorMessage"], body["errorType"], body["requestId"]) == (
        "no",
        "LookupError",
        "a",
    )
    assert "raise LookupError" in body["stackTrace"][-1]
    assert [item.kind for item in told] == ["Function.LookupError"] * 2


@pytest.mark.parametrize(
    ("chunk", "says"),
    [
        ({"a": 1}, "a streamed response is yielded as bytes or str, not dict"),
        (HttpPrelude(), "an HttpPrelude must be the first that is yielded"),
    ],
)
def test_what_is_no_chunk_is_a_marshal_error_in_the_trailers(chunk, says):
    async def handler(event, context):
        yield b"half"
        yield chunk

    (post,) = streamed(handler, event("a"))
    assert post.trailers["lambda-runtime-function-error-type"] == "Runtime.MarshalError"
    assert says in b64decode(post.trailers["lambda-runtime-function-error-body"]).decode()


def test_the_handler_has_ended_before_its_failure_is_told():
    async def main():
        ended = []

        async def handler(event, context):
            try:
                yield b"half"
                yield object()
            finally:
                for _ in range(100):
                    await asyncio.sleep(0)
                ended.append(event)

        async with serving(handler, event("a")) as (platform, _):
            await until(lambda: platform.posts() and platform.posts()[0].trailers)
            assert ended == [{}]

    asyncio.run(main())


@pytest.mark.parametrize(
    "prelude",
    [
        HttpPrelude("ok"),
        HttpPrelude(float("inf")),
        HttpPrelude(headers={"a": object()}),
        HttpPrelude(cookies=1),
        HttpPrelude(cookies="a=b"),  # not one for each letter
    ],
)
def test_a_prelude_that_cannot_be_written_is_an_ordinary_failure(prelude):
    async def handler(event, context):
        yield prelude

    (post,) = streamed(handler, event("a"))
    assert post.path.endswith("/error")
    assert post.json["errorType"] == "Runtime.MarshalError"


def test_when_the_platform_goes_away_the_handler_is_cancelled_and_the_next_invocation_served(
    caplog,
):
    async def main():
        story = []

        @resource(scope="invocation")
        async def transaction():
            try:
                yield
            except BaseException as error:
                story.append(f"roll back: {type(error).__name__}")
                raise

        @warm_handler(transaction=transaction)
        async def handler(event, transaction):
            yield b"one"
            if event == "wait":
                try:
                    await asyncio.get_running_loop().create_future()
                finally:
                    story.append("cancelled")

        async with serving(handler, event("a", b'"wait"'), event("b", b'"go"')) as (platform, _):
            platform.reads_on = 1
            platform.on_post = lambda request: Cut()
            await until(lambda: story)
            platform.reads_on = None
            platform.on_post = lambda request: answer(202)
            await until(lambda: len(platform.posts()) == 2 and platform.posts()[1].trailers == {})
        assert story == ["cancelled", "roll back: CancelledError"]

    asyncio.run(main())
    assert [
        "took no more of the streamed answer to a" in item.message for item in caplog.records
    ] == [True]


@pytest.mark.parametrize("status", [400, 403, 410, 413])
def test_an_answer_in_the_middle_means_that_no_more_is_wanted(status, caplog):
    async def main():
        ended = []

        async def handler(event, context):
            try:
                yield b"one"
                if event == "wait":
                    await asyncio.get_running_loop().create_future()
            finally:
                ended.append(event)

        async with serving(handler, event("a", b'"wait"'), event("b", b'"go"')) as (platform, _):
            platform.reads_on = 1
            platform.on_post = lambda request: answer(status, b"no more")
            await until(lambda: ended == ["wait"])
            platform.reads_on = None
            platform.on_post = lambda request: answer(202)
            await until(lambda: ended == ["wait", "go"])
            await until(lambda: platform.posts()[-1].trailers == {})

    asyncio.run(main())
    assert [
        f"the answer to a was not taken: {status} no more" in item.message
        for item in caplog.records
    ] == [True]


def test_a_broken_platform_ends_the_poller():
    async def handler(event, context):
        yield b"one"

    async def main():
        async with serving(handler, event("a")) as (platform, running):
            platform.on_post = lambda request: answer(500, b"broken")
            with pytest.raises(ApiGoneError, match="broken"):
                await running

    asyncio.run(main())


def test_a_platform_that_is_slow_to_take_holds_the_handler_back():
    async def main():
        yielded = []
        reading = asyncio.Event()
        chunk = b"x" * (1 << 20)

        async def handler(event, context):
            for number in range(64):
                yield chunk
                yielded.append(number)

        async with serving(handler, event("a")) as (platform, _):
            read_chunks = platform._read_chunks

            async def slowly(reader, request):
                await reading.wait()
                await read_chunks(reader, request)

            platform._read_chunks = slowly
            await until(platform.posts)
            for _ in range(1000):
                await asyncio.sleep(0)
            assert len(yielded) < 32  # what buffers hold, and no more
            reading.set()
            await until(lambda: platform.posts()[0].trailers == {})
            assert platform.posts()[0].body == chunk * 64

    asyncio.run(main())


def test_a_stream_whose_time_is_up_is_ended_with_its_failure():
    async def handler(event, context):
        yield b"half"
        await asyncio.get_running_loop().create_future()

    (post,) = streamed(handler, event("a", deadline_ms=now_ms() + 200))
    assert post.trailers["lambda-runtime-function-error-type"] == "Function.DeadlineError"


def test_many_at_once_each_get_their_own_chunks_and_variables():
    async def main():
        count, seen = 8, []

        async def handler(event, context):
            seen.append(event)
            yield current.request_id.get()
            await until(lambda: len(seen) >= count)
            yield f" {event} {current.request_id.get()}"

        items = [event(f"id-{n}", str(n).encode()) for n in range(count)]
        async with serving(handler, *items, pollers=count) as (platform, _):
            await until(lambda: sum(item.trailers == {} for item in platform.posts()) == count)
            assert sorted(item.body for item in platform.posts()) == [
                f"id-{n} {n} id-{n}".encode() for n in range(count)
            ]

    asyncio.run(main())


def test_work_for_after_the_response_begins_when_the_last_chunk_is_taken():
    async def main():
        story = []

        async def work():
            story.append("work")

        async def handler(event, context):
            after_response(work())
            yield b"one"
            story.append("last")

        async with serving(handler, event("a")) as (platform, _):
            await until(lambda: "work" in story)
            assert platform.posts()[0].trailers == {}
        assert story == ["last", "work"]

    asyncio.run(main())


def test_what_was_sent_is_not_sent_again(caplog):
    caplog.set_level(logging.ERROR)

    async def handler(event, context):
        yield b"one"

    async def main():
        async with serving(handler, event("a")) as (platform, _):
            platform.on_post = lambda request: Cut()
            await until(lambda: sum(item.path.endswith("next") for item in platform.asked) > 1)
            assert len(platform.posts()) == 1

    asyncio.run(main())
