"""The files by which the examining process tells the one that waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

REPORT = "report"
"""What was found: the end."""
CANNOT = "cannot"
"""Why nothing could be examined: the end as well."""
KNOWN = "known"
"""What was found before the calls."""
STAGE = "stage"
"""What it is doing: one of these three, the last one followed by the call's number."""
IMPORT, LOOK, CALL = "import", "look", "call "
STACK = "stack"
"""Where it was stuck when its time was up."""


def write(path: Path, text: str) -> None:
    """Write a file that is there only when it is whole."""
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def read(path: Path) -> str:
    """Return what a file says; empty: it is not there."""
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
