"""One invocation: what it holds of its environment, what lives for it alone, and its outcome.

It knows environments, and nothing of the function that is called.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextvars import copy_context
from types import MappingProxyType, coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from warmkit.clock import MARGIN, Reading, Within, gap, own_time
from warmkit.environment import Environment, current_lease
from warmkit.errors import CloseError, StartError, UsageError
from warmkit.events import Call, Event, EventKind, Observer, tell
from warmkit.inject import Invocation, Lazy, Need, Wants
from warmkit.lease import AnyResource, Lease
from warmkit.life import Life, begin
from warmkit.recipe import is_lasting, is_resource

if TYPE_CHECKING:
    from warmkit.deadline import Guard

T = TypeVar("T")

ENDLESS = 1e12
"""Milliseconds that no invocation has: whoever says so means that there is no limit."""

_NUMBER = (int, float)  # a union of them takes longer to make than all else here

AFTER = 1.0
"""Seconds that work after the response may take, unless it says otherwise."""


class Visit(Lease):
    """One invocation: the lease on its environment, and what lives for it alone.

    Making one counts the invocation, and tells the observers that it begins.

    Args:
        environment: Who serves it.
        event: What the handler is called with.
        context: The host's.
        observers: The handler's own; the environment is told of those that listen.

    Attributes:
        environment: Who serves it.
        begun: When it began.
        ready: When all was there that its handler takes; None: at once.
        ending: Its own resources are being finished: no more can be started.
        lives: Its own resources by recipe, in the order of their start.
    """

    ending = False
    ready: Reading | None = None
    _call: Call | None = None  # made for observers only
    _kept = 0  # for so many works
    _left = False
    _starting: Mapping[AnyResource, asyncio.Event] = MappingProxyType({})  # what is being started

    def __init__(
        self,
        environment: Environment,
        event: object,
        context: object,
        observers: tuple[Observer, ...],
    ) -> None:
        live = environment.live
        self.owner = self.live = live
        self.slots = {}
        self.environment = environment
        self.lives: dict[AnyResource, Life] = {}
        self._context = context
        self._idle_since = environment.idle_since
        self.begun = environment.clock.read()
        self.number = number = environment.invocations = environment.invocations + 1
        if number >= live.asks_at or observers is not live.asked:
            live.ask(observers, number)
            if live.observers:
                self._call = Call(event, context)
                self._tell(EventKind.INVOCATION_STARTED, gap=self._gap())

    def facts(self) -> Invocation:
        """Returns what a handler may know of its invocation."""
        left = self._remaining()
        request_id = getattr(self._context, "aws_request_id", None)
        return Invocation(
            environment_id=self.environment.id,
            number=self.number or 0,
            cold=self.number == 1,
            gap=self._gap(),
            request_id=request_id if isinstance(request_id, str) else None,
            deadline=None if left is None else self.environment.clock.read().wall + left,
        )

    def _gap(self) -> float:
        return 0.0 if self._idle_since is None else gap(self._idle_since, self.begun)

    def seconds_left(self) -> float | None:
        """Returns how long it may wait for resources; None: for as long as they take."""
        left = self._remaining()
        return None if left is None else max(0.0, left - MARGIN)

    def _remaining(self) -> float | None:
        """Returns what the host says, if that is a time: a mock in somebody's test says all sorts of things."""
        ask = getattr(self._context, "get_remaining_time_in_millis", None)
        left = ask() if callable(ask) else None
        if not isinstance(left, _NUMBER) or not left < ENDLESS:  # not a number is not less
            return None
        return max(0.0, left / 1000)

    def time(self, margin: float | None) -> tuple[float, float] | None:
        """Returns the handler's own time and the margin that follows it, in seconds; None: it has no limit.

        Args:
            margin: What is kept back, or as much of it as `SHARE` allows; None: the handler may take all.
        """
        left = self._remaining() if margin is not None else None
        return None if margin is None or left is None else own_time(left, margin)

    @coroutine
    def within(self, margin: float | None, work: Awaitable[T]) -> Generator[Any, Any, T]:
        """Awaits the handler, and ends it in its own time with `DeadlineError`.

        A deadline can only cut waiting short: it is set when the handler waits first, and one that never does pays for none.
        """
        steps = work.__await__()
        if margin is None:
            return (yield from steps)
        try:
            waits_for = next(steps)
        except StopIteration as done:
            result: T = done.value
            return result
        guard: Guard | None = None
        thrown: BaseException | None = None
        try:
            left = self._remaining()
            if left is not None:
                spent = self.environment.clock.read()[1] - (self.ready or self.begun)[1]
                guard = self.environment.deadlines.guard(*own_time(left + spent, margin), spent)
        except BaseException as error:  # noqa: BLE001  it is the handler's, which waits: it has to end in order
            thrown = error
        rest = _resumed(waits_for, steps, thrown)
        del waits_for, thrown  # the result of one may be large, and the other knows this frame
        if guard is None:
            return (yield from rest)
        return (yield from self.environment.deadlines.guarded(guard, rest))

    # -- what lives for this invocation alone

    async def make_live(self, resources: Sequence[AnyResource]) -> None:
        """Holds or starts the resources and what they depend on, of either scope.

        Raises:
            StartError: One did not start.
            TimeLimitError: The invocation's time ran out while it waited.
            UsageError: The invocation is over.
        """
        order = self.live.order(resources)
        lasting = [item for item in order if is_lasting(item)]
        if any(self.slot_of(item) is None for item in lasting):
            await self.live.acquire(lasting, self)
        if self.over:  # it ended while this, awaited by a task that it left behind, was under way
            self.release(self.environment.clock.read())
        for item in order:
            if not is_lasting(item):
                await self._start_once(item)

    async def _start_once(self, resource: AnyResource) -> None:
        """Starts a resource of invocation scope, or waits for its start in progress."""
        while resource not in self.lives:
            if self.ending:
                raise _over(resource)
            started = self._starting.get(resource)
            if started is not None:
                await started.wait()
                continue
            self._starting = {**self._starting, resource: (started := asyncio.Event())}
            try:
                await self._start(resource)
            finally:
                self._starting = {k: v for k, v in self._starting.items() if k is not resource}
                started.set()

    async def _start(self, resource: AnyResource) -> None:
        substitute = self.live.substitutes.get(resource)
        if substitute is not None and substitute.recipe is None:
            self.lives[resource] = Life(substitute.value)
            return
        recipe = resource if substitute is None or substitute.recipe is None else substitute.recipe
        clock, begun = self.environment.clock, self.environment.clock.read()
        try:
            async with self._in_time(recipe):
                arguments = {need.parameter: self.argument(need) for need in recipe.needs}
                life = await begin(recipe, arguments)
        except BaseException as error:
            if _is_interruption(error):
                raise
            failed = StartError(resource.name, gap(begun, clock.read()))
            self._tell(EventKind.START_FAILED, resource, seconds=failed.seconds, error=failed)
            raise failed from error
        self._tell(
            EventKind.STARTED, resource, seconds=gap(begun, clock.read()), reason="invocation"
        )
        if self.ending:
            await self._finish(resource, life, _over(resource))
            raise _over(resource)
        self.lives[resource] = life

    def _in_time(self, recipe: AnyResource) -> Within:
        limit, left = recipe.options.start_timeout, self.seconds_left()
        if left is not None and left < limit:
            return Within(left, "the start", "the time left")
        return Within(limit, "the start", "start_timeout")

    def argument(self, need: Need) -> Any:
        """Returns what an injected parameter is given."""
        if not is_resource(need.resource):
            return self.facts()
        if need.wants is Wants.LAZY:
            return self._lazy(need.resource)
        if need.resource in self.lives:
            return self.lives[need.resource].value
        return self.value_of(need.resource)

    def value_of(self, resource: AnyResource) -> Any:
        """Returns the value that it holds of a resource."""
        slot = self.slot_of(resource)
        assert slot is not None, f"{resource.name!r} is not held"
        return slot.value

    def _lazy(self, resource: AnyResource) -> Lazy[Any]:
        if is_lasting(resource):
            return self.live.lazy(resource, self)
        return Lazy(lambda: self._get(resource))

    async def _get(self, resource: AnyResource) -> Any:
        """Returns the value of a resource of invocation scope, started if it has not been yet."""
        if self.ending:
            raise _over(resource)
        await self.make_live([resource])
        return self.lives[resource].value

    async def end(self, error: BaseException | None) -> None:
        """Finishes what lives for this invocation, last started first, with its outcome; then leaves.

        A cancellation cuts short what is being finished, not what is left to finish.

        Raises:
            CloseError: The invocation went well, but one of its resources could not be finished (a commit failed).
            asyncio.CancelledError: It was cancelled meanwhile.
        """
        self.ending = True
        failed: BaseException | None = None
        while self.lives:
            resource, life = self.lives.popitem()
            problem = await self._finish(resource, life, error or failed)
            if problem is not None and error is not None:
                error.add_note(f"also: {problem}")
            failed = failed or problem
        cause = None if failed is None else failed.__cause__
        cancelled = isinstance(cause, asyncio.CancelledError) and _is_interruption(cause)
        outcome = cause if cancelled else failed
        self.leave(error or outcome)
        if outcome is not None and (error is None or cancelled):
            raise outcome

    async def _finish(
        self, resource: AnyResource, life: Life, error: BaseException | None
    ) -> CloseError | None:
        if life.finish is None:
            return None
        clock, begun = self.environment.clock, self.environment.clock.read()
        failed: CloseError | None = None
        try:
            async with Within(resource.options.close_timeout, "the close", "close_timeout"):
                await life.finish(error)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as cause:  # noqa: BLE001  becomes data
            failed = CloseError(resource.name, gap(begun, clock.read()))
            failed.__cause__ = cause
        kind = EventKind.CLOSED if failed is None else EventKind.CLOSE_FAILED
        self._tell(kind, resource, seconds=gap(begun, clock.read()), error=failed)
        return failed

    def leave(self, error: BaseException | None) -> None:
        """Lets go of the environment. Never waits."""
        self.ending = True
        now = self.environment.clock.read()
        self.environment.idle_since = now
        self._left = True
        if not self._kept:
            self.release(now)
        if self.live.observers and self.number:
            self._tell(EventKind.INVOCATION_FINISHED, seconds=gap(self.begun, now), error=error)
            self._call = None  # timers that were set meanwhile keep their variables, and so this, for a while

    def keep(self) -> Callable[[], None]:
        """Keeps what it holds for what follows its response; returns the function that ends that."""
        self._kept += 1
        return self._let_go

    def _let_go(self) -> None:
        self._kept -= 1
        if self._left and not self._kept:
            self.release(self.environment.clock.read())

    def _tell(
        self,
        kind: EventKind,
        resource: AnyResource | None = None,
        *,
        seconds: float = 0.0,
        gap: float = 0.0,
        reason: str = "",
        error: BaseException | None = None,
    ) -> None:
        if self.live.observers:
            name = resource.name if resource is not None else None
            call = self._call if name is None else None
            event = Event(
                kind, self.environment.id, self.number, name, seconds, gap, reason, error, call
            )
            tell(self.live.observers, event)


