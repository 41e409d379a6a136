"""Medians, quantiles and ratios, each with its 95 % interval: scipy's bootstrap over fresh processes.

A process is what is drawn: its samples share its luck (where its memory lies, which core it got), so a thousand of
one process are not a thousand independent ones. A process counts as the median of its samples.
"""

import operator
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import bootstrap

from benchmarks.harness.answer import Comparison, Estimate, Row, Summary


def median(row: Row) -> Estimate:
    """Returns the median of the processes' medians."""
    return median_of(_medians(row))


def ratio(row: Row, base: Row) -> Estimate:
    """Returns how many times the base's a row's samples are."""
    return median_of(_paired(row, base, operator.truediv))


def difference(row: Row, base: Row) -> Estimate:
    """Returns how much more a row's samples are than the base's."""
    return median_of(_paired(row, base, operator.sub))


def quantile(row: Row, which: float) -> Estimate:
    """Returns a quantile of all samples, 0.99 for the p99."""
    processes = [np.array(samples) for samples in row.processes]
    drawn = _interval(
        np.arange(len(processes)),
        lambda picked: float(np.quantile(np.concatenate([processes[n] for n in picked]), which)),
        n_resamples=300,
        vectorized=False,
    )
    return Estimate(float(np.quantile(row.samples, which)), *drawn)


def quantile_ratio(row: Row, base: Row, which: float) -> Estimate:
    """Returns the ratio of a quantile of all samples: of rows that took turns, so that their n-th processes are drawn together."""
    pairs = list(zip(row.processes, base.processes, strict=True))

    def of(drawn: Sequence[int]) -> float:
        ours, theirs = (np.concatenate([pairs[n][side] for n in drawn]) for side in (0, 1))
        return float(np.quantile(ours, which) / np.quantile(theirs, which))

    everything = np.arange(len(pairs))
    drawn = _interval(everything, of, n_resamples=300, vectorized=False)
    return Estimate(of([*everything]), *drawn)


def median_of(values: Sequence[float]) -> Estimate:
    """Returns the median of values that are independent of each other."""
    drawn = _interval(np.array(values), np.median, n_resamples=4000, vectorized=True)
    return Estimate(statistics.median(values), *drawn)


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
    return [
        statistics.median(map(how, ours, theirs))
        if len(ours) == len(theirs)
        else how(statistics.median(ours), statistics.median(theirs))
        for ours, theirs in zip(row.processes, base.processes, strict=True)
    ]


def _medians(row: Row) -> list[float]:
    return [statistics.median(samples) for samples in row.processes]


def _interval(
    units: Any, statistic: Callable[..., Any], *, n_resamples: int, vectorized: bool
) -> tuple[float, float]:
    if len(units) < 3:
        raise ValueError(
            f"an interval needs three fresh processes or more, and these are {len(units)}"
        )
    if len(set(units)) == 1:
        return float(units[0]), float(units[0])
    low, high = bootstrap(
        (units,),
        statistic,
        n_resamples=n_resamples,
        vectorized=vectorized,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    return float(low), float(high)
