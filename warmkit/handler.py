"""The front door: `@warm_handler`, which gives a function its resources.

It knows signatures and environments. Who calls, and on which loop, is the business of `hosts`.
"""

import inspect
import os
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextvars import Context, copy_context
from functools import partial, update_wrapper
from typing import Any, Generic, Protocol, TypeVar, cast, overload

from warmkit.clock import DEADLINE_MARGIN
from warmkit.environment import BUDGET, Environment, current_environment, current_lease
from warmkit.errors import DefinitionError, UsageError
from warmkit.events import Observer
from warmkit.graph import Graph, wire
from warmkit.inject import Need, Wants, read_handler
from warmkit.recipe import Resource, is_lasting, is_resource
from warmkit.visit import Visit

R = TypeVar("R")
T = TypeVar("T")


class Beside(Protocol):
    """A host for code that runs beside the environment's loop."""

    def run(self, work: Coroutine[Any, Any, Any], *, context: Context | None = None) -> Any:
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
        deadline_margin: float | None = DEADLINE_MARGIN,
    ) -> None:
        _refuse_wrong(function, resources)
        _refuse_wrong_margin(deadline_margin)
        update_wrapper(self, function)
        self.__wrapped__: Callable[..., Any] = function
        self.__name__: str = getattr(function, "__name__", type(function).__name__)
        self._function = function
        self._takes_context, needs = read_handler(function, resources)
        self._needs = needs
        self._graph = wire(self._name, needs)
        if callable(observers):
            raise DefinitionError("observers takes a list of functions.\n  Write: observers=[...]")
        self._observers = tuple(observers)
        self.deadline_margin = deadline_margin
        self._serve: Callable[..., Any] | None = None
        self._order, self._for_itself = self._graph
        taken = [(need, need.resource) for need in needs if is_resource(need.resource)]
        values = [(need, item) for need, item in taken if need.wants is Wants.VALUE]
        self._roots = [item for _, item in values]
        self._plain = [(need.parameter, item) for need, item in values if is_lasting(item)]
        plain = {parameter for parameter, _ in self._plain}
        self._special = [need for need in needs if need.parameter not in plain]
        self.is_async = inspect.iscoroutinefunction(function)
        self.is_stream = _gives_chunks(function)
        if "AWS_LAMBDA_RUNTIME_API" in os.environ:  # this import is the init phase
            from warmkit.hosts import aws

            asked_for = [
                need.resource
                for need in needs
                if is_resource(need.resource) and need.resource.options.start == "eager"
            ]
            aws.begin([*self._order, *filter(is_lasting, asked_for)], self._observers)

    @property
    def _name(self) -> str:
        return str(getattr(self._function, "__qualname__", type(self._function).__qualname__))

    @property
    def graph(self) -> Graph:
        """The resources it needs, in the order in which they start."""
        return self._graph

    @property
    def needs(self) -> tuple[Need, ...]:
        """Its injected parameters, lazy ones among them."""
        return self._needs

    @property
    def environment(self) -> Environment:
        """The environment that the next invocation from here is served by."""
        from warmkit.hosts import serving

        return serving.environment_here()

    def __call__(self, event: object, context: object = None) -> R:
        """Serves one invocation for a synchronous host, and returns what the handler returns.

        An `async def` runs on an event loop that is kept for the life of the process; a `def` runs beside it.
        From another thread than that of the environment's running loop, the invocation is handed to that loop.

        Args:
            event: Passed on as it is.
            context: Passed on as it is; its `get_remaining_time_in_millis` bounds all waiting.

        Raises:
            InsideLoopError: An event loop runs in this thread: use `invoke`.
            UsageError: The handler yields its response: use `stream`.
            StartError: A resource did not start.
            DeadlineError: The handler ran out of time.
            Exception: Whatever the handler raises.
        """
        if self.is_stream:
            raise self._yields()
        if self._serve is None:
            from warmkit.hosts.serving import server  # not before a synchronous host calls

            self._serve = server()
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
        from warmkit.hosts import serving

        serving.close_from_outside(self, budget)

    async def invoke(self, event: object, context: object = None) -> R:
        """Serves one invocation in the running loop. A plain `def` runs in a worker thread.

        Args and errors are those of a call.
        """
        if self.is_stream:
            raise self._yields()
        return await self.invoke_in(current_environment(), event, context)

    def stream(self, event: object, context: object = None) -> AsyncGenerator[Any, None]:
        """Serves one invocation of an async generator in the running loop, and yields what it yields.

        Read it to its end, or close it: `async with contextlib.aclosing(handler.stream(event, context)) as chunks`. One that
        is closed before its end has failed, and is rolled back. Its deadline is the business of who reads.

        Args:
            event: Passed on as it is.
            context: Passed on as it is.

        Raises:
            UsageError: The handler yields nothing: use `invoke`.
            StartError: A resource did not start.
            Exception: Whatever the handler raises.
        """
        if not self.is_stream:
            raise UsageError(
                f"handler {self._name} returns its response whole.\n  Write: await {self.__name__}.invoke(event, context)"
            )
        from warmkit.stream import stream

        begin = partial(Visit, current_environment(), event, context, self._observers)
        function = partial(self._function, *self._positional(event, context))
        return stream(begin, self._arguments_for, function)

    def _yields(self) -> UsageError:
        return UsageError(
            f"handler {self._name} yields its response, and here one whole response is taken.\n"
            "  Serve it with `python -m warmkit.runtime`; AWS's Python runtime cannot stream.\n"
            f"  In a test: [chunk async for chunk in {self.__name__}.stream(event, context)]"
        )

    async def invoke_in(self, environment: Environment, event: object, context: object) -> R:
        """Serves one invocation in the running loop, which is the environment's.

        For hosts, which know it: one that was closed meanwhile is replaced as for any other call.
        """
        if environment.live.ended:
            environment = current_environment()
        visit = Visit(environment, event, context, self._observers)
        token = current_lease.set(visit)
        try:
            arguments = self._arguments_if_fresh(visit)
            if arguments is None:
                arguments = await self._arguments_made_live(visit)
            if not self.is_async:
                result: R = await self._in_thread(visit, event, context, arguments)
            elif self._takes_context:
                work = self._function(event, context, **arguments)
                result = await visit.within(self.deadline_margin, work)
            else:
                result = await visit.within(
                    self.deadline_margin, self._function(event, **arguments)
                )
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
        return result

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
        shared = (
            copy_context()
        )  # for all of it: what observers and resources set, the function sees
        visit = host.step(lambda: shared.run(Visit, environment, event, context, self._observers))
        shared.run(current_lease.set, visit)
        try:
            arguments = host.step(lambda: self._arguments_if_fresh(visit))
            if arguments is None:
                arguments = host.run(self._arguments_made_live(visit), context=shared)
            call = partial(self._function, *self._positional(event, context), **arguments)
            result = shared.run(self._in_time, visit, call)
            if inspect.iscoroutine(result):  # an async def behind somebody's synchronous decorator
                result = host.run(self._finished(visit, result), context=shared)
        except BaseException as error:
            host.run(visit.end(error), context=shared)
            raise
        else:
            if visit.lives:
                host.run(visit.end(None), context=shared)
            else:
                host.step(lambda: shared.run(visit.leave, None))
        return cast("R", result)

    # -- one invocation

    def _arguments_if_fresh(self, visit: Visit) -> dict[str, Any] | None:
        """Returns the injected arguments if nothing has to be waited for: this is the warm path."""
        live = visit.live
        if live.substitutes or not live.lease(self, self._order, visit, visit.begun):
            return None
        if self._for_itself:  # what lasts is held; what lives for this invocation is to be started
            return None
        group = visit.group
        if group is None or self._special:
            return self._arguments(visit)
        if group.arguments is None:
            group.arguments = self._arguments(visit)
        return group.arguments

    async def _arguments_for(self, visit: Visit) -> dict[str, Any]:
        arguments = self._arguments_if_fresh(visit)
        return await self._arguments_made_live(visit) if arguments is None else arguments

    async def _arguments_made_live(self, visit: Visit) -> dict[str, Any]:
        """Makes every resource live and returns the injected arguments."""
        await visit.make_live(self._roots)
        visit.ready = visit.environment.clock.read()
        return self._arguments(visit)

    def _arguments(self, visit: Visit) -> dict[str, Any]:
        arguments = {parameter: visit.value_of(resource) for parameter, resource in self._plain}
        return arguments | {need.parameter: visit.argument(need) for need in self._special}

    def _positional(self, event: object, context: object) -> tuple[object, ...]:
        return (event, context) if self._takes_context else (event,)

    def _in_time(self, visit: Visit, call: Callable[[], Any]) -> Any:
        time = visit.time(self.deadline_margin)
        if time is None:
            return call()
        from warmkit.hosts.alarm import Alarm

        with Alarm(*time):
            return call()

    async def _in_thread(
        self, visit: Visit, event: object, context: object, arguments: dict[str, Any]
    ) -> Any:
        call = partial(self._function, *self._positional(event, context), **arguments)
        from warmkit.hosts.threads import run_in_thread

        result = await run_in_thread(call)
        if inspect.iscoroutine(result):  # an async def behind somebody's synchronous decorator
            return await self._finished(visit, result)
        return result

    async def _finished(self, visit: Visit, work: Awaitable[Any]) -> Any:
        return await visit.within(self.deadline_margin, work)

    def __repr__(self) -> str:
        return f"<WarmHandler {self._name}>"


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
    *,
    observers: Iterable[Observer] = (),
    deadline_margin: float | None = DEADLINE_MARGIN,
    **resources: Resource[Any],
) -> HandlerDecorator: ...


