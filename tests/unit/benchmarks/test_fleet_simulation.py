"""The simulation against its rules, told another way, and against the local Lambda's own fleet in virtual time."""

import asyncio
import os
import random
from itertools import pairwise
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.parts.fleet.simulation import Cold, Rules, Times, simulate
from warmkit.local import fleet as local_fleet
from warmkit.testing import run

APART = 1e-6
"""No two times are the same: which of two things that happen at once is first, no rule says."""


@st.composite
def services(draw):
    """A trace, the times of its invocations, and rules."""
    count = draw(st.integers(1, 40))
    gaps = draw(st.lists(st.sampled_from([0, 1, 2, 5, 20, 60]), min_size=count, max_size=count))
    seconds = draw(st.lists(st.integers(1, 15), min_size=count, max_size=count))
    colds = draw(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=4))
    now, trace = 0.0, []
    for number, gap in enumerate(gaps):
        now += gap
        trace.append(now + number * APART)
    chance = random.Random(draw(st.integers(0, 99)))
    warm = [s + chance.random() / 100 for s in seconds]
    cold = [Cold(i + chance.random() / 100, f + chance.random() / 100) for i, f in colds]
    return trace, Times(cold, warm)


def rules(**given):
    return st.builds(
        Rules,
        limit=st.integers(1, 6),
        idle_time=st.sampled_from([4.5, 30.0, 1000.0]),
        **given,
    )


def simulated(service, given_rules, seed=3):
    trace, times = service
    return simulate(trace, times, given_rules, random.Random(seed))


def turns(history):
    """Each environment's invocations, in order."""
    by_environment = [[] for _ in history.made]
    for line, number in enumerate(history.served_by):
        by_environment[number].append(line)
    return by_environment


ANY_RULES = rules(starts_at_once=st.sampled_from([None, 1, 2]))


@given(services(), ANY_RULES)
def test_every_invocation_is_served_or_refused(service, given_rules):
    history = simulated(service, given_rules)
    assert len(history.arrived) + history.throttled == len(service[0])
    columns = (history.begun, history.seconds, history.ended, history.inits, history.served_by)
    assert {len(column) for column in columns} == {len(history.arrived)}


@given(services(), ANY_RULES)
def test_an_environment_serves_one_at_a_time_and_is_cold_once(service, given_rules):
    history = simulated(service, given_rules)
    for lines in turns(history):
        assert [history.inits[line] is not None for line in lines] == [True] + [False] * (
            len(lines) - 1
        )
        for before, after in pairwise(lines):
            assert history.ended[before] <= history.begun[after] == history.arrived[after]


@given(services(), ANY_RULES)
def test_an_environment_ends_when_it_was_idle_for_so_long_and_not_before(service, given_rules):
    history = simulated(service, given_rules)
    for number, lines in enumerate(turns(history)):
        assert history.gone[number] == history.ended[lines[-1]] + given_rules.idle_time
        for before, after in pairwise(lines):
            assert history.begun[after] - history.ended[before] < given_rules.idle_time


@given(services(), ANY_RULES)
def test_a_cold_start_or_a_refusal_means_that_none_was_free(service, given_rules):
    history = simulated(service, given_rules)
    for line, arrived in enumerate(history.arrived):
        free = [end for end in last_ends(history, arrived) if end <= arrived]
        if history.inits[line] is not None:
            assert not free
        else:
            of_this = [n for n in range(line) if history.served_by[n] == history.served_by[line]]
            assert history.ended[of_this[-1]] == max(free)
    for arrived in set(service[0]) - set(history.arrived):
        ends = last_ends(history, arrived)
        assert len(ends) == given_rules.limit
        assert min(ends) > arrived


def last_ends(history, now):
    """When those environments that live now were or will be free after what they were given before now."""
    ends = {}
    for line, number in enumerate(history.served_by):
        if history.arrived[line] < now < history.gone[number]:
            ends[number] = history.ended[line]
    return list(ends.values())


