"""A picture as text: a tree in which what is shared is drawn once, and the order of starts and closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from warmkit.local.graph.picture import Edge, Node, Picture


class Strokes(NamedTuple):
    """What a tree is drawn with.

    Attributes:
        branch: Before a child that others follow.
        last: Before the last child.
        lazy_branch: The same for one that starts on demand.
        lazy_last: The same.
        beside: Below a child that others follow.
        dot: Between facts.
        arrow: Between levels.
    """

    branch: str
    last: str
    lazy_branch: str
    lazy_last: str
    beside: str
    dot: str
    arrow: str


LINES = Strokes("├── ", "└── ", "├╌╌ ", "└╌╌ ", "│   ", " · ", " → ")
ASCII = Strokes("|-- ", "`-- ", "|.. ", "`.. ", "|   ", ", ", " -> ")
_GAP = "    "


def text(picture: Picture, *, strokes: Strokes = LINES) -> str:
    """Return the drawing.

    Args:
        picture: What to draw.
        strokes: What to draw it with.
    """
    head = f"{picture.handler}  {picture.kind}" + (f", {picture.place}" if picture.place else "")
    drawn = list(_Tree(picture, strokes).rows(picture.needs, ""))
    width = max((len(left) for left, _ in drawn), default=0)
    tree = [f"{left:<{width}}  {right}".rstrip() for left, right in drawn]
    if not tree:
        tree = ["It takes no resources."]
    return "\n".join([head, *tree, *_order(picture, strokes.arrow)])


class _Tree:
    def __init__(self, picture: Picture, strokes: Strokes) -> None:
        self._picture = picture
        self._strokes = strokes
        self._shown: set[str] = set()

    def rows(self, edges: tuple[Edge, ...], indent: str) -> Iterator[tuple[str, str]]:
        for edge in edges:
            node = self._picture.node(edge.to)
            last = edge is edges[-1]
            left = indent + self._stroke(lazy=edge.lazy, last=last) + label(edge, node)
            if node.id in self._shown:
                yield left, "shown above"
                continue
            self._shown.add(node.id)
            yield left, self._facts(edge, node)
            yield from self.rows(node.needs, indent + (_GAP if last else self._strokes.beside))

    def _stroke(self, *, lazy: bool, last: bool) -> str:
        strokes = self._strokes
        if lazy:
            return strokes.lazy_last if last else strokes.lazy_branch
        return strokes.last if last else strokes.branch

    def _facts(self, edge: Edge, node: Node) -> str:
        facts = [node.made_by, *facts_of(node)]
        if edge.lazy:
            facts.insert(1, "on demand" if node.on_demand else "asked for lazily")
        return self._strokes.dot.join(facts)


def label(edge: Edge, node: Node) -> str:
    """Return a resource's name, and the parameter's where it is another one."""
    name = _one_line(node.name)
    return name if edge.parameter == node.name else f"{name} (as {edge.parameter})"


def facts_of(node: Node) -> list[str]:
    """Return what is worth telling of a resource, in words."""
    return [f"{node.scope} scope", f"start {node.start}", *node.marks]


def _order(picture: Picture, arrow: str) -> Iterator[str]:
    orders = [
        (title, picture.levels(scope))
        for title, scope in (("environment", "environment"), ("each invocation", "invocation"))
    ]
    orders = [(title, levels) for title, levels in orders if levels]
    if orders:
        yield ""
    for title, levels in orders:
        yield f"{title} starts: {arrow.join(_names(level) for level in levels)}"
        yield f"{title} closes: {arrow.join(_names(level) for level in reversed(levels))}"
    if picture.on_demand:
        yield f"on demand: {_names(picture.on_demand)}"


def _names(nodes: Iterable[Node]) -> str:
    return ", ".join(_one_line(node.name) for node in nodes)


def _one_line(name: str) -> str:
    return " ".join(name.split())
