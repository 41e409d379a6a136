"""The current slot of each resource, and how it comes to be live: lease, prove, start, retire.

Nothing here is public; `environment` is the face of it. It knows recipes and slots, not handlers.
"""

import asyncio
import contextvars
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from warmkit.clock import Clock, Reading, Within, gap, outlast
from warmkit.errors import CyclicDependencyError, EnvironmentClosedError, ResourceError, StartError
from warmkit.events import (
    Counters,
    Event,
    EventKind,
    Observer,
    Settler,
    State,
    is_settler,
    listens,
    tell,
)
from warmkit.freshness import Verdict
from warmkit.graph import ordered
from warmkit.inject import Lazy
from warmkit.lease import AnyResource, Group, Lease
from warmkit.slot import Slot

if TYPE_CHECKING:
    from warmkit.afterwards import Work

ROUNDS = 20
"""How often one use starts values that are gone again before it holds them: others may retire them meanwhile."""
SHORT_LIVED = "Its values ended by themselves, again and again, before they could be used."
GROUPS = 64
"""How many groups are kept: more users than that are handlers made anew for each invocation."""
ASKED_ALWAYS, ASKED_EVERY = 16, 100
"""At how many first invocations of an environment observers are asked whether they listen, and at which later."""
WARM, RETIRING, REUSE = State.WARM, State.RETIRING, Verdict.REUSE


class Substitute(NamedTuple):
    """What stands in for a resource.

    Attributes:
        recipe: Another recipe; None: a value.
        value: The value, which somebody else owns.
    """

    recipe: AnyResource | None
    value: object


