"""A response in chunks: one invocation, with its resources, until it is read to its end."""

import asyncio
from contextlib import aclosing

import pytest

from warmkit import EventKind, HttpPrelude, Invocation, UsageError, resource, warm_handler
from warmkit.environment import current_lease
from warmkit.testing import FakeResource


@pytest.fixture
def story():
    return []


@pytest.fixture
def transaction(story):
    @resource(scope="invocation")
    async def transaction():
        story.append("begin")
        try:
            yield "transaction"
        except BaseException as error:
            story.append(f"roll back: {type(error).__name__}")
            raise
        story.append("commit")

    return transaction


async def read(chunks):
    return [chunk async for chunk in chunks]


def test_it_yields_what_the_handler_yields_and_commits_at_the_end(inside, story, transaction):
    db = FakeResource("db")

    @warm_handler(db=db.resource, transaction=transaction)
    async def handler(event, context, db, transaction, facts: Invocation):
        yield HttpPrelude(201, {"a": "b"})
        for chunk in event:
            story.append(chunk)
            yield chunk, context, db.use(), transaction, facts.number

    @inside
    async def scenario(environment):
        for number in (1, 2):
            assert await read(handler.stream(["x", "y"], "context")) == [
                HttpPrelude(201, {"a": "b"}),
                ("x", "context", 1, "transaction", number),
                ("y", "context", 1, "transaction", number),
            ]
        assert story == ["begin", "x", "y", "commit"] * 2
        assert db.log == ["start 1"]


def test_a_failure_in_the_middle_rolls_back_and_is_raised(inside, story, transaction):
    @warm_handler(transaction=transaction)
    async def handler(event, transaction):
        yield 1
        raise LookupError("no")

    @inside
    async def scenario(environment):
        chunks = handler.stream(None)
        assert await anext(chunks) == 1
        with pytest.raises(LookupError):
            await anext(chunks)
        assert story == ["begin", "roll back: LookupError"]


def test_one_that_is_closed_early_ends_in_its_own_finally_and_is_rolled_back(
    inside, story, transaction, recorder
):
    @warm_handler(transaction=transaction)
    async def handler(event, transaction):
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            story.append("finally")

    @inside
    async def scenario(environment):
        async with aclosing(handler.stream(None)) as chunks:
            assert await anext(chunks) == 1
        assert story == ["begin", "finally", "roll back: GeneratorExit"]
        finished = recorder.events[-1]
        assert finished.kind is EventKind.INVOCATION_FINISHED
        assert isinstance(finished.error, GeneratorExit)


def test_a_failure_while_it_is_being_closed_still_rolls_back(inside, story, transaction):
    @warm_handler(transaction=transaction)
    async def handler(event, transaction):
        try:
            yield 1
        finally:
            raise OSError("while closing")

    @inside
    async def scenario(environment):
        chunks = handler.stream(None)
        await anext(chunks)
        with pytest.raises(OSError, match="while closing"):
            await chunks.aclose()
        assert story == ["begin", "roll back: GeneratorExit"]


def test_a_cancellation_reaches_the_handler(inside, story, transaction):
    @warm_handler(transaction=transaction)
    async def handler(event, transaction):
        yield 1
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            story.append("cancelled")

    @inside
    async def scenario(environment):
        task = asyncio.create_task(read(handler.stream(None)))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert story == ["begin", "cancelled", "roll back: CancelledError"]


def test_whoever_reads_is_not_part_of_the_invocation(inside):
    seen = []

    @warm_handler
    async def handler(event):
        seen.append(current_lease.get())
        yield 1
        seen.append(current_lease.get())
        yield 2

    @inside
    async def scenario(environment):
        chunks = handler.stream(None)
        await anext(chunks)
        assert current_lease.get() is None
        await asyncio.create_task(anext(chunks))  # and may go on reading in another task
        await chunks.aclose()
        assert seen[0] is seen[1] is not None


def test_a_stream_that_nobody_reads_is_no_invocation(inside):
    @warm_handler
    async def handler(event):
        yield 1

    @inside
    async def scenario(environment):
        await handler.stream(None).aclose()
        assert environment.invocations == 0


def test_an_object_whose_call_yields_streams_too(inside):
    class Story:
        async def __call__(self, event):
            yield event

    handler = warm_handler(Story())

    @inside
    async def scenario(environment):
        assert await read(handler.stream(1)) == [1]
        with pytest.raises(UsageError, match="Story yields its response"):
            await handler.invoke(1)


def test_where_one_whole_response_is_taken_it_says_so(inside):
    @warm_handler
    async def handler(event):
        yield 1

    says = "yields its response.*python -m warmkit.runtime"
    with pytest.raises(UsageError, match="(?s)" + says):
        handler(None)

    @inside
    async def scenario(environment):
        with pytest.raises(UsageError, match="(?s)" + says):
            await handler.invoke(None)


def test_a_whole_response_cannot_be_streamed(inside):
    @warm_handler
    async def handler(event):
        return 1

    @inside
    async def scenario(environment):
        with pytest.raises(
            UsageError, match=r"returns its response whole.\n  Write: await handler.invoke"
        ):
            handler.stream(None)
