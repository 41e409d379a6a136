"""Serves a trace on a virtual clock, by the rules of Lambda and of the local Lambda.

An environment serves one invocation at a time. The most recently used that is free is used again; if none is free, another is
made, and the invocation waits for that one; if there may be no more, it is refused. One that has been idle for a
while ends. (https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html; how long "a while" is, AWS does not say.)
"""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple


class Cold(NamedTuple):
    """What an environment's first invocation took, in seconds."""

    init: float
    first: float


@dataclass(frozen=True, slots=True)
class Times:
    """What was measured of a function; the simulation draws from it.

    Attributes:
        cold: Of environments.
        warm: Seconds, of all their later invocations.
    """

    cold: Sequence[Cold]
    warm: Sequence[float]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a platform does.

    Attributes:
        limit: How many environments there may be. Lambda's is 1,000 in an account that has asked for no more; it makes
            1,000 in 10 s (https://docs.aws.amazon.com/lambda/latest/dg/scaling-behavior.html), so that below
            this limit its rate sets none.
        idle_time: Seconds after which one that is not used ends: 300 in the local Lambda.
        starts_at_once: How many may be in their init phase; None is any number. The local Lambda has one for each core.
    """

    limit: int = 1000
    idle_time: float = 300.0
    starts_at_once: int | None = None


@dataclass(slots=True)
class History:
    """What happened: a line for each invocation that was served, and for each environment. In seconds.

    Attributes:
        arrived: When each came; in order, as the next five.
        begun: When its handler began.
        seconds: How long that took.
        ended: When its environment was free again.
        inits: How long its environment's init phase took, if it is the first one there.
        served_by: The environment's number.
        throttled: How many were refused.
        made: When each environment was made.
        gone: When it ended.
    """

    arrived: list[float] = field(default_factory=list)
    begun: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    ended: list[float] = field(default_factory=list)
    inits: list[float | None] = field(default_factory=list)
    served_by: list[int] = field(default_factory=list)
    throttled: int = 0
    made: list[float] = field(default_factory=list)
    gone: list[float] = field(default_factory=list)


def simulate(trace: Sequence[float], times: Times, rules: Rules, chance: random.Random) -> History:
    """Serves the arrivals of a trace, which are in order."""
    history = History()
    fleet = _Fleet(rules, history)
    for arrived, seconds in zip(trace, chance.choices(times.warm, k=len(trace)), strict=True):
        fleet.pass_time(arrived)
        if fleet.idle:
            _, number = fleet.idle.pop()
            fleet.serve(number, arrived, arrived, seconds, None)
        elif len(fleet.busy) < rules.limit:
            cold = chance.choice(times.cold)
            number, ready = fleet.make(arrived, cold.init)
            fleet.serve(number, arrived, ready, cold.first, cold.init)
        else:
            history.throttled += 1
    fleet.pass_time(float("inf"))
    return history


class _Fleet:
    """The environments that live.

    Attributes:
        busy: A heap of when each will be free, and its number.
        idle: Since when, and its number; the most recently used last.
    """

    def __init__(self, rules: Rules, history: History) -> None:
        self.busy: list[tuple[float, int]] = []
        self.idle: deque[tuple[float, int]] = deque()
        self._idle_time = rules.idle_time
        self._starters = [0.0] * (rules.starts_at_once or 0)
        self._history = history

    def pass_time(self, now: float) -> None:
        while self.busy and self.busy[0][0] <= now:
            self.idle.append(heappop(self.busy))
        while self.idle and self.idle[0][0] + self._idle_time <= now:
            since, number = self.idle.popleft()
            self._history.gone[number] = since + self._idle_time

    def make(self, now: float, init: float) -> tuple[int, float]:
        """Returns the number of a new environment, and when it is ready."""
        self._history.made.append(now)
        self._history.gone.append(float("inf"))
        ready = now + init
        if self._starters:
            ready = max(now, heappop(self._starters)) + init
            heappush(self._starters, ready)
        return len(self._history.made) - 1, ready

    def serve(
        self, number: int, arrived: float, begun: float, seconds: float, init: float | None
    ) -> None:
        heappush(self.busy, (begun + seconds, number))
        self._history.arrived.append(arrived)
        self._history.begun.append(begun)
        self._history.seconds.append(seconds)
        self._history.ended.append(begun + seconds)
        self._history.inits.append(init)
        self._history.served_by.append(number)
