"""Leasing in groups is only faster: whatever happens, nobody can tell it from looking at each resource.

An environment with an observer makes no groups, so the same story is told twice, with and without one.
"""

import asyncio
import itertools
from contextlib import ExitStack
from functools import partial

from hypothesis import example, given, settings
from hypothesis import strategies as st

from warmkit import Environment, StartError, warm_handler
from warmkit.testing import FakeResource, VirtualClock, run

PAIRS = [("db", "s3"), ("s3", "model"), ("db", "s3", "model"), ("model",), ("top",)]
calls = st.tuples(st.just("call"), st.integers(0, len(PAIRS) - 1), st.sampled_from([0.0, 0.6, 3.0]))
gaps = st.tuples(st.just("gap"), st.sampled_from([0.5, 1.0, 1.1, 2.9, 60.0]))
others = st.tuples(
    st.sampled_from(["die", "retire", "distrust", "override", "restore", "get"]),
    st.sampled_from(["db", "s3", "model"]),
)
stories = st.lists(st.one_of(calls, calls, gaps, others), max_size=30)


class World:
    """One telling of a story."""

    def __init__(self, observed):
        self.clock = VirtualClock()
        self.observers = [lambda event: None] if observed else []
        self.dead = set()
        probe = lambda value: (value.name, value.number) not in self.dead  # noqa: E731
        self.db = FakeResource("db", checks=itertools.repeat(0.3), check_after=1.0, alive=probe)
        self.s3 = FakeResource("s3", checks=itertools.repeat(0.1), check_after=2.0, max_gap=50.0)
        self.model = FakeResource("model", alive=probe)
        self.top = FakeResource("top", needs={"db": self.db, "model": self.model})
        self.handlers = [self.handler(names) for names in PAIRS]
        self.seen = []

    def handler(self, names):
        @warm_handler(**{name: getattr(self, name).resource for name in names})
        async def handler(event, **values):
            self.seen.append([value.use() for value in values.values()])
            await asyncio.sleep(event)
            self.seen.append([value.use() for value in values.values()])

        return handler

    async def tell(self, story):
        under_way = []
        async with Environment(clock=self.clock, observers=self.observers) as environment:
            with ExitStack() as overrides:
                for what, *how in story:
                    await getattr(self, f"do_{what}")(environment, overrides, under_way, *how)
                await asyncio.gather(*under_way, return_exceptions=True)
            told = environment.statistics
            environment.live.dissolve()
            held = [
                (slot.name, slot.users, slot.used)
                for slot in environment.live.alive()
                if not any(slot in other.built_on for other in environment.live.alive())
            ]
        fakes = [self.db, self.s3, self.model, self.top]
        assert [fake.faults for fake in fakes] == [[], [], [], []]
        return told.resources, held, self.seen, [fake.log for fake in fakes]

    async def do_call(self, environment, overrides, under_way, which, seconds):
        work = asyncio.create_task(self.handlers[which].invoke(seconds))
        under_way.append(work)
        await asyncio.wait([work], timeout=0.2)

    async def do_gap(self, environment, overrides, under_way, seconds):
        await asyncio.sleep(seconds)

    async def do_die(self, environment, overrides, under_way, name):
        self.dead |= {(name, number) for number in getattr(self, name).open}

    async def do_retire(self, environment, overrides, under_way, name):
        slot = environment.live.current.get(getattr(self, name).resource)
        if slot is not None:
            environment.live.retire(slot, "the story says so")

    async def do_distrust(self, environment, overrides, under_way, name):
        environment.distrust(getattr(self, name).resource)

    async def do_override(self, environment, overrides, under_way, name):
        stand_in = FakeResource(f"stand-in for {name}")
        overrides.enter_context(
            environment.override(getattr(self, name).resource, stand_in.resource)
        )

    async def do_restore(self, environment, overrides, under_way, name):
        overrides.close()

    async def do_get(self, environment, overrides, under_way, name):
        try:
            await environment.get(getattr(self, name).resource)
        except StartError as error:
            self.seen.append(str(error))


AGAIN = [("call", 2, 0.0), ("call", 2, 0.0)]  # the second time as a group


@given(stories)
@settings(max_examples=300)
@example([*AGAIN, ("distrust", "model"), *AGAIN])
@example([*AGAIN, ("retire", "s3"), *AGAIN])
@example([*AGAIN, ("override", "db"), *AGAIN, ("restore", "db"), *AGAIN])
@example([*AGAIN, ("call", 2, 3.0), ("retire", "s3"), *AGAIN])
@example([*AGAIN, ("gap", 0.5), ("call", 0, 0.0), ("gap", 0.6), *AGAIN])
@example([*AGAIN, ("gap", 0.5), ("call", 0, 0.0), ("gap", 0.5), *AGAIN])
@example([*AGAIN, ("gap", 1.1), *AGAIN, ("gap", 60.0), *AGAIN])
@example([*AGAIN, ("gap", 0.5), ("call", 2, 0.0), ("gap", 0.6), ("call", 0, 0.0)])
@example([*AGAIN, ("gap", 0.5), ("call", 2, 0.0), ("gap", 0.6), ("get", "db")])
@example([*AGAIN, ("die", "db"), *AGAIN, ("die", "model"), *AGAIN])
@example([("call", 3, 3.0), ("call", 4, 0.0), ("die", "model"), ("call", 4, 0.0), ("gap", 2.9)])
def test_nobody_can_tell_groups_from_single_slots(story):
    told = []
    for observed in (False, True):
        world = World(observed)
        told.append(run(partial(world.tell, story), clock=world.clock))
    assert told[0] == told[1]
