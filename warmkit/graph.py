"""The wiring of recipes: which resource needs which, in what order they start, and whether they can at all.

Pure: it walks recipes and draws paths; nothing is started here.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from warmkit.errors import CyclicDependencyError, ScopeError
from warmkit.inject import Need, Wants
from warmkit.recipe import Resource, is_lasting, is_resource

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
    ordered(_take_part(needs))
    _refuse_scopes(owner, _resources(needs, Wants.VALUE, Wants.LAZY))
    order = ordered(_resources(needs, Wants.VALUE))
    return Graph(
        environment=tuple(item for item in order if is_lasting(item)),
        invocation=tuple(item for item in order if not is_lasting(item)),
    )


def check(resource: AnyResource) -> None:
    """Checks the wiring of a resource that no handler may have taken yet.

    Raises:
        CyclicDependencyError: It depends on itself.
        ScopeError: Something of environment scope depends on something of invocation scope.
    """
    if not resource.checked:
        resource.seal()
        ordered([resource, *_take_part(resource.needs)])
        _refuse_scopes("environment", [resource])
        resource.checked = True


def check_stand_in(resource: AnyResource, recipe: AnyResource) -> None:
    """Checks that one recipe can stand in for another.

    Raises:
        ScopeError: It, or something that it depends on, ends with the invocation, and the other does not.
    """
    if is_lasting(resource) and not is_lasting(recipe):
        raise ScopeError([resource.name, recipe.name])
    check(recipe)


def ordered(
    roots: Iterable[AnyResource], dependencies: Dependencies | None = None
) -> tuple[AnyResource, ...]:
    """Returns the roots and all that they depend on, each after what it depends on.

    Args:
        roots: Where to begin.
        dependencies: What a resource depends on; default: what its recipe says.

    Raises:
        CyclicDependencyError: A resource depends on itself.
    """
    follow = dependencies or _dependencies
    done: dict[AnyResource, None] = {}
    path: list[AnyResource] = []

    def visit(resource: AnyResource) -> None:
        if resource in done:
            return
        if resource in path:
            circle = [*path[path.index(resource) :], resource]
            raise CyclicDependencyError([item.name for item in circle])
        path.append(resource)
        for dependency in follow(resource):
            visit(dependency)
        path.pop()
        done[resource] = None

    for root in roots:
        visit(root)
    return tuple(done)


def _dependencies(resource: AnyResource) -> tuple[AnyResource, ...]:
    return resource.dependencies


def _resources(needs: Iterable[Need], *wants: Wants) -> list[AnyResource]:
    return [need.resource for need in needs if is_resource(need.resource) and need.wants in wants]


def _take_part(needs: Iterable[Need]) -> list[AnyResource]:
    """Seals and names every recipe that can be reached, lazily or not, and returns them."""
    seen: dict[AnyResource, None] = {}

    def visit(needs: Iterable[Need]) -> None:
        for need in needs:
            if is_resource(need.resource):
                need.resource.seal(need.parameter)
                if need.resource not in seen:
                    seen[need.resource] = None
                    visit(need.resource.needs)

    visit(needs)
    return list(seen)


def _refuse_scopes(owner: str, roots: Iterable[AnyResource]) -> None:
    seen: set[AnyResource] = set()

    def visit(resource: AnyResource, path: list[str]) -> None:
        if resource in seen:
            return
        seen.add(resource)
        path = [*path, resource.name]
        for need in resource.needs:
            if is_lasting(resource) and _ends_with_invocation(need):
                raise ScopeError([*path, _called(need)])
            if is_resource(need.resource):
                visit(need.resource, path)

    for root in roots:
        visit(root, [owner])


def _ends_with_invocation(need: Need) -> bool:
    if need.wants is Wants.INVOCATION:
        return True
    return is_resource(need.resource) and not is_lasting(need.resource)


def _called(need: Need) -> str:
    return need.resource.name if is_resource(need.resource) else "Invocation"
