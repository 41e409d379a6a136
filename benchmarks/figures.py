"""Medians, quantiles and ratios, each with its 95 % interval: scipy's bootstrap over fresh processes.

A process is what is drawn: its samples share its luck (where its memory lies, which core it got), so a thousand of
one process are not a thousand independent ones. A process counts as the median of its samples.
"""

import statistics
from collections.abc import Callable, Sequence

import numpy as np
from scipy.stats import bootstrap

from benchmarks.answer import Comparison, Estimate, Row

DRAWS = 4000


def median(row: Row) -> Estimate:
    """Returns the median of the processes' medians."""
    return median_of(_medians(row))


def ratio(row: Row, base: Row) -> Estimate:
    """Returns how many times the base's a row's samples are: the median over pairs of processes."""
    pairs = zip(_medians(row), _medians(base), strict=True)
    return median_of([ours / theirs for ours, theirs in pairs])


def difference(row: Row, base: Row) -> Estimate:
    """Returns how much more a row's samples are than the base's: the median over pairs of processes."""
    pairs = zip(_medians(row), _medians(base), strict=True)
    return median_of([ours - theirs for ours, theirs in pairs])


def quantile(row: Row, which: float) -> Estimate:
    """Returns a quantile of all samples, 0.99 for the p99."""
    return _drawn(
        range(len(row.processes)),
        lambda drawn: float(np.quantile(np.concatenate([row.processes[n] for n in drawn]), which)),
    )


def median_of(values: Sequence[float]) -> Estimate:
    """Returns the median of values that are independent of each other."""
    return _drawn(range(len(values)), lambda drawn: statistics.median(values[n] for n in drawn))


def noise(comparison: Comparison) -> Estimate | None:
    """Returns the ratio of a contender to itself, if it was measured twice: all below its distance from 1 is noise."""
    if comparison.again is None:
        return None
    return ratio(comparison.row(comparison.again), comparison.row(comparison.base))


def _medians(row: Row) -> list[float]:
    return [statistics.median(samples) for samples in row.processes]


def _drawn(units: range, statistic: Callable[[Sequence[int]], float]) -> Estimate:
    if len(units) < 3:
        raise ValueError(
            f"an interval needs three fresh processes or more, and these are {len(units)}"
        )
    found = bootstrap(
        (np.array(units),),
        lambda drawn: statistic([int(n) for n in drawn]),
        n_resamples=DRAWS,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(1),
    )
    low, high = found.confidence_interval
    return Estimate(statistic(units), float(low), float(high))
