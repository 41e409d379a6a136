"""The owner of what lives as long as an execution environment: one for each process and event loop.

A `Resource` is the recipe, an `Environment` keeps the live value. It knows nothing of handlers and hosts.
"""

import asyncio
import os
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token, copy_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from warmkit.clock import Clock, Reading, SystemClock, outlast
from warmkit.errors import (
    ResourceError,
    TeardownError,
    UsageError,
    WrongLoopError,
)
from warmkit.events import Observer, State
from warmkit.graph import check, check_stand_in
from warmkit.lease import Lease
from warmkit.live import LiveSet, Substitute
from warmkit.recipe import Resource, is_lasting, is_resource

if TYPE_CHECKING:
    from warmkit.deadline import Deadlines

T = TypeVar("T")

BUDGET = 0.3
"""Seconds for closing everything: what Lambda leaves a runtime between SIGTERM and SIGKILL, with a margin.

Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html (500 ms with internal
extensions, 2000 ms for all with external ones)
"""


class ResourceStatistics(NamedTuple):
    """What one resource did in one environment so far.

    Attributes:
        state: The state of its current slot.
        starts: Values made.
        start_failures: Starts that failed.
        rebuilds: Starts that replaced an earlier value.
        reuses: Uses for which nothing had to be done.
        checks: Checks run.
        refreshes: Refreshes run.
        check_failures: Checks and refreshes that failed.
        closes: Values closed.
        seconds: Spent in starts, checks and refreshes.
    """

    state: State
    starts: int
    start_failures: int
    rebuilds: int
    reuses: int
    checks: int
    refreshes: int
    check_failures: int
    closes: int
    seconds: float


class Statistics(NamedTuple):
    """What an environment did so far; a snapshot.

    Attributes:
        environment_id: Which one.
        invocations: How many it has begun to serve.
        resources: By name; a second resource of the same name is called `name#2`.
    """

    environment_id: str
    invocations: int
    resources: Mapping[str, ResourceStatistics]


