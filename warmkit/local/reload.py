"""Notices that a function's source has changed."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_LOOK_S = 0.3
_LEFT_OUT = {"node_modules", "site-packages", "__pycache__"}


async def changes(root: Path) -> AsyncIterator[list[str]]:
    """Yield the Python files below a directory that changed, whenever some did."""
    before = _times(root)
    while True:
        await asyncio.sleep(_LOOK_S)
        now = _times(root)
        changed = {path for path, _ in now.items() ^ before.items()}
        before = now
        if changed:
            yield sorted(changed)


def _times(root: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    for directory, below, files in os.walk(root):
        below[:] = [name for name in below if name not in _LEFT_OUT and not name.startswith(".")]
        for name in files:
            if name.endswith(".py"):
                path = os.path.join(directory, name)  # noqa: PTH118 - many, and often
                try:
                    found[path] = os.stat(path).st_mtime_ns  # noqa: PTH116
                except OSError:
                    continue
    return found