class LiveSet:
    """The live values of one environment; the `Keeper` of its slots.

    All slots of a resource share its counters. At any time one slot of a resource is the current one;
    others may still be in use, retired.

    Attributes:
        asked: Who was asked last whether they listen: the observers of one handler.
        asks_at: The number of the invocation at which they are asked again.
        context: The context variables that slots run with.
        counters: Name and counters of each resource that was ever used.
        current: The current slot of each resource.
        environment_id: Whose they are.
        ended: Why nothing can be started any more; empty: it can.
        settlers: Those of the observers that have something to let go of before a freeze.
        retired: Slots out of use whose closing nobody has waited for.
        substitutes: What stands in for a resource.
        works: What invocations left to be done after their responses.
    """

    def __init__(
        self,
        environment_id: str,
        clock: Clock,
        observers: Iterable[Observer],
        on_loop_end: Callable[[], None],
    ) -> None:
        self.clock = clock
        self.observers: tuple[Observer, ...] = ()
        self.settlers: tuple[Settler, ...] = ()
        self.asked: tuple[Observer, ...] | None = None
        self.asks_at = 0
        self.observe(observers)
        self.context: contextvars.Context | None = None
        self.counters: dict[AnyResource, tuple[str, Counters]] = {}
        self.current: dict[AnyResource, Slot] = {}
        self.substitutes: dict[AnyResource, Substitute] = {}
        self.ended = ""
        self.retired: list[Slot] = []
        self.works: list[Work] = []
        self._groups: dict[object, Group] = {}
        self.environment_id = environment_id
        self._alive: list[Slot] = []
        self._watch: asyncio.Task[None] | None = None
        self._on_loop_end = on_loop_end

    def observe(self, observers: Iterable[Observer]) -> None:
        """Tells these what happens from now on, and nobody else."""
        self.observers = tuple(observers)
        self.settlers = tuple(item for item in self.observers if is_settler(item))
        self.asks_at = 0

    def ask(self, observers: tuple[Observer, ...], number: int) -> None:
        """Admits those of a handler's observers that listen by now, and says when to ask again.

        Not at each invocation, as long as nobody listens: it would cost more than all else that is done for them.

        Args:
            observers: All that the handler has.
            number: The invocation's.
        """
        self.admit(observers)
        self.asked = observers
        always = self.observers or number < ASKED_ALWAYS
        self.asks_at = number + (1 if always else ASKED_EVERY)

    def admit(self, observers: Iterable[Observer]) -> None:
        """Tells these too, from now on, if they listen; those that are told already are not told twice."""
        for observer in observers:
            if observer not in self.observers and listens(observer):
                self.observe([*self.observers, observer])

    # -- leases

    def lease(self, user: object, order: Sequence[AnyResource], lease: Lease, now: Reading) -> bool:
        """Holds every resource if all are fresh, else none. Never waits: this is the warm path.

        Args:
            user: Who always uses just these together; a group is kept for it.
            order: The resources, each after what it depends on.
            lease: Who holds them; it holds nothing yet.
            now: The present moment.
        """
        group = self._groups.get(user)
        if group is None or self.observers or gap(group.used, now) > group.trusted_for:
            return self._lease_each(user, order, lease, now)
        try:
            for probe, value in group.probes:
                if not probe(value):
                    return False
        except Exception:  # noqa: BLE001  a probe that fails: the verdict calls it suspect
            return False
        if group.dissolved:  # by a probe
            return False
        lease.group = group
        group.hold(now)
        return True

    def _lease_each(
        self, user: object, order: Sequence[AnyResource], lease: Lease, now: Reading
    ) -> bool:
        """Looks at each resource by itself; those that stay trusted for a while become a group."""
        if self.ended:
            return False
        self.note_uses()
        held: dict[AnyResource, Slot] = {}
        for resource in order:
            slot = self.current.get(resource)
            if slot is None or slot.state is not WARM:
                return False
            if slot.verdict(gap(slot.used, now), now) is not REUSE:
                return False
            held[resource] = slot
        if any(slot.suspect or slot.state is not WARM for slot in held.values()):
            return False  # a probe has distrusted one that was asked before
        self._hold(held.values(), lease, now)
        if self.observers or any(slot.trusted_for < 0 for slot in held.values()):
            lease.slots = held
        else:
            lease.group = self._group(user, held, now)
        return True

    def _group(self, user: object, slots: dict[AnyResource, Slot], now: Reading) -> Group:
        """Keeps slots that were just held together; their one user more is the group from now on."""
        if user in self._groups:
            self._groups.pop(user).dissolve()
        if len(self._groups) >= GROUPS:
            self.dissolve()
        group = self._groups[user] = Group(slots, now)
        group.users = 1
        return group

    def dissolve(self) -> None:
        """Ends every group: something is about to happen to slots, or to what they are used for."""
        groups, self._groups = self._groups, {}
        for group in groups.values():
            group.dissolve()

    def note_uses(self) -> None:
        """Has every group write down its uses, so that slots and counters can be asked."""
        for group in self._groups.values():
            group.note()

    def _hold(self, slots: Collection[Slot], lease: Lease, now: Reading) -> None:
        """Counts the lease as a user of slots that are reused as they are."""
        if self.observers:
            for slot in slots:
                slot.invocation = lease.number
                self.report(EventKind.REUSED, slot, gap=gap(slot.used, now))
                slot.invocation = None
        for slot in slots:
            slot.hold(now)
            slot.counters.reuses += 1

    async def acquire(self, order: Sequence[AnyResource], lease: Lease) -> None:
        """Holds every resource: started, checked, refreshed or rebuilt as need be.

        Args:
            order: The resources, each after what it depends on. What the lease holds already stays as it is.
            lease: Who holds them.

        Raises:
            StartError: One did not start. What else could be started is kept.
            TimeLimitError: The lease's own time ran out while it waited.
            EnvironmentClosedError: The environment ended meanwhile.
        """
        waits_for = ", ".join(resource.name for resource in order)
        judged: dict[Slot, Verdict] = {}
        begun = self.clock.read()
        async with Within(lease.seconds_left(), f"waiting for {waits_for}", "the time left"):
            for _ in range(ROUNDS):
                missing = [resource for resource in order if lease.slot_of(resource) is None]
                if self._hold_judged(missing, lease, judged):
                    return
                await self._prove(missing, lease, judged)
                await self._start(missing, lease, judged)
        raise StartError(waits_for, gap(begun, self.clock.read()), advice=SHORT_LIVED)

    def _hold_judged(
        self, order: Sequence[AnyResource], lease: Lease, judged: Mapping[Slot, Verdict]
    ) -> bool:
        """Holds every resource if all are live and have passed their verdict for this lease."""
        found = [(resource, self.current.get(resource)) for resource in order]
        ready = {
            resource: slot
            for resource, slot in found
            if slot is not None and slot in judged and slot.state is WARM
        }
        if len(ready) < len(order):
            return False
        now = self.clock.read()
        for slot in ready.values():
            if judged[slot] is not REUSE:
                slot.hold(now)
        self._hold([slot for slot in ready.values() if judged[slot] is REUSE], lease, now)
        lease.slots.update(ready)
        return True

    async def get(self, resource: AnyResource, lease: Lease | None) -> Any:
        """Returns a resource's live value, held by the lease if there is one that is not over."""
        self.refuse_if_ended()
        held = lease.slot_of(resource) if lease is not None else None
        if held is not None:
            return held.value
        own = Lease(self, lease.number if lease is not None else None, within=lease)
        try:
            await self.acquire(self.order([resource]), own)
            if lease is None or lease.over:  # it may have ended while this one waited
                return own.slots[resource].value
            for item in [item for item in own.slots if lease.slot_of(item) is None]:
                lease.slots[item] = own.slots.pop(item)
            return lease.slots[resource].value
        finally:
            own.release(self.clock.read())

    def lazy(self, resource: AnyResource, lease: Lease | None = None) -> Lazy[Any]:
        """Returns an accessor that makes the resource live when it is awaited."""
        return Lazy(lambda: self.get(resource, lease))

    def order(self, resources: Iterable[AnyResource]) -> tuple[AnyResource, ...]:
        """Returns the resources and what they depend on at present, each after what it depends on."""
        return ordered(resources, self.dependencies)

    def dependencies(self, resource: AnyResource) -> tuple[AnyResource, ...]:
        """Returns what the resource depends on, as long as nothing else stands in for it."""
        substitute = self.substitutes.get(resource)
        if substitute is None:
            return resource.dependencies
        return substitute.recipe.dependencies if substitute.recipe is not None else ()

    def substitute(
        self, resource: AnyResource, substitute: Substitute
    ) -> dict[AnyResource, Substitute]:
        """Lets something stand in for a resource; returns what stood in for what before.

        Raises:
            CyclicDependencyError: The substitute depends on what it stands in for.
        """
        before, self.substitutes = self.substitutes, {**self.substitutes, resource: substitute}
        try:
            self.order([resource])
        except CyclicDependencyError:
            self.substitutes = before
            raise
        return before

    def distrust(self, resources: Collection[AnyResource]) -> None:
        """Makes values suspect, those too that an override has set aside; none named: all that can go stale."""
        self.dissolve()
        named = [self.current[item] for item in resources if item in self.current]
        for slot in self.alive():
            asked_for = slot.recipe in resources if resources else slot.recipe.perishable
            if asked_for or slot in named:
                slot.distrust()

    @property
    def unsettled(self) -> bool:
        """Whether something is left that a freeze must not catch."""
        return bool(self.retired or self.settlers or self.works)

    # -- the end

    def end(self, reason: str) -> None:
        """Hands out nothing any more. The first reason stays."""
        self.ended = self.ended or reason
        self.dissolve()

    def abandon(self, reason: str) -> None:
        """Hands out nothing any more, and touches nothing."""
        self.ended = reason
        self._groups = {}

    def refuse_if_ended(self) -> None:
        """Raises an error when nothing can be handed out any more.

        Raises:
            EnvironmentClosedError: The environment has ended.
        """
        if self.ended:
            raise EnvironmentClosedError(self.environment_id, self.ended)

    def alive(self) -> list[Slot]:
        """Returns every slot that is not closed, current or not."""
        self._alive = [slot for slot in self._alive if slot.state is not State.CLOSED]
        return list(self._alive)

    def take_closing(self) -> list[asyncio.Task[None]]:
        """Returns the tasks in which retired values are being closed, each once."""
        closing = {slot: task for slot in self.retired if (task := slot.closing) is not None}
        self.retired = [
            slot for slot in self.retired if slot not in closing and slot.state is not State.CLOSED
        ]
        return list(closing.values())

    # -- what slots ask of their keeper

    def report(
        self,
        kind: EventKind,
        slot: Slot,
        *,
        seconds: float = 0.0,
        gap: float = 0.0,
        reason: str = "",
        error: BaseException | None = None,
    ) -> None:
        """Tells the observers; makes no event when there are none."""
        if self.observers:
            number = slot.invocation
            event = Event(kind, self.environment_id, number, slot.name, seconds, gap, reason, error)
            tell(self.observers, event)

    def retire(self, slot: Slot, reason: str, *, outlived: bool = False) -> None:
        """Takes the slot out of use, and first all that was built on it.

        What is just being started on a value that is outlived, but works, is served once and goes then.
        """
        self.dissolve()
        for other in [item for item in self._alive if slot in item.built_on]:
            if outlived and other.state is State.STARTING:
                other.outlive()
                continue
            other.invocation = slot.invocation
            self.retire(other, f"{slot.name}: {reason}", outlived=outlived)
        slot.retire(reason)
        self.retired = [*(item for item in self.retired if item.state is not State.CLOSED), slot]

    def loop_ends(self) -> bool:
        """Whether every task of the loop is being cancelled; then the teardown has begun."""
        if not self.ended and self._watch is not None and self._watch.cancelling():
            self._on_loop_end()
        return bool(self.ended)

    def _watch_loop(self) -> None:
        """Keeps a task that nothing but the end of the loop cancels."""
        if self._watch is None:
            self._watch = asyncio.create_task(
                self._wait_for_loop_end(), name="warmkit:environment", context=self.context
            )

    async def _wait_for_loop_end(self) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()
        self.loop_ends()

    async def stop_watching(self) -> None:
        """Ends the task that watches for the end of the loop."""
        if self._watch is not None:
            self._watch.cancel()
            await outlast([self._watch])

    # -- prove what is there

    async def _prove(
        self, order: Sequence[AnyResource], lease: Lease, judged: dict[Slot, Verdict]
    ) -> None:
        """Judges each live value once; checks and refreshes side by side what needs it."""
        self.refuse_if_ended()
        self.dissolve()
        now = self.clock.read()
        slots = [slot for item in order if (slot := self.current.get(item)) is not None]
        for slot in slots:
            if slot.state is State.STARTING and slot.overdue(now):
                self.retire(slot, "a freeze interrupted its start")
            if slot.state is WARM and slot not in judged:
                judged[slot] = slot.verdict(gap(slot.used, now), now)
                self._act(slot, judged[slot], now, lease)
        for slot in slots:
            if slot.state is State.CHECKING:
                await slot.settled()
                judged[slot] = Verdict.CHECK

    def _act(self, slot: Slot, verdict: Verdict, now: Reading, lease: Lease) -> None:
        if verdict is Verdict.CHECK:
            slot.check(lease.number)
        elif verdict is Verdict.REFRESH:
            slot.refresh(lease.number)
        elif verdict is Verdict.REBUILD and slot.outlived(now) and not slot.suspect:
            self._succeed(slot)
        elif verdict is Verdict.REBUILD:
            slot.invocation = lease.number
            self.retire(slot, "it could not be trusted any more")

    def _succeed(self, old: Slot) -> None:
        """Puts a new slot in an outlived one's place; the old value goes when the new one is there."""
        for resource, slot in self.current.items():
            if slot is old:
                self.current[resource] = self._new_slot(resource, predecessor=old)
                return

    # -- start what is not

    async def _start(
        self, order: Sequence[AnyResource], lease: Lease, judged: dict[Slot, Verdict]
    ) -> None:
        """Starts what is not live, each as soon as what it depends on is; waits for all outcomes."""
        starts: dict[AnyResource, asyncio.Task[None]] = {}
        for resource in order:
            below = [starts[item] for item in self.dependencies(resource) if item in starts]
            slot = self.current.get(resource)
            if below or slot is None or slot.state is not WARM:
                starts[resource] = asyncio.create_task(
                    self._started(resource, below, lease, judged)
                )
        results = await asyncio.gather(*starts.values(), return_exceptions=True)
        failures = [result for result in results if isinstance(result, BaseException)]
        if failures:
            raise _first_cause(failures)

    async def _started(
        self,
        resource: AnyResource,
        below: Collection[asyncio.Task[None]],
        lease: Lease,
        judged: dict[Slot, Verdict],
    ) -> None:
        """Starts a resource, once what it depends on is live, or waits for a start in progress.

        What else may have happened (a dependency failed, or was retired meanwhile) is seen by the next
        round of `acquire`.
        """
        if below:
            await asyncio.wait(below)
        slot = self._current_slot(resource)
        if slot.state is WARM:
            return
        if slot.state is State.COLD:
            built_on = [self.current.get(item) for item in self.dependencies(resource)]
            live = [item for item in built_on if item is not None and item.state is WARM]
            if len(live) < len(built_on):
                return
            self._watch_loop()
            slot.start(self._arguments(slot.recipe, live), tuple(live), lease.number)
        await slot.settled()
        judged[slot] = Verdict.REBUILD
        if slot.state is State.COLD and slot.error is not None:
            raise _again(slot.error)

    def _arguments(self, recipe: AnyResource, built_on: Sequence[Slot]) -> dict[str, object]:
        values = iter(built_on)  # in the order of the recipe's dependencies
        return {
            parameter: self.lazy(resource) if lazy else next(values).value
            for parameter, resource, lazy in recipe.injected
        }

    # -- slots

    def _current_slot(self, resource: AnyResource) -> Slot:
        self.refuse_if_ended()
        slot = self.current.get(resource)
        if slot is not None and slot.state not in (RETIRING, State.CLOSED):
            return slot
        outlived = slot.pass_on() if slot is not None else None
        slot = self.current[resource] = self._new_slot(resource, outlived)
        return slot

    def _new_slot(self, resource: AnyResource, predecessor: Slot | None = None) -> Slot:
        name, counters = self._known(resource)
        substitute = self.substitutes.get(resource)
        recipe = substitute.recipe if substitute is not None else None
        slot = Slot(recipe or resource, name, self, counters, predecessor)
        self._alive = [*self.alive(), slot]
        if substitute is not None and recipe is None:
            slot.supply(substitute.value)
        return slot

    def _known(self, resource: AnyResource) -> tuple[str, Counters]:
        if resource not in self.counters:
            taken = {name for name, _ in self.counters.values()}
            name, number = resource.name, 1
            while name in taken:
                number += 1
                name = f"{resource.name}#{number}"
            self.counters[resource] = (name, Counters())
        return self.counters[resource]


def _again(error: ResourceError) -> ResourceError:
    """Returns the failure for one more waiter: each raises an error of its own, of the same cause."""
    again = StartError(error.resource, error.seconds, advice=error.advice)
    again.__cause__ = error.__cause__
    return again


def _first_cause(failures: Sequence[BaseException]) -> BaseException:
    """Returns the failure to raise: the first, the others noted; an interruption before all."""
    ordinary = [failure for failure in failures if isinstance(failure, Exception)]
    interruptions = [failure for failure in failures if not isinstance(failure, Exception)]
    first, *others = interruptions + ordinary
    for other in others:
        if str(other) != str(first):
            first.add_note(f"also: {other}")
    return first
