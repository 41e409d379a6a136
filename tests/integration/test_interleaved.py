"""No invocation sees anything of another one: `python -m benchmarks interleaved` with less of them, and its own test."""

import pytest

from benchmarks.questions.interleaved import Crowd

COUNT = 1500


@pytest.mark.parametrize("at_once", [1, 4, 16, 32])
def test_no_invocation_sees_anything_of_another(at_once):
    memory = Crowd(COUNT, at_once).run()
    assert (memory.wrong, memory.answers) == ([], COUNT)
    assert memory.looks > 10 * COUNT


class Forgetful(Crowd):
    """Keeps whose turn it is where all can see it."""

    def begin(self, number):
        self.last = f"id-{number}"

    def whose(self):
        return self.last


def test_what_is_kept_for_all_of_them_is_caught():
    assert Forgetful(COUNT, 1).run().wrong == []
    assert len(Forgetful(COUNT, 4).run().wrong) > 100
