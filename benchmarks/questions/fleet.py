"""What does a fleet of environments come to in a day, and in a flash crowd: connecting in the handler against staying warm?

The function looks up an order in PostgreSQL and its receipt in S3, both behind a wire of 1 ms, under AWS's runtime. First the local
Lambda says what its invocations take, cold and warm, in fresh environments that take turns. From those samples a
simulation on a virtual clock draws, for a day (a Poisson process with an afternoon nine times as busy as the night) and for a flash
crowd: within five seconds two hundred times as many arrivals. An environment serves one invocation at a time, the most
recently used is used again, one is made when all are busy, up to 1,000, and one that was idle for 300 s ends. All
is done several times, with arrivals and samples drawn anew: a figure is the median, its interval the least and the most. Billed is
what AWS bills, with the init phase, at 512 MB and the public price in us-east-1.

Then the simulation is held against the local Lambda: a short trace with two bursts arrives there in real time, and is simulated from what
the invocations of the other replays took (of this one, if there is only one). Its function waits in the database for 100 ms, so
that two cores can serve all its environments; as in the local Lambda, no more environments start at once than there are cores.

`--option trace=FILE` adds the arrivals of a CSV file, a line for each: seconds or ISO 8601 in the first column, or in the
one that `--option column=NAME` says.
"""

import os
import random
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.harness.answer import Answer, Comparison, Count, Estimate, Finding, Row
from benchmarks.harness.run import Run, turns
from benchmarks.parts import orders
from benchmarks.parts.fleet.accounts import Account, account
from benchmarks.parts.fleet.local import MEMORY_GB, Function, Measured, Replay, measure, replay
from benchmarks.parts.fleet.simulation import Rules, Times, simulate
from benchmarks.parts.fleet.traces import day, flash_crowd, poisson, read, with_bursts
from benchmarks.parts.orders import Network, Servers

NOT_SHOWN = (
    "Lambda itself: what AWS needs to find a machine and to load code comes on top of each cold start, and at 512 MB it gives"
    " 0.3 of a core, which stretches whatever computes. Environments that AWS makes ahead of need, replaces after hours, or ends"
    " sooner or later than after 300 s: it does not say when. Callers that are refused and try again. A database that"
    " slows down under many connections, and what it costs. A connection kept by hand, which saves as much on each"
    " invocation as one that warmkit keeps."
)

NAIVE, WARM, AGAIN = "naive", "warmkit", "warmkit, again"
KEPT = {NAIVE: False, WARM: True}
DAY, CROWD, OWN = "a day", "a flash crowd", "your trace"
CROWD_PEAK = 1000
WAITING = Path(orders.ROOT).parent
FORETELLINGS = 100

Trace = Callable[[random.Random], Sequence[float]]
Accounts = dict[str, list[Account]]
"""By contender: one for each draw."""


def ask(run: Run) -> Answer:
    traces = wanted_traces(run)
    with Servers() as servers, servers.network(round_trip=0.001) as network:
        measured = measure_times(run, network)
        replays = replay_short_trace(run, network)
    on_paper = {name: Accounts() for name in traces}
    for number in run.rounds(5, quick=3, doing="on paper"):
        for name, trace in traces.items():
            for contender, one in serve(number, trace, measured).items():
                on_paper[name].setdefault(contender, []).append(one)
    foretold = {name: foretell(found, kept=KEPT[name]) for name, found in replays.items()}
    return Answer(
        [
            times("invocation", "a warm invocation, as billed", measured, lambda one: one.warm),
            times("cold", "a cold start, as billed", measured, lambda one: [sum(one.cold)]),
        ],
        [*paper_findings(on_paper), *check_findings(replays, foretold)],
        [
            *(paper_table(name, accounts) for name, accounts in on_paper.items()),
            check_table(replays, foretold),
        ],
    )


# -- what invocations take


def measure_times(run: Run, network: Network) -> dict[str, list[Measured]]:
    order = 7
    functions = {
        name: Function(
            handler, orders.ROOT, network.environment, {"order": order}, orders.answer(order)
        )
        for name, handler in ((NAIVE, "naive.handler"), (WARM, "warm.handler"))
    }
    contenders = {**functions, AGAIN: functions[WARM]} if not run.quick else functions
    measured: dict[str, list[Measured]] = {name: [] for name in contenders}
    for number in run.rounds(8, quick=3, doing="a fresh environment"):
        for name in turns(list(contenders), number):
            measured[name].append(measure(contenders[name], run.times(12, quick=3)))
    return measured


