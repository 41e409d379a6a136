"""What a history comes to, in figures that can be worked out by hand."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.parts.fleet.accounts import account, billed_ms, most_at_once, quantile
from benchmarks.parts.fleet.simulation import Cold, Rules, Times, simulate


def history_of(trace):
    """Cold: 0.5 s of init and 0.25 s; warm: 0.125 s."""
    return simulate(
        trace, Times([Cold(0.5, 0.25)], [0.125]), Rules(idle_time=10.0), random.Random(1)
    )


def test_two_environments_at_once_and_one_again():
    history = history_of([0.0, 0.25, 2.0, 100.0])
    found = account(history, memory_gb=0.5, kept=True)
    assert (found.invocations, found.throttled) == (4, 0)
    assert (found.environments, found.cold_starts) == (2, 3)
    assert (found.connections, found.opened) == (2, 3)
    assert billed_ms(history) == [750, 750, 125, 750]
    assert found.gb_seconds == pytest.approx(0.5 * 2.375)
    assert found.x86 == pytest.approx(0.5 * 2.375 * 0.0000166667 + 4 * 0.0000002)
    assert found.arm == pytest.approx(0.5 * 2.375 * 0.0000133334 + 4 * 0.0000002)
    assert (found.p50_ms, found.p99_ms, found.cold_share) == (750, 750, 0.75)


def test_who_connects_each_time_has_a_connection_only_meanwhile():
    history = history_of([0.0, 2.0, 2.0625, 3.0])
    kept = account(history, memory_gb=0.5, kept=True)
    each = account(history, memory_gb=0.5, kept=False)
    assert (kept.connections, kept.opened) == (2, 2)
    assert (each.connections, each.opened) == (1, 4)  # the second one's was closed in its init


def test_a_part_of_a_millisecond_is_billed_whole():
    times = Times([Cold(0.0001, 0.0001)], [0.00201])
    history = simulate([0.0, 1.0], times, Rules(), random.Random(1))
    assert billed_ms(history) == [1, 3]


def test_an_init_phase_that_takes_no_time_is_one():
    history = simulate([0.0, 9.0], Times([Cold(0.0, 1.0)], [1.0]), Rules(), random.Random(1))
    found = account(history, memory_gb=0.5, kept=True)
    assert (found.cold_starts, found.opened) == (1, 1)


def test_what_is_refused_is_neither_billed_nor_counted():
    times = Times([Cold(1.0, 1.0)], [1.0])
    history = simulate([0.0, 0.5], times, Rules(limit=1), random.Random(1))
    found = account(history, memory_gb=1.0, kept=True)
    assert (found.invocations, found.throttled, found.gb_seconds) == (1, 1, 2.0)


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 30))))
def test_most_at_once_is_the_most_at_any_begin(intervals):
    spans = [(begin, begin + length) for begin, length in intervals]
    expected = max((sum(b <= begin < e for b, e in spans) for begin, _ in spans), default=0)
    assert most_at_once([b for b, _ in spans], [e for _, e in spans]) == expected


@given(st.lists(st.integers(), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_the_first_value_that_leaves_so_many_behind(values, which):
    values.sort()
    found = quantile(values, which)
    assert sum(value <= found for value in values) >= which * len(values) - 1e-9
    assert sum(value < found for value in values) < which * len(values)


def test_nothing_has_no_quantile():
    assert math.isnan(quantile([], 0.5))
