"""Whatever resources are built on one another: a snapshot holds nothing that cannot be cloned, and a copy works."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from warmkit import Environment, State, resource
from warmkit.testing import FakeResource, VirtualClock, run

WISHES = st.sampled_from(["auto", "keep", "close"])


@dataclass
class Plan:
    """One resource: whether it has a close and a check, what it wishes, and on which earlier ones it is built."""

    closes: bool
    checked: bool
    wish: str
    below: set[int]
    started: bool

    @property
    def bears(self):
        return self.wish == "keep" or (self.wish == "auto" and not (self.closes or self.checked))


@st.composite
def plans(draw):
    return [
        Plan(
            draw(st.booleans()),
            draw(st.booleans()),
            draw(WISHES),
            draw(st.sets(st.integers(0, number - 1), max_size=2)) if number else set(),
            draw(st.booleans()),
        )
        for number in range(draw(st.integers(1, 7)))
    ]


class Value:
    def __init__(self, needs):
        self.needs = needs

    def use(self):
        for needed in self.needs.values():
            needed.use()


class World:
    def __init__(self, plans):
        self.plans, self.recipes, self.fakes = plans, [], []
        for number, plan in enumerate(plans):
            needs = {f"r{below}": self.recipes[below] for below in plan.below}
            make = self.fake if plan.closes else self.plain
            self.recipes.append(make(number, plan, needs))

    def fake(self, number, plan, needs):
        made = FakeResource(
            f"r{number}", checks=[] if plan.checked else None, needs=needs, snapshot=plan.wish
        )
        self.fakes.append(made)
        return made.resource

    def plain(self, number, plan, needs):
        check = _pass if plan.checked else None
        declare = resource(name=f"r{number}", check=check, snapshot=plan.wish, **needs)
        return declare(_plain(list(needs)))

    def is_kept(self, number):
        plan = self.plans[number]
        return plan.bears and all(self.is_kept(below) for below in plan.below)

    @property
    def faults(self):
        return [fault for fake in self.fakes for fault in fake.faults]


def _pass(value): ...


def _plain(names):
    scope = {"Value": Value}
    arguments = ", ".join(f"{name}={name}" for name in names)
    exec(f"def make({', '.join(names)}): return Value(dict({arguments}))", scope)
    return scope["make"]


@settings(max_examples=300)
@given(plans(), st.sampled_from([0.0, 0.5, 1e6]), st.booleans())
def test_a_snapshot_holds_only_what_can_be_cloned_and_every_use_after_a_restore_is_right(
    plans, gap, monotonic
):
    world, clock = World(plans), VirtualClock()

    async def main():
        async with Environment(clock=clock) as environment:
            wanted = [world.recipes[n] for n, plan in enumerate(plans) if plan.started]
            if wanted:
                await environment.prewarm(*wanted)
            values = {recipe: slot.value for recipe, slot in environment.live.current.items()}
            await environment.before_snapshot()
            kept = {slot.recipe for slot in environment.live.alive()}
            assert kept == {r for r in values if world.is_kept(world.recipes.index(r))}
            assert {slot.state for slot in environment.live.alive()} <= {State.WARM}
            clock.freeze(gap, monotonic=monotonic)
            environment.after_restore()
            for recipe in world.recipes:
                value = await environment.get(recipe)
                value.use()
                if recipe in values:
                    stale = gap > 300 and any(item.perishable for item in {recipe, *_below(recipe)})
                    assert (value is values[recipe]) == (recipe in kept and not stale)
            assert world.faults == []
        assert [fake.open for fake in world.fakes if fake.open] == []

    run(main, clock=clock)


def _below(recipe):
    found = set(recipe.dependencies)
    for item in recipe.dependencies:
        found |= _below(item)
    return found