def times(
    name: str,
    title: str,
    measured: dict[str, list[Measured]],
    of: Callable[[Measured], list[float]],
) -> Comparison:
    rows = [
        Row(who, [[1000 * seconds for seconds in of(one)] for one in environments])
        for who, environments in measured.items()
    ]
    again = AGAIN if AGAIN in measured else None
    return Comparison(name, title, "ms", rows, base=WARM, again=again)


# -- on paper


def wanted_traces(run: Run) -> dict[str, Trace]:
    invocations = run.times(1_000_000, quick=200_000)
    traces: dict[str, Trace] = {
        DAY: lambda chance: day(invocations, chance),
        CROWD: lambda chance: flash_crowd(CROWD_PEAK, chance),
    }
    if path := run.options.get("trace"):
        own = read(Path(path), run.options.get("column"))
        traces[OWN] = lambda _: own
    return traces


def serve(number: int, trace: Trace, measured: dict[str, list[Measured]]) -> dict[str, Account]:
    """Lets each contender serve the same arrivals, with times drawn from its environments."""
    chance = random.Random(number)
    arrivals = trace(chance)
    accounts = {}
    for name, kept in KEPT.items():
        history = simulate(arrivals, drawn(measured[name], chance), Rules(), chance)
        accounts[name] = account(history, memory_gb=MEMORY_GB, kept=kept)
    return accounts


def drawn(measured: list[Measured], chance: random.Random) -> Times:
    """Returns the times of as many environments, drawn as a bootstrap does."""
    picked = chance.choices(measured, k=len(measured))
    return Times([one.cold for one in picked], [seconds for one in picked for seconds in one.warm])


def paper_findings(on_paper: dict[str, Accounts]) -> list[Finding]:
    on_day, in_crowd = on_paper[DAY], on_paper[CROWD]
    return [
        Finding(
            "gb_seconds",
            f"over a day of {middle(on_day[WARM], 'invocations'):,.0f} invocations, connecting in the handler is billed {{}} times the GB-seconds",
            compared(on_day, "gb_seconds"),
            digits=1,
            at_least=2,
            closing=True,
        ),
        Finding(
            "dollars",
            "and {} times the dollars, requests included",
            compared(on_day, "x86"),
            digits=1,
            at_least=1.2,
        ),
        Finding(
            "cold_starts",
            "it makes {} times the cold starts over the day",
            compared(on_day, "cold_starts"),
            digits=1,
            at_least=1,
        ),
        Finding(
            "opened",
            "it opens {} times the database connections over the day",
            compared(on_day, "opened"),
            digits=0,
            at_least=100,
        ),
        Finding(
            "day_connections",
            "at the day's peak it has {} times as many connections open at once, though warm ones stay open in idle environments",
            compared(on_day, "connections"),
            digits=1,
        ),
        Finding(
            "crowd_environments",
            "in the flash crowd it needs {} times the environments",
            compared(in_crowd, "environments"),
            digits=1,
            at_least=1,
        ),
        Finding(
            "crowd_connections",
            "and has {} times as many connections open at once",
            compared(in_crowd, "connections"),
            digits=1,
        ),
    ]


def compared(accounts: Accounts, what: str) -> Estimate:
    """Returns how many times as much it is without warmkit."""
    pairs = zip(accounts[NAIVE], accounts[WARM], strict=True)
    ratios = [getattr(naive, what) / getattr(warm, what) for naive, warm in pairs]
    return Estimate(statistics.median(ratios), min(ratios), max(ratios))


LINES = {
    "environments at once": "environments",
    "cold starts": "cold_starts",
    "connections at once": "connections",
    "connections opened": "opened",
    "refused": "throttled",
    "GB-seconds": "gb_seconds",
    "dollars, x86": "x86",
    "dollars, arm64, if it took as long": "arm",
    "p50, ms": "p50_ms",
    "p99, ms": "p99_ms",
}


def paper_table(name: str, accounts: Accounts) -> Count:
    found = accounts[WARM]
    arrivals = middle(found, "invocations") + middle(found, "throttled")
    rows: dict[str, list[float | str]] = {
        line: [middle(accounts[who], field) for who in KEPT] for line, field in LINES.items()
    }
    shares = [middle(accounts[who], "cold_share") for who in KEPT]
    rows["cold starts, of all invocations"] = [f"{share:.3%}" for share in shares]
    return Count(f"{name}, {arrivals:,.0f} arrivals", list(KEPT), rows)