class Environment:
    """Keeps the live value of each resource, for one process and one event loop.

    Handlers use a default one that is made on first use. `async with Environment() as environment:` makes
    another the current one, for tests or for several apps in one process; leaving it closes everything.

    Lives until `aclose`, or until its event loop ends. Safe for any number of concurrent tasks of its loop.

    ```python
    async with Environment() as environment:
        with environment.override(db, fake_pool):
            assert await handler.invoke({"id": 1}) == {"total": 3}
    ```

    Args:
        observers: Called with each `Event`.
        clock: Where the time comes from; for tests.
    """

    def __init__(self, *, observers: Iterable[Observer] = (), clock: Clock | None = None) -> None:
        self.id = _new_id()
        self.clock: Clock = clock or SystemClock()
        self.live = LiveSet(self.id, self.clock, observers, self._close_with_loop)
        self.invocations = 0
        self.idle_since: Reading | None = None
        self._abandoned = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._deadlines: Deadlines | None = None
        self._teardown: asyncio.Task[list[ResourceError]] | None = None
        self._tokens: list[Token[Environment | None]] = []

    # -- what users ask of it

    async def get(self, resource: Resource[T]) -> T:
        """Returns the resource's live value, started or checked if need be.

        Inside an invocation the value is held until that ends. Elsewhere nobody holds it: it is good until
        the resource is rebuilt.

        Raises:
            StartError: It did not start.
            UsageError: It is of invocation scope.
        """
        self.join(asyncio.get_running_loop())
        _refuse_short_lived(resource)
        lease = current_lease.get()
        value: T = await self.live.get(
            resource, lease if lease is not None and lease.owner is self.live else None
        )
        return value

    async def prewarm(self, *resources: Resource[Any]) -> None:
        """Starts or checks resources ahead of the first invocation, independent ones side by side.

        Args:
            *resources: Which; none: all that this environment has known so far.

        Raises:
            StartError: One did not start; the others did.
            UsageError: One is of invocation scope.
        """
        self.join(asyncio.get_running_loop())
        for resource in resources:
            _refuse_short_lived(resource)
        lease = Lease(self.live)
        try:
            await self.live.acquire(self.live.order(resources or tuple(self.live.current)), lease)
        finally:
            lease.release(self.clock.read())

    def distrust(self, *resources: Resource[Any]) -> None:
        """Makes values suspect, so that their next use proves them first: after a thaw or a restore.

        Args:
            *resources: Which; none: all that have an `alive`, a `check`, a `refresh` or a `max_gap`. What
                says nothing of going stale (a model in memory) is left alone.
        """
        for resource in resources:
            _refuse_other(resource)
        self.live.distrust(resources)

    @contextmanager
    def override(self, resource: Resource[Any], replacement: object) -> Generator[None]:
        """Replaces a resource while the context lasts, for tests: by a value, or by another resource.

        What depends on it is started anew with the replacement, and the originals come back afterwards.
        A value that is handed in is never checked nor closed.

        Args:
            resource: What is replaced.
            replacement: A value, of whatever type serves the test, or another resource.

        Raises:
            UsageError: What is to be replaced is no resource.
            CyclicDependencyError: The replacement depends on what it replaces.
            ScopeError: The replacement ends with the invocation, and the original does not.
        """
        _refuse_other(resource)
        live = self.live
        recipe = replacement if is_resource(replacement) else None
        if recipe is not None:
            check_stand_in(resource, recipe)
        affected = self._affected_by(resource)
        before = live.substitute(resource, Substitute(recipe, replacement))
        set_aside = {item: live.current.pop(item) for item in affected}
        try:
            yield
        finally:
            for item in self._affected_by(resource):
                live.retire(live.current.pop(item), "its override ends")
            live.substitutes = before
            live.current.update(set_aside)

    def _affected_by(self, resource: Resource[Any]) -> list[Resource[Any]]:
        return [item for item in self.live.current if resource in self.live.order([item])]

    def observe(self, observer: Observer) -> Callable[[], None]:
        """Calls the observer with each event from now on; returns the function that stops it."""
        live = self.live
        live.observe([*live.observers, observer])

        def stop() -> None:
            live.observe(item for item in live.observers if item is not observer)

        return stop

    async def settle(self) -> None:
        """Ends what a freeze must not catch. Hosts await it when an invocation is over, before they say so.

        What was left for after the response is done, retired values are closed, and observers let go of what they keep (spans are exported). A host of
        your own that awaits `handler.invoke` does the same, once it has the result. What goes wrong is logged.
        """
        if self.live.unsettled:
            from warmkit.settle import settle

            await settle(self.live)

    @property
    def statistics(self) -> Statistics:
        """What happened so far, as a snapshot."""
        self.live.note_uses()
        current = self.live.current
        resources = {
            name: ResourceStatistics(
                state=current[resource].state if resource in current else State.CLOSED,
                **{field: getattr(counters, field) for field in counters.__slots__},
            )
            for resource, (name, counters) in self.live.counters.items()
        }
        return Statistics(self.id, self.invocations, resources)

    # -- snapshots

    async def before_snapshot(self) -> None:
        """Closes what a snapshot of the process must not hold; the next use starts it anew.

        What stays is what `snapshot=` says of each resource. Hosts await it when nothing is being served.

        Raises:
            TeardownError: Some did not close. They are out of use all the same, and all others did.
        """
        from warmkit.snapshot import close_for_snapshot

        self.join(asyncio.get_running_loop())
        _refuse_failures(await close_for_snapshot(self.live))

    def after_restore(self) -> None:
        """Makes it an environment of its own: others may have been restored from the same snapshot.

        It gets another id and counts its invocations from one. What it kept is proven before its next use.
        """
        self.id = self.live.environment_id = _new_id()
        self.invocations, self.idle_since, self.live.asks_at = 0, None, 0
        self.distrust()

    # -- its life

    @property
    def closed(self) -> bool:
        """Whether it can no longer be used."""
        return bool(self.live.ended)

    @property
    def gone(self) -> bool:
        """Whether its event loop is closed: nothing of it can be used or closed any more."""
        return self._loop is not None and self._loop.is_closed()

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that it belongs to; None before its first use."""
        return self._loop

    @property
    def deadlines(self) -> "Deadlines":
        """What ends invocations in its loop that run out of time."""
        if self._deadlines is None:
            from warmkit.deadline import deadlines_of  # with the first invocation that has one

            assert self._loop is not None, "an invocation has joined it to one"
            self._deadlines = deadlines_of(self._loop)
        return self._deadlines

    def join(self, loop: asyncio.AbstractEventLoop, context: Context | None = None) -> None:
        """Binds it to a loop at its first use, and refuses every other one afterwards.

        Args:
            loop: The loop that runs.
            context: The context variables that its values are to live with; default: those of the import
                of this module. Not those of the invocation that happens to be the first.

        Raises:
            EnvironmentClosedError: It is closed, or was made by the parent of this process.
            WrongLoopError: It belongs to another loop.
        """
        if self._loop is loop and not self.live.ended:
            return
        self.live.refuse_if_ended()
        if self._loop is not None:
            raise WrongLoopError(self.id)
        self._loop = loop
        self.live.context = self._own_context(context or _at_import)
        _registry.remember(self)

    def _own_context(self, base: Context) -> Context:
        context = base.copy()
        context.run(current_lease.set, None)
        context.run(_current.set, self)
        return context

    async def __aenter__(self) -> Self:
        """Makes it the current environment of this task and of those started from it."""
        self.join(asyncio.get_running_loop(), context=copy_context())
        self._tokens.append(_current.set(self))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes everything; what does not close hides no error of the body."""
        self._stop_being_current(self._tokens.pop())
        try:
            await self.aclose()
        except TeardownError as failed:
            if error is None:
                raise
            error.add_note(f"also: {failed}")

    def _stop_being_current(self, token: Token["Environment | None"]) -> None:
        try:
            _current.reset(token)
        except ValueError:  # left in another task than entered, as asynchronous test fixtures are
            before = token.old_value
            _current.set(before if isinstance(before, Environment) else None)

    async def aclose(self, budget: float = BUDGET) -> None:
        """Closes every resource, dependents first, each level side by side. A second call waits for the first.

        Cancelling it does not stop it: every closer runs, then the cancellation is raised.

        Args:
            budget: Seconds for everything; a resource that hangs costs only its share.

        Raises:
            TeardownError: Some did not close; all others did.
            WrongLoopError: It belongs to another loop, which is the one to close it in.
        """
        if self._abandoned or self.gone:
            return  # the parent process's, or gone with its loop: nothing of it can be touched
        if self._loop not in (None, asyncio.get_running_loop()):
            raise WrongLoopError(self.id)
        self.live.end("is closed")
        teardown = self._begin_teardown(budget)
        cancelled = await outlast([teardown])
        if cancelled is not None:
            raise cancelled
        _refuse_failures(teardown.result())

    def _begin_teardown(self, budget: float) -> asyncio.Task[list[ResourceError]]:
        if self._teardown is None:
            self._teardown = asyncio.create_task(self._tear_down(budget), name="warmkit:teardown")
            self._teardown.add_done_callback(lambda _: _registry.forget(self))
        return self._teardown

    async def _tear_down(self, budget: float) -> list[ResourceError]:
        from warmkit.settle import finish_works, settle_observers  # most are never closed
        from warmkit.teardown import tear_down

        now = asyncio.get_running_loop().time
        ends = now() + budget
        try:
            await finish_works(self.live, seconds=budget / 3)
            return await tear_down(self.live.alive(), budget=ends - now())
        finally:
            await self.live.stop_watching()
            await settle_observers(self.live.settlers, seconds=ends - now())

    def _close_with_loop(self) -> None:
        """Somebody cancels every task of the loop: `asyncio.run` does so before it closes it."""
        if self._abandoned:  # a forked child that leaves its parent's `asyncio.run`
            return
        self.live.end("is closed")
        self._begin_teardown(BUDGET)

    def abandon(self, reason: str) -> None:
        """Ends it without touching anything that it holds."""
        self.live.abandon(reason)
        self._abandoned = True