def warm_handler(
    function: Callable[..., Any] | None = None,
    /,
    *,
    observers: Iterable[Observer] = (),
    deadline_margin: float | None = DEADLINE_MARGIN,
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
        function: The handler, when used as a bare decorator: `async def` or `def`; or an `async def` that yields its
            response in chunks, for warmkit's runtime.
        observers: Called with each `Event` of the environments that serve it.
        deadline_margin: Seconds before the platform would end the whole environment, at which the handler is ended
            with `DeadlineError`: its own resources are rolled back, and all others stay. At most a tenth of the time
            that is left when it begins. None: it may run until it is killed.
        **resources: Resources by parameter name.

    Raises:
        DefinitionError: A parameter has no resource, resources depend on each other in a circle, or a resource
            depends on one of a shorter life.
    """

    def decorate(function: Callable[..., Any]) -> WarmHandler[Any]:
        return WarmHandler(function, resources, observers, deadline_margin)

    return decorate(function) if function is not None else cast("HandlerDecorator", decorate)


def _gives_chunks(function: Any) -> bool:
    """Whether calling it gives an async generator; it may be an object, too."""
    return inspect.isasyncgenfunction(function) or inspect.isasyncgenfunction(function.__call__)


def _refuse_wrong(function: object, resources: Mapping[str, object]) -> None:
    if is_resource(function):
        raise DefinitionError(
            f"{function!r} was passed to warm_handler by position.\n"
            "  Name it: @warm_handler(name=resource)"
        )
    if not callable(function):
        raise DefinitionError(f"a handler must be a function, not {type(function).__name__}")
    if inspect.isgeneratorfunction(function):
        raise DefinitionError(
            f"handler {getattr(function, '__qualname__', function)} yields, and is no async def.\n"
            "  Return the response; or stream it, from an async def that yields, with warmkit's runtime."
        )
    for name, resource in resources.items():
        if not is_resource(resource):
            meant = (
                "Did you mean 'observers'?"
                if name.startswith("observ")
                else (
                    "Make one: @resource on the function that creates the value, or resource(lambda: value)."
                )
            )
            if callable(resource):
                meant = f"Call it, if it makes one: {name}={getattr(resource, '__name__', name)}()."
            raise DefinitionError(
                f"{name}=... ({type(resource).__name__}) is not a resource.\n  {meant}"
            )


def _refuse_wrong_margin(margin: Any) -> None:
    number = isinstance(margin, int | float) and not isinstance(margin, bool)
    if margin is not None and not (number and 0 <= margin < float("inf")):
        raise DefinitionError(
            f"deadline_margin must be a number of seconds, 0 or more, or None, not {margin!r}.\n"
            "  A resource for a parameter of that name needs another name."
        )