def _resumed(
    waits_for: object, steps: Generator[Any, Any, T], thrown: BaseException | None
) -> Generator[Any, Any, T]:
    """Goes on with what has taken its first step, and waits.

    Args:
        waits_for: What it has yielded to the event loop.
        steps: Its steps.
        thrown: What has come up meanwhile.
    """
    while True:
        if thrown is None:
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001  for the one that waits: it is not handled here
                thrown = error
        del waits_for  # its result may be large
        if thrown is None:
            return (yield from steps)
        try:
            waits_for = steps.throw(thrown)
        except StopIteration as done:
            result: T = done.value
            return result
        finally:
            thrown = None  # else this frame and the error keep each other alive


def _over(resource: AnyResource) -> UsageError:
    return UsageError(
        f"resource {resource.name!r} ends with its invocation, which is over.\n"
        "  Await it before the handler returns."
    )


def _is_interruption(error: BaseException) -> bool:
    """Whether it comes from outside: the interpreter's exits, and a cancellation that somebody asked for.

    A factory may raise `CancelledError` of its own making, by awaiting what it cancelled itself.
    """
    task = asyncio.current_task()
    cancelled = task is not None and task.cancelling() > 0
    asked_for = isinstance(error, asyncio.CancelledError) and cancelled
    return asked_for or isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit)


