"""95 % intervals, by scipy's bootstrap: of what is drawn, which is a fresh process."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.stats import bootstrap

Interval = tuple[float, float]
Processes = Sequence[Sequence[float]]


def of_median(values: Sequence[float]) -> Interval:
    """Returns the interval of a median."""
    return _drawn(np.array(values), np.median, n_resamples=4000, vectorized=True)


def of_pooled(statistic: Callable[[Sequence[int]], float], processes: int) -> Interval:
    """Returns the interval of what is computed from all samples of some processes, which are given by their numbers."""
    return _drawn(np.arange(processes), statistic, n_resamples=300, vectorized=False)


def quantile(processes: Processes, which: float) -> float:
    """Returns a quantile of all their samples."""
    return float(np.quantile(np.concatenate([np.asarray(item) for item in processes]), which))


def _drawn(units: Any, statistic: Callable[..., Any], **how: Any) -> Interval:
    if len(units) < 3:
        raise ValueError(
            f"an interval needs three fresh processes or more, and these are {len(units)}"
        )
    if len(set(units)) == 1:
        return float(units[0]), float(units[0])
    found = bootstrap(
        (units,), statistic, method="percentile", rng=np.random.default_rng(1), **how
    ).confidence_interval
    return float(found.low), float(found.high)
