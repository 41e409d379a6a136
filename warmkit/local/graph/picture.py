"""What a drawing of a handler shows, as values. How it is drawn is not known here."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, NamedTuple

from warmkit.graph import ordered
from warmkit.inject import Need, Wants
from warmkit.local.target import shown
from warmkit.recipe import Resource, is_lasting, is_resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import CodeType

    from warmkit import WarmHandler
    from warmkit.graph import AnyResource


class Edge(NamedTuple):
    """One injected parameter that takes a resource.

    Attributes:
        parameter: Its name.
        to: The resource's id.
        lazy: The resource starts only when the code awaits it.
    """

    parameter: str
    to: str
    lazy: bool


class Node(NamedTuple):
    """One resource.

    Attributes:
        id: Unique in the picture.
        name: What events and errors call it.
        made_by: Who makes it: `warmkit.resources.postgres`, or the factory and its place.
        scope: "environment" or "invocation".
        start: "lazy", "eager" or "auto".
        marks: How it stays fresh, in words.
        level: 1 for what depends on nothing of its scope, and so on: what starts side by side.
        on_demand: Nothing needs it but what asks for it lazily.
        needs: What it depends on.
    """

    id: str
    name: str
    made_by: str
    scope: str
    start: str
    marks: tuple[str, ...]
    level: int
    on_demand: bool
    needs: tuple[Edge, ...]


class Picture(NamedTuple):
    """One handler and all its resources.

    Attributes:
        handler: Its name, "module.function".
        kind: "async def", "def" or "async def that yields".
        place: File and line.
        needs: What it takes.
        nodes: Every resource once, each after what it depends on.
    """

    handler: str
    kind: str
    place: str
    needs: tuple[Edge, ...]
    nodes: tuple[Node, ...]

    def node(self, identity: str) -> Node:
        """Return the resource of that id."""
        return next(node for node in self.nodes if node.id == identity)

    def levels(self, scope: str) -> list[tuple[Node, ...]]:
        """Return what starts side by side, in order. Closing goes the other way round.

        Args:
            scope: Of which resources.
        """
        nodes = [node for node in self.nodes if node.scope == scope and not node.on_demand]
        deepest = max((node.level for node in nodes), default=0)
        return [
            tuple(node for node in nodes if node.level == level) for level in range(1, deepest + 1)
        ]

    @property
    def on_demand(self) -> tuple[Node, ...]:
        """What starts only when the code asks for it."""
        return tuple(node for node in self.nodes if node.on_demand)


def picture(name: str, handler: WarmHandler[object]) -> Picture:
    """Return what there is to draw. Nothing is started.

    Args:
        name: What the handler is called.
        handler: The handler.
    """
    everything = ordered(_reachable(handler.needs))  # each after what it depends on
    ids = {resource: f"r{number}" for number, resource in enumerate(everything, 1)}
    needed = {*handler.graph.environment, *handler.graph.invocation}
    levels = _levels(everything)

    def edges(needs: Iterable[Need]) -> tuple[Edge, ...]:
        return tuple(
            Edge(need.parameter, ids[need.resource], need.wants is Wants.LAZY)
            for need in needs
            if is_resource(need.resource)
        )

    nodes = tuple(
        Node(
            ids[resource],
            resource.name,
            _made_by(resource.factory),
            resource.options.scope,
            resource.options.start,
            _marks(resource),
            levels[resource],
            resource not in needed,
            edges(resource.needs),
        )
        for resource in everything
    )
    return Picture(name, _kind(handler), place_of(handler.__wrapped__), edges(handler.needs), nodes)


def place_of(function: Callable[..., object]) -> str:
    """Return "file:line" of a function, relative to the working directory; empty if it has none."""
    code: CodeType | None = getattr(inspect.unwrap(function), "__code__", None)
    return "" if code is None else f"{shown(code.co_filename)}:{code.co_firstlineno}"


def _reachable(needs: Iterable[Need]) -> list[AnyResource]:
    """Return every resource that can be asked for, lazily or not; lazily even in a circle."""
    seen: dict[AnyResource, None] = {}

    def visit(needs: Iterable[Need]) -> None:
        for need in needs:
            if is_resource(need.resource) and need.resource not in seen:
                seen[need.resource] = None
                visit(need.resource.needs)

    visit(needs)
    return list(seen)


def _levels(resources: Iterable[AnyResource]) -> dict[AnyResource, int]:
    levels: dict[AnyResource, int] = {}
    for resource in resources:  # each after what it depends on
        below = [
            levels[item]
            for item in resource.dependencies
            if is_lasting(item) == is_lasting(resource)
        ]
        levels[resource] = 1 + max(below, default=0)
    return levels


def _kind(handler: WarmHandler[object]) -> str:
    if handler.is_stream:
        return "async def that yields"
    return "async def" if handler.is_async else "def"


def _made_by(factory: Callable[..., object]) -> str:
    module = getattr(factory, "__module__", None) or type(factory).__module__
    if module.startswith("warmkit.resources."):
        return ".".join(module.split(".")[:3])
    called = getattr(factory, "__qualname__", None) or type(factory).__qualname__
    return " ".join(filter(None, [f"{module}.{called}", place_of(factory)]))


def _marks(resource: Resource[object]) -> tuple[str, ...]:
    hooks, limits = resource.hooks, resource.limits
    marks = {
        "alive": hooks.alive is not None,
        f"check after {limits.check_after:g} s": hooks.check is not None,
        "refresh": hooks.refresh is not None,
        f"max_gap {limits.max_gap or 0:g} s": limits.max_gap is not None,
        f"max_age {limits.max_age or 0:g} s": limits.max_age is not None,
        "expires_at": hooks.expires_at is not None,
    }
    return tuple(mark for mark, holds in marks.items() if holds)
