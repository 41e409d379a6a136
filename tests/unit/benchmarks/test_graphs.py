"""The critical path is what the benchmark of first uses divides by: it has to be right."""

import pytest

from benchmarks.parts import graphs


def test_a_chain_takes_as_long_as_all_of_it():
    chain = graphs.chain([1.0, 2.0, 3.0])
    assert chain.needs == {"r00": [], "r01": ["r00"], "r02": ["r01"]}
    assert graphs.critical_path(chain) == 6.0
    assert graphs.levels(chain) == [["r00"], ["r01"], ["r02"]]


def test_a_diamond_takes_its_longer_side():
    diamond = graphs.diamond([1.0, 2.0, 5.0, 1.0])
    assert graphs.critical_path(diamond) == 7.0
    assert graphs.levels(diamond) == [["r00"], ["r01", "r02"], ["r03"]]


def test_what_needs_nothing_takes_its_slowest():
    wide = graphs.wide([1.0, 4.0, 2.0])
    assert graphs.critical_path(wide) == 4.0
    assert graphs.levels(wide) == [["r00", "r01", "r02"]]


def every_way(graph, name):
    """Yields the seconds of every way that ends in a name, one by one."""
    if not graph.needs[name]:
        yield graph.seconds[name]
    for need in graph.needs[name]:
        for way in every_way(graph, need):
            yield way + graph.seconds[name]


@pytest.mark.parametrize("seed", range(30))
def test_of_every_way_through_a_random_graph_the_longest_is_the_critical_path(seed):
    graph = graphs.scattered(graphs.durations(12, seed=seed), most=3, seed=seed)
    longest = max(way for name in graph.needs for way in every_way(graph, name))
    assert graphs.critical_path(graph) == pytest.approx(longest)


@pytest.mark.parametrize("seed", range(30))
def test_levels_hold_all_of_a_random_graph_and_each_after_what_it_needs(seed):
    graph = graphs.scattered(graphs.durations(20, seed=seed), most=3, seed=seed)
    level = {name: n for n, names in enumerate(graphs.levels(graph)) for name in names}
    assert sorted(level) == sorted(graph.seconds)
    assert all(level[need] < level[name] for name, needs in graph.needs.items() for need in needs)


def test_a_random_graph_is_the_same_for_the_same_seed_only():
    times = graphs.durations(20, seed=1)
    assert times == graphs.durations(20, seed=1) != graphs.durations(20, seed=2)
    assert all(0.005 <= seconds <= 0.020 for seconds in times)
    one = graphs.scattered(times, most=3, seed=1)
    assert one == graphs.scattered(times, most=3, seed=1) != graphs.scattered(times, most=3, seed=2)
    assert max(map(len, one.needs.values())) == 3
