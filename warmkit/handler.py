"""The front door: `@warm_handler`, and one invocation from its event to its outcome.

It knows environments and signatures. Who calls, and on which loop, is the business of `hosts`.
"""

import asyncio
import inspect
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import update_wrapper
from typing import Any, Generic, Protocol, TypeVar, cast, overload

from warmkit.clock import Reading, Within, gap
from warmkit.environment import BUDGET, Environment, current_environment, current_lease
from warmkit.errors import CloseError, DefinitionError, StartError
from warmkit.events import Event, EventKind, Observer, tell
from warmkit.graph import Graph, wire
from warmkit.inject import Need, Wants, read_handler
from warmkit.invocation import Invocation, Lazy
from warmkit.life import Life, begin
from warmkit.live import AnyResource, Lease
from warmkit.resource import Resource, is_resource

R = TypeVar("R")
T = TypeVar("T")

MARGIN = 0.05
"""Seconds of an invocation that waiting for resources leaves over, so that its failure can still be told."""


class Beside(Protocol):
    """A host for code that runs beside the environment's loop."""

    def run(self, work: Coroutine[Any, Any, Any], /) -> Any:
        """Runs a coroutine on the loop to its end."""
        ...

    def step(self, function: Callable[[], T], /) -> T:
        """Calls a function while the loop does nothing else."""
        ...


