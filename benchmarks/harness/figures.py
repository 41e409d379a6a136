"""Medians, quantiles and ratios, each with its 95 % interval.

A process is what is drawn: its samples share its luck (where its memory lies, which core it got), so a thousand of
one process are not a thousand independent ones. A process counts as the median of its samples, or as their mean, if its row says so.

What draws them is imported when it is needed: numpy and scipy are not to be in the processes that are measured.
"""

import operator
import statistics
from collections.abc import Callable, Sequence
from types import ModuleType

from benchmarks.harness.answer import Comparison, Estimate, Row, Summary


def median(row: Row) -> Estimate:
    """Returns the median of what the processes count as."""
    return median_of(centres(row))


def centres(row: Row) -> list[float]:
    """Returns what each process counts as."""
    centre = _centre(row)
    return [centre(samples) for samples in row.processes]


def ratio(row: Row, base: Row) -> Estimate:
    """Returns how many times the base's a row's samples are."""
    return median_of(_paired(row, base, operator.truediv))


def difference(row: Row, base: Row) -> Estimate:
    """Returns how much more a row's samples are than the base's."""
    return median_of(_paired(row, base, operator.sub))


def quantile(row: Row, which: float) -> Estimate:
    """Returns a quantile of all samples, 0.99 for the p99."""
    intervals = _intervals()
    processes = row.processes
    low, high = intervals.of_pooled(
        lambda drawn: intervals.quantile([processes[n] for n in drawn], which), len(processes)
    )
    return Estimate(intervals.quantile(processes, which), low, high)


def quantile_ratio(row: Row, base: Row, which: float) -> Estimate:
    """Returns the ratio of a quantile of all samples: of rows that took turns, so that their n-th processes are drawn together."""
    intervals = _intervals()
    sides = row.processes, base.processes
    everything = range(len(row.processes))

    def of(drawn: Sequence[int]) -> float:
        ours, theirs = (intervals.quantile([side[n] for n in drawn], which) for side in sides)
        return ours / theirs

    return Estimate(of(everything), *intervals.of_pooled(of, len(everything)))


def median_of(values: Sequence[float]) -> Estimate:
    """Returns the median of values that are independent of each other."""
    return Estimate(statistics.median(values), *_intervals().of_median(values))


def summarize(comparison: Comparison) -> dict[str, Summary]:
    """Returns the table's figures, by row."""
    return {row.name: _summary(comparison, row) for row in comparison.rows}


def _summary(comparison: Comparison, row: Row) -> Summary:
    if comparison.base is None:
        return Summary(median(row), quantile(row, 0.99))
    found = ratio(row, comparison.row(comparison.base))
    beats = found.high < 1 if comparison.better == "less" else found.low > 1
    return Summary(median(row), quantile(row, 0.99), found, row.peer and beats)


def _paired(row: Row, base: Row, how: Callable[[float, float], float]) -> list[float]:
    """Returns one value for each pair of processes: the median over the rounds, if they took turns in them.

    What happens to the machine for a while happens to both of a round.
    """
    centre = _centre(row, base)
    return [
        centre(list(map(how, ours, theirs)))
        if centre is statistics.median and len(ours) == len(theirs)
        else how(centre(ours), centre(theirs))
        for ours, theirs in zip(row.processes, base.processes, strict=True)
    ]


def _centre(*rows: Row) -> Callable[[Sequence[float]], float]:
    return statistics.fmean if any(row.mean for row in rows) else statistics.median


def _intervals() -> ModuleType:
    from benchmarks.harness import intervals

    return intervals
