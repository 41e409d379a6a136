"""Many invocations at once: pollers on one loop, each with a task and a context for every invocation.

It knows neither sockets nor signals: it is given ways to the platform, and told when to stop.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, cast

from warmkit.environment import default_environment
from warmkit.handler import WarmHandler
from warmkit.hosts.threads import run_in_thread
from warmkit.runtime.api import ApiGoneError
from warmkit.runtime.context import Context
from warmkit.runtime.failure import Failure, failure_of
from warmkit.runtime.invocation import Api, Tell, Written, post, read, variables_of, write
from warmkit.runtime.protocol import Received

_log = logging.getLogger("warmkit")

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
        self._serving: set[asyncio.Task[Written | Failure]] = set()
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
            await self._take_turn(api, received)
            await environment.settle()

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
        variables = variables_of(received)
        loop = asyncio.get_running_loop()
        serving = loop.create_task(self._outcome(received), context=variables)
        self._serving.add(serving)
        try:
            await asyncio.wait({serving})
        finally:
            self._serving.discard(serving)
        outcome = _outcome_of(serving)
        await post(api, received, outcome)
        if isinstance(outcome, Failure):
            variables.run(self._tell, outcome)

    async def _outcome(self, received: Received) -> Written | Failure:
        """The one place where what a handler raises becomes a value, an exit included: others are being served."""
        try:
            event, context = read(received)
            return write(await self._call(event, context))
        except BaseException as error:  # noqa: BLE001  see above
            return failure_of(error)


def _outcome_of(serving: asyncio.Task[Written | Failure]) -> Written | Failure:
    """Returns what came of it; a handler may have cancelled its own task with its last breath."""
    if serving.cancelled():
        return failure_of(asyncio.CancelledError("the handler cancelled its own task"))
    return serving.result()


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
        result = await run_in_thread(partial(function, event, context))
        return await result if inspect.isawaitable(result) else result

    return call
