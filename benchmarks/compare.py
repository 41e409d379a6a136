"""Do two runs of the suite agree?

    python -m benchmarks.compare first.json second.json

Two ratios agree if their 95 % intervals meet, widened by the noise that was measured beside them: what the same contender,
measured twice, may differ by from itself. Prints how many do, and each that does not. Exits with 1 if one in twenty or more do not.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness.answer import Answered, Comparison, Estimate, Results
from benchmarks.harness.results import load
from benchmarks.harness.words import span

TOLERATED = 1 / 20


class Pair(NamedTuple):
    """One figure of both runs.

    Attributes:
        name: Which.
        first: In the first run.
        second: In the second.
        noise: By how much of itself either may be off.
    """

    name: str
    first: Estimate
    second: Estimate
    noise: float

    @property
    def agrees(self) -> bool:
        more = 1 + self.noise
        return (
            self.first.low <= self.second.high * more and self.second.low <= self.first.high * more
        )


def pairs(first: Results, second: Results) -> Iterator[Pair]:
    """Yields the ratios that both runs have."""
    others = {question.name: question for question in second.questions}
    for question in first.questions:
        other = others.get(question.name)
        if other is not None and question.answer is not None and other.answer is not None:
            for comparison in question.answer.comparisons:
                yield from _pairs(comparison, question, other)


def _pairs(comparison: Comparison, question: Answered, other: Answered) -> Iterator[Pair]:
    mine, theirs = (item.summaries.get(comparison.name, {}) for item in (question, other))
    ratios = [
        {name: row.ratio for name, row in item.items() if row.ratio} for item in (mine, theirs)
    ]
    again = [item[comparison.again] for item in ratios if comparison.again in item]
    noise = max((abs(end - 1) for ratio in again for end in (ratio.low, ratio.high)), default=0.0)
    for name in ratios[0].keys() & ratios[1].keys() - {comparison.base, comparison.again}:
        label = f"{question.name}.{comparison.name}/{name}"
        yield Pair(label, ratios[0][name], ratios[1][name], noise)


def main() -> None:
    found = list(pairs(*(load(Path(path)) for path in sys.argv[1:])))
    apart = [pair for pair in found if not pair.agrees]
    for pair in apart:
        print(f"{pair.name}: {span(pair.first)}, and {span(pair.second)}")
    print(f"{len(found) - len(apart)} of {len(found)} ratios agree")
    sys.exit(1 if len(apart) > TOLERATED * len(found) else 0)


if __name__ == "__main__":
    main()
