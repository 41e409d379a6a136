"""An environment under everything at once, in whatever order: starts, failures, cancellations, freezes, overrides."""

import asyncio
import contextvars
from collections import defaultdict, deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from warmkit import (
    Environment,
    EnvironmentClosedError,
    StartError,
    State,
    TimeLimitError,
    resource,
    warm_handler,
)
from warmkit.testing import HANG, EventRecorder, FakeResource, VirtualClock, VirtualLoop, then

NAMES = ["base", "other", "middle", "top"]
EXPECTED = (StartError, TimeLimitError, EnvironmentClosedError)
steps = st.sampled_from(
    [
        OSError("failed"),
        HANG,
        0.01,
        1.0,
        then(0.5, OSError("failed late")),
        lambda: asyncio.sleep(0),
    ]
)


class Lives(RuleBasedStateMachine):
    @initialize(plain=st.booleans())
    def begin(self, plain):
        """A plain one has no observer and nothing that ages: then resources are leased in groups."""
        self.clock = VirtualClock()
        self.loop = VirtualLoop(self.clock)
        self.recorder = EventRecorder()
        self.script = defaultdict(deque)
        self.dead = set()
        self.visits = {}
        self.others = []
        self.overrides = []
        self.count = 0
        self.ending = False
        self.observers = [] if plain else [self.recorder]
        self.make_resources(max_age=None if plain else 400)
        self.environment = None
        self.over = asyncio.Event()
        self.root = self.loop.create_task(self.keep_environment())
        self.tick(1)

    def make_resources(self, max_age):
        def fake(name, needs=(), **options):
            made = FakeResource(
                name,
                starts=self.steps_of(name, "start"),
                checks=self.steps_of(name, "check") if options.pop("checked", True) else None,
                closes=self.steps_of(name, "close"),
                needs={item.name: item for item in needs},
                alive=lambda value: (value.name, value.number) not in self.dead,
                **options,
            )
            setattr(self, name, made)
            return made

        base = fake("base", check_after=5, max_age=max_age)
        other = fake("other", checked=False)
        middle = fake("middle", [base], refreshes=self.steps_of("middle", "refresh"), max_gap=60)
        top = fake("top", [middle, other], checked=False)
        self.fakes = [base, other, middle, top]
        self.stand_in = FakeResource("stand_in", starts=self.steps_of("base", "start"))
        self.fakes.append(self.stand_in)
        self.tx = []

        @resource(scope="invocation", middle=middle.resource)
        async def tx(middle):
            middle.use()
            self.tx.append("begin")
            try:
                yield middle
            finally:
                self.tx.append("end")
                await asyncio.sleep(0)

        self.handlers = [
            self.handler_of(base=base.resource),
            self.handler_of(other=other.resource, middle=middle.resource),
            self.handler_of(top=top.resource),
            self.handler_of(tx=tx, base=base.resource),
        ]

    def steps_of(self, name, kind):
        while True:
            waiting = self.script[name, kind]
            yield waiting.popleft() if waiting else None

    def handler_of(self, **resources):
        @warm_handler(**resources)
        async def handler(gate, context, **values):
            self.use(values)
            await gate.wait()
            self.use(values)

        return handler

    def use(self, values):
        if not self.environment.closed:  # the end closes also what is in use
            for value in values.values():
                if not isinstance(value, str):
                    value.use()

    async def keep_environment(self):
        async with Environment(clock=self.clock, observers=self.observers) as environment:
            self.environment = environment
            self.context = contextvars.copy_context()
            await self.over.wait()

    def spawn(self, work):
        return self.loop.create_task(work, context=self.context.copy())

    # -- what happens

    @rule(which=st.integers(0, 3))
    def a_visit_begins(self, which):
        gate = asyncio.Event()
        self.count += 1
        self.visits[self.count] = (self.spawn(self.handlers[which].invoke(gate)), gate)

    @precondition(lambda self: self.visits)
    @rule(data=st.data())
    def a_visit_ends(self, data):
        self.visits[data.draw(st.sampled_from(sorted(self.visits)))][1].set()

    @precondition(lambda self: self.visits)
    @rule(data=st.data())
    def a_visit_is_cancelled(self, data):
        self.visits[data.draw(st.sampled_from(sorted(self.visits)))][0].cancel()

    @rule(name=st.sampled_from(NAMES))
    def somebody_gets_a_value(self, name):
        self.others.append(self.spawn(self.environment.get(getattr(self, name).resource)))

    @precondition(lambda self: self.others)
    @rule(data=st.data())
    def somebody_who_waits_is_cancelled(self, data):
        data.draw(st.sampled_from(self.others)).cancel()

    @rule(
        name=st.sampled_from(NAMES),
        kind=st.sampled_from(["start", "start", "check", "refresh", "close"]),
        step=steps,
    )
    def something_is_going_to_go_wrong(self, name, kind, step):
        self.script[name, kind].append(step)

    @rule(name=st.sampled_from(NAMES))
    def a_value_dies(self, name):
        self.dead |= {(name, number) for number in getattr(self, name).open}

    @rule(data=st.data())
    def a_value_is_retired(self, data):
        live = self.environment.live
        if live.current:
            chosen = data.draw(st.sampled_from(sorted(live.current, key=lambda item: item.name)))
            live.retire(live.current[chosen], "the machine says so")

    @rule()
    def everything_is_distrusted(self):
        self.environment.distrust()

    @rule(seconds=st.sampled_from([0.5, 10.0, 61.0, 301.0, 500.0]), monotonic=st.booleans())
    def it_freezes(self, seconds, monotonic):
        self.clock.freeze(seconds, monotonic=monotonic)

    @precondition(lambda self: len(self.overrides) < 2 and not self.ending)
    @rule(replacement=st.booleans())
    def an_override_begins(self, replacement):
        override = self.environment.override(
            self.base.resource, self.stand_in.resource if replacement else "fake"
        )
        override.__enter__()
        self.overrides.append(override)

    @precondition(lambda self: self.overrides)
    @rule()
    def an_override_ends(self):
        self.overrides.pop().__exit__(None, None, None)

    @rule(ticks=st.integers(1, 12))
    def the_loop_turns(self, ticks):
        self.tick(ticks)

    @rule(seconds=st.sampled_from([0.005, 0.3, 1.0, 6.0]))
    def time_passes(self, seconds):
        self.loop.run_until_complete(asyncio.sleep(seconds))

    @precondition(lambda self: not self.ending)
    @rule(ahead=st.integers(0, 30))
    def the_end_begins(self, ahead):
        """Rarely: what is scheduled afterwards finds it closed or closing."""
        if ahead == 0:
            self.ending = True
            self.over.set()

    def tick(self, times):
        for _ in range(times):
            self.loop.run_until_complete(asyncio.sleep(0))
        for number, (task, _) in list(self.visits.items()):
            if task.done():
                self.finished(task)
                del self.visits[number]
        for task in [task for task in self.others if task.done()]:
            self.finished(task)
            self.others.remove(task)

    def finished(self, task):
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            if not isinstance(error, EXPECTED):
                raise AssertionError(f"not an error of ours: {error!r}") from error

    # -- what must hold at every moment

    @invariant()
    def nothing_is_used_after_its_close_nor_closed_twice(self):
        assert [fault for fake in self.fakes for fault in fake.faults] == []

    @invariant()
    def nobody_counts_below_nothing(self):
        assert [slot for slot in self.environment.live.alive() if slot.users < 0] == []

    @invariant()
    def what_a_value_is_built_on_is_there(self):
        if not self.ending:
            assert [
                (slot.name, below.name)
                for slot in self.environment.live.alive()
                for below in slot.built_on
                if below.state is State.CLOSED
            ] == []

    @invariant()
    def there_is_one_current_value_of_each(self):
        """Others that are warm have a successor on its way, or were set aside by an override."""
        if self.overrides or self.ending:
            return
        live = self.environment.live
        current = set(live.current.values())
        expected = {slot.predecessor for slot in current}
        assert [
            slot.name
            for slot in live.alive()
            if slot.state in (State.WARM, State.CHECKING, State.STARTING)
            and slot not in current | expected
        ] == []

    # -- what must hold in the end

    def teardown(self):
        if not hasattr(self, "loop"):
            return
        try:
            self.settle()
            self.nothing_is_used_after_its_close_nor_closed_twice()
            self.nothing_is_left()
        finally:
            for task in asyncio.all_tasks(self.loop):
                task.cancel()
            self.loop.run_until_complete(asyncio.sleep(60))
            self.loop.close()

    def settle(self):
        while self.overrides:
            self.overrides.pop().__exit__(None, None, None)
        for _, gate in self.visits.values():
            gate.set()
        self.loop.run_until_complete(asyncio.sleep(1000))
        self.tick(1)
        assert (self.visits, self.others) == ({}, [])
        if not self.ending:
            live = self.environment.live
            live.dissolve()
            assert [slot.name for slot in live.alive() if slot.users != self.built_on(slot)] == []
        self.over.set()
        self.loop.run_until_complete(asyncio.wait([self.root], timeout=60))
        assert self.root.done()
        self.root.exception()  # closers that failed by the script are no failure here
        self.loop.run_until_complete(asyncio.sleep(60))

    def built_on(self, slot):
        return sum(other.built_on.count(slot) for other in self.environment.live.alive())

    def nothing_is_left(self):
        assert [(fake.name, fake.open) for fake in self.fakes if fake.open] == []
        for fake in self.fakes:
            closes = [line for line in fake.log if line.startswith("close")]
            assert sorted(closes) == sorted(f"close {value.number}" for value in fake.values)
        assert self.environment.live.alive() == []
        assert self.tx.count("begin") == self.tx.count("end")
        left = [task for task in asyncio.all_tasks(self.loop) if "warmkit" in task.get_name()]
        assert left == []


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=200, stateful_step_count=50)
