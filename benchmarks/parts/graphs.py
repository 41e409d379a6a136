"""Graphs of things that take a known time to start and need each other, and the least time that all of one can take.

Nothing here waits or measures.
"""

import random
from collections.abc import Mapping, Sequence
from graphlib import TopologicalSorter
from typing import NamedTuple


class Graph(NamedTuple):
    """Names, in an order in which each comes after all that it needs.

    Attributes:
        seconds: How long each takes to start.
        needs: What each needs to have started before.
    """

    seconds: Mapping[str, float]
    needs: Mapping[str, Sequence[str]]


def chain(seconds: Sequence[float]) -> Graph:
    """Returns a graph in which each needs the one before."""
    return _graph(seconds, [[n - 1] if n else [] for n in range(len(seconds))])


def diamond(seconds: Sequence[float]) -> Graph:
    """Returns a graph of four, in which the last needs two that need the first."""
    return _graph(seconds, [[], [0], [0], [1, 2]])


def wide(seconds: Sequence[float]) -> Graph:
    """Returns a graph in which none needs another."""
    return _graph(seconds, [[] for _ in seconds])


def scattered(seconds: Sequence[float], *, most: int, seed: int) -> Graph:
    """Returns a graph in which each needs at most so many of those before it, drawn at random."""
    drawn = random.Random(seed)
    return _graph(
        seconds,
        [
            sorted(drawn.sample(range(n), drawn.randint(0, min(n, most))))
            for n in range(len(seconds))
        ],
    )


def durations(count: int, *, seed: int, low: float = 0.005, high: float = 0.020) -> list[float]:
    """Returns seconds, drawn at random."""
    drawn = random.Random(seed)
    return [drawn.uniform(low, high) for _ in range(count)]


def critical_path(graph: Graph) -> float:
    """Returns the seconds of the longest way through the graph: less it cannot take, however much runs side by side."""
    ends: dict[str, float] = {}
    for name in TopologicalSorter(graph.needs).static_order():
        ends[name] = graph.seconds[name] + max(
            (ends[need] for need in graph.needs[name]), default=0.0
        )
    return max(ends.values())


def levels(graph: Graph) -> list[list[str]]:
    """Returns the names in groups: each needs only such as are in groups before its own."""
    found: list[list[str]] = []
    sorter = TopologicalSorter(graph.needs)
    sorter.prepare()
    while sorter.is_active():
        level = sorted(sorter.get_ready())
        sorter.done(*level)
        found.append(level)
    return found


def _graph(seconds: Sequence[float], needs: Sequence[Sequence[int]]) -> Graph:
    names = [f"r{n:02}" for n in range(len(seconds))]
    return Graph(
        dict(zip(names, seconds, strict=True)),
        {name: [names[n] for n in of] for name, of in zip(names, needs, strict=True)},
    )
