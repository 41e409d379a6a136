"""Many invocations at once: pollers on one loop, each with a task and a context for every invocation.

It knows neither sockets nor signals: it is given ways to the platform, and told when to stop.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context as Variables
from functools import partial
from typing import Any, TypeVar

from warmkit.environment import default_environment
from warmkit.hosts.threads import run_in_thread
from warmkit.runtime.api import ApiGoneError
from warmkit.runtime.context import Context
from warmkit.runtime.failure import Failure, failure_of
from warmkit.runtime.invocation import (
    Api,
    Tell,
    Written,
    answered,
    finish_after,
    outcome_of,
    post,
    read,
    set_trace_variable,
    variables_of,
    write,
)
from warmkit.runtime.kinds import in_time, is_async, is_warm, streams
from warmkit.runtime.protocol import Received
from warmkit.runtime.streaming import Streaming

_log = logging.getLogger("warmkit")

T = TypeVar("T")
Call = Callable[[Any, Context], Awaitable[object]]
Answering = Callable[[Api, Received, Variables], Awaitable[Failure | None]]
"""Serves an invocation and answers it; returns what went wrong."""


class Pollers:
    """Serves invocations with one handler until it is stopped, or the platform is gone.

    Args:
        handler: A `WarmHandler`, an `async def`, or a plain function, which runs in a worker thread.
        apis: The ways to the platform, one for each invocation that may be served at once.
        tell: Called with each failure, for the log.
    """

    def __init__(self, handler: Callable[..., Any], apis: Sequence[Api], tell: Tell) -> None:
        self._apis = apis
        self._tell = tell
        self._polling: set[asyncio.Task[Any]] = set()
        self._serving: set[asyncio.Task[Any]] = set()
        self._answer: Answering = (
            Streaming(handler, self._serving).answer
            if streams(handler)
            else partial(self._answer_whole, caller_of(handler))
        )
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

    def cut_short(self) -> None:
        """Cancels what is being served: its time is up."""
        for serving in self._serving:
            serving.cancel()

    async def _poll(self, api: Api) -> None:
        environment = default_environment(asyncio.get_running_loop())
        poller = asyncio.current_task()
        assert poller is not None
        while not self._stopping:
            received = await self._next(api, poller)
            if received is None:
                return
            await self._take_turn(api, received)
            await environment.settle()
            if poller.cancelling():  # which what it served has swallowed
                raise asyncio.CancelledError

    async def _next(self, api: Api, poller: asyncio.Task[Any]) -> Received | None:
        """Waits for an invocation; returns None if none is taken any more."""
        self._polling.add(poller)
        try:
            return await api.next()
        except asyncio.CancelledError:
            if not self._stopping:
                raise
            return None
        except ApiGoneError as gone:
            _log.error("a poller ends: %s", gone)
            raise
        finally:
            self._polling.discard(poller)

    async def _take_turn(self, api: Api, received: Received) -> None:
        """Serves, and survives whatever goes wrong with it: a poller that ends is never replaced."""
        try:
            await self._serve(api, received)
        except ApiGoneError as gone:
            _log.error("a poller ends: %s", gone)
            raise
        except Exception:  # noqa: BLE001  ours or the network's: the next invocation must be served
            _log.exception("invocation %s was not answered", received.request_id)

    async def _serve(self, api: Api, received: Received) -> None:
        if len(self._apis) == 1:
            set_trace_variable(received.trace_id)
        variables = variables_of(received)
        try:
            failure = await self._answer(api, received, variables)
            if failure is not None:
                variables.run(self._tell, failure)
        finally:
            if answered(variables):
                await self._until_done(finish_after(variables), None)

    async def _answer_whole(
        self, call: Call, api: Api, received: Received, variables: Variables
    ) -> Failure | None:
        turn = _Turn(api, received)
        serving = await self._until_done(turn.serve(call), variables)
        if turn.taken is None:
            turn.send(outcome_of(serving))
        assert turn.taken is not None
        await turn.taken
        return turn.failure

    async def _until_done(
        self, work: Coroutine[Any, Any, T], variables: Variables | None
    ) -> asyncio.Task[T]:
        """Waits for a task that can be cut short. It is cancelled with the poller, too."""
        serving = asyncio.get_running_loop().create_task(work, context=variables)
        self._serving.add(serving)
        try:
            await serving
        except asyncio.CancelledError:
            pass  # its own: it is looked at; or the poller's: it ends after this turn
        finally:
            self._serving.discard(serving)
        return serving


class _Turn:
    """One invocation, whose answer is sent where its handler ends: the loop may have many others to serve before its poller.

    Args:
        api: The way of the answer.
        received: The invocation.

    Attributes:
        taken: To be awaited: the platform has the answer. None: none has been sent.
        failure: What went wrong.
    """

    def __init__(self, api: Api, received: Received) -> None:
        self._api = api
        self._received = received
        self.taken: Awaitable[None] | None = None
        self.failure: Failure | None = None

    async def serve(self, call: Call) -> None:
        """Calls the handler, and sends what comes of it. A handler may cancel the task with its last breath."""
        self.send(await _outcome(call, self._received))

    def send(self, outcome: Written | Failure) -> None:
        """Sends the answer."""
        self.failure = outcome if isinstance(outcome, Failure) else None
        self.taken = post(self._api, self._received, outcome)


async def _outcome(call: Call, received: Received) -> Written | Failure:
    """The one place where what a handler raises becomes a value, an exit included: others are being served."""
    try:
        event, context = read(received)
        return write(await call(event, context))
    except BaseException as error:  # noqa: BLE001  see above
        return failure_of(error)


def caller_of(handler: Any) -> Call:
    """Returns how a handler of any colour is called from a running loop."""
    if is_warm(handler):
        return partial(handler.invoke_in, default_environment(asyncio.get_running_loop()))
    if is_async(handler):
        return partial(_call_in_time, handler)
    return _in_thread(handler)


async def _call_in_time(handler: Callable[..., Any], event: object, context: Context) -> object:
    return await in_time(handler(event, context), context, asyncio.get_running_loop())


def _in_thread(function: Callable[..., Any]) -> Call:
    async def call(event: object, context: Context) -> object:
        result = await run_in_thread(partial(function, event, context))
        if not inspect.isawaitable(result):
            return result
        return await in_time(result, context, asyncio.get_running_loop())

    return call
