"""A picture as a Mermaid flowchart.

Source: https://mermaid.js.org/syntax/flowchart.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from warmkit.local.graph.text import facts_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from warmkit.local.graph.picture import Edge, Node, Picture

_GROUPS = {
    "environment": "lives as long as the environment",
    "invocation": "for each invocation",
}
_PLAIN = frozenset(" .,:/=()_-")


def mermaid(picture: Picture) -> str:
    """Return the drawing."""
    return "\n".join(_lines(picture)) + "\n"


def escaped(text: str) -> str:
    """Return a text for between double quotes. Whatever could mean something becomes an entity."""
    return "".join(
        letter if letter.isalnum() or letter in _PLAIN else f"#{ord(letter)};"
        for letter in " ".join(text.split())
    )


def _lines(picture: Picture) -> Iterator[str]:
    yield "flowchart TD"
    yield f'    handler(["{escaped(picture.handler)}"])'
    for scope, title in _GROUPS.items():
        nodes = [node for node in picture.nodes if node.scope == scope]
        if nodes:
            yield f'    subgraph {scope}["{title}"]'
            yield from (f"        {_box(node)}" for node in nodes)
            yield "    end"
    yield from _arrows("handler", picture.needs)
    for node in picture.nodes:
        yield from _arrows(node.id, node.needs)


def _box(node: Node) -> str:
    lines = [node.name, node.made_by, ", ".join(facts_of(node))]
    return f'{node.id}["{"<br/>".join(escaped(line) for line in lines)}"]'


def _arrows(source: str, edges: Iterable[Edge]) -> Iterator[str]:
    for edge in edges:
        yield f"    {source} {'-. lazy .->' if edge.lazy else '-->'} {edge.to}"
