"""Reads what somebody else sent and may be of any shape: what is not as expected is as if it were not there."""

from collections.abc import Mapping
from typing import Any, cast


def mapping(value: object) -> Mapping[Any, Any]:
    """Returns a mapping as it is; empty: it is none."""
    return cast("Mapping[Any, Any]", value) if isinstance(value, Mapping) else {}


def items(value: object) -> list[Any]:
    """Returns a list as it is; empty: it is none."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def text(value: object) -> str:
    """Returns text as it is; empty: it is none, as the attributes of a mock in somebody's test."""
    return value if isinstance(value, str) else ""
