"""Arrival traces: what the suite makes, and what it reads from a file."""

import random
import re
from bisect import bisect_left
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.parts.fleet.traces import (
    CROWD_S,
    DAY_S,
    TraceError,
    day,
    flash_crowd,
    poisson,
    read,
    with_bursts,
)


def chance():
    return random.Random(1)


def between(trace, begin, end):
    return bisect_left(trace, end) - bisect_left(trace, begin)


@given(st.lists(st.floats(0, 20), max_size=30), st.integers(0, 1000))
def test_arrivals_are_in_order_and_only_where_there_is_a_rate(rates, seed):
    trace = poisson(rates.__getitem__, len(rates), random.Random(seed))
    assert trace == sorted(trace)
    assert all(rates[int(arrival)] > 0 for arrival in trace)


def test_a_rate_is_so_many_a_second():
    trace = poisson(lambda second: [2, 10][second % 2], 20_000, chance())
    odd = sum(int(arrival) % 2 for arrival in trace)
    assert odd == pytest.approx(100_000, rel=0.02)
    assert len(trace) - odd == pytest.approx(20_000, rel=0.03)


def test_gaps_of_a_steady_rate_vary_as_those_of_a_poisson_process_do():
    trace = poisson(lambda second: 5, 10_000, chance())
    gaps = [after - before for before, after in pairwise(trace)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(0.2, rel=0.03)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(0.04, rel=0.06)


def test_a_day_has_its_night():
    trace = day(200_000, chance())
    assert len(trace) == pytest.approx(200_000, rel=0.02)
    assert trace[0] >= 0
    assert trace[-1] < DAY_S
    hours = [between(trace, hour * 3600, (hour + 1) * 3600) for hour in range(24)]
    afternoon, night = hours[15] + hours[16], hours[3] + hours[4]
    assert afternoon / night == pytest.approx(9, rel=0.15)
    assert max(hours) in hours[14:18]
    assert min(hours) in hours[2:6]


def test_a_crowd_comes_within_seconds_and_goes_away():
    trace = flash_crowd(400, chance())
    assert trace[-1] < CROWD_S
    assert between(trace, 0, 120) / 120 == pytest.approx(2, rel=0.3)
    assert between(trace, 125, 185) / 60 == pytest.approx(400, rel=0.03)
    assert between(trace, 199, 201) / 2 == pytest.approx(200, rel=0.2)
    assert between(trace, 400, 600) / 200 == pytest.approx(2, rel=0.3)


def test_the_same_seed_gives_the_same_trace():
    assert day(5000, chance()) == day(5000, chance())
    assert day(5000, chance()) != day(5000, random.Random(2))


def test_a_burst_comes_into_a_trace():
    assert with_bursts([0.5, 2.0], [(1.0, 3)]) == [0.5, 1.0, 1.001, 1.002, 2.0]


# -- files


def written(tmp_path, text):
    path = tmp_path / "trace.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("3\n1\n2.5\n", None),
        ("time\n3\n1\n2.5\n", None),
        ("\ufefftime,id\n3,a\n\n1,b\n2.5,c\n", "time"),
        ("id,when\n7, 3\n8, 1\n9, 2.5\n", "when"),
        ("2026-03-01T08:00:03Z\n2026-03-01 08:00:01+00:00\n2026-03-01 08:00:02.500\n", None),
    ],
)
def test_a_file_has_a_line_for_each_arrival(tmp_path, text, column):
    assert read(written(tmp_path, text), column) == [0.0, 1.5, 2.0]


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_what_is_written_is_read(tmp_path_factory, arrivals):
    path = written(tmp_path_factory.mktemp("trace"), "".join(f"{a!r}\n" for a in arrivals))
    first = min(arrivals)
    assert read(path) == sorted(arrival - first for arrival in arrivals)


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        (
            "time\n1\nsoon\n",
            None,
            "trace.csv, line 3: expected a time, as 12.5 or 2026-03-01T08:00:00Z, but found 'soon'",
        ),
        ("1\nnan\n", None, "line 2: expected a time, as 12.5 or 2026-03-01T08:00:00Z"),
        ("id,time\n1,2\n3\n", "time", "line 3: expected a time"),
        ("", None, "expected a line for each arrival, but there is none"),
        ("time\n", None, "expected a line for each arrival, but there is none"),
        ("id,time\n1,2\n", "when", "expected a column 'when', but found id, time"),
        ("1\n2\n", "when", "expected a column 'when', but found no names in the first line"),
        ("1\n2026-03-01\n", None, "expected either seconds or dates, but found both"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, text, column, message):
    with pytest.raises(TraceError, match=re.escape(message)):
        read(written(tmp_path, text), column)


def test_a_file_that_is_not_there_or_not_text_is_said(tmp_path):
    with pytest.raises(TraceError, match=r"expected a CSV file of arrival times, but: .*No such"):
        read(tmp_path / "none.csv")
    path = tmp_path / "trace.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TraceError, match=r"expected a CSV file of arrival times, but: .*decode"):
        read(path)
