"""What is left when an execution environment ends, and how long does its end take?

AWS's runtime, unmodified, in both of its modes, and warmkit's, with one invocation at a time and with sixteen; idle, in a
call, in the init phase, just thawed; with the library's internal extension only, and with an external one too. Each has a
PostgreSQL pool and three neighbours, on a real server, behind a network that passes on no end of a connection without a goodbye: a
microVM that is destroyed says none. The platform is one of our own, which grants what Lambda documents: 500 ms with
internal extensions only, 300 ms of the two seconds where there is an external one. Then the same with a resource that hangs when it
is closed; and a kill without warning, which must leave everything.
"""

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Count, Finding, Row, counted
from benchmarks.harness.run import Run
from benchmarks.parts.ends.cells import MOMENTS, NEIGHBOURS, RUNTIMES, Cell, Outcome, end_of, matrix
from warmkit.local.postgres_server import PostgresServer

NOT_SHOWN = "A machine that is taken away without a signal, as Lambda does after a timeout: the last lines of the table are that."

Samples = dict[Cell, list[Outcome]]


def ask(run: Run) -> Answer:
    cells = in_a_hurry() if run.quick else all_cells()
    samples: Samples = {cell: [] for cell in cells}
    with PostgresServer() as database:
        for _ in run.rounds(3, quick=3):
            for cell, taken in samples.items():
                taken.append(end_of(cell, database))
    granted = {cell: taken for cell, taken in samples.items() if not cell.killed}
    assert all(
        item.left == item.open for cell, taken in samples.items() if cell.killed for item in taken
    ), "a kill without warning closed something"
    return Answer(
        comparisons(granted), list(findings(granted)), [Count(*table) for table in tables(samples)]
    )


def all_cells() -> list[Cell]:
    hanging = [Cell(runtime, moment, hang=True) for runtime in RUNTIMES for moment in MOMENTS]
    killed = [Cell(runtime, "idle", killed=True) for runtime in RUNTIMES]
    return [*matrix(), *hanging, *killed]


def in_a_hurry() -> list[Cell]:
    """Returns one cell of each kind."""
    first = next(iter(RUNTIMES))
    return [
        *(Cell(runtime, "in a call") for runtime in list(RUNTIMES)[1:]),
        Cell(first, "idle", hang=True),
        Cell(first, "idle", killed=True),
    ]


def comparisons(samples: Samples) -> list[Comparison]:
    kinds = {"plain": False, "hanging": True}
    titles = {
        "plain": "from SIGTERM to the exit",
        "hanging": "the same, where a resource hangs in its close",
    }
    return [
        Comparison(
            kind,
            titles[kind],
            "ms",
            [
                Row(label(cell), [[item.ms] for item in taken])
                for cell, taken in samples.items()
                if cell.hang == hang
            ],
        )
        for kind, hang in kinds.items()
    ]


def label(cell: Cell) -> str:
    return f"{cell.runtime}, {cell.moment}" + (", external extension" if cell.external else "")


def findings(samples: Samples) -> list[Finding]:
    outcomes = [item for taken in samples.values() for item in taken]
    open_, left = (sum(getattr(item, which) for item in outcomes) for which in ("open", "left"))
    unclosed = sum(len(NEIGHBOURS) - item.neighbours for item in outcomes)
    idle = [item.ms for cell, taken in samples.items() if not cell.hang for item in taken]
    return [
        Finding(
            "left",
            f"where SIGTERM is granted, {{}} of {open_} connections are left at the end, of a kill without warning all",
            counted(left),
            digits=0,
            at_most=0,
            closing=True,
        ),
        Finding(
            "unclosed", "{} other resources were not closed", counted(unclosed), digits=0, at_most=0
        ),
        Finding(
            "status",
            "{} ends had another status than 0",
            counted(sum(item.status != 0 for item in outcomes)),
            digits=0,
            at_most=0,
        ),
        Finding("ms", "an end takes {}", figures.median_of(idle), "ms", digits=0),
        Finding(
            "worst",
            "at worst {}, a close that hangs included",
            counted(max(item.ms for item in outcomes)),
            "ms",
            digits=0,
        ),
    ]


def tables(samples: Samples) -> list[tuple[str, list[str], dict[str, list[float | str]]]]:
    granted = {cell: taken for cell, taken in samples.items() if not cell.hang}
    hanging = {cell: taken for cell, taken in samples.items() if cell.hang}
    left: dict[str, list[float | str]] = {
        label(cell) + (", killed" if cell.killed else ""): [
            sum(item.open for item in taken),
            sum(item.left for item in taken),
        ]
        for cell, taken in granted.items()
    }
    others: dict[str, list[float | str]] = {
        label(cell): [f"{max(item.neighbours_ms for item in taken):.0f}"]
        for cell, taken in hanging.items()
    }
    return [
        ("connections", ["open", "left"], left),
        ("others closed, where one hangs", ["ms, at worst"], others),
    ]
