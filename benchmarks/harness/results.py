"""The results file: JSON with every sample, to four digits."""

from pathlib import Path

import msgspec

from benchmarks.harness.answer import Answer, Answered, Comparison, Results, Row
from benchmarks.questions import NAMES

DIGITS = 4


def load(path: Path) -> Results:
    return msgspec.json.decode(path.read_bytes(), type=Results)


def save(results: Results, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(_rounded(results)) + b"\n")


def merged(before: Results | None, results: Results) -> Results:
    """Returns earlier answers, those to the same questions replaced, in the suite's order.

    Raises:
        ValueError: They are of another machine.
    """
    if before is None:
        return results
    for fact in ("processor", "cores", "system", "python"):
        if before.machine[fact] != results.machine[fact]:
            raise ValueError(
                f"answers of one machine are kept together: {fact} was {before.machine[fact]!r}"
                f" and is {results.machine[fact]!r}"
            )
    answers = {item.name: item for item in [*before.questions, *results.questions]}
    return Results(results.machine, [answers[name] for name in NAMES if name in answers])


def _rounded(results: Results) -> Results:
    return msgspec.structs.replace(results, questions=[_round(item) for item in results.questions])


def _round(answered: Answered) -> Answered:
    if answered.answer is None:
        return answered
    comparisons = [_round_rows(item) for item in answered.answer.comparisons]
    answer: Answer = msgspec.structs.replace(answered.answer, comparisons=comparisons)
    return msgspec.structs.replace(answered, answer=answer)


def _round_rows(comparison: Comparison) -> Comparison:
    rows: list[Row] = [
        msgspec.structs.replace(
            row,
            processes=[
                [float(f"{sample:.{DIGITS}g}") for sample in samples] for samples in row.processes
            ],
        )
        for row in comparison.rows
    ]
    return msgspec.structs.replace(comparison, rows=rows)