def test_with_one_start_at_a_time_the_second_waits_for_the_first():
    history = simulated(([0.0, 1.0], Times([Cold(5.0, 1.0)], [1.0])), Rules(starts_at_once=1))
    assert (history.begun, history.ended) == ([5.0, 10.0], [6.0, 11.0])


def test_with_any_number_of_starts_nobody_waits():
    history = simulated(([0.0, 1.0], Times([Cold(5.0, 1.0)], [1.0])), Rules())
    assert (history.begun, history.ended) == ([5.0, 6.0], [6.0, 7.0])


# -- the local Lambda's fleet, with environments that only let time pass


class Environment:
    """As much of a sandbox as the fleet sees; its times come from the simulation's history."""

    open = reserved = invocations = 0
    dead = False
    tenant_id = ""

    def __init__(self, story, idle):
        self.number = len(story.made)
        self.started = asyncio.get_running_loop().create_future()
        self._story, self._idle = story, idle
        story.made.append(asyncio.get_running_loop().time())
        story.gone.append(None)

    @property
    def free(self):
        return not self.dead and self.open + self.reserved < 1

    async def init(self):
        await asyncio.sleep(self._story.inits.get(self._story.current(self), 0.0))

    def invoke(self, line):
        self.open += 1
        self.invocations += 1
        self._story.served[line] = (self.number, asyncio.get_running_loop().time())
        asyncio.get_running_loop().call_later(self._story.seconds[line], self._done)

    def _done(self):
        self.open -= 1
        self._idle(self)

    def settle(self):
        pass

    async def shutdown(self):
        self.dead = True
        self._story.gone[self.number] = asyncio.get_running_loop().time()

    aclose = shutdown


class Story:
    """What the local Lambda's fleet did with the trace of a history."""

    def __init__(self, trace, history, given_rules):
        lines = {arrived: line for line, arrived in enumerate(history.arrived)}
        self.trace = trace
        self.seconds = {a: history.seconds[lines[a]] for a in lines}
        self.inits = {
            a: history.inits[lines[a]] for a in lines if history.inits[lines[a]] is not None
        }
        self.rules = given_rules
        self.made, self.gone, self.served, self.refused = [], [], {}, []
        self._waiting = {}

    def current(self, environment):
        return self._arrivals[environment.number]

    async def play(self):
        self._arrivals = []
        fleet = local_fleet.Fleet(
            SimpleNamespace(concurrency=1),
            limit=self.rules.limit,
            idle_time=self.rules.idle_time,
            provisioned=0,
            say=None,
            observe=None,
        )
        fleet._make = lambda function: self._make(fleet)
        await asyncio.gather(*(self._arrive(fleet, arrived) for arrived in self.trace))
        await asyncio.sleep(self.rules.idle_time + 100)
        assert fleet.sandboxes == []
        return self

    def _make(self, fleet):
        environment = Environment(self, fleet._used)
        self._arrivals.append(self._arriving)
        fleet._all.append(environment)
        return environment

    async def _arrive(self, fleet, arrived):
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        loop.call_at(arrived, turn.set_result, None)
        await turn
        self._arriving = arrived
        try:
            await fleet.invoke(Arrival(arrived))
        except local_fleet.ThrottledError:
            self.refused.append(arrived)


class Arrival(float):
    tenant_id = ""


@given(services(), rules(), st.integers(1, 3))
def test_the_local_lambda_does_the_same(service, given_rules, cores):
    given_rules = Rules(given_rules.limit, given_rules.idle_time, starts_at_once=cores)
    history = simulated(service, given_rules)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "cpu_count", lambda: cores)
        story = run(Story(service[0], history, given_rules).play)
    served = [story.served[arrived] for arrived in history.arrived]
    assert [number for number, _ in served] == history.served_by
    assert [begun for _, begun in served] == pytest.approx(history.begun)
    assert len(story.refused) == history.throttled
    assert story.made == pytest.approx(history.made)
    assert story.gone == pytest.approx(history.gone)
