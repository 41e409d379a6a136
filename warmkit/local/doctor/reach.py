"""Which functions a handler leads to, as far as names tell: no text is run for it.

A name leads to the function of that name in the same module, or in the one that it was imported from; a
class leads to all of its methods; `self.x` to the method x of the class around it.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from warmkit.local.doctor.source import dotted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from warmkit.local.doctor.source import Source
    from warmkit.local.target import Target


def reached_from(target: Target, sources: Iterable[Source]) -> frozenset[ast.AST]:
    """Return the definitions that calls of the handler can lead to, its own among them."""
    definitions = {name: item for source in sources for name, item in _definitions(source)}
    waiting = [f"{target.module.__name__}.{target.function}"]
    seen: set[str] = set()
    reached: set[ast.AST] = set()
    while waiting:
        name = waiting.pop()
        found = definitions.get(name)
        if name in seen or found is None:
            continue
        seen.add(name)
        source, node, owner = found
        reached.add(node)
        waiting += _names_in(source, node, owner)
    return frozenset(reached)


def _definitions(source: Source) -> Iterator[tuple[str, tuple[Source, ast.AST, str]]]:
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{source.name}.{node.name}", (source, node, "")
        elif isinstance(node, ast.ClassDef):
            owner = f"{source.name}.{node.name}"
            yield owner, (source, node, owner)
            for item in node.body:
                if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{owner}.{item.name}", (source, item, owner)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            for name in _bound(node):
                yield f"{source.name}.{name}", (source, node, "")
    for alias, full in source.aliases.items():
        if f"{source.name}.{alias}" != full:
            yield f"{source.name}.{alias}", (source, _reference(full), "")


def _bound(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _reference(full: str) -> ast.AST:
    """Return the text that names something by its full name, as an import does."""
    try:
        return ast.parse(full, mode="eval")
    except SyntaxError:  # from x import *
        return ast.Module([], [])


def _names_in(source: Source, node: ast.AST, owner: str) -> Iterator[str]:
    imported = isinstance(node, ast.Expression)
    for item in ast.walk(node):
        if not isinstance(item, ast.Name | ast.Attribute):
            continue
        full = dotted(item, {} if imported else source.aliases)
        if full.startswith(("self.", "cls.")) and owner:
            yield f"{owner}.{full.partition('.')[2]}"
        else:
            yield full
            yield f"{source.name}.{full}"
