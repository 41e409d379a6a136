"""Many invocations at once: pollers on one loop, each with a task and a context for every invocation.

It knows neither sockets nor signals: it is given ways to the platform, and told when to stop.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from warmkit.environment import default_environment
from warmkit.handler import WarmHandler
from warmkit.runtime.context import Context
from warmkit.runtime.failure import Failure, failure_of
from warmkit.runtime.invocation import Api, Tell, Written, post, read, variables_of, write
from warmkit.runtime.protocol import Received

Call = Callable[[Any, Context], Awaitable[object]]


class Pollers:
    """Serves invocations with one handler until it is stopped, or the platform is gone.

    Args:
        handler: A `WarmHandler`, an `async def`, or a plain function, which runs in a worker thread.
        apis: The ways to the platform, one for each invocation that may be served at once.
        tell: Called with each failure, for the log.
    """

    def __init__(self, handler: Callable[..., Any], apis: Sequence[Api], tell: Tell) -> None:
        self._call = caller_of(handler)
        self._apis = apis
        self._tell = tell
        self._polling: set[asyncio.Task[Received]] = set()
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
        environment = default_environment(asyncio.get_running_loop())
        while not self._stopping:
            polling = asyncio.ensure_future(api.next())
            self._polling.add(polling)
            try:
                received = await polling
            except asyncio.CancelledError:
                if not self._stopping:
                    raise
                return
            finally:
                self._polling.discard(polling)
            await self._serve(api, received)
            await environment.settle()

    async def _serve(self, api: Api, received: Received) -> None:
        variables = variables_of(received)
        loop = asyncio.get_running_loop()
        outcome = await loop.create_task(self._outcome(received), context=variables)
        if isinstance(outcome, Failure):
            variables.run(self._tell, outcome)
        await post(api, received, outcome)

    async def _outcome(self, received: Received) -> Written | Failure:
        """The one place where what a handler raises becomes a value, an exit included: others are being served."""
        try:
            event, context = read(received)
            return write(await self._call(event, context))
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
