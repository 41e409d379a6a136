"""Reads what somebody else sent and may be of any shape: what is not as expected is as if it were not there."""

from collections.abc import Mapping
from typing import Any


def mapping(value: Any) -> Mapping[Any, Any]:
    """Returns a mapping as it is; empty: it is none."""
    nothing: Mapping[Any, Any] = {}
    return value if _is_a(Mapping, value) else nothing


def items(value: Any) -> list[Any]:
    """Returns a list as it is; empty: it is none."""
    nothing: list[Any] = []
    return value if _is_a(list, value) else nothing


def text(value: object) -> str:
    """Returns text as it is; empty: it is none, as the attributes of a mock in somebody's test."""
    return value if isinstance(value, str) else ""


def _is_a(kind: type, value: object) -> bool:
    """Tells without narrowing: of what is inside, no type is known."""
    return isinstance(value, kind)
