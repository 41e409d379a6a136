"""One life of one resource: its states, its users, its own task."""

import asyncio

import pytest

from warmkit import CheckError, CloseError, EventKind, RefreshError, StartError, State
from warmkit.clock import Reading
from warmkit.events import MOVES, Counters
from warmkit.slot import Slot
from warmkit.testing import HANG, FakeResource, VirtualClock, run


class FakeKeeper:
    """Keeps one slot, and what it reports."""

    def __init__(self, clock):
        self.clock = clock
        self.context = None
        self.told = []
        self.errors = []
        self.loop_ended = 0

    def report(self, kind, slot, *, seconds=0.0, gap=0.0, reason="", error=None):
        self.told.append((kind, reason) if reason else kind)
        self.errors += [error] if error is not None else []

    def retire(self, slot, reason, *, outlived=False):
        slot.retire(reason)

    def loop_ends(self):
        self.loop_ended += 1
        return True


@pytest.fixture
def keeper(clock):
    return FakeKeeper(clock)


@pytest.fixture
def slot_of(keeper):
    return lambda fake: Slot(fake.resource, fake.name, keeper, Counters())


async def started(slot):
    slot.start({})
    await slot.settled()
    return slot


def test_a_life_from_cold_to_closed(keeper, slot_of, clock):
    db = FakeResource("db", starts=[1.0], checks=[0.5], closes=[0.1])

    async def scenario():
        slot = slot_of(db)
        states = [slot.state]
        slot.start({})
        states.append(slot.state)
        await slot.settled()
        states.append(slot.state)
        slot.check()
        states.append(slot.state)
        await slot.settled()
        states.append(slot.state)
        slot.retire("enough")
        states.append(slot.state)
        await slot.closing
        states.append(slot.state)
        assert states == [
            State.COLD,
            State.STARTING,
            State.WARM,
            State.CHECKING,
            State.WARM,
            State.RETIRING,
            State.CLOSED,
        ]
        assert (slot.value, slot.closing) == (None, None)

    run(scenario, clock=clock)
    assert keeper.told == [
        (EventKind.STARTED, "first use"),
        EventKind.CHECKED,
        (EventKind.RETIRED, "enough"),
        EventKind.CLOSED,
    ]
    assert db.log == ["start 1", "check 1", "close 1"]


@pytest.mark.parametrize(
    ("before", "after"),
    [(before, after) for before in State for after in State if after not in MOVES[before]],
)
def test_a_move_that_is_not_in_the_table_is_our_bug(before, after, slot_of):
    slot = slot_of(FakeResource("db"))
    slot.state = before
    with pytest.raises(AssertionError, match=f"slot 'db': {before} cannot become {after}"):
        slot._move(after)


def test_every_state_can_end():
    ends = {State.CLOSED}
    for _ in State:
        ends |= {state for state in State if MOVES[state] & ends}
    assert ends == set(State)


def test_a_failed_start_is_cold_again_and_can_be_tried_again(keeper, slot_of, clock):
    db = FakeResource("db", starts=[OSError("refused")])

    async def scenario():
        slot = await started(slot_of(db))
        assert (slot.state, type(slot.error), type(slot.error.__cause__)) == (
            State.COLD,
            StartError,
            OSError,
        )
        await started(slot)
        assert (slot.state, slot.error, slot.value.number) == (State.WARM, None, 1)
        await slot.close(1)

    run(scenario, clock=clock)
    assert keeper.told == [
        EventKind.START_FAILED,
        (EventKind.STARTED, "first use"),
        (EventKind.RETIRED, "the environment ends"),
        EventKind.CLOSED,
    ]


def test_it_closes_when_its_last_user_is_done(slot_of, clock):
    db = FakeResource("db")

    async def scenario():
        slot = await started(slot_of(db))
        slot.hold(clock.read())
        slot.hold(clock.read())
        slot.retire("enough")
        await asyncio.sleep(1)
        slot.release(clock.read())
        await asyncio.sleep(1)
        assert db.open == [1]
        slot.release(clock.read())
        await slot.closing
        assert (db.open, slot.users) == ([], 0)

    run(scenario, clock=clock)


def test_a_retired_value_that_is_in_use_is_not_closing_yet(slot_of, clock):
    async def scenario():
        slot = await started(slot_of(FakeResource("db")))
        slot.hold(clock.read())
        slot.retire("enough")
        assert slot.closing is None
        slot.release(clock.read())
        await slot.closing

    run(scenario, clock=clock)


def test_what_it_is_built_on_is_held_until_it_is_closed(slot_of, clock):
    db = FakeResource("db")
    api = FakeResource("api", closes=[1.0], close_timeout=5)

    async def scenario():
        below = await started(slot_of(db))
        above = slot_of(api)
        above.start({}, (below,))
        await above.settled()
        below.retire("enough")
        above.retire("enough")
        await asyncio.sleep(0.5)
        assert (below.users, db.open) == (1, [1])
        await asyncio.sleep(1)
        assert (below.users, below.state, above.built_on) == (0, State.CLOSED, ())

    run(scenario, clock=clock)


def test_a_failed_start_lets_go_of_what_it_was_built_on(slot_of, clock):
    async def scenario():
        below = await started(slot_of(FakeResource("db")))
        above = slot_of(FakeResource("api", starts=[OSError("refused")]))
        above.start({}, (below,))
        await above.settled()
        assert (below.users, above.built_on) == (0, ())
        await below.close(1)

    run(scenario, clock=clock)


