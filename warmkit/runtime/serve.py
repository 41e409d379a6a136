"""The loop of the runtime: pollers that take invocations, each served in a task and a context of its own.

It knows neither sockets nor signals: it is given ways to the platform, and told when to stop.
"""

import asyncio
import inspect
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, Protocol, cast

from warmkit.environment import default_environment
from warmkit.handler import WarmHandler
from warmkit.runtime import current
from warmkit.runtime.context import Context
from warmkit.runtime.failure import Failure, failure_of
from warmkit.runtime.marshal import read_event, write_result
from warmkit.runtime.protocol import Received

Call = Callable[[Any, Context], Awaitable[object]]


class Api(Protocol):
    """One poller's way to the platform."""

    async def next(self) -> Received:
        """Waits for an invocation."""
        ...

    async def respond(self, received: Received, body: bytes, content_type: str) -> None:
        """Answers it."""
        ...

    async def fail(self, received: Received, failure: Failure) -> None:
        """Reports that it failed."""
        ...


class Written(NamedTuple):
    """A result as it is sent."""

    body: bytes
    content_type: str


class Server:
    """Serves invocations with one handler until it is stopped, or the platform is gone.

    Args:
        handler: A `WarmHandler`, an `async def`, or a plain function, which runs in a worker thread.
        apis: The ways to the platform, one for each invocation that may be served at once.
        tell: Called with each failure, for the log.
    """

    def __init__(
        self, handler: Callable[..., Any], apis: Sequence[Api], tell: Callable[[Failure], None]
    ) -> None:
        self._call = caller_of(handler)
        self._apis = apis
        self._tell = tell
        self._alone = len(apis) == 1
        self._polling: set[asyncio.Task[None]] = set()
        self._stopping = False

    async def run(self) -> None:
        """Serves. One poller that ends does not stop the others.

        Raises:
            ApiGoneError: The last of them lost the platform.
        """
        pollers = [asyncio.create_task(self._poll(api)) for api in self._apis]
        try:
            outcomes = await asyncio.gather(*pollers, return_exceptions=True)
        finally:
            for poller in pollers:
                poller.cancel()
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failures and not self._stopping:
            raise failures[-1]

    def stop(self) -> None:
        """Takes no more invocations; those that are being served go on."""
        self._stopping = True
        for polling in self._polling:
            polling.cancel()

    async def _poll(self, api: Api) -> None:
        """Each turn is a task of its own, from the wait for an invocation to the answer's arrival.

        So what an invocation sets in its context ends with it, at the price of one task.
        """
        loop = asyncio.get_running_loop()
        environment = default_environment(loop)
        while not self._stopping:
            turn = loop.create_task(self._turn(api))
            self._polling.add(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not self._stopping:
                    raise
                return
            finally:
                self._polling.discard(turn)
            await environment.settle()

    async def _turn(self, api: Api) -> None:
        received = await api.next()
        task = asyncio.current_task()
        if task is not None:
            self._polling.discard(task)
        _make_current(received)
        if self._alone:  # with several at once, a variable of the process would be somebody else's
            _set_trace_variable(received.trace_id)
        outcome = await self._outcome(received)
        if isinstance(outcome, Failure):
            self._tell(outcome)
            await api.fail(received, outcome)
        else:
            await api.respond(received, outcome.body, outcome.content_type)

    async def _outcome(self, received: Received) -> Written | Failure:
        """The one place where what a handler raises becomes a value, an exit included: others are being served."""
        try:
            context = Context(received)
            event = read_event(received.body, received.content_type)
            return Written(*write_result(await self._call(event, context)))
        except BaseException as error:  # noqa: BLE001  see above
            return failure_of(error)


def caller_of(handler: Any) -> Call:
    """Returns how a handler of any colour is called from a running loop."""
    is_warm: bool = isinstance(handler, WarmHandler)
    if is_warm:
        return cast("Call", handler.invoke)
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(handler.__call__):
        return cast("Call", handler)
    return _in_thread(handler)


def _in_thread(function: Callable[..., Any]) -> Call:
    async def call(event: object, context: Context) -> object:
        result = await asyncio.to_thread(function, event, context)
        return await result if inspect.isawaitable(result) else result

    return call


def _make_current(received: Received) -> None:
    current.request_id.set(received.request_id)
    current.trace_id.set(received.trace_id)
    current.tenant_id.set(received.tenant_id)


def _set_trace_variable(trace_id: str) -> None:
    if trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
