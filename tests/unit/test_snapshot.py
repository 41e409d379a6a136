"""What a snapshot may hold, and what an environment is after a restore."""

import asyncio

import pytest

from warmkit import (
    Environment,
    Invocation,
    State,
    TeardownError,
    WrongLoopError,
    after_response,
    resource,
    warm_handler,
)
from warmkit.testing import HANG, FakeResource

DAYS = 200_000.0


def perishable(**options):
    return resource(check=lambda value: None, **options)(object)


KEPT = {
    "a function's value": resource(object),
    "one that ages": resource(max_age=60)(object),
    "one that expires": resource(expires_at=lambda value: None)(object),
    "one that can go stale, if the recipe says so": perishable(snapshot="keep"),
    "one with a close, if the recipe says so": FakeResource(snapshot="keep").resource,
}
CLOSED = {
    "one with a close": FakeResource().resource,
    "one that is checked": perishable(),
    "one that is probed": resource(alive=lambda value: True)(object),
    "one that is refreshed": resource(refresh=lambda value: None)(object),
    "one with a longest gap": resource(max_gap=60)(object),
    "a function's value, if the recipe says so": resource(snapshot="close")(object),
    "one that is built on a closed one": resource(db=FakeResource().resource, snapshot="keep")(
        lambda db: object()
    ),
}


@pytest.mark.parametrize("recipe", KEPT.values(), ids=KEPT)
def test_kept(recipe, inside):
    @inside
    async def _(environment):
        value = await environment.get(recipe)
        await environment.before_snapshot()
        assert environment.live.current[recipe].state is State.WARM
        environment.after_restore()
        assert await environment.get(recipe) is value


@pytest.mark.parametrize("recipe", CLOSED.values(), ids=CLOSED)
def test_closed_and_started_anew_after_the_restore(recipe, inside):
    @inside
    async def _(environment):
        value = await environment.get(recipe)
        await environment.before_snapshot()
        assert [slot for slot in environment.live.alive() if slot.recipe is recipe] == []
        environment.after_restore()
        assert await environment.get(recipe) is not value


def test_dependents_are_closed_first_and_what_they_are_built_on_may_stay(inside, recorder):
    session = FakeResource("session", snapshot="keep")
    client = FakeResource("client", needs={"session": session})
    api = FakeResource("api", needs={"client": client})

    @inside
    async def _(environment):
        await environment.get(api.resource)
        recorder.clear()
        await environment.before_snapshot()
        assert recorder.story == ["retired api", "retired client", "closed api", "closed client"]
        assert {event.reason for event in recorder.events if event.reason} == {
            "a snapshot is taken",
            "client: a snapshot is taken",
        }
        assert session.open == [1]
        assert not environment.live.retired  # the first invocation has nothing to wait for
        environment.after_restore()
        await environment.get(api.resource)
        assert (session.open, client.open, api.open) == ([1], [2], [2])


def test_what_is_kept_is_proven_before_its_next_use_however_short_the_gap(inside):
    db = FakeResource("db", checks=[], check_after=1e9, max_gap=1e9, snapshot="keep")

    @inside
    async def _(environment):
        await environment.get(db.resource)
        await environment.before_snapshot()
        environment.after_restore()
        assert (await environment.get(db.resource)).use() == 1
        assert db.log == ["start 1", "check 1"]


def test_days_in_a_snapshot_are_a_gap_by_whichever_clock_moved(inside, clock):
    """The monotonic clock of a restored machine goes on where it stood."""
    prices = FakeResource("prices", max_age=300, snapshot="keep")
    client = FakeResource("client", checks=[], refreshes=[], snapshot="keep")

    @inside
    async def _(environment):
        await environment.prewarm(prices.resource, client.resource)
        await environment.before_snapshot()
        clock.freeze(DAYS, monotonic=False)
        environment.after_restore()
        await environment.prewarm(prices.resource, client.resource)
        assert (prices.open, client.log) == ([2], ["start 1", "refresh 1"])


def test_a_restored_copy_is_an_environment_of_its_own(inside, clock):
    @warm_handler
    async def handler(event, facts: Invocation):
        return facts

    @inside
    async def _(environment):
        before = await handler.invoke({})
        await environment.before_snapshot()
        ids = {before.environment_id}
        for _copy in range(2):
            clock.freeze(DAYS)
            environment.after_restore()
            facts = await handler.invoke({})
            ids.add(facts.environment_id)
            assert (facts.environment_id, facts.number, facts.cold, facts.gap) == (
                environment.id,
                1,
                True,
                0.0,
            )
            assert environment.statistics.environment_id == environment.id
        assert len(ids) == 3


