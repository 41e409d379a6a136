"""The results file, runs that agree, and runs that may be published."""

import msgspec
import pytest
from made import answered, comparison, results

from benchmarks.compare import pairs
from benchmarks.harness.results import load, merged, save
from benchmarks.publish import faults
from benchmarks.questions import NAMES


def test_what_was_saved_is_loaded_with_samples_of_four_digits(tmp_path):
    rows = comparison(ours=1.23456789)
    save(results(answered(rows=rows)), tmp_path / "deep" / "results.json")
    loaded = load(tmp_path / "deep" / "results.json").question("warm_path")
    assert loaded.answer.comparisons[0].row("warmkit").processes[0][0] == 1.235
    assert loaded.answer.findings == answered().answer.findings
    assert loaded.summaries == answered(rows=rows).summaries


def test_an_answer_replaces_the_one_to_the_same_question_in_the_suites_order():
    first, second, *_ = NAMES
    before = results(answered(first), answered(second))
    after = merged(before, results(answered(second, value=7.0)))
    assert [item.name for item in after.questions] == [first, second]
    assert after.question(second).answer.findings[0].estimate.value == 7


def test_answers_of_two_machines_are_not_kept_together():
    with pytest.raises(ValueError, match="cores was '2' and is '4'"):
        merged(results(), results(cores="4"))


def test_what_is_wanted_is_held_or_not():
    assert answered(value=10.0).held
    assert not answered(value=10.1).held
    assert answered(value=10.4, quick=True).held, "its interval begins at 9.9"
    assert not answered(value=10.6, quick=True).held
    assert not msgspec.structs.replace(answered(), answer=None).held


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"quick": True}, "was asked in a hurry"),
        ({"value": 11.0}, "failed, or found what is not wanted"),
    ],
)
def test_what_was_asked_in_a_hurry_or_found_wanting_is_not_published(change, fault):
    last = NAMES[-1]
    good = [answered(name) for name in NAMES[:-1]]
    assert faults(results(*good, answered(last))) == []
    assert faults(results(*good, answered(last, **change))) == [f"{last} {fault}"]
    assert faults(results(*good)) == [f"{last} was not asked"]


def test_runs_agree_whose_intervals_meet():
    first = results(answered(rows=comparison(base=4.0)))
    (pair,) = pairs(first, results(answered(rows=comparison(base=4.0, ours=2.0))))
    assert (pair.name, pair.agrees) == ("warm_path.call/by hand", True)
    (pair,) = pairs(first, results(answered(rows=comparison(base=40.0))))
    assert not pair.agrees


def test_noise_that_was_measured_beside_it_widens_an_interval():
    first = results(answered(rows=comparison(base=4.0)))
    (pair,) = pairs(first, results(answered(rows=comparison(base=5.0))))
    assert not pair.agrees
    (pair,) = pairs(first, results(answered(rows=comparison(base=5.0, noise=2.6))))
    assert pair.agrees
