"""What a history comes to: environments, connections, GB-seconds, dollars."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from benchmarks.parts.fleet.simulation import History

GB_SECOND_X86, GB_SECOND_ARM = 0.0000166667, 0.0000133334
REQUEST = 0.20 / 1_000_000
"""Dollars in us-east-1, in the first tier and beyond the free one: https://aws.amazon.com/lambda/pricing/"""


class Account(NamedTuple):
    """What a trace took.

    Attributes:
        invocations: How many were served.
        throttled: How many were not.
        environments: How many there were at once, at most.
        cold_starts: How many environments were made.
        connections: To the database at once, at most.
        opened: Connections in all.
        gb_seconds: As billed, with the init phase
            (https://aws.amazon.com/blogs/compute/aws-lambda-standardizes-billing-for-init-phase/).
        x86: Dollars, on x86.
        arm: Dollars, on arm64, if it took as long there.
        p50_ms: What a caller waited.
        p99_ms: Likewise.
    """

    invocations: float
    throttled: float
    environments: float
    cold_starts: float
    connections: float
    opened: float
    gb_seconds: float
    x86: float
    arm: float
    p50_ms: float
    p99_ms: float

    @property
    def cold_share(self) -> float:
        return self.cold_starts / self.invocations


def account(history: History, *, memory_gb: float, kept: bool) -> Account:
    """Adds up.

    Args:
        history: What happened.
        memory_gb: What the function is configured to have.
        kept: An environment's connection is opened by its first invocation, and is there until the environment ends.
            Else each invocation opens one, and closes it.
    """
    count = len(history.arrived)
    gb_seconds = memory_gb * sum(billed_ms(history)) / 1000
    opens, closes = (
        (_first_begins(history), history.gone) if kept else (history.begun, history.ended)
    )
    waits = sorted(
        ended - arrived for arrived, ended in zip(history.arrived, history.ended, strict=True)
    )
    return Account(
        invocations=count,
        throttled=history.throttled,
        environments=most_at_once(history.made, history.gone),
        cold_starts=len(history.made),
        connections=most_at_once(opens, closes),
        opened=len(opens),
        gb_seconds=gb_seconds,
        x86=gb_seconds * GB_SECOND_X86 + count * REQUEST,
        arm=gb_seconds * GB_SECOND_ARM + count * REQUEST,
        p50_ms=1000 * quantile(waits, 0.50),
        p99_ms=1000 * quantile(waits, 0.99),
    )


def billed_ms(history: History) -> list[int]:
    """Returns each invocation's whole milliseconds, those of an init phase too."""
    times = zip(history.seconds, history.inits, strict=True)
    return [max(1, math.ceil((seconds + (init or 0.0)) * 1000)) for seconds, init in times]


def most_at_once(begins: Iterable[float], ends: Iterable[float]) -> int:
    """Returns how many intervals overlap at most; one that ends when another begins does not."""
    waiting = iter(sorted(ends))
    next_end = next(waiting, math.inf)
    here = most = 0
    for begin in sorted(begins):
        here += 1
        while next_end <= begin:
            here -= 1
            next_end = next(waiting, math.inf)
        most = max(most, here)
    return most


def quantile(ordered: Sequence[float], which: float) -> float:
    """Returns the smallest value that at least this share of the others does not exceed."""
    return ordered[max(0, math.ceil(which * len(ordered)) - 1)] if ordered else math.nan


def _first_begins(history: History) -> list[float]:
    return [
        begun for begun, init in zip(history.begun, history.inits, strict=True) if init is not None
    ]