def _new_id() -> str:
    """Returns an id from the kernel, whose generator differs in each copy of a snapshot.

    Source: https://github.com/firecracker-microvm/firecracker/blob/main/docs/snapshotting/random-for-clones.md
    """
    return os.urandom(4).hex()


def _refuse_failures(errors: list[ResourceError]) -> None:
    if errors:
        names = ", ".join(sorted({error.resource for error in errors}))
        raise TeardownError(f"these resources did not close: {names}", errors)


def _refuse_other(resource: object) -> None:
    if not is_resource(resource):
        raise UsageError(
            f"expected a resource, and got {type(resource).__name__}.\n"
            "  Write the object that @resource or postgres_pool() made, not its name."
        )


def _refuse_short_lived(resource: Resource[Any]) -> None:
    _refuse_other(resource)
    check(resource)
    if not is_lasting(resource):
        raise UsageError(
            f"resource {resource.name!r} ends with its invocation, so an environment has no value of it.\n"
            "  Take it as a parameter of the handler."
        )


# -- which one is current

_at_import = copy_context()
current_lease: ContextVar[Lease | None] = ContextVar("warmkit_lease", default=None)
_current: ContextVar[Environment | None] = ContextVar("warmkit_environment", default=None)


class _Registry:
    """The environments of this process that are in use, and the default one of each loop."""

    def __init__(self) -> None:
        self.living: list[Environment] = []
        self.defaults: dict[asyncio.AbstractEventLoop, Environment] = {}
        self.inherited: list[object] = []
        self.lock = threading.Lock()

    def new_default(self, loop: asyncio.AbstractEventLoop) -> Environment:
        with (
            self.lock
        ):  # threads that call a handler synchronously for the first time, side by side
            environment = self.defaults.get(loop)
            if environment is None or environment.closed:
                environment = Environment()
                environment.join(loop)
                others = {
                    item: kept for item, kept in self.defaults.items() if not item.is_closed()
                }
                self.defaults = {**others, loop: environment}
            return environment

    def remember(self, environment: Environment) -> None:
        self.living = [item for item in self.living if not item.gone]
        self.living.append(environment)

    def forget(self, environment: Environment) -> None:
        if environment in self.living:
            self.living.remove(environment)

    def start_anew_in_child(self) -> None:
        """After a fork, the child must neither use nor close, nor even collect, what its parent holds."""
        for environment in self.living:
            environment.abandon(
                "was made by the parent of this process, whose connections it holds"
            )
        self.inherited.append((self.living, self.defaults))
        self.living, self.defaults = [], {}
        self.lock = threading.Lock()
        _current.set(None)


