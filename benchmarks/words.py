"""Figures as people read them."""

from benchmarks.answer import Estimate


def number(value: float) -> str:
    """Returns a number with as many digits as are worth reading."""
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    size = abs(value)
    return f"{value:,.{0 if size >= 1000 else 1 if size >= 100 else 2 if size >= 10 else 3}f}"


def span(estimate: Estimate) -> str:
    return f"{number(estimate.low)} to {number(estimate.high)}"
