"""The wiring: order, circles and scopes, drawn when they are wrong."""

from typing import Annotated

import annotated_as_text
import pytest

from warmkit import CyclicDependencyError, Invocation, Lazy, ScopeError, resource, warm_handler
from warmkit.graph import ordered
from warmkit.testing import FakeResource


def test_resources_are_ordered_after_what_they_depend_on():
    base = FakeResource("base")
    left, right = FakeResource("left", needs={"b": base}), FakeResource("right", needs={"b": base})
    top = FakeResource("top", needs={"l": left, "r": right})
    names = [item.name for item in ordered([top.resource])]
    assert (names[0], set(names[1:3]), names[3:]) == ("base", {"left", "right"}, ["top"])


def test_a_handler_knows_what_it_needs_by_scope():
    db = FakeResource("db")
    tx = FakeResource("tx", needs={"db": db}, scope="invocation")
    handler = warm_handler(tx=tx.resource)(lambda event, context, tx: tx)
    assert handler.graph == ((db.resource,), (tx.resource,))


def test_a_circle_through_the_globals_of_a_module_is_drawn():
    with pytest.raises(CyclicDependencyError) as raised:
        warm_handler(annotated_as_text.breakfast)
    assert str(raised.value) == (
        "resources depend on each other in a circle:\n"
        "  egg\n"
        "  └─ hen\n"
        "     └─ egg\n"
        "  Take one of them as Annotated[Lazy[...], egg] and await it after the start, or move what both need into a third resource."
    )


def test_a_circle_with_a_lazy_link_is_none(inside):
    handler = warm_handler(annotated_as_text.late_breakfast)

    @inside
    async def scenario(environment):
        assert await handler.invoke({}) == "hen"


def test_a_circle_is_found_too_when_no_handler_takes_it(inside):
    @inside
    async def scenario(environment):
        with pytest.raises(CyclicDependencyError):
            await environment.get(annotated_as_text.egg)


def test_a_lasting_resource_on_one_that_ends_with_the_invocation_is_drawn():
    tx = FakeResource("tx", scope="invocation")
    api = FakeResource("api", needs={"tx": tx})
    top = FakeResource("top", needs={"api": api})

    def handler(event, context, top): ...

    with pytest.raises(ScopeError) as raised:
        warm_handler(top=top.resource)(handler)
    assert str(raised.value) == (
        "'api' lives as long as the environment, but 'tx' ends with each invocation:\n"
        f"  {handler.__qualname__}\n"
        "  └─ top\n"
        "     └─ api\n"
        "        └─ tx\n"
        "  Give 'api' scope=\"invocation\" too, or take 'tx' in the handler itself."
    )


def test_a_lasting_resource_cannot_take_what_ends_lazily_either():
    tx = FakeResource("tx", scope="invocation")

    @resource
    async def api(tx: Annotated[Lazy[object], tx.resource]): ...

    with pytest.raises(ScopeError):
        warm_handler(api=api)(lambda event, context, api: api)


def test_a_lasting_resource_cannot_take_the_facts_of_one_invocation():
    @resource
    async def api(facts: Invocation): ...

    with pytest.raises(ScopeError) as raised:
        warm_handler(api=api)(lambda event, context, api: api)
    assert raised.value.path[-2:] == ("api", "Invocation")


def test_wrong_scopes_are_found_too_when_no_handler_takes_them(inside):
    tx = FakeResource("tx", scope="invocation")
    api = FakeResource("api", needs={"tx": tx})

    @inside
    async def scenario(environment):
        with pytest.raises(ScopeError):
            await environment.get(api.resource)

    assert tx.log == []


def test_what_only_a_lazy_resource_needs_is_not_started_ahead():
    db = FakeResource("db")
    api = FakeResource("api", needs={"db": db})

    def handler(event, context, api: Annotated[Lazy[object], api.resource]): ...

    assert warm_handler(handler).graph == ((), ())