def test_it_is_closed_for_a_snapshot_in_its_own_loop(inside):
    elsewhere, loop = Environment(), asyncio.new_event_loop()
    elsewhere.join(loop)

    @inside
    async def _(environment):
        with pytest.raises(WrongLoopError):
            await elsewhere.before_snapshot()

    loop.close()


def test_events_carry_the_new_id(inside, recorder):
    db = FakeResource("db")

    @inside
    async def _(environment):
        await environment.get(db.resource)
        await environment.before_snapshot()
        environment.after_restore()
        recorder.clear()
        await environment.get(db.resource)
        assert [event.environment_id for event in recorder.events] == [environment.id]


def test_what_is_in_use_or_in_the_middle_of_something_is_closed_too(inside):
    used, starting = FakeResource("used"), FakeResource("starting", starts=[HANG])
    checking = FakeResource("checking", checks=[HANG], snapshot="keep")

    @warm_handler(used=used.resource)
    async def handler(event, used):
        await asyncio.Event().wait()

    @inside
    async def _(environment):
        await environment.get(checking.resource)
        environment.distrust(checking.resource)
        left = [
            asyncio.create_task(handler.invoke({})),
            asyncio.create_task(environment.get(starting.resource)),
            asyncio.create_task(environment.get(checking.resource)),
        ]
        await asyncio.sleep(0.1)
        await environment.before_snapshot()
        assert (used.open, starting.open, checking.open) == ([], [], [1])
        states = {slot.name: slot.state for slot in environment.live.alive()}
        assert states == {"checking": State.CHECKING}
        for task in left:
            task.cancel()
        await asyncio.wait(left)
        assert [fake.faults for fake in (used, starting, checking)] == [[], [], []]


def test_what_does_not_close_is_told_and_out_of_use_and_the_others_are_closed(inside):
    bad = FakeResource("bad", closes=[OSError("not now")])
    slow = FakeResource("slow", closes=[HANG])
    good = FakeResource("good")

    @inside
    async def _(environment):
        await environment.prewarm(bad.resource, slow.resource, good.resource)
        with pytest.raises(TeardownError) as raised:
            await environment.before_snapshot()
        assert [(error.resource, str(error.__cause__)) for error in raised.value.exceptions] == [
            ("bad", "not now"),
            ("slow", "the close took longer than close_timeout = 0.25 s"),
        ]
        assert environment.live.alive() == []
        assert good.open == []
        environment.after_restore()
        assert (await environment.get(bad.resource)).use() == 2


def test_an_override_s_value_is_its_owner_s(inside):
    db = FakeResource("db")

    @inside
    async def _(environment):
        await environment.get(db.resource)
        with environment.override(db.resource, "stand-in"):
            assert await environment.get(db.resource) == "stand-in"
            await environment.before_snapshot()
            assert db.open == []  # the original, which is set aside
            environment.after_restore()
            assert await environment.get(db.resource) == "stand-in"
        assert (await environment.get(db.resource)).use() == 2


def test_observers_let_go_of_what_they_keep_when_all_is_closed(inside):
    story = []

    class Keeping:
        def __call__(self, event):
            story.append(f"{event.kind} {event.resource}")

        async def settle(self):
            story.append("settled")

    db = FakeResource("db")

    @inside
    async def _(environment):
        environment.observe(Keeping())
        await environment.get(db.resource)
        await environment.before_snapshot()
        assert story == ["started db", "retired db", "closed db", "settled"]


def test_work_for_after_the_response_is_done_before_what_it_needs_is_closed(inside):
    db, story = FakeResource("db"), []

    async def work(db):
        await asyncio.sleep(0.1)
        story.append(db.use())

    @warm_handler(db=db.resource)
    async def handler(event, db):
        after_response(work(db))

    @inside
    async def _(environment):
        await handler.invoke({})
        await environment.before_snapshot()
        assert (story, db.open, db.faults) == ([1], [], [])


def test_who_did_not_listen_in_the_init_phase_is_asked_by_the_first_invocation_of_a_copy(inside):
    class Late:
        listening = False
        told = 0

        def listens(self):
            return self.listening

        def __call__(self, event):
            self.told += 1

    late = Late()

    @warm_handler(observers=[late])
    async def handler(event): ...

    @inside
    async def _(environment):
        for _invocation in range(100):
            await handler.invoke({})
        await environment.before_snapshot()
        late.listening = True
        environment.after_restore()
        await handler.invoke({})
        assert late.told == 2
