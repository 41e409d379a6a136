"""What does injection cost in an invocation, beside hand-written code and other libraries that inject?

A handler with 1, 5 and 20 asynchronous resources that live as long as the process, all of them started: under `@warm_handler`,
called as AWS's Python runtime calls it; with wireup, dishka, svcs and that-depends, each in the cheapest way that its
documentation has; and by hand, with module globals. All but warmkit, which keeps its own, are driven by one event loop that is
kept. The handlers do nothing, so all that is measured is the way there; with five resources there is also one that waits for a turn of the loop. It is asserted in each
call that the resources are there, and at the end that each was started once.

The other libraries look a value up and hand it over, and that is all that is asked of them here. warmkit also asks how long the
gap was, holds the value for as long as it is used, keeps the invocation's deadline from its first wait on, and counts. So one row more is wireup with
two of these written by hand: the gap, and the deadline. Another is warmkit with an `alive` for each resource, asked each time.
"""

from benchmarks.harness import figures
from benchmarks.harness.answer import Answer, Comparison, Estimate, Finding, Row
from benchmarks.harness.run import Run, in_fresh_process
from benchmarks.parts.injected import (
    BY_HAND,
    BY_HAND_AGAIN,
    GUARDED_PEER,
    LOOKED_AT,
    PEERS,
    UNGUARDED,
    WARMKIT,
    trial,
)

NOT_SHOWN = "What these libraries are made for besides: scopes within scopes, graphs of many layers, the frameworks that they know; nor a handler that does something, beside which all of this is nothing."

SIZES = (1, 5, 20)
WAITING = 5
"""How many resources the handler has that waits."""

Samples = dict[str, list[float]]
Kind = tuple[int, int]
"""How many resources, and for how many turns of the loop the handler waits."""


def ask(run: Run) -> Answer:
    kinds: list[Kind] = [*((resources, 0) for resources in SIZES), (WAITING, 1)]
    taken: dict[Kind, list[Samples]] = {kind: [] for kind in kinds}
    for _ in run.rounds(10, quick=3, doing=f"fresh processes with {SIZES} resources"):
        for kind in kinds:
            taken[kind].append(in_fresh_process(trial, *kind, run.times(60, quick=8)))
    comparisons = [comparison(*kind, samples) for kind, samples in taken.items()]
    *still, waiting = comparisons
    findings = [
        *(found for item in still for found in beside_the_best(item)),
        *where_it_waits(waiting),
        for_each_resource(still[0], still[-1]),
    ]
    return Answer(comparisons, findings)


def comparison(resources: int, turns: int, taken: list[Samples]) -> Comparison:
    plural = "resources" if resources > 1 else "resource"
    names = [BY_HAND, BY_HAND_AGAIN, WARMKIT, UNGUARDED, LOOKED_AT, *PEERS, GUARDED_PEER]
    return Comparison(
        f"with_{resources}_waiting" if turns else f"with_{resources}",
        f"one invocation with {resources} {plural}" + (", which waits once" if turns else ""),
        "us",
        [Row(name, [samples[name] for samples in taken], peer=name in PEERS) for name in names],
        base=BY_HAND,
        again=BY_HAND_AGAIN,
    )


def beside_the_best(comparison: Comparison) -> list[Finding]:
    """Says who is quickest, and by how much."""
    best = best_peer(comparison)
    warm, by_hand = comparison.row(WARMKIT), comparison.row(BY_HAND)
    theirs = figures.difference(best, by_hand).value
    return [
        Finding(
            f"{comparison.name}_added",
            f"to {comparison.title} that is written by hand, warmkit adds {{}}, and {best.name}, the quickest of the others, {theirs:.1f} us",
            figures.difference(warm, by_hand),
            "us",
            digits=1,
        ),
        Finding(
            f"{comparison.name}_beside_peer",
            f"{comparison.title} takes {{}} times as long under warmkit as with {best.name}, the quickest of the others",
            figures.ratio(warm, best),
            at_most=1,
            closing=comparison.name == "with_5",
        ),
        beside_guarded(comparison),
    ]


def beside_guarded(comparison: Comparison, *, closing: bool = False) -> Finding:
    """Says what the quickest take where they do by hand what warmkit does besides."""
    return Finding(
        f"{comparison.name}_beside_guarded",
        f"{comparison.title}: {{}} times as long as with wireup where that, too, keeps a deadline and looks at the gap, by hand",
        figures.ratio(comparison.row(WARMKIT), comparison.row(GUARDED_PEER)),
        at_most=1,
        closing=closing,
    )


def where_it_waits(comparison: Comparison) -> list[Finding]:
    """Says what the deadline costs, which begins there, and nobody else keeps."""
    best = best_peer(comparison)
    return [
        Finding(
            f"{comparison.name}_beside_peer_unguarded",
            f"{comparison.title}, takes {{}} times as long under warmkit as with {best.name}, where warmkit keeps no deadline either",
            figures.ratio(comparison.row(UNGUARDED), best),
        ),
        Finding(
            f"{comparison.name}_beside_peer",
            f"{comparison.title}, takes {{}} times as long under warmkit, which then keeps a deadline, as with {best.name}, which keeps none",
            figures.ratio(comparison.row(WARMKIT), best),
            closing=True,
        ),
        beside_guarded(comparison, closing=True),
    ]


def best_peer(comparison: Comparison) -> Row:
    return min(
        (row for row in comparison.rows if row.peer), key=lambda row: figures.median(row).value
    )


def for_each_resource(fewest: Comparison, most: Comparison) -> Finding:
    """Says what each resource more costs, beside the best peer for many."""
    best = best_peer(most).name
    theirs = slope(fewest, most, best).value
    return Finding(
        "each_resource",
        f"each resource more costs {{}} under warmkit, and {theirs:.0f} ns with {best}",
        slope(fewest, most, WARMKIT),
        "ns",
        digits=0,
        at_most=60,
    )


def slope(fewest: Comparison, most: Comparison, name: str) -> Estimate:
    """Returns the nanoseconds by which what is added to the hand-written grows with each resource."""
    more = SIZES[-1] - SIZES[0]
    pairs = zip(added(most, name), added(fewest, name), strict=True)
    return figures.median_of([(many - few) / more * 1000 for many, few in pairs])


def added(comparison: Comparison, name: str) -> list[float]:
    """Returns the microseconds above the hand-written, of each process."""
    rows = comparison.row(name), comparison.row(BY_HAND)
    pairs = zip(*map(figures.centres, rows), strict=True)
    return [ours - theirs for ours, theirs in pairs]
