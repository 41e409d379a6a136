"""The verdict on a value, from plain numbers."""

import pytest

from warmkit.freshness import Limits, Verdict, decide, trusted_for

CHECKED = Limits(check_after=1, max_gap=300, can_check=True)
REFRESHED = Limits(check_after=1, max_gap=300, can_refresh=True)
BOTH = Limits(check_after=1, max_gap=300, can_check=True, can_refresh=True)
NEITHER = Limits()
AGED = Limits(max_age=60)


@pytest.mark.parametrize(
    ("limits", "facts", "verdict"),
    [
        (NEITHER, {"gap": 1e9}, Verdict.REUSE),
        (CHECKED, {"gap": 0}, Verdict.REUSE),
        (CHECKED, {"gap": 1}, Verdict.REUSE),
        (CHECKED, {"gap": 1.001}, Verdict.CHECK),
        (CHECKED, {"gap": 300}, Verdict.CHECK),
        (CHECKED, {"gap": 300.001}, Verdict.REBUILD),
        (REFRESHED, {"gap": 300}, Verdict.REUSE),
        (REFRESHED, {"gap": 300.001}, Verdict.REFRESH),
        (BOTH, {"gap": 300.001}, Verdict.REFRESH),
        (NEITHER, {"gap": 0, "suspect": True}, Verdict.REBUILD),
        (CHECKED, {"gap": 0, "suspect": True}, Verdict.CHECK),
        (REFRESHED, {"gap": 0, "suspect": True}, Verdict.REFRESH),
        (BOTH, {"gap": 0, "suspect": True}, Verdict.CHECK),
        (BOTH, {"gap": 301, "suspect": True}, Verdict.REFRESH),
        (AGED, {"gap": 0, "age": 59.9}, Verdict.REUSE),
        (AGED, {"gap": 0, "age": 60}, Verdict.REBUILD),
        (BOTH, {"gap": 0, "expires_in": 0.1}, Verdict.REUSE),
        (BOTH, {"gap": 0, "expires_in": 0}, Verdict.REBUILD),
        (BOTH, {"gap": 301, "expires_in": -1}, Verdict.REBUILD),
    ],
)
def test_the_verdict(limits, facts, verdict):
    assert decide(limits, **facts) is verdict


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [(NEITHER, float("inf")), (CHECKED, 1), (REFRESHED, 300), (AGED, float("inf"))],
)
def test_how_long_a_value_is_trusted_that_nothing_speaks_against(limits, seconds):
    assert trusted_for(limits) == seconds