_registry = _Registry()
os.register_at_fork(after_in_child=_registry.start_anew_in_child)


def current_environment() -> Environment:
    """Returns the environment that code running here uses: the entered one, else the loop's default.

    Raises:
        RuntimeError: No event loop is running.
        EnvironmentClosedError: The entered one is closed.
        WrongLoopError: The entered one belongs to another loop.
    """
    loop = asyncio.get_running_loop()
    environment = _current.get()
    if environment is None:
        return default_environment(loop)
    environment.join(loop)
    return environment


def default_environment(loop: asyncio.AbstractEventLoop) -> Environment:
    """Returns the loop's default environment, made on first use."""
    environment = _registry.defaults.get(loop)
    if environment is None or environment.live.ended:
        environment = _registry.new_default(loop)
    return environment


def environment_elsewhere(apart_from: asyncio.AbstractEventLoop | None) -> Environment | None:
    """Returns the environment that is meant where no loop runs in this thread, if its own runs in another one.

    That is the one which was entered with `async with`, else the only default one whose loop is running.

    Args:
        apart_from: A loop whose environment is not looked for.
    """
    found = _current.get()
    if found is None:
        defaults = _registry.defaults  # never changed in place
        if len(defaults) == 1 and apart_from in defaults:
            return None
        running = [item for loop, item in defaults.items() if loop.is_running()]
        found = running[0] if len(running) == 1 else None
    if found is None or found.loop is None or found.loop is apart_from:
        return None
    return found if found.loop.is_running() else None


def living_environments() -> tuple[Environment, ...]:
    """Returns those of this process that have been used, and are not closed."""
    return tuple(item for item in _registry.living if not item.gone)
