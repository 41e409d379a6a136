"""The verdict, for all numbers: total, and never milder for more reason to doubt."""

from hypothesis import given
from hypothesis import strategies as st

from warmkit.clock import Reading, gap
from warmkit.freshness import Limits, Verdict, decide, trusted_for

seconds = st.floats(min_value=0, max_value=1e9)
limits = st.builds(
    Limits,
    check_after=seconds,
    max_gap=st.none() | seconds,
    max_age=st.none() | seconds,
    can_check=st.booleans(),
    can_refresh=st.booleans(),
)
facts = st.fixed_dictionaries(
    {
        "gap": seconds,
        "age": seconds,
        "expires_in": st.none() | st.floats(min_value=-1e9, max_value=1e9),
        "suspect": st.booleans(),
    }
)
more = st.floats(min_value=0, max_value=1e9)


@given(limits, facts)
def test_there_is_a_verdict_on_everything_and_it_can_be_carried_out(limits, facts):
    verdict = decide(limits, **facts)
    assert verdict in Verdict
    assert verdict is not Verdict.CHECK or limits.can_check
    assert verdict is not Verdict.REFRESH or limits.can_refresh


@given(limits, facts, more)
def test_a_longer_gap_is_never_judged_milder(limits, facts, more):
    assert decide(limits, **{**facts, "gap": facts["gap"] + more}) >= decide(limits, **facts)


@given(limits, facts, more)
def test_a_greater_age_is_never_judged_milder(limits, facts, more):
    assert decide(limits, **{**facts, "age": facts["age"] + more}) >= decide(limits, **facts)


@given(limits, facts)
def test_a_suspicion_is_never_judged_milder(limits, facts):
    assert decide(limits, **{**facts, "suspect": True}) >= decide(
        limits, **{**facts, "suspect": False}
    )


@given(limits, facts, more)
def test_what_expires_sooner_is_never_judged_milder(limits, facts, more):
    later = facts["expires_in"]
    sooner = None if later is None else later - more
    assert decide(limits, **{**facts, "expires_in": sooner}) >= decide(limits, **facts)
    assert decide(limits, **facts) >= decide(limits, **{**facts, "expires_in": None})


@given(limits, facts)
def test_what_is_suspect_too_old_or_expired_is_never_reused(limits, facts):
    doubt = (
        facts["suspect"]
        or (limits.max_age is not None and facts["age"] >= limits.max_age)
        or (facts["expires_in"] is not None and facts["expires_in"] <= 0)
    )
    assert not doubt or decide(limits, **facts) is not Verdict.REUSE


@given(limits, seconds)
def test_the_short_cut_of_the_warm_path_agrees_with_the_verdict(limits, gap):
    assert (gap <= trusted_for(limits)) == (
        decide(limits._replace(max_age=None), gap=gap) is Verdict.REUSE
    )


readings = st.builds(Reading, *[st.floats(min_value=0, max_value=1e12)] * 3)


@given(readings, readings)
def test_a_gap_is_never_negative_and_no_clock_saw_more(earlier, later):
    seconds = gap(earlier, later)
    assert seconds >= 0
    assert all(after - before <= seconds for before, after in zip(earlier, later, strict=True))
