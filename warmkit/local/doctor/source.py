"""The user's own modules, as text: what is assigned, called and defined where.

Nothing of them runs here.
"""

from __future__ import annotations

import ast
import sys
import sysconfig
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import warmkit
from warmkit.local.doctor.finding import Place
from warmkit.local.target import shown

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_INSTALLED = {"site-packages", "dist-packages"}
_WARMKIT = Path(warmkit.__file__).resolve().parent
_STDLIB = tuple(
    Path(path).resolve()
    for path in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")}
)


class Call(NamedTuple):
    """A call in the text.

    Attributes:
        name: What is called, by its full name as far as the imports tell: "asyncio.run".
        node: The expression.
        within: The functions and classes around it, the outermost first.
    """

    name: str
    node: ast.Call
    within: tuple[ast.AST, ...]

    @property
    def function(self) -> Function | None:
        """The function whose body it is in; None: the module's, or a lambda's."""
        inner = next((node for node in reversed(self.within) if _is_scope(node)), None)
        return inner if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef) else None


class Source:
    """One module and its text."""

    def __init__(self, module: ModuleType) -> None:
        """Read nothing yet."""
        self.module = module
        self.name = module.__name__
        self.file = str(getattr(module, "__file__", None) or "")

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax; empty where there is no source that can be read."""
        try:
            return ast.parse(Path(self.file).read_bytes())
        except (OSError, SyntaxError, ValueError, RecursionError):
            return ast.Module([], [])

    @cached_property
    def calls(self) -> tuple[Call, ...]:
        """Every call in it."""
        return tuple(_calls(self.tree, (), self.aliases))

    @cached_property
    def aliases(self) -> dict[str, str]:
        """What its imports call things: {"sleep": "time.sleep"}."""
        found: dict[str, str] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    found[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                origin = self._origin(node)
                for alias in node.names:
                    found[alias.asname or alias.name] = f"{origin}.{alias.name}"
        return found

    @cached_property
    def assigned(self) -> dict[str, int]:
        """The names that it makes itself, and the lines of their first assignments."""
        found: dict[str, int] = {}
        for node in self._own_level:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.setdefault(node.name, node.lineno)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.setdefault(node.id, node.lineno)
        return found

    @cached_property
    def attributes(self) -> dict[tuple[str, str], int]:
        """The attributes that its classes assign, as (class, name), and their lines."""
        return {
            (kind.name, target.id): target.lineno
            for kind in ast.walk(self.tree)
            if isinstance(kind, ast.ClassDef)
            for statement in kind.body
            for target in ast.walk(statement)
            if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store)
        }

    @cached_property
    def imported(self) -> set[str]:
        """The names that imports bind at its own level."""
        return {
            alias.asname or alias.name.partition(".")[0]
            for node in self._own_level
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }

    @cached_property
    def _own_level(self) -> tuple[ast.AST, ...]:
        return tuple(_outside_of_functions(self.tree))

    def place(self, line: int) -> Place:
        """Return one of its lines as a place."""
        return Place(shown(self.file), line)

    def import_line(self, top: str) -> int:
        """Return the line that first imports something of a top-level module; 0: none does."""
        for node in ast.walk(self.tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            if any(name.partition(".")[0] == top for name in names):
                return getattr(node, "lineno", 0)
        return 0

    def _origin(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.name.split(".")
        if Path(self.file).stem != "__init__":
            package.pop()
        package = package[: len(package) - node.level + 1]
        return ".".join([*package, *filter(None, [node.module])])


def own_sources(target: ModuleType) -> tuple[Source, ...]:
    """Return the target and all loaded modules that are the user's: not installed, not Python's."""
    others = [
        module
        for module in list(sys.modules.values())
        if module is not target and is_own(str(getattr(module, "__file__", None) or ""))
    ]
    return tuple(Source(module) for module in [target, *others] if hasattr(module, "__name__"))


@cache
def is_own(file: str) -> bool:
    """Whether a file is the user's: not installed, not Python's, not warmkit's."""
    if not file or file.startswith("<"):
        return False
    path = Path(file).resolve()
    if _INSTALLED.intersection(path.parts) or _WARMKIT in path.parents:
        return False
    return path.suffix != ".so" and not any(folder in path.parents for folder in _STDLIB)


def dotted(node: ast.expr, aliases: dict[str, str]) -> str:
    """Return the full name of an expression such as `a.b.c`; empty if it is none.

    Args:
        node: The expression.
        aliases: What imports call things.
    """
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ".".join(["?", *reversed(parts)]) if parts else ""
    return ".".join([aliases.get(node.id, node.id), *reversed(parts)])


def _calls(node: ast.AST, within: tuple[ast.AST, ...], aliases: dict[str, str]) -> Iterator[Call]:
    if isinstance(node, ast.If) and _is_main_guard(node):
        return
    if isinstance(node, ast.Call):
        yield Call(dotted(node.func, aliases), node, within)
    inner = (*within, node) if _is_scope(node) or isinstance(node, ast.ClassDef) else within
    for child in ast.iter_child_nodes(node):
        yield from _calls(child, inner, aliases)


def _is_scope(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _is_main_guard(node: ast.If) -> bool:
    return "__name__" in {item.id for item in ast.walk(node.test) if isinstance(item, ast.Name)}


def _outside_of_functions(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        yield child
        if not _is_scope(child) and not isinstance(child, ast.ClassDef):
            yield from _outside_of_functions(child)
