"""A scenario is values: read from TOML, or meant by options; what is wrong in it is named."""

import pytest

from warmkit.local.scenario import (
    Cut,
    Freeze,
    Invoke,
    Kill,
    ScenarioError,
    Shutdown,
    from_options,
    read,
)

WHOLE = """
[[step]]  # cold
invoke = {id = 1}

[[step]]
invoke = {id = 2}
times = 20
concurrent = 5
expect = "any"

[[step]]
freeze = 1.5

[[step]]
cut = true

[[step]]
kill = true

[[step]]
shutdown = true
"""


def options(**given):
    return {"times": 1, "gap": 0.0, "concurrent": 1, "cut": False, "kill": False} | given


def test_a_file_says_what_happens_step_by_step(tmp_path):
    path = tmp_path / "scenario.toml"
    path.write_text(WHOLE)
    assert read(path) == [
        Invoke(event={"id": 1}),
        Invoke(event={"id": 2}, times=20, concurrent=5, expect="any"),
        Freeze(1.5),
        Cut(),
        Kill(),
        Shutdown(),
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("step = ", "Invalid value"),
        ("", r"a list of \[\[step\]\] tables"),
        ("[[step]]\ninvoke = 1\n[other]", r"a list of \[\[step\]\] tables"),
        ("[[step]]\nfreeze = -1", "step 1: .* means nothing"),
        ("[[step]]\ninvoke = 1\n[[step]]\nsleep = 1", "step 2: .*sleep.* means nothing"),
        ("[[step]]\ncut = false", "means nothing"),
        ("[[step]]\ninvoke = 1\ntime = 2", "unknown: time"),
        ('[[step]]\ninvoke = 1\nexpect = "good"', "expect = 'good' is none of"),
        ("[[step]]\ninvoke = 1\ntimes = 0", "times = 0 is no number"),
        ('[[step]]\ninvoke = 1\nconcurrent = "x"', "concurrent = 'x' is no number"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, named):
    path = tmp_path / "scenario.toml"
    path.write_text(text)
    with pytest.raises(ScenarioError, match=named):
        read(path)


def test_without_anything_in_between_all_invocations_are_one_step():
    steps = from_options(7, **options(times=5, concurrent=2))
    assert steps == [Invoke(event=7, times=5, concurrent=2)]


def test_what_is_between_invocations_is_not_after_the_last():
    steps = from_options(7, **options(times=3, gap=2.0, cut=True))
    once = Invoke(event=7)
    assert steps == [once, Freeze(2.0), Cut(), once, Freeze(2.0), Cut(), once]


def test_those_at_once_have_no_gap_among_them():
    steps = from_options(7, **options(times=5, concurrent=2, kill=True))
    pair = Invoke(event=7, times=2, concurrent=2)
    assert steps == [pair, Kill(), pair, Kill(), Invoke(event=7)]
