"""Callers arrive in order, as often as they should, and the same ones again for the same seed."""

import statistics

import pytest

from benchmarks.parts.caller import poisson


def test_gaps_are_exponential():
    """Their mean is that of the rate, and so is their deviation."""
    moments = poisson(20, 20_000, seed=1)
    gaps = [after - before for before, after in zip([0.0, *moments], moments, strict=False)]
    assert min(gaps) > 0
    assert statistics.mean(gaps) == pytest.approx(1 / 20, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(1 / 20, rel=0.03)


def test_a_seed_is_a_schedule():
    assert poisson(5, 10, seed=1) == poisson(5, 10, seed=1)
    assert poisson(5, 10, seed=1) != poisson(5, 10, seed=2)
