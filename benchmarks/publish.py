"""Makes a run's results those that the documentation quotes: the results file, the report, and the figures in README and docs.

    python -m benchmarks.publish [benchmarks/results/results.json]

Refuses a run that was in a hurry, left out a question, or found a figure that isn't what is wanted.
"""

import sys
from pathlib import Path

from benchmarks.__main__ import RESULTS
from benchmarks.harness.answer import Results
from benchmarks.harness.documents import PUBLISHED, REPORT, documents, filled
from benchmarks.harness.report import write_report
from benchmarks.harness.results import load, save
from benchmarks.questions import NAMES


def faults(results: Results) -> list[str]:
    """Returns what keeps results from being published."""
    asked = {question.name: question for question in results.questions}
    return [
        *(f"{name} was not asked" for name in NAMES if name not in asked),
        *(f"{name} was asked in a hurry" for name, item in asked.items() if item.quick),
        *(f"{name} failed, or found what is not wanted" for name, item in asked.items() if not item.held),
    ]  # fmt: skip


def publish(results: Results) -> None:
    save(results, PUBLISHED)
    write_report(results, REPORT)
    for document in documents():
        text = document.read_text()
        if (new := filled(text, results)) != text:
            document.write_text(new)


def main() -> None:
    results = load(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS)
    found = faults(results)
    if found:
        sys.exit("not published:\n  " + "\n  ".join(found))
    publish(results)


if __name__ == "__main__":
    main()