@pytest.mark.parametrize(
    ("work", "kind", "told"),
    [
        ("check", CheckError, EventKind.CHECK_FAILED),
        ("refresh", RefreshError, EventKind.REFRESH_FAILED),
    ],
)
def test_what_cannot_be_proven_is_retired_and_says_why(work, kind, told, keeper, slot_of):
    db = FakeResource("db", checks=[OSError("reset")], refreshes=[OSError("reset")])

    async def scenario():
        slot = await started(slot_of(db))
        getattr(slot, work)()
        await slot.settled()
        await asyncio.sleep(0)
        assert slot.state is State.CLOSED

    run(scenario)
    assert keeper.told[1:] == [told, (EventKind.RETIRED, str(told)), EventKind.CLOSED]
    assert [(type(error), type(error.__cause__)) for error in keeper.errors] == [(kind, OSError)]


def test_a_check_that_hangs_fails_in_time(keeper, slot_of, clock):
    db = FakeResource("db", checks=[HANG], check_timeout=2)

    async def scenario():
        slot = await started(slot_of(db))
        slot.check()
        await slot.settled()
        assert clock.monotonic == 2
        await asyncio.sleep(0)

    run(scenario, clock=clock)
    assert [str(error) for error in keeper.errors] == [
        (
            "resource 'db' did not pass its check after 2.000 s: "
            "TimeLimitError: the check took longer than check_timeout = 2 s"
        )
    ]


def test_a_close_that_fails_is_told_and_it_is_closed(keeper, slot_of, clock):
    db = FakeResource("db", closes=[OSError("reset")])

    async def scenario():
        slot = await started(slot_of(db))
        await slot.close(1)
        assert (slot.state, type(slot.error)) == (State.CLOSED, CloseError)

    run(scenario, clock=clock)
    assert keeper.told[-1] == EventKind.CLOSE_FAILED


def test_cancelling_the_wait_leaves_the_work_alone(slot_of, clock):
    db = FakeResource("db", starts=[2.0])

    async def scenario():
        slot = slot_of(db)
        slot.start({})
        waiting = asyncio.create_task(slot.settled())
        await asyncio.sleep(1)
        waiting.cancel()
        await slot.settled()
        assert (slot.state, waiting.cancelled()) == (State.WARM, True)
        await slot.close(1)

    run(scenario, clock=clock)


@pytest.mark.parametrize("work", ["start", "check", "refresh"])
def test_work_that_is_cancelled_before_its_first_step_settles(work, slot_of, clock):
    db = FakeResource("db", checks=[], refreshes=[])

    async def scenario():
        slot = slot_of(db)
        if work == "start":
            slot.start({})
        else:
            await started(slot)
            getattr(slot, work)()
        slot.retire("enough")
        await slot.settled()
        await asyncio.sleep(1)
        assert (slot.state, db.open) == (State.CLOSED, [])

    run(scenario, clock=clock)


def test_a_factory_that_ignores_its_cancellation_is_closed_all_the_same(slot_of, clock):
    async def deaf():
        try:
            await HANG()
        except asyncio.CancelledError:
            asyncio.current_task().uncancel()

    db = FakeResource("db", starts=[deaf])

    async def scenario():
        slot = slot_of(db)
        slot.start({})
        await asyncio.sleep(1)
        slot.retire("enough")
        await slot.settled()
        await asyncio.sleep(1)
        assert (slot.state, db.log) == (State.CLOSED, ["start 1", "close 1"])

    run(scenario, clock=clock)


def test_whoever_cancels_its_task_ends_the_loop(keeper, slot_of, clock):
    async def scenario():
        slot = await started(slot_of(FakeResource("db")))
        for _ in range(2):
            slot._task.cancel()
            await asyncio.sleep(0)
        assert (slot.state, keeper.loop_ended) == (State.WARM, 2)
        assert slot._task.cancelling() == 0  # else no deadline in its closer could be told from it
        await slot.close(1)

    run(scenario, clock=clock)


def test_a_supplied_value_is_its_owners(slot_of, clock):
    db = FakeResource("db")
    slot = slot_of(db)
    slot.supply("theirs")
    assert (slot.state, slot.value) == (State.WARM, "theirs")
    slot.hold(clock.read())
    slot.retire("enough")
    assert slot.state is State.RETIRING
    slot.release(clock.read())
    assert (slot.state, db.log) == (State.CLOSED, [])


def test_an_expiry_that_cannot_be_read_is_a_failed_start_that_leaves_nothing_open(slot_of, clock):
    def expires_at(value):
        raise ValueError("no such field")

    db = FakeResource("db", expires_at=expires_at)

    async def scenario():
        slot = await started(slot_of(db))
        assert (slot.state, type(slot.error.__cause__)) == (State.COLD, ValueError)

    run(scenario, clock=clock)
    assert db.log == ["start 1", "close 1"]


@pytest.mark.parametrize(("seconds", "overdue"), [(4.9, False), (5.0, True), (600.0, True)])
def test_a_start_that_a_freeze_interrupted_is_overdue(seconds, overdue, slot_of, clock):
    async def scenario():
        slot = slot_of(FakeResource("db", starts=[HANG]))
        slot.start({})
        await asyncio.sleep(0)
        clock.freeze(seconds)
        assert slot.overdue(clock.read()) is overdue
        slot.retire("enough")
        await slot.settled()

    run(scenario, clock=clock)


def test_readings_are_taken_from_the_keepers_clock_only(slot_of):
    slot = slot_of(FakeResource("db"))
    assert slot.used == slot.started == VirtualClock().read()
    assert isinstance(slot.used, Reading)
