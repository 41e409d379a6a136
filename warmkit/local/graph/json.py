"""A picture as JSON, for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warmkit.local.graph.picture import Edge, Node, Picture


def as_json(picture: Picture) -> str:
    """Return the drawing's facts."""
    facts = {
        "handler": picture.handler,
        "kind": picture.kind,
        "place": picture.place,
        "needs": _edges(picture.needs),
        "resources": [{**node._asdict(), "needs": _edges(node.needs)} for node in picture.nodes],
        "starts": {
            scope: [_ids(level) for level in picture.levels(scope)]
            for scope in ("environment", "invocation")
        },
        "on_demand": _ids(picture.on_demand),
    }
    return json.dumps(facts, indent=2)


def _edges(edges: Iterable[Edge]) -> list[dict[str, object]]:
    return [edge._asdict() for edge in edges]


def _ids(nodes: Iterable[Node]) -> list[str]:
    return [node.id for node in nodes]
