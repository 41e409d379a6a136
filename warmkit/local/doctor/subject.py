"""Everything that the rules may look at, gathered once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from warmkit import Resource, WarmHandler, WarmkitError
from warmkit.local.doctor.calls import Calls
from warmkit.local.doctor.costs import SLOW_MS
from warmkit.local.target import warm_handler_in
from warmkit.recipe import is_resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from warmkit.inject import Need
    from warmkit.local.doctor.finding import Cost
    from warmkit.local.doctor.held import Held
    from warmkit.local.doctor.source import Call, Source
    from warmkit.local.doctor.watch import Watch
    from warmkit.local.target import Target


@dataclass(frozen=True)
class Subject:
    """One handler, its modules, and what they did.

    Attributes:
        target: The handler and its module.
        sources: The user's modules, the handler's first.
        held: What they held after the import.
        watch: What the import did.
        costs: What the imports cost.
        calls: What the calls left behind.
        concurrency: How many invocations an environment serves at once.
        slow_ms: From how many milliseconds on an import is slow.
    """

    target: Target
    sources: tuple[Source, ...]
    held: tuple[Held, ...]
    watch: Watch
    costs: tuple[Cost, ...] = ()
    calls: Calls = field(default_factory=Calls)
    concurrency: int = 1
    slow_ms: float = SLOW_MS

    @cached_property
    def handler(self) -> WarmHandler[object] | None:
        """Warmkit's handler, if it is one."""
        return warm_handler_in(self.target.handler)

    @cached_property
    def resources(self) -> tuple[Resource[Any], ...]:
        """All that the handler can ask for, and those that the modules hold."""
        seen: dict[Resource[Any], None] = {}
        needs = self.handler.needs if self.handler else ()
        for resource in [*_taken(needs), *(item.value for item in self.held)]:
            if issubclass(type(resource), Resource):
                _collect(resource, seen)
        return tuple(seen)

    @property
    def text_calls(self) -> Iterator[tuple[Source, Call]]:
        """Every call in the text of the user's modules."""
        for source in self.sources:
            for call in source.calls:
                yield source, call


def _collect(resource: Resource[Any], seen: dict[Resource[Any], None]) -> None:
    if resource not in seen:
        seen[resource] = None
        with suppress(WarmkitError):  # no handler has taken it yet, and none could
            for below in _taken(resource.needs):
                _collect(below, seen)


def _taken(needs: Iterable[Need]) -> list[Resource[Any]]:
    return [need.resource for need in needs if is_resource(need.resource)]
