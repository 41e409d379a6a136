"""What is left when an execution environment ends, and how long does its end take?

AWS's runtime, unmodified, in both of its modes, and warmkit's, with one invocation at a time and with sixteen; idle, in a
call, in the init phase, just thawed; with the library's internal extension only, and with an external one too. Each has a
PostgreSQL pool and three neighbours, on a real server, behind a network that passes on no end of a connection without a goodbye: a
microVM that is destroyed says none. The platform is one of our own, which grants what Lambda documents: 500 ms with
internal extensions only, 300 ms of the two seconds where there is an external one.

    python -m benchmarks.ends

Prints what was left, the milliseconds from SIGTERM to the exit, the same with a resource that hangs when it is closed, and
how late it made the others; beside it a kill without warning. Writes every sample to benchmarks/results/ends.json. Exits with
1 if a connection was left, a neighbour not closed, or a status not 0, where SIGTERM is granted.
"""

import json
import platform
import statistics
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.ends.cells import MOMENTS, NEIGHBOURS, RUNTIMES, Cell, Outcome, end_of, matrix
from warmkit.local.postgres_server import PostgresServer

ROUNDS = 3
RESULTS = Path(__file__).parents[1] / "results" / "ends.json"

Samples = dict[Cell, list[Outcome]]


def cells() -> list[Cell]:
    hanging = [Cell(runtime, moment, hang=True) for runtime in RUNTIMES for moment in MOMENTS]
    killed = [Cell(runtime, "idle", killed=True) for runtime in RUNTIMES]
    return [*matrix(), *hanging, *killed]


def measure() -> Samples:
    samples: Samples = {cell: [] for cell in cells()}
    with PostgresServer() as database:
        for _ in range(ROUNDS):
            for cell, taken in samples.items():
                taken.append(end_of(cell, database))
    return samples


def in_order(outcome: Outcome) -> bool:
    return (outcome.status, outcome.left, outcome.neighbours) == (0, 0, len(NEIGHBOURS))


def report(samples: Samples) -> None:
    print(f"{ROUNDS} ends for each line; milliseconds: median (worst)\n")
    print(
        f"{'':28}{'':13}{'internal only':>26}{'an external one too':>26}{'one hangs in close':>34}"
    )
    heads = ("left", "ms to exit", "left", "ms to exit", "left", "ms to exit", "others closed")
    widths = (11, 15, 11, 15, 9, 15, 15)
    print(
        f"{'':41}" + "".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))
    )
    for runtime in RUNTIMES:
        for moment in MOMENTS:
            plain, external, hang = (
                samples[Cell(runtime, moment, external=external, hang=hang)]
                for external, hang in ((False, False), (True, False), (False, True))
            )
            print(
                f"{runtime:28}{moment:13}{left(plain):>11}{spread(o.ms for o in plain):>15}"
                f"{left(external):>11}{spread(o.ms for o in external):>15}"
                f"{left(hang):>9}{spread(o.ms for o in hang):>15}"
                f"{spread(o.neighbours_ms for o in hang):>15}"
            )
    print()
    for runtime in RUNTIMES:
        print(f"{runtime:28}{'killed':13}{left(samples[Cell(runtime, 'idle', killed=True)]):>11}")


def left(taken: list[Outcome]) -> str:
    return f"{sum(item.left for item in taken)} of {sum(item.open for item in taken)}"


def spread(values: Iterable[float]) -> str:
    ordered = sorted(values)
    return f"{statistics.median(ordered):.0f} ({ordered[-1]:.0f})"


def save(samples: Samples) -> None:
    RESULTS.parent.mkdir(exist_ok=True)
    content = {
        "question": (__doc__ or "").partition("\n")[0],
        "machine": {"python": sys.version, "platform": platform.platform()},
        "samples": [
            {"cell": cell._asdict(), "outcomes": [item._asdict() for item in taken]}
            for cell, taken in samples.items()
        ],
    }
    RESULTS.write_text(json.dumps(content, indent=1) + "\n")


def main() -> int:
    samples = measure()
    report(samples)
    save(samples)
    wrong = [
        (cell, item)
        for cell, taken in samples.items()
        for item in taken
        if not cell.killed and not in_order(item)
    ]
    for cell, item in wrong:
        print("not in order:", cell, item._replace(output=item.output[-1:]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