class WarmHandler(Generic[R]):
    """A handler whose resources live as long as its environment. Made with `warm_handler`.

    Call it with `(event, context)` where the host is synchronous, as AWS's Python runtime does; write
    `await handler.invoke(event, context)` where an event loop runs. The function itself is `__wrapped__`.

    Safe for any number of invocations at once.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        resources: dict[str, Resource[Any]],
        observers: Iterable[Observer],
    ) -> None:
        _refuse_wrong(function, resources)
        update_wrapper(self, function)
        self.__name__: str = getattr(function, "__name__", type(function).__name__)
        self._function = function
        self._takes_context, needs = read_handler(function, resources)
        self._graph = wire(self._name, needs)
        self._observers = tuple(observers)
        self._serve: Callable[..., Any] | None = None
        self._order, self._for_itself = self._graph
        self._plain = tuple(
            (need.parameter, need.resource)
            for need in needs
            if _is_plain(need) and is_resource(need.resource)
        )
        self._special = tuple(need for need in needs if not _is_plain(need))
        self.is_async = inspect.iscoroutinefunction(function)
        if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # this import is the init phase
            from warmkit.hosts import loop

            loop.prewarm_in_init(self._order)

    @property
    def _name(self) -> str:
        return str(getattr(self._function, "__qualname__", type(self._function).__qualname__))

    @property
    def graph(self) -> Graph:
        """The resources it needs, in the order in which they start."""
        return self._graph

    @property
    def environment(self) -> Environment:
        """The environment that the next invocation from here is served by."""
        from warmkit.hosts import loop

        return loop.environment_here()

    def __call__(self, event: object, context: object = None) -> R:
        """Serves one invocation for a synchronous host, and returns what the handler returns.

        An `async def` runs on an event loop that is kept for the life of the process; a `def` runs beside it.
        From another thread than that of the environment's running loop, the invocation is handed to that loop.

        Args:
            event: Passed on as it is.
            context: Passed on as it is; its `get_remaining_time_in_millis` bounds all waiting.

        Raises:
            InsideLoopError: An event loop runs in this thread: use `invoke`.
            StartError: A resource did not start.
            Exception: Whatever the handler raises.
        """
        if self._serve is None:
            from warmkit.hosts.loop import serve  # not before a synchronous host calls

            self._serve = serve
        result: R = self._serve(self, event, context)
        return result

    def close(self, budget: float = BUDGET) -> None:
        """Closes the environment that serves calls from here, for synchronous code; the next call starts anew.

        Where an event loop runs, write `await handler.environment.aclose()`. At the interpreter's exit
        it happens by itself.

        Args:
            budget: Seconds for everything.

        Raises:
            InsideLoopError: An event loop runs in this thread.
            TeardownError: Some resources did not close; all others did.
        """
        from warmkit.hosts import loop

        loop.close_from_outside(self, budget)

    async def invoke(self, event: object, context: object = None) -> R:
        """Serves one invocation in the running loop. A plain `def` runs in a worker thread.

        Args and errors are those of a call.
        """
        visit = Visit(current_environment(), context)
        token = current_lease.set(visit)
        try:
            visit.begin(self._observers)
            arguments = self._arguments_if_fresh(visit)
            if arguments is None:
                arguments = await self._arguments_made_live(visit)
            if self.is_async:
                result = await self._function(*self._positional(event, context), **arguments)
            else:
                result = await self._in_thread(event, context, arguments)
        except BaseException as error:
            await visit.end(error)
            raise
        else:
            if visit.lives:
                await visit.end(None)
            else:
                visit.leave(None)
        finally:
            current_lease.reset(token)
        return cast("R", result)

    def call_beside(
        self, environment: Environment, event: object, context: object, host: Beside
    ) -> R:
        """Serves one invocation of a plain `def`, which runs while no loop does: it may run its own.

        Args:
            environment: Whose resources it gets.
            event: Passed on as it is.
            context: Passed on as it is.
            host: Runs what has to do with the environment.
        """
        visit = Visit(environment, context)
        token = current_lease.set(visit)
        try:
            arguments = host.step(lambda: self._begin_beside(visit))
            if arguments is None:
                arguments = host.run(self._arguments_made_live(visit))
            result = self._function(*self._positional(event, context), **arguments)
            if inspect.iscoroutine(result):  # an async def behind somebody's synchronous decorator
                result = host.run(result)
        except BaseException as error:
            host.run(visit.end(error))
            raise
        else:
            if visit.lives:
                host.run(visit.end(None))
            else:
                host.step(lambda: visit.leave(None))
        finally:
            current_lease.reset(token)
        return cast("R", result)

    def _begin_beside(self, visit: "Visit") -> dict[str, Any] | None:
        visit.begin(self._observers)
        return self._arguments_if_fresh(visit)

    # -- one invocation

    def _arguments_if_fresh(self, visit: "Visit") -> dict[str, Any] | None:
        """Returns the injected arguments if nothing has to be waited for: this is the warm path."""
        live = visit.live
        if self._for_itself or live.substitutes or not live.lease(self._order, visit, visit.begun):
            return None
        return self._arguments(visit)

    async def _arguments_made_live(self, visit: "Visit") -> dict[str, Any]:
        """Makes every resource live and returns the injected arguments."""
        live = visit.live
        order = self._order
        if live.substitutes:
            order = tuple(item for item in live.order(order) if item.options.scope == "environment")
        await live.acquire(order, visit)
        for resource in self._for_itself:
            await visit.start(resource)
        return self._arguments(visit)

    def _arguments(self, visit: "Visit") -> dict[str, Any]:
        current = visit.live.current
        arguments = {parameter: current[resource].value for parameter, resource in self._plain}
        if self._special:
            arguments.update({need.parameter: visit.argument(need) for need in self._special})
        return arguments

    def _positional(self, event: object, context: object) -> tuple[object, ...]:
        return (event, context) if self._takes_context else (event,)

    async def _in_thread(self, event: object, context: object, arguments: dict[str, Any]) -> Any:
        result = await asyncio.to_thread(
            self._function, *self._positional(event, context), **arguments
        )
        return await result if inspect.iscoroutine(result) else result

    def __repr__(self) -> str:
        return f"<WarmHandler {self._name}>"


class Visit(Lease):
    """One invocation: the lease on its environment, and what lives for it alone.

    Attributes:
        environment: Who serves it.
        begun: When it began.
        lives: Its own resources by recipe, in the order of their start.
    """

    __slots__ = ("_context", "_idle_since", "_lock", "begun", "environment", "lives")

    def __init__(self, environment: Environment, context: object) -> None:
        super().__init__(environment.live)
        self.environment = environment
        self.lives: dict[AnyResource, Life] = {}
        self._context = context
        self._lock: asyncio.Lock | None = None

    def begin(self, observers: tuple[Observer, ...]) -> None:
        """Counts the invocation and tells the observers."""
        environment = self.environment
        environment.invocations += 1
        self.number = environment.invocations
        self.begun: Reading = environment.clock.read()
        self._idle_since = environment.idle_since
        for observer in observers:
            if observer not in self.live.observers:
                environment.observe(observer)
        if self.live.observers:
            self._tell(EventKind.INVOCATION_STARTED, gap=self._gap())

    def facts(self) -> Invocation:
        """Returns what a handler may know of its invocation."""
        left = self._remaining()
        return Invocation(
            environment_id=self.environment.id,
            number=self.number or 0,
            cold=self.number == 1,
            gap=self._gap(),
            request_id=getattr(self._context, "aws_request_id", None),
            deadline=None if left is None else self.environment.clock.read().wall + left,
        )

    def _gap(self) -> float:
        return 0.0 if self._idle_since is None else gap(self._idle_since, self.begun)

    def seconds_left(self) -> float | None:
        """Returns how long it may wait for resources; None: for as long as they take."""
        left = self._remaining()
        return None if left is None else max(0.0, left - MARGIN)

    def _remaining(self) -> float | None:
        ask = getattr(self._context, "get_remaining_time_in_millis", None)
        return None if ask is None else ask() / 1000

    # -- what lives for this invocation alone

    async def start(self, resource: AnyResource) -> None:
        """Starts a resource of invocation scope.

        Raises:
            StartError: It did not start.
        """
        substitute = self.live.substitutes.get(resource)
        if substitute is not None and substitute.recipe is None:
            self.lives[resource] = Life(substitute.value)
            return
        recipe = resource if substitute is None or substitute.recipe is None else substitute.recipe
        clock, begun = self.environment.clock, self.environment.clock.read()
        try:
            async with Within(recipe.options.start_timeout, "the start", "start_timeout"):
                arguments = {need.parameter: self.argument(need) for need in recipe.needs}
                life = await begin(recipe, arguments)
        except Exception as error:
            seconds = gap(begun, clock.read())
            failed = StartError(resource.name, seconds)
            failed.__cause__ = error
            self._tell(EventKind.START_FAILED, resource, seconds=seconds, error=failed)
            raise failed from error
        self.lives[resource] = life
        self._tell(
            EventKind.STARTED, resource, seconds=gap(begun, clock.read()), reason="invocation"
        )

    def argument(self, need: Need) -> Any:
        """Returns what an injected parameter is given."""
        if not is_resource(need.resource):
            return self.facts()
        if need.wants is Wants.LAZY:
            return self._lazy(need.resource)
        if need.resource in self.lives:
            return self.lives[need.resource].value
        return self.live.current[need.resource].value

    @property
    def _starting(self) -> asyncio.Lock:
        self._lock = self._lock or asyncio.Lock()
        return self._lock

    def _lazy(self, resource: AnyResource) -> Lazy[Any]:
        if resource.options.scope == "environment":
            return self.live.lazy(resource, self)
        return Lazy(lambda: self._get(resource))

    async def _get(self, resource: AnyResource) -> Any:
        """Returns the value of a resource of invocation scope, started if it has not been yet."""
        order = self.live.order([resource])
        async with self._starting:  # two awaits side by side start it once
            missing = [item for item in order if item.options.scope == "environment"]
            await self.live.acquire(missing, self)
            for item in order:
                if item.options.scope == "invocation" and item not in self.lives:
                    await self.start(item)
        return self.lives[resource].value

    async def end(self, error: BaseException | None) -> None:
        """Finishes what lives for this invocation, last started first, with its outcome; then leaves.

        Raises:
            CloseError: The invocation went well, but one of its resources could not be finished (a commit failed).
        """
        failed: CloseError | None = None
        for resource, life in reversed(self.lives.items()):
            problem = await self._finish(resource, life, error or failed)
            if problem is not None and error is not None:
                error.add_note(f"also: {problem}")
            failed = failed or problem
        self.lives.clear()
        self.leave(error or failed)
        if failed is not None and error is None:
            raise failed

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
        except Exception as cause:  # noqa: BLE001  becomes data
            failed = CloseError(resource.name, gap(begun, clock.read()))
            failed.__cause__ = cause
        kind = EventKind.CLOSED if failed is None else EventKind.CLOSE_FAILED
        self._tell(kind, resource, seconds=gap(begun, clock.read()), error=failed)
        return failed

    def leave(self, error: BaseException | None) -> None:
        """Lets go of the environment. Never waits."""
        now = self.environment.clock.read()
        self.environment.idle_since = now
        self.live.release(self, now)
        if self.live.observers and self.number:
            self._tell(EventKind.INVOCATION_FINISHED, seconds=gap(self.begun, now), error=error)

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
            event = Event(kind, self.environment.id, self.number, name, seconds, gap, reason, error)
            tell(self.live.observers, event)


class HandlerDecorator(Protocol):
    """`warm_handler(...)` with resources, waiting for its function."""

    @overload
    def __call__(self, function: Callable[..., Coroutine[Any, Any, R]], /) -> WarmHandler[R]: ...
    @overload
    def __call__(self, function: Callable[..., R], /) -> WarmHandler[R]: ...


@overload
def warm_handler(function: Callable[..., Coroutine[Any, Any, R]], /) -> WarmHandler[R]: ...
@overload
def warm_handler(function: Callable[..., R], /) -> WarmHandler[R]: ...
@overload
def warm_handler(
    *, observers: Iterable[Observer] = (), **resources: Resource[Any]
) -> HandlerDecorator: ...


def warm_handler(
    function: Callable[..., Any] | None = None,
    /,
    *,
    observers: Iterable[Observer] = (),
    **resources: Resource[Any],
) -> WarmHandler[Any] | HandlerDecorator:
    """Gives a handler resources that live as long as its execution environment.

    Each resource is started on first use, once, and injected alive on every invocation. Parameters after
    `event` (and `context`, which may be left out) are injected: by name from the keywords here, or by annotation:

    ```python
    db = postgres_pool()

    @warm_handler(s3=s3_client())
    async def handler(event, context, s3, db: Annotated[asyncpg.Pool, db], invocation: Invocation):
        ...
    ```

    `Annotated[Lazy[T], resource]` is started only when it is awaited; `Invocation` gives the facts.

    Args:
        function: The handler, when used as a bare decorator: `async def` or `def`.
        observers: Called with each `Event` of the environments that serve it.
        **resources: Resources by parameter name.

    Raises:
        DefinitionError: A parameter has no resource, resources depend on each other in a circle, or a resource
            depends on one of a shorter life.
    """

    def decorate(function: Callable[..., Any]) -> WarmHandler[Any]:
        return WarmHandler(function, resources, observers)

    return decorate(function) if function is not None else cast("HandlerDecorator", decorate)


def _is_plain(need: Need) -> bool:
    """Whether it is the value of a resource of the environment: the one thing the warm path injects."""
    lasting = is_resource(need.resource) and need.resource.options.scope == "environment"
    return lasting and need.wants is Wants.VALUE


def _refuse_wrong(function: object, resources: Mapping[str, object]) -> None:
    if is_resource(function):
        raise DefinitionError(
            f"{function!r} was passed to warm_handler by position.\n"
            "  Name it: @warm_handler(name=resource)"
        )
    if not callable(function):
        raise DefinitionError(f"a handler must be a function, not {type(function).__name__}")
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        raise DefinitionError(
            f"handler {getattr(function, '__qualname__', function)} yields, but AWS's Python runtime takes one whole response.\n"
            "  Return the response instead."
        )
    for name, resource in resources.items():
        if not is_resource(resource):
            raise DefinitionError(
                f"{name}={resource!r} is not a resource.\n"
                "  Make one: @resource on the function that creates the value, or resource(lambda: value)."
            )
