"""The deadline: a handler ends shortly before the platform would end the environment, and all else stays."""

import asyncio
import gc
import math
import weakref
from contextlib import suppress

import pytest

from warmkit import DeadlineError, DefinitionError, resource, warm_handler
from warmkit.clock import DEADLINE_MARGIN
from warmkit.testing import HANG, FakeResource


class Context:
    """A host's context whose time runs out on a virtual clock."""

    aws_request_id = "r-1"

    def __init__(self, clock, seconds):
        self.clock, self.ends = clock, clock.monotonic + seconds

    def get_remaining_time_in_millis(self):
        return int(1000 * (self.ends - self.clock.monotonic))


@pytest.mark.parametrize(
    ("left", "margin", "ran"),
    [(60, DEADLINE_MARGIN, 59.5), (3, DEADLINE_MARGIN, 2.7), (60, 2, 58), (60, 0, 60)],
)
def test_a_handler_that_does_not_end_is_ended_by_the_margin_or_a_tenth(
    inside, clock, left, margin, ran
):
    @warm_handler(deadline_margin=margin)
    async def handler(event):
        await HANG()

    @inside
    async def scenario(environment):
        begun = clock.monotonic
        with pytest.raises(DeadlineError) as caught:
            await handler.invoke(None, Context(clock, left))
        assert clock.monotonic - begun == pytest.approx(ran)
        assert (caught.value.seconds, caught.value.margin) == pytest.approx((ran, left - ran))


def test_the_error_says_what_to_do():
    assert str(DeadlineError(2.7, 0.3)) == (
        "the handler did not finish in 2.700 s and was ended 0.300 s before the platform would have ended its "
        "environment, with all connections.\n"
        "  Give the function a longer timeout, or the handler less to do; deadline_margin= sets the margin."
    )


def test_what_is_computed_before_the_first_wait_is_part_of_its_time(inside, clock):
    @warm_handler
    async def handler(event):
        clock.advance(1)
        await HANG()

    @inside
    async def scenario(environment):
        begun = clock.monotonic
        with pytest.raises(DeadlineError) as caught:
            await handler.invoke(None, Context(clock, 3))
        assert clock.monotonic - begun == pytest.approx(2.7)
        assert (caught.value.seconds, caught.value.margin) == pytest.approx((2.7, 0.3))


def test_what_its_resources_take_to_start_is_not(inside, clock):
    db = FakeResource("db", starts=[1.0])

    @warm_handler(db=db.resource)
    async def handler(event, db):
        await HANG()

    @inside
    async def scenario(environment):
        begun = clock.monotonic
        with pytest.raises(DeadlineError) as caught:
            await handler.invoke(None, Context(clock, 4))
        assert clock.monotonic - begun == pytest.approx(3.7)
        assert (caught.value.seconds, caught.value.margin) == pytest.approx((2.7, 0.3))


def test_one_that_never_waits_sets_none(inside, clock):
    @warm_handler
    async def handler(event):
        clock.advance(event)
        return "done"

    @inside
    async def scenario(environment):
        assert await handler.invoke(60, Context(clock, 3)) == "done"
        assert environment._deadlines is None


def test_what_it_waited_for_is_not_kept(inside, clock):
    class Large:
        pass

    @warm_handler
    async def handler(event):
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, Large())
        seen = weakref.ref(await future)
        del future
        await asyncio.sleep(1)
        return seen()

    @inside
    async def scenario(environment):
        assert await handler.invoke(None, Context(clock, 30)) is None


@pytest.mark.parametrize("raised", [ValueError, KeyboardInterrupt])
def test_a_host_that_fails_to_name_the_time_left_fails_the_handler_which_ends_in_order(
    inside, raised
):
    story = []

    class Failing:
        def get_remaining_time_in_millis(self):
            if story == ["begun", "waits"]:
                raise raised
            return 1000

    @resource(scope="invocation")
    async def transaction():
        story.append("begun")
        yield "transaction"
        story.append("ended")

    @warm_handler(transaction=transaction)
    async def handler(event, context, transaction):
        try:
            story.append("waits")
            await HANG()
        finally:
            await asyncio.sleep(0)
            story.append("cleaned up")

    @inside
    async def scenario(environment):
        with pytest.raises(raised):
            await handler.invoke(None, Failing())

    assert story[:3] == ["begun", "waits", "cleaned up"]


def test_what_is_computed_first_takes_nothing_of_the_margin(inside, clock):
    @warm_handler(deadline_margin=0.2)
    async def handler(event):
        clock.advance(1.7)
        await HANG()

    @inside
    async def scenario(environment):
        begun = clock.monotonic
        with pytest.raises(DeadlineError) as caught:
            await handler.invoke(None, Context(clock, 2))
        assert clock.monotonic - begun == pytest.approx(1.8)
        assert (caught.value.seconds, caught.value.margin) == pytest.approx((1.8, 0.2))


def test_what_is_thrown_into_its_first_wait_is_not_kept():
    class ThrownError(Exception):
        pass

    @warm_handler
    async def handler(event):
        await asyncio.sleep(1)

    def throw(invocation):
        invocation.send(None)
        error = ThrownError()
        seen = weakref.ref(error)
        with suppress(ThrownError):
            invocation.throw(error)
        del error  # its traceback knows this frame, too
        return seen

    async def scenario():
        invocation = handler.invoke(None, None)
        gc.disable()  # a circle of references is not dissolved at once
        try:
            return throw(invocation)()
        finally:
            gc.enable()

    assert asyncio.run(scenario()) is None


