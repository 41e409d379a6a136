"""Any graph of resources, without circles: started and stopped in order, once, and no slower than it must be."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from warmkit import Environment, warm_handler
from warmkit.graph import ordered
from warmkit.testing import EventRecorder, FakeResource, VirtualClock, run


@st.composite
def graphs(draw):
    """Lists, for each resource, of the earlier ones that it needs."""
    size = draw(st.integers(1, 7))
    return [
        sorted(draw(st.sets(st.integers(0, number - 1), max_size=3))) if number else []
        for number in range(size)
    ]


def build(graph, **options):
    fakes = []
    for number, needed in enumerate(graph):
        needs = {f"r{below}": fakes[below] for below in needed}
        fakes.append(FakeResource(f"r{number}", needs=needs, **options))
    return fakes


def handler_of(fakes, chosen):
    @warm_handler(**{fakes[number].name: fakes[number].resource for number in chosen})
    async def handler(event, context, **values):
        return {name: value.use() for name, value in values.items()}

    return handler


def depth_of(graph):
    depth = []
    for needed in graph:
        depth.append(1 + max((depth[below] for below in needed), default=0))
    return depth


@given(graphs(), st.data())
def test_the_order_puts_each_once_after_what_it_needs(graph, data):
    fakes = build(graph)
    recipes = data.draw(st.permutations([fake.resource for fake in fakes]))
    order = ordered(recipes)
    assert len(order) == len(set(order)) == len(fakes)
    for item in order:
        assert all(order.index(needed) < order.index(item) for needed in item.dependencies)


@given(graphs(), st.integers(1, 4), st.data())
def test_each_starts_once_after_what_it_needs_and_stops_once_before(graph, tasks, data):
    fakes = build(graph, starts=[1.0], closes=[0.001])
    chosen = [data.draw(st.sets(st.sampled_from(range(len(fakes))))) for _ in range(tasks)]
    recorder = EventRecorder()

    async def scenario():
        async with Environment(observers=[recorder]):
            results = await asyncio.gather(
                *(handler_of(fakes, numbers).invoke({}) for numbers in chosen)
            )
        assert results == [{f"r{number}": 1 for number in numbers} for numbers in chosen]

    run(scenario)
    wanted = set().union(*chosen)
    for number in reversed(range(len(graph))):
        wanted |= set(graph[number]) if number in wanted else set()
    assert [fake.faults for fake in fakes if fake.faults] == []
    for number, fake in enumerate(fakes):
        assert fake.log == (["start 1", "close 1"] if number in wanted else [])
    story = [line for line in recorder.story if not line.startswith("invocation")]
    for number in wanted:
        for below in graph[number]:
            assert story.index(f"started r{below}") < story.index(f"started r{number}")
            assert story.index(f"closed r{number}") < story.index(f"closed r{below}")


@given(graphs())
def test_a_cold_start_takes_as_long_as_its_longest_chain(graph):
    clock = VirtualClock()
    fakes = build(graph, starts=[1.0])

    async def scenario():
        async with Environment(clock=clock):
            await handler_of(fakes, range(len(fakes))).invoke({})
            return clock.monotonic

    assert run(scenario, clock=clock) == max(depth_of(graph))


@given(graphs(), st.data())
def test_when_one_dies_it_and_what_stands_on_it_are_rebuilt_and_nothing_else(graph, data):
    clock = VirtualClock()
    dies = data.draw(st.sampled_from(range(len(graph))))
    dead = set()
    fakes = build(graph, alive=lambda value: (value.name, value.number) not in dead)
    affected = {dies}
    for number, needed in enumerate(graph):
        affected |= {number} if affected & set(needed) else set()

    async def scenario():
        async with Environment(clock=clock):
            handler = handler_of(fakes, range(len(fakes)))
            await handler.invoke({})
            dead.add((f"r{dies}", 1))
            return await handler.invoke({})

    assert run(scenario, clock=clock) == {
        f"r{number}": 2 if number in affected else 1 for number in range(len(graph))
    }
    assert [fake.faults for fake in fakes if fake.faults] == []
