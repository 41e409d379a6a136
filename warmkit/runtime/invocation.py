"""One invocation, from what arrived to what is sent: the same for every way of serving.

It knows neither connections nor signals.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextvars import Context as Variables
from contextvars import copy_context
from typing import Any, NamedTuple, Protocol

from warmkit.afterwards import Afterwards, afterwards, finish
from warmkit.clock import MARGIN, wall
from warmkit.runtime import current
from warmkit.runtime.context import Context
from warmkit.runtime.failure import Failure, failure_of
from warmkit.runtime.logs import flush
from warmkit.runtime.marshal import read_event, write_result
from warmkit.runtime.protocol import Received

Tell = Callable[[Failure], None]
"""Called with each failure, for the log."""


class Streamed(Protocol):
    """A response on its way to the platform, which takes it chunk by chunk.

    Attributes:
        over: Done when the platform takes no more of it.
    """

    over: asyncio.Future[None]

    async def send(self, chunk: object) -> None:
        """Sends one chunk, and waits while the platform is slow to take it."""
        ...

    async def end(self, failure: Failure | None) -> None:
        """Ends it: whole, or with what went wrong."""
        ...


class Api(Protocol):
    """A way to the platform that carries one invocation at a time."""

    async def next(self) -> Received:
        """Waits for an invocation."""
        ...

    def respond(
        self, received: Received, body: bytes, content_type: str
    ) -> Coroutine[Any, Any, None]:
        """Answers it; what it returns awaits that the answer is taken."""
        ...

    def fail(self, received: Received, failure: Failure) -> Coroutine[Any, Any, None]:
        """Reports that it failed, in the same way."""
        ...

    def stream(self, received: Received) -> Streamed:
        """Returns an answer to be given in chunks."""
        ...


class Written(NamedTuple):
    """A result as it is sent."""

    body: bytes
    content_type: str


def read(received: Received) -> tuple[Any, Context]:
    """Returns event and context, as the handler is given them.

    Raises:
        RuntimeFailureError: What came cannot be read.
    """
    return read_event(received.body, received.content_type), Context(received)


def write(result: object) -> Written:
    """Returns the result as it is sent.

    Raises:
        RuntimeFailureError: It cannot be written.
    """
    return Written(*write_result(result))


def post(api: Api, received: Received, outcome: Written | Failure) -> Coroutine[Any, Any, None]:
    """Sends the outcome, after what was printed; returns what awaits that it is taken."""
    flush()
    if isinstance(outcome, Failure):
        return api.fail(received, outcome)
    return api.respond(received, outcome.body, outcome.content_type)


def variables_of(received: Received) -> Variables:
    """Returns the context variables of an invocation: those of the process, who it is, and what follows its answer."""
    variables = copy_context()
    variables.run(_set, received)
    return variables


def _set(received: Received) -> None:
    deadline = received.deadline_ms  # and not the event: timers keep these variables for a while
    afterwards.set(Afterwards(lambda: seconds_left(deadline)))
    current.request_id.set(received.request_id)
    current.trace_id.set(received.trace_id)
    current.tenant_id.set(received.tenant_id)


_traced = [True]
"""Whether X-Ray's variable may be set: looking for what is not there takes a microsecond."""


def set_trace_variable(trace_id: str) -> None:
    """Sets X-Ray's variable of the process, which is right only while one invocation is served."""
    if trace_id:
        os.environb[b"_X_AMZN_TRACE_ID"] = trace_id.encode()  # whatever the locale can say
        _traced[0] = True
    elif _traced[0]:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
        _traced[0] = False


def seconds_left(deadline_ms: int) -> float:
    """Returns what is left of an invocation for what nobody waits for."""
    return max(0.0, deadline_ms / 1000 - wall() - MARGIN)


def answered(variables: Variables) -> bool:
    """Notes that the response is given; returns whether the handler has left something for after it."""
    left = variables[afterwards]
    if left is None:
        return False
    left.over = not left.works  # what is left from now on has missed it
    return not left.over


async def finish_after(variables: Variables) -> None:
    """Does what the handler left for after its response."""
    left = variables[afterwards]
    if left is not None:
        try:
            await finish(left.works)
        finally:
            left.over = True


def outcome_of(serving: asyncio.Task[Any]) -> Any:
    """Returns what came of it; a handler may have cancelled its own task with its last breath."""
    if serving.cancelled():
        return failure_of(asyncio.CancelledError("the handler cancelled its own task"))
    return serving.result()
