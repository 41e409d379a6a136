"""Figures as people read them."""

from benchmarks.harness.answer import Estimate, Summary


def number(value: float | str) -> str:
    """Returns a number with as many digits as are worth reading, and words as they are."""
    if isinstance(value, str):
        return value
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    size = abs(value)
    return f"{value:,.{0 if size >= 1000 else 1 if size >= 10 else 2 if size >= 1 else 3}f}"


def span(estimate: Estimate) -> str:
    return f"{number(estimate.low)} to {number(estimate.high)}"


def cells(row: Summary) -> list[str]:
    """Returns a row's cells: the median and its interval, the p99, and where there is a base, the ratio, its interval and who wins."""
    found = [number(row.median.value), span(row.median), number(row.p99.value)]
    if row.ratio is None:
        return found
    return [*found, f"{row.ratio.value:.3f}", span(row.ratio), "wins" if row.wins else ""]
