"""What does the first query after a gap cost, and does it fail where the connection was lost in the gap?

A handler with one query against a real PostgreSQL, behind a wire with a round trip of 1 ms that counts them. Three ways to keep the
connection: warmkit's `postgres_pool`; a bare asyncpg pool in a module global, on a kept loop; and the same pool with a `SELECT 1` before
each use, and a new connection where that fails. The process is stopped during the gap, as Lambda freezes it. For 400 s nobody waits: the
process's clocks are set forward, those of its event loop included. A network forgets a connection that was idle for 350 s
(docs.aws.amazon.com/elasticloadbalancing/latest/network/update-idle-timeout.html): then whatever is said on it is answered with a reset, or with
nothing at all, and both are tried beside a network that forgets nothing. A cut connection is one that the server resets during the gap.
The answer is compared with what it must be. What is counted beyond the query's own round trip includes the opening of connections.
"""

import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from statistics import fmean, median
from typing import NamedTuple

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Count, Finding, Row, counted
from benchmarks.harness.run import Run, turns
from benchmarks.parts.sandbox import Called, Sandbox
from benchmarks.parts.wire import Wire
from warmkit.local.postgres_server import PostgresServer

NOT_SHOWN = (
    "A server that falls silent without a word during a gap of less than `check_after` (1 s): nobody who does not ask it first notices that. TLS, "
    "which makes a new connection cost more. A freeze that stops the clocks as well as the process."
)

WARM, AGAIN, BARE, PINGING = "warmkit", "warmkit, again", "bare pool", "always-ping pool"
CONTENDERS = {WARM: "warmkit", BARE: "bare_pool", PINGING: "pinging_pool", AGAIN: "warmkit"}


class Gap(NamedTuple):
    """What happens between two invocations.

    Attributes:
        title: As the tables call it.
        wait: Seconds that the process is stopped for.
        later: Seconds that its clocks are set forward by, besides.
        lost: How the network loses the connection: a method of the wire. "" if it does not.
        times: How often each process has it.
        rounds: How many rounds of processes have it.
        quick: A quick run has it, too.
    """

    title: str
    wait: float = 0.1
    later: float = 0.0
    lost: str = ""
    times: int = 3
    rounds: int = 10
    quick: bool = True


GAPS = {
    "short": Gap("0.1 s"),
    "checked": Gap("2 s", wait=2.0, times=1),
    "long": Gap("10 s", wait=10.0, times=1, quick=False),
    "kept": Gap("400 s, connection still there", later=400.0),
    "forgotten": Gap("400 s, connection forgotten", later=400.0, lost="forget"),
    "swallowed": Gap(
        "400 s, packets swallowed", later=400.0, lost="swallow", times=1, rounds=3, quick=False
    ),
    "cut": Gap("0.1 s, connection cut", lost="cut"),
}


class After(NamedTuple):
    """The invocation after a gap.

    Attributes:
        called: How it went.
        extra: The round trips beyond the query's own, those included that open connections.
    """

    called: Called
    extra: int


class Round(NamedTuple):
    """One environment of each contender, in the order of their turns, and the wire that they have in common."""

    wire: Wire
    sandboxes: Mapping[str, Sandbox]


Taken = dict[str, list[list[After]]]
"""By contender, each process's."""


def ask(run: Run) -> Answer:
    gaps = {name: gap for name, gap in GAPS.items() if gap.quick or not run.quick}
    with ExitStack() as stack:
        server = stack.enter_context(PostgresServer())
        rounds = [
            start(stack, server, number)
            for number in run.rounds(10, quick=3, doing="starting environments")
        ]
        for _, sandboxes in rounds:
            for sandbox in sandboxes.values():
                use(sandbox, 30)
        taken: dict[str, Taken] = {}
        for number in run.rounds(len(GAPS), quick=len(gaps), doing="gaps"):
            name, gap = list(gaps.items())[number]
            taken[name] = have(gap, rounds[: gap.rounds], run.times(gap.times, quick=1))
    return answer(taken)


def start(stack: ExitStack, server: PostgresServer, number: int) -> Round:
    wire = stack.enter_context(Wire(("127.0.0.1", server.port), round_trip=0.001))
    env = os.environ | {"DATABASE_URL": server.dsn.replace(f":{server.port}/", f":{wire.port}/")}
    sandboxes = {
        name: Sandbox(f"benchmarks.functions.one_query:{CONTENDERS[name]}", env)
        for name in turns(list(CONTENDERS), number)
    }
    for sandbox in sandboxes.values():
        stack.enter_context(sandbox)
    return Round(wire, sandboxes)


def use(sandbox: Sandbox, calls: int) -> None:
    for n in range(calls):
        called = sandbox.call({"n": n})
        assert called.value == 2 * n, called


def have(gap: Gap, rounds: Sequence[Round], times: int) -> Taken:
    """Returns what was taken of all processes. A gap that is worth it they have side by side; a short one would not stay short."""
    taken: Taken = {name: [[] for _ in rounds] for name in CONTENDERS}
    numbers = range(len(rounds))
    for _ in range(times):
        for group in [numbers] if gap.wait > 1 else [[number] for number in numbers]:
            begin(gap, [rounds[number] for number in group])
            time.sleep(gap.wait)
            for number in group:
                wire, sandboxes = rounds[number]
                for name, sandbox in sandboxes.items():
                    taken[name][number].append(call_after(gap, sandbox, wire))
    return taken


