"""What the demo measures: one invocation, and the figures of all invocations of one version."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from warmkit.local.demo.orders import Order

LIMIT_MS = 30_000
CHECK = "SELECT 1"
"""What warmkit asks to see whether a connection works."""


@dataclass(frozen=True, slots=True)
class Context:
    """What AWS's Python runtime passes beside the event, as far as the demo needs it."""

    aws_request_id: str
    deadline: float = field(default_factory=lambda: time.monotonic() + LIMIT_MS / 1000)

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds that are left for the invocation."""
        return max(0, round((self.deadline - time.monotonic()) * 1000))


@dataclass(frozen=True, slots=True)
class Measured:
    """One invocation.

    Attributes:
        number: Its number, from 1.
        ms: How long the call took.
        problem: What was wrong with it; empty: nothing.
        failed: Whether the handler raised.
    """

    number: int
    ms: float
    problem: str = ""
    failed: bool = False


def measure(handler: Callable[..., Any], number: int, order: Order) -> Measured:
    """Call a handler as AWS's Python runtime does, and compare its answer with the CSV file."""
    event, context = {"id": order.id}, Context(f"demo-{number}")
    begun = time.perf_counter()
    try:
        answer = handler(event, context)
    except Exception as error:  # noqa: BLE001 - a failure is one of the things that are measured
        ms = (time.perf_counter() - begun) * 1000
        return Measured(number, ms, f"failed: {type(error).__name__}: {error}", failed=True)
    ms = (time.perf_counter() - begun) * 1000
    return Measured(number, ms, _compare(answer, order))


def _compare(answer: Any, order: Order) -> str:
    got = json.loads(json.dumps(answer, default=repr))  # what a caller of the function would see
    if got == order.answer:
        return ""
    return f"wrong answer: expected {order.answer}, got {got}"


@dataclass(frozen=True, slots=True)
class Figures:
    """All invocations of one version.

    Attributes:
        measured: The invocations.
        connections: How many connections it opened.
        statements: The SQL statements that the server executed for it.
    """

    measured: list[Measured]
    connections: int
    statements: list[str]

    @property
    def first_ms(self) -> float:
        """How long the first call took."""
        return self.measured[0].ms

    @property
    def median_ms(self) -> float:
        """How long the call in the middle took."""
        return median(item.ms for item in self.measured)

    @property
    def worst_ms(self) -> float:
        """How long the slowest call took."""
        return max(item.ms for item in self.measured)

    @property
    def worst_later_ms(self) -> float:
        """How long the slowest call after the first took."""
        return max(item.ms for item in self.measured[1:])

    @property
    def checks(self) -> int:
        """How many of the statements were checks."""
        return self.statements.count(CHECK)

    @property
    def failed(self) -> int:
        """How many invocations raised."""
        return sum(item.failed for item in self.measured)

    @property
    def right(self) -> int:
        """How many invocations returned what the CSV file says."""
        return sum(not item.problem for item in self.measured)
