"""What the user's imports cost, measured by Python's own `-X importtime` in a process of its own."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from warmkit.local.doctor.finding import Cost

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_LINE = re.compile(r"^import time:\s+(\d+) \|\s+(\d+) \|( +)(\S+)$", re.MULTILINE)
_IMPORT = """
import sys
sys.path.insert(0, "")
parts = sys.argv[1].split(".")
for end in range(1, len(parts) + 1):
    __import__(".".join(parts[:end]))
"""
_MS = 1000
SLOW_MS = 1000.0
"""A tenth of Lambda's init limit."""


class Import(NamedTuple):
    """One import, and what it imported for the first time.

    Attributes:
        name: The module.
        own_us: Microseconds, without what it imports.
        us: Microseconds with it.
        inner: What it imported.
    """

    name: str
    own_us: int
    us: int
    inner: tuple[Import, ...]


def measured(
    module: str, own: Collection[str], *, limit: float, doubtful_ms: float
) -> tuple[Cost, ...]:
    """Import a module anew and return what that cost, the dearest first; nothing if it took too long.

    Args:
        module: The handler's module.
        own: The names of the user's own modules.
        limit: Seconds.
        doubtful_ms: If something takes as long as this, all is measured once more, and the lesser times count:
            the machine may have been busy.
    """
    first = _measured_once(module, own, limit)
    if all(cost.ms < doubtful_ms for cost in first):
        return first
    again = {cost[::2]: cost.ms for cost in _measured_once(module, own, limit)}
    return _sorted(cost._replace(ms=min(cost.ms, again.get(cost[::2], cost.ms))) for cost in first)


def _measured_once(module: str, own: Collection[str], limit: float) -> tuple[Cost, ...]:
    command = [sys.executable, "-X", "importtime", "-c", _IMPORT, module]
    with tempfile.TemporaryFile() as log:  # a pipe would wait for what the module leaves running
        try:
            subprocess.run(  # noqa: S603 - this interpreter
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                timeout=limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return ()
        log.seek(0)
        return costs(read(log.read().decode(errors="replace")), module, own)


def read(log: str) -> tuple[Import, ...]:
    """Return the imports that Python's log tells of, as a forest.

    Args:
        log: What `-X importtime` writes: what is imported stands before who imports it, and deeper.
    """
    waiting: dict[int, list[Import]] = {}
    for own_us, us, indent, name in _LINE.findall(log):
        depth = len(indent)
        inner = tuple(waiting.pop(depth + 2, ()))
        waiting.setdefault(depth, []).append(Import(name, int(own_us), int(us), inner))
    return tuple(waiting.get(1, ()))


def costs(imports: Iterable[Import], module: str, own: Collection[str]) -> tuple[Cost, ...]:
    """Return the cost of each of the user's own modules, and of each package that these import.

    Args:
        imports: A forest of imports.
        module: The handler's module.
        own: The names of the user's own modules.
    """
    parts = module.split(".")
    wanted = {".".join(parts[:end]) for end in range(1, len(parts) + 1)} | set(own)
    sums: dict[tuple[str, bool], int] = {}
    for item in imports:
        if item.name in wanted:
            for name, own_module, us in _spent(item, wanted):
                sums[name, own_module] = sums.get((name, own_module), 0) + us
    return _sorted(Cost(name, us / _MS, own_module) for (name, own_module), us in sums.items())


def _sorted(costs: Iterable[Cost]) -> tuple[Cost, ...]:
    return tuple(sorted(costs, key=lambda cost: -cost.ms))


def _spent(item: Import, own: Collection[str]) -> Iterator[tuple[str, bool, int]]:
    yield item.name, True, item.own_us
    for inner in item.inner:
        if inner.name in own:
            yield from _spent(inner, own)
        else:
            yield inner.name.partition(".")[0], False, inner.us
