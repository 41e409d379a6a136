"""The breaker against a small model: any calls, however they overlap and end, on any clocks."""

import asyncio
from contextvars import Context
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)
from pybreaker import CircuitBreakerListener

from warmkit import TimeLimitError
from warmkit.resources import CircuitBreaker, CircuitOpenError
from warmkit.testing import VirtualClock

FAIL_MAX = 3
RESET = 30
CLOCKS = ("wall", "monotonic", "boot")

FAILURES = (OSError("down"), TimeoutError(), ExceptionGroup("both", [OSError(), OSError()]))
ANSWERS = (None, ValueError("no such price"))  # the second is excluded
NO_NEWS = (
    asyncio.CancelledError(),
    KeyboardInterrupt(),
    SystemExit(),
    GeneratorExit(),
    TimeLimitError("waiting for db", 1.0, "the time left"),
    CircuitOpenError("another", "", 5.0),
)


class Begun(NamedTuple):
    """A call under way, in a context of its own as every task has one."""

    context: Context
    number: int
    generation: int


def finish_at_once(coroutine):
    """Drives a coroutine that must not wait."""
    with pytest.raises(StopIteration):
        coroutine.send(None)


class Story(CircuitBreakerListener):
    def __init__(self):
        self.states = []

    def state_change(self, cb, old_state, new_state):
        self.states.append(new_state.name)


class BreakerMachine(RuleBasedStateMachine):
    calls = Bundle("calls")

    @initialize(honest=st.sampled_from(CLOCKS), threshold=st.integers(1, 2))
    def begin(self, honest, threshold):
        self.clock = VirtualClock()
        self.honest = honest
        self.story = Story()
        self.threshold = threshold
        self.breaker = CircuitBreaker(
            FAIL_MAX,
            RESET,
            threshold,
            exclude=[ValueError],
            listeners=[self.story],
            name="prices",
            clock=self.clock,
        )
        # The model.
        self.now = 0
        self.state = "closed"
        self.states = []
        self.generation = self.failed = self.passed = self.opened = self.count = 0
        self.trial = None

    def move(self, state):
        self.state = state
        self.states.append(state)
        self.generation += 1
        self.trial = None
        self.passed = 0
        if state == "open":
            self.opened = self.now
        if state == "closed":
            self.failed = 0

    # -- time

    @rule(seconds=st.integers(0, 40), standing=st.sets(st.sampled_from(CLOCKS)))
    def let_time_pass(self, seconds, standing):
        going = {clock: clock not in standing or clock == self.honest for clock in CLOCKS}
        self.clock.freeze(seconds, **going)
        self.now += seconds

    @rule(seconds=st.integers(1, 1000))
    def set_the_wall_clock_back(self, seconds):
        if self.honest != "wall":
            self.clock.set_wall(self.clock.read().wall - seconds)

    # -- calls

    @rule(target=calls)
    def a_call_begins(self):
        if self.state == "open" and self.now - self.opened >= RESET:
            self.move("half-open")
        let_in = self.state == "closed" or (self.state == "half-open" and self.trial is None)
        context = Context()
        if not let_in:
            with pytest.raises(CircuitOpenError) as caught:
                context.run(self.breaker.__aenter__().send, None)
            left = max(0, self.opened + RESET - self.now) if self.state == "open" else 0
            assert caught.value.retry_in == left
            return Begun(context, -1, -1)
        context.run(finish_at_once, self.breaker.__aenter__())
        self.count += 1
        if self.state == "half-open":
            self.trial = self.count
        return Begun(context, self.count, self.generation)

    def leave(self, call, error):
        """Returns whether the call has a say."""
        if call.number < 0:
            return False
        kind = None if error is None else type(error)
        call.context.run(finish_at_once, self.breaker.__aexit__(kind, error, None))
        if self.trial == call.number:
            self.trial = None
        return call.generation == self.generation

    @rule(call=consumes(calls), error=st.sampled_from(FAILURES))
    def a_call_fails(self, call, error):
        if self.leave(call, error):
            self.failed += 1
            if self.state == "half-open" or self.failed >= FAIL_MAX:
                self.move("open")

    @rule(call=consumes(calls), error=st.sampled_from(ANSWERS))
    def a_call_is_answered(self, call, error):
        if self.leave(call, error):
            self.failed = 0
            if self.state == "half-open":
                self.passed += 1
                if self.passed >= self.threshold:
                    self.move("closed")

    @rule(call=consumes(calls), error=st.sampled_from(NO_NEWS))
    def a_call_ends_without_news(self, call, error):
        self.leave(call, error)

    # -- an operator

    @rule(state=st.sampled_from(["open", "half-open", "closed"]))
    def somebody_moves_it(self, state):
        {
            "open": self.breaker.open,
            "half-open": self.breaker.half_open,
            "closed": self.breaker.close,
        }[state]()
        self.move(state)

    # -- always

    @invariant()
    def it_is_as_the_model_says(self):
        breaker = self.breaker
        assert self.story.states == self.states
        assert (breaker.current_state, breaker.fail_counter) == (self.state, self.failed)
        left = max(0, self.opened + RESET - self.now) if self.state == "open" else 0
        assert breaker.retry_in == left


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=300, stateful_step_count=40)