def begin(gap: Gap, rounds: Sequence[Round]) -> None:
    """Freezes environments that have just been in use, and have mended what the last gap broke."""
    for wire, sandboxes in rounds:
        for sandbox in sandboxes.values():
            use(sandbox, 3)
            sandbox.freeze()
        if gap.lost:
            getattr(wire, gap.lost)()


def call_after(gap: Gap, sandbox: Sandbox, wire: Wire) -> After:
    sandbox.thaw()
    before = wire.seen()
    called = sandbox.call({"n": 21}, later=gap.later)
    seen = wire.seen()
    assert called.error or called.value == 42, called
    return After(called, sum(seen) - sum(before) - 1)


def answer(taken: Mapping[str, Taken]) -> Answer:
    comparisons = {name: compare(name, of) for name, of in taken.items()}
    return Answer(list(comparisons.values()), find(taken, comparisons), count(taken))


def compare(name: str, taken: Taken) -> Comparison:
    """Returns the latencies. A contender whose every call failed has none."""
    rows = [
        Row(contender, [[item.called.ms for item in process] for process in processes])
        for contender, processes in taken.items()
        if not all(item.called.error for process in processes for item in process)
    ]
    title = f"the invocation after {GAPS[name].title}"
    return Comparison(name, title, "ms", rows, base=WARM, again=AGAIN)


def count(taken: Mapping[str, Taken]) -> list[Count]:
    columns = [GAPS[name].title for name in taken]
    shown = (WARM, BARE, PINGING)
    extra = {who: [mean_extra(all_of(of, who)) for of in taken.values()] for who in shown}
    failed = {who: [failures(all_of(of, who)) for of in taken.values()] for who in shown}
    return [
        Count(
            "round trips beyond the query's own, mean of those that did not fail", columns, extra
        ),
        Count("invocations that failed", columns, failed),
    ]


def mean_extra(invocations: Sequence[After]) -> float | str:
    extra = [item.extra for item in invocations if not item.called.error]
    return round(fmean(extra), 1) if extra else "-"


def failures(invocations: Sequence[After]) -> float | str:
    return f"{len(failed(invocations))} of {len(invocations)}"


def failed(invocations: Sequence[After]) -> list[After]:
    return [item for item in invocations if item.called.error]


def all_of(taken: Taken, contender: str) -> list[After]:
    """Returns a contender's invocations, warmkit's twice as many as it is measured twice."""
    processes = taken[contender] + (taken[AGAIN] if contender == WARM else [])
    return [item for process in processes for item in process]


def find(taken: Mapping[str, Taken], comparisons: Mapping[str, Comparison]) -> list[Finding]:
    lost = [of for name, of in taken.items() if GAPS[name].lost]
    survived = [item for of in lost for item in all_of(of, WARM)]
    bare = [item for of in lost for item in all_of(of, BARE)]
    trips = {who: [item.extra for item in all_of(taken["short"], who)] for who in CONTENDERS}
    short, checked, forgotten, kept = (
        comparisons[name] for name in ("short", "checked", "forgotten", "kept")
    )
    return [
        Finding(
            "errors",
            "connections lost in a gap: {} invocations fail with warmkit",
            counted(len(failed(survived))),
            digits=0,
            at_most=0,
            closing=True,
        ),
        Finding(
            "bare_errors",
            "with a bare pool {} of them fail",
            counted(100 * len(failed(bare)) / len(bare)),
            "%",
            digits=0,
            at_least=100,
        ),
        Finding(
            "short_trips",
            "after 0.1 s warmkit takes {} round trips beside the query's own",
            counted(median(trips[WARM])),
            digits=0,
            at_most=0,
        ),
        Finding(
            "ping_trips",
            "an always-ping pool takes {}: its ping, and the reset by which asyncpg's pools end every use",
            counted(median(trips[PINGING])),
            digits=0,
            at_least=1,
        ),
        Finding(
            "short",
            "so an invocation after 0.1 s takes {} of its time with an always-ping pool",
            figures.ratio(short.row(WARM), short.row(PINGING)),
            at_most=0.8,
        ),
        Finding(
            "check",
            "after 2 s warmkit asks first, which takes {} more than an invocation after 0.1 s",
            figures.difference(checked.row(WARM), short.row(WARM)),
            "ms",
        ),
        Finding(
            "checked",
            "that invocation takes {} times its time with a bare pool, which asks nothing",
            figures.ratio(checked.row(WARM), checked.row(BARE)),
        ),
        Finding(
            "forgotten",
            "where the network forgot the connection, an invocation takes {} of its time with an always-ping pool",
            figures.ratio(forgotten.row(WARM), forgotten.row(PINGING)),
            at_most=1.5,
        ),
        Finding(
            "kept",
            "after 300 s warmkit replaces a connection unasked: where it was still there, that takes {} times a bare pool's time",
            figures.ratio(kept.row(WARM), kept.row(BARE)),
            digits=1,
        ),
        *find_swallowed(comparisons.get("swallowed")),
    ]


def find_swallowed(comparison: Comparison | None) -> list[Finding]:
    if comparison is None:
        return []  # in a quick run: pings that nobody answers take a second each
    return [
        Finding(
            "swallowed",
            "where it was gone and nobody said so, an always-ping pool waits for its ping: {} times warmkit's time",
            figures.ratio(comparison.row(PINGING), comparison.row(WARM)),
            digits=0,
            at_least=5,
        )
    ]
