"""The wiring of recipes: which resource needs which, in what order they start, and whether they can at all.

Pure: it walks recipes and draws paths; nothing is started here.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from warmkit.errors import CyclicDependencyError, ScopeError
from warmkit.inject import Need, Wants
from warmkit.resource import Resource, is_resource

AnyResource = Resource[Any]
Dependencies = Callable[[AnyResource], Iterable[AnyResource]]


class Graph(NamedTuple):
    """A checked wiring.

    Attributes:
        environment: Resources of environment scope, each after all that it depends on.
        invocation: Resources of invocation scope, likewise.
    """

    environment: tuple[AnyResource, ...]
    invocation: tuple[AnyResource, ...]


def wire(owner: str, needs: Iterable[Need]) -> Graph:
    """Checks what a handler needs, names what has no name, and orders it.

    Args:
        owner: The handler's name, for errors.
        needs: Its injected parameters.

    Raises:
        CyclicDependencyError: A resource depends on itself.
        ScopeError: A resource of environment scope depends on one of invocation scope.
    """
    needs = tuple(needs)
    roots = _take_part(needs)
    _refuse_cycles(roots)
    _refuse_scopes(owner, roots)
    order = ordered(need for need in _resources(needs, Wants.VALUE))
    return Graph(
        environment=tuple(item for item in order if item.options.scope == "environment"),
        invocation=tuple(item for item in order if item.options.scope == "invocation"),
    )


def ordered(
    roots: Iterable[AnyResource], dependencies: Dependencies | None = None
) -> tuple[AnyResource, ...]:
    """Returns the roots and all that they depend on, each after what it depends on.

    Args:
        roots: Where to begin.
        dependencies: What a resource depends on; default: what its recipe says.
    """
    follow = dependencies or _dependencies
    done: dict[AnyResource, None] = {}

    def visit(resource: AnyResource) -> None:
        if resource not in done:
            for dependency in follow(resource):
                visit(dependency)
            done[resource] = None

    for root in roots:
        visit(root)
    return tuple(done)


def levels(
    items: Sequence[AnyResource], dependencies: Dependencies | None = None
) -> list[list[AnyResource]]:
    """Groups resources so that each level depends only on the levels before it."""
    follow = dependencies or _dependencies
    depth: dict[AnyResource, int] = {}
    for item in ordered(items, follow):
        depth[item] = 1 + max((depth[needed] for needed in follow(item)), default=-1)
    grouped: list[list[AnyResource]] = [[] for _ in range(1 + max(depth.values(), default=-1))]
    for item, level in depth.items():
        grouped[level].append(item)
    return grouped


def _dependencies(resource: AnyResource) -> tuple[AnyResource, ...]:
    return resource.dependencies


def _resources(needs: Iterable[Need], *wants: Wants) -> list[AnyResource]:
    return [need.resource for need in needs if is_resource(need.resource) and need.wants in wants]


def _take_part(needs: Iterable[Need]) -> list[AnyResource]:
    """Seals and names every recipe that can be reached, lazily or not; returns the nearest ones."""
    seen: set[AnyResource] = set()

    def visit(needs: Iterable[Need]) -> list[AnyResource]:
        for need in needs:
            if is_resource(need.resource):
                need.resource.seal(need.parameter)
                if need.resource not in seen:
                    seen.add(need.resource)
                    visit(need.resource.needs)
        return _resources(needs, Wants.VALUE, Wants.LAZY)

    return visit(needs)


def _refuse_cycles(roots: Iterable[AnyResource]) -> None:
    done: set[AnyResource] = set()
    path: list[AnyResource] = []

    def visit(resource: AnyResource) -> None:
        if resource in path:
            circle = [*path[path.index(resource) :], resource]
            raise CyclicDependencyError([item.name for item in circle])
        if resource in done:
            return
        path.append(resource)
        for dependency in resource.dependencies:
            visit(dependency)
        path.pop()
        done.add(resource)

    for root in roots:
        visit(root)


def _refuse_scopes(owner: str, roots: Iterable[AnyResource]) -> None:
    seen: set[AnyResource] = set()

    def visit(resource: AnyResource, path: list[str]) -> None:
        if resource in seen:
            return
        seen.add(resource)
        path = [*path, resource.name]
        for need in resource.needs:
            if resource.options.scope == "environment" and _ends_with_invocation(need):
                raise ScopeError([*path, _called(need)])
            if is_resource(need.resource):
                visit(need.resource, path)

    for root in roots:
        visit(root, [owner])


def _ends_with_invocation(need: Need) -> bool:
    if need.wants is Wants.INVOCATION:
        return True
    return is_resource(need.resource) and need.resource.options.scope == "invocation"


def _called(need: Need) -> str:
    return need.resource.name if is_resource(need.resource) else "Invocation"
