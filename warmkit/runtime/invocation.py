"""One invocation, from what arrived to what is sent: the same for every way of serving.

It knows neither connections nor signals.
"""

import os
from collections.abc import Awaitable, Callable
from contextvars import Context as Variables
from contextvars import copy_context
from typing import Any, NamedTuple, Protocol

from warmkit.runtime import current
from warmkit.runtime.context import Context
from warmkit.runtime.failure import Failure
from warmkit.runtime.logs import flush
from warmkit.runtime.marshal import read_event, write_result
from warmkit.runtime.protocol import Received

Tell = Callable[[Failure], None]
"""Called with each failure, for the log."""


class Api(Protocol):
    """A way to the platform that carries one invocation at a time."""

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


def post(api: Api, received: Received, outcome: Written | Failure) -> Awaitable[None]:
    """Returns what sends the outcome, after what was printed."""
    flush()
    if isinstance(outcome, Failure):
        return api.fail(received, outcome)
    return api.respond(received, outcome.body, outcome.content_type)


def variables_of(received: Received) -> Variables:
    """Returns the context variables of an invocation: those of the process, and who it is."""
    variables = copy_context()
    variables.run(current.request_id.set, received.request_id)
    variables.run(current.trace_id.set, received.trace_id)
    variables.run(current.tenant_id.set, received.tenant_id)
    return variables


def set_trace_variable(trace_id: str) -> None:
    """Sets X-Ray's variable of the process, which is right only while one invocation is served."""
    if trace_id:
        os.environ["_X_AMZN_TRACE_ID"] = trace_id
    else:
        os.environ.pop("_X_AMZN_TRACE_ID", None)