def test_its_own_resources_are_rolled_back_and_the_lasting_ones_stay(inside, clock):
    db, story = FakeResource("db"), []

    @resource(scope="invocation")
    async def transaction():
        try:
            yield "transaction"
        except BaseException as error:
            story.append(type(error))
            raise

    @warm_handler(db=db.resource, transaction=transaction)
    async def handler(event, db, transaction):
        if event == "hang":
            await HANG()
        return db.use()

    @inside
    async def scenario(environment):
        with pytest.raises(DeadlineError):
            await handler.invoke("hang", Context(clock, 3))
        assert await handler.invoke("go", Context(clock, 3)) == 1
        assert story == [DeadlineError]
        assert db.log == ["start 1"]


def test_a_handler_may_return_what_it_has(inside, clock):
    @warm_handler
    async def handler(event):
        try:
            await HANG()
        except asyncio.CancelledError:
            await asyncio.sleep(0)  # it is cancelled once
            return "a part"

    @inside
    async def scenario(environment):
        assert await handler.invoke(None, Context(clock, 3)) == "a part"
        assert asyncio.current_task().cancelling() == 0


def test_a_cancellation_from_outside_is_no_deadline(inside, clock):
    @warm_handler
    async def handler(event):
        await HANG()

    @inside
    async def scenario(environment):
        task = asyncio.create_task(handler.invoke(None, Context(clock, 3)))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_of_both_at_once_the_cancellation_from_outside_is_raised(inside, clock):
    @warm_handler
    async def handler(event):
        try:
            await HANG()
        finally:
            asyncio.current_task().cancel()

    @inside
    async def scenario(environment):
        task = asyncio.create_task(handler.invoke(None, Context(clock, 3)))
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()


def test_each_of_many_at_once_has_a_deadline_of_its_own(inside, clock):
    @warm_handler(deadline_margin=0)
    async def handler(seconds):
        await asyncio.sleep(seconds)
        return "done"

    @inside
    async def scenario(environment):
        begun, ended = clock.monotonic, {}

        async def invoke(name, needed, left):
            try:
                await handler.invoke(needed, Context(clock, left))
            except DeadlineError:
                ended[name] = clock.monotonic - begun

        await asyncio.gather(
            invoke("late", 60, 10), invoke("early", 60, 1), invoke("ok", 2, 9), invoke("mid", 60, 5)
        )
        assert ended == pytest.approx({"early": 1, "mid": 5, "late": 10})


def test_the_deadline_of_an_invocation_that_is_over_strikes_nobody(inside, clock):
    @warm_handler(deadline_margin=0)
    async def handler(seconds):
        await asyncio.sleep(seconds)
        return "done"

    @inside
    async def scenario(environment):
        assert await handler.invoke(0, Context(clock, 3)) == "done"
        assert await handler.invoke(5, Context(clock, 30)) == "done"


@pytest.mark.parametrize(
    "left", [None, "soon", math.nan, math.inf, pytest.param(10**400, id="endless")]
)
def test_a_host_that_names_no_time_sets_no_deadline(inside, left):
    class Silent:
        def get_remaining_time_in_millis(self):
            return left

    @warm_handler
    async def handler(event):
        await asyncio.sleep(10_000)
        return "done"

    @inside
    async def scenario(environment):
        assert await handler.invoke(None, Silent()) == "done"
        assert await handler.invoke(None) == "done"


def test_whose_time_is_over_has_none_left_and_not_less(inside, clock):
    @warm_handler
    async def handler(event):
        await HANG()

    @inside
    async def scenario(environment):
        with pytest.raises(DeadlineError) as caught:
            await handler.invoke(None, Context(clock, -5))
        assert (caught.value.seconds, caught.value.margin) == (0, 0)


def test_an_async_def_behind_a_synchronous_decorator_has_one_too(inside, clock):
    def decorated(function):
        return lambda event: function([event])

    @warm_handler
    @decorated
    async def handler(event):
        await HANG()

    @inside
    async def scenario(environment):
        with pytest.raises(DeadlineError):
            await handler.invoke(None, Context(clock, 3))


def test_loops_that_are_closed_are_not_kept():
    @warm_handler
    async def handler(event):
        await asyncio.sleep(0)
        return weakref.ref(asyncio.get_running_loop())

    class Minute:
        def get_remaining_time_in_millis(self):
            return 60_000

    loops = [asyncio.run(handler.invoke(None, Minute())) for _ in range(5)]
    gc.collect()
    assert sum(loop() is not None for loop in loops) <= 1


def test_it_can_be_turned_off(inside, clock):
    @warm_handler(deadline_margin=None)
    async def handler(event):
        await asyncio.sleep(10)
        return "done"

    @inside
    async def scenario(environment):
        assert await handler.invoke(None, Context(clock, 3)) == "done"


@pytest.mark.parametrize("margin", [-1, math.inf, math.nan, "1", True, resource(object)])
def test_a_margin_that_can_never_work_is_refused_at_definition(margin):
    with pytest.raises(DefinitionError, match="deadline_margin must be a number of seconds"):
        warm_handler(deadline_margin=margin)(lambda event: None)
