"""One invocation at a time: the loop runs only while one is served, and waiting for the next one blocks.

That is what happens on Lambda in any case, where the environment is frozen in between; and waiting in a system call costs
less than an event loop. A plain function runs in the main thread, as under AWS's runtime.
"""

import inspect
import logging
import sys
from collections.abc import Awaitable, Coroutine
from contextvars import Context as Variables
from typing import Any

from warmkit.hosts.alarm import Alarm
from warmkit.hosts.ending import EndedError, Ending
from warmkit.hosts.loop import PersistentLoop
from warmkit.runtime.context import Context
from warmkit.runtime.failure import Failure, failure_of
from warmkit.runtime.invocation import (
    Api,
    Tell,
    Written,
    answered,
    finish_after,
    post,
    read,
    set_trace_variable,
    variables_of,
    write,
)
from warmkit.runtime.kinds import in_time, is_async, is_warm, time_of
from warmkit.runtime.lines import at_once
from warmkit.runtime.protocol import Received

_log = logging.getLogger("warmkit")


class Turns:
    """Serves invocations with one handler, one after the other, until the end is announced.

    Args:
        handler: A `WarmHandler`, an `async def`, or a plain function.
        api: The way to the platform; its coroutines never suspend.
        tell: Called with each failure, for the log.
        host: Whose loop serves.
        ending: Tells when it is over, and cuts short what does not finish in time.
    """

    def __init__(
        self,
        handler: Any,
        api: Api,
        tell: Tell,
        host: PersistentLoop,
        ending: Ending,
    ) -> None:
        self._handler = handler
        self._is_warm = is_warm(handler)
        self._is_async = is_async(handler)
        self._api = api
        self._tell = tell
        self._host = host
        self._ending = ending

    def run(self) -> None:
        """Serves.

        Raises:
            ApiGoneError: The platform is gone.
        """
        while not self._ending.announced:
            received = at_once(self._api.next())
            self._ending.during(self._take_turn, received)

    def _take_turn(self, received: Received) -> None:
        self._serve(received)
        environment = _environment(self._host)
        if environment is not None and environment.live.unsettled:
            self._finish(environment.settle())

    def _serve(self, received: Received) -> None:
        variables = variables_of(received)
        set_trace_variable(received.trace_id)
        outcome = self._outcome(received, variables)
        at_once(post(self._api, received, outcome))
        if isinstance(outcome, Failure):
            variables.run(self._tell, outcome)
        if answered(variables):
            self._finish(finish_after(variables))

    def _finish(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs what follows an answer, whatever exits a task of somebody's asks for: others are to be served."""
        try:
            self._host.run(work)
        except (SystemExit, KeyboardInterrupt) as asked:
            _log.error("a task asked for the end of the process, in vain: %r", asked)

    def _outcome(self, received: Received, variables: Variables) -> Written | Failure:
        """The one place where what a handler raises becomes a value."""
        try:
            event, context = read(received)
            return write(self._call(event, context, variables))
        except EndedError:
            raise
        except BaseException as error:  # noqa: BLE001  see above
            return failure_of(error)

    def _call(self, event: object, context: Context, variables: Variables) -> object:
        handler: Any = self._handler
        if self._is_warm:
            return self._call_warm(handler, event, context, variables)
        if self._is_async:
            return self._run_in_time(handler(event, context), context, variables)
        with Alarm(*time_of(context)):
            result = variables.run(handler, event, context)
        if inspect.isawaitable(result):
            return self._run_in_time(result, context, variables)
        return result

    def _run_in_time(self, work: Awaitable[Any], context: Context, variables: Variables) -> object:
        return self._host.run(in_time(work, context, self._host.loop), context=variables)

    def _call_warm(
        self, handler: Any, event: object, context: Context, variables: Variables
    ) -> object:
        environment = _environment(self._host)
        if handler.is_async:
            work = handler.invoke_in(environment, event, context)
            return self._host.run(work, context=variables)
        return variables.run(handler.call_beside, environment, event, context, self._host)


def _environment(host: PersistentLoop) -> Any:
    """Returns the environment of the host's loop; None where nothing of warmkit's core is loaded."""
    module = sys.modules.get("warmkit.environment")
    return None if module is None else module.default_environment(host.loop)