def middle(found: Sequence[Account], field: str) -> float:
    values: list[float] = [getattr(one, field) for one in found]
    return statistics.median(values)


# -- against the local Lambda


def replay_short_trace(run: Run, network: Network) -> dict[str, list[Replay]]:
    functions = {
        name: Function(handler, WAITING, network.environment, {"n": 21, "seconds": 0.1}, answer=42)
        for name, handler in ((NAIVE, "naive.handler"), (WARM, "waiting.handler"))
    }
    replays: dict[str, list[Replay]] = {name: [] for name in functions}
    for number in run.rounds(3, quick=1, doing="a short trace in real time"):
        trace = short_trace(random.Random(number), quick=run.quick)
        for name in turns(list(functions), number):
            before = network.seen()[0].connections
            found = replay(functions[name], trace)
            opened = network.seen()[0].connections - before
            assert opened == (found.environments if KEPT[name] else len(trace)), (name, opened)
            replays[name].append(found)
    return replays


def short_trace(chance: random.Random, *, quick: bool) -> list[float]:
    """Two bursts, the second larger than the first; between and after them, what the environments that are there can serve."""
    if quick:
        return with_bursts(
            poisson(lambda second: 15 * (second == 1), 2, chance), [(0, 4), (1.5, 8)]
        )
    busy = {2, 3, 7, 8}
    return with_bursts(poisson(lambda second: 15 * (second in busy), 9, chance), [(0, 6), (4, 14)])


def foretell(replays: list[Replay], *, kept: bool) -> list[list[Account]]:
    """Simulates each replay's arrivals many times, from what the invocations of the others took."""
    rules = Rules(starts_at_once=os.cpu_count())
    foretold = []
    for number, found in enumerate(replays):
        others = [other.times for other in replays if other is not found] or [found.times]
        times = Times([c for t in others for c in t.cold], [w for t in others for w in t.warm])
        chance = random.Random(number)
        foretold.append(
            [
                account(
                    simulate(found.arrived, times, rules, chance), memory_gb=MEMORY_GB, kept=kept
                )
                for _ in range(FORETELLINGS)
            ]
        )
    return foretold


def check_findings(
    replays: dict[str, list[Replay]], foretold: dict[str, list[list[Account]]]
) -> list[Finding]:
    return [
        Finding(
            f"check_{what}",
            f"the local Lambda's {noun} and those that the simulation foretells differ by {{}}",
            max((apart(replays[name], foretold[name], what) for name in replays), key=by_value),
            "%",
            digits=0,
            at_most=30,
        )
        for what, noun in (("cold_starts", "environments"), ("gb_seconds", "GB-seconds"))
    ]


def apart(replays: list[Replay], foretold: list[list[Account]], what: str) -> Estimate:
    """Returns by how many percent a contender's replays miss what was foretold."""
    misses = [
        100 * abs(getattr(real, what) / middle(told, what) - 1)
        for real, told in zip(replays, foretold, strict=True)
    ]
    return Estimate(statistics.median(misses), min(misses), max(misses))


def by_value(estimate: Estimate) -> float:
    return estimate.value


def check_table(
    replays: dict[str, list[Replay]], foretold: dict[str, list[list[Account]]]
) -> Count:
    rows: dict[str, list[float | str]] = {}
    for name, found in replays.items():
        for number, (real, told) in enumerate(zip(found, foretold[name], strict=True), 1):
            rows[f"{name} {number}, local Lambda"] = [
                len(real.reports),
                real.cold_starts,
                round(real.gb_seconds, 2),
            ]
            rows[f"{name} {number}, simulated"] = [
                len(real.reports),
                spread(told, "cold_starts", 0),
                spread(told, "gb_seconds", 2),
            ]
    return Count(
        f"a short trace in real time, and {FORETELLINGS} times on paper: median (95 % of them)",
        ["arrivals", "environments", "GB-seconds"],
        rows,
    )


def spread(found: list[Account], field: str, digits: int) -> str:
    low, *_, high = statistics.quantiles((getattr(one, field) for one in found), n=40)
    return f"{middle(found, field):.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
