"""How questions are asked: rounds, turns, fresh processes, and a question that fails."""

import os

import pytest

from benchmarks.harness.ask import describe
from benchmarks.harness.run import ROOT, Run, in_fresh_process, turns
from benchmarks.harness.timing import interleave
from benchmarks.questions import NAMES


class Steps(list):
    def advance(self, done, total, doing):
        self.append((done, total, doing))


def test_a_run_says_how_far_it_is():
    steps = Steps()
    assert list(Run(steps, quick=True).rounds(10, quick=2, doing="turns")) == [0, 1]
    assert steps == [(0, 2, "turns"), (1, 2, "turns"), (2, 2, "turns")]
    assert len(list(Run(steps).rounds(10, quick=2))) == 10


def test_everybody_has_a_turn_in_each_round_and_nobody_always_follows_the_same():
    orders = [tuple(turns("abc", number)) for number in range(60)]
    assert {frozenset(order) for order in orders} == {frozenset("abc")}
    assert len(set(orders)) == 6


def test_samples_are_of_one_call():
    calls = []
    samples = interleave({"a": lambda: calls.append("a")}, rounds=3, block=5, calls=2)
    assert [len(samples["a"]), len(calls)] == [3, 15]


def process_and_sum(*numbers):
    return [os.getpid(), sum(numbers), os.environ.get("ONLY")]


def raises():
    raise LookupError("no such luck")


def test_a_function_is_called_in_a_process_of_its_own():
    env = {**os.environ, "ONLY": "there", "PYTHONPATH": os.path.dirname(__file__)}  # noqa: PTH120
    process, total, only = in_fresh_process(process_and_sum, 1, 2, env=env)
    assert process != os.getpid()
    assert (total, only) == (3, "there")


def test_what_it_raises_is_told_with_its_traceback():
    env = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}  # noqa: PTH120
    with pytest.raises(RuntimeError, match="no such luck"):
        in_fresh_process(raises, env=env)


def test_every_question_is_a_file_that_says_what_it_asks_how_and_what_it_does_not_show():
    files = {path.stem for path in (ROOT / "benchmarks" / "questions").glob("*.py")} - {"__init__"}
    assert files == set(NAMES)
    for name in NAMES:
        question, method, not_shown = describe(name)
        assert question.endswith("?")
        assert len(method) > 80
        assert len(not_shown) > 20