# -- after the response


def after_response(work: Awaitable[object], *, limit: float = AFTER) -> None:
    """Has something awaited once the response is given, before the environment may be frozen.

    Under warmkit's runtime the caller has its answer by then. Under AWS's, which waits for the handler to return, the
    answer is what waits. It may use what lives with the environment, and nothing of the invocation, which is over; and
    leave more to be done. What goes wrong is logged, and fails nothing.

    ```python
    @warm_handler(db=postgres_pool())
    async def handler(event, context, db):
        after_response(db.execute("INSERT INTO visits VALUES (now())"))
        return {"status": "ok"}
    ```

    Args:
        work: A coroutine, a task or a future.
        limit: Seconds after which it is cancelled; never more than what is left of the invocation.

    Raises:
        UsageError: It is nothing to await, the limit is no number of seconds, or no invocation is being served here.
    """
    from warmkit.afterwards import Work, afterwards

    owner = afterwards.get()
    if owner is not None and owner.over:
        owner = None
    lease = current_lease.get()
    visit = lease if isinstance(lease, Visit) else None
    problem = _unfit(work, limit)
    if not problem and owner is None and visit is None:
        problem = "after_response was called outside of an invocation.\n  Call it in the handler."
    if problem:
        if inspect.iscoroutine(work):
            work.close()
        raise UsageError(problem)
    let_go = None if visit is None else visit.keep()
    if owner is not None:
        owner.works.append(Work(work, limit, owner.seconds_left, copy_context(), let_go))
    elif visit is not None:
        visit.live.works.append(Work(work, limit, visit.seconds_left, copy_context(), let_go))


def _unfit(work: object, limit: Any) -> str:
    if not inspect.isawaitable(work):
        hint = f"after_response({getattr(work, '__name__', 'work')}())"
        return (
            f"after_response takes something to await, not {type(work).__name__}.\n  Write: {hint}"
        )
    number = isinstance(limit, int | float) and not isinstance(limit, bool)
    if not number or not 0 < limit < float("inf"):
        return f"limit must be a number of seconds above 0, not {limit!r}"
    return ""
