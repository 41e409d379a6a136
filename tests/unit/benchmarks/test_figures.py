"""Medians, ratios and their intervals."""

import random

import pytest

from benchmarks.harness import figures
from benchmarks.harness.answer import Comparison, Row


def drawn(name, centre, *, processes=10, each=30, seed=1, peer=False):
    """A row whose processes have luck of their own, besides that of each sample."""
    chance = random.Random(seed)
    luck = [centre * chance.gauss(1, 0.05) for _ in range(processes)]
    return Row(name, [[chance.gauss(mean, mean / 50) for _ in range(each)] for mean in luck], peer)


def test_a_median_lies_in_its_interval_and_its_processes_set_how_wide_that_is():
    found = figures.median(drawn("a", 100))
    assert found.low < found.value < found.high
    many = figures.median(drawn("a", 100, each=3000))
    assert 0.5 < (many.high - many.low) / (found.high - found.low) < 2, "samples are not processes"


def test_the_interval_holds_the_truth_as_often_as_it_says():
    """19 of 20; percentile intervals of few processes are somewhat too narrow."""
    held = sum(
        found.low <= 100 <= found.high
        for found in (figures.median(drawn("a", 100, seed=seed, each=5)) for seed in range(200))
    )
    assert held >= 174


def test_a_row_is_compared_round_by_round_so_that_a_bad_moment_counts_for_its_round_alone():
    """In the second round everything was slow, and in the third the base alone: the medians would say 0.3 and -7."""
    ours, base = Row("a", [[2, 20, 3]] * 3), Row("b", [[1, 10, 10]] * 3)
    assert figures.ratio(ours, base).value == 2
    assert figures.difference(ours, base).value == 1


def test_rows_that_took_no_turns_are_compared_by_their_medians():
    ours, base = Row("a", [[1, 2, 3]] * 3), Row("b", [[4, 4]] * 3)
    assert figures.ratio(ours, base).value == 0.5


def test_where_samples_are_of_two_kinds_a_process_counts_as_their_mean_on_both_sides():
    ours, base = Row("a", [[90, 240, 90, 240]] * 3, mean=True), Row("b", [[10, 10, 10, 30]] * 3)
    assert figures.median(ours).value == 165
    assert figures.ratio(ours, base).value == figures.ratio(base, ours).value ** -1 == 11
    assert figures.difference(ours, base).value == 150


def test_a_p99_is_of_all_samples():
    row = Row("a", [list(map(float, range(100))), list(map(float, range(100, 200))), [200.0]])
    assert figures.quantile(row, 0.99).value == pytest.approx(198)


def test_a_ratio_of_quantiles_is_of_all_samples_and_has_an_interval():
    found = figures.quantile_ratio(drawn("a", 200, seed=3), drawn("b", 100, seed=3), 0.99)
    assert found.value == pytest.approx(2)
    found = figures.quantile_ratio(drawn("a", 200, seed=3), drawn("b", 100, seed=4), 0.99)
    assert found.low < found.value < found.high


def test_an_interval_of_two_processes_is_refused():
    with pytest.raises(ValueError, match="three fresh processes or more, and these are 2"):
        figures.median(Row("a", [[1.0], [2.0]]))


@pytest.mark.parametrize(("better", "wins"), [("less", True), ("more", False)])
def test_a_peer_that_beats_the_base_by_more_than_chance_wins(better, wins):
    rows = [drawn("warmkit", 100), drawn("peer", 50, seed=2, peer=True)]
    comparison = Comparison("call", "a call", "us", rows, base="warmkit", better=better)
    assert figures.summarize(comparison)["peer"].wins is wins


def test_neither_a_peer_by_chance_nor_anybody_else_wins():
    rows = [
        drawn("warmkit", 100),
        drawn("peer", 99.9, seed=2, peer=True),
        drawn("by hand", 50, seed=3),
    ]
    comparison = Comparison("call", "a call", "us", rows, base="warmkit")
    assert not any(row.wins for row in figures.summarize(comparison).values())


def test_without_a_base_there_is_no_ratio():
    comparison = Comparison("parts", "parts", "ms", [drawn("a", 1), drawn("b", 2)])
    assert all(row.ratio is None for row in figures.summarize(comparison).values())
